//! Hands a study's missing runs to a cluster.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{ChosenDevices, Estimator, Observer, OpenStudy, Study, StudyError, live_tasks};
use crate::cluster::{ClusterError, Kubernetes, Slurm, chunks, command, job_name, manifest, on_volume, parts};
use crate::record::{ClusterJob, Engine, JobKind, RunRecord, RunState, Submission, SweepFolder, quoted, write_beside};
use crate::run::PROGRAM;
use crate::spec::{Cluster, Data, Plan, PlannedRun, RunId};

/// Attempts that began at one checkpoint and got to no other, after which a run is not handed in again by itself, nor a task of
/// such runs put back into the queue.
pub(super) const MOST_FRUITLESS: usize = 3;

/// To what runs are handed over, and how.
#[derive(Clone, Debug)]
pub struct Handover {
    pub engine: Engine,
    /// The sweep's file and what was set beside it, as `speedlab status` takes them.
    pub sweep_arguments: String,
    pub cluster: Cluster,
    /// Verbatim to the cluster's own command.
    pub flags: Vec<String>,
    /// `--device` and `--jobs` of each task.
    pub device: String,
    pub runs_at_once: Option<usize>,
    /// Whether the last job hands in again what is missing.
    pub persist: bool,
    /// Whether also runs are handed in whose attempts got nowhere.
    pub again: bool,
}

/// How a study's runs stand with a cluster.
#[derive(Debug)]
pub struct Survey {
    /// What would be handed in, with the seconds that each takes by estimate.
    pub missing: Vec<(PlannedRun, f64)>,
    pub ended: usize,
    /// Runs of tasks that wait or run.
    pub live: usize,
    /// Runs whose attempts get to no checkpoint: each with their number.
    pub stuck: Vec<(PlannedRun, usize)>,
    /// Runs whose records are damaged.
    pub damaged: Vec<PlannedRun>,
    /// Steps of the last checkpoints of all runs: what says whether anything goes on.
    pub steps: u64,
}

/// What was handed in.
#[derive(Debug)]
pub struct Handed {
    pub survey: Survey,
    /// `None` if nothing was missing.
    pub submission: Option<Submission>,
    /// Tasks for which there was no room in the queue.
    pub left_over: usize,
    /// Whether a job comes after all others.
    pub has_last_job: bool,
    /// Of [`Engine::Command`]: what to start for each index from 0, with `$INDEX` in it. Of Kubernetes: the file.
    pub command: Option<String>,
}

impl Handover {
    /// As a submission was made.
    pub fn of(submission: &Submission) -> Self {
        Self {
            engine: submission.engine,
            sweep_arguments: submission.sweep_arguments.clone(),
            cluster: submission.cluster.clone(),
            flags: submission.flags.clone(),
            device: submission.device.clone(),
            runs_at_once: submission.runs_at_once,
            persist: submission.persist,
            again: false,
        }
    }

    /// What would be handed in of a plan; changes nothing.
    pub fn survey(&self, plan: &Plan, folder: &SweepFolder) -> Result<Survey, StudyError> {
        let live = live_tasks(folder, self.engine == Engine::Slurm)?;
        let live: BTreeSet<RunId> = live.into_iter().flat_map(|(_, runs)| runs).collect();
        let records = plan.runs.par_iter().map(|run| RunRecord::read(folder, run)).collect::<Result<Vec<_>, _>>()?;
        let threads = usize::try_from(self.cluster.cpus.max(1)).unwrap_or(1);
        let estimator = Estimator::new(None, None, threads).with_trainers(records.iter());
        let mut survey = Survey { missing: vec![], ended: 0, live: 0, stuck: vec![], damaged: vec![], steps: 0 };
        for record in records {
            let fruitless = record.fruitless_attempts();
            survey.steps += record.checkpoint.1;
            let run = record.planned;
            match record.state {
                RunState::Ended(_) => survey.ended += 1,
                RunState::Damaged(_) => survey.damaged.push(run),
                _ if live.contains(&run.run_id) => survey.live += 1,
                _ if fruitless >= MOST_FRUITLESS && !self.again => survey.stuck.push((run, fruitless)),
                _ => {
                    // Of a trainer of one's own nothing may be known: each run is a task of its own.
                    let seconds = estimator.seconds(&run.spec).map_or(f64::INFINITY, |(train, eval)| train + eval);
                    survey.missing.push((run, seconds));
                }
            }
        }
        Ok(survey)
    }

    /// The tasks that a survey's missing runs make.
    pub fn tasks(&self, survey: &Survey) -> Vec<Vec<RunId>> {
        let runs: Vec<(RunId, f64)> =
            survey.missing.iter().map(|(run, seconds)| (run.run_id.clone(), *seconds)).collect();
        chunks(&runs, 60.0 * f64::from(self.cluster.task_minutes))
    }
}

