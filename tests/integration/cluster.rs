//! A sweep handed to a cluster: here one whose commands are stand-ins that keep a queue in a file. `scripts/check-slurm.sh` tries a real
//! Slurm.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::sandbox::{Sandbox, TINY, stderr};

/// As Slurm's, with arrays of two tasks at most. `$LAB/mode` says what goes wrong: `lost` once takes a job in and does not answer, `full`
/// has room for one task, `refused` knows no partition.
const SBATCH: &str = r#"#!/bin/sh
mode=$(cat "$LAB/mode" 2>/dev/null)
echo "$@" >>"$LAB/calls"
case "$mode" in
refused) echo "sbatch: error: Batch job submission failed: Invalid partition name specified" >&2; exit 1 ;;
esac
for word in "$@"; do
    case "$word" in
    --job-name=*) name=${word#--job-name=} ;;
    --array=0-*) last=${word#--array=0-} ;;
    esac
done
if [ "$mode" = full ] && [ $(($(wc -l <"$LAB/queue") + ${last:-0} + 1)) -gt 1 ]; then
    echo "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)" >&2
    exit 1
fi
id=$(($(cat "$LAB/id" 2>/dev/null || echo 100) + 1))
echo $id >"$LAB/id"
if [ -n "$last" ]; then
    for index in $(seq 0 "${last%\%*}"); do echo "$id|$name|$index|PENDING|Resources" >>"$LAB/queue"; done
else
    echo "$id|$name|N/A|PENDING|Dependency" >>"$LAB/queue"
fi
if [ "$mode" = lost ]; then
    rm "$LAB/mode"
    echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2
    exit 1
fi
echo $id
"#;
const SQUEUE: &str = "#!/bin/sh\ncat \"$LAB/queue\"\n";
const SCONTROL: &str = "#!/bin/sh\necho \"scontrol $*\" >>\"$LAB/calls\"\necho 'MaxArraySize            = 2'\n";
const SCANCEL: &str = "#!/bin/sh\necho \"scancel $*\" >>\"$LAB/calls\"\n: >\"$LAB/queue\"\n";

/// A folder with a sweep and a cluster's commands.
struct Lab {
    sandbox: Sandbox,
}

impl Lab {
    fn new(sweep: &str) -> Self {
        let lab = Self { sandbox: Sandbox::new(sweep) };
        fs::create_dir(lab.path("bin")).unwrap();
        for (name, text) in [("sbatch", SBATCH), ("squeue", SQUEUE), ("scontrol", SCONTROL), ("scancel", SCANCEL)] {
            lab.program(name, text);
        }
        fs::write(lab.path("queue"), "").unwrap();
        lab
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.sandbox.command(args);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.path("bin").display())).env("LAB", self.sandbox.path());
        command
    }

    fn speedlab(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn mode(&self, mode: &str) {
        fs::write(self.path("mode"), mode).unwrap();
    }

    /// Lines of the queue that are tasks of arrays.
    fn tasks(&self) -> usize {
        fs::read_to_string(self.path("queue")).unwrap().lines().filter(|line| !line.contains("|N/A|")).count()
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(output))
}

/// Each run in a task of its own.
fn apart() -> String {
    format!("{TINY}cluster: {{ task_minutes: 0, partition: gpu }}\n")
}

#[test]
fn what_is_missing_is_handed_in_once() {
    let lab = Lab::new(&apart());
    let dry = lab.speedlab(&["submit", "sweep.yaml", "-n"]);
    assert!(said(&dry).contains("4 tasks would be handed in"), "{}", said(&dry));
    assert!(!lab.path("results").exists(), "a dry run changes nothing");
    let first = lab.speedlab(&["submit", "sweep.yaml", "--", "--qos=low"]);
    assert_eq!(first.status.code(), Some(0), "{}", said(&first));
    assert_eq!(lab.tasks(), 4);
    let calls = fs::read_to_string(lab.path("calls")).unwrap();
    assert_eq!(
        calls.lines().filter(|call| call.contains("--parsable")).count(),
        3,
        "two arrays and the report's job: {calls}"
    );
    assert!(calls.contains("--dependency=afterany:101:102") && calls.contains("--partition=gpu"), "{calls}");
    assert_eq!(calls.matches("--qos=low").count(), 3, "{calls}");
    let again = lab.speedlab(&["submit", "sweep.yaml"]);
    assert!(said(&again).contains("nothing to hand in"), "{}", said(&again));
    let status = said(&lab.speedlab(&["status", "sweep.yaml"]));
    assert!(status.contains("job 101_0: Resources") && status.contains("job 102_1: Resources"), "{status}");
    let cancelled = said(&lab.speedlab(&["cancel", "sweep.yaml"]));
    assert!(cancelled.contains("5 tasks were told to end"), "{cancelled}");
    assert!(fs::read_to_string(lab.path("calls")).unwrap().contains("scancel 103\nscancel 101 102\n"));
    let status = said(&lab.speedlab(&["status", "sweep.yaml"]));
    assert!(status.contains("4 runs of submission 1 are in no task any more"), "{status}");
    assert!(status.contains("4 of them left nothing"), "{status}");
    assert_eq!(lab.speedlab(&["submit", "sweep.yaml"]).status.code(), Some(0));
    assert_eq!(lab.tasks(), 4);
}

