//! Adam, the average of the weights and the scale of the gradient: one launch that reads five rows of numbers and writes four.

use burn::backend::TensorMetadata;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::update::UpdateKernels;
use super::{UNITS, rows, small, workgroups};

/// A thread for each parameter.
#[cube(launch)]
pub fn update(
    weights: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    average: &mut [f32],
    gradient: &[f32],
    factors: &[f32],
    clipped: &[f32],
    rates: &[f32],
    count: u32,
    #[comptime] is_clipped: bool,
    #[comptime] has_rates: bool,
) {
    let index = ABSOLUTE_POS;
    if index >= count as usize {
        terminate!();
    }
    let mut value = gradient[index];
    if comptime!(is_clipped) {
        value *= clipped[0];
    }
    let mut step_size = factors[4];
    if comptime!(has_rates) {
        step_size *= rates[index];
    }
    let moment = first[index] * factors[0] + value * factors[1];
    let square = second[index] * factors[2] + value * factors[3] * value;
    let weight = weights[index] * factors[7] - moment * step_size / (square.sqrt() * factors[5] + factors[6]);
    first[index] = moment;
    second[index] = square;
    weights[index] = weight;
    let before = average[index];
    average[index] = before + (weight - before) * factors[8];
}

/// The tensor itself where nobody else holds it, else a copy.
fn ours(tensor: CubeTensor) -> CubeTensor {
    let tensor = rows(tensor);
    if tensor.can_mut() { tensor } else { tensor.copy() }
}

impl UpdateKernels for CubeBackend {
    fn device_update(
        weights: CubeTensor,
        first: CubeTensor,
        second: CubeTensor,
        average: CubeTensor,
        gradient: CubeTensor,
        factors: CubeTensor,
        clipped: CubeTensor,
        rates: CubeTensor,
        scaled: [bool; 2],
    ) -> (CubeTensor, CubeTensor, CubeTensor, CubeTensor) {
        let [weights, first, second, average] = [weights, first, second, average].map(ours);
        let count = weights.shape().num_elements();
        let [gradient, factors, clipped, rates] =
            [gradient, factors, clipped, rates].map(|tensor| rows(tensor).into_buffer_arg());
        let written = |tensor: &CubeTensor| tensor.clone().into_buffer_arg();
        update::launch(
            &weights.client,
            workgroups(count.div_ceil(UNITS as usize)),
            CubeDim::new_1d(UNITS),
            written(&weights),
            written(&first),
            written(&second),
            written(&average),
            gradient,
            factors,
            clipped,
            rates,
            small(count),
            scaled[0],
            scaled[1],
        );
        (weights, first, second, average)
    }
}
