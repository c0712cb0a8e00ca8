//! Slurm, by its own commands.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use super::{ClusterError, LiveTask, PATIENCE, command};
use crate::record::{ClusterJob, JobKind, Submission, SweepFolder, quoted};

const TRIES: u32 = 4;
/// Of a cluster that does not say.
const USUAL_ARRAY: usize = 1001;

/// The Slurm that this machine's commands speak to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slurm;

impl Slurm {
    /// Tasks that one array takes: indices go from 0 to one less.
    pub fn most_tasks(self) -> Result<usize, ClusterError> {
        let config = ask("scontrol", &["show".into(), "config".into()])?;
        let lines = config.lines().filter_map(|line| line.split_once('='));
        let most =
            lines.filter(|(key, _)| key.trim() == "MaxArraySize").find_map(|(_, value)| value.trim().parse().ok());
        Ok(most.unwrap_or(USUAL_ARRAY))
    }

    /// The tasks of jobs of these names that wait or run. Its text is the same in all versions, unlike its JSON.
    pub fn live(self, names: &[String]) -> Result<Vec<LiveTask>, ClusterError> {
        let mut live = Vec::new();
        // A command line has its limits.
        for names in names.chunks(200) {
            let text = ask("squeue", &["-h", "-r", "-n", &names.join(","), "-o", "%F|%j|%K|%T|%r"].map(str::to_owned))?;
            live.extend(text.lines().filter_map(live_task));
        }
        Ok(live)
    }

    /// Hands a job in, after the jobs `after` have ended however they ended. One whose answer was lost is looked for by its name before
    /// it is handed in again.
    pub fn submit(
        self,
        folder: &SweepFolder,
        submission: &Submission,
        job: &ClusterJob,
        after: &[String],
    ) -> Result<String, ClusterError> {
        let arguments = arguments(folder, submission, job, after)?;
        for attempt in 0..TRIES {
            match run("sbatch", &arguments) {
                Ok(output) if output.status.success() => {
                    let id = String::from_utf8_lossy(&output.stdout);
                    return Ok(id.trim().split(';').next().unwrap_or_default().to_owned());
                }
                Ok(output) => {
                    let reason = words(&output);
                    if is_full(&reason) {
                        return Err(ClusterError::Full { hint: hint(&reason), reason });
                    }
                    if !is_no_answer(&reason) {
                        return Err(ClusterError::Refused { program: "sbatch", hint: hint(&reason), reason });
                    }
                }
                Err(ClusterError::NoAnswer { .. }) => {}
                Err(error) => return Err(error),
            }
            // It may have gone in.
            thread::sleep(Duration::from_secs(1 << attempt));
            let found = self.live(std::slice::from_ref(&job.name));
            let unknown = ClusterError::NoAnswer { program: "sbatch", seconds: PATIENCE.as_secs(), tries: attempt + 1 };
            if let Some(task) = found.map_err(|_| unknown)?.into_iter().next() {
                return Ok(task.job);
            }
        }
        Err(ClusterError::NoAnswer { program: "sbatch", seconds: PATIENCE.as_secs(), tries: TRIES })
    }

    /// Ends jobs: tasks that run write a checkpoint, if the cluster lets them.
    pub fn cancel(self, jobs: &[String]) -> Result<(), ClusterError> {
        jobs.chunks(200).try_for_each(|jobs| ask("scancel", jobs).map(drop))
    }

    /// Puts the task that this process is back into the queue, and no other of its array.
    pub fn requeue(self, task: &str) -> Result<(), ClusterError> {
        ask("scontrol", &["requeue".to_owned(), task.to_owned()]).map(drop)
    }
}

impl Slurm {
    /// The task that this process is, as `scontrol` names it, and how often it was put back into the queue.
    pub fn this_task(self) -> Option<(String, u32)> {
        let of = |name: &str| std::env::var(name).ok();
        let task = match (of("SLURM_ARRAY_JOB_ID"), of("SLURM_ARRAY_TASK_ID")) {
            // The array's id alone would put back all of its tasks.
            (Some(job), Some(task)) => format!("{job}_{task}"),
            _ => of("SLURM_JOB_ID")?,
        };
        Some((task, of("SLURM_RESTART_COUNT").and_then(|count| count.parse().ok()).unwrap_or(0)))
    }
}

