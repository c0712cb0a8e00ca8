use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};

/// What gradients of images need beside burn's operations, which would first put the values of a channel in a row.
#[backend_extension(
    Flex,
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Fusion: cfg(any(feature = "wgpu", feature = "cuda"))
)]
pub trait ImageKernels: Backend {
    /// The sums of the channels of `images`, `[batch, channels, height, width]`: of each image, `[batch, channels]`, or of all, `[1, channels]`.
    #[fusion(meta = |images, of_each| specs::of_channels(images, *of_each))]
    fn channel_totals(images: FloatTensor<Self>, of_each: bool) -> FloatTensor<Self>;

    /// The sums of the channels of each of `images` times `factors`, both `[batch, channels, height, width]`: `[batch, channels]`.
    #[fusion(meta = |images, _| specs::of_channels(images, true))]
    fn channel_products(images: FloatTensor<Self>, factors: FloatTensor<Self>) -> FloatTensor<Self>;

    /// `product`, `[batch, channels, height, width]` in bf16, and to each of its pixels `bias`, `[1, channels]`: in f32.
    #[fusion(meta = |product, bias| specs::of_type(product, bias))]
    fn with_bias(product: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The first `channels` of images, and the others.
    #[fusion(meta = |images, channels| specs::apart(images, *channels))]
    fn channels_apart(images: FloatTensor<Self>, channels: usize) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// What fused operations are told of results that are still to be computed.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod specs {
    use burn::backend::fusion::custom::TensorSpec;
    use burn::tensor::Shape;

    pub fn of_channels(images: &TensorSpec, of_each: bool) -> TensorSpec {
        let [batch, channels, ..] = images.shape.dims::<4>();
        TensorSpec::new(Shape::from([if of_each { batch } else { 1 }, channels]), images.dtype)
    }

    pub fn of_type(images: &TensorSpec, other: &TensorSpec) -> TensorSpec {
        TensorSpec::new(images.shape.clone(), other.dtype)
    }

    pub fn apart(images: &TensorSpec, first: usize) -> (TensorSpec, TensorSpec) {
        let [batch, channels, height, width] = images.shape.dims();
        let of = |channels| TensorSpec::new(Shape::from([batch, channels, height, width]), images.dtype);
        (of(first), of(channels - first))
    }
}
