use burn::tensor::{Device, Tensor, TensorData};

use super::{EvaluateError, Gaussian, GaussianFit};
use crate::data::Images;
use crate::model::{DigitsCnn, from_safetensors};
use crate::spec::Features;

/// Images per forward pass of the feature network.
const BATCH_IMAGES: usize = 256;

/// Trained by `speedlab train-features digits-cnn`; its metadata says how and how well.
pub const DIGITS_CNN_WEIGHTS: &[u8] = include_bytes!("digits-cnn.safetensors");

/// The network whose activations are compared. It always runs on the CPU, so that a device changes no feature.
pub struct FeatureNetwork {
    cnn: DigitsCnn,
}

impl FeatureNetwork {
    /// Of images with this shape: `image_shape` is (channels, side).
    pub fn load(features: Features, image_shape: (usize, usize)) -> Result<Self, EvaluateError> {
        match features {
            Features::DigitsCnn => {
                let (channels, side) = image_shape;
                if image_shape != (1, 8) {
                    return Err(EvaluateError::ImageShape { channels, side });
                }
                Ok(Self { cnn: digits_cnn(DIGITS_CNN_WEIGHTS)? })
            }
        }
    }

    /// Values in a feature vector.
    pub fn dimension(&self) -> usize {
        DigitsCnn::FEATURES
    }

    /// `[n, dimension]` of `[n, 1, 8, 8]` in [-1, 1].
    pub fn features(&self, pixels: &[f32]) -> Vec<f32> {
        let mut features = Vec::with_capacity(pixels.len());
        for batch in pixels.chunks(BATCH_IMAGES * 64) {
            let images =
                Tensor::<4>::from_data(TensorData::new(batch.to_vec(), [batch.len() / 64, 1, 8, 8]), &Device::flex());
            let values = self.cnn.features(images).into_data().try_into_vec::<f32>();
            features.extend(values.expect("flex computes in f32"));
        }
        features
    }

    /// The mean and covariance of the features of `images`; `of` names them in an error.
    pub fn gaussian(&self, of: &'static str, pixels: &[f32]) -> Result<Gaussian, EvaluateError> {
        let mut fit = GaussianFit::new(self.dimension());
        let frechet = |error| EvaluateError::Frechet { of, error };
        fit.push(&self.features(pixels)).map_err(frechet)?;
        fit.finish().map_err(frechet)
    }

    /// The Gaussian that generated images are compared with.
    pub fn reference(&self, images: &Images) -> Result<Gaussian, EvaluateError> {
        let mut fit = GaussianFit::new(self.dimension());
        let frechet = |error| EvaluateError::Frechet { of: "the reference images", error };
        for first in (0..images.len()).step_by(BATCH_IMAGES) {
            let batch = images.pixels(first..images.len().min(first + BATCH_IMAGES));
            fit.push(&self.features(&batch)).map_err(frechet)?;
        }
        fit.finish().map_err(frechet)
    }
}

/// The classifier with the weights of a safetensors file.
pub fn digits_cnn(safetensors: &[u8]) -> Result<DigitsCnn, EvaluateError> {
    let mut cnn = DigitsCnn::new(0, &Device::flex());
    let (weights, _) = from_safetensors(cnn.layout(), safetensors)?;
    let count = weights.len();
    cnn.set_weights(Tensor::from_data(TensorData::new(weights, [count]), &Device::flex()));
    Ok(cnn)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::data::{Dataset, load_digits};
    use crate::evaluate::frechet_distance;
    use crate::random::{Draws, Stream};

    fn network() -> FeatureNetwork {
        FeatureNetwork::load(Features::DigitsCnn, (1, 8)).unwrap()
    }

    /// Other weights give other distances under the same protocol: whoever changes them raises `RUN_SPEC_VERSION`.
    #[test]
    fn the_shipped_weights_are_those_that_recorded_distances_were_measured_with() {
        let sha256: String = Sha256::digest(DIGITS_CNN_WEIGHTS).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sha256, "9a820cb5c288f3793c099da13d36cf68fdb449698a12528f03348e7f25ff165d");
    }

    #[test]
    fn features_do_not_depend_on_the_batch_they_are_computed_in() {
        let Dataset { test, .. } = load_digits().unwrap();
        let network = network();
        let together = network.features(&test.pixels(0..355));
        assert_eq!(together.len(), 355 * network.dimension());
        for index in [0, 100, 354] {
            let alone = network.features(&test.image(index));
            let in_batch = &together[index * network.dimension()..][..network.dimension()];
            let close = |(one, other): (&f32, &f32)| (one - other).abs() < 1e-5;
            assert!(alone.len() == in_batch.len() && alone.iter().zip(in_batch).all(close), "image {index}");
        }
    }

    #[test]
    fn the_distance_of_noised_digits_grows_with_the_noise() {
        let Dataset { train, test, .. } = load_digits().unwrap();
        let network = network();
        let reference = network.reference(&train).unwrap();
        let pixels = test.pixels(0..test.len());
        let mut noise = vec![0.0; pixels.len()];
        Draws::new(1, Stream::Noise, 0).fill_normal(&mut noise);
        let distance = |level: f32| {
            let noised: Vec<f32> = pixels.iter().zip(&noise).map(|(pixel, noise)| pixel + level * noise).collect();
            frechet_distance(&network.gaussian("noised digits", &noised).unwrap(), &reference).unwrap()
        };
        let distances = [0.0, 0.1, 0.2, 0.4, 0.8].map(distance);
        let same = frechet_distance(&network.reference(&train).unwrap(), &reference).unwrap();
        println!(
            "train against itself {same:.2e}, against the held-out split with noise 0, .1, .2, .4, .8: {distances:.4?}"
        );
        assert!(same < 1e-6);
        assert!(distances.is_sorted() && distances[1] > distances[0]);
        assert!(distances[4] > 10.0 * distances[0], "{distances:?}");
    }

    #[test]
    fn features_that_are_not_finite_are_named() {
        let mut pixels = vec![0.0; 3 * 64];
        pixels[64] = f32::NAN;
        let message = network().gaussian("the generated images", &pixels).unwrap_err().to_string();
        assert_eq!(message, "the generated images: feature 0 of image 1 is NaN");
    }

    #[test]
    fn images_of_another_shape_and_damaged_weights_are_refused() {
        let message = FeatureNetwork::load(Features::DigitsCnn, (3, 32)).err().unwrap().to_string();
        assert_eq!(message, "features `digits-cnn` need grey 8x8 images, not 3 x 32 x 32");
        let message = digits_cnn(&DIGITS_CNN_WEIGHTS[..1000]).err().unwrap().to_string();
        assert!(message.starts_with("features `digits-cnn`: not a whole safetensors file"), "{message}");
    }
}
