//! Convolutional networks with frozen weights, which give the features of images.
//!
//! Sixteen images pass through a network at a time, one in each lane. The operations after a convolution (bias, residual,
//! activation) are done while its sums are in registers, and the parts of a concatenation are written to their place.
//! [`FusedFrozen`] is for the CPU; [`PlainFrozen`] computes the same with burn's own operations, on any device. Convolutions whose products
//! are of bf16 are the CPU's alone: their weights are turned into pairs once, and what they are multiplied with is as it is copied.

mod convolution;
#[cfg(test)]
pub mod counted;
mod depthwise;
mod layer;
mod plain;
mod planes;
mod pool;
mod window;

pub use layer::{Activation, FrozenConvolution, FrozenDepthwise};
pub use plain::PlainFrozen;
pub use planes::{FusedFrozen, IMAGES_AT_ONCE};
pub use window::{Edges, Window};

/// The operations of a frozen network, on some device.
pub trait FrozenKernels {
    /// Images in the middle of a network; those of [`FusedFrozen`] are up to [`IMAGES_AT_ONCE`].
    type Planes;

    /// Images of `[height, width, channels]` each.
    fn enter(&self, images: &[Vec<f32>], shape: [usize; 3]) -> Self::Planes;

    /// The results of all parts, one after the other as channels. Their planes have one size.
    fn join(&self, parts: &[Part<'_, Self::Planes>]) -> Self::Planes;

    /// The mean of each plane of the first `count` images: `[count, channels]`.
    fn means(&self, planes: &Self::Planes, count: usize) -> Vec<f32>;

    /// The first `channels` values of each pixel of the first `count` images: `[count, height, width, channels]`.
    fn values(&self, planes: &Self::Planes, count: usize, channels: usize) -> Vec<f32>;

    fn apply(&self, operation: Operation<'_>, input: &Self::Planes) -> Self::Planes {
        self.join(&[Part { operation, input, added: None }])
    }
}

/// An operation and what it is applied to.
pub struct Part<'a, P> {
    pub operation: Operation<'a>,
    pub input: &'a P,
    /// Added to the result of a convolution before its activation.
    pub added: Option<&'a P>,
}

#[derive(Clone, Copy)]
pub enum Operation<'a> {
    Convolution(&'a FrozenConvolution),
    Depthwise(&'a FrozenDepthwise),
    MaxPool(Window),
    /// The mean of the pixels inside the planes: what lies outside does not count.
    AveragePool(Window),
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::kernels::Products;
    use crate::kernels::lanes::tests::on_all_lanes;
    use crate::random::{Draws, Stream};

    fn numbers(seed: u64, count: usize) -> Vec<f32> {
        let mut numbers = vec![0.0; count];
        Draws::new(seed, Stream::Noise, 0).fill_normal(&mut numbers);
        numbers
    }

    const COUNT: usize = 3;
    const SHAPE: [usize; 3] = [19, 17, 5];

    fn images() -> Vec<Vec<f32>> {
        (0..COUNT as u64).map(|seed| numbers(seed, SHAPE.iter().product())).collect()
    }

    fn plain(splits: bool) -> PlainFrozen {
        if splits { PlainFrozen::that_splits(&Device::flex()) } else { PlainFrozen::new(&Device::flex()) }
    }

    fn assert_alike(operation: Operation<'_>, added: bool, splits: bool) {
        let (fused, plain) = (FusedFrozen, plain(splits));
        fn run<K: FrozenKernels>(kernels: &K, operation: Operation<'_>, added: bool) -> Vec<f32> {
            let input = kernels.enter(&images(), SHAPE);
            let same = FrozenConvolution::new(
                Window::square(1, 1),
                SHAPE[2],
                Products::F32,
                &numbers(70, SHAPE[2] * SHAPE[2]),
                vec![0.1; SHAPE[2]],
                Activation::None,
            );
            let residual = kernels.apply(Operation::Convolution(&same), &input);
            let added = added.then_some(&residual);
            let result = kernels
                .join(&[Part { operation, input: &input, added }, Part { operation, input: &input, added: None }]);
            // Means say nothing of where things are; the means of maxima do.
            let looked = kernels
                .apply(Operation::MaxPool(Window { edges: Edges::Padding(1, 1), ..Window::square(3, 2) }), &result);
            let looked = kernels
                .apply(Operation::AveragePool(Window { edges: Edges::Padding(1, 0), ..Window::square(3, 2) }), &looked);
            let first = kernels.values(&result, COUNT, 2);
            [kernels.means(&result, COUNT), kernels.means(&looked, COUNT), first].concat()
        }
        let (found, expected) = (run(&fused, operation, added), run(&plain, operation, added));
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 2e-4 * expected.abs().max(1.0), "{found} for {expected}");
        }
    }

    #[test]
    fn the_fused_operations_do_what_burns_own_do() {
        the_same(false);
    }

    #[test]
    fn convolutions_in_split_factors_are_the_same() {
        the_same(true);
    }

