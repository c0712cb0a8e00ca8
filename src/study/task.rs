//! One task of a cluster, and the work after the last task.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::submit::{MOST_FRUITLESS, absolute_folder};
use super::workers::Workers;
use super::{
    ChosenDevices, Handed, Handover, Observer, OpenStudy, Study, StudyError, StudyQueue, Survey, WantedDevices, images,
    write_report,
};
use crate::cluster::{ClusterError, Slurm};
use crate::data::DataFolder;
use crate::event::RunOutcome;
use crate::record::{
    Engine, PlanFile, RecordError, RunFolder, RunRecord, RunState, Submission, SweepFolder, host_name,
};
use crate::report::{Drawn, Report};
use crate::schedule::{Policy, Stop, Summary};
use crate::spec::{Plan, PlannedRun, RunId};

/// One task of a submission: some runs, on the devices of this node.
pub struct Task {
    results: PathBuf,
    folder: SweepFolder,
    pub submission: Submission,
    runs: Vec<PlannedRun>,
    devices: ChosenDevices,
    data_folder: DataFolder,
    token: String,
    build: String,
}

/// What becomes of a task whose time is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing is left to do, or it was not the time that ended it.
    None,
    /// The cluster has put it back into its queue.
    Requeued,
    /// It is left for the next submission; why.
    Left(String),
}

impl Task {
    pub fn open(results: &Path, sweep: &str, number: u32, index: usize) -> Result<Self, StudyError> {
        let folder = SweepFolder::new(results, sweep);
        let submission = submission(&folder, number)?;
        let tasks = submission.tasks.len();
        let ids = submission.tasks.get(index).ok_or(StudyError::NoSuchTask { index, tasks })?;
        let frozen = PlanFile::read(&folder)?.map(|file| file.plan);
        let planned = |id: &RunId| match frozen.iter().flat_map(|plan| &plan.runs).find(|run| run.run_id == *id) {
            Some(run) => Ok(run.clone()),
            // No longer planned, and handed in all the same.
            None => folder.current(id)?.read_spec(),
        };
        let runs = ids.iter().map(planned).collect::<Result<Vec<_>, _>>()?;
        let exclusive = frozen.is_some_and(|plan| plan.exclusive);
        let wanted: WantedDevices = submission.device.parse().map_err(|reason| StudyError::BadDevice { reason })?;
        let jobs = submission.runs_at_once.and_then(std::num::NonZeroUsize::new);
        let devices = ChosenDevices::choose(&wanted, jobs, None, &plan_of(sweep, &runs, exclusive))?;
        let data_folder = DataFolder::find(Some(&submission.data_folder))?;
        let build = crate::run::build_of_this_program()
            .map_err(|source| StudyError::Io { action: "read this program's own file", source })?;
        // Nothing else in the world is called so: a node starts one process of a number at one time.
        let now = jiff::Timestamp::now().as_millisecond();
        let token = format!("{number}-{index}-{}-{}-{now}", host_name(), std::process::id());
        Ok(Self { results: results.to_owned(), folder, submission, runs, devices, data_folder, token, build })
    }

    /// The devices in words, and what a person should know of them.
    pub fn devices(&self) -> &ChosenDevices {
        &self.devices
    }

    /// Trains what is left of its runs, each in the folder of a new attempt.
    pub fn train(&self, observer: &mut dyn Observer, stop: &Stop) -> Result<Summary, StudyError> {
        let place = |run: &PlannedRun| -> Result<RunFolder, _> {
            match self.folder.settle(&run.run_id)? {
                Some(own) => Ok(own),
                None => self.folder.begin_attempt(run, &self.token),
            }
        };
        let threads = self.devices.devices.first().map_or(1, |device| device.threads);
        let runs: Vec<&PlannedRun> = self.runs.iter().collect();
        let queue = StudyQueue::read(&runs, &place, threads, false)?;
        let workers = Workers {
            results: &self.results,
            sweep: &self.folder,
            attempt: Some(&self.token),
            devices: &self.devices,
            data_folder: &self.data_folder,
            build: &self.build,
        };
        let mut executor = workers.executor(&queue, Duration::from_secs(1800))?;
        workers.train(queue, Policy::default(), &mut executor, observer, stop, &mut |_, _| Ok(()))
    }

