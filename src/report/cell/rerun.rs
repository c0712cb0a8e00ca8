//! Whether a number holds when its runs are trained again.

use serde::Serialize;

use super::{Cell, CellDetail, CellNumber, Cells, detail};
use crate::event::Started;
use crate::record::{Row, RunRecord, RunState, StudyRecord};
use crate::report::comparison::Comparison;
use crate::report::cost::Cost;
use crate::report::grid::Grid;
use crate::report::labelled::labelled;
use crate::report::number::significant;
use crate::report::wording::state;

/// A number before, and with its runs trained again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rerun {
    pub before: CellDetail,
    /// The same number of the study in which the new runs stand for the old; `None` where there is no such number any more.
    pub now: Option<CellDetail>,
    pub runs: Vec<RerunRun>,
    /// Whether every run was trained on the same kind of device by the same build, so that equal bits are due.
    pub same_bits_are_due: bool,
    /// Whether every value of every run has the same bits.
    pub same_bits: bool,
    pub holds: bool,
    /// `holds: ..` or `does not hold: ..`, a sentence.
    pub verdict: String,
}

/// A run and what came of it again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RerunRun {
    pub run_id: String,
    pub arm: String,
    pub seed: u64,
    /// How it ended then and now.
    pub before: String,
    pub now: String,
    pub same_device: bool,
    /// One build of one version.
    pub same_program: bool,
    /// Values that were recorded both times.
    pub values: usize,
    /// The first value that differs, in words; `None` where all have the same bits.
    pub differs: Option<String>,
}

/// Compares the number with this id in `study` with that of the same study with the runs of `fresh` that it is made of. `None` where
/// the study has no such number.
pub fn compare_rerun(study: &StudyRecord, fresh: &StudyRecord, id: &str) -> Option<Rerun> {
    let before = detail_of(study, id)?;
    let record = |study: &StudyRecord, run_id: &str| -> Option<RunRecord> {
        study.runs.iter().find(|run| run.planned.run_id.as_str() == run_id).cloned()
    };
    let mut changed = study.clone();
    let mut runs = Vec::new();
    for run in before.runs.iter().filter(|run| run.counts) {
        let old = record(study, &run.run_id)?;
        if !has_result(&old) {
            continue;
        }
        let new = record(fresh, &run.run_id).unwrap_or_else(|| RunRecord::new(old.planned.clone()));
        runs.push(compared(&old, &new, &run.arm));
        let place = changed.runs.iter_mut().find(|run| run.planned.run_id == old.planned.run_id)?;
        *place = RunRecord { planned: old.planned, ..new };
    }
    let now = detail_of(&changed, id);
    let is_own = |run: &RunRecord| run.planned.spec.trainer.is_none();
    let own = before
        .runs
        .iter()
        .filter(|run| run.counts)
        .all(|run| record(study, &run.run_id).is_some_and(|run| is_own(&run)));
    let same_bits_are_due = own && runs.iter().all(|run| run.same_device && run.same_program);
    let same_bits = runs.iter().all(|run| run.differs.is_none());
    let (holds, why) = judged(&before, now.as_ref(), &runs, (same_bits_are_due, same_bits));
    let verdict = format!("{}: {why}", if holds { "holds" } else { "does not hold" });
    Some(Rerun { before, now, runs, same_bits_are_due, same_bits, holds, verdict })
}

/// Whether the run is recorded to its end, so that it can be compared with what it comes to again.
pub fn has_result(run: &RunRecord) -> bool {
    matches!(&run.state, RunState::Ended(outcome) if outcome.is_final())
}

/// The number with this id, with everything that it is made of.
fn detail_of(study: &StudyRecord, id: &str) -> Option<CellDetail> {
    let shown = labelled(study);
    let comparison = Comparison::of(&shown);
    let grid = Grid::of(&comparison);
    let cells = Cells::of(&comparison, &grid);
    let cell: &Cell = cells.find(id).ok()?;
    Some(detail(&comparison, &grid, cell))
}

