//! The structural similarity index of Wang, Bovik, Sheikh and Simoncelli (2004, "Image quality assessment: from error
//! visibility to structural similarity", IEEE Transactions on Image Processing 13).

/// The range of levels 0..=255.
const RANGE: f64 = 255.0;
/// K1 and K2 of the paper.
const LUMINANCE: f64 = 0.01;
const CONTRAST: f64 = 0.03;
/// The paper's window: 11 x 11, Gaussian with a standard deviation of 1.5 pixels.
const WINDOW: usize = 11;
const DEVIATION: f64 = 1.5;

/// SSIM of images of one side. Local means, variances and covariances are weighted by the window (equations 14 to 16), which
/// stays inside the image; the index is the mean over all its places (equations 13 and 17), and over channels.
///
/// An image smaller than the window gets the largest odd window that fits, with its deviation made smaller in proportion: 7 x 7
/// and 0.95 pixels for images of 8 x 8.
pub struct Ssim {
    side: usize,
    weights: Vec<f64>,
}

/// An image with its local means and its local mean squares, which every pair it is in needs.
pub struct Prepared {
    /// `[channels, side, side]`, levels.
    levels: Vec<f64>,
    /// `[channels, places]`.
    means: Vec<f64>,
    squares: Vec<f64>,
}

impl Ssim {
    pub fn new(side: usize) -> Self {
        assert!(side > 0, "an image has pixels");
        let window = WINDOW.min(side - usize::from(side.is_multiple_of(2)));
        let deviation = DEVIATION * window as f64 / WINDOW as f64;
        let middle = (window / 2) as f64;
        let weight = |index: usize| (-(index as f64 - middle).powi(2) / (2.0 * deviation.powi(2))).exp();
        let total: f64 = (0..window).map(weight).sum();
        Self { side, weights: (0..window).map(|index| weight(index) / total).collect() }
    }

    /// Width and height of the window, in pixels.
    pub fn window(&self) -> usize {
        self.weights.len()
    }

    /// `levels` is `[channels, side, side]`.
    pub fn prepare(&self, levels: Vec<f64>) -> Prepared {
        let squares: Vec<f64> = levels.iter().map(|level| level * level).collect();
        Prepared { means: self.filtered(&levels), squares: self.filtered(&squares), levels }
    }

    /// Between -1 and 1; 1 for equal images.
    pub fn between(&self, one: &Prepared, other: &Prepared) -> f64 {
        let (first, second) = ((LUMINANCE * RANGE).powi(2), (CONTRAST * RANGE).powi(2));
        let products: Vec<f64> = one.levels.iter().zip(&other.levels).map(|(one, other)| one * other).collect();
        let products = self.filtered(&products);
        let mut sum = 0.0;
        for (place, product) in products.iter().enumerate() {
            let (mean, other_mean) = (one.means[place], other.means[place]);
            let covariance = product - mean * other_mean;
            let variances = one.squares[place] - mean * mean + other.squares[place] - other_mean * other_mean;
            let luminance = (2.0 * mean * other_mean + first) / (mean * mean + other_mean * other_mean + first);
            sum += luminance * (2.0 * covariance + second) / (variances + second);
        }
        sum / products.len() as f64
    }

    /// Weighted means at every place where the window is inside: `[channels, places, places]`.
    fn filtered(&self, image: &[f64]) -> Vec<f64> {
        let (side, window) = (self.side, self.weights.len());
        let places = side + 1 - window;
        let mut means = Vec::with_capacity(image.len());
        let mut rows = vec![0.0; side * places];
        for channel in image.chunks_exact(side * side) {
            for (row, mean) in channel.chunks_exact(side).zip(rows.chunks_exact_mut(places)) {
                for (place, mean) in mean.iter_mut().enumerate() {
                    *mean = row[place..].iter().zip(&self.weights).map(|(level, weight)| level * weight).sum();
                }
            }
            for (top, place) in (0..places).flat_map(|top| (0..places).map(move |place| (top, place))) {
                let column = (0..window).map(|row| rows[(top + row) * places + place] * self.weights[row]);
                means.push(column.sum());
            }
        }
        means
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(seed: u64, count: usize) -> Vec<f64> {
        // scripts/golden/ssim.py makes the same: the golden ratio's multiples, blurred by a slow wave.
        let level = |index: usize| {
            let share = ((index as u64 + 1) * (2 * seed + 1) * 40503 % 65536) as f64 / 65536.0;
            let wave = (0.35 * index as f64 + seed as f64).sin();
            (127.5 + 60.0 * wave + 67.5 * (2.0 * share - 1.0)).round()
        };
        (0..count).map(level).collect()
    }

    #[test]
    fn it_is_scikit_images() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../../tests/golden/ssim.json"))
            .expect("scripts/golden/ssim.py wrote it");
        let cases = golden["cases"].as_array().expect("a list");
        assert_eq!(cases.len(), 7);
        for case in cases {
            let number = |key: &str| case[key].as_u64().expect("a number") as usize;
            let (channels, side) = (number("channels"), number("side"));
            let count = channels * side * side;
            let ssim = Ssim::new(side);
            assert_eq!(ssim.window(), number("window"));
            let one = levels(number("first") as u64, count);
            let mut other = levels(number("second") as u64, count);
            let share = case["share"].as_f64().expect("a number");
            other.iter_mut().zip(&one).for_each(|(other, one)| *other = (share * one + (1.0 - share) * *other).round());
            let found = ssim.between(&ssim.prepare(one), &ssim.prepare(other));
            let expected = case["ssim"].as_f64().expect("a number");
            assert!((found - expected).abs() < 1e-9, "{case}: {found}");
        }
    }

    #[test]
    fn equal_images_are_at_one_and_inverted_ones_below_zero() {
        let ssim = Ssim::new(28);
        let image = levels(3, 784);
        let inverted: Vec<f64> = image.iter().map(|level| 255.0 - level).collect();
        let (image, inverted) = (ssim.prepare(image), ssim.prepare(inverted));
        assert!((ssim.between(&image, &image) - 1.0).abs() < 1e-12);
        assert!(ssim.between(&image, &inverted) < 0.0);
        // Without any structure it is 1 for equal and less for different levels.
        let (dark, bright) = (ssim.prepare(vec![10.0; 784]), ssim.prepare(vec![200.0; 784]));
        assert!((ssim.between(&dark, &dark) - 1.0).abs() < 1e-12 && ssim.between(&dark, &bright) < 0.2);
    }
}
