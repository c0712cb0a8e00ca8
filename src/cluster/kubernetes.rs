//! Kubernetes: an Indexed Job, as one file that `kubectl apply -f` takes.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{ClusterError, LiveTask, ask, command};
use crate::record::{ClusterJob, Submission, SweepFolder};
use crate::spec::Cluster;

/// The exit code of what is incomplete and goes on when it is started again.
const INCOMPLETE: i32 = 3;
/// Seconds for a last checkpoint.
const GRACE: u32 = 120;

/// A job of a submission as Kubernetes takes it (batch/v1, 1.29 and later).
///
/// An index that fails for good fails alone (`backoffLimitPerIndex`, `podFailurePolicy`); a pod that was evicted, or wrote a checkpoint
/// and stopped, is started again.
pub fn manifest(folder: &SweepFolder, submission: &Submission, job: &ClusterJob) -> Result<Value, ClusterError> {
    let cluster = &submission.cluster;
    let (claim, mount) = on_volume(cluster, &[&folder.path, &submission.data_folder])?;
    // Relative paths of the sweep are seen from where it was handed in, if containers see that.
    let started_in = if submission.started_in.starts_with(mount) { &submission.started_in } else { &folder.path };
    let count = job.count;
    let words = command(folder, submission, job.kind, "$(JOB_COMPLETION_INDEX)");
    let mut limits = serde_json::Map::new();
    for (name, value) in [("cpu", cluster.cpus), ("nvidia.com/gpu", cluster.gpus)] {
        if value > 0 {
            limits.insert(name.to_owned(), json!(value.to_string()));
        }
    }
    if !cluster.memory.is_empty() {
        limits.insert("memory".to_owned(), json!(cluster.memory));
    }
    let mut spec = json!({
        "completionMode": "Indexed",
        "completions": count,
        "parallelism": if cluster.at_once > 0 { count.min(cluster.at_once as usize) } else { count },
        "backoffLimitPerIndex": cluster.requeues,
        "maxFailedIndexes": count,
        "podFailurePolicy": { "rules": [
            { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
            { "action": "Count", "onExitCodes": { "containerName": "speedlab", "operator": "In", "values": [INCOMPLETE] } },
            { "action": "FailIndex", "onExitCodes": { "containerName": "speedlab", "operator": "In", "values": [1, 2] } },
        ] },
        "template": {
            "metadata": { "labels": { "app": "speedlab" } },
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": GRACE,
                "containers": [{
                    "name": "speedlab",
                    "image": cluster.image,
                    "command": words,
                    "workingDir": started_in,
                    "resources": { "limits": limits },
                    "volumeMounts": [{ "name": "shared", "mountPath": mount }],
                }],
                "volumes": [{ "name": "shared", "persistentVolumeClaim": { "claimName": claim } }],
            },
        },
    });
    if cluster.minutes > 0 {
        spec["template"]["spec"]["activeDeadlineSeconds"] = json!(60 * u64::from(cluster.minutes));
    }
    Ok(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": job.name, "labels": { "app": "speedlab" } },
        "spec": spec,
    }))
}

/// The claim of the volume and where it is mounted, which must hold all of these.
pub fn on_volume<'c>(cluster: &'c Cluster, paths: &[&Path]) -> Result<(&'c str, &'c str), ClusterError> {
    let (claim, mount) = cluster.claim().ok_or_else(|| ClusterError::Volume { given: cluster.volume.clone() })?;
    match paths.iter().find(|path| !path.starts_with(mount)) {
        Some(path) => Err(ClusterError::NotOnVolume { path: path.to_path_buf(), mount: mount.to_owned() }),
        None => Ok((claim, mount)),
    }
}

/// The Kubernetes that `kubectl` speaks to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kubernetes;

impl Kubernetes {
    /// Whether there is a `kubectl`.
    pub fn is_here(self) -> bool {
        ask("kubectl", Command::new("kubectl").args(["version", "--client"])).is_ok()
    }

    pub fn apply(self, file: &Path) -> Result<(), ClusterError> {
        kubectl(&["apply", "-f", &file.display().to_string()]).map(drop)
    }

