//! Which runs of a study begin from the state of another after steps that both train alike.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use crate::checksum::sha256;
use crate::event::SharedSteps;
use crate::optim;
use crate::record::{RecordError, RunFolder, RunRecord, RunState, SweepFolder};
use crate::spec::{PlannedRun, RunId, RunSpec};
use crate::train;

/// The smallest share of a run that is worth waiting for another.
const LEAST_SHARE: f64 = 0.1;
/// A run is compared with so many of those before it that it could share anything with, so that the largest grid is read at once.
const MOST_COMPARED: usize = 32;

/// Who begins from whose state. Each run has it from one that stands before it in the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// By the run that begins so.
    from: BTreeMap<RunId, SharedSteps>,
}

/// A run, and how far it is.
pub(super) struct SharingRun<'r> {
    pub planned: &'r PlannedRun,
    pub has_ended: bool,
    /// The step of its last checkpoint; 0 before the first.
    pub checkpoint: u64,
    /// The steps whose checkpoints it has kept for others.
    pub kept: Vec<u64>,
}

impl<'r> SharingRun<'r> {
    /// As its record says.
    pub fn read(record: &'r RunRecord, folder: &RunFolder) -> Result<Self, RecordError> {
        let has_ended = matches!(record.state, RunState::Ended(_) | RunState::Damaged(_));
        let kept = if record.state == RunState::Waiting { Vec::new() } else { folder.kept_states()? };
        Ok(Self { planned: &record.planned, has_ended, checkpoint: record.checkpoint.1, kept })
    }

    /// A run that has not begun.
    fn new(planned: &'r PlannedRun) -> Self {
        Self { planned, has_ended: false, checkpoint: 0, kept: Vec::new() }
    }

    /// The last step up to `shared` whose state it has kept or will; it begins itself at step `begins`.
    fn gives(&self, shared: u64, begins: u64) -> Option<u64> {
        match !self.has_ended && self.checkpoint.max(begins) <= shared {
            true => Some(shared),
            false => self.kept.iter().copied().filter(|step| *step <= shared).max(),
        }
    }
}

impl Sharing {
    /// Of runs in the plan's order: for each that has not begun the longest part that it shares with one before it, if that is worth it;
    /// of equal ones the first.
    pub(super) fn among(runs: &[SharingRun]) -> Self {
        let mut sharing = Self::default();
        let mut known = KnownPairs::default();
        let keys: Vec<Keys> = runs.par_iter().map(|run| Keys::of(&run.planned.spec)).collect();
        let mut groups: HashMap<String, Vec<(usize, &SharingRun)>> = HashMap::new();
        for (run, Keys { group, trial }) in runs.iter().zip(keys) {
            let spec = &run.planned.spec;
            if spec.trainer.is_some() {
                continue;
            }
            let trial = known.trial(trial);
            let group = groups.entry(group).or_default();
            if !run.has_ended && run.checkpoint == 0 {
                let mut best: Option<SharedSteps> = None;
                for &(of_other, other) in &group[group.len().saturating_sub(MOST_COMPARED)..] {
                    let other_id = &other.planned.run_id;
                    let begins = sharing.from.get(other_id).map_or(0, |shared| shared.step);
                    let shared = known.shared_steps((of_other, &other.planned.spec), (trial, spec));
                    let Some(step) = other.gives(shared, begins) else { continue };
                    if step as f64 >= LEAST_SHARE * spec.train.steps as f64
                        && best.as_ref().is_none_or(|best| step > best.step)
                    {
                        best = Some(SharedSteps { run_id: other_id.clone(), step });
                    }
                }
                sharing.from.extend(best.map(|best| (run.planned.run_id.clone(), best)));
            }
            group.push((trial, run));
        }
        sharing
    }

