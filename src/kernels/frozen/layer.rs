use std::borrow::Cow;

use super::plain::OnDevice;
use super::window::{Edges, Window};
use crate::kernels::lanes::Lanes;
use crate::kernels::panel::{Pair, Single, Word};
use crate::kernels::{Products, winograd};

/// The activation of a layer's sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The sums themselves.
    None,
    /// max(0, x).
    Relu,
    /// min(6, max(0, x)).
    Relu6,
}

impl Activation {
    #[inline(always)]
    pub(in crate::kernels) fn of<L: Lanes>(self, value: L) -> L {
        match self {
            Self::None => value,
            Self::Relu => L::splat(0.0).max(value),
            Self::Relu6 => L::splat(6.0).min(L::splat(0.0).max(value)),
        }
    }
}

/// A convolution with bias and activation. A batch norm before the activation is part of its weights and bias.
pub struct FrozenConvolution {
    pub(super) window: Window,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) weights: Weights,
    pub(super) bias: Vec<f32>,
    pub(super) activation: Activation,
    pub(super) on_device: OnDevice,
}

/// The weights of a convolution, in words of what is multiplied.
pub(super) enum Weights {
    F32(Words<Single>),
    Bf16(Words<Pair>),
}

/// The weights of a convolution in words of inputs.
pub(super) struct Words<W> {
    /// `[outputs, window height, window width, words of the inputs]`
    pub(super) taps: Vec<f32>,
    /// The kernels of Winograd's method, where it is the faster way.
    pub(super) winograd: Option<winograd::Kernels<W>>,
}

impl<W: Word> Words<W> {
    /// Of weights `[outputs, inputs, window height, window width]`.
    fn new(window: Window, inputs: usize, outputs: usize, weight: &[f32]) -> Self {
        let positions = window.positions();
        let winograd = winograd_padding(window)
            .filter(|_| inputs.min(outputs) >= LEAST_WINOGRAD_CHANNELS)
            .map(|_| winograd::Kernels::frozen(inputs, outputs, weight));
        let turned = |output: usize| {
            let weight = &weight[output * inputs * positions..][..inputs * positions];
            (0..positions).flat_map(move |position| (0..inputs).map(move |input| weight[input * positions + position]))
        };
        let numbers: Vec<f32> = (0..outputs).flat_map(turned).collect();
        // A word is of one position, so that what it is multiplied with is of one pixel.
        Self { taps: W::of_rows(Cow::Owned(numbers), inputs).into_owned(), winograd }
    }
}

/// A convolution of each plane on its own, with bias and activation.
pub struct FrozenDepthwise {
    pub(super) window: Window,
    pub(super) channels: usize,
    /// `[window height, window width, channels]`
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) activation: Activation,
    pub(super) on_device: OnDevice,
}

impl FrozenConvolution {
    /// `weight` is `[outputs, inputs, window height, window width]` and `bias` `[outputs]`. Layers with products of bf16 are for
    /// [`FusedFrozen`](super::FusedFrozen) alone.
    ///
    /// # Panics
    /// If there are not as many weights.
    pub fn new(
        window: Window,
        inputs: usize,
        products: Products,
        weight: &[f32],
        bias: Vec<f32>,
        activation: Activation,
    ) -> Self {
        let (outputs, positions) = (bias.len(), window.positions());
        assert_eq!(weight.len(), outputs * inputs * positions, "weights of {inputs} to {outputs} channels, {window:?}");
        let weights = match products {
            Products::F32 => Weights::F32(Words::new(window, inputs, outputs, weight)),
            Products::Bf16 => Weights::Bf16(Words::new(window, inputs, outputs, weight)),
        };
        Self { window, inputs, outputs, weights, bias, activation, on_device: OnDevice::new() }
    }

    /// The number of its weights.
    pub(super) fn weight_count(&self) -> usize {
        self.outputs * self.inputs * self.window.positions()
    }

    /// Whether it has kernels of Winograd's method.
    #[cfg(test)]
    pub(super) fn has_winograd(&self) -> bool {
        match &self.weights {
            Weights::F32(words) => words.winograd.is_some(),
            Weights::Bf16(words) => words.winograd.is_some(),
        }
    }
}

/// The least channels for Winograd's method: with fewer, the transforms cost more than the products that they save.
const LEAST_WINOGRAD_CHANNELS: usize = 32;

/// The padding of a 3x3 window of stride 1, if it is one that Winograd's tiles know.
pub(super) fn winograd_padding(window: Window) -> Option<usize> {
    match window {
        Window { height: 3, width: 3, stride: 1, edges: Edges::Padding(0, 0) } => Some(0),
        Window { height: 3, width: 3, stride: 1, edges: Edges::Padding(1, 1) | Edges::Same } => Some(1),
        _ => None,
    }
}

impl FrozenDepthwise {
    /// `weight` is `[channels, window height, window width]` and `bias` `[channels]`.
    ///
    /// # Panics
    /// If there are not as many weights.
    pub fn new(window: Window, weight: &[f32], bias: Vec<f32>, activation: Activation) -> Self {
        let (channels, positions) = (bias.len(), window.positions());
        assert_eq!(weight.len(), channels * positions, "weights of {channels} channels, {window:?}");
        let turned = (0..positions)
            .flat_map(|position| (0..channels).map(move |channel| weight[channel * positions + position]))
            .collect();
        Self { window, channels, weight: turned, bias, activation, on_device: OnDevice::new() }
    }
}
