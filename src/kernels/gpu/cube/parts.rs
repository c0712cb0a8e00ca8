//! A row of numbers to many tensors, and back: a launch for as many tensors as the device lets a kernel have.

use burn::backend::TensorMetadata;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::parts::PartKernels;
use super::super::tensors::Tensors;
use super::{UNITS, rows, small, unwritten, workgroups};

/// Values of a workgroup, which lie beside each other.
const BLOCK: u32 = 4 * UNITS;
/// Tensors of a launch: a kernel has a line for each.
const MOST_PARTS: usize = 128;

/// Part `p` is `row[starts[p]..starts[p + 1]]`.
#[cube(launch)]
pub fn apart(row: &[f32], parts: &mut Sequence<Box<[f32]>>, starts: &Sequence<u32>) {
    let block = starts[0] as usize + CUBE_POS * BLOCK as usize;
    #[unroll]
    for part in 0..parts.len() {
        let (start, end) = (starts[part] as usize, starts[part + 1] as usize);
        if block < end && block + BLOCK as usize > start {
            let mut index = block + UNIT_POS as usize;
            while index < block + BLOCK as usize && index < end {
                if index >= start {
                    let values = parts.index_mut(part);
                    values[index - start] = row[index];
                }
                index += UNITS as usize;
            }
        }
    }
}

/// The inverse of [`apart`].
#[cube(launch)]
pub fn joined(row: &mut [f32], parts: &Sequence<Box<[f32]>>, starts: &Sequence<u32>) {
    let block = starts[0] as usize + CUBE_POS * BLOCK as usize;
    #[unroll]
    for part in 0..parts.len() {
        let (start, end) = (starts[part] as usize, starts[part + 1] as usize);
        if block < end && block + BLOCK as usize > start {
            let mut index = block + UNIT_POS as usize;
            while index < block + BLOCK as usize && index < end {
                if index >= start {
                    let values = parts.index(part);
                    row[index] = values[index - start];
                }
                index += UNITS as usize;
            }
        }
    }
}

/// Calls `launch` with some parts and where each of them begins in the row, and the last one ends, until all parts had their turn.
fn in_launches(
    row: &CubeTensor,
    parts: &[CubeTensor],
    launch: impl Fn(CubeCount, SequenceArg<Box<[f32]>>, SequenceArg<u32>),
) {
    // The row is bound, too, and what kernels know of tensors.
    let bindings = row.client.properties().hardware.max_bindings as usize;
    let most = bindings.saturating_sub(2).clamp(1, MOST_PARTS);
    let mut start = 0;
    for parts in parts.chunks(most) {
        let mut starts = vec![start];
        for part in parts {
            start += part.shape().num_elements();
            starts.push(start);
        }
        let values = start - starts[0];
        launch(
            workgroups(values.div_ceil(BLOCK as usize)),
            parts.iter().map(|part| part.clone().into_buffer_arg()).collect(),
            starts.into_iter().map(small).collect(),
        );
    }
}

impl PartKernels for CubeBackend {
    fn device_apart(row: CubeTensor, sizes: Vec<usize>) -> Tensors<Self> {
        let row = rows(row);
        let parts: Vec<CubeTensor> = sizes.into_iter().map(|size| unwritten(&row, [size])).collect();
        in_launches(&row, &parts, |count, parts, starts| {
            apart::launch(&row.client, count, CubeDim::new_1d(UNITS), row.clone().into_buffer_arg(), parts, starts);
        });
        Tensors(parts)
    }

    fn device_joined(parts: Tensors<Self>) -> CubeTensor {
        let parts: Vec<CubeTensor> = parts.0.into_iter().map(rows).collect();
        let row = unwritten(&parts[0], [parts.iter().map(|part| part.shape().num_elements()).sum::<usize>()]);
        in_launches(&row, &parts, |count, parts, starts| {
            joined::launch(&row.client, count, CubeDim::new_1d(UNITS), row.clone().into_buffer_arg(), parts, starts);
        });
        row
    }
}
