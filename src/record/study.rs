//! All records of a sweep, as a report reads them.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::later::rows_of;
use super::{
    HeldTime, PlanFile, RecordError, Revision, Rows, RunFolder, SweepFolder, effective_events, first_folder, quoted,
    read_journal, running_arguments, write_curves,
};
use crate::event::{RunEvent, RunOutcome, SharedSteps, Stamp, Started};
use crate::spec::{Plan, PlannedRun};

/// A sweep's plan and what its runs have recorded so far.
#[derive(Clone, Debug)]
pub struct StudyRecord {
    /// `results/<sweep>`.
    pub folder: PathBuf,
    /// The folder as commands are to call it; `None` for where the records were made, so that a report which travels with them stays the same.
    pub place: Option<PathBuf>,
    pub plan: Plan,
    /// The sweep's file and what was set beside it, as on the command line after `speedlab run`.
    pub sweep_arguments: String,
    /// The changes after the plan was first frozen, oldest first.
    pub revisions: Vec<Revision>,
    /// How long devices were held for runs, where processes of this machine conducted the sweep.
    pub held: Option<HeldTime>,
    /// In the plan's order; a run that has not started yet has no rows.
    pub runs: Vec<RunRecord>,
}

/// The record of one run.
#[derive(Clone, Debug)]
pub struct RunRecord {
    pub planned: PlannedRun,
    pub state: RunState,
    /// How the last attempt ended, if it said so.
    pub last_outcome: Option<RunOutcome>,
    /// Every attempt's first event.
    pub attempts: Vec<Started>,
    /// The first steps of another run that are this one's too, and were trained by that one alone.
    pub shared: Option<Shared>,
    /// The curves without what later attempts made void, by step.
    pub rows: Rows,
    /// What was measured of its weights after it had ended, and not by itself. Arms are not compared by it.
    pub later: Rows,
    /// Files of such values that are damaged or of a newer program, and are left out: what is wrong with each.
    pub unread: Vec<String>,
    /// The densities by step.
    pub densities: Vec<TimestepDensity>,
    /// (step, PNG) of each sample grid, by step.
    pub samples: Vec<(u64, PathBuf)>,
    /// (step, file) of the images from shared noise that were kept, by step.
    pub consistency: Vec<(u64, PathBuf)>,
    /// Seconds of training that the device waited for images, of `train_seconds` in which this was measured.
    pub waiting: Option<Waiting>,
    /// The share of training in which at least one kernel ran on the device, whoever started it; over the parts of training in which
    /// the driver's counter said it.
    pub device_utilization: Option<f64>,
    /// Torn lines that the journal's reader skipped.
    pub torn_lines: usize,
    /// The clocks as they last were.
    pub last_stamp: Option<Stamp>,
    /// The last checkpoint: its number and its step; zeros before the first.
    pub checkpoint: (u32, u64),
}

/// First steps that a run has from another.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    pub from: SharedSteps,
    /// The clocks after them, as the other run had them: this run's clocks go on from there.
    pub stamp: Stamp,
}

/// What is wrong with a record in one line: the first sentence, and how many more there are.
pub fn first_and_count(damage: &[String]) -> String {
    match damage {
        [] => String::new(),
        [only] => only.clone(),
        [first, more @ ..] => format!("{first}, and {} more", more.len()),
    }
}

/// How long a device waited for images while it was to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waiting {
    pub wait_seconds: f64,
    pub train_seconds: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RunState {
    Waiting,
    /// Has recorded something and has not ended for good.
    Unfinished,
    Ended(RunOutcome),
    /// Its record was damaged after it was written: nothing of it counts. What is wrong, a sentence each.
    Damaged(Vec<String>),
}

/// How likely each of equally wide bins of t was at a step.
#[derive(Clone, Debug, PartialEq)]
pub struct TimestepDensity {
    pub step: u64,
    pub density: Vec<f64>,
}

impl StudyRecord {
    /// Reads the frozen plan and the journal of every run in it.
    pub fn read(folder: &SweepFolder) -> Result<Self, RecordError> {
        let file = PlanFile::read(folder)?.ok_or_else(|| RecordError::Nothing { path: folder.path.clone() })?;
        Self::of(folder, file)
    }