impl Study {
    /// Freezes the plan, with the seeds that its rule asks for by now, and hands over the runs that have not ended and that no task has.
    pub fn hand_over(self, handover: &Handover, observer: &mut dyn Observer) -> Result<Handed, StudyError> {
        let mut open = self.open_undecoded(observer)?;
        // Why no seed came is no matter: what is missing is handed over.
        let _ = open.next_round(observer, |_, _| true)?;
        open.hand_over(handover, &|| false)
    }
}

impl OpenStudy {
    /// `is_stopped`: whether no further job is to be handed in.
    pub(super) fn hand_over(
        &mut self,
        handover: &Handover,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Handed, StudyError> {
        let survey = handover.survey(&self.study.plan, &self.folder)?;
        let tasks = handover.tasks(&survey);
        if tasks.is_empty() {
            return Ok(Handed { survey, submission: None, left_over: 0, has_last_job: false, command: None });
        }
        // Before anything is changed: is there a cluster at all?
        let most = if handover.engine == Engine::Slurm { Slurm.most_tasks()? } else { 0 };
        let data_folder = absolute(self.study.data_folder.path())?;
        if handover.engine == Engine::Kubernetes {
            on_volume(&handover.cluster, &[&absolute(&self.folder.path)?, &data_folder])?;
        }
        self.note_session()?;
        freeze_program(&self.folder.frozen_program(&self.session.build))?;
        let submission = Submission::begin(&self.folder, handover.engine)?;
        let token = format!("before-{}", submission.number);
        survey.missing.par_iter().try_for_each(|(run, _)| self.folder.set_aside(run, &token))?;
        let mut submission = Submission {
            submitted_at: jiff::Timestamp::now().to_string(),
            host: self.session.host.clone(),
            program: PROGRAM.to_owned(),
            build: self.session.build.clone(),
            sweep_arguments: handover.sweep_arguments.clone(),
            data_folder,
            device: handover.device.clone(),
            runs_at_once: handover.runs_at_once,
            cluster: handover.cluster.clone(),
            flags: handover.flags.clone(),
            persist: handover.persist,
            started_in: std::env::current_dir()
                .map_err(|source| StudyError::Io { action: "find the folder that this was started in", source })?,
            ended_before: survey.ended,
            steps_before: survey.steps,
            tasks,
            ..submission
        };
        let (handed, command) = match handover.engine {
            Engine::Slurm => (self.to_slurm(&mut submission, most, is_stopped)?, None),
            Engine::Kubernetes => (Taken::all(), Some(self.to_kubernetes(&mut submission)?)),
            Engine::Command => {
                submission.write(&self.folder)?;
                let words = command(&absolute_folder(&self.folder)?, &submission, JobKind::Tasks, INDEX);
                // The shell is to put the number in.
                let word = |word: &String| if word == INDEX { word.clone() } else { quoted(word) };
                (Taken::all(), Some(words.iter().map(word).collect::<Vec<_>>().join(" ")))
            }
        };
        let Taken { left_over, has_last_job } = handed;
        Ok(Handed { survey, submission: Some(submission), left_over, has_last_job, command })
    }

    fn to_slurm(
        &self,
        submission: &mut Submission,
        most: usize,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Taken, StudyError> {
        let mut first_of_all = Vec::new();
        if needs_preparing(&self.study.plan) {
            // Tasks do it themselves where there was no room for it.
            let job = self.one_job(submission, JobKind::Prepare, 0, 0)?;
            first_of_all.extend(self.take_in(submission, job, &[]).map(Some).or_else(no_room)?);
        }
        let mut ids = Vec::new();
        let arrays = self.arrays(submission, most, &first_of_all, &mut ids, is_stopped);
        // Also after a failure: whatever was taken in has somebody who comes after it.
        let last = if ids.is_empty() || is_stopped() { Ok((None, 0)) } else { self.last_job(submission, &ids) };
        submission.write(&self.folder)?;
        let handed = arrays?;
        let (last, given_up) = last?;
        Ok(Taken { left_over: submission.tasks.len() - handed + given_up, has_last_job: last.is_some() })
    }

    /// Hands in as many tasks as there is room for. How many.
    fn arrays(
        &self,
        submission: &mut Submission,
        most: usize,
        after: &[String],
        ids: &mut Vec<String>,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<usize, StudyError> {
        let mut handed = 0;
        for (first, count) in parts(submission.tasks.len(), most) {
            let (end, mut count) = (first + count, count);
            while handed < end {
                if is_stopped() {
                    return Ok(handed);
                }
                let job = self.one_job(submission, JobKind::Tasks, handed, count)?;
                match self.take_in(submission, job, after) {
                    Ok(id) => {
                        ids.push(id);
                        handed += count;
                        count = count.min(end - handed);
                    }
                    Err(StudyError::Cluster(ClusterError::Full { .. })) if count > 1 => count /= 2,
                    // What the queue has no room for although nothing of this is in it, it never will have.
                    Err(StudyError::Cluster(ClusterError::Full { .. })) if !ids.is_empty() => return Ok(handed),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(handed)
    }

    /// The job that comes after all others; where the queue is full, in the place of a last task. With the number of tasks given up for it.
    fn last_job(&self, submission: &mut Submission, after: &[String]) -> Result<(Option<String>, usize), StudyError> {
        let take = |submission: &mut Submission| {
            let job = self.one_job(submission, JobKind::Finish, 0, 0)?;
            self.take_in(submission, job, after).map(Some).or_else(no_room)
        };
        if let Some(id) = take(submission)? {
            return Ok((Some(id), 0));
        }
        let last =
            submission.jobs.iter_mut().rfind(|job| job.kind == JobKind::Tasks && job.count > 1 && job.id.is_some());
        let Some(last) = last else { return Ok((None, 0)) };
        last.count -= 1;
        Slurm.cancel(&[format!("{}_{}", last.id.as_deref().unwrap_or_default(), last.count)])?;
        Ok((take(submission)?, 1))
    }

    /// A job that is in the submission's file before the cluster hears of it: one whose answer is lost is found by its name.
    fn one_job(
        &self,
        submission: &mut Submission,
        kind: JobKind,
        first: usize,
        count: usize,
    ) -> Result<ClusterJob, StudyError> {
        let name = job_name(&self.folder, submission.number, submission.jobs_named);
        submission.jobs_named += 1;
        let job = ClusterJob { kind, first, count, name, id: None };
        submission.jobs.push(job.clone());
        submission.write(&self.folder)?;
        Ok(job)
    }

    /// The job's id; a job that was not taken in is no part of the submission.
    fn take_in(&self, submission: &mut Submission, job: ClusterJob, after: &[String]) -> Result<String, StudyError> {
        let taken = Slurm.submit(&absolute_folder(&self.folder)?, submission, &job, after);
        match &taken {
            Ok(id) => submission.jobs.last_mut().expect("it was just made").id = Some(id.clone()),
            // Whether it went in is not known: it may be found by its name.
            Err(ClusterError::NoAnswer { .. }) => {}
            Err(_) => drop(submission.jobs.pop()),
        }
        Ok(taken?)
    }

    /// The manifest's path.
    fn to_kubernetes(&self, submission: &mut Submission) -> Result<String, StudyError> {
        let tasks = submission.tasks.len();
        let job = self.one_job(submission, JobKind::Tasks, 0, tasks)?;
        let folder = absolute_folder(&self.folder)?;
        let text = serde_json::to_string_pretty(&manifest(&folder, submission, &job)?).expect("plain data");
        let path = folder.submission(submission.number).join("job.json");
        write_beside(&path, text.as_bytes())?;
        if Kubernetes.is_here() {
            Kubernetes.apply(&path)?;
        }
        Ok(path.display().to_string())
    }
}

/// What the cluster took.
struct Taken {
    left_over: usize,
    has_last_job: bool,
}

impl Taken {
    /// Of an engine that has no last job.
    fn all() -> Self {
        Self { left_over: 0, has_last_job: false }
    }
}

/// The number of a task in a command that a shell reads.
const INDEX: &str = "$INDEX";

/// No job, where there was no room for it.
fn no_room(error: StudyError) -> Result<Option<String>, StudyError> {
    match error {
        StudyError::Cluster(ClusterError::Full { .. }) => Ok(None),
        error => Err(error),
    }
}

/// Whether there is something that tasks would otherwise all do: the digits and their features come with the program.
fn needs_preparing(plan: &Plan) -> bool {
    plan.runs.iter().any(|run| !matches!(run.spec.data, Data::Digits(_)))
}

fn absolute(path: &Path) -> Result<PathBuf, StudyError> {
    std::path::absolute(path).map_err(|source| StudyError::Io { action: "find a folder", source })
}

/// Jobs begin in other folders than this process.
pub(super) fn absolute_folder(folder: &SweepFolder) -> Result<SweepFolder, StudyError> {
    Ok(SweepFolder { path: absolute(&folder.path)? })
}

/// Copies this program, so that a new build changes nothing that waits.
fn freeze_program(place: &Path) -> Result<(), StudyError> {
    let io = |source| StudyError::Io { action: "keep a copy of this program for the cluster", source };
    if place.exists() {
        return Ok(());
    }
    let folder = place.parent().expect("it is in a folder");
    fs::create_dir_all(folder).map_err(io)?;
    let running = Path::new("/proc/self/exe");
    let program = if running.exists() { running.to_owned() } else { std::env::current_exe().map_err(io)? };
    let beside = folder.join(format!(".speedlab.{}", std::process::id()));
    // Its permissions come along.
    fs::copy(program, &beside).and_then(|_| fs::rename(&beside, place)).map_err(io)
}

impl ChosenDevices {
    /// Of a study whose runs are handed to a cluster.
    pub fn of_a_cluster(engine: Engine, device: &str) -> Self {
        let engine = match engine {
            Engine::Slurm => "slurm",
            Engine::Kubernetes => "kubernetes",
            Engine::Command => "other machines",
        };
        Self {
            devices: vec![crate::schedule::Device::new(&format!("{engine} ({device})"), 0, 1)],
            words: engine.to_owned(),
            note: None,
            evaluate_on: None,
            captures_steps: false,
        }
    }
}

impl From<ClusterError> for StudyError {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(error)
    }
}
