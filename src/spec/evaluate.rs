//! What is measured, how often and by which protocol.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Consistency, Difficulty, OdeSampler};

/// `evaluate`: measurements off the training clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluate {
    /// Steps between evaluations; the last step is always evaluated. Default 200.
    pub every: u64,
    /// The Fréchet distance and its protocol.
    pub fid: Fid,
    /// The loss on held-out images.
    pub validation: Validation,
    /// Images in the sample grid that is drawn at each evaluation, from the same noise in every run. Default 64.
    pub grid_images: usize,
    /// What is measured beside the Fréchet distance, of the same images and features: `kid`, `precision_recall`,
    /// `density_coverage`, `fid_infinity`, `inception_score`. Default: none.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub measures: BTreeSet<FurtherMeasure>,
    /// Which of a run's weights are measured. Default `averaged`.
    #[serde(skip_serializing_if = "EvaluatedWeights::is_default")]
    pub weights: EvaluatedWeights,
    /// Images from shared noise, kept to compare runs with each other. Off by default.
    #[serde(skip_serializing_if = "Consistency::is_default")]
    pub consistency: Consistency,
    /// How hard each part of the noise is to learn. Off by default.
    #[serde(skip_serializing_if = "Difficulty::is_default")]
    pub difficulty: Difficulty,
}

/// `evaluate.measures`: a measure beside the Fréchet distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FurtherMeasure {
    /// The kernel distance `kid` (Bińkowski et al. 2018, arXiv 1801.01401), which has no bias from few images, and its
    /// standard error `kid_se`: over 100 subsets of 1,000 images, or fewer and smaller ones of fewer images.
    Kid,
    /// `precision` and `recall` (Kynkäänniemi et al. 2019, arXiv 1904.06991), by the third nearest neighbour.
    PrecisionRecall,
    /// `density` and `coverage` (Naeem et al. 2020, arXiv 2002.09797), by the fifth nearest neighbour.
    DensityCoverage,
    /// `fid_infinity`, the Fréchet distance extrapolated to infinitely many generated images (Chong and Forsyth 2020, arXiv
    /// 1911.07023), and its line's standard error `fid_infinity_se`: from 15 subsets, the smallest of them a tenth of the images or
    /// twice as many as a feature vector has values, whichever is more. It needs three times as many images as values.
    FidInfinity,
    /// `inception_score` (Salimans et al. 2016, arXiv 1606.03498) and its deviation over ten splits `inception_score_sd`, where
    /// the features are `inception-v3`.
    InceptionScore,
}

impl FurtherMeasure {
    /// As it is written in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kid => "kid",
            Self::PrecisionRecall => "precision_recall",
            Self::DensityCoverage => "density_coverage",
            Self::FidInfinity => "fid_infinity",
            Self::InceptionScore => "inception_score",
        }
    }

    /// Whether it needs the features of every reference image, and not their mean and covariance alone.
    pub fn needs_reference(self) -> bool {
        match self {
            Self::Kid | Self::PrecisionRecall | Self::DensityCoverage => true,
            Self::FidInfinity | Self::InceptionScore => false,
        }
    }

    /// The least number of generated images that it can be made of, of feature vectors of `dimension` values.
    pub fn least_samples(self, dimension: usize) -> usize {
        match self {
            Self::Kid => 2,
            // A fifth neighbour, for both: they are measured together.
            Self::PrecisionRecall | Self::DensityCoverage => 6,
            // Its smallest subset has two for each value, and a line needs some way to go.
            Self::FidInfinity => (3 * dimension).max(150),
            // One for each split.
            Self::InceptionScore => 10,
        }
    }
}

/// `evaluate.weights`: which of a run's weights are measured. What is measured of averaged and of raw weights has its own
/// protocol: neither is compared with the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluatedWeights {
    /// The moving average of `train.ema_decay`. The default.
    #[default]
    Averaged,
    /// Those that the optimizer left.
    Raw,
    /// Each; the averaged ones are what `compare` compares. Twice the cost.
    Both,
}

impl EvaluatedWeights {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// In the order they are measured; the first is what is compared.
    pub fn each(self) -> &'static [Weights] {
        match self {
            Self::Averaged => &[Weights::Averaged],
            Self::Raw => &[Weights::Raw],
            Self::Both => &[Weights::Averaged, Weights::Raw],
        }
    }

    /// Those that are compared.
    pub fn compared(self) -> Weights {
        self.each()[0]
    }
}

/// Weights of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    #[default]
    Averaged,
    Raw,
}