    /// The same of a plan that is not frozen yet.
    pub fn of(folder: &SweepFolder, file: PlanFile) -> Result<Self, RecordError> {
        let runs = file.plan.runs.par_iter().map(|run| RunRecord::read(folder, run)).collect::<Result<_, _>>()?;
        Ok(Self {
            folder: folder.path.clone(),
            place: None,
            plan: file.plan,
            sweep_arguments: file.sweep_arguments,
            revisions: file.revisions,
            held: file.held,
            runs,
        })
    }

    /// What stands after `speedlab run` to go on with these records.
    pub fn running_arguments(&self) -> String {
        match &self.place {
            Some(place) => running_arguments(&self.sweep_arguments, place, &self.plan.name),
            None => self.sweep_arguments.clone(),
        }
    }

    /// What stands after commands that only read these records: their folder. Of several studies there is none.
    pub fn reading_arguments(&self) -> String {
        match &self.place {
            _ if self.sweep_arguments.starts_with('(') => self.sweep_arguments.clone(),
            Some(place) => quoted(&place.display().to_string()),
            None => first_folder(&self.sweep_arguments, &self.plan.name),
        }
    }

    /// Runs whose records are damaged, and what is wrong with each.
    pub fn damaged(&self) -> impl Iterator<Item = (&RunRecord, &[String])> {
        self.runs.iter().filter_map(|run| match &run.state {
            RunState::Damaged(damage) => Some((run, damage.as_slice())),
            _ => None,
        })
    }

    /// Replaces the tidy table of all runs, in the plan's order.
    pub fn write_curves(&self) -> Result<(), RecordError> {
        self.write_curves_to(&SweepFolder { path: self.folder.clone() }.curves())
    }

    /// The same in another file.
    pub fn write_curves_to<'s>(&'s self, path: &Path) -> Result<(), RecordError> {
        let rows = |run: &'s RunRecord| [(&run.planned, &run.rows), (&run.planned, &run.later)];
        write_curves(path, self.runs.iter().flat_map(rows))
    }
}

impl RunRecord {
    /// The record of a run that has recorded nothing yet.
    pub fn new(planned: PlannedRun) -> Self {
        Self {
            planned,
            state: RunState::Waiting,
            last_outcome: None,
            attempts: vec![],
            shared: None,
            rows: Rows::default(),
            later: Rows::default(),
            unread: vec![],
            densities: vec![],
            samples: vec![],
            consistency: vec![],
            waiting: None,
            device_utilization: None,
            torn_lines: 0,
            last_stamp: None,
            checkpoint: (0, 0),
        }
    }

    /// How many attempts at the end began at one checkpoint and got to no other.
    pub fn fruitless_attempts(&self) -> usize {
        let from = |started: &Started| started.from_checkpoint;
        let Some(last) = self.attempts.last().map(from) else { return 0 };
        if self.checkpoint.0 > last {
            return 0;
        }
        self.attempts.iter().rev().take_while(|started| from(started) == last).count()
    }

    pub fn read(folder: &SweepFolder, planned: &PlannedRun) -> Result<Self, RecordError> {
        Self::read_in(&folder.current(&planned.run_id)?, planned)
    }

