//! The Fréchet distance and its protocol.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Features, FidPrecision, Resize};
use crate::spec::OdeSampler;

/// `evaluate.fid`: how the Fréchet distance is measured: the protocol, which is part of every value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Fid {
    /// The number of generated images. Default 1000.
    pub samples: usize,
    /// The features in which images are compared. Default `digits-cnn`.
    pub features: Features,
    /// The file of the weights of the features' network, with `features: dinov2` and `clip`: a `.safetensors` or `.pth` as DINOv2's authors
    /// or Hugging Face publish it (`facebook/dinov2-*`, `openai/clip-vit-large-patch14-336`). The tensors tell the size, which is part of
    /// the protocol. A relative path starts at the folder where the program is started. The content is part of a run's id, and the path is
    /// not. Empty otherwise.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub weights: String,
    /// The SHA-256 of `weights`, found when the sweep is planned.
    #[schemars(skip)]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub weights_sha256: String,
    /// The real images that generated ones are compared with. Default `train`.
    pub reference: Reference,
    /// The folder of the real images, with `reference: folder`. They are cropped and resized like those of
    /// `data: { kind: image_folder }`. Empty otherwise.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reference_folder: String,
    /// The file that generated images are compared with, with `reference: file`, an `.npz`: `mu` and `sigma` of features, as pytorch-fid
    /// and ADM's evaluations write them; or images, as those hold them too, `arr_0` of shape `[n, height, width, 3]`. A relative path starts
    /// at the folder where the program is started. The content is part of a run's id, and the path is not. Empty otherwise.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reference_file: String,
    /// The SHA-256 of `reference_file`, found when the sweep is planned.
    #[schemars(skip)]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reference_sha256: String,
    /// How images get the size that the features' network sees. Default `customary`.
    #[serde(skip_serializing_if = "Resize::is_customary")]
    pub resize: Resize,
    /// How images are generated.
    pub ode: OdeSampler,
    /// The scale w of classifier-free guidance. The prediction is the one without a class, plus w times what the class changes
    /// in it. 1 is no guidance, as in ADM's and DiT's code; Ho and Salimans 2022 (arXiv 2207.12598, equation 6) write the scale
    /// as 1 + w. Any other scale needs two network evaluations a step. Default 1.
    #[serde(skip_serializing_if = "is_no_guidance")]
    pub guidance: f64,
    /// The number format in which the network that generates the images and the one that gives their features multiply. Default `f32`.
    #[serde(skip_serializing_if = "FidPrecision::is_f32")]
    pub precision: FidPrecision,
}

fn is_no_guidance(guidance: &f64) -> bool {
    *guidance == 1.0
}

impl Fid {
    /// Network evaluations for each generated image.
    pub fn nfe(&self) -> usize {
        self.ode.nfe() * if is_no_guidance(&self.guidance) { 1 } else { 2 }
    }

    /// Whether generated images are compared with the same images in the same features, to the same precision, however they are generated.
    pub fn compares_like(&self, other: &Self) -> bool {
        let compared = |fid: &Self| (fid.features, fid.resize.with(fid.features), fid.reference, fid.precision);
        let named = |fid: &Self| (fid.reference_folder.clone(), fid.reference_file.clone(), fid.weights.clone());
        compared(self) == compared(other) && named(self) == named(other)
    }
}

impl Default for Fid {
    fn default() -> Self {
        Self {
            samples: 1000,
            features: Features::default(),
            weights: String::new(),
            weights_sha256: String::new(),
            reference: Reference::default(),
            reference_folder: String::new(),
            reference_file: String::new(),
            reference_sha256: String::new(),
            resize: Resize::default(),
            ode: OdeSampler::default(),
            guidance: 1.0,
            precision: FidPrecision::F32,
        }
    }
}

/// `evaluate.fid.reference`: the real images a sample is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The training split. The default.
    #[default]
    Train,
    /// The held-out split.
    Test,
    /// The images of `reference_folder`.
    Folder,
    /// What `reference_file` holds of images.
    File,
}
