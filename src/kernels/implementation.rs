use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::{Device, Tensor};

use super::attention::Attention;
use super::extension::FusedOperations;
use super::group_norm::GroupNorm;
use super::lanes::LANES;
use super::{Convolution, plain};

/// Which implementation of the operations a network uses. Its tensors between [`Kernels::enter`] and
/// [`Kernels::leave`] are in the layout of the implementation, and only to be given back to it (or to
/// elementwise operations between tensors of equal shape).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// burn's own operations, on any device. Layout `[batch, channels, height, width]`.
    Plain,
    /// Our own operations, on burn's Flex device. Layout `[height, width, channels, batch]`, the batch padded with
    /// zero images to a multiple of 16: sixteen images are computed at once, so that the smallest planes are as fast
    /// as large ones, and nothing is rearranged between operations.
    Fused,
}

impl Kernels {
    /// The best implementation for `device`. This is the one place where a device chooses.
    pub fn for_device(device: &Device) -> Self {
        match device.clone().without_autodiff().as_dispatch() {
            DispatchDevice::Flex(_) => Self::Fused,
            _ => Self::Plain,
        }
    }

    /// Brings images `[batch, channels, height, width]` into the layout.
    pub fn enter(self, images: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain => images,
            Self::Fused => {
                let [batch, channels, height, width] = images.dims();
                let planes = images.permute([2, 3, 1, 0]);
                let missing = batch.next_multiple_of(LANES) - batch;
                if missing == 0 {
                    return planes;
                }
                let padding = Tensor::zeros([height, width, channels, missing], &planes.device().without_autodiff());
                Tensor::cat(vec![planes, padding], 3)
            }
        }
    }

    /// Brings vectors `[batch, channels]` into the layout, as planes of one pixel.
    pub fn enter_vectors(self, vectors: Tensor<2>) -> Tensor<4> {
        let [batch, channels] = vectors.dims();
        self.enter(vectors.reshape([batch, channels, 1, 1]))
    }

    /// Back to `[batch, channels, height, width]`.
    pub fn leave(self, activations: Tensor<4>, batch: usize) -> Tensor<4> {
        match self {
            Self::Plain => activations,
            Self::Fused => activations.narrow(3, 0, batch).permute([3, 2, 0, 1]),
        }
    }

    /// Convolution with bias; weights and bias flat as [`Convolution`] says.
    pub fn convolution(self, shape: Convolution, input: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>) -> Tensor<4> {
        match self {
            Self::Plain => plain::convolution(shape, input, weight, bias),
            Self::Fused => Tensor::from_dispatch(Dispatch::fused_convolution(
                input.into_dispatch(),
                weight.into_dispatch(),
                bias.into_dispatch(),
                shape,
            )),
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
            Self::Plain => plain::convolution(shape, input, weight, bias) + added,
            Self::Fused => Tensor::from_dispatch(Dispatch::fused_convolution_added(
                input.into_dispatch(),
                weight.into_dispatch(),
                bias.into_dispatch(),
                added.into_dispatch(),
                shape,
            )),
        }
    }

    /// GroupNorm with `scale` and `shift` per channel (Wu and He 2018, epsilon 1e-5), then SiLU if `silu`.
    ///
    /// # Panics
    /// If the groups do not divide the channels.
    pub fn group_norm(
        self,
        input: Tensor<4>,
        scale: Tensor<1>,
        shift: Tensor<1>,
        groups: usize,
        silu: bool,
    ) -> Tensor<4> {
        match self {
            Self::Plain => plain::group_norm(input, scale, shift, groups, silu),
            Self::Fused => Tensor::from_dispatch(Dispatch::fused_group_norm(
                input.into_dispatch(),
                scale.into_dispatch(),
                shift.into_dispatch(),
                GroupNorm { groups, silu },
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
        groups: usize,
        silu: bool,
    ) -> Tensor<4> {
        match self {
            Self::Plain => plain::group_norm_modulated(input, scale, shift, modulation, groups, silu),
            Self::Fused => Tensor::from_dispatch(Dispatch::fused_group_norm_modulated(
                input.into_dispatch(),
                scale.into_dispatch(),
                shift.into_dispatch(),
                modulation.into_dispatch(),
                GroupNorm { groups, silu },
            )),
        }
    }

    /// The mean of each square of 2x2 pixels.
    ///
    /// # Panics
    /// If the sides are odd.
    pub fn halve(self, input: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain => plain::halve(input),
            Self::Fused => Tensor::from_dispatch(Dispatch::fused_halve(input.into_dispatch())),
        }
    }

    /// Each pixel as a square of 2x2 pixels.
    pub fn double(self, input: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain => plain::double(input),
            Self::Fused => Tensor::from_dispatch(Dispatch::fused_double(input.into_dispatch())),
        }
    }

    /// x * sigmoid(x).
    pub fn silu(self, input: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain => burn::tensor::activation::silu(input),
            Self::Fused => Tensor::from_dispatch(Dispatch::fused_silu(input.into_dispatch())),
        }
    }

    /// Self-attention between the pixels of each image: softmax(q k^T / sqrt(head channels)) v per head.
    /// `input` holds 3 * channels: queries, keys, values, and within each the heads one after the other.
    ///
    /// # Panics
    /// If the heads do not divide the channels.
    pub fn attention(self, input: Tensor<4>, heads: usize) -> Tensor<4> {
        match self {
            Self::Plain => plain::attention(input, heads),
            Self::Fused => Tensor::from_dispatch(Dispatch::fused_attention(input.into_dispatch(), Attention { heads })),
        }
    }

    /// The channels of `first`, then those of `second`.
    pub fn concatenate(self, first: Tensor<4>, second: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain => Tensor::cat(vec![first, second], 1),
            Self::Fused => {
                Tensor::from_dispatch(Dispatch::fused_concatenate(first.into_dispatch(), second.into_dispatch()))
            }
        }
    }

    /// The mean of each plane, `[batch, channels]`.
    pub fn plane_means(self, input: Tensor<4>, batch: usize) -> Tensor<2> {
        match self {
            Self::Plain => {
                let [_, channels, height, width] = input.dims();
                input.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
            }
            Self::Fused => {
                let [height, width, channels, padded] = input.dims();
                let means = input.reshape([height * width, channels * padded]).mean_dim(0);
                means.reshape([channels, padded]).narrow(1, 0, batch).swap_dims(0, 1)
            }
        }
    }
}

