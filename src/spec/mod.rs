//! Plain data that goes down the pipeline: a sweep as written, a run with nothing left open, and their identities.
//!
//! Nothing here computes, draws, reads files or knows a device. Every field of [`RunSpec`] is a key of the YAML
//! grammar, with its one default.

mod alignment;
mod auxiliary_losses;
mod canonical;
mod cluster;
mod consistency;
mod data;
mod decode;
mod difficulty;
mod diffusion;
mod ema;
mod evaluate;
mod label_text;
mod labels;
mod model;
mod mup;
mod nearest;
mod ode_sampler;
mod optim;
mod patch_diffusion;
mod plan;
mod protocol;
mod run_id;
mod run_spec;
mod schedules;
pub(crate) mod schema;
mod sweep;
mod token_masking;
mod token_routing;
mod train;
mod trainer;
mod transformers;
mod tree;
mod until_decided;

pub use alignment::{AlignmentLoss, Dinov2Encoder, EfficientnetEncoder, Encoder};
pub use auxiliary_losses::{AuxiliaryLosses, DispersiveLoss};
pub use canonical::canonical_json;
pub use cluster::Cluster;
pub use consistency::Consistency;
pub use data::*;
pub use decode::{DecodeError, decode, decode_json, decode_under};
pub use difficulty::Difficulty;
pub use diffusion::*;
pub use ema::{Ema, ExponentialEma, HalfLifeEma, PostHoc, PostHocAverage, PowerEma};
pub use evaluate::*;
pub use label_text::{ends_or_turns_a_line, is_label, no_label};
pub use labels::{ArmLabel, AxisClash, AxisLabel, AxisLabelSpec, Color, Labels, LabelsSpec};
pub use model::*;
pub use mup::Mup;
pub use nearest::{nearest, quoted_list};
pub use ode_sampler::*;
pub use optim::*;
pub use patch_diffusion::{PatchDiffusion, PatchSchedule};
pub use plan::*;
pub use protocol::{FidProtocol, IMPORTED, MEASURED_BY_TRAINER, feature_protocol, network_protocol};
pub use run_id::RunId;
pub use run_spec::*;
pub use schedules::{BatchSizes, BatchStage, ResolutionStage, stage_end};
pub use sweep::*;
pub use token_masking::TokenMasking;
pub use token_routing::{TokenRouting, share_of};
pub use train::*;
pub use trainer::{Params, Trainer};
pub use transformers::*;
pub use tree::{Entry, Location, Node, Source, Value};
pub use until_decided::UntilDecided;

/// Declares an enum that is written in YAML as a map with a `kind` key, one struct of settings per kind.
///
/// It is serialised as `{kind: tag, ..settings}` and read through [`decode()`], which keeps the position of every
/// key (serde's own internally tagged enums buffer their content and lose it).
macro_rules! kinds {
    ($(#[doc = $doc:literal])* pub enum $Name:ident {
        $($(#[doc = $variant_doc:literal])* $Variant:ident($Settings:ty) = $tag:literal,)+
    }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        #[serde(tag = "kind")]
        pub enum $Name { $($(#[doc = $variant_doc])* #[serde(rename = $tag)] $Variant($Settings),)+ }

        impl $Name {
            /// The `kind` as it is written in YAML.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$Variant(_) => $tag,)+ }
            }
        }

        impl<'de> serde::Deserialize<'de> for $Name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(serde::Deserialize)]
                enum Written { $(#[serde(rename = $tag)] $Variant($Settings),)+ }
                Ok(match Written::deserialize(deserializer)? { $(Written::$Variant(settings) => Self::$Variant(settings),)+ })
            }
        }

        impl schemars::JsonSchema for $Name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($Name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let kinds = vec![$($crate::spec::schema::kind::<$Settings>(
                    generator, $tag, concat!($($variant_doc, "\n"),*),
                ),)+];
                $crate::spec::schema::one_of_kinds(concat!($($doc, "\n"),*), kinds)
            }
        }
    };
}
pub(crate) use kinds;

/// Declares a kind without settings of its own.
macro_rules! empty_settings {
    ($($(#[$meta:meta])* $Name:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $Name {}
    )+};
}
pub(crate) use empty_settings;
