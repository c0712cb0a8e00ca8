use std::fmt::Debug;

/// The features of images by a frozen network, wherever it is computed: pixels of planes much smaller than the image.
pub trait ImageFeatures: Debug + Send + Sync {
    /// `[images, side, side, channels]` of images `[images, channels, side, side]` in [-1, 1], with [`Self::shape`]'s side and channels. Those of
    /// an image do not depend on the others.
    fn features(&self, pixels: &[f32]) -> Vec<f32>;

    /// (channels, pixels of each side) of an image's features.
    fn shape(&self) -> (usize, usize);
}
