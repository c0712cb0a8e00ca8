//! Averages of any length by power functions of time, made of those that a run kept (Karras et al. 2024, arXiv 2312.02696, section 3).

use std::fs;

use anyhow::{Context as _, bail};

use super::EvaluateCommandError as Error;
use crate::model;
use crate::optim::{POST_HOC_SIGMA_RELS, Profile, add_weighted, post_hoc_factors, post_hoc_missed};
use crate::record::RunFolder;
use crate::spec::{PostHocAverage, RunSpec};
use crate::train::{AverageSnapshot, Checkpoint};

/// The averages that a run kept, up to the step that those made of them end at.
pub struct KeptAverages {
    folder: RunFolder,
    parameter_count: usize,
    /// In order; at least one.
    steps: Vec<u64>,
    /// Those of the last step, where a checkpoint holds them.
    of_checkpoint: Option<AverageSnapshot>,
}

/// An average, and what it is made of.
pub struct MadeAverage {
    pub average: PostHocAverage,
    /// The factor of each kept average: of sigma_rel 0.05 and 0.1 of each step in turn.
    pub factors: Vec<f64>,
}

/// Whether a run keeps averages at all, if its sweep says so.
pub fn check_kept(folder: &RunFolder, spec: &RunSpec) -> Result<(), Error> {
    match spec.train.post_hoc.every {
        0 => Err(Error::NoneKept {
            path: folder.path.clone(),
            hint: "runs keep them with `train: { post_hoc: { every: 100 } }` in the sweep",
        }),
        _ => Ok(()),
    }
}

impl KeptAverages {
    /// Those in a run's files up to a step that is among them; by default up to the last.
    pub fn in_files(folder: &RunFolder, spec: &RunSpec, last: Option<u64>) -> anyhow::Result<Self> {
        check_kept(folder, spec)?;
        let mut steps = steps_in_files(folder, spec)?;
        if steps.is_empty() {
            let hint = "its sweep asks for them: copies have them where they were made with checkpoints, as by `speedlab bundle --checkpoints`";
            return Err(Error::NoneKept { path: folder.path.clone(), hint }.into());
        }
        if let Some(step) = last.filter(|last| !steps.contains(last)) {
            let known: Vec<String> = steps.iter().map(u64::to_string).collect();
            return Err(Error::OtherStep { step, known: known.join(", ") }.into());
        }
        // What came later is no part of an average that ends there.
        steps.retain(|&step| last.is_none_or(|last| step <= last));
        let parameter_count = model::parameter_count_for(spec);
        Ok(Self { folder: folder.clone(), parameter_count, steps, of_checkpoint: None })
    }

    /// Those of a checkpoint, and those of steps before it: a run that reached its target may have ended at a step that has no file.
    pub fn up_to_checkpoint(folder: &RunFolder, spec: &RunSpec, checkpoint: &mut Checkpoint) -> anyhow::Result<Self> {
        check_kept(folder, spec)?;
        let end = checkpoint.progress.stamp.step;
        let mut steps = steps_in_files(folder, spec)?;
        steps.retain(|&step| step < end);
        steps.push(end);
        let averages = std::mem::take(&mut checkpoint.post_hoc);
        let parameter_count = model::parameter_count_for(spec);
        let of_checkpoint = Some(AverageSnapshot { step: end, averages });
        Ok(Self { folder: folder.clone(), parameter_count, steps, of_checkpoint })
    }

    /// In order.
    pub fn steps(&self) -> &[u64] {
        &self.steps
    }

    /// The step that averages end at.
    pub fn last_step(&self) -> u64 {
        *self.steps.last().expect("some are kept")
    }

    /// How an average of a length is made of these. Nothing is read.
    pub fn average(&self, sigma_rel: f64) -> MadeAverage {
        let profiles = |&step: &u64| POST_HOC_SIGMA_RELS.map(|sigma_rel| Profile { step, sigma_rel });
        let kept: Vec<Profile> = self.steps.iter().flat_map(profiles).collect();
        let wanted = Profile { step: self.last_step(), sigma_rel };
        let factors = post_hoc_factors(&kept, wanted);
        let missed = post_hoc_missed(&kept, wanted, &factors);
        MadeAverage { average: PostHocAverage { sigma_rel, missed }, factors }
    }

    /// The weights of an average, one value a parameter. The kept ones are read one after the other.
    pub fn weights(&self, made: &MadeAverage) -> anyhow::Result<Vec<f32>> {
        let mut sum = vec![0.0; self.parameter_count];
        for (&step, factors) in self.steps.iter().zip(made.factors.chunks_exact(POST_HOC_SIGMA_RELS.len())) {
            let read;
            let snapshot = match &self.of_checkpoint {
                Some(snapshot) if snapshot.step == step => snapshot,
                _ => {
                    read = self.read(step)?;
                    &read
                }
            };
            for (average, &factor) in snapshot.averages.iter().zip(factors) {
                add_weighted(&mut sum, average, factor);
            }
        }
        Ok(sum.into_iter().map(|value| value as f32).collect())
    }

    fn read(&self, step: u64) -> anyhow::Result<AverageSnapshot> {
        let path = self.folder.averages(step);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let read = AverageSnapshot::from_bytes(&bytes, self.parameter_count)
            .with_context(|| format!("cannot read {}\nhint: without this file the others are used", path.display()))?;
        if read.step != step {
            bail!("{} holds averages of step {}: it is not this run's, or was renamed", path.display(), read.step);
        }
        Ok(read)
    }
}

fn steps_in_files(folder: &RunFolder, spec: &RunSpec) -> anyhow::Result<Vec<u64>> {
    let steps = folder.kept_steps()?;
    match steps.iter().find(|&&step| step == 0 || step > spec.train.steps) {
        Some(&step) => bail!("{} is not this run's: it has no such step", folder.averages(step).display()),
        None => Ok(steps),
    }
}