/// What `sbatch` is given. Everything stands on the command line, which counts more than variables of the user's shell; directives in
/// the script would count less.
pub(super) fn arguments(
    folder: &SweepFolder,
    submission: &Submission,
    job: &ClusterJob,
    after: &[String],
) -> Result<Vec<String>, ClusterError> {
    let cluster = &submission.cluster;
    let (script, logs) = write_script(folder, submission, job)?;
    let mut words = vec![
        "--parsable".to_owned(),
        format!("--job-name={}", job.name),
        // Else a task that is put back into the queue erases what it has said.
        "--open-mode=append".to_owned(),
        format!("--chdir={}", submission.started_in.display()),
    ];
    let is_tasks = job.kind == JobKind::Tasks;
    let log = if is_tasks { "%a" } else { "%x" };
    words.push(format!("--output={}/{log}.log", logs.display()));
    let mut give = |flag: &str, value: String, is_given: bool| {
        if is_given {
            words.push(format!("--{flag}={value}"));
        }
    };
    if is_tasks {
        let limit = if cluster.at_once > 0 { format!("%{}", cluster.at_once) } else { String::new() };
        give("array", format!("0-{}{limit}", job.count - 1), true);
        give("signal", format!("B:USR1@{}", cluster.notice()), true);
        give("ntasks", "1".to_owned(), true);
        give("cpus-per-task", cluster.cpus.to_string(), cluster.cpus > 0);
        give("gpus-per-task", cluster.gpus.to_string(), cluster.gpus > 0);
        give("mem", cluster.memory.clone(), !cluster.memory.is_empty());
        give("constraint", cluster.constraint.clone(), !cluster.constraint.is_empty());
        give("time", cluster.minutes.to_string(), cluster.minutes > 0);
    }
    give("partition", cluster.partition.clone(), !cluster.partition.is_empty());
    give("account", cluster.account.clone(), !cluster.account.is_empty());
    give("dependency", format!("afterany:{}", after.join(":")), !after.is_empty());
    words.push("--requeue".to_owned());
    words.extend(cluster.flags.iter().chain(&submission.flags).cloned());
    words.push(script.display().to_string());
    Ok(words)
}

/// Writes the script of a job, and makes the folder of its logs.
fn write_script(
    folder: &SweepFolder,
    submission: &Submission,
    job: &ClusterJob,
) -> Result<(PathBuf, PathBuf), ClusterError> {
    let place = folder.submission(submission.number);
    let script = place.join(format!("{}.sh", job.name));
    let logs = place.join("logs").join(&job.name);
    let io = |action: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| ClusterError::Io { action, path, source }
    };
    fs::create_dir_all(&logs).map_err(io("make the folder", &logs))?;
    fs::write(&script, script_text(folder, submission, job)).map_err(io("write", &script))?;
    Ok((script, logs))
}

fn script_text(folder: &SweepFolder, submission: &Submission, job: &ClusterJob) -> String {
    let first = job.first;
    let words = command(folder, submission, job.kind, "INDEX");
    let program = quoted(&words[0]);
    let command = words.iter().map(|word| match word.as_str() {
        "INDEX" => format!("$(({first} + SLURM_ARRAY_TASK_ID))"),
        word => quoted(word),
    });
    let modules: String =
        submission.cluster.modules.iter().map(|module| format!("module load {} || exit 3\n", quoted(module))).collect();
    format!(
        "#!/bin/bash
# Written by `speedlab submit`.
early=
# Notice that comes while modules are loaded is passed on to the program.
trap 'early=--noticed' USR1
{modules}if [ ! -x {program} ]; then
  echo \"speedlab: $(hostname) does not see \"{program}\": is the folder of results shared with the nodes?\" >&2
  exit 3
fi
trap '' USR1
exec {} $early
",
        command.collect::<Vec<_>>().join(" ")
    )
}

/// `17|speedlab-0123abcd-1-0|3|PENDING|Resources`; the index is `N/A` outside of arrays.
fn live_task(line: &str) -> Option<LiveTask> {
    let mut parts = line.splitn(5, '|').map(str::trim);
    let (job, name, index) = (parts.next()?, parts.next()?, parts.next()?);
    let (state, reason) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    // Slurm keeps what has ended for some minutes.
    const ENDED: [&str; 10] = [
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    ];
    (!ENDED.contains(&state.as_str())).then(|| LiveTask {
        job: job.to_owned(),
        name: name.to_owned(),
        index: index.parse().ok(),
        state,
        reason,
    })
}

fn is_full(reason: &str) -> bool {
    ["submit limit", "MaxSubmit", "QOSMaxSubmit", "AssocMaxSubmit", "job count", "Job violates accounting/QOS policy"]
        .iter()
        .any(|words| reason.contains(words))
}

fn is_no_answer(reason: &str) -> bool {
    ["timed out", "Unable to contact", "try again", "temporarily", "Zero Bytes", "Connection refused"]
        .iter()
        .any(|words| reason.contains(words))
}