    /// Of a plan as it stands in `folder`: `record` says how far a run is, where that is known.
    pub fn of_plan<'r>(
        runs: &'r [PlannedRun],
        folder: &SweepFolder,
        record: impl Fn(&RunId) -> Option<&'r RunRecord>,
    ) -> Result<Self, RecordError> {
        let standing = |run: &'r PlannedRun| match record(&run.run_id) {
            Some(record) => SharingRun::read(record, &folder.run(&run.run_id)),
            None => Ok(SharingRun::new(run)),
        };
        Ok(Self::among(&runs.iter().map(standing).collect::<Result<Vec<_>, _>>()?))
    }

    /// The run and the step that this one begins from.
    pub fn of(&self, run_id: &RunId) -> Option<&SharedSteps> {
        self.from.get(run_id)
    }

    /// The steps whose states a run keeps for others, in order.
    pub fn kept_by(&self, run_id: &RunId) -> Vec<u64> {
        let mut steps: Vec<u64> =
            self.from.values().filter(|shared| shared.run_id == *run_id).map(|shared| shared.step).collect();
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// The most states that one run keeps.
    pub(super) fn most_kept(&self) -> usize {
        let mut kept: HashMap<&RunId, BTreeSet<u64>> = HashMap::new();
        for shared in self.from.values() {
            kept.entry(&shared.run_id).or_default().insert(shared.step);
        }
        kept.values().map(BTreeSet::len).max().unwrap_or(0)
    }

    /// The share of a run's images that it trains on itself.
    pub fn trained_share(&self, run: &PlannedRun) -> f64 {
        let train = &run.spec.train;
        let taken = self.of(&run.run_id).map_or(0, |shared| train.images_after(shared.step));
        1.0 - taken as f64 / train.images_after(train.steps).max(1) as f64
    }

    /// Removes the states that a run has kept and that no other waits for any more: each has ended, or has a checkpoint of its own.
    pub(super) fn tidy(&self, sweep: &SweepFolder, run_id: &RunId) -> Result<(), RecordError> {
        let folder = sweep.run(run_id);
        for step in folder.kept_states()? {
            let mut takers = self.from.iter().filter(|(_, shared)| shared.run_id == *run_id && shared.step == step);
            let is_wanted = takers.any(|(taker, _)| {
                let taker = sweep.run(taker);
                !taker.has_ended() && !taker.checkpoint().exists()
            });
            if !is_wanted {
                folder.remove_kept_state(step)?;
            }
        }
        Ok(())
    }
}

/// What tells runs apart, as sums of text.
struct Keys {
    /// Equal for all runs that can share anything: what they may differ in is left out, but for the first step.
    group: String,
    /// Equal for runs that differ in their seed alone.
    trial: String,
}

impl Keys {
    fn of(spec: &RunSpec) -> Self {
        let sum = |spec: &RunSpec| sha256(serde_json::to_string(spec).expect("a spec is JSON").as_bytes());
        let mut group = spec.clone();
        // The defaults of a key stand for any value of it.
        let plain = RunSpec::default();
        (group.timestep_sampler, group.momentum, group.lr_schedule) =
            (plain.timestep_sampler, plain.momentum, plain.lr_schedule);
        group.auxiliary_losses.alignment.until = plain.auxiliary_losses.alignment.until;
        group.token_masking.until = plain.token_masking.until;
        let (train, plain) = (&mut group.train, plain.train);
        (train.steps, train.batch_size, train.warmup_steps) = (plain.steps, plain.batch_size, plain.warmup_steps);
        train.checkpoint_seconds = plain.checkpoint_seconds;
        train.batch_schedule.clear();
        train.resolution_schedule.clear();
        let (images, side) = (spec.train.batch_sizes().at(0), spec.side_at(0));
        let (kind, rate) = (spec.timestep_sampler.kind(), optim::learning_rate(spec, 0));
        let group = format!("{} {kind} {images} {side} {rate}", sum(&group));
        Self { group, trial: sum(&RunSpec { seed: 0, ..spec.clone() }) }
    }
}

/// What pairs of runs share does not depend on their seed, and is found once.
#[derive(Default)]
struct KnownPairs {
    /// By [`Keys::trial`].
    trials: HashMap<String, usize>,
    shared: HashMap<(usize, usize), u64>,
}

impl KnownPairs {
    fn trial(&mut self, key: String) -> usize {
        let next = self.trials.len();
        *self.trials.entry(key).or_insert(next)
    }

