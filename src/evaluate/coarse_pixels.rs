/// Squares along each side of what is left of an image.
const GRID: usize = 8;

/// Images as 8x8 squares of mean colour: features of any image that is at least so large. They see colours and where
/// things are, and nothing finer.
pub struct CoarsePixels {
    channels: usize,
    side: usize,
    /// `[GRID, side]`: the share that each pixel has in each square along one axis.
    shares: Vec<f32>,
}

impl CoarsePixels {
    /// The shortest side it takes, in pixels.
    pub const SMALLEST_SIDE: usize = GRID;

    pub fn new((channels, side): (usize, usize)) -> Self {
        assert!(side >= Self::SMALLEST_SIDE, "plans with smaller images are refused");
        let width = side as f64 / GRID as f64;
        let share = |square: usize, pixel: usize| {
            let (start, end) = (square as f64 * width, (square + 1) as f64 * width);
            let overlap = end.min((pixel + 1) as f64) - start.max(pixel as f64);
            (overlap.max(0.0) / width) as f32
        };
        let shares = (0..GRID).flat_map(|square| (0..side).map(move |pixel| share(square, pixel))).collect();
        Self { channels, side, shares }
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    pub fn side(&self) -> usize {
        self.side
    }

    /// Values in a feature vector.
    pub fn dimension(&self) -> usize {
        self.channels * GRID * GRID
    }

    /// `[n, channels * 8 * 8]` of `[n, channels, side, side]`.
    pub fn features(&self, pixels: &[f32]) -> Vec<f32> {
        let plane_values = self.side * self.side;
        pixels.chunks_exact(plane_values).flat_map(|plane| self.of_plane(plane)).collect()
    }

    /// `[8, 8]` of `[side, side]`.
    fn of_plane(&self, plane: &[f32]) -> Vec<f32> {
        let mut squares = vec![0.0; GRID * GRID];
        let mut row_squares = [0.0; GRID];
        for (y, row) in plane.chunks_exact(self.side).enumerate() {
            for (sum, shares) in row_squares.iter_mut().zip(self.shares.chunks_exact(self.side)) {
                *sum = row.iter().zip(shares).map(|(value, share)| value * share).sum::<f32>();
            }
            for (squares, shares) in squares.chunks_exact_mut(GRID).zip(self.shares.chunks_exact(self.side)) {
                // Most rows of pixels have no share in most rows of squares. What is not finite stays so.
                if shares[y] != 0.0 {
                    squares.iter_mut().zip(row_squares).for_each(|(square, value)| *square += value * shares[y]);
                }
            }
        }
        squares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_square_is_the_mean_of_its_pixels_and_planes_stay_apart() {
        let coarse = CoarsePixels::new((2, 16));
        let pixels: Vec<f32> = (0..2 * 256).map(|value| value as f32).collect();
        let features = coarse.features(&pixels);
        assert_eq!((features.len(), coarse.dimension()), (128, 128));
        // Rows 2 and 3, columns 4 and 5.
        assert_eq!(features[8 + 2], (36.0 + 37.0 + 52.0 + 53.0) / 4.0);
        assert_eq!(features[64 + 8 + 2], features[8 + 2] + 256.0);
        assert_eq!(CoarsePixels::new((1, 8)).features(&pixels[..64]), pixels[..64]);
    }

    #[test]
    fn pixels_on_a_border_are_shared_so_that_means_are_kept() {
        for side in [9, 12, 28, 31, 100] {
            let coarse = CoarsePixels::new((1, side));
            let pixels: Vec<f32> = (0..side * side).map(|index| (index * 37 % 101) as f32 / 50.0 - 1.0).collect();
            let mean = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
            assert!((mean(&coarse.features(&pixels)) - mean(&pixels)).abs() < 1e-5, "side {side}");
            assert!(coarse.features(&vec![0.7; side * side]).iter().all(|value| (value - 0.7).abs() < 1e-5));
        }
        // A side of 12: the second square is half of pixel 1 and the whole of pixel 2.
        let mut row = vec![0.0; 144];
        row[1] = 3.0;
        let features = CoarsePixels::new((1, 12)).features(&row);
        assert!((features[0] - 3.0 / 3.0 / 1.5).abs() < 1e-6 && (features[1] - 3.0 / 3.0 / 1.5).abs() < 1e-6);
    }

    #[test]
    fn what_is_not_finite_is_seen() {
        let mut pixels = vec![0.0; 64 * 64];
        pixels[1234] = f32::NAN;
        assert!(CoarsePixels::new((1, 64)).features(&pixels).iter().any(|value| value.is_nan()));
    }
}
