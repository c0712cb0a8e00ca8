//! A row of numbers to many tensors, and back: a launch for as many tensors as the device lets a kernel have.

use std::ops::Range;

use burn::backend::cubecl::dtype_to_storage_type;
use burn::backend::{DType, TensorMetadata};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::super::parts::{Part, PartKernels};
use super::super::tensors::Tensors;
use super::{UNITS, rows, rows_of_type, small, unwritten, unwritten_factor, workgroups};

/// Values of a workgroup, which lie beside each other.
const BLOCK: u32 = 4 * UNITS;
/// Tensors of a launch: a kernel has a line for each.
const MOST_PARTS: usize = 128;

/// Part `p` is `row[bounds[2 * p]..bounds[2 * p + 1]]`; parts are of one type and lie in the row in their order.
#[cube(launch)]
pub fn apart<P: Numeric>(
    row: &[f32],
    parts: &mut Sequence<Box<[P]>>,
    bounds: &Sequence<u32>,
    #[define(P)] _element: ElemType,
) {
    let block = bounds[0] as usize + CUBE_POS * BLOCK as usize;
    #[unroll]
    for part in 0..parts.len() {
        let (start, end) = (bounds[2 * part] as usize, bounds[2 * part + 1] as usize);
        if block < end && block + BLOCK as usize > start {
            let mut index = block + UNIT_POS as usize;
            while index < block + BLOCK as usize && index < end {
                if index >= start {
                    let values = parts.index_mut(part);
                    values[index - start] = P::cast_from(row[index]);
                }
                index += UNITS as usize;
            }
        }
    }
}

/// The inverse of [`apart`]. What lies between them in the row stays.
#[cube(launch)]
pub fn joined<P: Numeric>(
    row: &mut [f32],
    parts: &Sequence<Box<[P]>>,
    bounds: &Sequence<u32>,
    #[define(P)] _element: ElemType,
) {
    let block = bounds[0] as usize + CUBE_POS * BLOCK as usize;
    #[unroll]
    for part in 0..parts.len() {
        let (start, end) = (bounds[2 * part] as usize, bounds[2 * part + 1] as usize);
        if block < end && block + BLOCK as usize > start {
            let mut index = block + UNIT_POS as usize;
            while index < block + BLOCK as usize && index < end {
                if index >= start {
                    let values = parts.index(part);
                    row[index] = f32::cast_from(values[index - start]);
                }
                index += UNITS as usize;
            }
        }
    }
}

/// A part, and where it lies in the row.
type Placed = (CubeTensor, Range<usize>);

/// Calls `launch` with some parts and the beginnings and ends of these in the row, until all parts had their turn.
fn in_launches<T>(
    row: &CubeTensor,
    parts: &[Placed],
    launch: impl Fn(CubeCount, SequenceArg<Box<[T]>>, SequenceArg<u32>),
) where
    Box<[T]>: LaunchArg<RuntimeArg = BufferArg>,
{
    // The row is bound, too, and what kernels know of tensors.
    let bindings = row.client.properties().hardware.max_bindings as usize;
    let most = bindings.saturating_sub(2).clamp(1, MOST_PARTS);
    for parts in parts.chunks(most) {
        let (first, last) = (&parts[0].1, &parts[parts.len() - 1].1);
        launch(
            workgroups((last.end - first.start).div_ceil(BLOCK as usize)),
            parts.iter().map(|(part, _)| part.clone().into_buffer_arg()).collect(),
            parts.iter().flat_map(|(_, place)| [small(place.start), small(place.end)]).collect(),
        );
    }
}

/// The parts, one after the other in a row.
fn placed(parts: impl IntoIterator<Item = CubeTensor>) -> Vec<Placed> {
    let mut end = 0;
    let place = |part: CubeTensor| {
        let start = end;
        end += part.shape().num_elements();
        (part, start..end)
    };
    parts.into_iter().map(place).collect()
}

/// The parts of each type.
fn by_type(parts: &[Placed]) -> [(ElemType, Vec<Placed>); 2] {
    [DType::F32, DType::BF16].map(|dtype| {
        let of_type = parts.iter().filter(|(part, _)| part.dtype == dtype).cloned().collect();
        (dtype_to_storage_type(dtype), of_type)
    })
}

impl PartKernels for CubeBackend {
    fn device_apart(row: CubeTensor, parts: Vec<Part>) -> Tensors<Self> {
        let row = rows(row);
        let parts = placed(parts.into_iter().map(|part| unwritten_factor(&row, [part.values], part.factor_of).0));
        for (element, of_type) in by_type(&parts) {
            in_launches(&row, &of_type, |count, parts, bounds| {
                let read = row.clone().into_buffer_arg();
                apart::launch(&row.client, count, CubeDim::new_1d(UNITS), read, parts, bounds, element);
            });
        }
        Tensors(parts.into_iter().map(|(part, _)| part).collect())
    }

    fn device_joined(parts: Tensors<Self>) -> CubeTensor {
        let parts = placed(parts.0.into_iter().map(|part| rows_of_type(part).0));
        let values = parts.last().map_or(0, |(_, place)| place.end);
        let row = unwritten(&parts[0].0, [values]);
        for (element, of_type) in by_type(&parts) {
            in_launches(&row, &of_type, |count, parts, bounds| {
                let written = row.clone().into_buffer_arg();
                joined::launch(&row.client, count, CubeDim::new_1d(UNITS), written, parts, bounds, element);
            });
        }
        row
    }
}