    /// Of runs of one seed.
    fn shared_steps(&mut self, one: (usize, &RunSpec), other: (usize, &RunSpec)) -> u64 {
        let shared = self.shared.entry((one.0, other.0));
        *shared.or_insert_with(|| train::shared_steps(one.1, other.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{LrSchedule, WsdLr};

    /// A run of 100 steps whose learning rate decays over the last share of them.
    fn run(decay: f64, seed: u64) -> PlannedRun {
        let mut spec =
            RunSpec { lr_schedule: LrSchedule::Wsd(WsdLr { decay, ..WsdLr::default() }), seed, ..RunSpec::default() };
        spec.train.steps = 100;
        PlannedRun::of_baseline(spec)
    }

    fn found(runs: &[SharingRun]) -> Vec<Option<(usize, u64)>> {
        let sharing = Sharing::among(runs);
        let place = |shared: &SharedSteps| runs.iter().position(|run| run.planned.run_id == shared.run_id).unwrap();
        runs.iter().map(|run| sharing.of(&run.planned.run_id).map(|shared| (place(shared), shared.step))).collect()
    }

    #[test]
    fn each_run_begins_from_the_one_that_it_shares_most_with() {
        let runs = [run(0.5, 0), run(0.2, 0), run(0.1, 0), run(0.2, 1), run(0.96, 1), run(0.5, 1)];
        let standing: Vec<SharingRun> = runs.iter().map(SharingRun::new).collect();
        // tau = 0.5 is the first step that decays, and is trained at the full rate: step 51 is the first that differs.
        let expected = [None, Some((0, 51)), Some((1, 81)), None, None, Some((3, 51))];
        assert_eq!(found(&standing), expected);
        let sharing = Sharing::among(&standing);
        assert_eq!(sharing.kept_by(&runs[0].run_id), [51]);
        assert_eq!((sharing.most_kept(), sharing.from.len()), (1, 3));
        assert!((sharing.trained_share(&runs[1]) - 0.49).abs() < 1e-12 && sharing.trained_share(&runs[0]) == 1.0);
    }

    #[test]
    fn a_run_gives_only_what_it_has_kept_or_has_yet_to_get_to() {
        let runs = [run(0.5, 0), run(0.2, 0)];
        let with = |change: &dyn Fn(&mut SharingRun)| {
            let mut standing: Vec<SharingRun> = runs.iter().map(SharingRun::new).collect();
            change(&mut standing[0]);
            found(&standing)[1]
        };
        assert_eq!(with(&|one| one.checkpoint = 51), Some((0, 51)));
        assert_eq!(with(&|one| one.checkpoint = 52), None);
        assert_eq!(with(&|one| (one.checkpoint, one.kept) = (100, vec![30, 51])), Some((0, 51)));
        assert_eq!(with(&|one| (one.has_ended, one.kept) = (true, vec![30, 60])), Some((0, 30)));
        assert_eq!(with(&|one| (one.has_ended, one.kept) = (true, vec![9])), None, "that little is not worth it");
        assert_eq!(with(&|one| one.has_ended = true), None);
    }

    #[test]
    fn a_run_that_has_begun_goes_on_by_itself() {
        let runs = [run(0.5, 0), run(0.2, 0)];
        let mut standing: Vec<SharingRun> = runs.iter().map(SharingRun::new).collect();
        standing[1].checkpoint = 3;
        assert_eq!(found(&standing), [None, None]);
    }

    #[test]
    fn states_that_nobody_waits_for_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let sweep = SweepFolder { path: folder.path().to_owned() };
        let runs = [run(0.5, 0), run(0.2, 0)];
        let [one, other] = runs.each_ref().map(|run| sweep.run(&run.run_id));
        one.prepare(&runs[0]).unwrap();
        other.prepare(&runs[1]).unwrap();
        let standing: Vec<SharingRun> = runs.iter().map(SharingRun::new).collect();
        let sharing = Sharing::among(&standing);
        for step in [40, 51] {
            std::fs::write(one.kept_state(step), "a state").unwrap();
        }
        std::fs::write(one.checkpoint(), "the last state").unwrap();
        sharing.tidy(&sweep, &runs[0].run_id).unwrap();
        assert_eq!(one.kept_states().unwrap(), [51]);
        std::fs::write(other.checkpoint(), "its own").unwrap();
        sharing.tidy(&sweep, &runs[0].run_id).unwrap();
        assert_eq!(one.kept_states().unwrap(), [0; 0]);
        assert!(one.checkpoint().exists());
    }
}
