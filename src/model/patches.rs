use burn::tensor::Tensor;

use super::ModelError;
use super::architecture::{Architecture, ConvolutionLayer, Initial};
use crate::kernels::Convolution;

/// How images are cut into square patches, each of which becomes one pixel with many channels.
#[derive(Clone, Copy, Debug)]
pub struct Patches {
    /// Side of a patch in pixels.
    patch: usize,
    /// Patches in a row, and in a column.
    pub side: usize,
}

impl Patches {
    /// Patches of images of `image_side` pixels, which `patch` divides.
    pub fn new(image_side: usize, patch: usize) -> Self {
        Self { patch, side: image_side / patch }
    }

    /// As large patches of images of another side.
    pub fn of_side(self, image_side: usize) -> Self {
        Self::new(image_side, self.patch)
    }

    /// Patches of an image.
    pub fn count(self) -> usize {
        self.side * self.side
    }

    /// Pixels of a patch.
    pub fn area(self) -> usize {
        self.patch * self.patch
    }

    /// The linear map of patches of images with `channels` to `outputs` numbers, as the convolution that it is:
    /// weights `[outputs, channels, patch, patch]`.
    pub fn embedding(
        self,
        architecture: &mut Architecture,
        channels: usize,
        outputs: usize,
        initial: impl Fn(Convolution) -> (Initial, Initial),
    ) -> ConvolutionLayer {
        let shape = Convolution::pointwise(channels * self.area(), outputs);
        let weight_shape = vec![outputs, channels, self.patch, self.patch];
        let (weight, bias) = initial(shape);
        architecture.layer("patches", shape, weight_shape, self.count(), (weight, Some(bias)))
    }

    /// Images `[batch, channels, height, width]` as `[batch, channels * area, side, side]`; the channels are (image
    /// channel, row in the patch, column in the patch).
    pub fn cut(self, images: Tensor<4>) -> Tensor<4> {
        let [batch, channels, _, _] = images.dims();
        let Self { patch, side } = self;
        let cells = images.reshape([batch, channels, side, patch, side, patch]);
        cells.permute([0, 1, 3, 5, 2, 4]).reshape([batch, channels * patch * patch, side, side])
    }

    /// The images whose patches are `[batch, area * channels, side, side]`; here the channels are (row in the patch,
    /// column in the patch, image channel), as DiT and U-ViT give them out.
    pub fn join(self, patches: Tensor<4>) -> Tensor<4> {
        let [batch, numbers, _, _] = patches.dims();
        let Self { patch, side } = self;
        let channels = numbers / self.area();
        let cells = patches.reshape([batch, patch, patch, channels, side, side]);
        cells.permute([0, 3, 4, 1, 5, 2]).reshape([batch, channels, side * patch, side * patch])
    }
}

/// Checks that a transformer of [patch, dim, depth, heads, mlp_ratio] can be built for images of `side` pixels.
pub fn check(sizes: [usize; 5], side: usize) -> Result<(), ModelError> {
    let fields = ["patch", "dim", "depth", "heads", "mlp_ratio"];
    if let Some((field, _)) = fields.into_iter().zip(sizes).find(|&(_, size)| size == 0) {
        return Err(ModelError::Zero { field });
    }
    let [patch, dim, _, heads, _] = sizes;
    if side == 0 || !side.is_multiple_of(patch) {
        return Err(ModelError::Patch { patch, side });
    }
    if !dim.is_multiple_of(heads) {
        return Err(ModelError::Multiple { field: "dim", value: dim, of: heads });
    }
    Ok(())
}