    fn the_same(splits: bool) {
        let windows = [
            Window::square(1, 1),
            Window::square(3, 1),
            Window::square(3, 2),
            Window::keeping(3, 3),
            Window::keeping(5, 5),
            Window::keeping(1, 7),
            Window::keeping(7, 1),
            Window { edges: Edges::Same, ..Window::square(3, 2) },
            Window { edges: Edges::Same, ..Window::square(5, 2) },
        ];
        on_all_lanes(|_| {
            for window in windows {
                for (outputs, activation) in [(5, Activation::None), (7, Activation::Relu), (1, Activation::Relu6)] {
                    let weight = numbers(9, outputs * SHAPE[2] * window.positions());
                    let layer = FrozenConvolution::new(
                        window,
                        SHAPE[2],
                        Products::F32,
                        &weight,
                        numbers(8, outputs),
                        activation,
                    );
                    let keeps =
                        outputs == 5 && (window.rows(SHAPE[0]).1, window.columns(SHAPE[1]).1) == (SHAPE[0], SHAPE[1]);
                    assert_alike(Operation::Convolution(&layer), keeps, splits);
                }
                let weight = numbers(7, SHAPE[2] * window.positions());
                let layer = FrozenDepthwise::new(window, &weight, numbers(6, SHAPE[2]), Activation::Relu6);
                assert_alike(Operation::Depthwise(&layer), false, splits);
            }
            assert_alike(Operation::MaxPool(Window::square(3, 2)), false, splits);
            assert_alike(Operation::AveragePool(Window::keeping(3, 3)), false, splits);
        });
    }

    /// Enough channels for Winograd's tiles, with and without padding, of odd sides.
    #[test]
    fn squares_of_many_channels_are_what_they_are_by_taps() {
        let (inputs, outputs) = (33, 34);
        let shape = [7, 9, inputs];
        let images: Vec<Vec<f32>> = (0..COUNT as u64).map(|seed| numbers(seed, shape.iter().product())).collect();
        let weight: Vec<f32> = numbers(5, outputs * inputs * 9).iter().map(|value| 0.05 * value).collect();
        for window in [Window::keeping(3, 3), Window::square(3, 1)] {
            let layer =
                FrozenConvolution::new(window, inputs, Products::F32, &weight, numbers(4, outputs), Activation::Relu);
            assert!(layer.has_winograd());
            let (fused, plain) = (FusedFrozen, plain(false));
            let found = {
                let planes = fused.apply(Operation::Convolution(&layer), &fused.enter(&images, shape));
                fused.means(&fused.apply(Operation::MaxPool(Window::square(3, 2)), &planes), COUNT)
            };
            let expected = {
                let planes = plain.apply(Operation::Convolution(&layer), &plain.enter(&images, shape));
                plain.means(&plain.apply(Operation::MaxPool(Window::square(3, 2)), &planes), COUNT)
            };
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{found} for {expected}");
            }
        }
    }

    /// The norm of the difference of two, over that of the second.
    fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
        assert_eq!(found.len(), expected.len());
        let norm = |values: &mut dyn Iterator<Item = f32>| -> f64 {
            values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
        };
        norm(&mut found.iter().zip(expected).map(|(a, b)| a - b)) / norm(&mut expected.iter().copied())
    }

    /// Odd and even numbers of channels, more words than a panel is deep, by taps and by Winograd's method, with and without something added.
    #[test]
    fn convolutions_of_bf16_are_near_those_of_f32_and_the_same_on_all_lanes() {
        let (odd, deep) = ([7, 9, 3], [5, 4, 150]);
        for (window, shape, outputs, by_winograd) in [
            (Window::square(3, 2), odd, 13, false),
            (Window::keeping(7, 1), [7, 9, 48], 20, false),
            (Window::square(1, 1), deep, 9, false),
            (Window::keeping(3, 3), [5, 4, 31], 40, false),
            (Window::keeping(3, 3), [7, 9, 33], 34, true),
            (Window::square(3, 1), [6, 5, 64], 32, true),
        ] {
            let images: Vec<Vec<f32>> = (0..COUNT as u64).map(|seed| numbers(seed, shape.iter().product())).collect();
            let weight = numbers(5, outputs * shape[2] * window.positions());
            let layer = |products| {
                FrozenConvolution::new(window, shape[2], products, &weight, numbers(4, outputs), Activation::None)
            };
            let run = |layer: &FrozenConvolution, added: bool| {
                assert_eq!(layer.has_winograd(), by_winograd);
                let input = FusedFrozen.enter(&images, shape);
                let once = FusedFrozen.apply(Operation::Convolution(layer), &input);
                let operation = Operation::Convolution(layer);
                let planes = match added {
                    true => FusedFrozen.join(&[Part { operation, input: &input, added: Some(&once) }]),
                    false => once,
                };
                FusedFrozen.values(&planes, COUNT, outputs)
            };
            let (exact, rounded) = (layer(Products::F32), layer(Products::Bf16));
            for added in [false, true] {
                let (exact, native) = (run(&exact, added), run(&rounded, added));
                let error = relative_error(&native, &exact);
                assert!(error > 1e-5 && error < 0.02, "{window:?} of {shape:?}: relative error {error:.1e}");
                on_all_lanes(|kind| {
                    let emulated = run(&layer(Products::Bf16), added);
                    let error = relative_error(&emulated, &native);
                    assert!(error < 1e-4, "{window:?} of {shape:?}, {kind:?}: relative error {error:.1e}");
                });
            }
        }
    }
}
