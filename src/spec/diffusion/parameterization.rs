//! What the network predicts.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::spec::schema::{kind, one_of_kinds, serialize_kind, word};

/// `parameterization`: what the network predicts. It is a word, or a map with a `kind`. Default `epsilon`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Parameterization {
    /// The noise (Ho et al. 2020, equation 14).
    #[default]
    Epsilon,
    /// The velocity of the path: sqrt(abar_t) epsilon - sqrt(1 - abar_t) x_0 (Salimans and Ho 2022, arXiv 2202.00512, appendix D), and
    /// epsilon - x_0 under `noise_schedule: rectified_flow` (Liu, Gong and Liu 2022, arXiv 2209.03003).
    V,
    /// The image (Ho et al. 2020, section 3.2).
    X0,
    /// EDM's preconditioning (Karras et al. 2022, arXiv 2206.00364, table 1): the input of the network F is c_in x with x = x_t / a_t,
    /// and the image is c_skip x + c_out F. Input and target then have unit variance at every noise level. F is
    /// told t as under every other parameterization, and not the paper's c_noise = ln(sigma) / 4. One is a function of the
    /// other, and the network's sinusoids are made for 0..T.
    Edm(EdmParameterization),
    /// FDM on EDM's preconditioning (Wu et al. 2023, arXiv 2306.06991): as `edm`, but c_in is exp(-B) (1 + B), a critically
    /// damped decay of the input. Its loss weights are `loss_weighting: fdm`.
    Fdm(FdmParameterization),
}

/// The network's input is c_in x and the image is c_skip x + c_out F, with x = x_t / a_t.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EdmParameterization {
    /// The standard deviation of pixels. Default 0.5 (the paper's).
    pub sigma_data: f64,
}

/// As `edm`, but c_in is exp(-B) (1 + B), with B = multiplier (0.1 u + 9.95 u^2), where u goes from 0 at the process's least
/// sigma to 1 at its largest, evenly in sigma: as in the paper's code.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FdmParameterization {
    /// The standard deviation of pixels. Default 0.5 (the paper's).
    pub sigma_data: f64,
    /// How fast the input decays. Default 2 (the paper's code; 1 for FFHQ).
    pub multiplier: f64,
}

impl Default for FdmParameterization {
    fn default() -> Self {
        Self { sigma_data: 0.5, multiplier: 2.0 }
    }
}

impl Default for EdmParameterization {
    fn default() -> Self {
        Self { sigma_data: 0.5 }
    }
}

impl Serialize for Parameterization {
    /// A kind without settings is written as a word, since the ids of runs depend on it.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Epsilon | Self::V | Self::X0 => serializer.serialize_str(self.name()),
            Self::Edm(settings) => serialize_kind(self.name(), settings, serializer),
            Self::Fdm(settings) => serialize_kind(self.name(), settings, serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Parameterization {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum WordOrKind {
            Epsilon,
            V,
            X0,
            Edm(EdmParameterization),
            Fdm(FdmParameterization),
        }
        Ok(match WordOrKind::deserialize(deserializer)? {
            WordOrKind::Epsilon => Self::Epsilon,
            WordOrKind::V => Self::V,
            WordOrKind::X0 => Self::X0,
            WordOrKind::Edm(edm) => Self::Edm(edm),
            WordOrKind::Fdm(fdm) => Self::Fdm(fdm),
        })
    }
}

impl JsonSchema for Parameterization {
    fn schema_name() -> Cow<'static, str> {
        "Parameterization".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds = vec![
            word("epsilon", "The noise (Ho et al. 2020, equation 14). The default."),
            word(
                "v",
                "The velocity of the path (Salimans and Ho 2022, arXiv 2202.00512, appendix D); epsilon - x_0 under \
                 `noise_schedule: rectified_flow` (Liu, Gong and Liu 2022, arXiv 2209.03003).",
            ),
            word("x0", "The image (Ho et al. 2020, section 3.2)."),
            kind::<EdmParameterization>(generator, "edm", "EDM's preconditioning (Karras et al. 2022, table 1)."),
            kind::<FdmParameterization>(
                generator,
                "fdm",
                "FDM on EDM's preconditioning (Wu et al. 2023, arXiv 2306.06991).",
            ),
            word("edm", "`{ kind: edm }` with its defaults."),
            word("fdm", "`{ kind: fdm }` with its defaults."),
        ];
        one_of_kinds("`parameterization`: what the network predicts. It is a word, or a map with a `kind`.", kinds)
    }
}

impl Parameterization {
    /// As it is written in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::V => "v",
            Self::X0 => "x0",
            Self::Edm(_) => "edm",
            Self::Fdm(_) => "fdm",
        }
    }

    /// The standard deviation of pixels that EDM's preconditioning assumes, under the parameterizations that have it.
    pub fn sigma_data(self) -> Option<f64> {
        match self {
            Self::Epsilon | Self::V | Self::X0 => None,
            Self::Edm(edm) => Some(edm.sigma_data),
            Self::Fdm(fdm) => Some(fdm.sigma_data),
        }
    }
}