    /// The record of the run in this folder.
    pub fn read_in(run_folder: &RunFolder, planned: &PlannedRun) -> Result<Self, RecordError> {
        // First: a run that ends meanwhile has its end in the journal before it is in DONE.
        let end = run_folder.read_end();
        let mut journal = read_journal(&run_folder.journal())?;
        let mut damage = std::mem::take(&mut journal.damage);
        damage.iter_mut().for_each(|words| *words = format!("events.jsonl: {words}"));
        let done = match end {
            Ok(end) => end.map(|(outcome, of_table)| {
                damage.extend(of_table);
                outcome
            }),
            Err(error @ RecordError::Damaged { .. }) => {
                damage.push(error.to_string());
                None
            }
            Err(error) => return Err(error),
        };
        // Nothing is compared by these, so that what is wrong with one is no damage of the run's own record.
        let (evaluations, unread) = run_folder.read_whole_evaluations()?;
        let last_end = journal.events.iter().rev().find_map(|event| match event {
            RunEvent::Ended { outcome, .. } => Some(outcome),
            _ => None,
        });
        if let Some(outcome) = done.as_ref().filter(|done| last_end != Some(done)) {
            damage.push(format!("events.jsonl: the run's end is missing, which DONE calls {}", outcome.word()));
        }
        if !damage.is_empty() {
            return Ok(Self { state: RunState::Damaged(damage), ..Self::new(planned.clone()) });
        }
        let started = !journal.events.is_empty();
        let effective = effective_events(journal.events);
        let mut record = Self {
            rows: Rows::of(&effective),
            shared: shared(&effective),
            waiting: waiting(&effective),
            device_utilization: device_utilization(&effective),
            torn_lines: journal.torn_lines,
            last_stamp: effective.iter().rev().find_map(|(_, event)| event.stamp()),
            ..Self::new(planned.clone())
        };
        for (_, event) in effective {
            match event {
                RunEvent::Started(started) => record.attempts.push(started),
                RunEvent::TimestepDensity { step, density } => {
                    record.densities.push(TimestepDensity { step, density });
                }
                RunEvent::Evaluated { stamp, samples, .. } => {
                    // A trainer of one's own may measure without showing what.
                    if !samples.is_empty() {
                        record.samples.push((stamp.step, run_folder.path.join(samples)));
                    }
                    if planned.spec.evaluate.consistency.is_kept_at(stamp.step, planned.spec.train.steps) {
                        record.consistency.push((stamp.step, run_folder.consistency(stamp.step)));
                    }
                }
                RunEvent::Checkpointed { stamp, checkpoint, .. } => record.checkpoint = (checkpoint, stamp.step),
                RunEvent::Ended { outcome, .. } => record.last_outcome = Some(outcome),
                _ => {}
            }
        }
        let attempt = record.attempts.last().map_or(0, |started| started.attempt);
        record.later = rows_of(&evaluations, &record.rows, attempt);
        record.unread = unread.iter().map(ToString::to_string).collect();
        record.state = match done {
            Some(outcome) => RunState::Ended(outcome),
            None if started => RunState::Unfinished,
            None => RunState::Waiting,
        };
        Ok(record)
    }
}

impl Waiting {
    /// The share of training time, between 0 and 1.
    pub fn share(self) -> f64 {
        self.wait_seconds / self.train_seconds
    }
}

/// Those that the last attempt took over which began from no checkpoint; every later one goes on from there.
fn shared(effective_events: &[(u32, RunEvent)]) -> Option<Shared> {
    let begins = |event: &RunEvent| match event {
        RunEvent::Started(started) if started.from_checkpoint == 0 => Some(started.shared_from.as_deref().cloned()),
        _ => None,
    };
    let (place, from) = effective_events
        .iter()
        .enumerate()
        .filter_map(|(place, (_, event))| Some((place, begins(event)?)))
        .next_back()?;
    let from = from?;
    let stamp = effective_events[place..].iter().find_map(|(_, event)| match event {
        RunEvent::Checkpointed { stamp, .. } if stamp.step == from.step => Some(*stamp),
        _ => None,
    })?;
    Some(Shared { from, stamp })
}

/// `None` if nothing was measured.
fn waiting(effective_events: &[(u32, RunEvent)]) -> Option<Waiting> {
    let mut waiting = Waiting { wait_seconds: 0.0, train_seconds: 0.0 };
    for interval in training_intervals(effective_events) {
        if let Some(wait_seconds) = interval.wait_seconds {
            waiting.wait_seconds += wait_seconds;
            waiting.train_seconds += interval.train_seconds;
        }
    }
    (waiting.train_seconds > 0.0).then_some(waiting)
}

/// The mean over the intervals that know it, as long as each took; `None` if none does.
fn device_utilization(effective_events: &[(u32, RunEvent)]) -> Option<f64> {
    let (mut busy_seconds, mut train_seconds) = (0.0, 0.0);
    for interval in training_intervals(effective_events) {
        if let Some(utilization) = interval.device_utilization {
            busy_seconds += utilization * interval.train_seconds;
            train_seconds += interval.train_seconds;
        }
    }
    (train_seconds > 0.0).then(|| busy_seconds / train_seconds)
}

/// Training from one recorded mean to the next, and what its second one knows of the time between.
struct TrainingInterval {
    train_seconds: f64,
    wait_seconds: Option<f64>,
    device_utilization: Option<f64>,
}

