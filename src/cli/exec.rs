//! `speedlab exec`: one run in a process of its own.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::fault::Fault;
use super::task::{self, TaskArgs};
use super::{Color, DataArgs, Exit};
use crate::data::DataFolder;
use crate::device::{self, DeviceName};
use crate::evaluate::Passes;
use crate::event::{RunEvent, RunOutcome, SharedSteps, Stamp};
use crate::external::{self, ExternalAttempt, ExternalError};
use crate::kernels::has_own_gpu_kernels;
use crate::record::{RecordError, RunFolder, SweepFolder};
use crate::run::{self, Attempt, EvaluateOn, RunError};
use crate::schedule::{Leash, is_no_room};
use crate::spec::RunId;
use crate::train;

/// Seconds that a run has to record how it ended when its trainer's time is over.
const AFTER_TRAINER: f64 = 30.0;

/// Reads a line `stop`, or the end of its standard input, as the wish to write a checkpoint and stop.
#[derive(Debug, Args)]
pub struct ExecArgs {
    results: PathBuf,
    sweep: String,
    /// One run; else `--submission` says what is done.
    #[arg(required_unless_present = "submission")]
    run_id: Option<String>,
    #[command(flatten)]
    task: TaskArgs,
    #[arg(long, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// How many runs share the device.
    #[arg(long, default_value_t = 1)]
    runs_at_once: usize,
    /// Recorded only; a variable of the environment keeps burn from fusing.
    #[arg(long)]
    without_fusion: bool,
    /// The first digits of this program's SHA-256.
    #[arg(long, default_value = "")]
    build: String,
    /// Seconds that the run has for a last checkpoint when its parent has died.
    #[arg(long, default_value_t = 60)]
    grace: u64,
    /// The parts in which each batch is computed.
    #[arg(long, default_value_t = 1)]
    micro_batches: usize,
    /// Where networks are evaluated: the device itself, with large feature networks, or another one, beside training.
    #[arg(long)]
    evaluate_on: Option<DeviceName>,
    /// Launch the kernels of a training step together, where the run's steps can be captured.
    #[arg(long)]
    capture_steps: bool,
    /// The run whose first steps are taken over, if they are there.
    #[arg(long, requires = "shared_steps")]
    shared_from: Option<String>,
    /// How many those are.
    #[arg(long)]
    shared_steps: Option<u64>,
    /// A step whose checkpoint is kept for runs that take over the steps up to there (repeatable).
    #[arg(long)]
    keep_state_of: Vec<u64>,
    /// The token of an attempt of a cluster, which has a folder of its own.
    #[arg(long)]
    attempt: Option<String>,
    #[command(flatten)]
    data: DataArgs,
}

