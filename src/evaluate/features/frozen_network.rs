use std::path::Path;
use std::sync::OnceLock;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::Activations;
use super::efficientnet::EfficientNetLite0;
use super::encoder_weights;
use super::inception::{Inception, InceptionLayer};
use super::layers::TensorSource;
use super::resize::{middle_square, resized};
use super::tensors::{TensorFile, WeightsError};
use crate::checksum::file_digest;
use crate::data::RgbImage;
use crate::kernels::frozen::{FrozenKernels, FusedFrozen, IMAGES_AT_ONCE, PlainFrozen};
use crate::kernels::{Kernels, Products};
use crate::model::vit::{Vit, VitDesign, VitFamily};
use crate::spec::{Features, Resize, network_protocol};

/// A large network with weights of a file, and how images get the size that it sees.
pub struct FrozenNetwork {
    network: Network,
    products: Products,
    /// The device that computes it, where that is not the CPU.
    device: OnceLock<OnDevice>,
    resize: Resize,
    /// The SHA-256 of the file of its weights, in lower-case hexadecimal.
    pub weights_sha256: String,
}

enum Network {
    Inception(Box<Inception>, InceptionLayer),
    EfficientNet(Box<EfficientNetLite0>),
    Encoder(Box<Vit>),
}

/// What computes features on another device than the CPU.
enum OnDevice {
    /// The layers of frozen convolutional networks.
    Layers(PlainFrozen),
    /// The encoder with its weights there.
    Encoder(Box<Vit>),
}

impl OnDevice {
    fn new(network: &Network, device: &Device) -> Self {
        match network {
            Network::Inception(..) | Network::EfficientNet(_) => Self::Layers(PlainFrozen::new(device)),
            Network::Encoder(vit) => Self::Encoder(Box::new(vit.on(device))),
        }
    }

    fn activations(&self, network: &Network, inputs: &[Vec<f32>], with_spatial: bool) -> Activations {
        match self {
            Self::Layers(device) => network.activations(device, inputs, with_spatial),
            Self::Encoder(vit) => encoded(vit, inputs),
        }
    }
}

/// The features of images `[side, side, 3]`.
fn encoded(vit: &Vit, inputs: &[Vec<f32>]) -> Activations {
    let data = TensorData::new(inputs.concat(), [inputs.len(), vit.side(), vit.side(), 3]);
    let images = Tensor::<4>::from_data(data, vit.device()).permute([0, 3, 1, 2]);
    Activations::of(vit.features(images).into_data().try_into_vec().expect("it computes in f32"))
}

impl Network {
    fn activations<K: FrozenKernels>(&self, kernels: &K, inputs: &[Vec<f32>], with_spatial: bool) -> Activations {
        match self {
            Self::Inception(inception, layer) => inception.activations(kernels, inputs, *layer, with_spatial),
            Self::EfficientNet(network) => Activations::of(network.features(kernels, inputs)),
            Self::Encoder(vit) => encoded(vit, inputs),
        }
    }
}

impl FrozenNetwork {
    /// With the weights of the file at `path`, as `torch.save` wrote it; of an encoder as [`crate::model::vit::VitWeights`] reads it.
    /// Products of bf16 are those of processors with AVX512-BF16; others compute the same, slowly.
    ///
    /// # Panics
    /// If `features` are those of another kind of network.
    pub fn load(features: Features, resize: Resize, products: Products, path: &Path) -> Result<Self, WeightsError> {
        if features.are_of_file() {
            return Self::of_encoder(features, resize, products, path);
        }
        let file = TensorFile::read(path, features.weights().expect("a frozen network has weights"))?;
        let network = Self::new(features, resize, products, &|name, shape| file.get(name, shape))?;
        Ok(Self { weights_sha256: file.sha256, ..network })
    }

    fn of_encoder(features: Features, resize: Resize, products: Products, path: &Path) -> Result<Self, WeightsError> {
        let weights = encoder_weights(features, path)?;
        let sha256 = file_digest(path).map_err(|source| WeightsError::Read { path: path.to_owned(), source })?;
        let vit = Vit::new(&weights, weights.design().customary_side(), None, &Device::flex())?;
        Ok(Self {
            network: Network::Encoder(Box::new(vit.with_kernels(Kernels::Fused(products)))),
            products,
            device: OnceLock::new(),
            resize: resize.with(features),
            weights_sha256: sha256,
        })
    }

    /// What protocols call the network, where files of weights differ.
    pub fn name_in_protocol(&self) -> Option<String> {
        match &self.network {
            Network::Encoder(vit) => Some(network_protocol(&vit.design().name(), &self.weights_sha256)),
            Network::Inception(..) | Network::EfficientNet(_) => None,
        }
    }