fn compared(old: &RunRecord, new: &RunRecord, arm: &str) -> RerunRun {
    let (first, second) = (values(old), values(new));
    let differs = first.iter().zip(&second).find(|(first, second)| first != second).map(|(first, second)| {
        let (metric, _, step, bits) = first;
        let value = |bits: u64| f64::from_bits(bits);
        match (metric, step) == (&second.0, &second.2) {
            true => format!("{metric} at step {step} was {} and is {}", value(*bits), value(second.3)),
            false => format!("{metric} at step {step} was not measured again"),
        }
    });
    let differs = differs.or_else(|| {
        (first.len() != second.len()).then(|| format!("{} values were recorded and {} are", first.len(), second.len()))
    });
    let same = |of: fn(&Started) -> String| {
        let all = |run: &RunRecord| run.attempts.iter().map(of).collect::<std::collections::BTreeSet<String>>();
        let (first, second) = (all(old), all(new));
        first.len() == 1 && first == second && first.iter().all(|text| !text.is_empty())
    };
    RerunRun {
        run_id: old.planned.run_id.to_string(),
        arm: arm.to_owned(),
        seed: old.planned.seed,
        before: state(old),
        now: state(new),
        same_device: same(device_kind),
        same_program: same(|started| {
            if started.build.is_empty() { String::new() } else { format!("{} {}", started.program, started.build) }
        }),
        values: first.len().min(second.len()),
        differs,
    }
}

/// (metric, protocol, step, bits) of every value, in one order.
fn values(run: &RunRecord) -> Vec<(String, String, u64, u64)> {
    let value = |row: Row| (row.metric.to_owned(), row.protocol.to_owned(), row.step, row.value.to_bits());
    let mut values: Vec<_> = run.rows.iter().map(value).collect();
    values.sort();
    values
}

/// The device without what changes no bit: threads, and how many runs share it.
fn device_kind(started: &Started) -> String {
    let is_kept = |part: &&str| {
        let words = ["thread", "threads", "runs at once", "run at once"];
        !words.iter().any(|word| part.ends_with(word))
    };
    let kind = started.device.split(", ").filter(is_kept).collect::<Vec<_>>().join(", ");
    match started.micro_batches {
        1 => kind,
        parts => format!("{kind}, batches in {parts} parts"),
    }
}

fn judged(
    before: &CellDetail,
    now: Option<&CellDetail>,
    runs: &[RerunRun],
    (due, same_bits): (bool, bool),
) -> (bool, String) {
    let ended = |words: &str| words == "completed" || words.starts_with("diverged") || words == "stopped at the target";
    if let Some(run) = runs.iter().find(|run| !ended(&run.now) && ended(&run.before)) {
        return (
            false,
            format!("run {} of {}, seed {}, was {} and is {}", run.run_id, run.arm, run.seed, run.before, run.now),
        );
    }
    let differing = runs.iter().find_map(|run| Some((run, run.differs.as_ref()?)));
    if let (true, Some((run, what))) = (due, differing) {
        let RerunRun { run_id, arm, seed, .. } = run;
        return (
            false,
            format!("the device and the program are the same, and yet of run {run_id} ({arm}, seed {seed}) {what}"),
        );
    }
    let is_timed = before.measured_in == Some(Cost::TrainSeconds.name());
    let values: usize = runs.iter().map(|run| run.values).sum();
    let bits = format!("all {values} recorded values of the {} runs have the same bits", runs.len());
    let (Some(old), Some(new)) = (before.number, now.and_then(|now| now.number)) else {
        return match (before.number, same_bits) {
            (None, true) => (true, format!("{bits}, and there is still no number")),
            (None, false) => (false, "there was no number that could hold".to_owned()),
            (Some(_), _) => (false, "there is no number any more".to_owned()),
        };
    };
    if same_bits && !is_timed {
        return (true, format!("{bits}, and so has the number: {}", shown(&new)));
    }
    let prefix = if same_bits { format!("{bits}, and times are new: ") } else { String::new() };
    if !old.can_be_judged() && !new.can_be_judged() {
        let words = format!(
            "{prefix}{} then and {} now, of a single seed, which has no interval to judge by",
            shown(&old),
            shown(&new)
        );
        return (old.value == new.value, words);
    }
    let ((low, high), (new_low, new_high)) = (old.range(), new.range());
    let name = if before.measured_in.is_some() { "interval" } else { "range of seeds" };
    let (holds, how) = match () {
        () if (low..=high).contains(&new.value) && new.kind == "measured" => {
            (true, format!("lies within the {name} of before"))
        }
        () if new_low <= high && low <= new_high => {
            (true, format!("has an {name} that overlaps that of before").replace("an range", "a range"))
        }
        () => (false, format!("is outside of the {name} of before, and so is its own")),
    };
    (holds, format!("{prefix}{} {how}, {}", shown(&new), shown(&old)))
}

/// `1.51 (1.25 to 1.83)`, `at least 2.1`.
fn shown(number: &CellNumber) -> String {
    let value = significant(number.value, 4);
    match (number.kind, number.low, number.high) {
        ("at_least", ..) => format!("at least {value}"),
        ("at_most", ..) => format!("at most {value}"),
        (_, Some(low), Some(high)) => format!("{value} ({} to {})", significant(low, 4), significant(high, 4)),
        _ => value,
    }
}
