//! The places of all files of a sweep's results.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RecordError;
use super::files::{is_half_written, read_json, write_beside, write_json};
use super::later::EVALUATIONS;
use crate::checksum::sha256;
use crate::event::RunOutcome;
use crate::spec::{Plan, PlannedRun, RunId};

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

/// Holds a folder for one process, until dropped; the operating system lets go of it however the process ends. Some file systems that
/// machines share know no locks: there it holds nothing.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The version of `spec.json` and `DONE`.
///
/// 2: they carry a checksum, and `DONE` that of the run's table.
const FOLDER_VERSION: u32 = 2;

const LOCK_FILE: &str = "lock";
/// Of a run: the averages that `train.post_hoc` keeps.
const AVERAGES: &str = "averages";
/// Of a run: its last checkpoint, and those that are kept for runs which go on from there.
const CHECKPOINT: &str = "checkpoint";
/// A file of a step is called by it: `step-00000600.safetensors`.
const STEP: &str = "step-";
const SAFETENSORS: &str = ".safetensors";

/// How often, and after what pause, a sweep that seems to be held is tried again before it is refused.
const SWEEP_TRIES: u32 = 4;
const SWEEP_PAUSE: Duration = Duration::from_millis(15);

#[derive(Serialize, Deserialize)]
struct SpecFile {
    version: u32,
    run: PlannedRun,
}

#[derive(Serialize, Deserialize)]
struct DoneFile {
    version: u32,
    outcome: RunOutcome,
    /// The SHA-256 of the run's `curves.parquet`. Files of version 1 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    curves_sha256: Option<String>,
}

impl SweepFolder {
    pub fn new(results: &Path, sweep: &str) -> Self {
        Self { path: results.join(sweep) }
    }

    pub fn run(&self, run_id: &RunId) -> RunFolder {
        RunFolder { path: self.path.join("runs").join(run_id.as_str()) }
    }

    /// Runs that were recorded here and are not in `plan`, by their ids: the sweep's file was changed since.
    pub fn unplanned(&self, plan: &Plan) -> Result<Vec<RunId>, RecordError> {
        let planned: BTreeSet<&RunId> = plan.runs.iter().map(|run| &run.run_id).collect();
        let mut unplanned = self.ids_in("runs")?;
        unplanned.retain(|run_id| !planned.contains(run_id));
        Ok(unplanned)
    }

    /// Every run that has a folder here, also one that a cluster has, by id.
    pub fn recorded(&self) -> Result<Vec<RunId>, RecordError> {
        let mut ids = self.ids_in("runs")?;
        ids.extend(self.ids_in("attempts")?);
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    fn ids_in(&self, folder: &str) -> Result<Vec<RunId>, RecordError> {
        let path = self.path.join(folder);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(RecordError::io("read", &path)(error)),
        };
        let mut ids: Vec<RunId> =
            entries.flatten().filter_map(|entry| RunId::parse(entry.file_name().to_str()?)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    pub fn report(&self) -> PathBuf {
        self.path.join("report")
    }

    /// Takes the sweep for this process.
    pub fn lock(&self) -> Result<Lock, RecordError> {
        // Who only looks whether a folder is held has it for that moment: not worth a refusal.
        let mut tries = 1;
        loop {
            match Lock::take(&self.path) {
                Err(RecordError::Held { .. }) if tries < SWEEP_TRIES => {
                    tries += 1;
                    thread::sleep(SWEEP_PAUSE);
                }
                taken_or_failed => return taken_or_failed,
            }
        }
    }

    /// Whether some process has the sweep; writes nothing.
    pub fn is_held(&self) -> Result<bool, RecordError> {
        is_held(&self.path)
    }

    /// Which process has the sweep, such as `process 4711 on lab`; `None` if none has.
    pub fn holder(&self) -> Result<Option<String>, RecordError> {
        if !self.is_held()? {
            return Ok(None);
        }
        let path = self.path.join(LOCK_FILE);
        let holder = fs::read_to_string(&path).map_err(RecordError::io("read", &path))?;
        Ok(Some(holder.trim().to_owned()))
    }

    pub fn plan_file(&self) -> PathBuf {
        self.path.join("plan.json")
    }

    /// The file that holds the [`super::LiveFile`].
    pub fn live_file(&self) -> PathBuf {
        self.path.join("live.json")
    }

    /// `curves.parquet`, the tidy table of all runs.
    pub fn curves(&self) -> PathBuf {
        self.path.join("curves.parquet")
    }
}

impl RunFolder {
    /// The sweep that the run belongs to, also where this is one of its attempts; `None` for a path that has no two folders above it. From
    /// within the sweep's folder it is `.`.
    pub fn sweep(&self) -> Option<SweepFolder> {
        let above = self.path.parent()?.parent()?;
        let path = if above.file_name().is_some_and(|name| name == "attempts") { above.parent()? } else { above };
        Some(SweepFolder { path: if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() } })
    }

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
        self.path.join(CHECKPOINT).join("state.safetensors")
    }