#[test]
fn short_runs_share_a_task() {
    let lab = Lab::new(TINY);
    assert_eq!(lab.speedlab(&["submit", "sweep.yaml"]).status.code(), Some(0));
    assert_eq!(lab.tasks(), 1);
}

#[test]
fn a_job_whose_answer_was_lost_is_found_and_not_handed_in_again() {
    let lab = Lab::new(&apart());
    lab.mode("lost");
    let output = lab.speedlab(&["submit", "sweep.yaml", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["jobs"][0]["id"], "101");
    assert_eq!(lab.tasks(), 4);
}

#[test]
fn as_much_is_handed_in_as_the_queue_takes() {
    let lab = Lab::new(&apart());
    lab.mode("full");
    let output = lab.speedlab(&["submit", "sweep.yaml"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("the queue had no room for 3 tasks"), "{}", said(&output));
    assert_eq!(lab.tasks(), 1);
    fs::remove_file(lab.path("mode")).unwrap();
    assert_eq!(lab.speedlab(&["submit", "sweep.yaml"]).status.code(), Some(0));
    assert_eq!(lab.tasks(), 4);
}

#[test]
fn a_refusal_and_a_machine_without_slurm_name_the_cure() {
    let lab = Lab::new(&apart());
    lab.mode("refused");
    let output = lab.speedlab(&["submit", "sweep.yaml"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("Invalid partition") && said(&output).contains("sinfo -s"), "{}", said(&output));
    let output = lab.sandbox.command(&["submit", "sweep.yaml"]).env("PATH", "/nowhere").output().unwrap();
    assert!(said(&output).contains("there is no `scontrol` here"), "{}", said(&output));
    assert!(said(&output).contains("--engine command"), "{}", said(&output));
    fs::remove_file(lab.path("mode")).unwrap();
    assert_eq!(lab.speedlab(&["submit", "sweep.yaml"]).status.code(), Some(0), "nothing was lost");
    assert_eq!(lab.tasks(), 4);
    let wrong = lab.speedlab(&["submit", "sweep.yaml", "--set", "cluster.partitions=gpu"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said(&wrong).contains("did you mean `partition`?"), "{}", said(&wrong));
}

#[test]
fn tasks_of_any_engine_record_what_a_local_run_records_also_twice_at_once() {
    let lab = Lab::new(&apart());
    let output = lab.speedlab(&["submit", "sweep.yaml", "--engine", "command", "--json", "--device", "cpu"]);
    let json: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    let command = json["command"].as_str().unwrap();
    assert!(command.ends_with("tiny --submission 1 --task $INDEX"), "{command}");
    let start = |index: usize| {
        let mut task = Command::new("sh");
        task.current_dir("/").arg("-c").arg(command).env("INDEX", index.to_string());
        task.stderr(std::process::Stdio::null()).spawn().unwrap()
    };
    let copies: Vec<_> = (0..4).chain(0..4).map(start).collect();
    for mut copy in copies {
        assert!(copy.wait().unwrap().success());
    }
    assert!(start(0).wait().unwrap().success(), "what is done stays done");
    assert_eq!(start(4).wait().unwrap().code(), Some(1), "there is no such task");
    let local = super::sandbox::Sandbox::new(TINY);
    assert_eq!(local.speedlab(&["run", "sweep.yaml", "--quiet"]).status.code(), Some(0));
    assert_eq!(lab.speedlab(&["report", "sweep.yaml"]).status.code(), Some(0));
    assert!(lab.sandbox.bits() == local.bits(), "the same bits");
}

/// As `kubectl`, of a job whose indices 0 and 2 have ended.
const KUBECTL: &str = r#"#!/bin/sh
echo "kubectl $*" >>"$LAB/calls"
[ "$1" = get ] && echo '{ "status": { "completedIndexes": "0,2" } }'
exit 0
"#;

#[test]
fn kubernetes_is_handed_an_indexed_job_whose_command_does_its_tasks() {
    let lab = Lab::new(&apart());
    lab.program("kubectl", KUBECTL);
    let mount = lab.sandbox.path().display().to_string();
    let volume = format!("cluster.volume=shared:{mount}");
    let data = format!("{mount}/data");
    let submit = |extra: &[&str]| {
        let args = ["submit", "sweep.yaml", "--engine", "kubernetes", "--data-dir", &data, "--set", &volume];
        lab.speedlab(&[args.as_slice(), extra].concat())
    };
    let output = submit(&["--set", "cluster.memory=2Gi", "--set", "cluster.minutes=30"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let path = lab.sandbox.results().join("submissions/1/job.json");
    assert!(fs::read_to_string(lab.path("calls")).unwrap().contains(&format!("apply -f {}", path.display())));
    let text = fs::read_to_string(&path).unwrap();
    let job: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_golden(&job, &mount);
    // Two of its indices have not ended: only the other two runs are missing.
    let again = submit(&["-n"]);
    assert!(said(&again).contains("2 runs are missing") && said(&again).contains("2 wait or run"), "{}", said(&again));
    // What the containers would do, with the index put in as Kubernetes does it.
    let words = job["spec"]["template"]["spec"]["containers"][0]["command"].as_array().unwrap();
    for index in ["0", "1", "2", "3"] {
        let words: Vec<String> =
            words.iter().map(|word| word.as_str().unwrap().replace("$(JOB_COMPLETION_INDEX)", index)).collect();
        let output = Command::new(&words[0]).args(&words[1..]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
    assert_eq!(lab.speedlab(&["status", "sweep.yaml"]).status.code(), Some(0));
    let refused = lab.speedlab(&["submit", "sweep.yaml", "--engine", "kubernetes", "--persist"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
}

/// The job is that of `tests/golden/cluster/job.json`, which `scripts/golden/kubernetes.py` has had validated, but for folders and sums.
fn assert_golden(job: &serde_json::Value, mount: &str) {
    let mut job = job.clone();
    job["metadata"]["name"] = "speedlab-00000000-1-0".into();
    job["spec"]["template"]["spec"]["containers"][0]["command"][0] = "/shared/results/tiny/speedlab".into();
    let text = serde_json::to_string_pretty(&job).unwrap().replace(mount, "/shared") + "\n";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cluster/job.json");
    if std::env::var_os("SPEEDLAB_UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(path).unwrap());
}

#[test]
fn a_task_that_is_told_before_it_has_begun_goes_back_into_the_queue_as_long_as_that_is_of_use() {
    let lab = Lab::new(&apart());
    assert_eq!(lab.speedlab(&["submit", "sweep.yaml"]).status.code(), Some(0));
    let noticed = |restarts: &str, path: &str| {
        let mut task = lab.command(&["exec", "results", "tiny", "--submission", "1", "--task", "1", "--noticed"]);
        task.env("SLURM_ARRAY_JOB_ID", "101").env("SLURM_ARRAY_TASK_ID", "1").env("SLURM_RESTART_COUNT", restarts);
        if !path.is_empty() {
            task.env("PATH", path);
        }
        let output = task.output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        said(&output)
    };
    assert!(noticed("0", "").contains("it is back in the queue"));
    let calls = fs::read_to_string(lab.path("calls")).unwrap();
    assert!(calls.contains("scontrol requeue 101_1\n"), "this task and no other: {calls}");
    let often = noticed("20", "");
    assert!(often.contains("left for the next") && often.contains("20 times"), "{often}");
    let without = noticed("0", "/nowhere");
    assert!(without.contains("left for the next") && without.contains("there is no `scontrol` here"), "{without}");
}

#[test]
fn a_run_that_a_cluster_began_goes_on_here_and_back() {
    let sweep = format!("{}cluster: {{ task_minutes: 0 }}\n", TINY.replace("seeds: 2", "seeds: 1"));
    let lab = Lab::new(&sweep);
    assert_eq!(lab.speedlab(&["submit", "sweep.yaml"]).status.code(), Some(0));
    // The cluster never comes to it.
    assert_eq!(lab.speedlab(&["run", "sweep.yaml", "--quiet"]).status.code(), Some(0));
    assert_eq!(lab.speedlab(&["status", "sweep.yaml"]).status.code(), Some(0));
    let survey = said(&lab.speedlab(&["submit", "sweep.yaml", "-n"]));
    assert!(survey.contains("0 runs are missing") && survey.contains("2 have ended"), "{survey}");
}
