//! Networks whose activations are compared, each with its way of preparing images.

mod cost;
mod efficientnet;
mod encoder;
mod frozen_network;
mod inception;
mod layers;
mod resize;
mod spatial_encoder;
mod tensors;

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};

use super::coarse_pixels::CoarsePixels;
use super::precision::measuring_products;
use super::{EvaluateError, Gaussian, GaussianFit};
use crate::data::RgbImage;
use crate::kernels::Kernels;
use crate::model::{CnnDesign, DIGITS_CNN, MNIST_CNN, SmallCnn, from_safetensors};
use crate::spec::{Features, FidPrecision, Resize, feature_protocol};

pub use cost::{FeatureCost, feature_cost};
pub use encoder::{aligned_weights, encoder_weights};
pub use frozen_network::FrozenNetwork;
use layers::TensorSource;
pub use spatial_encoder::{SpatialEncoder, encoder_cost};
pub use tensors::WeightsError;

/// Images per forward pass of the feature network.
const BATCH_IMAGES: usize = 256;

/// Trained by `speedlab train-features digits-cnn`; its metadata says how and how well.
pub const DIGITS_CNN_WEIGHTS: &[u8] = include_bytes!("../digits-cnn.safetensors");

/// Trained by `speedlab train-features mnist-cnn`; its metadata says how and how well.
pub const MNIST_CNN_WEIGHTS: &[u8] = include_bytes!("../mnist-cnn.safetensors");

/// The network that gives the features of images. It runs on the CPU, unless [`Self::compute_on`] says otherwise.
pub enum FeatureNetwork {
    Cnn(Box<SmallCnn>),
    Pixels(CoarsePixels),
    Frozen {
        network: Box<FrozenNetwork>,
        /// (channels, side)
        image_shape: (usize, usize),
    },
}

/// Where features are computed, and how far those of a device are from the CPU's: the largest difference over the largest feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FeaturesOn {
    Cpu,
    Device {
        difference: f32,
    },
    /// On the CPU, since the device computes others.
    CpuSinceOther {
        difference: f32,
    },
}

/// The most by which a device's features may differ from the CPU's: sums in another order do by 1e-5 after a hundred layers.
const FEATURE_TOLERANCE: f32 = 1e-4;

/// What a feature network gives for images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activations {
    /// `[images, dimension]`
    pub features: Vec<f32>,
    /// `[images, spatial dimension]`, where they were asked for.
    pub spatial: Vec<f32>,
}

impl Activations {
    /// Without spatial features.
    fn of(features: Vec<f32>) -> Self {
        Self { features, spatial: Vec::new() }
    }

    fn extend(&mut self, more: Self) {
        self.features.extend(more.features);
        self.spatial.extend(more.spatial);
    }
}

impl FeatureNetwork {
    /// Of images with this shape: `image_shape` is (channels, side). `weights` is the file of a network's weights, fetched or the user's.
    ///
    /// # Errors
    /// If the images or the weights do not fit, or the CPU has not this precision.
    ///
    /// # Panics
    /// Without `weights` where the features need some.
    pub fn load(
        features: Features,
        resize: Resize,
        precision: FidPrecision,
        image_shape: (usize, usize),
        weights: Option<&Path>,
    ) -> Result<Self, EvaluateError> {
        let products = measuring_products(precision, &Device::flex())?;
        let small = |design, weights| -> Result<Self, EvaluateError> {
            Ok(Self::Cnn(Box::new(small_cnn(design, weights)?.with_kernels(Kernels::Fused(products)))))
        };
        if !features.fits(image_shape) {
            let (channels, side) = image_shape;
            return Err(EvaluateError::ImageShape { features, channels, side });
        }
        Ok(match features {
            Features::DigitsCnn => small(&DIGITS_CNN, DIGITS_CNN_WEIGHTS)?,
            Features::MnistCnn => small(&MNIST_CNN, MNIST_CNN_WEIGHTS)?,
            Features::Pixels8 => Self::Pixels(CoarsePixels::new(image_shape)),
            _ => {
                let weights = weights.expect("the caller knows where the weights are");
                let network = Box::new(FrozenNetwork::load(features, resize, products, weights)?);
                Self::Frozen { network, image_shape }
            }
        })
    }

