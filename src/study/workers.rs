//! Trains runs of a study, each in a process of this program.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::{ChosenDevices, EvaluateOnDevice, Observer, Sharing, StudyError, StudyQueue, Tracker};
use crate::data::DataFolder;
use crate::device::{KERNELS_VARIABLE, WITHOUT_FUSION, WITHOUT_OWN_KERNELS};
use crate::event::{RunOutcome, SharedSteps};
use crate::record::{Commit, RecordError, RunFolder, SweepFolder, record_silent_end};
use crate::schedule::{
    self, Device, GpuKernels, News, Policy, ProcessExecutor, Queue, Room, RunCommand, RunExecutor, Start, Stop,
    Summary, Update, is_no_room,
};
use crate::spec::RunId;

/// Seconds that a run has for a last checkpoint when the conducting process has died; less where its patience is less.
const MOST_GRACE: u64 = 120;

/// What runs are trained with, and where.
#[derive(Clone, Copy)]
pub(super) struct Workers<'s> {
    /// The folder that holds the folders of sweeps.
    pub results: &'s Path,
    pub sweep: &'s SweepFolder,
    /// The token of an attempt of a cluster; `None` where runs are recorded in their own folders.
    pub attempt: Option<&'s str>,
    pub devices: &'s ChosenDevices,
    pub data_folder: &'s DataFolder,
    /// The first digits of this program's SHA-256.
    pub build: &'s str,
}