    /// With weights from anywhere.
    ///
    /// # Panics
    /// If `features` are those of another kind of network.
    pub fn new(
        features: Features,
        resize: Resize,
        products: Products,
        source: TensorSource<'_>,
    ) -> Result<Self, WeightsError> {
        let inception = |layer| -> Result<Network, WeightsError> {
            Ok(Network::Inception(Box::new(Inception::new(products, source)?), layer))
        };
        let network = match features {
            Features::InceptionV3 => inception(InceptionLayer::Features2048),
            Features::InceptionV3At768 => inception(InceptionLayer::Features768),
            Features::InceptionV3At192 => inception(InceptionLayer::Features192),
            Features::InceptionV3At64 => inception(InceptionLayer::Features64),
            Features::EfficientnetLite0 => {
                let network = EfficientNetLite0::multiplying(products, source)?;
                Ok(Network::EfficientNet(Box::new(network)))
            }
            Features::DigitsCnn | Features::MnistCnn | Features::Pixels8 => {
                panic!("{features:?} come with the program")
            }
            Features::Dinov2 | Features::Clip => panic!("the file of {features:?} tells the network's size"),
        };
        Ok(Self {
            network: network?,
            products,
            device: OnceLock::new(),
            resize: resize.with(features),
            weights_sha256: String::new(),
        })
    }

    /// Has `device` compute its features from now on, if it is not the CPU and its features of `images` are the CPU's to `tolerance` of
    /// the largest; how far they differ. It is for one device: its weights stay there. Products of bf16 are the CPU's.
    pub fn compute_on(&self, device: &Device, images: &[RgbImage], tolerance: f32) -> Option<f32> {
        if matches!(Kernels::for_device(device), Kernels::Fused(_)) || self.products == Products::Bf16 {
            return None;
        }
        let device = OnDevice::new(&self.network, device);
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
            Network::Encoder(vit) => vit.design().features(),
        }
    }

    /// Pixels of each side of what the network sees.
    fn side(&self) -> usize {
        match &self.network {
            Network::Inception(..) => Inception::SIDE,
            Network::EfficientNet(_) => EfficientNetLite0::SIDE,
            Network::Encoder(vit) => vit.side(),
        }
    }

    /// Values in the spatial features of an image; `None` of features that have none.
    pub fn spatial_dimension(&self) -> Option<usize> {
        match &self.network {
            Network::Inception(_, InceptionLayer::Features2048) => Some(Inception::SPATIAL_DIMENSION),
            Network::Inception(..) | Network::EfficientNet(_) | Network::Encoder(_) => None,
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

    fn activations_on(&self, device: Option<&OnDevice>, images: &[RgbImage], with_spatial: bool) -> Activations {
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
            let mut of_batch = device.activations(&self.network, &inputs, with_spatial);
            for values in [&mut of_batch.features, &mut of_batch.spatial] {
                values.truncate(values.len() / IMAGES_AT_ONCE * images.len());
            }
            found.extend(of_batch);
        }
        found
    }

    /// The network's input for an image: `[side, side, 3]`.
    fn input(&self, image: &RgbImage) -> Vec<f32> {
        if let Network::Encoder(vit) = &self.network {
            return self.encoder_input(vit.design(), image);
        }
        let mut values = resized(self.resize, image, self.side());
        let (middle, half) = match (&self.network, self.resize) {
            (Network::Inception(..), Resize::Clean | Resize::TorchFidelity) => (128.0, 128.0),
            // 2 x / 255 - 1.
            (Network::Inception(..), _) => (127.5, 127.5),
            (Network::EfficientNet(_), _) => (127.0, 128.0),
            (Network::Encoder(_), _) => unreachable!("it has colours of its own"),
        };
        values.iter_mut().for_each(|value| *value = (*value - middle) / half);
        values
    }

    /// The same of an encoder. FD-DINOv2's code squeezes pictures into squares, CMMD's cuts squares out of them.
    fn encoder_input(&self, design: &VitDesign, image: &RgbImage) -> Vec<f32> {
        let is_cut = design.family == VitFamily::Clip && image.width != image.height;
        let cut = is_cut.then(|| middle_square(image));
        let mut values = resized(self.resize, cut.as_ref().unwrap_or(image), self.side());
        let (means, deviations) = design.colours();
        for (index, value) in values.iter_mut().enumerate() {
            let colour = index % means.len();
            *value = (*value / 255.0 - means[colour]) / deviations[colour];
        }
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
            Network::Encoder(_) => return None,
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
