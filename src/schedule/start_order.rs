//! The order that runs start in.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::{GpuKernels, QueuedRun, Slot};
use crate::event::RunOutcome;
use crate::spec::RunId;

/// Seeds in the order the plan first names them; within a seed first the runs that others wait for and that wait for none, then
/// by falling cost, if all its costs are known.
pub(super) fn in_start_order(runs: Vec<QueuedRun>) -> Vec<Entry> {
    let awaited: BTreeSet<RunId> =
        runs.iter().flat_map(|run| &run.waits_for).map(|shared| shared.run_id.clone()).collect();
    let mut seen = BTreeSet::new();
    let mut seeds: Vec<u64> = Vec::new();
    let mut by_seed: HashMap<u64, Vec<Entry>> = HashMap::new();
    for (plan_position, mut run) in runs.into_iter().enumerate() {
        if !seen.insert(run.run_id.clone()) {
            continue;
        }
        let state = match run.outcome.take() {
            Some(outcome) if outcome.is_final() || run.is_kept_out => State::Ended { outcome, before: true },
            _ => State::Ready,
        };
        let entries = by_seed.entry(run.seed).or_insert_with(|| {
            seeds.push(run.seed);
            Vec::new()
        });
        let micro_batches = run.micro_batches;
        entries.push(Entry {
            run,
            plan_position,
            starts: 0,
            crashes: 0,
            full_disks: 0,
            reached: 0,
            micro_batches,
            gpu_kernels: GpuKernels::Fused,
            early_crashes: 0,
            state,
        });
    }
    let mut in_order = Vec::new();
    for seed in seeds {
        let mut entries = by_seed.remove(&seed).expect("every seed listed has runs");
        let costs: Option<Vec<f64>> =
            entries.iter().map(|entry| entry.run.cost.filter(|cost| cost.is_finite())).collect();
        if costs.is_some() {
            let cost = |entry: &Entry| entry.run.cost.unwrap_or_default();
            entries.sort_by(|a, b| cost(b).total_cmp(&cost(a))); // stable: equal costs keep the plan's order
        }
        if !awaited.is_empty() {
            let waits = |entry: &Entry| entry.run.waits_for.is_some() || !awaited.contains(&entry.run.run_id);
            entries.sort_by_key(waits);
        }
        in_order.extend(entries);
    }
    in_order
}

/// A run in the queue.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub run: QueuedRun,
    pub plan_position: usize,
    pub starts: u32,
    /// Crashes and silences.
    pub crashes: u32,
    /// Full disks since its last checkpoint of this session.
    pub full_disks: u32,
    /// The furthest step that it has told of in this session.
    pub reached: u64,
    pub micro_batches: usize,
    /// Those of its last start on a GPU.
    pub gpu_kernels: GpuKernels,
    /// Crashes on GPUs before it told of a step, one after the other.
    pub early_crashes: u32,
    pub state: State,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    Ready,
    Pausing { until: Duration },
    Running { slot: Slot, since: Duration },
    Ended { outcome: RunOutcome, before: bool },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::SharedSteps;

    /// The numbers of the runs, given as (seed, cost), in the order they start.
    fn order(runs: &[(u64, Option<f64>)]) -> Vec<usize> {
        let run_id = |number: usize| RunId::parse(&format!("{number:012x}")).unwrap();
        let run = |(number, &(seed, cost))| QueuedRun::new(run_id(number), seed, cost, 64);
        let entries = in_start_order(runs.iter().enumerate().map(run).collect());
        entries.iter().map(|entry| entry.plan_position).collect()
    }

    #[test]
    fn seeds_stay_outermost_and_the_longest_run_of_a_seed_goes_first() {
        let (short, long) = (Some(1.0), Some(9.0));
        assert_eq!(order(&[(5, short), (5, long), (2, short), (2, long)]), [1, 0, 3, 2]);
    }

    #[test]
    fn seeds_that_the_plan_mixes_are_gathered() {
        assert_eq!(order(&[(0, None), (1, None), (0, None), (1, None)]), [0, 2, 1, 3]);
    }

    #[test]
    fn a_run_that_others_wait_for_goes_first_however_short_it_is() {
        let run_id = |number: usize| RunId::parse(&format!("{number:012x}")).unwrap();
        let run = |(number, (cost, of)): (usize, (f64, Option<usize>))| {
            let waits_for = of.map(|other| SharedSteps { run_id: run_id(other), step: 5 });
            QueuedRun { waits_for, ..QueuedRun::new(run_id(number), 0, Some(cost), 64) }
        };
        // The fourth waits for the second, for which the third waits as well; the fifth waits for the fourth.
        let runs = [(9.0, None), (1.0, None), (2.0, Some(1)), (8.0, Some(1)), (3.0, Some(3))];
        let entries = in_start_order(runs.into_iter().enumerate().map(run).collect());
        assert_eq!(entries.iter().map(|entry| entry.plan_position).collect::<Vec<_>>(), [1, 0, 3, 4, 2]);
    }

    #[test]
    fn equal_or_unknown_costs_keep_the_plans_order() {
        assert_eq!(order(&[(0, Some(2.0)); 4]), [0, 1, 2, 3]);
        assert_eq!(order(&[(0, Some(1.0)), (0, None), (0, Some(3.0))]), [0, 1, 2]);
        assert_eq!(order(&[(0, Some(1.0)), (0, Some(f64::NAN)), (0, Some(3.0))]), [0, 1, 2]);
    }
}
