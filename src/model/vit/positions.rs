//! Positions of patches, and images, at another size: bicubic, as PyTorch resamples.

use burn::tensor::{Device, Tensor, TensorData};

use super::VitDesign;

/// How numbers between those that are there are found, along one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resampling {
    /// `torch.nn.functional.interpolate(mode="bicubic")`: Keys' kernel with a = -0.75 between centres of pixels, whose distance is
    /// `scale` of those that are there: inputs / outputs where a size is asked for, 1 / scale_factor where that is given.
    Bicubic { scale: f64 },
    /// The same with `antialias=True` to a size, as Pillow's bicubic filter: a = -0.5, and a wider kernel where there are fewer outputs
    /// than inputs.
    Antialiased,
}

/// Inputs that have a share in an output of [`Resampling::Bicubic`].
const TAPS: isize = 4;

impl Resampling {
    /// To so many numbers, their centres spread over the same length.
    pub fn to_size(inputs: usize, outputs: usize) -> Self {
        Self::Bicubic { scale: inputs as f64 / outputs as f64 }
    }

    /// The shares of `inputs` numbers in each of `outputs`: `[outputs, inputs]`. Each output's add up to 1.
    pub fn matrix(self, inputs: usize, outputs: usize) -> Vec<f32> {
        let mut matrix = vec![0.0; outputs * inputs];
        for (output, row) in matrix.chunks_exact_mut(inputs).enumerate() {
            match self {
                Self::Bicubic { scale } => {
                    let place = scale * (output as f64 + 0.5) - 0.5;
                    let first = place.floor() as isize - 1;
                    for tap in first..first + TAPS {
                        // Beyond the edge is what lies on it.
                        row[tap.clamp(0, inputs as isize - 1) as usize] += keys(place - tap as f64, -0.75) as f32;
                    }
                }
                Self::Antialiased => {
                    let scale = inputs as f64 / outputs as f64;
                    let (centre, width) = (scale * (output as f64 + 0.5), scale.max(1.0));
                    let distance = |input: usize| (input as f64 + 0.5 - centre) / width;
                    let shares: Vec<f64> = (0..inputs).map(|input| keys(distance(input), -0.5)).collect();
                    let sum: f64 = shares.iter().sum();
                    row.iter_mut().zip(shares).for_each(|(share, found)| *share = (found / sum) as f32);
                }
            }
        }
        matrix
    }
}

/// Keys' kernel (Keys 1981, IEEE Transactions on Acoustics, Speech, and Signal Processing 29, equation 15 where a = -0.5).
fn keys(distance: f64, a: f64) -> f64 {
    let x = distance.abs();
    match x {
        ..1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        1.0..2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * a,
        _ => 0.0,
    }
}

/// Planes `[.., side, side]` at another side: each of `[planes, side, side]`.
pub fn resampled(planes: Tensor<3>, side: usize, resampling: Resampling, device: &Device) -> Tensor<3> {
    let [count, inputs, _] = planes.dims();
    let matrix = TensorData::new(resampling.matrix(inputs, side), [1, side, inputs]);
    let matrix = Tensor::<3>::from_data(matrix, device).expand([count, side, inputs]);
    matrix.clone().matmul(planes).matmul(matrix.swap_dims(1, 2))
}

/// Positions for another number of patches in a row. DINOv2's code (`interpolate_pos_encoding` of its `vision_transformer.py`) asks for
/// a tenth of a patch more in a row than there is, so that rounding takes none away; with registers it does not, and antialiases.
pub(super) fn moved_positions(
    positions: Tensor<1>,
    design: &VitDesign,
    grid: usize,
    resampling: Option<Resampling>,
    device: &Device,
) -> Tensor<1> {
    if grid == design.grid {
        return positions;
    }
    let dim = design.dim;
    let positions = positions.reshape([1 + design.grid.pow(2), dim]);
    let patches = positions.clone().narrow(0, 1, design.grid.pow(2)).swap_dims(0, 1);
    let usual = match design.registers {
        0 => Resampling::Bicubic { scale: design.grid as f64 / (grid as f64 + 0.1) },
        _ => Resampling::Antialiased,
    };
    let planes = patches.reshape([dim, design.grid, design.grid]);
    let moved = resampled(planes, grid, resampling.unwrap_or(usual), device);
    let moved = moved.reshape([dim, grid.pow(2)]).swap_dims(0, 1);
    Tensor::cat(vec![positions.narrow(0, 0, 1), moved], 0).reshape([(1 + grid.pow(2)) * dim])
}

/// Positions of class token and patches with zeros between them: registers have none.
pub(super) fn around_registers(positions: Tensor<1>, design: &VitDesign, device: &Device) -> Tensor<1> {
    if design.registers == 0 {
        return positions;
    }
    let (dim, count) = (design.dim, positions.dims()[0]);
    let none = Tensor::zeros([design.registers * dim], device);
    Tensor::cat(vec![positions.clone().narrow(0, 0, dim), none, positions.narrow(0, dim, count - dim)], 0)
}
