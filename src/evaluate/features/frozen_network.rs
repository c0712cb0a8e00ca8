use std::path::Path;
use std::sync::OnceLock;

use burn::tensor::Device;
use rayon::prelude::*;

use super::Activations;
use super::efficientnet::EfficientNetLite0;
use super::inception::{Inception, InceptionLayer};
use super::layers::TensorSource;
use super::resize::resized;
use super::tensors::{TensorFile, WeightsError};
use crate::data::RgbImage;
use crate::kernels::Kernels;
use crate::kernels::frozen::{FrozenKernels, FusedFrozen, IMAGES_AT_ONCE, PlainFrozen};
use crate::spec::{Features, Resize};

/// A network that was trained on ImageNet, and how images get the size that it sees.
pub struct FrozenNetwork {
    network: Network,
    /// The device that computes it, where that is not the CPU.
    device: OnceLock<PlainFrozen>,
    resize: Resize,
    /// The SHA-256 of the file of its weights, in lower-case hexadecimal.
    pub weights_sha256: String,
}

enum Network {
    Inception(Box<Inception>, InceptionLayer),
    EfficientNet(Box<EfficientNetLite0>),
}

impl Network {
    fn activations<K: FrozenKernels>(&self, kernels: &K, inputs: &[Vec<f32>], with_spatial: bool) -> Activations {
        match self {
            Self::Inception(inception, layer) => inception.activations(kernels, inputs, *layer, with_spatial),
            Self::EfficientNet(network) => Activations::of(network.features(kernels, inputs)),
        }
    }
}

impl FrozenNetwork {
    /// With the weights of the file at `path`, as `torch.save` wrote it.
    ///
    /// # Panics
    /// If `features` are those of another kind of network.
    pub fn load(features: Features, resize: Resize, path: &Path) -> Result<Self, WeightsError> {
        let file = TensorFile::read(path, features.weights().expect("a frozen network has weights"))?;
        let network = Self::new(features, resize, &|name, shape| file.get(name, shape))?;
        Ok(Self { weights_sha256: file.sha256, ..network })
    }

    /// With weights from anywhere.
    ///
    /// # Panics
    /// If `features` are those of another kind of network.
    pub fn new(features: Features, resize: Resize, source: TensorSource<'_>) -> Result<Self, WeightsError> {
        let inception = |layer| Ok(Network::Inception(Box::new(Inception::new(source)?), layer));
        let network = match features {
            Features::InceptionV3 => inception(InceptionLayer::Features2048),
            Features::InceptionV3At768 => inception(InceptionLayer::Features768),
            Features::InceptionV3At192 => inception(InceptionLayer::Features192),
            Features::InceptionV3At64 => inception(InceptionLayer::Features64),
            Features::EfficientnetLite0 => Ok(Network::EfficientNet(Box::new(EfficientNetLite0::new(source)?))),
            Features::DigitsCnn | Features::MnistCnn | Features::Pixels8 => {
                panic!("{features:?} come with the program")
            }
        };
        Ok(Self {
            network: network?,
            device: OnceLock::new(),
            resize: resize.with(features),
            weights_sha256: String::new(),
        })
    }

    /// Has `device` compute its features from now on, if it is not the CPU and its features of `images` are the CPU's to `tolerance` of
    /// the largest; how far they differ. It is for one device: its weights stay there.
    pub fn compute_on(&self, device: &Device, images: &[RgbImage], tolerance: f32) -> Option<f32> {
        if matches!(Kernels::for_device(device), Kernels::Fused(_)) {
            return None;
        }
        let device = PlainFrozen::new(device);
        let [cpu, here] = [None, Some(&device)].map(|device| self.activations_on(device, images, false).features);
        let largest = |values: &mut dyn Iterator<Item = f32>| values.map(f32::abs).fold(0.0, f32::max);
        let scale = largest(&mut cpu.iter().copied()).max(f32::MIN_POSITIVE);
        // A maximum does not see what is not a number.
        let is_finite = here.iter().all(|value| value.is_finite());
        let mut differences = here.iter().zip(&cpu).map(|(here, cpu)| here - cpu);
        let difference = if is_finite { largest(&mut differences) / scale } else { f32::INFINITY };
        if difference <= tolerance {
            // A second call leaves the first device in place.
            let _ = self.device.set(device);
        }
        Some(difference)
    }

