//! Runs that begin from the state of another, after steps that both train alike: the same bits as without.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use safetensors::SafeTensors;
use speedlab::data::DataFolder;
use speedlab::event::{RunEvent, RunOutcome, SharedSteps};
use speedlab::record::{RunFolder, RunRecord, SpentTime, StudyRecord, SweepFolder, read_curves};
use speedlab::run::{Attempt, EvaluateOn, execute};
use speedlab::spec::PlannedRun;

use super::disturbed::disturb;
use crate::sandbox::{Sandbox, TINY, children_of, send_signal, stderr, stdout};

/// [`TINY`], smaller.
fn small() -> String {
    let smaller =
        TINY.replace("steps: 60, batch_size: 16", "steps: 40, batch_size: 4").replace("every: 20", "every: 10");
    smaller
        .replace("samples: 80, ode: { kind: ddim, steps: 3 }", "samples: 40, ode: { kind: ddim, steps: 2 }")
        .replace("seeds: 2", "seeds: 1")
}

/// Decays of the learning rate that part after half of the steps, a run that is longer, and one whose state is its timestep sampler's too.
fn decays() -> String {
    small()
        .replace("grid_images: 4", "grid_images: 4\n    consistency: { images: 8, every: 20 }")
        .replace("  baseline: {}\n", "  baseline: { lr_schedule: { kind: wsd, decay: 0.5 } }\n")
        .replace(
            "  clts: { timestep_sampler: { kind: curriculum } }\n",
            "  late: { lr_schedule: { kind: wsd, decay: 0.2 } }
  longer: { lr_schedule: { kind: wsd, decay: 0.5 }, train: { steps: 60 } }
  moving: { timestep_sampler: { kind: curriculum_sampling, switch: 0.5 } }
  moving-later: { timestep_sampler: { kind: curriculum_sampling, switch: 0.75 } }
  observing: { timestep_sampler: { kind: loss_second_moment, history: 2 }, train: { post_hoc: { every: 9 } } }
  observing-late: { extends: [observing], lr_schedule: { kind: wsd, decay: 0.3 } }
",
        )
}

/// One that is aligned for half of its steps beside one that is to its end.
const ALIGNED: &str = "
name: tiny
question: Is the last half of alignment worth its time?
base:
  model: { kind: dit, patch: 2, dim: 16, depth: 3, heads: 2 }
  auxiliary_losses: { alignment: { weight: 0.5, encoder: digits-cnn, block: 1, hidden: 16 } }
  train: { steps: 24, batch_size: 4, ema_decay: 0.9, log_every: 5, checkpoint_seconds: 0.02 }
  evaluate:
    every: 6
    grid_images: 4
    validation: { bins: 4, images: 8 }
    fid: { samples: 40, ode: { kind: ddim, steps: 2 } }
arms:
  baseline: {}
  ended: { auxiliary_losses: { alignment: { until: 0.5 } } }
seeds: 1
compare: { baseline: baseline, metric: fid }
";

/// The vectors of a run's last checkpoint: all of its state but the numbers beside them.
fn state(folder: &RunFolder) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(folder.checkpoint()).expect("the last checkpoint is there");
    let tensors = SafeTensors::deserialize(&bytes).expect("it is whole");
    let mut vectors: Vec<_> = tensors.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect();
    vectors.sort();
    vectors
}

fn folder_of(sandbox: &Sandbox, run: &RunRecord) -> RunFolder {
    SweepFolder { path: sandbox.results() }.run(&run.planned.run_id)
}

/// Everything that must be the same, and which runs began from which step of which arm.
#[track_caller]
fn same_but_trained_once(alone: &Sandbox, shared: &Sandbox) -> Vec<(String, u64, String)> {
    assert_eq!(shared.bits(), alone.bits());
    let (ours, theirs) = (shared.study(), alone.study());
    for (run, other) in ours.runs.iter().zip(&theirs.runs) {
        assert_eq!(run.planned, other.planned);
        assert_eq!(run.densities, other.densities, "{}", run.planned.trial);
        assert_eq!(other.shared, None);
        assert_eq!(state(&folder_of(shared, run)), state(&folder_of(alone, other)), "{}", run.planned.trial);
        assert_eq!(folder_of(shared, run).kept_states().unwrap(), [0; 0], "nobody waits for it any more");
        let averages = |sandbox, run| folder_of(sandbox, run).kept_steps().unwrap();
        assert_eq!(averages(shared, run), averages(alone, other));
        assert!(run.rows.iter().map(|row| row.train_seconds).is_sorted(), "{run:?}");
    }
    began(&ours)
}

