//! One run, with every setting resolved.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;

/// The version of [`RunSpec`]'s meaning. It is part of every [`RunId`]: raise it when the same keys come to mean
/// another result.
pub const RUN_SPEC_VERSION: u32 = 1;

/// Everything that decides a run's result; the keys of `base:` in a sweep, and the seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunSpec {
    pub data: Data,
    pub noise_schedule: NoiseSchedule,
    pub parameterization: Parameterization,
    pub model: Model,
    pub timestep_sampler: TimestepSampler,
    pub noise: NoiseAssignment,
    pub loss_weighting: LossWeighting,
    #[serde(skip_serializing_if = "AuxiliaryLosses::is_default")]
    pub auxiliary_losses: AuxiliaryLosses,
    #[serde(skip_serializing_if = "TokenRouting::is_default")]
    pub token_routing: TokenRouting,
    #[serde(skip_serializing_if = "TokenMasking::is_default")]
    pub token_masking: TokenMasking,
    #[serde(skip_serializing_if = "PatchDiffusion::is_default")]
    pub patch_diffusion: PatchDiffusion,
    pub optimizer: Optimizer,
    pub momentum: MomentumSchedule,
    pub lr_schedule: LrSchedule,
    pub train: Train,
    pub evaluate: Evaluate,
    #[serde(deserialize_with = "trainer::word_or_map", skip_serializing_if = "Option::is_none")]
    pub trainer: Option<Trainer>,
    /// Settings that your own trainer is given, under names of your choice. Every name has a value in `base`; arms, axes and
    /// `--set` may give it other values of the same type. Default: none.
    #[serde(skip_serializing_if = "Params::is_empty")]
    pub params: Params,
    /// Set by the sweep's `seeds`, not by `base`.
    pub seed: u64,
}

/// What a model must know about the images that it is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataShape {
    pub channels: usize,
    /// Width and height in pixels.
    pub side: usize,
    /// Number of classes, where the images have one each.
    pub classes: Option<usize>,
}

/// (channels, side) of images without classes.
impl From<(usize, usize)> for DataShape {
    fn from((channels, side): (usize, usize)) -> Self {
        Self { channels, side, classes: None }
    }
}

impl RunSpec {
    /// Number of classes that the model is told of; none where it is not class-conditional.
    pub fn told_classes(&self) -> Option<usize> {
        self.data.classes().filter(|_| self.model.class_conditional())
    }

    /// The run as it is measured in each way in turn: by `evaluate.fid`, which is compared, and with every entry of `evaluate.also` in
    /// its place.
    pub fn by_each_fid(&self) -> impl Iterator<Item = Cow<'_, Self>> {
        let by = |fid: &Fid| {
            let mut by = self.clone();
            by.evaluate.also.clear();
            // Images are kept of what is compared alone.
            by.evaluate.consistency = Consistency::default();
            by.evaluate.fid = fid.clone();
            Cow::Owned(by)
        };
        std::iter::once(Cow::Borrowed(self)).chain(self.evaluate.also.iter().map(by))
    }
}
