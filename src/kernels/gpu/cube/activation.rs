//! Functions of each number by itself, wherever it lies: a thread for each.

use burn::backend::TensorMetadata;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::super::super::Products;
use super::super::activation::{ActivationKernels, Curve, DeviceActivation};
use super::{Images, UNITS, silu, silu_slope, workgroups};

/// The root of 2 / pi, and the factor of the cube (Hendrycks and Gimpel 2016, section 2).
const ROOT: f32 = 0.797_884_6;
const CUBE: f32 = 0.044_715;

#[cube(launch)]
pub fn activate<O: Numeric>(
    input: &[f32],
    output: &mut [O],
    #[comptime] curve: Curve,
    #[define(O)] _element: ElemType,
) {
    let index = ABSOLUTE_POS;
    if index >= output.len() {
        terminate!();
    }
    let value = input[index];
    if comptime!(curve == Curve::Silu) {
        output[index] = O::cast_from(silu(value));
    } else {
        let inner = (value + value * value * value * CUBE) * ROOT;
        output[index] = O::cast_from(value * 0.5f32 * (1.0f32 + inner.tanh()));
    }
}

#[cube(launch)]
pub fn slope<G: Numeric>(
    gradient: &[G],
    input: &[f32],
    output: &mut [f32],
    #[comptime] curve: Curve,
    #[define(G)] _element: ElemType,
) {
    let index = ABSOLUTE_POS;
    if index >= output.len() {
        terminate!();
    }
    let value = input[index];
    let gradient = f32::cast_from(gradient[index]);
    if comptime!(curve == Curve::Silu) {
        output[index] = gradient * silu_slope(value);
    } else {
        let square = value * value;
        let inner = ((value + square * value * CUBE) * ROOT).tanh();
        let along = value * 0.5f32 * (1.0f32 - inner * inner) * ROOT * (1.0f32 + square * 3.0f32 * CUBE);
        output[index] = gradient * (0.5f32 * (1.0f32 + inner) + along);
    }
}

impl DeviceActivation for CubeBackend {
    fn device_activate(input: CubeTensor, curve: Curve, factor_of: Products) -> CubeTensor {
        let shape: [usize; 4] = input.shape().dims();
        let (input, images) = Images::of(input);
        let (output, element) = images.unwritten_factor(&input, shape, factor_of);
        activate::launch(
            &output.client,
            workgroups(shape.iter().product::<usize>().div_ceil(UNITS as usize)),
            CubeDim::new_1d(UNITS),
            input.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            curve,
            element,
        );
        images.seen(output)
    }
}

impl ActivationKernels for CubeBackend {
    fn activate_backward(gradient: CubeTensor, input: CubeTensor, curve: Curve) -> CubeTensor {
        let shape: [usize; 4] = input.shape().dims();
        let (input, images) = Images::of(input);
        let output = images.unwritten(&input, shape);
        let (gradient, element) = images.like_of_type(gradient);
        slope::launch(
            &output.client,
            workgroups(shape.iter().product::<usize>().div_ceil(UNITS as usize)),
            CubeDim::new_1d(UNITS),
            gradient.into_buffer_arg(),
            input.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            curve,
            element,
        );
        images.seen(output)
    }
}