impl<'s> Workers<'s> {
    /// Makes each run a process of this program; one that says nothing for `patience` is killed as stuck.
    pub fn executor(
        self,
        queue: &StudyQueue,
        patience: Duration,
    ) -> Result<ProcessExecutor<impl FnMut(&Start) -> RunCommand + use<'s>>, StudyError> {
        // Relative paths would follow a change of folder; the child is told where things are whatever happens.
        let results = std::path::absolute(self.results)
            .map_err(|source| StudyError::Io { action: "find the folder of results", source })?;
        let room = Room { folder: self.sweep.path.clone(), bytes: queue.room_bytes };
        let sharing = queue.sharing.clone();
        let mut executor = ProcessExecutor::new(move |start: &Start| {
            self.command(&results, start, &sharing, patience).expect("the running program has a path")
        });
        executor.patience = patience;
        executor.room = Some(room);
        Ok(executor)
    }

    /// Runs the queue to its end or until it is stopped. How a run ended that could not say it itself is recorded here. `show` has the
    /// live view written; what keeps it from that is a warning.
    pub fn train(
        self,
        queue: StudyQueue,
        policy: Policy,
        executor: &mut impl RunExecutor,
        observer: &mut dyn Observer,
        stop: &Stop,
        show: &mut dyn FnMut(&Update, &Tracker) -> Result<(), RecordError>,
    ) -> Result<Summary, StudyError> {
        observer.begins(&queue.labels);
        let mut tracker = Tracker::new(queue.labels);
        let mut failure = None;
        let mut hear = |update: Update| {
            if let News::Ended { run_id, outcome, .. } = update.news
                && let Err(error) = self.settle(run_id, outcome).and_then(|()| self.tidy(&queue.sharing, run_id))
            {
                failure.get_or_insert(error);
            }
            tracker.take(&update);
            observer.update(&update, &tracker);
            if let Err(error) = show(&update, &tracker) {
                let text = format!("`speedlab status` of other processes cannot show how this goes on: {error}");
                observer.warn(update.at, &text);
            }
        };
        let runs = Queue::new(queue.runs, self.devices.devices.clone(), policy);
        let summary = schedule::execute(runs, executor, &mut hear, stop);
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(summary),
        }
    }

    fn folder(self, run_id: &RunId) -> RunFolder {
        match self.attempt {
            Some(token) => self.sweep.attempt(run_id, token),
            None => self.sweep.run(run_id),
        }
    }

    /// Records what the run's process could not say itself, and makes an attempt that ended for good the run.
    fn settle(self, run_id: &RunId, outcome: &RunOutcome) -> Result<(), RecordError> {
        let folder = self.folder(run_id);
        if self.attempt.is_some() && !folder.path.exists() {
            // Another attempt has become the run, and this one was a part of it.
            return Ok(());
        }
        match record_silent_end(&folder.journal(), outcome) {
            // A full disk does not take the note that it is full either; the next attempt says where it goes on.
            Err(RecordError::Io { source, .. }) if is_no_room(&source) => return Ok(()),
            recorded => recorded?,
        }
        if let (Some(token), true) = (self.attempt, folder.has_ended())
            && self.sweep.commit(run_id, token)? == Commit::OtherWasFirst
        {
            eprintln!(
                "note: another attempt of run {run_id} ended first and is the run; this one stays in {}",
                folder.path.display()
            );
        }
        Ok(())
    }

    /// Removes the states that the run has kept, or began from, and that nobody waits for any more.
    fn tidy(self, sharing: &Sharing, run_id: &RunId) -> Result<(), RecordError> {
        if self.attempt.is_some() {
            return Ok(());
        }
        let from = sharing.of(run_id).map(|shared| &shared.run_id);
        from.into_iter().chain([run_id]).try_for_each(|run_id| sharing.tidy(self.sweep, run_id))
    }

    fn command(
        self,
        results: &Path,
        start: &Start,
        sharing: &Sharing,
        patience: Duration,
    ) -> std::io::Result<RunCommand> {
        let device: &Device = &self.devices.devices[start.slot.device];
        let sweep = self.sweep.path.file_name().expect("a sweep's folder has its name");
        let mut args: Vec<OsString> = vec![
            "exec".into(),
            results.into(),
            sweep.into(),
            start.run_id.as_str().into(),
            "--device".into(),
            start.device.as_str().into(),
            "--runs-at-once".into(),
            device.slots.to_string().into(),
            "--build".into(),
            self.build.into(),
            "--grace".into(),
            patience.as_secs().min(MOST_GRACE).to_string().into(),
            "--micro-batches".into(),
            start.micro_batches.to_string().into(),
            "--data-dir".into(),
            self.data_folder.path().into(),
        ];
        if let Some(evaluate_on) = self.devices.evaluate_on {
            let name = match evaluate_on {
                EvaluateOnDevice::Same => start.device.clone(),
                EvaluateOnDevice::Other(name) => name.to_string(),
            };
            args.extend(["--evaluate-on".into(), name.into()]);
        }
        if self.devices.captures_steps {
            args.push("--capture-steps".into());
        }
        if let Some(SharedSteps { run_id, step }) = sharing.of(&start.run_id) {
            let (from, steps) = (run_id.as_str().into(), step.to_string().into());
            args.extend(["--shared-from".into(), from, "--shared-steps".into(), steps]);
        }
        for step in sharing.kept_by(&start.run_id) {
            args.extend(["--keep-state-of".into(), step.to_string().into()]);
        }
        if let Some(token) = self.attempt {
            args.extend(["--attempt".into(), token.into()]);
        }
        let mut environment = Vec::new();
        if self.attempt.is_some() && std::env::var_os(KERNELS_VARIABLE).is_none_or(|value| value.is_empty()) {
            // The user's folder for caches is often shared by all nodes, and what compiled kernels are kept in must not be.
            let user = std::env::var("USER").unwrap_or_default();
            let folder = std::env::temp_dir().join(format!("speedlab-kernels-{user}"));
            environment.push((KERNELS_VARIABLE.to_owned(), folder.to_string_lossy().into_owned()));
        }
        let variables: &[_] = match start.gpu_kernels {
            GpuKernels::Fused => &[],
            GpuKernels::Unfused => &[WITHOUT_FUSION],
            GpuKernels::Burns => &[WITHOUT_FUSION, WITHOUT_OWN_KERNELS],
        };
        if variables.contains(&WITHOUT_FUSION) {
            args.push("--without-fusion".into());
        }
        environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let command = RunCommand::this_program(args, self.folder(&start.run_id).log())?;
        Ok(RunCommand { environment, ..command })
    }
}