impl Weights {
    pub fn is_averaged(&self) -> bool {
        *self == Self::Averaged
    }

    /// Which of the two.
    pub fn of<T>(self, averaged: T, raw: T) -> T {
        match self {
            Self::Averaged => averaged,
            Self::Raw => raw,
        }
    }

    /// In a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Averaged => "averaged",
            Self::Raw => "raw",
        }
    }

    /// As a protocol names them: `ema=0.999`, `raw`.
    pub fn protocol(self, ema_decay: f64) -> String {
        match self {
            Self::Averaged => format!("ema={ema_decay}"),
            Self::Raw => "raw".to_owned(),
        }
    }
}

/// `evaluate.fid`: the protocol, which is part of every value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fid {
    /// Generated images. Default 1000.
    pub samples: usize,
    /// What of the images is compared. Default `digits-cnn`.
    pub features: Features,
    /// The real images compared with. Default `train`.
    pub reference: Reference,
    /// With `reference: folder`, the folder of images compared with, cropped and resized as those of
    /// `data: { kind: image_folder }`. Empty otherwise.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reference_folder: String,
    /// How images get the size that the features' network sees. Default `customary`.
    #[serde(skip_serializing_if = "Resize::is_customary")]
    pub resize: Resize,
    /// How images are generated.
    pub ode: OdeSampler,
    /// Scale w of classifier-free guidance: what is predicted without a class plus w times what the class changes in it.
    /// Ho and Salimans 2022 (arXiv 2207.12598, equation 6) write it 1 + w; ADM's and DiT's code count as here, so that 1
    /// is no guidance. Two network evaluations a step unless it is 1. Default 1.
    #[serde(skip_serializing_if = "is_no_guidance")]
    pub guidance: f64,
}

fn is_no_guidance(guidance: &f64) -> bool {
    *guidance == 1.0
}

impl Fid {
    /// Network evaluations for each generated image.
    pub fn nfe(&self) -> usize {
        self.ode.nfe() * if is_no_guidance(&self.guidance) { 1 } else { 2 }
    }
}

/// `evaluate.fid.features`: what of the images is compared, most often the activations of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// A small classifier of 8x8 digits, shipped with the program. The default.
    #[default]
    DigitsCnn,
    /// A small classifier of MNIST, shipped with the program; of any grey 28x28 images, though strokes are what it
    /// knows.
    MnistCnn,
    /// No network: images as 8x8 squares of mean colour. Of any images at least so large; sees colours and where things
    /// are, and nothing finer.
    #[serde(rename = "pixels-8x8")]
    Pixels8,
    /// The 2048 values that papers compare: InceptionV3 of 2015-12-05, of images of any size. Its weights are fetched.
    #[serde(rename = "inception-v3")]
    InceptionV3,
    /// Its 768 values before the last blocks.
    #[serde(rename = "inception-v3-768")]
    InceptionV3At768,
    /// Its 192 values after the second pooling.
    #[serde(rename = "inception-v3-192")]
    InceptionV3At192,
    /// Its 64 values after the first pooling.
    #[serde(rename = "inception-v3-64")]
    InceptionV3At64,
    /// The 1280 values of EfficientNet-Lite0, trained on ImageNet, of images of any size. Its weights are fetched, also where
    /// only package registries can be reached.
    #[serde(rename = "efficientnet-lite0")]
    EfficientnetLite0,
}

/// `evaluate.fid.resize`: how images get the size that a network sees. Another way gives another distance (Parmar et al.
/// 2022, arXiv 2104.11222).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// What is usual with the features: `pytorch-fid` for Inception, `clean` for EfficientNet, `none` for the others. The
    /// default.
    #[default]
    Customary,
    /// None: images have the size that the network sees.
    None,
    /// Bilinear between pixels' centres, as pytorch-fid does.
    PytorchFid,
    /// Antialiased bicubic, as clean-fid does.
    Clean,
    /// Bilinear between pixels' corners, as TensorFlow 1 and torch-fidelity do.
    TorchFidelity,
}

impl Resize {
    pub fn is_customary(&self) -> bool {
        *self == Self::Customary
    }

    /// What it comes to with `features`.
    pub fn with(self, features: Features) -> Self {
        match self {
            Self::Customary if features.is_inception() => Self::PytorchFid,
            Self::Customary if features == Features::EfficientnetLite0 => Self::Clean,
            Self::Customary => Self::None,
            other => other,
        }
    }