    /// The same network for images of another shape, where it takes them as it is.
    pub fn for_images(self, shape: (usize, usize)) -> Option<Self> {
        match self {
            Self::Frozen { network, .. } => Some(Self::Frozen { network, image_shape: shape }),
            Self::Cnn(_) => Some(self),
            Self::Pixels(ref pixels) => ((pixels.channels(), pixels.side()) == shape).then_some(self),
        }
    }

    /// Has `device` compute the features of a large network from now on, if it computes those of the CPU of `probe`: images
    /// `[n, channels, side, side]` in [-1, 1]. Small networks stay on the CPU: they take less time there than their kernels take to
    /// be compiled.
    pub fn compute_on(&self, device: &Device, probe: &[f32]) -> FeaturesOn {
        let Self::Frozen { network, image_shape: (channels, side) } = self else { return FeaturesOn::Cpu };
        let images = probe.chunks_exact(channels * side * side);
        let files: Vec<RgbImage> = images.map(|pixels| RgbImage::of_pixels(pixels, *channels, *side)).collect();
        match network.compute_on(device, &files, FEATURE_TOLERANCE) {
            None => FeaturesOn::Cpu,
            Some(difference) if difference <= FEATURE_TOLERANCE => FeaturesOn::Device { difference },
            Some(difference) => FeaturesOn::CpuSinceOther { difference },
        }
    }

    /// Values in a feature vector.
    pub fn dimension(&self) -> usize {
        match self {
            Self::Cnn(cnn) => cnn.design().feature_count(),
            Self::Pixels(pixels) => pixels.dimension(),
            Self::Frozen { network, .. } => network.dimension(),
        }
    }

    /// Values in the spatial features of an image; `None` of features that have none.
    pub fn spatial_dimension(&self) -> Option<usize> {
        match self {
            Self::Frozen { network, .. } => network.spatial_dimension(),
            Self::Cnn(_) | Self::Pixels(_) => None,
        }
    }

    /// `[n, dimension]` of `[n, channels, side, side]` in [-1, 1].
    pub fn features(&self, pixels: &[f32]) -> Vec<f32> {
        self.activations(pixels, false).features
    }

    /// The same, and the spatial features where they are asked for.
    ///
    /// # Panics
    /// If spatial features are asked for where there are none.
    pub fn activations(&self, pixels: &[f32], with_spatial: bool) -> Activations {
        assert!(!with_spatial || self.spatial_dimension().is_some(), "these features have no spatial ones");
        match self {
            Self::Cnn(cnn) => {
                let side = cnn.design().side;
                let mut features = Vec::new();
                for batch in pixels.chunks(BATCH_IMAGES * side * side) {
                    let count = batch.len() / (side * side);
                    let data = TensorData::new(batch.to_vec(), [count, 1, side, side]);
                    let values = cnn.features(Tensor::from_data(data, &Device::flex())).into_data();
                    features.extend(values.try_into_vec::<f32>().expect("flex computes in f32"));
                }
                Activations::of(features)
            }
            Self::Pixels(pixels_8) => Activations::of(pixels_8.features(pixels)),
            Self::Frozen { network, image_shape: (channels, side) } => {
                let mut found = Activations::default();
                for batch in pixels.chunks(BATCH_IMAGES * channels * side * side) {
                    found.extend(Self::of_rounded(network, batch, (*channels, *side), with_spatial));
                }
                found
            }
        }
    }

    /// `[images.len(), dimension]` of images of files; those that come with the program want images of one size.
    pub fn features_of_files(&self, images: &[RgbImage]) -> Result<Vec<f32>, (usize, String)> {
        Ok(self.activations_of_files(images, false)?.features)
    }