    pub fn delete(self, jobs: &[String]) -> Result<(), ClusterError> {
        let words: Vec<&str> =
            ["delete", "job", "--ignore-not-found"].into_iter().chain(jobs.iter().map(String::as_str)).collect();
        kubectl(&words).map(drop)
    }

    /// The tasks of these jobs that have neither ended nor failed. `jobs`: name and tasks.
    pub fn live(self, jobs: &[(String, usize)]) -> Result<Vec<LiveTask>, ClusterError> {
        let mut live = Vec::new();
        for (name, count) in jobs {
            let text = kubectl(&["get", "job", name, "--ignore-not-found", "-o", "json"])?;
            if text.trim().is_empty() {
                continue;
            }
            let job: Value = serde_json::from_str(&text).map_err(|error| ClusterError::Refused {
                program: "kubectl",
                reason: error.to_string(),
                hint: "",
            })?;
            live.extend(open_indices(&job["status"], *count).map(|index| LiveTask {
                job: name.clone(),
                name: name.clone(),
                index: Some(index),
                state: "PENDING or RUNNING".to_owned(),
                reason: String::new(),
            }));
        }
        Ok(live)
    }
}

/// Those that the status of an Indexed Job calls neither completed nor failed; none of one that has ended.
fn open_indices(status: &Value, count: usize) -> impl Iterator<Item = usize> {
    let is_true = |condition: &Value| condition["status"] == "True";
    let is_end =
        |condition: &Value| ["Complete", "Failed"].iter().any(|word| condition["type"] == *word) && is_true(condition);
    let has_ended = status["conditions"].as_array().is_some_and(|conditions| conditions.iter().any(is_end));
    let mut closed: Vec<(usize, usize)> = Vec::new();
    for key in ["completedIndexes", "failedIndexes"] {
        let text = status[key].as_str().unwrap_or_default();
        closed.extend(text.split(',').filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
        }));
    }
    let is_open = move |index: &usize| !closed.iter().any(|(first, last)| (first..=last).contains(&index));
    (0..if has_ended { 0 } else { count }).filter(is_open)
}

fn kubectl(words: &[&str]) -> Result<String, ClusterError> {
    let program = "kubectl";
    let output = ask(program, Command::new(program).args(words))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(ClusterError::Refused {
            program,
            reason: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            hint: "\nhint: the job's file is in the sweep's folder, below `submissions`: `kubectl apply -f job.json` where the cluster can be reached",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Engine, JobKind};
    use crate::spec::Cluster;

    #[test]
    fn indices_that_have_neither_ended_nor_failed_are_open() {
        let open = |status: Value| open_indices(&status, 8).collect::<Vec<_>>();
        assert_eq!(open(json!({ "completedIndexes": "0,2-4", "failedIndexes": "7" })), [1, 5, 6]);
        assert_eq!(open(json!({})), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(open(json!({ "conditions": [{ "type": "Failed", "status": "True" }] })).is_empty());
    }

    #[test]
    fn a_job_needs_a_volume_that_holds_everything() {
        let results = tempfile::tempdir().unwrap();
        let folder = SweepFolder::new(results.path(), "sweep");
        let mount = results.path().display();
        let with = |volume: String, data: &str| {
            let submission = Submission {
                cluster: Cluster { volume, cpus: 4, gpus: 1, at_once: 2, ..Cluster::default() },
                data_folder: results.path().join(data),
                started_in: results.path().to_owned(),
                ..Submission::begin(&folder, Engine::Kubernetes).unwrap()
            };
            let job = ClusterJob { kind: JobKind::Tasks, first: 0, count: 5, name: "speedlab-x-1-0".into(), id: None };
            manifest(&folder, &submission, &job)
        };
        let job = with(format!("shared:{mount}"), "data").unwrap();
        assert_eq!((&job["spec"]["completions"], &job["spec"]["parallelism"]), (&json!(5), &json!(2)));
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["resources"]["limits"], json!({ "cpu": "4", "nvidia.com/gpu": "1" }));
        assert_eq!(container["command"].as_array().unwrap().last().unwrap(), "$(JOB_COMPLETION_INDEX)");
        assert!(matches!(with(String::new(), "data"), Err(ClusterError::Volume { .. })));
        assert!(matches!(with("shared:/elsewhere".into(), "data"), Err(ClusterError::NotOnVolume { .. })));
    }
}
