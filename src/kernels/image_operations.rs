use burn::backend::Dispatch;
use burn::tensor::{DType, FloatDType, Tensor};

use super::attention::Attention;
use super::convolution_extension::ConvolutionOperations;
use super::extension::FusedOperations;
use super::group_norm::GroupNorm;
use super::group_norm_extension::GroupNormOperations;
use super::planes::Storage;
use super::{Convolution, Kernels, Products, gpu, plain};

/// The operations of networks of any kind, on images as planes.
impl Kernels {
    /// Convolution with bias; weights and bias flat as [`Convolution`] says.
    pub fn convolution(self, shape: Convolution, input: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>) -> Tensor<4> {
        match self {
            Self::Plain(Products::F32) => plain::convolution(shape, input, weight, bias),
            Self::Plain(Products::Bf16) => plain::convolution_bf16(shape, input, weight, bias),
            Self::Gpu(products) => gpu::convolution(products, shape, input, weight, bias),
            Self::Fused(products) => fused_convolution(shape, input, weight, bias, (products, Storage::F32)),
        }
    }

    /// [`Kernels::convolution`] of a linear map whose output stays within a branch of the network: what takes it are other linear
    /// maps, attention, GELU and gated sums. With products of bf16 it may be rounded to bf16.
    pub fn branch_map(self, shape: Convolution, input: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>) -> Tensor<4> {
        match self {
            Self::Plain(_) | Self::Gpu(_) => self.convolution(shape, input, weight, bias),
            Self::Fused(products) => {
                let storage = Storage::of_factors(products, shape.outputs);
                fused_convolution(shape, input, weight, bias, (products, storage))
            }
        }
    }

    /// [`Kernels::convolution`] plus `added`, which has the shape of the output or one pixel per plane (which is
    /// then added to every pixel).
    pub fn convolution_added(
        self,
        shape: Convolution,
        input: Tensor<4>,
        weight: Tensor<1>,
        bias: Tensor<1>,
        added: Tensor<4>,
    ) -> Tensor<4> {
        match self {
            Self::Plain(_) => self.convolution(shape, input, weight, bias) + added,
            Self::Gpu(_) => gpu::added(self.convolution(shape, input, weight, bias), added),
            Self::Fused(products) => Tensor::from_dispatch(Dispatch::fused_convolution_added(
                input.into_dispatch(),
                weight.into_dispatch(),
                bias.into_dispatch(),
                added.into_dispatch(),
                shape,
                products,
            )),
        }
    }

    /// GroupNorm with `scale` and `shift` per channel (Wu and He 2018), then SiLU if `norm` says so.
    ///
    /// # Panics
    /// If the groups do not divide the channels.
    pub fn group_norm(self, input: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>, norm: GroupNorm) -> Tensor<4> {
        match self {
            Self::Plain(_) => plain::group_norm(input, scale, shift, norm),
            Self::Gpu(products) => gpu::group_norm(products, input, scale, shift, norm),
            Self::Fused(_) => Tensor::from_dispatch(Dispatch::fused_group_norm(
                input.into_dispatch(),
                scale.into_dispatch(),
                shift.into_dispatch(),
                norm,
            )),
        }
    }

    /// [`Kernels::group_norm`] whose result y is scaled and shifted once more for each image, before the SiLU:
    /// y (1 + s) + t. `modulation` holds 2 * channels in planes of one pixel: each channel's s, then each channel's t.
    ///
    /// # Panics
    /// If the groups do not divide the channels.
    pub fn group_norm_modulated(
        self,
        input: Tensor<4>,
        scale: Tensor<1>,
        shift: Tensor<1>,
        modulation: Tensor<4>,
        norm: GroupNorm,
    ) -> Tensor<4> {
        match self {
            Self::Plain(_) => plain::group_norm_modulated(input, scale, shift, modulation, norm),
            Self::Gpu(products) => gpu::group_norm_modulated(products, input, scale, shift, modulation, norm),
            Self::Fused(_) => Tensor::from_dispatch(Dispatch::fused_group_norm_modulated(
                input.into_dispatch(),
                scale.into_dispatch(),
                shift.into_dispatch(),
                modulation.into_dispatch(),
                norm,
            )),
        }
    }