fn began(study: &StudyRecord) -> Vec<(String, u64, String)> {
    let arm = |shared: &SharedSteps| {
        study.runs.iter().find(|run| run.planned.run_id == shared.run_id).unwrap().planned.arm.clone()
    };
    let from = |run: &RunRecord| {
        let shared = run.shared.as_ref()?;
        Some((run.planned.arm.clone(), shared.from.step, arm(&shared.from)))
    };
    study.runs.iter().filter_map(from).collect()
}

fn trained_alone(sweep: &str) -> Sandbox {
    let sandbox = Sandbox::new(sweep);
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet", "--no-sharing"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    sandbox
}

#[test]
fn runs_that_share_their_first_steps_have_the_bits_of_runs_that_train_them_and_say_so() {
    let alone = trained_alone(&decays());
    let shared = Sandbox::new(&decays());
    let planned = stdout(&shared.speedlab(&["plan", "sweep.yaml"]));
    for line in [
        "late begins at step 21 of 40 from the state of baseline, which trains them alike (1 run)",
        "longer begins at step 31 of 60 from the state of late, which trains them alike (1 run)",
        "moving-later begins at step 20 of 40 from the state of moving",
        "observing-late begins at step 29 of 40 from the state of observing",
    ] {
        assert!(planned.contains(line), "{line}\n{planned}");
    }
    let output = shared.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let of = |arm: &str, step, from: &str| (arm.to_owned(), step, from.to_owned());
    let each = [
        of("late", 21, "baseline"),
        of("longer", 31, "late"),
        of("moving-later", 20, "moving"),
        of("observing-late", 29, "observing"),
    ];
    assert_eq!(same_but_trained_once(&alone, &shared), each);

    // The clocks of the steps are those of who trained them, and the time that was spent counts them once.
    let study = shared.study();
    let run = |arm: &str| study.runs.iter().find(|run| run.planned.arm == arm).unwrap();
    let times = |arm: &str| {
        let rows = run(arm).rows.iter().filter(|row| row.step <= 21);
        rows.map(|row| (row.step, row.train_seconds.to_bits(), row.images_seen)).collect::<Vec<_>>()
    };
    assert_eq!(times("late"), times("baseline"));
    let clocks: f64 = study.runs.iter().map(|run| run.last_stamp.unwrap().train_seconds).sum();
    let taken: f64 = study.runs.iter().filter_map(|run| Some(run.shared.as_ref()?.stamp.train_seconds)).sum();
    let spent = SpentTime::of(study.runs.iter(), study.held);
    assert!(taken > 0.0 && (spent.training - (clocks - taken)).abs() < 1e-9, "{spent:?}");

    // Who reads the records sees it, and finds nothing wrong with them.
    let page = fs::read_to_string(shared.results().join("report/index.html")).unwrap();
    assert!(page.contains("late those up to step 21 from baseline (seed 0)"), "the page does not say what is shared");
    let page = fs::read_to_string(alone.results().join("report/index.html")).unwrap();
    assert!(!page.contains("those up to step"));
    let log = stdout(&shared.speedlab(&["logs", "-f", run("late").planned.run_id.as_str()]));
    assert!(log.contains(&format!("from the state of run {} at step 21", run("baseline").planned.run_id)), "{log}");
    assert_eq!(shared.speedlab(&["status", "sweep.yaml"]).status.code(), Some(0));
    let planned = stdout(&shared.speedlab(&["plan", "sweep.yaml"]));
    assert!(!planned.contains("begins at step"), "all runs are done: {planned}");
}

#[test]
fn an_alignment_that_ends_shares_the_steps_before() {
    let alone = trained_alone(ALIGNED);
    let shared = super::finished(ALIGNED);
    assert_eq!(same_but_trained_once(&alone, &shared), [("ended".to_owned(), 12, "baseline".to_owned())]);
}

