//! Whether runs of two studies that have one seed draw the same.

use std::collections::BTreeSet;

use serde_json::json;

use crate::record::StudyRecord;
use crate::spec::{RunSpec, Trainer};

/// What decides first weights, batches, noises and timesteps beside the seed.
#[derive(Debug, PartialEq)]
pub(super) struct Draws(BTreeSet<String>);

impl Draws {
    /// `None` where not all runs draw as Speedlab does: nobody knows then.
    pub fn of(study: &StudyRecord) -> Option<Self> {
        let runs = &study.plan.runs;
        let is_own = runs.iter().all(|run| run.spec.trainer.as_ref().is_none_or(Trainer::is_torch));
        let of_run = runs.iter().map(|run| {
            let RunSpec { data, model, train, patch_diffusion, .. } = &run.spec;
            json!([data, train.batch_size, train.batch_schedule, train.resolution_schedule, patch_diffusion, model])
                .to_string()
        });
        is_own.then(|| Self(of_run.collect()))
    }
}
