//! Opens a study and runs its queue.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::live::LiveWriter;
use super::workers::Workers;
use super::{ChosenDevices, Observer, StudyError, StudyQueue, images, plan_notes};
use crate::data::DataFolder;
use crate::external::unfindable;
use crate::record::{HeldTime, Lock, PlanFile, Session, SweepFolder, host_name};
use crate::run::{PROGRAM, build_of_this_program};
use crate::schedule::{Policy, ProcessExecutor, RunCommand, RunExecutor, Start, Stop, Summary};
use crate::spec::{Plan, PlannedRun, RunId};
use crate::twin;

/// What is conducted, where, and with what. Nothing but the plan changes a result.
pub struct Study {
    pub plan: Plan,
    /// The runs that are trained; `None` for all of the plan.
    pub only: Option<BTreeSet<RunId>>,
    /// Whether a run may begin from the state of another, after first steps that both train alike: see [`super::Sharing`].
    pub shares: bool,
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
    pub(super) session: Session,
    _lock: Lock,
}

impl Study {
    pub fn folder(&self) -> SweepFolder {
        SweepFolder::new(&self.results, &self.plan.name)
    }

    /// The runs that are trained, in the plan's order.
    fn wanted(&self) -> impl Iterator<Item = &PlannedRun> {
        let only = self.only.as_ref();
        self.plan.runs.iter().filter(move |run| only.is_none_or(|only| only.contains(&run.run_id)))
    }

    /// Looks for the images, decodes those that were not, takes the sweep's folder and freezes the plan there.
    pub fn open(self, observer: &mut dyn Observer) -> Result<OpenStudy, StudyError> {
        self.check_images(observer)?;
        self.check_trainers()?;
        images::prepare(self.wanted(), &self.folder(), &self.data_folder, &mut |progress| {
            observer.preparing(progress)
        })?;
        self.frozen()
    }

    /// The same without decoding, where another process does that.
    pub(super) fn open_undecoded(self, observer: &mut dyn Observer) -> Result<OpenStudy, StudyError> {
        self.check_images(observer)?;
        self.frozen()
    }

    fn check_images(&self, observer: &mut dyn Observer) -> Result<(), StudyError> {
        if self.plan.is_imported() {
            return Err(StudyError::Imported);
        }
        for note in images::check(self.wanted(), &self.folder(), &self.data_folder)? {
            observer.note(&note);
        }
        plan_notes(&self.plan).iter().for_each(|note| observer.note(note));
        Ok(())
    }

    /// That the programs are there that are to train: on this machine, which a cluster's is not where a sweep is handed in.
    fn check_trainers(&self) -> Result<(), StudyError> {
        let mut seen = BTreeSet::new();
        for run in self.wanted() {
            let Some(trainer) = &run.spec.trainer else { continue };
            if trainer.is_torch() {
                if seen.insert(&trainer.command[0])
                    && let Some(reason) = twin::missing()
                {
                    return Err(StudyError::NoTorch { arm: run.arm.clone(), reason });
                }
                continue;
            }
            if let Some(program) = trainer.command.first()
                && seen.insert(program)
                && let Some(reason) = unfindable(trainer)
            {
                return Err(StudyError::NoTrainer { arm: run.arm.clone(), command: trainer.in_words(), reason });
            }
        }
        Ok(())
    }

    fn frozen(self) -> Result<OpenStudy, StudyError> {
        let folder = self.folder();
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
    fn workers(&self) -> Workers<'_> {
        let Study { results, data_folder, devices, .. } = &self.study;
        Workers { results, sweep: &self.folder, attempt: None, devices, data_folder, build: &self.session.build }
    }

    pub fn folder(&self) -> &SweepFolder {
        &self.folder
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.study.plan
    }

    /// Takes note of this session in the plan's file.
    pub(super) fn note_session(&mut self) -> Result<(), StudyError> {
        Ok(self.frozen.begin_session(&self.folder, self.session.clone())?)
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
        let place = |run: &PlannedRun| self.folder.take_back(run);
        let wanted: Vec<&PlannedRun> = self.study.wanted().collect();
        let queue = StudyQueue::read(&wanted, &place, threads, self.study.shares)?;
        // Those that an earlier session has left for runs which are no longer asked for.
        for run in &wanted {
            queue.sharing.tidy(&self.folder, &run.run_id)?;
        }
        if queue.has_work() {
            self.note_session()?;
        }
        Ok(queue)
    }

    /// Makes each run a process of this program; one that says nothing for `patience` is killed as stuck.
    pub fn executor(
        &self,
        queue: &StudyQueue,
        patience: Duration,
    ) -> Result<ProcessExecutor<impl FnMut(&Start) -> RunCommand + use<'_>>, StudyError> {
        self.workers().executor(queue, patience)
    }

    /// Takes note in the plan's file of how long a round held its devices.
    pub fn note_held(&mut self, round: &Summary) -> Result<(), StudyError> {
        let seconds = round.elapsed.as_secs_f64();
        if round.busy.is_zero() {
            return Ok(());
        }
        let place_seconds = round.places as f64 * seconds;
        let (busy_seconds, starts) = (round.busy.as_secs_f64(), round.starts);
        let held = HeldTime { seconds, place_seconds, busy_seconds, starts };
        Ok(self.frozen.add_held(&self.folder, held)?)
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
        let mut live = LiveWriter::new(&self.folder, &self.study.plan);
        self.workers().train(queue, policy, executor, observer, stop, &mut |update, tracker| live.show(update, tracker))
    }
}