#[test]
fn killed_at_any_moment_runs_that_share_end_with_the_same_bits() {
    let longer = decays()
        .replace("steps: 40", "steps: 160")
        .replace("steps: 60", "steps: 240")
        .replace("every: 10", "every: 40")
        .replace("every: 20", "every: 80");
    let alone = trained_alone(&longer);
    let shared = Sandbox::new(&longer);
    let kills = disturb(&shared, 5, |parent, draws| {
        let children = children_of(parent);
        if draws.below(2) == 0 {
            send_signal("KILL", parent);
        }
        children.iter().for_each(|child| send_signal("KILL", *child));
    });
    assert!(kills > 2, "the sweep was disturbed only {kills} times");
    let began = same_but_trained_once(&alone, &shared);
    assert!(!began.is_empty(), "no run was ever begun from another");
}

/// An attempt at a run of the sweep, on the CPU of this process.
struct Made<'a> {
    label: &'a str,
    beside: bool,
    from: Option<&'a SharedSteps>,
    kept: &'a [u64],
}

const PLAIN: Made = Made { label: "the CPU of the test", beside: false, from: None, kept: &[] };

fn attempt(folder: &RunFolder, data: &Path, made: &Made, stop: &dyn Fn(&RunEvent) -> bool) -> RunOutcome {
    let stopped = Cell::new(false);
    let device = Device::flex();
    let attempt = Attempt {
        device: &device,
        label: made.label,
        build: "",
        micro_batches: 1,
        capture_steps: false,
        passes: speedlab::evaluate::Passes::ByKernel,
        evaluate_on: if made.beside { EvaluateOn::Other(&device) } else { EvaluateOn::Usual },
        gauge: None,
        shared_from: made.from,
        kept_for_others: made.kept,
    };
    let tell = |event: &RunEvent| {
        if stop(event) {
            stopped.set(true);
        }
    };
    let data = DataFolder::find(Some(data)).expect("a folder can be named");
    execute(folder, &attempt, &data, &|| stopped.get(), &tell).expect("the run can be recorded")
}

/// Every number of a run, bit for bit.
fn bits(folder: &RunFolder) -> Vec<(u64, String, u64)> {
    let rows = read_curves(&folder.curves()).expect("the table is readable");
    rows.into_iter().map(|row| (row.step, row.metric, row.value.to_bits())).collect()
}

/// A run and one that shares its first 21 steps, with what they are to be; in a folder of its own, where `first` is trained.
struct Pair {
    sandbox: Sandbox,
    runs: [PlannedRun; 2],
    shared: SharedSteps,
}

impl Pair {
    fn new() -> Self {
        let two = small()
            .replace("  baseline: {}\n", "  baseline: { lr_schedule: { kind: wsd, decay: 0.5 } }\n")
            .replace("{ timestep_sampler: { kind: curriculum } }", "{ lr_schedule: { kind: wsd, decay: 0.2 } }");
        let sandbox = trained_alone(&two);
        let runs = sandbox.study().runs.into_iter().map(|run| run.planned).collect::<Vec<_>>();
        let runs: [PlannedRun; 2] = runs.try_into().expect("there are two");
        let shared = SharedSteps { run_id: runs[0].run_id.clone(), step: 21 };
        Self { sandbox, runs, shared }
    }

    /// The folders of the two runs in a sweep of this name, where nothing is trained yet.
    fn folders(&self, name: &str) -> [RunFolder; 2] {
        self.runs.each_ref().map(|run| {
            let folder = SweepFolder::new(&self.sandbox.path().join("by-hand"), name).run(&run.run_id);
            folder.prepare(run).expect("the folder can be made");
            folder
        })
    }

    fn attempt(&self, folder: &RunFolder, made: &Made, stop: &dyn Fn(&RunEvent) -> bool) -> RunOutcome {
        attempt(folder, self.sandbox.path(), made, stop)
    }

    /// That the second run is what it is when it is trained alone; returns the step that it began from.
    #[track_caller]
    fn check(&self, folder: &RunFolder) -> Option<u64> {
        let expected = SweepFolder { path: self.sandbox.results() }.run(&self.runs[1].run_id);
        assert_eq!(bits(folder), bits(&expected));
        assert_eq!(state(folder), state(&expected));
        RunRecord::read_in(folder, &self.runs[1]).unwrap().shared.map(|shared| shared.from.step)
    }
}

fn never(_: &RunEvent) -> bool {
    false
}

fn trained_at(step: u64) -> impl Fn(&RunEvent) -> bool {
    move |event: &RunEvent| matches!(event, RunEvent::Trained { stamp, .. } if stamp.step >= step)
}

