//! Where everything is.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{RecordError, write_curves};
use crate::event::RunOutcome;
use crate::record::CurveRow;
use crate::spec::{PlannedRun, RunId, decode_json};

/// `results/<sweep>`.
#[derive(Clone, Debug)]
pub struct SweepFolder {
    pub path: PathBuf,
}

/// `results/<sweep>/runs/<run-id>`.
#[derive(Clone, Debug)]
pub struct RunFolder {
    pub path: PathBuf,
}

/// Holds a folder for one process, until dropped; the operating system lets go of it however the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The version of `spec.json` and `DONE`.
const FOLDER_VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct SpecFile {
    version: u32,
    run: PlannedRun,
}

#[derive(Serialize, Deserialize)]
struct DoneFile {
    version: u32,
    outcome: RunOutcome,
}

impl SweepFolder {
    pub fn new(results: &Path, sweep: &str) -> Self {
        Self { path: results.join(sweep) }
    }

    pub fn run(&self, run_id: &RunId) -> RunFolder {
        RunFolder { path: self.path.join("runs").join(run_id.as_str()) }
    }

    pub fn report(&self) -> PathBuf {
        self.path.join("report")
    }

    /// Takes the sweep for this process.
    pub fn lock(&self) -> Result<Lock, RecordError> {
        Lock::take(&self.path)
    }

    pub fn plan_file(&self) -> PathBuf {
        self.path.join("plan.json")
    }

    /// Replaces `curves.parquet`, the tidy table of all runs.
    pub fn write_curves(&self, rows: &[CurveRow]) -> Result<(), RecordError> {
        write_curves(&self.path.join("curves.parquet"), rows)
    }
}

impl RunFolder {
    pub fn journal(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    pub fn curves(&self) -> PathBuf {
        self.path.join("curves.parquet")
    }

    pub fn log(&self) -> PathBuf {
        self.path.join("log.txt")
    }

    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint").join("state.safetensors")
    }

    /// Where the sample grid of a step is, relative to this folder.
    pub fn sample_grid(step: u64) -> String {
        format!("samples/step-{step:08}.png")
    }

    /// Where the images from shared noise of a step are.
    pub fn consistency(&self, step: u64) -> PathBuf {
        self.path.join("consistency").join(format!("step-{step:08}.safetensors"))
    }

    /// Makes the folder and writes `spec.json`, unless it says the same already: the names of an arm and what cannot change a
    /// result may have changed since.
    pub fn prepare(&self, run: &PlannedRun) -> Result<(), RecordError> {
        for folder in ["samples", "checkpoint"] {
            let path = self.path.join(folder);
            fs::create_dir_all(&path).map_err(RecordError::io("make the folder", &path))?;
        }
        let path = self.path.join("spec.json");
        if path.exists() && self.read_spec()? == *run {
            return Ok(());
        }
        write_json(&path, &SpecFile { version: FOLDER_VERSION, run: run.clone() })
    }

    /// The run as it was planned.
    pub fn read_spec(&self) -> Result<PlannedRun, RecordError> {
        let spec: SpecFile = read_json(&self.path.join("spec.json"), FOLDER_VERSION)?;
        Ok(spec.run)
    }

    /// How the run ended for good, if it did.
    pub fn read_done(&self) -> Result<Option<RunOutcome>, RecordError> {
        let path = self.path.join("DONE");
        if !path.exists() {
            return Ok(None);
        }
        let done: DoneFile = read_json(&path, FOLDER_VERSION)?;
        Ok(Some(done.outcome))
    }

    /// The last thing written to a run's folder.
    pub fn write_done(&self, outcome: &RunOutcome) -> Result<(), RecordError> {
        write_json(&self.path.join("DONE"), &DoneFile { version: FOLDER_VERSION, outcome: outcome.clone() })
    }

    pub fn write_samples(&self, relative: &str, png: &[u8]) -> Result<(), RecordError> {
        write_beside(&self.path.join(relative), png)
    }

    /// Takes the run for this process.
    pub fn lock(&self) -> Result<Lock, RecordError> {
        Lock::take(&self.path)
    }

    /// Whether some process has the run; writes nothing.
    pub fn is_held(&self) -> Result<bool, RecordError> {
        let path = self.path.join("lock");
        match File::open(&path) {
            Ok(file) => match file.try_lock_shared() {
                Ok(()) => Ok(false),
                Err(TryLockError::WouldBlock) => Ok(true),
                Err(TryLockError::Error(source)) => Err(RecordError::io("lock", &path)(source)),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(RecordError::io("read", &path)(error)),
        }
    }
}

impl Lock {
    /// Takes a folder, which is made if need be; an error if another process has it.
    fn take(folder: &Path) -> Result<Self, RecordError> {
        fs::create_dir_all(folder).map_err(RecordError::io("make the folder", folder))?;
        let path = folder.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(RecordError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path).map_err(RecordError::io("read", &path))?;
                return Err(RecordError::Held { folder: folder.to_owned(), holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(RecordError::io("lock", &path)(source)),
        }
        let holder = format!("process {} on {}", std::process::id(), host_name());
        file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())).map_err(RecordError::io("write", &path))?;
        Ok(Self { _file: file })
    }
}

/// The machine's name; only to tell people where a lock is held.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| fs::read_to_string("/etc/hostname"));
    name.map_or_else(|_| "this machine".to_owned(), |name| name.trim().to_owned())
}

/// Writes a file beside `path`, brings it to the disk, and renames it into place: readers see the old or the new one.
pub fn write_beside(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    let folder = path.parent().expect("a file of a record is in a folder");
    fs::create_dir_all(folder).map_err(RecordError::io("make the folder", folder))?;
    let name = path.file_name().expect("a file of a record has a name").to_string_lossy();
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(source) = written.and_then(|()| fs::rename(&beside, path)) {
        // The half-written file is of no use; failing to remove it is no further harm.
        let _ = fs::remove_file(&beside);
        return Err(RecordError::io("write", path)(source));
    }
    Ok(())
}

pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), RecordError> {
    let mut text = serde_json::to_string_pretty(value).expect("records are plain data, which JSON can hold");
    text.push('\n');
    write_beside(path, text.as_bytes())
}

/// Reads a JSON record that carries its version in `version`.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path, known: u32) -> Result<T, RecordError> {
    let text = fs::read_to_string(path).map_err(RecordError::io("read", path))?;
    let damaged = |reason: String| RecordError::Damaged { path: path.to_owned(), reason };
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    let found = json["version"].as_u64().ok_or_else(|| damaged("it has no version".to_owned()))? as u32;
    if found > known {
        return Err(RecordError::Newer { path: path.to_owned(), found, known });
    }
    decode_json(&json).map_err(|error| damaged(error.to_string()))
}
