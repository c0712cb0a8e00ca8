use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::layer_norm::LayerNorm;
use super::planes::Storage;
use super::token_choice_extension::TokenChoiceOperations;
use super::token_extension::TokenOperations;
use super::{Gelu, Kernels, TokenChoice, gpu, plain};

/// The operations of transformers, whose tokens are the pixels of a plane.
impl Kernels {
    /// LayerNorm over the channels of each pixel (Ba et al. 2016), with `scale` and `shift` per channel. With products of bf16 the output
    /// may be rounded to bf16, as that of [`Kernels::branch_map`]: see [`Kernels::whole`].
    pub fn layer_norm(self, input: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>, epsilon: f32) -> Tensor<4> {
        match self {
            Self::Plain(_) => plain::layer_norm(input, scale, shift, epsilon),
            Self::Gpu(products) => gpu::layer_norm(products, input, scale, shift, epsilon),
            Self::Fused(products) => {
                let norm = LayerNorm { epsilon, storage: Storage::of_factors(products, input.dims()[2]) };
                let (scale, shift) = (scale.into_dispatch(), shift.into_dispatch());
                Tensor::from_dispatch(Dispatch::fused_layer_norm(input.into_dispatch(), scale, shift, norm))
            }
        }
    }

    /// LayerNorm over the channels of each pixel, times 1 + `scale`, plus `shift`: both planes of one pixel, so that
    /// each image has its own. Rounded as [`Kernels::layer_norm`].
    pub fn modulated_norm(self, input: Tensor<4>, scale: Tensor<4>, shift: Tensor<4>, epsilon: f32) -> Tensor<4> {
        match self {
            Self::Plain(_) => plain::modulated_norm(input, scale, shift, epsilon),
            Self::Gpu(products) => gpu::modulated_norm(products, input, scale, shift, epsilon),
            Self::Fused(products) => {
                let norm = LayerNorm { epsilon, storage: Storage::of_factors(products, input.dims()[2]) };
                let (scale, shift) = (scale.into_dispatch(), shift.into_dispatch());
                Tensor::from_dispatch(Dispatch::fused_modulated_norm(input.into_dispatch(), scale, shift, norm))
            }
        }
    }

