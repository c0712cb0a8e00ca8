use burn::tensor::Tensor;

use super::constant::Constant;

/// `[batch, length]`: cos(t f_i), then sin(t f_i), with f_i = 10000^(-2 i / length), for an even `length`: the form of
/// Dhariwal and Nichol's code, of DiT's and of U-ViT's. `frequencies` keeps the f_i.
pub fn cosines_and_sines(timesteps: Tensor<1>, length: usize, frequencies: &Constant) -> Tensor<2> {
    assert!(length.is_multiple_of(2), "as many cosines as sines");
    let (batch, half) = (timesteps.dims()[0], length / 2);
    let angles = timesteps.clone().reshape([batch, 1])
        * frequencies.on(&timesteps.device(), || falling_frequencies(half, half as f64)).reshape([1, half]);
    Tensor::cat(vec![angles.clone().cos(), angles.sin()], 1)
}

/// 10000^(-i / last) for i below `count`.
pub fn falling_frequencies(count: usize, last: f64) -> Vec<f32> {
    (0..count).map(|index| (-(10_000f64.ln()) * index as f64 / last).exp() as f32).collect()
}

/// Fixed positions of the pixels of a square of `side`, flat `[side, side, length]`, for a `length` that 4 divides: sines and
/// cosines of the column, then of the row, with frequencies 10000^(-4 i / length) (He et al. 2022, arXiv 2111.06377, as
/// DiT's code takes them over).
pub fn square_positions(side: usize, length: usize) -> Vec<f32> {
    assert!(length.is_multiple_of(4), "as many sines as cosines, of rows and columns");
    let quarter = length / 4;
    let frequencies: Vec<f64> =
        (0..quarter).map(|index| (-(10_000f64.ln()) * index as f64 / quarter as f64).exp()).collect();
    let mut positions = Vec::with_capacity(side * side * length);
    for row in 0..side {
        for column in 0..side {
            for place in [column as f64, row as f64] {
                positions.extend(frequencies.iter().map(|frequency| (place * frequency).sin() as f32));
                positions.extend(frequencies.iter().map(|frequency| (place * frequency).cos() as f32));
            }
        }
    }
    positions
}

/// Of [`square_positions`] of `side`, those of every `side / fewer`-th row and column: each pixel of a coarser square has the position of
/// the first of the pixels in its place.
///
/// # Panics
/// If `fewer` does not divide `side`.
pub fn some_positions(positions: &[f32], side: usize, fewer: usize, length: usize) -> Vec<f32> {
    assert!(fewer > 0 && side.is_multiple_of(fewer), "{fewer} of {side} rows");
    let step = side / fewer;
    let place = |index: usize| index / fewer * step * side + index % fewer * step;
    (0..fewer * fewer).flat_map(|index| &positions[place(index) * length..][..length]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coarser_square_has_the_positions_of_every_other_row_and_column() {
        let all = square_positions(6, 8);
        let of = |row: usize, column: usize| &all[(6 * row + column) * 8..][..8];
        let every_other = some_positions(&all, 6, 3, 8);
        let expected: Vec<f32> =
            [0, 2, 4].into_iter().flat_map(|row| [0, 2, 4].map(|column| of(row, column))).flatten().copied().collect();
        assert_eq!(every_other, expected);
        assert_eq!(some_positions(&all, 6, 6, 8), all);
    }
}
