//! Self-attention between the pixels of images that lie pixel by pixel: heads are taken apart in one launch and put together in one, and the softmax is one.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::super::Products;
use super::linear::rounded;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use super::linear::rounded_spec;
use super::tensors::Tensors;

/// See [`super::super::Kernels::attention`].
pub fn attention(products: Products, input: Tensor<4>, heads: usize) -> Tensor<4> {
    let channels = input.dims()[1];
    assert!(channels.is_multiple_of(3 * heads), "{heads} heads do not divide {channels} / 3");
    Tensor::from_dispatch(Dispatch::device_attention(input.into_dispatch(), heads, products))
}

/// What burn has no operations for.
#[backend_extension(
    Flex,
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Fusion: cfg(any(feature = "wgpu", feature = "cuda"))
)]
pub trait AttentionKernels: Backend {
    /// Images whose channels are `parts` times those of all heads, `[batch, parts * heads * of_head, height, width]`: each part
    /// `[batch, heads, pixels, of_head]`, rounded as a factor of such products.
    #[fusion(meta = |images, parts, heads, factor_of| specs::apart(images, *parts, *heads, *factor_of))]
    fn heads_apart(images: FloatTensor<Self>, parts: usize, heads: usize, factor_of: Products) -> Tensors<Self>;

    /// The inverse of [`Self::heads_apart`], in f32; `size` is the height and the width.
    #[fusion(meta = |parts, size| specs::joined(parts, *size))]
    fn heads_joined(#[extension_type] parts: Tensors<Self>, size: [usize; 2]) -> FloatTensor<Self>;

    /// The softmax of `scale` times each row of `[batch, heads, rows, columns]`, which are f32 or rounded: in f32.
    #[fusion(meta = |scores, _| specs::whole(scores))]
    fn scaled_softmax(scores: FloatTensor<Self>, scale: f32) -> FloatTensor<Self>;

    /// The gradient of the scores, rounded as a factor of such products, from that of the `shares` which [`Self::scaled_softmax`] made of them.
    #[fusion(meta = |_, shares, _, factor_of| rounded_spec(shares, *factor_of))]
    fn scaled_softmax_backward(
        gradient: FloatTensor<Self>,
        shares: FloatTensor<Self>,
        scale: f32,
        factor_of: Products,
    ) -> FloatTensor<Self>;
}

/// What fused operations are told of results that are still to be computed.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod specs {
    use burn::backend::DType;
    use burn::backend::fusion::custom::TensorSpec;
    use burn::tensor::Shape;

    use super::super::linear::rounded_spec;
    use crate::kernels::Products;

    pub fn apart(images: &TensorSpec, parts: usize, heads: usize, factor_of: Products) -> Vec<TensorSpec> {
        let [batch, channels, height, width] = images.shape.dims();
        let shape = Shape::from([batch, heads, height * width, channels / parts / heads]);
        vec![rounded_spec(&TensorSpec::new(shape, images.dtype), factor_of); parts]
    }

    pub fn whole(numbers: &TensorSpec) -> TensorSpec {
        TensorSpec::new(numbers.shape.clone(), DType::F32)
    }

    pub fn joined(parts: &[TensorSpec], [height, width]: [usize; 2]) -> TensorSpec {
        let [batch, heads, _, of_head] = parts[0].shape.dims();
        TensorSpec::new(Shape::from([batch, parts.len() * heads * of_head, height, width]), DType::F32)
    }
}

/// Attention and its derivative.
#[backend_extension(
    Autodiff,
    Flex,
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Fusion: cfg(any(feature = "wgpu", feature = "cuda"))
)]
pub trait DeviceAttention: Backend {
    /// See [`attention`].
    #[fusion(meta = |input, _, _| output(input))]
    fn device_attention(input: FloatTensor<Self>, heads: usize, products: Products) -> FloatTensor<Self>;
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn output(input: &burn::backend::fusion::custom::TensorSpec) -> burn::backend::fusion::custom::TensorSpec {
    let [batch, channels, height, width] = input.shape.dims();
    burn::backend::fusion::custom::TensorSpec::new([batch, channels / 3, height, width].into(), input.dtype)
}

/// What the derivative needs of a forward pass: queries, keys, values and the shares of values as they were multiplied, and the shares in f32.
struct Attended<B: Backend> {
    factors: [FloatTensor<B>; 4],
    shares: FloatTensor<B>,
    output: FloatTensor<B>,
}

/// The forward pass of any backend with the kernels.
pub fn forward<B: AttentionKernels>(input: FloatTensor<B>, heads: usize, products: Products) -> FloatTensor<B> {
    attended::<B>(input, heads, products).output
}

fn attended<B: AttentionKernels>(input: FloatTensor<B>, heads: usize, products: Products) -> Attended<B> {
    let [_, channels, height, width] = input.shape().dims();
    let parts: Result<[_; 3], _> = B::heads_apart(input, 3, heads, products).0.try_into();
    let [queries, keys, values] = parts.expect("queries, keys and values");
    let scores = B::float_matmul(queries.clone(), B::float_transpose(keys.clone()));
    let shares = B::scaled_softmax(scores, scale(channels, heads));
    let multiplied = rounded::<B>(shares.clone(), products);
    let attended = B::float_matmul(multiplied.clone(), values.clone());
    let output = B::heads_joined(Tensors(vec![attended]), [height, width]);
    Attended { factors: [queries, keys, values, multiplied], shares, output }
}

/// One over the root of a head's channels.
fn scale(channels: usize, heads: usize) -> f32 {
    (1.0 / ((channels / 3 / heads) as f64).sqrt()) as f32
}

impl<B: AttentionKernels, C: CheckpointStrategy> DeviceAttention for Autodiff<B, C> {
    fn device_attention(input: FloatTensor<Self>, heads: usize, products: Products) -> FloatTensor<Self> {
        let node = input.node();
        let Attended { factors, shares, output } = attended::<B>(input.primitive().clone(), heads, products);
        match AttentionBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((factors, shares, products), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct AttentionBackward;

impl<B: AttentionKernels> Backward<B, 1> for AttentionBackward {
    /// Of [`Attended`].
    type State = ([FloatTensor<B>; 4], FloatTensor<B>, Products);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([queries, keys, values, multiplied], shares, products) = ops.state;
        let [Some(node)] = ops.parents else { return };
        let [_, heads, _, of_head] = queries.shape().dims();
        let [_, _, height, width] = gradient.shape().dims();
        let gradient = B::heads_apart(gradient, 1, heads, products).0.pop().expect("one part");
        let of_values = B::float_matmul(B::float_transpose(multiplied), gradient.clone());
        let of_shares = B::float_matmul(gradient, B::float_transpose(values));
        let of_scores = B::scaled_softmax_backward(of_shares, shares, scale(3 * heads * of_head, heads), products);
        let of_queries = B::float_matmul(of_scores.clone(), keys);
        let of_keys = B::float_matmul(B::float_transpose(of_scores), queries);
        let of_input = B::heads_joined(Tensors(vec![of_queries, of_keys, of_values]), [height, width]);
        gradients.register::<B>(node.id, of_input);
    }
}