#[test]
fn a_run_that_was_stopped_before_and_after_it_began_from_another_has_the_same_bits() {
    let pair = Pair::new();
    for beside in [false, true] {
        let [first, second] = pair.folders(if beside { "beside" } else { "stopped" });
        let keeping = Made { beside, kept: &[21], ..PLAIN };
        // The first is stopped before it gets to the step, and after it.
        for step in [14, 28] {
            assert!(matches!(pair.attempt(&first, &keeping, &trained_at(step)), RunOutcome::Interrupted { .. }));
            assert_eq!(first.kept_state(21).exists(), step == 28);
        }
        let taking = Made { beside, from: Some(&pair.shared), ..PLAIN };
        // What was recorded before is void: it had no checkpoint.
        assert!(matches!(
            pair.attempt(&second, &Made { from: None, ..taking }, &trained_at(7)),
            RunOutcome::Interrupted { .. }
        ));
        fs::remove_file(second.checkpoint()).unwrap();
        assert!(matches!(pair.attempt(&second, &taking, &trained_at(28)), RunOutcome::Interrupted { .. }));
        // From its own checkpoint, whatever the other has.
        fs::remove_file(first.kept_state(21)).unwrap();
        assert_eq!(pair.attempt(&second, &taking, &never), RunOutcome::Completed);
        assert_eq!(pair.check(&second), Some(21), "beside: {beside}");
        let record = RunRecord::read_in(&second, &pair.runs[1]).unwrap();
        let from = |attempt: usize| (record.attempts[attempt].from_step, record.attempts[attempt].first_step());
        assert_eq!((record.attempts.len(), from(0), from(1)), (3, (0, 0), (0, 21)));
        assert!(from(2).0 >= 28 && record.attempts[2].shared_from.is_none());
        assert_eq!(pair.attempt(&first, &keeping, &never), RunOutcome::Completed);
        let alone = SweepFolder { path: pair.sandbox.results() }.run(&pair.runs[0].run_id);
        assert_eq!(bits(&first), bits(&alone), "that it keeps a state changes nothing");
    }
}

#[test]
fn what_is_not_there_whole_or_from_elsewhere_is_trained() {
    let pair = Pair::new();
    type Spoil<'s> = (&'s str, &'s dyn Fn(&RunFolder));
    let spoil: [Spoil; 5] = [
        ("not there", &|first| fs::remove_file(first.kept_state(21)).unwrap()),
        ("damaged", &|first| {
            let mut bytes = fs::read(first.kept_state(21)).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(first.kept_state(21), bytes).unwrap();
        }),
        ("of another step", &|first| {
            fs::copy(first.checkpoint(), first.kept_state(21)).unwrap();
        }),
        ("of no record", &|first| fs::remove_file(first.journal()).unwrap()),
        ("without its pictures", &|first| fs::remove_file(first.path.join(RunFolder::sample_grid(20))).unwrap()),
    ];
    for (name, spoil) in spoil {
        let [first, second] = pair.folders(name);
        let keeping = Made { kept: &[21], ..PLAIN };
        assert!(matches!(pair.attempt(&first, &keeping, &trained_at(28)), RunOutcome::Interrupted { .. }));
        spoil(&first);
        let taking = Made { from: Some(&pair.shared), ..PLAIN };
        assert_eq!(pair.attempt(&second, &taking, &never), RunOutcome::Completed);
        assert_eq!(pair.check(&second), None, "{name}");
    }
    // The files are whole, and yet not what this attempt would have made.
    let [first, second] = pair.folders("another device");
    let keeping = Made { kept: &[21], ..PLAIN };
    assert!(matches!(pair.attempt(&first, &keeping, &trained_at(28)), RunOutcome::Interrupted { .. }));
    let taking = Made { from: Some(&pair.shared), label: "another CPU", ..PLAIN };
    assert_eq!(pair.attempt(&second, &taking, &never), RunOutcome::Completed);
    assert_eq!(pair.check(&second), None);
    // More steps than are shared.
    let [first, second] = pair.folders("too many");
    let keeping = Made { kept: &[22], ..PLAIN };
    assert!(matches!(pair.attempt(&first, &keeping, &trained_at(28)), RunOutcome::Interrupted { .. }));
    let too_many = SharedSteps { step: 22, ..pair.shared.clone() };
    assert_eq!(pair.attempt(&second, &Made { from: Some(&too_many), ..PLAIN }, &never), RunOutcome::Completed);
    assert_eq!(pair.check(&second), None);
}
