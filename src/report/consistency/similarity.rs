//! Three measures of the similarity of two images.

use super::ssim::{Prepared, Ssim};
use crate::record::ConsistencyImages;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Similarity {
    /// The cosine of the angle between the pixels, which are in [-1, 1].
    PixelCosine,
    /// The structural similarity index.
    Ssim,
    /// The cosine of the angle between the feature vectors.
    FeatureCosine,
}

impl Similarity {
    pub const ALL: [Self; 3] = [Self::PixelCosine, Self::Ssim, Self::FeatureCosine];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::PixelCosine => "pixel_cosine",
            Self::Ssim => "ssim",
            Self::FeatureCosine => "feature_cosine",
        }
    }

    /// Its name in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::PixelCosine => "pixel cosine",
            Self::Ssim => "SSIM",
            Self::FeatureCosine => "feature cosine",
        }
    }
}

/// The images of one run, ready to be compared.
pub struct Observed {
    ssim: Ssim,
    images: Vec<Image>,
}

struct Image {
    prepared: Prepared,
    pixels: Vec<f64>,
    features: Vec<f64>,
}

impl Observed {
    /// The first `count` images.
    pub fn new(images: &ConsistencyImages, count: usize) -> Self {
        let values = images.channels * images.side * images.side;
        let dimension = images.features.len() / images.images();
        let ssim = Ssim::new(images.side);
        let image = |(pixels, features): (&[u8], &[f32])| Image {
            prepared: ssim.prepare(pixels.iter().map(|&level| f64::from(level)).collect()),
            pixels: unit(pixels.iter().map(|&level| f64::from(level) / 127.5 - 1.0).collect()),
            features: unit(features.iter().map(|&value| f64::from(value)).collect()),
        };
        let images = images.pixels.chunks_exact(values).zip(images.features.chunks_exact(dimension)).take(count);
        Self { images: images.map(image).collect(), ssim }
    }

    /// How alike image `index` and image `other_index` of another run are, in the order of [`Similarity::ALL`].
    pub fn between(&self, index: usize, other: &Self, other_index: usize) -> [f64; 3] {
        let (one, other) = (&self.images[index], &other.images[other_index]);
        let cosine = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(one, other)| one * other).sum();
        [
            cosine(&one.pixels, &other.pixels),
            self.ssim.between(&one.prepared, &other.prepared),
            cosine(&one.features, &other.features),
        ]
    }
}

/// The vector scaled to length one. Features that are all zero have no direction and are at a right angle to
/// everything.
fn unit(mut vector: Vec<f64>) -> Vec<f64> {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(pixels: Vec<u8>, features: Vec<f32>) -> Observed {
        let images = ConsistencyImages { step: 1, protocol: String::new(), channels: 1, side: 2, pixels, features };
        Observed::new(&images, 2)
    }

    #[test]
    fn an_image_is_like_itself_and_unlike_its_negative() {
        let one = images(vec![0, 255, 10, 20, 9, 8, 7, 6], vec![3.0, 4.0, 0.0, 0.0]);
        let other = images(vec![255, 0, 245, 235, 9, 8, 7, 6], vec![4.0, -3.0, 0.0, 0.0]);
        let same = one.between(0, &one, 0);
        assert!(same.iter().all(|value| (value - 1.0).abs() < 1e-12), "{same:?}");
        let opposite = one.between(0, &other, 0);
        assert!((opposite[0] + 1.0).abs() < 1e-12 && opposite[1] < 1.0 && opposite[2].abs() < 1e-12, "{opposite:?}");
        // Features without a direction.
        assert_eq!(one.between(1, &other, 1)[2], 0.0);
    }
}
