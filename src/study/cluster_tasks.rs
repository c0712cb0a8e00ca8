//! A sweep's tasks on a cluster: listed, and cancelled.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use super::StudyError;
use crate::cluster::{ClusterError, Kubernetes, LiveTask, Slurm};
use crate::record::{ClusterJob, Engine, JobKind, Submission, SweepFolder};
use crate::spec::RunId;

/// A task of a cluster and its runs.
pub type TaskRuns = (LiveTask, Vec<RunId>);

/// The tasks of a sweep's submissions that wait or run, with their runs. Tells nothing of engines that cannot be asked; `needs_slurm`: where
/// there is no Slurm to ask, that is an error.
pub fn live_tasks(folder: &SweepFolder, needs_slurm: bool) -> Result<Vec<TaskRuns>, StudyError> {
    let submissions = Submission::all(folder)?;
    let of = |engine: Engine| {
        let submissions = submissions.iter().filter(move |submission| submission.engine == engine);
        submissions.flat_map(|submission| submission.jobs.iter().map(move |job| (submission, job)))
    };
    let mut tasks = Vec::new();
    let names: Vec<String> = of(Engine::Slurm).map(|(_, job)| job.name.clone()).collect();
    if !names.is_empty() {
        match Slurm.live(&names) {
            Err(ClusterError::NoProgram { .. }) if !needs_slurm => {}
            live => tasks.extend(live?),
        }
    }
    let names: Vec<(String, usize)> = of(Engine::Kubernetes).map(|(_, job)| (job.name.clone(), job.count)).collect();
    if !names.is_empty() && Kubernetes.is_here() {
        tasks.extend(Kubernetes.live(&names)?);
    }
    let with_runs = tasks.into_iter().map(|task| {
        let runs = job_of(&submissions, &task)
            .and_then(|(submission, job)| submission.tasks.get(job.first + task.index?).cloned());
        (task, runs.unwrap_or_default())
    });
    Ok(with_runs.collect())
}

fn job_of<'s>(submissions: &'s [Submission], task: &LiveTask) -> Option<(&'s Submission, &'s ClusterJob)> {
    let jobs = submissions.iter().flat_map(|submission| submission.jobs.iter().map(move |job| (submission, job)));
    jobs.into_iter().find(|(_, job)| job.name == task.name)
}

/// Between two looks at what is still there.
const PAUSE: Duration = Duration::from_millis(500);
/// A job that hands in others may need so many looks to end: longer than Slurm lets it.
const MOST_LOOKS: u32 = 90;

/// Ends the jobs of a sweep's submissions: what runs writes a checkpoint where the cluster lets it. How many tasks there were.
///
/// First those that would hand in others; and again what such a job handed in before it ended.
pub fn cancel(folder: &SweepFolder) -> Result<usize, StudyError> {
    let mut ended: BTreeSet<(String, Option<usize>)> = BTreeSet::new();
    for _ in 0..MOST_LOOKS {
        let live = live_tasks(folder, false)?;
        let submissions = Submission::all(folder)?;
        let is_last = |task: &LiveTask| job_of(&submissions, task).is_some_and(|(_, job)| job.kind == JobKind::Finish);
        for wanted in [true, false] {
            for engine in [Engine::Slurm, Engine::Kubernetes] {
                let is_meant = |task: &&LiveTask| {
                    let is_of = job_of(&submissions, task).is_some_and(|(submission, _)| submission.engine == engine);
                    let is_new = !ended.contains(&(task.job.clone(), task.index));
                    is_of && is_new && is_last(task) == wanted
                };
                let jobs = live.iter().map(|(task, _)| task).filter(is_meant).map(|task| task.job.clone());
                let jobs: Vec<String> = jobs.collect::<BTreeSet<_>>().into_iter().collect();
                match engine {
                    _ if jobs.is_empty() => {}
                    Engine::Kubernetes => Kubernetes.delete(&jobs)?,
                    _ => Slurm.cancel(&jobs)?,
                }
            }
        }
        let goes_on = live.iter().any(|(task, _)| is_last(task) && task.state != "PENDING");
        let is_new = live.iter().any(|(task, _)| !ended.contains(&(task.job.clone(), task.index)));
        ended.extend(live.into_iter().map(|(task, _)| (task.job, task.index)));
        if !goes_on && !is_new {
            break;
        }
        thread::sleep(PAUSE);
    }
    Ok(ended.len())
}
