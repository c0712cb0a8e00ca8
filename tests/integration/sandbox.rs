//! A folder with a sweep of its own, and the program run in it as a user would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use speedlab::event::RunEvent;
use speedlab::record::{
    CurveRow, Journal, RunFolder, RunRecord, StudyRecord, SweepFolder, read_curves, read_journal, write_curves,
};
use tempfile::TempDir;

/// Two arms, two seeds, a network and a length that take about a second in all.
pub const TINY: &str = "\
name: tiny
question: Does the curriculum reach the target sooner?
base:
  model: { kind: unet, channels: 8, channel_multipliers: [1, 2] }
  train: { steps: 60, batch_size: 16, ema_decay: 0.9, log_every: 7, checkpoint_seconds: 0.02 }
  evaluate:
    every: 20
    grid_images: 4
    validation: { bins: 4, images: 8 }
    fid: { samples: 80, ode: { kind: ddim, steps: 3 } }
arms:
  baseline: {}
  clts: { timestep_sampler: { kind: curriculum } }
seeds: 2
compare: { baseline: baseline, metric: fid, target: { from: baseline, at: final_median } }
";

pub struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub fn new(sweep: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        fs::write(folder.path().join("sweep.yaml"), sweep).expect("the folder is writable");
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn results(&self) -> PathBuf {
        self.path().join("results").join("tiny")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_speedlab"));
        command.current_dir(self.path()).args(args).env_remove("NO_COLOR").stdin(Stdio::null());
        command
    }

    /// Runs to the end.
    pub fn speedlab(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the program starts")
    }

    /// Starts and does not wait.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    }

    /// Waits until `ready` or two minutes have passed.
    pub fn wait_until(&self, what: &str, mut ready: impl FnMut() -> bool) {
        for _ in 0..24_000 {
            if ready() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("waited two minutes for {what}");
    }

    pub fn study(&self) -> StudyRecord {
        StudyRecord::read(&SweepFolder { path: self.results() }).expect("the record is readable")
    }

    /// The sweep's `curves.parquet`.
    pub fn curves(&self) -> Vec<CurveRow> {
        read_curves(&self.results().join("curves.parquet")).expect("the table is readable")
    }

    /// What must not depend on kills, clocks or threads: every number, bit for bit, and every sample grid.
    pub fn bits(&self) -> Vec<(String, u64, String, u64)> {
        let bits = |row: &CurveRow| (row.run_id.to_string(), row.step, row.metric.clone(), row.value.to_bits());
        let mut bits: Vec<_> = self.curves().iter().map(bits).collect();
        for run in &self.study().runs {
            for (step, png) in &run.samples {
                let pixels = fs::read(png).expect("the sample grid is there");
                let sum = pixels.iter().fold(0u64, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
                bits.push((run.planned.run_id.to_string(), *step, "samples".to_owned(), sum));
            }
            for (step, path) in &run.consistency {
                let kept = fs::read(path).expect("the images from shared noise are there");
                let sum = kept.iter().fold(0u64, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
                bits.push((run.planned.run_id.to_string(), *step, "consistency".to_owned(), sum));
            }
        }
        bits
    }
}

/// Sends a signal, named as `kill` names it.
pub fn send_signal(signal: &str, process: u32) {
    let status = Command::new("sh").args(["-c", &format!("kill -{signal} {process} 2>/dev/null")]).status();
    assert!(status.is_ok(), "`sh` can be started");
}

/// The processes that `parent` started, as Linux tells them.
pub fn children_of(parent: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc is readable").flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // "pid (name) state ppid ..": the name may hold anything, so what follows its last parenthesis counts.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        if after_name.split_whitespace().nth(1).and_then(|ppid| ppid.parse().ok()) == Some(parent) {
            children.push(process);
        }
    }
    children
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Writes the journal of a run that has ended anew with other events, as if they had happened so.
pub fn retrain(run: &Path, change: impl Fn(&mut RunEvent)) {
    let folder = RunFolder { path: run.to_owned() };
    let outcome = folder.read_done().expect("DONE is readable").expect("it has ended");
    let events = read_journal(&folder.journal()).expect("the journal is readable").events;
    fs::remove_file(folder.journal()).expect("it is there");
    let mut journal = Journal::open(&folder.journal()).expect("the folder is writable");
    for mut event in events {
        change(&mut event);
        journal.append(&event).expect("the folder is writable");
    }
    fs::remove_file(run.join("DONE")).expect("it is there");
    let record = RunRecord::read_in(&folder, &folder.read_spec().expect("the spec is readable")).expect("it is whole");
    write_curves(&folder.curves(), [(&record.planned, &record.rows)]).expect("the folder is writable");
    folder.write_done(&outcome).expect("the folder is writable");
}