    /// As it is written in YAML and in protocols.
    pub fn name(self) -> &'static str {
        match self {
            Self::Customary => "customary",
            Self::None => "none",
            Self::PytorchFid => "pytorch-fid",
            Self::Clean => "clean",
            Self::TorchFidelity => "torch-fidelity",
        }
    }
}

/// `evaluate.fid.reference`: the real images a sample is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The training split. The default.
    #[default]
    Train,
    /// The held-out split.
    Test,
    /// The images of `reference_folder`.
    Folder,
}

/// `evaluate.validation`: mean squared error on held-out images, overall and by bins of t.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Validation {
    /// Bins of equal width over t. Default 10.
    pub bins: usize,
    /// Held-out images, each at one timestep of every bin. Default 64.
    pub images: usize,
}

impl Features {
    /// Those made for few images first.
    pub const ALL: [Self; 8] = [
        Self::DigitsCnn,
        Self::MnistCnn,
        Self::Pixels8,
        Self::EfficientnetLite0,
        Self::InceptionV3,
        Self::InceptionV3At768,
        Self::InceptionV3At192,
        Self::InceptionV3At64,
    ];

    /// As it is written in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::DigitsCnn => "digits-cnn",
            Self::MnistCnn => "mnist-cnn",
            Self::Pixels8 => "pixels-8x8",
            Self::InceptionV3 => "inception-v3",
            Self::InceptionV3At768 => "inception-v3-768",
            Self::InceptionV3At192 => "inception-v3-192",
            Self::InceptionV3At64 => "inception-v3-64",
            Self::EfficientnetLite0 => "efficientnet-lite0",
        }
    }

    /// Whether they are the network's that "FID" without more words means.
    pub fn is_inception(self) -> bool {
        self.weights() == Some("inception-v3")
    }

    /// The fetched weights that they need; `None` where they come with the program.
    pub fn weights(self) -> Option<&'static str> {
        match self {
            Self::DigitsCnn | Self::MnistCnn | Self::Pixels8 => None,
            Self::InceptionV3 | Self::InceptionV3At768 | Self::InceptionV3At192 | Self::InceptionV3At64 => {
                Some("inception-v3")
            }
            Self::EfficientnetLite0 => Some("efficientnet-lite0"),
        }
    }

    /// Pixels of each side of what its network is shown; `None` where that is an image's own size.
    pub fn network_side(self) -> Option<usize> {
        match self.weights() {
            Some("inception-v3") => Some(299),
            Some(_) => Some(224),
            None => None,
        }
    }

    /// Values in a feature vector of images with this number of channels.
    pub fn dimension(self, channels: usize) -> usize {
        match self {
            Self::DigitsCnn | Self::MnistCnn => 64,
            Self::Pixels8 => 64 * channels,
            Self::InceptionV3 => 2048,
            Self::InceptionV3At768 => 768,
            Self::InceptionV3At192 => 192,
            Self::InceptionV3At64 => 64,
            Self::EfficientnetLite0 => 1280,
        }
    }

    /// Whether it sees images of this shape: (channels, side in pixels).
    pub fn fits(self, (channels, side): (usize, usize)) -> bool {
        match self {
            Self::DigitsCnn => (channels, side) == (1, 8),
            Self::MnistCnn => (channels, side) == (1, 28),
            Self::Pixels8 => side >= 8,
            _ => true,
        }
    }

    /// Whether an Inception score can be made of it: whether it is Inception, to the last layer.
    pub fn has_inception_score(self) -> bool {
        self == Self::InceptionV3
    }

    /// The images it sees, in words.
    pub fn images(self) -> &'static str {
        match self {
            Self::DigitsCnn => "grey 8x8 images",
            Self::MnistCnn => "grey 28x28 images",
            Self::Pixels8 => "images at least 8 pixels wide",
            _ => "any images",
        }
    }
}

impl Default for Evaluate {
    fn default() -> Self {
        Self {
            every: 200,
            fid: Fid::default(),
            validation: Validation::default(),
            grid_images: 64,
            measures: BTreeSet::new(),
            weights: EvaluatedWeights::default(),
            consistency: Consistency::default(),
            difficulty: Difficulty::default(),
        }
    }
}

impl Default for Fid {
    fn default() -> Self {
        Self {
            samples: 1000,
            features: Features::default(),
            reference: Reference::default(),
            reference_folder: String::new(),
            resize: Resize::default(),
            ode: OdeSampler::default(),
            guidance: 1.0,
        }
    }
}

impl Default for Validation {
    fn default() -> Self {
        Self { bins: 10, images: 64 }
    }
}
