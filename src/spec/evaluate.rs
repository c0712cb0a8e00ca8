//! What is measured, how often and by which protocol.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::OdeSampler;

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
    /// 1911.07023), from 15 subsets of a tenth to all of them, and its line's standard error `fid_infinity_se`. It means
    /// something where a tenth of the images are more than a feature vector has values.
    FidInfinity,
    /// `inception_score` (Salimans et al. 2016, arXiv 1606.03498) and its deviation over ten splits `inception_score_sd`, where
    /// the features are those of a network that tells classes of natural images.
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

    /// The least number of generated images that it can be made of.
    pub fn least_samples(self) -> usize {
        match self {
            Self::Kid => 2,
            // A fifth neighbour, for both: they are measured together.
            Self::PrecisionRecall | Self::DensityCoverage => 6,
            // Its smallest subset is a tenth.
            Self::FidInfinity => 150,
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
    /// With `reference: folder`, the folder of PNG and JPEG files compared with, cropped and resized as those of
    /// `data: { kind: image_folder }`. Empty otherwise.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reference_folder: String,
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
    pub const ALL: [Self; 3] = [Self::DigitsCnn, Self::MnistCnn, Self::Pixels8];

    /// As it is written in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::DigitsCnn => "digits-cnn",
            Self::MnistCnn => "mnist-cnn",
            Self::Pixels8 => "pixels-8x8",
        }
    }

    /// Whether it sees images of this shape: (channels, side in pixels).
    pub fn fits(self, (channels, side): (usize, usize)) -> bool {
        match self {
            Self::DigitsCnn => (channels, side) == (1, 8),
            Self::MnistCnn => (channels, side) == (1, 28),
            Self::Pixels8 => side >= 8,
        }
    }

    /// Whether it tells classes of natural images, which an Inception score is made of.
    pub fn tells_natural_classes(self) -> bool {
        match self {
            Self::DigitsCnn | Self::MnistCnn | Self::Pixels8 => false,
        }
    }

    /// The images it sees, in words.
    pub fn images(self) -> &'static str {
        match self {
            Self::DigitsCnn => "grey 8x8 images",
            Self::MnistCnn => "grey 28x28 images",
            Self::Pixels8 => "images at least 8 pixels wide",
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