pub fn exec(args: &ExecArgs, color: Color) -> anyhow::Result<Exit> {
    let Some(run_id) = &args.run_id else { return task::task(&args.results, &args.sweep, &args.task, color) };
    let run_id = RunId::parse(run_id).with_context(|| format!("`{run_id}` is no run id"))?;
    let sweep = SweepFolder::new(&args.results, &args.sweep);
    let folder = match &args.attempt {
        Some(token) => sweep.attempt(&run_id, token),
        None => sweep.run(&run_id),
    };
    // A folder that cannot be read is told of by whoever trains.
    let spec = folder.read_spec().ok().map(|planned| planned.spec);
    let trainer = spec.as_ref().and_then(|spec| spec.trainer.as_ref());
    // Longer than its trainer has.
    let own_grace = trainer.map_or(0.0, |trainer| trainer.stop_grace + AFTER_TRAINER);
    let grace = Duration::from_secs(args.grace).max(Duration::from_secs_f64(own_grace));
    let leash = Leash::listen(grace, args.attempt.is_some())?;
    let data_folder = args.data.folder()?;
    if trainer.is_some() {
        return by_trainer(args, &folder, &data_folder, &leash);
    }
    let open = |name| {
        device::open(name).inspect_err(|error| {
            // It was there when the sweep began.
            let outcome = RunOutcome::DeviceLost { reason: error.to_string() };
            leash.tell(&RunEvent::Ended { stamp: Stamp::default(), outcome });
        })
    };
    let device = open(args.device)?;
    let other = args.evaluate_on.filter(|name| *name != args.device).map(open).transpose()?;
    let evaluate_on = match (&other, args.evaluate_on) {
        (Some(other), _) => EvaluateOn::Other(other),
        (None, Some(_)) => EvaluateOn::Same,
        (None, None) => EvaluateOn::Usual,
    };
    let threads = rayon::current_num_threads();
    let mut label = device::label(args.device, &device, threads, args.runs_at_once, !args.without_fusion);
    if args.micro_batches > 1 {
        // A step in pieces takes longer: its times are not those of whole batches.
        label.push_str(&format!(", batches in {} pieces", args.micro_batches));
    }
    if let (EvaluateOn::Other(_), Some(name)) = (evaluate_on, args.evaluate_on) {
        // What goes on beside training may slow it down.
        label.push_str(&format!(", evaluated on {} beside it", name.kind()));
    }
    if matches!(evaluate_on, EvaluateOn::Same) && args.device != DeviceName::Cpu {
        label.push_str(", features too");
    }
    let micro_batches = args.micro_batches;
    let needs_the_host = spec.is_some_and(|spec| train::needs_the_host(&spec, micro_batches).is_some());
    // Captured steps are made of kernels of our own.
    let captures = args.capture_steps && has_own_gpu_kernels();
    // A run whose steps need the host is evaluated in captured passes none the less.
    let passes = if captures { Passes::Captured } else { Passes::ByKernel };
    let capture_steps = captures && !needs_the_host;
    if capture_steps {
        label.push_str(", steps captured");
    }
    let gauge = device::gauge(args.device, &device);
    let shared_from = match args.shared_from.as_deref().zip(args.shared_steps) {
        Some((text, step)) => {
            let run_id = RunId::parse(text).with_context(|| format!("`{text}` is no run id"))?;
            Some(SharedSteps { run_id, step })
        }
        None => None,
    };
    let attempt = Attempt {
        device: &device,
        label: &label,
        build: &args.build,
        micro_batches,
        capture_steps,
        passes,
        evaluate_on,
        gauge: gauge.as_ref().map(|gauge| &**gauge as run::Gauge),
        shared_from: shared_from.as_ref(),
        kept_for_others: &args.keep_state_of,
    };
    let fault = Fault::from_environment()?;
    let done = run::execute(&folder, &attempt, &data_folder, &|| leash.says_stop(), &|event| {
        leash.tell(event);
        if let Some(fault) = &fault {
            fault.look(event);
        }
    });
    let outcome = match done {
        Ok(outcome) => outcome,
        // Nothing more can be recorded, but the parent can be told.
        Err(error) => {
            let Some(outcome) = unrecorded(&error, leash.says_stop()) else { return Err(error.into()) };
            leash.tell(&RunEvent::Ended { stamp: Stamp::default(), outcome: outcome.clone() });
            outcome
        }
    };
    Ok(exit(&outcome))
}

fn exit(outcome: &RunOutcome) -> Exit {
    match outcome {
        RunOutcome::Completed | RunOutcome::ReachedTarget => Exit::AllDone,
        RunOutcome::Interrupted { .. } | RunOutcome::DiskFull { .. } => Exit::Incomplete,
        _ => Exit::SomeFailed,
    }
}

/// A run of a trainer of the user's own, which opens the device itself.
fn by_trainer(args: &ExecArgs, folder: &RunFolder, data_folder: &DataFolder, leash: &Leash) -> anyhow::Result<Exit> {
    let threads = rayon::current_num_threads();
    let label = device::label_unopened(args.device, threads, args.runs_at_once);
    let attempt = ExternalAttempt {
        device: args.device,
        label: &label,
        build: &args.build,
        threads,
        micro_batches: args.micro_batches,
    };
    let tell = |event: &RunEvent| leash.tell(event);
    let outcome = match external::execute(folder, &attempt, data_folder, &|| leash.says_stop(), &tell) {
        Ok(outcome) => outcome,
        Err(error) => {
            let outcome = match &error {
                ExternalError::Run(error) => unrecorded(error, leash.says_stop()),
                ExternalError::Io { .. } => no_room(&error).then(|| RunOutcome::DiskFull { reason: error.to_string() }),
            };
            let Some(outcome) = outcome else { return Err(error.into()) };
            leash.tell(&RunEvent::Ended { stamp: Stamp::default(), outcome: outcome.clone() });
            outcome
        }
    };
    Ok(exit(&outcome))
}

/// How a run ended that could not record its end, where that is no failure of the run.
fn unrecorded(error: &RunError, asked_to_stop: bool) -> Option<RunOutcome> {
    let reason = error.to_string();
    match error {
        // It waited for its folder, and has done nothing.
        RunError::Record(RecordError::Held { .. }) if asked_to_stop => Some(RunOutcome::Interrupted { reason }),
        _ => no_room(error).then_some(RunOutcome::DiskFull { reason }),
    }
}

/// Whether the disk was full, anywhere in the chain of causes.
fn no_room(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(is_no_room) {
            return true;
        }
        cause = error.source();
    }
    false
}
