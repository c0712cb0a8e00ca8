//! The runs of a plan as the queue sees them, from the records of each.

use rayon::prelude::*;

use super::sharing::SharingRun;
use super::{Estimator, RunLabel, Sharing, StudyError};
use crate::event::{RunOutcome, SharedSteps};
use crate::record::{RecordError, RunFolder, RunRecord, RunState};
use crate::schedule::QueuedRun;
use crate::spec::PlannedRun;

/// The plan's runs, the folders made of those that have not ended.
pub struct StudyQueue {
    pub runs: Vec<QueuedRun>,
    pub labels: Vec<RunLabel>,
    /// What must fit on the disk for a run to go on: two checkpoints of the largest network, and what else a run leaves.
    pub room_bytes: u64,
    /// Who begins from the state of another.
    pub sharing: Sharing,
}

impl StudyQueue {
    /// `threads`: what a run has on its device, for the estimate of what it takes.
    /// `place`: the folder of a run while this process works on it.
    /// `shares`: whether a run may begin from the state of another.
    pub(super) fn read(
        planned: &[&PlannedRun],
        place: &(impl Fn(&PlannedRun) -> Result<RunFolder, RecordError> + Sync),
        threads: usize,
        shares: bool,
    ) -> Result<Self, StudyError> {
        let (mut runs, mut labels, mut disk_bytes) = (Vec::new(), Vec::new(), 0f64);
        let records = planned.par_iter().map(|&run| {
            let folder = place(run)?;
            Ok((RunRecord::read_in(&folder, run)?, folder))
        });
        let records = records.collect::<Result<Vec<_>, RecordError>>()?;
        let sharing = match shares {
            true => {
                let standing = records.iter().map(|(record, folder)| SharingRun::read(record, folder));
                Sharing::among(&standing.collect::<Result<Vec<_>, _>>()?)
            }
            false => Sharing::default(),
        };
        let estimator = Estimator::new(None, None, threads).with_trainers(records.iter().map(|(record, _)| record));
        for (record, run_folder) in records {
            let run = &record.planned;
            let outcome = match record.state {
                RunState::Ended(outcome) => Some(outcome),
                RunState::Damaged(damage) => {
                    Some(RunOutcome::Crashed { reason: format!("its record is damaged: {}", damage.join("; ")) })
                }
                RunState::Waiting | RunState::Unfinished => {
                    run_folder.prepare(run)?;
                    None
                }
            };
            disk_bytes = disk_bytes.max(estimator.cost(&run.spec).disk_bytes);
            let cost = estimator.seconds(&run.spec).map(|(train, eval)| train + eval);
            let cost_to_train = cost.map(|cost| cost * sharing.trained_share(run));
            // As its last attempt took them: what did not fit in memory then would not fit now.
            let last = record.attempts.last().filter(|_| outcome.is_none());
            let most_micro_batches = match run.spec.auxiliary_losses.compare_whole_batch() {
                true => 1,
                false => run.spec.train.batch_range().1,
            };
            let micro_batches = last.map_or(1, |last| last.micro_batches).min(most_micro_batches);
            let shared = sharing.of(&run.run_id);
            let first_step = shared.map_or(0, |shared| shared.step);
            let is_kept = |shared: &&SharedSteps| {
                run_folder.sweep().is_some_and(|sweep| sweep.run(&shared.run_id).kept_state(shared.step).exists())
            };
            let waits_for = shared.filter(|shared| !is_kept(shared)).cloned();
            labels.push(RunLabel { first_step, ..RunLabel::new(run, cost, run_folder.log()) });
            let is_kept_out = outcome.as_ref().is_some_and(|outcome| !outcome.is_final());
            let queued = QueuedRun::new(run.run_id.clone(), run.seed, cost_to_train, most_micro_batches);
            runs.push(QueuedRun { outcome, is_kept_out, micro_batches, waits_for, ..queued });
        }
        let room_bytes = (2 + sharing.most_kept() as u64) * disk_bytes as u64;
        Ok(Self { runs, labels, room_bytes, sharing })
    }

    /// Whether some run has not ended.
    pub fn has_work(&self) -> bool {
        self.runs.iter().any(|run| run.outcome.is_none())
    }
}