fn training_intervals(effective_events: &[(u32, RunEvent)]) -> impl Iterator<Item = TrainingInterval> {
    let mut before = 0.0;
    effective_events.iter().filter_map(move |(_, event)| match event {
        RunEvent::Trained { stamp, wait_seconds, device_utilization, .. } => {
            let train_seconds = stamp.train_seconds - before;
            before = stamp.train_seconds;
            let (wait_seconds, device_utilization) = (*wait_seconds, *device_utilization);
            Some(TrainingInterval { train_seconds, wait_seconds, device_utilization })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RunSpec;

    #[test]
    fn damage_is_told_in_one_line() {
        let damage: Vec<String> = (1..=2000).map(|line| format!("line {line} is torn")).collect();
        assert_eq!(first_and_count(&damage), "line 1 is torn, and 1999 more");
        assert_eq!(first_and_count(&damage[..1]), "line 1 is torn");
    }

    #[test]
    fn attempts_that_began_at_one_checkpoint_are_fruitless() {
        let of = |checkpoints: &[u32], checkpoint| {
            let attempts = checkpoints.iter().zip(1..).map(|(&from, number)| Started::of_test(number, from)).collect();
            let record = RunRecord::new(PlannedRun::of_baseline(RunSpec::default()));
            RunRecord { attempts, checkpoint: (checkpoint, 0), ..record }.fruitless_attempts()
        };
        assert_eq!([of(&[], 0), of(&[0], 0), of(&[0, 0, 0], 0), of(&[0, 0, 3, 4, 4], 4)], [0, 1, 3, 2]);
        assert_eq!(of(&[0, 0, 0], 20), 0, "the last one got on");
    }

    #[test]
    fn what_was_taken_over_is_known_until_an_attempt_begins_anew() {
        let from = SharedSteps { run_id: crate::spec::RunId::parse("0123456789ab").unwrap(), step: 60 };
        let stamp = Stamp { step: 60, train_seconds: 12.0, ..Stamp::default() };
        let taken = RunEvent::Started(Started { shared_from: Some(Box::new(from.clone())), ..Started::of_test(1, 0) });
        let checkpointed = RunEvent::Checkpointed { stamp, checkpoint: 7, losses: Vec::new() };
        let shared_of = |events: Vec<RunEvent>| shared(&effective_events(events));
        let expected = Some(Shared { from, stamp });
        let later = |from_checkpoint| RunEvent::Started(Started::of_test(2, from_checkpoint));
        assert_eq!(shared_of(vec![taken.clone(), checkpointed.clone()]), expected);
        assert_eq!(shared_of(vec![taken.clone(), checkpointed.clone(), later(7)]), expected);
        assert_eq!(shared_of(vec![taken.clone(), checkpointed, later(0)]), None);
        assert_eq!(shared_of(vec![taken]), None, "killed before it had them");
    }

    #[test]
    fn waiting_is_a_share_of_the_training_in_which_it_was_measured() {
        let trained = |train_seconds, wait_seconds| {
            let stamp = Stamp { train_seconds, ..Stamp::default() };
            (1, RunEvent::trained_of_test(stamp, wait_seconds, None))
        };
        // A run that an older program began.
        let events = [trained(10.0, None), trained(14.0, Some(0.5)), trained(20.0, Some(1.0))];
        assert_eq!(waiting(&events), Some(Waiting { wait_seconds: 1.5, train_seconds: 10.0 }));
        assert_eq!(waiting(&events).unwrap().share(), 0.15);
        assert_eq!(waiting(&events[..1]), None);
        assert_eq!(waiting(&[]), None);
        assert_eq!(device_utilization(&events), None);
    }

    #[test]
    fn utilization_is_a_mean_over_the_training_in_which_it_was_measured() {
        let trained = |train_seconds, device_utilization| {
            let stamp = Stamp { train_seconds, ..Stamp::default() };
            (1, RunEvent::trained_of_test(stamp, Some(0.0), device_utilization))
        };
        // An interval without a look, one of 4 s, one without, and one of 12 s.
        let events = [trained(10.0, None), trained(14.0, Some(1.0)), trained(20.0, None), trained(32.0, Some(0.5))];
        assert_eq!(device_utilization(&events), Some(0.625));
        assert_eq!(device_utilization(&events[..1]), None);
        assert_eq!(device_utilization(&[]), None);
    }
}