fn hint(reason: &str) -> &'static str {
    match reason {
        _ if is_full(reason) => {
            "\nhint: one task alone is too much: ask for less (`cluster.minutes`, `cluster.cpus`, `cluster.gpus`, `cluster.memory`), or wait until the queue has room"
        }
        _ if reason.contains("configless") || reason.contains("slurm.conf") || reason.contains("SRV") => {
            "\nhint: this machine belongs to no Slurm: hand runs in on a login node; `--engine command` prints a line for any other engine"
        }
        _ if reason.contains("partition") => "\nhint: `sinfo -s` lists the partitions; set `cluster.partition`",
        _ if reason.contains("account") => {
            "\nhint: `sacctmgr show assoc user=$USER` lists the accounts; set `cluster.account`"
        }
        _ if reason.contains("time limit") => {
            "\nhint: `sinfo -o '%P %l'` lists the longest times; set `cluster.minutes`"
        }
        _ => "",
    }
}

fn ask(program: &'static str, arguments: &[String]) -> Result<String, ClusterError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let reason = match run(program, arguments) {
            Ok(output) if output.status.success() => return Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            Ok(output) => words(&output),
            Err(ClusterError::NoAnswer { .. }) if tries < TRIES => continue,
            Err(error) => return Err(error),
        };
        if !is_no_answer(&reason) || tries == TRIES {
            return Err(ClusterError::Refused { program, hint: hint(&reason), reason });
        }
        thread::sleep(Duration::from_secs(1 << tries));
    }
}

/// What a command said on its standard error, without the name that it puts before each line.
fn words(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines = text.lines().map(|line| line.split_once("error: ").map_or(line, |(_, rest)| rest).trim());
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { output.status.to_string() } else { lines.join("; ") }
}

/// Runs a command to its end, or kills it when it has taken too long.
fn run(program: &'static str, arguments: &[String]) -> Result<Output, ClusterError> {
    let mut command = Command::new(program);
    // A job that hands in others is not what they are parts of.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("SLURM_") && name != "SLURM_CONF") {
            command.env_remove(name);
        }
    }
    super::ask(program, command.args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Engine;
    use crate::spec::Cluster;

    #[test]
    fn a_line_of_squeue_is_a_task_unless_it_has_ended() {
        let task = live_task("17|speedlab-0123abcd-1-0|3|PENDING|Resources").unwrap();
        assert_eq!((task.job.as_str(), task.index, task.state.as_str()), ("17", Some(3), "PENDING"));
        assert_eq!(live_task("18|speedlab-0123abcd-1-9|N/A|RUNNING|None").unwrap().index, None);
        for line in
            ["17|speedlab-0123abcd-1-0|3|COMPLETED|None", "17|a|3|FAILED|NonZeroExitCode", "slurm_load_jobs", ""]
        {
            assert_eq!(live_task(line), None, "{line}");
        }
    }

    #[test]
    fn what_matters_is_on_the_command_line_and_the_users_own_flags_come_last() {
        let results = tempfile::tempdir().unwrap();
        let folder = SweepFolder::new(results.path(), "it's");
        let cluster = Cluster {
            partition: "gpu".into(),
            minutes: 90,
            gpus: 1,
            at_once: 4,
            modules: vec!["cuda/12".into()],
            flags: vec!["--qos=low".into()],
            ..Cluster::default()
        };
        let submission = Submission {
            cluster,
            build: "abc".into(),
            flags: vec!["--time=5".into()],
            ..Submission::begin(&folder, Engine::Slurm).unwrap()
        };
        let job = ClusterJob { kind: JobKind::Tasks, first: 6, count: 3, name: "speedlab-x-1-1".into(), id: None };
        let words = arguments(&folder, &submission, &job, &["7".into(), "8".into()]).unwrap();
        for word in [
            "--array=0-2%4",
            "--signal=B:USR1@120",
            "--partition=gpu",
            "--gpus-per-task=1",
            "--time=90",
            "--dependency=afterany:7:8",
        ] {
            assert!(words.iter().any(|other| other == word), "{word} in {words:?}");
        }
        assert_eq!(words[words.len() - 3..words.len() - 1], ["--qos=low", "--time=5"]);
        let script = fs::read_to_string(words.last().unwrap()).unwrap();
        assert!(script.contains("module load cuda/12 || exit 3\n"), "{script}");
        assert!(script.contains("'it'\\''s' --submission 1 --task $((6 + SLURM_ARRAY_TASK_ID)) $early\n"), "{script}");
    }

    #[test]
    fn a_refusal_is_told_from_a_full_queue_and_from_no_answer() {
        assert!(is_full(
            "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
        ));
        assert!(is_no_answer("Batch job submission failed: Socket timed out on send/recv operation"));
        let refused = "Batch job submission failed: Invalid partition name specified";
        assert!(!is_full(refused) && !is_no_answer(refused) && hint(refused).contains("sinfo"));
    }
}