    /// The file of the checkpoint of `step` that is kept for runs which share the steps up to there.
    pub fn kept_state(&self, step: u64) -> PathBuf {
        self.path.join(CHECKPOINT).join(format!("{STEP}{step:08}{SAFETENSORS}"))
    }

    /// The steps whose checkpoints are kept so, in order.
    pub fn kept_states(&self) -> Result<Vec<u64>, RecordError> {
        self.steps_in(CHECKPOINT, Self::kept_state)
    }

    /// Removes a checkpoint that was kept; none where there is none.
    pub fn remove_kept_state(&self, step: u64) -> Result<(), RecordError> {
        let path = self.kept_state(step);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(RecordError::io("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// The path of a step's sample grid, relative to this folder.
    pub fn sample_grid(step: u64) -> String {
        format!("samples/step-{step:08}.png")
    }

    /// The file of a step's images from shared noise.
    pub fn consistency(&self, step: u64) -> PathBuf {
        self.path.join("consistency").join(format!("{STEP}{step:08}{SAFETENSORS}"))
    }

    /// The file of the averages that a step keeps.
    pub fn averages(&self, step: u64) -> PathBuf {
        self.path.join(AVERAGES).join(format!("{STEP}{step:08}{SAFETENSORS}"))
    }

    /// The steps whose averages were kept, in order. Files of other names are none of them.
    pub fn kept_steps(&self) -> Result<Vec<u64>, RecordError> {
        self.steps_in(AVERAGES, Self::averages)
    }

    /// The steps of the files in a folder that are called as `file_of` calls a step's, in order.
    fn steps_in(&self, folder: &str, file_of: impl Fn(&Self, u64) -> PathBuf) -> Result<Vec<u64>, RecordError> {
        let folder = self.path.join(folder);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(RecordError::io("read", &folder)(error)),
        };
        let mut steps = Vec::new();
        for entry in entries {
            let path = entry.map_err(RecordError::io("read", &folder))?.path();
            let step = path.file_stem().and_then(|stem| stem.to_str()?.strip_prefix(STEP)?.parse().ok());
            steps.extend(step.filter(|&step| path == file_of(self, step)));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Makes the folder and writes `spec.json`, unless it says the same already: the names of an arm and what cannot change a
    /// result may have changed since.
    pub fn prepare(&self, run: &PlannedRun) -> Result<(), RecordError> {
        for folder in ["samples", CHECKPOINT] {
            let path = self.path.join(folder);
            fs::create_dir_all(&path).map_err(RecordError::io("make the folder", &path))?;
        }
        let path = self.path.join("spec.json");
        match path.exists().then(|| self.read_spec()) {
            Some(Ok(known)) if known == *run => return Ok(()),
            // The plan says the same, and is whole.
            None | Some(Ok(_) | Err(RecordError::Damaged { .. })) => {}
            Some(Err(error)) => return Err(error),
        }
        write_json(&path, &SpecFile { version: FOLDER_VERSION, run: run.clone() })
    }

    /// The run as it was planned.
    pub fn read_spec(&self) -> Result<PlannedRun, RecordError> {
        let spec: SpecFile = read_json(&self.path.join("spec.json"), FOLDER_VERSION, FOLDER_VERSION)?;
        Ok(spec.run)
    }

    /// Whether the run has ended for good, also where what says how is damaged.
    pub fn has_ended(&self) -> bool {
        self.done().exists()
    }

    /// How the run ended for good, if it did.
    pub fn read_done(&self) -> Result<Option<RunOutcome>, RecordError> {
        Ok(self.done_file()?.map(|done| done.outcome))
    }

    /// The same, and what is wrong with the run's table, if it is there and is not the one that was written.
    pub(super) fn read_end(&self) -> Result<Option<(RunOutcome, Option<String>)>, RecordError> {
        let Some(DoneFile { outcome, curves_sha256, .. }) = self.done_file()? else { return Ok(None) };
        let path = self.curves();
        let damage = match (curves_sha256, fs::read(&path)) {
            (Some(expected), Ok(bytes)) if sha256(&bytes) != expected => {
                Some(format!("{} is not the table that was written", path.display()))
            }
            // An older program kept no sum. A table that is gone is made from the journal again, and cannot disagree.
            (None, _) | (_, Ok(_)) => None,
            (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => None,
            (_, Err(error)) => return Err(RecordError::io("read", &path)(error)),
        };
        Ok(Some((outcome, damage)))
    }

    fn done(&self) -> PathBuf {
        self.path.join("DONE")
    }

    fn done_file(&self) -> Result<Option<DoneFile>, RecordError> {
        match self.has_ended() {
            true => read_json(&self.done(), FOLDER_VERSION, FOLDER_VERSION).map(Some),
            false => Ok(None),
        }
    }

    /// The last thing written to a run's folder, after its table.
    pub fn write_done(&self, outcome: &RunOutcome) -> Result<(), RecordError> {
        let path = self.curves();
        let curves = fs::read(&path).map_err(RecordError::io("read", &path))?;
        let curves_sha256 = Some(sha256(&curves));
        write_json(&self.done(), &DoneFile { version: FOLDER_VERSION, outcome: outcome.clone(), curves_sha256 })
    }

    pub fn write_samples(&self, relative: &str, png: &[u8]) -> Result<(), RecordError> {
        write_beside(&self.path.join(relative), png)
    }

    /// Removes what processes that were killed had begun to write beside a file: for who holds the run.
    pub fn remove_half_written(&self) -> Result<(), RecordError> {
        for folder in
            ["", CHECKPOINT, "samples", "consistency", AVERAGES, EVALUATIONS].map(|folder| self.path.join(folder))
        {
            // A folder that is not there has nothing half-written in it.
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            for path in entries.map(|entry| entry.path()).filter(|path| is_half_written(path)) {
                fs::remove_file(&path).map_err(RecordError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Takes the run for this process.
    pub fn lock(&self) -> Result<Lock, RecordError> {
        Lock::take(&self.path)
    }

    /// Whether some process has the run; writes nothing.
    pub fn is_held(&self) -> Result<bool, RecordError> {
        is_held(&self.path)
    }
}

impl Lock {
    /// Takes a folder, which is made if need be; an error if another process has it.
    fn take(folder: &Path) -> Result<Self, RecordError> {
        fs::create_dir_all(folder).map_err(RecordError::io("make the folder", folder))?;
        let path = folder.join(LOCK_FILE);
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
            Err(TryLockError::Error(error)) if knows_no_locks(&error) => {}
            Err(TryLockError::Error(source)) => return Err(RecordError::io("lock", &path)(source)),
        }
        let holder = holder_name(std::process::id(), &host_name());
        file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())).map_err(RecordError::io("write", &path))?;
        Ok(Self { _file: file })
    }
}

/// Whether some process has a folder.
fn is_held(folder: &Path) -> Result<bool, RecordError> {
    let path = folder.join(LOCK_FILE);
    match File::open(&path) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) if knows_no_locks(&error) => Ok(false),
            Err(TryLockError::Error(source)) => Err(RecordError::io("lock", &path)(source)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(RecordError::io("read", &path)(error)),
    }
}

/// Whether the file system has no locks to give: `ENOLCK`, `ENOSYS` or `EOPNOTSUPP` of Linux.
fn knows_no_locks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || matches!(error.raw_os_error(), Some(37 | 38 | 95))
}

/// A process as locks name it.
pub(super) fn holder_name(process: u32, host: &str) -> String {
    format!("process {process} on {host}")
}

/// The machine's name; only to tell people where something is done.
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| fs::read_to_string("/etc/hostname"));
    name.map_or_else(|_| "this machine".to_owned(), |name| name.trim().to_owned())
}