    /// Values in a feature vector.
    pub fn dimension(&self) -> usize {
        match &self.network {
            Network::Inception(_, layer) => layer.dimension(),
            Network::EfficientNet(_) => EfficientNetLite0::DIMENSION,
        }
    }

    /// Pixels of each side of what the network sees.
    fn side(&self) -> usize {
        match &self.network {
            Network::Inception(..) => Inception::SIDE,
            Network::EfficientNet(_) => EfficientNetLite0::SIDE,
        }
    }

    /// Values in the spatial features of an image; `None` of features that have none.
    pub fn spatial_dimension(&self) -> Option<usize> {
        match &self.network {
            Network::Inception(_, InceptionLayer::Features2048) => Some(Inception::SPATIAL_DIMENSION),
            Network::Inception(..) | Network::EfficientNet(_) => None,
        }
    }

    /// `[images, dimension]`.
    pub fn features(&self, images: &[RgbImage]) -> Vec<f32> {
        self.activations(images, false).features
    }

    /// The same, and the spatial features where they are asked for.
    ///
    /// # Panics
    /// If spatial features are asked for where there are none.
    pub fn activations(&self, images: &[RgbImage], with_spatial: bool) -> Activations {
        self.activations_on(self.device.get(), images, with_spatial)
    }

    fn activations_on(&self, device: Option<&PlainFrozen>, images: &[RgbImage], with_spatial: bool) -> Activations {
        assert!(!with_spatial || self.spatial_dimension().is_some(), "these features have no spatial ones");
        let mut found = Activations::default();
        for images in images.chunks(IMAGES_AT_ONCE) {
            let mut inputs: Vec<Vec<f32>> = images.par_iter().map(|image| self.input(image)).collect();
            let Some(device) = device else {
                found.extend(self.network.activations(&FusedFrozen, &inputs, with_spatial));
                continue;
            };
            // Every size of a batch has kernels of its own, which are compiled and tuned: there is one size, and what was compared
            // with the CPU is what measures.
            let last = inputs.last().expect("a chunk has images").clone();
            inputs.resize(IMAGES_AT_ONCE, last);
            let mut of_batch = self.network.activations(device, &inputs, with_spatial);
            for values in [&mut of_batch.features, &mut of_batch.spatial] {
                values.truncate(values.len() / IMAGES_AT_ONCE * images.len());
            }
            found.extend(of_batch);
        }
        found
    }

    /// The network's input for an image: `[side, side, 3]`.
    fn input(&self, image: &RgbImage) -> Vec<f32> {
        let mut values = resized(self.resize, image, self.side());
        let (middle, half) = match (&self.network, self.resize) {
            (Network::Inception(..), Resize::Clean | Resize::TorchFidelity) => (128.0, 128.0),
            // 2 x / 255 - 1.
            (Network::Inception(..), _) => (127.5, 127.5),
            (Network::EfficientNet(_), _) => (127.0, 128.0),
        };
        values.iter_mut().for_each(|value| *value = (*value - middle) / half);
        values
    }

    /// Unnormalised log-probabilities of the classes, `[images, classes]`, of `features` of the last layer.
    ///
    /// Inception's without the bias, as the Inception score's first code has it (Salimans et al. 2016, arXiv 1606.03498).
    /// `None` where the features are of an earlier layer.
    pub fn logits(&self, features: &[f32]) -> Option<Vec<f32>> {
        let (weights, bias) = match &self.network {
            Network::Inception(network, InceptionLayer::Features2048) => (&network.class_weights, None),
            Network::Inception(..) => return None,
            Network::EfficientNet(network) => (&network.class_weights, Some(&network.class_bias)),
        };
        let classes = weights.len() / self.dimension();
        let logits = features.par_chunks_exact(self.dimension()).flat_map_iter(|features| {
            (0..classes).map(move |class| {
                let weights = &weights[class * features.len()..][..features.len()];
                let sum: f64 = weights.iter().zip(features).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                (sum + bias.map_or(0.0, |bias| f64::from(bias[class]))) as f32
            })
        });
        Some(logits.collect())
    }
}