/// The fused operations against their plain twins, on every kind of lanes.
#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::super::lanes::tests::on_all_lanes;
    use super::super::{Gelu, Resample};
    use super::*;
    use crate::random::{Draws, Stream};

    /// Compares outputs and all gradients of `compute`, which is given `images` and `vectors` filled at random.
    fn compare(
        what: &str,
        images: &[[usize; 4]],
        vectors: &[usize],
        compute: impl Fn(Kernels, Vec<Tensor<4>>, Vec<Tensor<1>>) -> Tensor<4>,
    ) {
        let plain = run(Kernels::Plain, images, vectors, &compute);
        on_all_lanes(|kind| {
            let fused = run(Kernels::Fused, images, vectors, &compute);
            for (index, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
                assert_eq!(fused.len(), plain.len(), "{what}, {kind:?}");
                let norm = |values: &[f32]| values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
                let difference: Vec<f32> = fused.iter().zip(plain).map(|(a, b)| a - b).collect();
                let error = norm(&difference) / norm(plain).max(1e-3);
                assert!(error < 1e-5, "{what}, {kind:?}: relative error {error:.1e} of result {index}");
            }
        });
    }

    /// The output, then the gradients of a random weighting of it.
    fn run(
        kernels: Kernels,
        images: &[[usize; 4]],
        vectors: &[usize],
        compute: &impl Fn(Kernels, Vec<Tensor<4>>, Vec<Tensor<1>>) -> Tensor<4>,
    ) -> Vec<Vec<f32>> {
        let device = Device::flex();
        let mut step = 0;
        let mut random = |count: usize| {
            let mut values = vec![0f32; count];
            Draws::new(5, Stream::Noise, step).fill_normal(&mut values);
            step += 1;
            values
        };
        let mut leaf = |shape: &[usize]| {
            let values = TensorData::new(random(shape.iter().product()), shape.to_vec());
            (values, device.clone().autodiff())
        };
        let images: Vec<Tensor<4>> = images
            .iter()
            .map(|shape| {
                let (values, device) = leaf(shape);
                Tensor::from_data(values, &device).require_grad()
            })
            .collect();
        let vectors: Vec<Tensor<1>> = vectors
            .iter()
            .map(|&length| {
                let (values, device) = leaf(&[length]);
                Tensor::from_data(values, &device).require_grad()
            })
            .collect();
        let batch = images[0].dims()[0];
        let entered = images.iter().map(|image| kernels.enter(image.clone())).collect();
        let output = kernels.leave(compute(kernels, entered, vectors.clone()), batch);
        let shape = output.dims();
        let weights = TensorData::new(random(shape.iter().product()), shape);
        let mut gradients = (output.clone() * Tensor::from_data(weights, &device)).sum().backward();
        let mut results = vec![output.inner().try_into_vec_as().unwrap()];
        for image in images {
            results.push(image.grad_remove(&mut gradients).unwrap().try_into_vec_as().unwrap());
        }
        for vector in vectors {
            results.push(vector.grad_remove(&mut gradients).unwrap().try_into_vec_as().unwrap());
        }
        results
    }

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
        let many_channels =
            [(8, 8, 70, 7, 5), (12, 33, 16, 8, 8), (40, 9, 200, 3, 4), (8, 16, 1, 1, 1), (9, 10, 33, 2, 11)];
        let many_channels = many_channels.map(|(inputs, outputs, batch, height, width)| {
            (Convolution::square(inputs, outputs, Resample::Keep), [batch, inputs, height, width])
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
                    kernels.group_norm(input, vectors[0].clone(), vectors[1].clone(), groups, silu)
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
                    kernels.group_norm_modulated(input, scale, shift, modulation, groups, silu)
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
        Kernels::Fused.halve(Tensor::zeros([3, 4, 2, 16], &Device::flex()));
    }

    #[test]
    fn attention_of_random_shapes_agrees() {
        for (image, heads) in
            [([3, 12, 2, 3], 1), ([64, 96, 4, 4], 1), ([17, 24, 3, 3], 4), ([5, 9, 1, 1], 3), ([2, 48, 5, 8], 2)]
        {
            compare(&format!("{heads} heads of {image:?}"), &[image], &[], |kernels, images, _| {
                kernels.attention(images[0].clone(), heads)
            });
        }
    }

    #[test]
    fn layer_norms_of_random_shapes_agree() {
        for image in [[3, 8, 5, 7], [64, 48, 4, 4], [1, 5, 1, 3], [17, 12, 1, 1], [70, 33, 9, 3], [64, 64, 8, 8]] {
            let [batch, channels, ..] = image;
            compare(
                &format!("layer norm of {image:?}"),
                &[image],
                &[channels, channels],
                |kernels, images, vectors| {
                    // Away from mean 0, as a network's activations are.
                    kernels.layer_norm(images[0].clone() + 2.0, vectors[0].clone(), vectors[1].clone(), 1e-5)
                },
            );
            let pixel = [batch, channels, 1, 1];
            compare(&format!("modulated norm of {image:?}"), &[image, pixel, pixel], &[], |kernels, images, _| {
                kernels.modulated_norm(images[0].clone() + 2.0, images[1].clone(), images[2].clone(), 1e-6)
            });
        }
    }

    #[test]
    fn gated_sums_and_sums_with_an_image_of_random_shapes_agree() {
        for image in [[3, 8, 5, 7], [64, 48, 8, 8], [1, 5, 1, 3], [17, 12, 1, 1], [70, 33, 9, 3]] {
            let [batch, channels, height, width] = image;
            let what = format!("gated sum of {image:?}");
            compare(&what, &[image, [batch, channels, 1, 1], image], &[], |kernels, images, _| {
                kernels.gated_sum(images[0].clone(), images[1].clone(), images[2].clone())
            });
            let numbers = channels * height * width;
            compare(&format!("image sum of {image:?}"), &[image], &[numbers], |kernels, images, vectors| {
                kernels.add_image(images[0].clone(), vectors[0].clone())
            });
        }
    }

    #[test]
    fn gelus_agree() {
        for gelu in [Gelu::Exact, Gelu::Tanh] {
            for image in [[5, 3, 4, 6], [64, 40, 8, 8]] {
                compare(&format!("{gelu:?} of {image:?}"), &[image], &[], |kernels, images, _| {
                    kernels.gelu(images[0].clone() * 2.0, gelu)
                });
            }
        }
    }

    #[test]
    fn rows_of_pixels_agree() {
        compare("rows", &[[5, 3, 4, 6], [5, 3, 1, 2]], &[], |kernels, images, _| {
            let row = kernels.join_rows(vec![images[1].clone(), kernels.as_row(images[0].clone())]);
            kernels.end_of_row(row.clone() * row, 5, 5)
        });
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
        Kernels::Fused.group_norm(Tensor::zeros([2, 2, 16, 16], &device), vector(), vector(), 3, true);
    }

    #[test]
    #[should_panic(expected = "a batch of 5 was not entered into the fused layout")]
    fn a_tensor_that_was_not_entered_is_refused() {
        Kernels::Fused.silu(Tensor::zeros([2, 2, 16, 5], &Device::flex()));
    }
}