    /// The output of a norm where it is no factor of a product: in f32, whatever it was rounded to.
    pub fn whole(self, output: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Gpu(Products::Bf16) => output.cast(FloatDType::F32),
            Self::Fused(_) if output.dtype() == DType::BF16 => {
                Tensor::from_dispatch(Dispatch::fused_whole(output.into_dispatch()))
            }
            Self::Plain(_) | Self::Gpu(Products::F32) | Self::Fused(_) => output,
        }
    }

    /// The mean of each square of 2x2 pixels.
    ///
    /// # Panics
    /// If the sides are odd.
    pub fn halve(self, input: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain(_) | Self::Gpu(_) => plain::halve(self.whole(input)),
            Self::Fused(_) => Tensor::from_dispatch(Dispatch::fused_halve(input.into_dispatch())),
        }
    }

    /// Each pixel as a square of 2x2 pixels.
    pub fn double(self, input: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain(_) | Self::Gpu(_) => plain::double(input),
            Self::Fused(_) => Tensor::from_dispatch(Dispatch::fused_double(input.into_dispatch())),
        }
    }

    /// x * sigmoid(x).
    pub fn silu(self, input: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain(_) => burn::tensor::activation::silu(input),
            // What it is made of, an embedding of the time, is a factor of many products, whose gradients are added up in f32.
            Self::Gpu(_) => gpu::activate(Products::F32, input, gpu::Curve::Silu),
            Self::Fused(_) => Tensor::from_dispatch(Dispatch::fused_silu(input.into_dispatch())),
        }
    }

    /// Self-attention between the pixels of each image: softmax(q k^T / sqrt(head channels)) v per head.
    /// `input` holds 3 * channels: queries, keys, values, and within each the heads one after the other.
    ///
    /// # Panics
    /// If the heads do not divide the channels.
    pub fn attention(self, input: Tensor<4>, heads: usize) -> Tensor<4> {
        match self {
            Self::Plain(Products::F32) => plain::attention(input, heads),
            Self::Plain(Products::Bf16) => plain::attention_bf16(input, heads),
            Self::Gpu(products) => gpu::attention(products, input, heads),
            Self::Fused(products) => {
                // Heads of an odd number of channels are not whole words.
                let depth = input.dims()[2] / 3 / heads;
                let input = if depth.is_multiple_of(2) { input } else { self.whole(input) };
                let attention = Attention { heads, products };
                Tensor::from_dispatch(Dispatch::fused_attention(input.into_dispatch(), attention))
            }
        }
    }

    /// The channels of `first`, then those of `second`.
    pub fn concatenate(self, first: Tensor<4>, second: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain(_) => Tensor::cat(vec![first, second], 1),
            Self::Gpu(_) => gpu::concatenate(first, second),
            Self::Fused(_) => {
                Tensor::from_dispatch(Dispatch::fused_concatenate(first.into_dispatch(), second.into_dispatch()))
            }
        }
    }

    /// The mean of each plane, `[batch, channels]`.
    pub fn plane_means(self, input: Tensor<4>, batch: usize) -> Tensor<2> {
        match self {
            Self::Plain(_) | Self::Gpu(_) => {
                let [_, channels, height, width] = input.dims();
                input.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
            }
            Self::Fused(_) => {
                let [height, width, channels, padded] = input.dims();
                let means = input.reshape([height * width, channels * padded]).mean_dim(0);
                means.reshape([channels, padded]).narrow(1, 0, batch).swap_dims(0, 1)
            }
        }
    }
}

