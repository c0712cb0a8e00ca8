//! Opens a study and runs its queue.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::live::LiveWriter;
use super::{ChosenDevices, Observer, StudyError, StudyQueue, Tracker, images, plan_notes};
use crate::data::DataFolder;
use crate::device::WITHOUT_FUSION;
use crate::record::{Lock, PlanFile, RecordError, Session, SweepFolder, host_name, record_silent_end};
use crate::run::{PROGRAM, build_of_this_program};
use crate::schedule::{
    self, Device, News, Policy, ProcessExecutor, Queue, Room, RunCommand, RunExecutor, Start, Stop, Summary, Update,
    is_no_room,
};
use crate::spec::Plan;

/// Seconds that a run has for a last checkpoint when the conducting process has died; less where its patience is less.
const MOST_GRACE: u64 = 120;

/// What is conducted, where, and with what. Nothing but the plan changes a result.
pub struct Study {
    pub plan: Plan,
    /// The folder that holds the folders of sweeps.
    pub results: PathBuf,
    pub data_folder: DataFolder,
    pub devices: ChosenDevices,
    /// The sweep's file and what was set beside it, as on the command line after `speedlab run`.
    pub sweep_arguments: String,
}

/// A study that this process holds: no other process conducts it meanwhile.
pub struct OpenStudy {
    pub(super) study: Study,
    pub(super) folder: SweepFolder,
    frozen: PlanFile,
    session: Session,
    _lock: Lock,
}

impl Study {
    pub fn folder(&self) -> SweepFolder {
        SweepFolder::new(&self.results, &self.plan.name)
    }

    /// Looks for the images, decodes those that were not, takes the sweep's folder and freezes the plan there.
    pub fn open(self, observer: &mut dyn Observer) -> Result<OpenStudy, StudyError> {
        let folder = self.folder();
        for note in images::check(&self.plan, &folder, &self.data_folder)? {
            observer.note(&note);
        }
        plan_notes(&self.plan).iter().for_each(|note| observer.note(note));
        images::prepare(&self.plan, &folder, &self.data_folder, &mut |progress| observer.preparing(progress))?;
        let lock = folder.lock()?;
        let now = jiff::Timestamp::now().to_string();
        let frozen = PlanFile::freeze(&folder, &self.plan, PROGRAM, &now, &self.sweep_arguments)?;
        let session = Session {
            started_at: now,
            program: PROGRAM.to_owned(),
            build: build_of_this_program()
                .map_err(|source| StudyError::Io { action: "read this program's own file", source })?,
            host: host_name(),
            devices: self.devices.devices.iter().map(|device| device.name.clone()).collect(),
        };
        Ok(OpenStudy { study: self, folder, frozen, session, _lock: lock })
    }
}

impl OpenStudy {
    pub fn folder(&self) -> &SweepFolder {
        &self.folder
    }

    /// Replaces the frozen plan.
    pub(super) fn freeze(&mut self, plan: Plan) -> Result<(), StudyError> {
        let now = jiff::Timestamp::now().to_string();
        self.frozen = PlanFile::freeze(&self.folder, &plan, PROGRAM, &now, &self.study.sweep_arguments)?;
        self.study.plan = plan;
        Ok(())
    }

    /// How every run stands. If there is something to do, folders are made for it and the session is noted in the plan's file.
    pub fn begin(&mut self) -> Result<StudyQueue, StudyError> {
        let threads = self.study.devices.devices.first().map_or(1, |device| device.threads);
        let queue = StudyQueue::read(&self.study.plan, &self.folder, threads)?;
        if queue.has_work() {
            self.frozen.begin_session(&self.folder, self.session.clone())?;
        }
        Ok(queue)
    }

    /// Makes each run a process of this program; one that says nothing for `patience` is killed as stuck.
    pub fn executor(
        &self,
        queue: &StudyQueue,
        patience: Duration,
    ) -> Result<ProcessExecutor<impl FnMut(&Start) -> RunCommand + use<'_>>, StudyError> {
        // Relative paths would follow a change of folder; the child is told where things are whatever happens.
        let results = std::path::absolute(&self.study.results)
            .map_err(|source| StudyError::Io { action: "find the folder of results", source })?;
        let mut executor = ProcessExecutor::new(move |start: &Start| {
            self.command(&results, start, patience).expect("the running program has a path")
        });
        executor.patience = patience;
        executor.room = Some(Room { folder: self.folder.path.clone(), bytes: queue.room_bytes });
        Ok(executor)
    }

    /// Runs the queue to its end or until it is stopped. How a run ended that could not say it itself is recorded here.
    pub fn train(
        &self,
        queue: StudyQueue,
        policy: Policy,
        executor: &mut impl RunExecutor,
        observer: &mut dyn Observer,
        stop: &Stop,
    ) -> Result<Summary, StudyError> {
        observer.begins(&queue.labels);
        let mut tracker = Tracker::new(queue.labels);
        let mut live = LiveWriter::new(&self.folder, &self.study.plan);
        let mut failure = None;
        let folder = &self.folder;
        let mut hear = |update: Update| {
            if let News::Ended { run_id, outcome, .. } = update.news
                && let Err(error) = record_silent_end(&folder.run(run_id).journal(), outcome)
                // A full disk does not take the note that it is full either; the next attempt says where it goes on.
                && !matches!(&error, RecordError::Io { source, .. } if is_no_room(source))
            {
                failure.get_or_insert(error);
            }
            tracker.take(&update);
            observer.update(&update, &tracker);
            if let Err(error) = live.show(&update, &tracker) {
                let text = format!("`speedlab status` of other processes cannot show how this goes on: {error}");
                observer.warn(update.at, &text);
            }
        };
        let queue = Queue::new(queue.runs, self.study.devices.devices.clone(), policy);
        let summary = schedule::execute(queue, executor, &mut hear, stop);
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(summary),
        }
    }

    fn command(&self, results: &Path, start: &Start, patience: Duration) -> std::io::Result<RunCommand> {
        let Study { plan, data_folder, devices, .. } = &self.study;
        let device: &Device = &devices.devices[start.slot.device];
        let mut args: Vec<OsString> = vec![
            "exec".into(),
            results.into(),
            plan.name.as_str().into(),
            start.run_id.as_str().into(),
            "--device".into(),
            start.device.as_str().into(),
            "--runs-at-once".into(),
            device.slots.to_string().into(),
            "--build".into(),
            self.session.build.as_str().into(),
            "--grace".into(),
            patience.as_secs().min(MOST_GRACE).to_string().into(),
            "--micro-batches".into(),
            start.micro_batches.to_string().into(),
            "--data-dir".into(),
            data_folder.path().into(),
        ];
        let mut environment = Vec::new();
        if !start.fusion {
            let (name, value) = WITHOUT_FUSION;
            args.push("--without-fusion".into());
            environment.push((name.to_owned(), value.to_owned()));
        }
        let command = RunCommand::this_program(args, self.folder.run(&start.run_id).log())?;
        Ok(RunCommand { environment, ..command })
    }
}