    /// The same, and the spatial features where they are asked for. The error tells which image does not fit, and why.
    ///
    /// # Panics
    /// If spatial features are asked for where there are none.
    pub fn activations_of_files(
        &self,
        images: &[RgbImage],
        with_spatial: bool,
    ) -> Result<Activations, (usize, String)> {
        let (features, (channels, side)) = match self {
            Self::Frozen { network, .. } => return Ok(network.activations(images, with_spatial)),
            Self::Cnn(cnn) => (cnn.design().name, (1, cnn.design().side)),
            Self::Pixels(pixels) => ("pixels-8x8", (pixels.channels(), pixels.side())),
        };
        let mut pixels = Vec::with_capacity(images.len() * channels * side * side);
        for (index, image) in images.iter().enumerate() {
            if (image.width, image.height) != (side, side) {
                let found = format!("{} x {} pixels, where {features} sees {side} x {side}", image.width, image.height);
                return Err((index, found));
            }
            pixels.extend(image.planes(channels));
        }
        Ok(self.activations(&pixels, with_spatial))
    }

    /// Of images as files would hold them: rounded to bytes.
    fn of_rounded(
        network: &FrozenNetwork,
        pixels: &[f32],
        (channels, side): (usize, usize),
        with_spatial: bool,
    ) -> Activations {
        let images = || pixels.chunks_exact(channels * side * side);
        let files: Vec<RgbImage> = images().map(|pixels| RgbImage::of_pixels(pixels, channels, side)).collect();
        let mut found = network.activations(&files, with_spatial);
        // A byte cannot say that a value is none.
        for (pixels, features) in images().zip(found.features.chunks_exact_mut(network.dimension())) {
            if let Some(value) = pixels.iter().find(|value| !value.is_finite()) {
                features.fill(*value);
            }
        }
        found
    }

    /// The mean and covariance of the features of `images`; `of` names them in an error.
    pub fn gaussian(&self, of: &'static str, pixels: &[f32]) -> Result<Gaussian, EvaluateError> {
        let mut fit = GaussianFit::new(self.dimension());
        let frechet = |error| EvaluateError::Frechet { of, error };
        fit.push(&self.features(pixels)).map_err(frechet)?;
        fit.finish().map_err(frechet)
    }

    /// Unnormalised log-probabilities of the classes of images with these features, `[images, classes]`, and how many
    /// classes there are; `None` where the network tells no classes of natural images.
    pub fn logits(&self, features: &[f32]) -> Option<(Vec<f32>, usize)> {
        let Self::Frozen { network, .. } = self else { return None };
        let logits = network.logits(features)?;
        let classes = logits.len() / (features.len() / network.dimension());
        Some((logits, classes))
    }

    /// What protocols call the network, where files of weights differ: [`crate::spec::FidProtocol::network`].
    pub fn name_in_protocol(&self) -> Option<String> {
        match self {
            Self::Frozen { network, .. } => network.name_in_protocol(),
            Self::Cnn(_) | Self::Pixels(_) => None,
        }
    }

    /// Which features of this network are compared, how images get the size that it sees, and what it multiplies in.
    pub fn protocol(&self, features: Features, resize: Resize, precision: FidPrecision) -> String {
        feature_protocol(features, self.name_in_protocol().as_deref(), resize, precision)
    }

    /// The SHA-256 of the file of weights, if they are of one.
    pub fn weights_sha256(&self) -> Option<&str> {
        match self {
            Self::Frozen { network, .. } => Some(network.weights_sha256.as_str()).filter(|sha256| !sha256.is_empty()),
            Self::Cnn(_) | Self::Pixels(_) => None,
        }
    }
}

/// The classifier with the weights of a safetensors file.
pub fn small_cnn(design: &'static CnnDesign, safetensors: &[u8]) -> Result<SmallCnn, EvaluateError> {
    let mut cnn = SmallCnn::new(design, 0, &Device::flex());
    let weights = from_safetensors(cnn.layout(), safetensors);
    let (weights, _) = weights.map_err(|error| EvaluateError::FeatureWeights { features: design.name, error })?;
    let count = weights.len();
    cnn.set_weights(Tensor::from_data(TensorData::new(weights, [count]), &Device::flex()));
    Ok(cnn)
}

#[cfg(test)]
mod tests;