/// The fused operations against their plain twins, on every kind of lanes.
fn fused_convolution(
    shape: Convolution,
    input: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    means: (Products, Storage),
) -> Tensor<4> {
    let (input, weight, bias) = (input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_convolution(input, weight, bias, shape, means))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::Resample;
    use super::super::implementation::tests::compare;
    use super::*;
    use crate::random::{Draws, Stream};

    fn convolutions() -> impl Iterator<Item = (Convolution, [usize; 4])> {
        let mut draws = Draws::new(7, Stream::Noise, 0);
        let random = (0..40).map(move |index| {
            let mut between = |low: u32, high: u32| (low + draws.below(high - low + 1)) as usize;
            let resample = [Resample::Keep, Resample::Halve, Resample::Double][index % 3];
            let kernel = [3, 1][index / 3 % 2];
            let shape = Convolution { inputs: between(1, 20), outputs: between(1, 20), kernel, resample };
            let batch = [1, 3, 16, 17, 64, 70][index % 6];
            (shape, [batch, shape.inputs, between(1, 9), between(1, 9)])
        });
        // Enough channels for Winograd's way; odd and even sides, few and many chunks, one pixel.
        let many_channels = [
            (8, 8, 70, 7, 5, Resample::Keep),
            (12, 33, 16, 8, 8, Resample::Keep),
            (40, 9, 200, 3, 4, Resample::Keep),
            (8, 16, 1, 1, 1, Resample::Keep),
            (9, 10, 33, 2, 11, Resample::Keep),
            (70, 20, 33, 4, 13, Resample::Keep),
            (12, 33, 16, 4, 4, Resample::Double),
            (9, 10, 33, 1, 7, Resample::Double),
            (40, 9, 70, 3, 5, Resample::Double),
        ];
        let many_channels = many_channels.map(|(inputs, outputs, batch, height, width, resample)| {
            (Convolution::square(inputs, outputs, resample), [batch, inputs, height, width])
        });
        // Linear maps of more channels than fit tiles and panels, of few and many columns.
        let linear =
            [(150, 13, 70, 3, 5), (130, 7, 1, 1, 1), (17, 200, 33, 1, 1), (24, 16, 200, 2, 2), (260, 31, 17, 1, 5)];
        let linear = linear.map(|(inputs, outputs, batch, height, width)| {
            (Convolution::pointwise(inputs, outputs), [batch, inputs, height, width])
        });
        random.chain(many_channels).chain(linear)
    }

    #[test]
    fn convolutions_of_random_shapes_agree() {
        for (shape, image) in convolutions() {
            let what = format!("{shape:?} of {image:?}");
            compare(&what, &[image], &[shape.weight_count(), shape.outputs], |kernels, images, vectors| {
                kernels.convolution(shape, images[0].clone(), vectors[0].clone(), vectors[1].clone())
            });
        }
    }

    #[test]
    fn sums_with_convolutions_agree() {
        for (shape, image) in convolutions() {
            let [batch, _, height, width] = image;
            let (height, width) = (shape.output_side(height), shape.output_side(width));
            for added in [[batch, shape.outputs, height, width], [batch, shape.outputs, 1, 1]] {
                let what = format!("{shape:?} of {image:?} plus {added:?}");
                let vectors = [shape.weight_count(), shape.outputs];
                compare(&what, &[image, added], &vectors, |kernels, images, vectors| {
                    let [input, added] = [0, 1].map(|index| images[index].clone());
                    kernels.convolution_added(shape, input, vectors[0].clone(), vectors[1].clone(), added)
                });
            }
        }
    }

    #[test]
    fn group_norms_of_random_shapes_agree() {
        for (image, groups) in [
            ([3, 8, 5, 7], 2),
            ([64, 16, 8, 8], 8),
            ([1, 6, 1, 3], 1),
            ([17, 12, 4, 4], 12),
            ([70, 48, 9, 3], 8),
            ([64, 32, 8, 16], 8),
        ] {
            for silu in [false, true] {
                let what = format!("{groups} groups of {image:?}, silu {silu}");
                compare(&what, &[image], &[image[1], image[1]], |kernels, images, vectors| {
                    // Away from mean 0, as a network's activations are.
                    let input = images[0].clone() + 2.0;
                    let norm = GroupNorm { groups, silu, epsilon: if silu { 1e-5 } else { 0.5 } };
                    kernels.group_norm(input, vectors[0].clone(), vectors[1].clone(), norm)
                });
            }
        }
    }

    #[test]
    fn modulated_group_norms_of_random_shapes_agree() {
        for (image, groups) in
            [([3, 8, 5, 7], 2), ([64, 16, 8, 8], 8), ([1, 6, 1, 3], 1), ([17, 12, 4, 4], 12), ([70, 48, 9, 3], 8)]
        {
            let modulation = [image[0], 2 * image[1], 1, 1];
            for silu in [false, true] {
                let what = format!("{groups} modulated groups of {image:?}, silu {silu}");
                compare(&what, &[image, modulation], &[image[1], image[1]], |kernels, images, vectors| {
                    let (input, modulation) = (images[0].clone() + 2.0, images[1].clone());
                    let [scale, shift] = [0, 1].map(|index| vectors[index].clone());
                    let norm = GroupNorm { groups, silu, epsilon: 1e-5 };
                    kernels.group_norm_modulated(input, scale, shift, modulation, norm)
                });
            }
        }
    }

    #[test]
    fn halves_and_doubles_of_random_shapes_agree() {
        for image in [[3, 5, 2, 4], [64, 32, 8, 8], [17, 1, 6, 2], [1, 7, 2, 2], [70, 16, 16, 16]] {
            compare(&format!("half of {image:?}"), &[image], &[], |kernels, images, _| {
                kernels.halve(images[0].clone())
            });
            compare(&format!("double of {image:?}"), &[image], &[], |kernels, images, _| {
                kernels.double(images[0].clone())
            });
        }
    }

    #[test]
    #[should_panic(expected = "planes of 3x4 pixels cannot be halved")]
    fn odd_sides_are_not_halved() {
        Kernels::Fused(Products::F32).halve(Tensor::zeros([3, 4, 2, 16], &Device::flex()));
    }

    #[test]
    fn attention_of_random_shapes_agrees() {
        for (image, heads) in [
            ([3, 12, 2, 3], 1),
            ([64, 96, 4, 4], 1),
            ([17, 24, 3, 3], 4),
            ([5, 9, 1, 1], 3),
            ([2, 48, 5, 8], 2),
            // Queries in several parts, the last of an odd number.
            ([17, 66, 10, 13], 1),
            ([2, 24, 1, 223], 2),
        ] {
            compare(&format!("{heads} heads of {image:?}"), &[image], &[], |kernels, images, _| {
                kernels.attention(images[0].clone(), heads)
            });
        }
    }

    #[test]
    fn silu_concatenation_and_plane_means_agree() {
        compare("silu", &[[5, 3, 4, 6]], &[], |kernels, images, _| kernels.silu(images[0].clone() * 5.0));
        compare("concatenation", &[[5, 3, 4, 6], [5, 7, 4, 6]], &[], |kernels, images, _| {
            kernels.concatenate(images[0].clone(), images[1].clone())
        });
        compare("plane means", &[[5, 3, 4, 6]], &[], |kernels, images, _| {
            kernels.enter_vectors(kernels.plane_means(images[0].clone(), 5))
        });
    }

    #[test]
    #[should_panic(expected = "3 groups do not divide 16 channels")]
    fn groups_that_do_not_divide_the_channels_are_refused() {
        let device = Device::flex();
        let vector = || Tensor::<1>::zeros([16], &device);
        let norm = GroupNorm { groups: 3, silu: true, epsilon: 1e-5 };
        Kernels::Fused(Products::F32).group_norm(Tensor::zeros([2, 2, 16, 16], &device), vector(), vector(), norm);
    }
}