    /// Whether every run of it is recorded as completed, by whichever attempt. Another process of the same task may end a run first, and put away
    /// what this one has of it.
    pub fn is_completed(&self) -> Result<bool, StudyError> {
        for run in &self.runs {
            let record = RunRecord::read(&self.folder, run)?;
            if !matches!(record.state, RunState::Ended(RunOutcome::Completed)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Has the cluster put this task back into its queue if its time is nearly over and runs are left.
    pub fn rest(&self, stop: &Stop) -> Result<Rest, StudyError> {
        // Who was told to end as well was cancelled, or its time is over already.
        if !stop.has_notice() || stop.is_told_to_end() || self.submission.engine != Engine::Slurm {
            return Ok(Rest::None);
        }
        let mut open = Vec::new();
        for run in &self.runs {
            let record = RunRecord::read(&self.folder, run)?;
            if !matches!(record.state, RunState::Ended(_)) {
                open.push(record);
            }
        }
        let Some(least) = open.iter().min_by_key(|record| record.fruitless_attempts()) else { return Ok(Rest::None) };
        let attempts = least.fruitless_attempts();
        if attempts >= MOST_FRUITLESS {
            let PlannedRun { trial, seed, .. } = &least.planned;
            return Ok(Rest::Left(format!(
                "{attempts} attempts of {trial} seed {seed} reached no checkpoint beyond the one that they began at: a task needs more time than `cluster.minutes` gives, or more notice than `cluster.notice_seconds`"
            )));
        }
        let Some((task, restarts)) = Slurm.this_task() else {
            return Ok(Rest::Left("no variable of Slurm says which task this is".to_owned()));
        };
        let most = self.submission.cluster.requeues;
        if restarts >= most {
            return Ok(Rest::Left(format!(
                "it was put back into the queue {restarts} times, and `cluster.requeues` is {most}"
            )));
        }
        Ok(match Slurm.requeue(&task) {
            Ok(()) => Rest::Requeued,
            Err(error) => Rest::Left(error.to_string()),
        })
    }
}

/// Decodes images and computes reference features, so that tasks need not.
pub fn prepare(results: &Path, sweep: &str, number: u32, observer: &mut dyn Observer) -> Result<(), StudyError> {
    let folder = SweepFolder::new(results, sweep);
    let submission = submission(&folder, number)?;
    let Some(frozen) = PlanFile::read(&folder)? else { return Ok(()) };
    let data_folder = DataFolder::find(Some(&submission.data_folder))?;
    images::prepare(frozen.plan.runs.iter(), &folder, &data_folder, &mut |progress| observer.preparing(progress))
}

/// What a submission's last job did.
pub struct Finished {
    /// The report, or why there is none.
    pub report: Result<Report, StudyError>,
    /// How all runs stand.
    pub survey: Survey,
    /// What it handed in, if anything was to follow.
    pub handed: Option<Result<Handed, StudyError>>,
    /// Why nothing more was handed in although runs are missing.
    pub stopped: Option<String>,
}

/// Somebody else works on the sweep: how often, and after what pause, that is waited for.
const LOCK_TRIES: u32 = 120;
const LOCK_PAUSE: Duration = Duration::from_secs(5);

/// Writes the report, adds the seeds that the study's rule asks for, and hands in what is missing if that was asked.
pub fn finish(
    results: &Path,
    sweep: &str,
    number: u32,
    observer: &mut dyn Observer,
    stop: &Stop,
) -> Result<Finished, StudyError> {
    let folder = absolute_folder(&SweepFolder::new(results, sweep))?;
    let submission = submission(&folder, number)?;
    for run_id in submission.tasks.iter().flatten() {
        folder.settle(run_id)?;
    }
    let report = write_report(&folder, &Drawn::Few.into()).map(|(_, report)| report);
    let handover = Handover::of(&submission);
    let mut open = open_when_free(&folder, results, &submission, observer, stop)?;
    let round = open.next_round(observer, |_, _| true)?;
    let survey = handover.survey(open.plan(), &folder)?;
    let did_something = survey.ended > submission.ended_before || survey.steps > submission.steps_before;
    let stopped = match &round {
        _ if survey.missing.is_empty() => None,
        _ if stop.requests() > 0 => Some("this job was told to end".to_owned()),
        Ok(()) => None,
        Err(_) if !submission.persist => Some("`--persist` would hand them in again".to_owned()),
        Err(_) if !did_something => Some("no run has got any further in this submission: see its logs".to_owned()),
        Err(_) => None,
    };
    let is_wanted = !survey.missing.is_empty() && stopped.is_none();
    let handed = is_wanted.then(|| hand_over_when_there_is_room(&mut open, &handover, stop));
    Ok(Finished { report, survey, handed, stopped })
}

/// Others fill the queue: how often, and after what pause, that is waited for.
const ROOM_TRIES: u32 = 20;
const ROOM_PAUSE: Duration = Duration::from_secs(30);

fn hand_over_when_there_is_room(open: &mut OpenStudy, handover: &Handover, stop: &Stop) -> Result<Handed, StudyError> {
    let mut tries = 0;
    loop {
        match open.hand_over(handover, &|| stop.requests() > 0) {
            Err(StudyError::Cluster(ClusterError::Full { .. })) if tries < ROOM_TRIES && stop.requests() == 0 => {
                tries += 1;
                thread::sleep(ROOM_PAUSE);
            }
            handed_or_failed => return handed_or_failed,
        }
    }
}

/// Opens the frozen study, when nobody else works on it.
fn open_when_free(
    folder: &SweepFolder,
    results: &Path,
    submission: &Submission,
    observer: &mut dyn Observer,
    stop: &Stop,
) -> Result<OpenStudy, StudyError> {
    let mut tries = 0;
    loop {
        let frozen = PlanFile::read(folder)?.ok_or_else(|| RecordError::Nothing { path: folder.path.clone() })?;
        let study = Study {
            only: None,
            shares: false,
            plan: frozen.plan,
            results: results.to_owned(),
            data_folder: DataFolder::find(Some(&submission.data_folder))?,
            devices: ChosenDevices::of_a_cluster(submission.engine, &submission.device),
            sweep_arguments: frozen.sweep_arguments,
        };
        match study.open_undecoded(observer) {
            Err(StudyError::Record(RecordError::Held { .. })) if tries < LOCK_TRIES && stop.requests() == 0 => {
                tries += 1;
                thread::sleep(LOCK_PAUSE);
            }
            opened_or_failed => return opened_or_failed,
        }
    }
}

/// The runs of a task as a plan, for the choice of devices.
pub(super) fn plan_of(sweep: &str, runs: &[PlannedRun], exclusive: bool) -> Plan {
    Plan {
        version: crate::spec::PLAN_VERSION,
        name: sweep.to_owned(),
        question: String::new(),
        arms: vec![],
        axes: vec![],
        seeds: vec![],
        compare: None,
        until_decided: None,
        exclusive,
        labels: crate::spec::Labels::default(),
        runs: runs.to_vec(),
    }
}
/// What was handed in, which every node must be able to read.
fn submission(folder: &SweepFolder, number: u32) -> Result<Submission, StudyError> {
    Submission::read(folder, number).map_err(|error| match error {
        RecordError::Io { path, source, .. } if source.kind() == io::ErrorKind::NotFound => {
            StudyError::NotShared { path, host: host_name() }
        }
        other => other.into(),
    })
}
