//! Where the time of a study went.

use serde::Serialize;

use super::{HeldTime, RunRecord};
use crate::event::Stamp;

/// Seconds of all places for runs together, by what they were spent on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SpentTime {
    pub training: f64,
    pub evaluation: f64,
    pub checkpoints: f64,
    /// Until training began, in each attempt, and starting and ending processes.
    pub start_up: f64,
    /// What no clock of a run counts.
    pub other: f64,
    /// Places that had no run: a round's last runs are waited for. `None` where some process left no word of its end.
    pub idle: Option<f64>,
    /// From the first start to the last end, over all rounds; `None` as above.
    pub elapsed: Option<f64>,
}

impl SpentTime {
    /// By the clocks of `runs`, and what is known of the time that devices were `held` for them.
    pub fn of<'r>(runs: impl Iterator<Item = &'r RunRecord>, held: Option<HeldTime>) -> Self {
        let (mut stamps, mut shared, mut attempts) = (Vec::<Stamp>::new(), Vec::<Stamp>::new(), 0);
        for run in runs {
            stamps.extend(run.last_stamp);
            shared.extend(run.shared.as_ref().map(|shared| shared.stamp));
            attempts += run.attempts.len();
        }
        // What runs have from others was spent once, by those.
        let sum =
            |clock: fn(&Stamp) -> f64| stamps.iter().map(clock).sum::<f64>() - shared.iter().map(clock).sum::<f64>();
        let wall = sum(|stamp| stamp.wall_seconds);
        // A round that was killed counted nothing, and nor did a cluster: then more attempts have begun than are known of.
        let held = held.filter(|held| held.starts >= attempts && held.busy_seconds >= wall);
        let outside = held.map_or(0.0, |held| held.busy_seconds - wall);
        let (training, evaluation) = (sum(|stamp| stamp.train_seconds), sum(|stamp| stamp.eval_seconds));
        let (checkpoints, set_up) = (sum(|stamp| stamp.checkpoint_seconds), sum(|stamp| stamp.setup_seconds));
        Self {
            training,
            evaluation,
            checkpoints,
            start_up: set_up + outside,
            other: (wall - training - evaluation - checkpoints - set_up).max(0.0),
            idle: held.map(|held| (held.place_seconds - held.busy_seconds).max(0.0)),
            elapsed: held.map(|held| held.seconds),
        }
    }

    /// (name, seconds) of all that is known and took time.
    pub fn parts(&self) -> Vec<(&'static str, f64)> {
        let idle = self.idle.unwrap_or(0.0);
        let parts = [
            ("training", self.training),
            ("evaluation", self.evaluation),
            ("start-up", self.start_up),
            ("checkpoints", self.checkpoints),
            ("other", self.other),
            ("idle", idle),
        ];
        parts.into_iter().filter(|(_, seconds)| *seconds > 1e-3).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Started;
    use crate::spec::{PlannedRun, RunSpec};

    fn run(stamp: Stamp) -> RunRecord {
        let planned = PlannedRun::of_baseline(RunSpec::default());
        let started = Started::of_test(1, 0);
        RunRecord { last_stamp: Some(stamp), attempts: vec![started], ..RunRecord::new(planned) }
    }

    #[test]
    fn steps_that_runs_share_are_counted_once() {
        let stamp = |seconds| Stamp { train_seconds: seconds, wall_seconds: seconds, ..Stamp::default() };
        let run_id = crate::spec::RunId::parse("0123456789ab").unwrap();
        let from = crate::event::SharedSteps { run_id, step: 60 };
        let sharing = RunRecord { shared: Some(crate::record::Shared { from, stamp: stamp(6.0) }), ..run(stamp(10.0)) };
        let spent = SpentTime::of([run(stamp(9.0)), sharing].iter(), None);
        assert_eq!((spent.training, spent.other), (13.0, 0.0));
    }

    #[test]
    fn what_no_clock_of_a_run_counts_is_starting_and_waiting() {
        let stamp = Stamp {
            train_seconds: 8.0,
            eval_seconds: 1.5,
            checkpoint_seconds: 0.25,
            setup_seconds: 0.5,
            wall_seconds: 10.375,
            ..Stamp::default()
        };
        let runs = [run(stamp), run(stamp), RunRecord::new(PlannedRun::of_baseline(RunSpec::default()))];
        // Two places for 11 s; each run's process was there for 10.5 s.
        let held = HeldTime { seconds: 11.0, place_seconds: 22.0, busy_seconds: 21.0, starts: 2 };
        let spent = SpentTime::of(runs.iter(), Some(held));
        assert_eq!((spent.training, spent.evaluation, spent.checkpoints), (16.0, 3.0, 0.5));
        assert_eq!((spent.start_up, spent.other, spent.idle, spent.elapsed), (1.25, 0.25, Some(1.0), Some(11.0)));
        assert_eq!(spent.parts().iter().map(|(_, seconds)| seconds).sum::<f64>(), 22.0);
        // A session that was killed after these runs had ended.
        let killed = SpentTime::of(runs.iter(), Some(HeldTime { starts: 1, ..held }));
        assert_eq!((killed.start_up, killed.idle, killed.elapsed), (1.0, None, None));
        assert!(SpentTime::of(runs[2..].iter(), None).parts().is_empty());
    }
}
