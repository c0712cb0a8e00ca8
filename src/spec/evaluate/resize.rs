//! How images get the size that a network sees.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Features;

/// `evaluate.fid.resize`: how images get the size that a network sees. The way of resizing changes the distance (Parmar et al.
/// 2022, arXiv 2104.11222).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// The way that is usual with the features: `pytorch-fid` for Inception, `clean` for EfficientNet, `pillow` for DINOv2 and CLIP, `none`
    /// for the others. The default.
    #[default]
    Customary,
    /// No resizing: images already have the size that the network sees.
    None,
    /// Bilinear between pixels' centres, as pytorch-fid does.
    PytorchFid,
    /// Antialiased bicubic, as clean-fid does.
    Clean,
    /// Antialiased bicubic, rounded to bytes, as Pillow does; so do the codes of FD-DINOv2 and CMMD.
    Pillow,
    /// Bilinear between pixels' corners, as TensorFlow 1 and torch-fidelity do.
    TorchFidelity,
}

impl Resize {
    pub fn is_customary(&self) -> bool {
        *self == Self::Customary
    }

    /// The way that is used with `features`.
    pub fn with(self, features: Features) -> Self {
        match self {
            Self::Customary if features.is_inception() => Self::PytorchFid,
            Self::Customary if features == Features::EfficientnetLite0 => Self::Clean,
            Self::Customary if features.are_of_file() => Self::Pillow,
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
            Self::Pillow => "pillow",
            Self::TorchFidelity => "torch-fidelity",
        }
    }
}