    /// `kept + gate * branch`; `gate` is planes of one pixel.
    pub fn gated_sum(self, kept: Tensor<4>, gate: Tensor<4>, branch: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain(_) => kept + gate * branch,
            Self::Gpu(_) => gpu::gated_sum(kept, gate, branch),
            Self::Fused(_) => Tensor::from_dispatch(Dispatch::fused_gated_sum(
                kept.into_dispatch(),
                gate.into_dispatch(),
                branch.into_dispatch(),
            )),
        }
    }

    /// x times the share of a standard normal below x, or an approximation of it.
    pub fn gelu(self, input: Tensor<4>, gelu: Gelu) -> Tensor<4> {
        match self {
            Self::Gpu(products) if gelu == Gelu::Tanh => gpu::activate(products, input, gpu::Curve::GeluTanh),
            Self::Plain(_) | Self::Gpu(_) => plain::gelu(input, gelu),
            Self::Fused(_) => Tensor::from_dispatch(Dispatch::fused_gelu(input.into_dispatch(), gelu)),
        }
    }

    /// `image`, flat `[height, width, channels]`, added to each image.
    pub fn add_image(self, input: Tensor<4>, image: Tensor<1>) -> Tensor<4> {
        match self {
            Self::Plain(_) | Self::Gpu(_) => plain::add_image(input, image),
            Self::Fused(_) => {
                Tensor::from_dispatch(Dispatch::fused_add_image(input.into_dispatch(), image.into_dispatch()))
            }
        }
    }

    /// The pixels of each plane, row by row, as one row: `height` 1.
    pub fn as_row(self, input: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain(_) => {
                let [batch, channels, height, width] = input.dims();
                input.reshape([batch, channels, 1, height * width])
            }
            Self::Gpu(_) => gpu::as_planes(input.clone(), 1, input.dims()[2] * input.dims()[3]),
            Self::Fused(_) => {
                let [height, width, channels, batch] = input.dims();
                input.reshape([1, height * width, channels, batch])
            }
        }
    }

    /// The pixels of a row.
    pub fn row_length(self, row: &Tensor<4>) -> usize {
        match self {
            Self::Plain(_) | Self::Gpu(_) => row.dims()[3],
            Self::Fused(_) => row.dims()[1],
        }
    }

    /// Rows of pixels, one after the other.
    pub fn join_rows(self, rows: Vec<Tensor<4>>) -> Tensor<4> {
        match self {
            Self::Plain(_) => Tensor::cat(rows, 3),
            Self::Gpu(_) => gpu::join_rows(rows),
            Self::Fused(_) => Tensor::cat(rows, 1),
        }
    }

    /// The last `height` times `width` pixels of a row, as planes of that size.
    pub fn end_of_row(self, row: Tensor<4>, height: usize, width: usize) -> Tensor<4> {
        let count = height * width;
        match self {
            Self::Gpu(_) => gpu::as_planes(gpu::end_of_row(row, count), height, width),
            Self::Plain(_) => {
                let [batch, channels, _, pixels] = row.dims();
                row.narrow(3, pixels - count, count).reshape([batch, channels, height, width])
            }
            Self::Fused(_) => {
                let [_, pixels, channels, batch] = row.dims();
                row.narrow(1, pixels - count, count).reshape([height, width, channels, batch])
            }
        }
    }

    /// The chosen tokens of each image of a row, as a row.
    ///
    /// # Panics
    /// If the choice is not of these tokens or not of these images.
    pub fn take_tokens(self, row: Tensor<4>, choice: &TokenChoice) -> Tensor<4> {
        match self {
            Self::Plain(_) | Self::Gpu(_) => plain::take_tokens(row, choice),
            Self::Fused(_) => Tensor::from_dispatch(Dispatch::fused_take_tokens(row.into_dispatch(), choice.clone())),
        }
    }

    /// A row with the tokens `taken`, which are a row too, in the chosen places.
    ///
    /// # Panics
    /// As [`Self::take_tokens`].
    pub fn put_tokens(self, row: Tensor<4>, taken: Tensor<4>, choice: &TokenChoice) -> Tensor<4> {
        match self {
            Self::Plain(_) | Self::Gpu(_) => plain::put_tokens(row, taken, choice),
            Self::Fused(_) => Tensor::from_dispatch(Dispatch::fused_put_tokens(
                row.into_dispatch(),
                taken.into_dispatch(),
                choice.clone(),
            )),
        }
    }
}

/// The fused operations against their plain twins, on every kind of lanes.
#[cfg(test)]
mod tests {
    use super::super::implementation::tests::compare;
    use super::*;

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
        for gelu in [Gelu::Exact, Gelu::Tanh, Gelu::Quick] {
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

    /// Every third token and one more, beginning at another place in each image; batches that fill no vector and one that fills several.
    #[test]
    fn tokens_taken_and_put_back_agree() {
        for [batch, channels, tokens] in [[3, 8, 5], [64, 48, 64], [1, 5, 3], [17, 12, 16], [70, 33, 27]] {
            let count = tokens / 3 + 1;
            let of_image = |image: usize| {
                let mut places: Vec<u32> = (0..count).map(|slot| ((image + 3 * slot) % tokens) as u32).collect();
                places.sort_unstable();
                places.dedup();
                places.extend(
                    (0..tokens as u32)
                        .filter(|place| !places.contains(place))
                        .take(count - places.len())
                        .collect::<Vec<_>>(),
                );
                places.sort_unstable();
                places
            };
            let places: Vec<u32> = (0..batch).flat_map(of_image).collect();
            let choice = TokenChoice::new(tokens, count, &places);
            let row = [batch, channels, 1, tokens];
            let what = format!("{count} tokens of {row:?}");
            compare(&what, &[row], &[], |kernels, images, _| kernels.take_tokens(images[0].clone(), &choice));
            compare(&what, &[row, [batch, channels, 1, count]], &[], |kernels, images, _| {
                // What is put changes with the row too.
                let taken = kernels.take_tokens(images[0].clone(), &choice) * images[1].clone();
                kernels.put_tokens(images[0].clone(), taken, &choice)
            });
        }
    }
}
