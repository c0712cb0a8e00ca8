//! The number format of what measures images.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `evaluate.fid.precision`: the number format in which images are generated and seen. It is part of the protocol: values of different
/// precision are not compared. The loss on held-out images is f32 all the same, as is what decodes latents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FidPrecision {
    /// f32. The default.
    #[default]
    F32,
    /// The factors of products are rounded to bf16, and their sums and results are f32, but for results within branches of
    /// transformers' blocks and of attention (see `train.precision`). The network that generates rounds what `train.precision:
    /// bf16` rounds on a processor, and the one that gives the features rounds the factors of all of its convolutions but the
    /// depthwise ones. Poolings, norms and activations are computed in f32. Features of the reference are computed in the same
    /// way, and a file of statistics is taken as it is. For processors with AVX512-BF16: a GPU does not measure in bf16.
    Bf16,
}

impl FidPrecision {
    /// As in the YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// Runs that were recorded before this key existed have it.
    pub fn is_f32(&self) -> bool {
        *self == Self::F32
    }

    /// The word of a protocol, with a space before it; nothing for f32.
    pub(in crate::spec) fn in_protocol(self) -> &'static str {
        match self {
            Self::F32 => "",
            Self::Bf16 => " precision=bf16",
        }
    }
}
