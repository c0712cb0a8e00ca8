//! One run's measurements of one metric over its training.

use crate::record::RunRecord;

/// A measurement and what had been spent by then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    pub step: u64,
    pub images_seen: u64,
    pub train_seconds: f64,
    pub value: f64,
}

/// The run's measurements of `metric` by `protocol`, by step: the first of those at one step.
pub fn curve(run: &RunRecord, metric: &str, protocol: &str) -> Vec<Evaluation> {
    let mut curve: Vec<Evaluation> = run
        .rows
        .series(metric, protocol)
        .map(|row| Evaluation {
            step: row.step,
            images_seen: row.images_seen,
            train_seconds: row.train_seconds,
            value: row.value,
        })
        .collect();
    curve.sort_by_key(|evaluation| evaluation.step);
    // A value that is recorded twice says nothing more of the run's scatter.
    curve.dedup_by_key(|evaluation| evaluation.step);
    curve
}

/// The run's last measurement of `metric` by `protocol`, also if that was made after it had ended.
pub fn last_value(run: &RunRecord, metric: &str, protocol: &str) -> Option<f64> {
    let later = || run.later.series(metric, protocol).next_back().map(|row| row.value);
    curve(run, metric, protocol).last().map(|last| last.value).or_else(later)
}

/// The protocols by which the run's weights were measured: by itself, and after it had ended.
pub fn all_protocols<'a>(run: &'a RunRecord, metric: &str) -> Vec<&'a str> {
    let own = protocols(run, metric);
    let later = run.later.names().filter(|(name, _)| *name == metric).map(|(_, protocol)| protocol);
    let mut all = own.clone();
    all.extend(later.filter(|protocol| !own.contains(protocol)));
    all
}

/// The protocols that the run measured `metric` by, each once, in the order met.
pub fn protocols<'a>(run: &'a RunRecord, metric: &str) -> Vec<&'a str> {
    run.rows.names().filter(|(name, _)| *name == metric).map(|(_, protocol)| protocol).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Row;
    use crate::spec::{PlannedRun, RunSpec};

    #[test]
    fn a_curve_has_one_value_a_step() {
        let row = |step, value| Row {
            attempt: 1,
            step,
            images_seen: 16 * step,
            train_seconds: 0.0,
            wall_seconds: 0.0,
            metric: "fid",
            protocol: "n=20",
            value,
        };
        let mut run = RunRecord::new(PlannedRun::of_baseline(RunSpec::default()));
        run.rows = [row(20, 3.0), row(20, 3.5), row(40, 2.0)].into_iter().collect();
        let found: Vec<(u64, f64)> = curve(&run, "fid", "n=20").iter().map(|one| (one.step, one.value)).collect();
        assert_eq!(found, [(20, 3.0), (40, 2.0)]);
    }
}
