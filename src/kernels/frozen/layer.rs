use super::plain::OnDevice;
use super::window::{Edges, Window};
use crate::kernels::lanes::Lanes;
use crate::kernels::winograd;

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
    /// `[outputs, window height, window width, inputs]`
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) activation: Activation,
    /// The kernels of Winograd's method, where it is the faster way.
    pub(super) winograd: Option<winograd::Kernels>,
    pub(super) on_device: OnDevice,
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
    /// `weight` is `[outputs, inputs, window height, window width]` and `bias` `[outputs]`.
    ///
    /// # Panics
    /// If there are not as many weights.
    pub fn new(window: Window, inputs: usize, weight: &[f32], bias: Vec<f32>, activation: Activation) -> Self {
        let (outputs, positions) = (bias.len(), window.positions());
        assert_eq!(weight.len(), outputs * inputs * positions, "weights of {inputs} to {outputs} channels, {window:?}");
        let winograd = winograd_padding(window)
            .filter(|_| inputs.min(outputs) >= LEAST_WINOGRAD_CHANNELS)
            .map(|_| winograd::Kernels::frozen(inputs, outputs, weight));
        let turned = |output: usize| {
            let weight = &weight[output * inputs * positions..][..inputs * positions];
            (0..positions).flat_map(move |position| (0..inputs).map(move |input| weight[input * positions + position]))
        };
        let weight = (0..outputs).flat_map(turned).collect();
        Self { window, inputs, outputs, weight, bias, activation, winograd, on_device: OnDevice::new() }
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
