//! A mask of dropout in one launch: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") as
//! [`crate::random`] has it.

use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::mask::{DrawnMask, MaskKernels};
use super::{UNITS, rows, small, unwritten, workgroups};
use crate::random::{PHILOX_KEY_STEPS, PHILOX_MULTIPLIERS, Stream};

/// A thread for each block of four words.
#[cube(launch)]
fn draw(
    step: &[f32],
    mask: &mut [f32],
    count: u32,
    key_low: u32,
    key_high: u32,
    stream: u32,
    layer: u32,
    threshold: u32,
    kept: f32,
    #[comptime] multipliers: [u32; 2],
    #[comptime] key_steps: [u32; 2],
) {
    let block = ABSOLUTE_POS;
    let count = count as usize;
    if block * 4 >= count {
        terminate!();
    }
    let mut zeroth = block as u32;
    let mut first = stream;
    let mut second = (u32::cast_from(step[0]) << 16u32) + layer;
    let mut third = u32::cast_from(step[1]);
    let mut low = key_low;
    let mut high = key_high;
    for round in 0..10u32 {
        if round > 0u32 {
            low += comptime!(key_steps[0]);
            high += comptime!(key_steps[1]);
        }
        let zeroth_high = u32::mul_hi(zeroth, comptime!(multipliers[0]));
        let zeroth_low = zeroth * comptime!(multipliers[0]);
        let second_high = u32::mul_hi(second, comptime!(multipliers[1]));
        let second_low = second * comptime!(multipliers[1]);
        zeroth = (second_high ^ first) ^ low;
        first = second_low;
        second = (zeroth_high ^ third) ^ high;
        third = zeroth_low;
    }
    keep(mask, block * 4, count, zeroth, threshold, kept);
    keep(mask, block * 4 + 1, count, first, threshold, kept);
    keep(mask, block * 4 + 2, count, second, threshold, kept);
    keep(mask, block * 4 + 3, count, third, threshold, kept);
}

#[cube]
fn keep(mask: &mut [f32], index: usize, count: usize, word: u32, threshold: u32, kept: f32) {
    if index < count {
        let mut value = kept;
        if word < threshold {
            value = 0.0f32;
        }
        mask[index] = value;
    }
}

impl MaskKernels for CubeBackend {
    fn device_dropout_mask(step: CubeTensor, mask: DrawnMask) -> CubeTensor {
        let DrawnMask { seed, layer, threshold, kept, shape } = mask;
        let step = rows(step);
        let output = unwritten(&step, shape);
        let count: usize = shape.iter().product();
        draw::launch(
            &step.client.clone(),
            workgroups(count.div_ceil(4 * UNITS as usize)),
            CubeDim::new_1d(UNITS),
            step.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            small(count),
            seed as u32,
            (seed >> 32) as u32,
            Stream::Dropout as u32,
            u32::from(layer),
            threshold,
            kept,
            PHILOX_MULTIPLIERS,
            PHILOX_KEY_STEPS,
        );
        output
    }
}
