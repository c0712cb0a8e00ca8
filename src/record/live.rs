//! `live.json`: the state of a sweep's runs while a process works on it.

use std::io;

use serde::{Deserialize, Serialize};

use super::files::{read_json, write_view};
use super::folder::{holder_name, host_name};
use super::{RecordError, SweepFolder};
use crate::spec::RunId;

/// The version of `live.json`. A newer one is refused.
const LIVE_VERSION: u32 = 1;

/// What the process that has a sweep says of it, about once a second.
///
/// It is a view and no record: nothing is in it that journals will not hold, it is not brought to the disk, and it counts only
/// while that process has the sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveFile {
    version: u32,
    /// The process that wrote it, and its machine.
    process: u32,
    host: String,
    /// When that process began to work on the sweep, and when it wrote this: RFC 3339, UTC.
    pub started_at: String,
    pub updated_at: String,
    /// Seconds until the sweep ends at its present pace, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    /// The few waiting runs that start first, in that order.
    pub next: Vec<RunId>,
    /// In the plan's order.
    pub runs: Vec<LiveRun>,
}

/// How one run stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveRun {
    pub run_id: RunId,
    pub state: LiveState,
    /// Why it waits, where it runs or how it ended, in one line.
    pub detail: String,
    /// The device it runs on, as on the command line. This and what follows up to `steps` is of a running run alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Its phase: `starting`, `training`, ..
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Seconds until it ends at its present pace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Optimizer steps done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// Optimizer steps planned.
    pub steps: u64,
    /// The last quality that it measured in this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<LiveQuality>,
}

impl LiveRun {
    /// One that neither runs nor was measured.
    pub fn new(run_id: RunId, state: LiveState, detail: impl Into<String>, steps: u64) -> Self {
        Self {
            run_id,
            state,
            detail: detail.into(),
            device: None,
            phase: None,
            seconds_left: None,
            loss: None,
            step: None,
            steps,
            quality: None,
        }
    }
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveState {
    Waiting,
    Running,
    /// Completed, or stopped at its target.
    Done,
    /// Ended without what it was to reach; it is not started again in this session.
    Failed,
    /// Asked to stop; goes on in another session.
    Interrupted,
}

/// A measured quality.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveQuality {
    /// Short, as progress names it: `fid`, `val`.
    pub name: String,
    /// Finite.
    pub value: f64,
}

impl LiveFile {
    /// The view of this process, which has the sweep from `now` (RFC 3339) on; without runs yet.
    pub fn of_this_process(now: &str) -> Self {
        Self {
            version: LIVE_VERSION,
            process: std::process::id(),
            host: host_name(),
            started_at: now.to_owned(),
            updated_at: now.to_owned(),
            seconds_left: None,
            next: vec![],
            runs: vec![],
        }
    }

    /// Replaces `live.json`.
    pub fn write(&self, folder: &SweepFolder) -> Result<(), RecordError> {
        let mut text = serde_json::to_string(self).expect("a view is plain data, which JSON can hold");
        text.push('\n');
        write_view(&folder.live_file(), text.as_bytes())
    }

    /// The view of the process that has the sweep; `None` if no process has it, or if that process has not written a view.
    pub fn read(folder: &SweepFolder) -> Result<Option<Self>, RecordError> {
        let Some(holder) = folder.holder()? else { return Ok(None) };
        match read_json::<Self>(&folder.live_file(), LIVE_VERSION, u32::MAX) {
            Ok(live) if holder_name(live.process, &live.host) == holder => Ok(Some(live)),
            // Left by an earlier process, perhaps while the power went.
            Ok(_) | Err(RecordError::Damaged { .. }) => Ok(None),
            Err(RecordError::Io { source, .. })
                if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub fn run(&self, run_id: &RunId) -> Option<&LiveRun> {
        self.runs.iter().find(|run| run.run_id == *run_id)
    }
}

impl LiveState {
    /// Whether the run is not started again in this session.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Interrupted)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn live() -> LiveFile {
        let run = |number: usize, state| {
            let run_id = RunId::parse(&format!("{number:012x}")).unwrap();
            LiveRun::new(run_id, state, "waits for a free slot: next", 2000)
        };
        let running = LiveRun {
            device: Some("cpu".to_owned()),
            phase: Some("training".to_owned()),
            seconds_left: Some(61.5),
            loss: Some(0.25),
            step: Some(400),
            quality: Some(LiveQuality { name: "fid".to_owned(), value: 143.25 }),
            ..run(1, LiveState::Running)
        };
        let runs = vec![running, run(2, LiveState::Waiting), run(3, LiveState::Failed)];
        let next = vec![runs[1].run_id.clone()];
        LiveFile { next, runs, ..LiveFile::of_this_process("2026-11-22T19:00:00Z") }
    }

    #[test]
    fn it_counts_while_its_process_has_the_sweep() {
        let results = tempfile::tempdir().unwrap();
        let folder = SweepFolder::new(results.path(), "tiny");
        let lock = folder.lock().unwrap();
        assert_eq!(LiveFile::read(&folder).unwrap(), None);
        live().write(&folder).unwrap();
        assert_eq!(LiveFile::read(&folder).unwrap(), Some(live()));
        let earlier = LiveFile { process: std::process::id() + 1, ..live() };
        earlier.write(&folder).unwrap();
        assert_eq!(LiveFile::read(&folder).unwrap(), None, "left by another process");
        live().write(&folder).unwrap();
        drop(lock);
        assert_eq!(LiveFile::read(&folder).unwrap(), None, "nobody has the sweep");
        assert!(!folder.is_held().unwrap());
    }

    #[test]
    fn a_loss_that_is_no_number_is_not_shown_and_spoils_nothing() {
        let results = tempfile::tempdir().unwrap();
        let folder = SweepFolder::new(results.path(), "tiny");
        let _lock = folder.lock().unwrap();
        let mut live = live();
        live.runs[0].loss = Some(f64::NAN);
        live.write(&folder).unwrap();
        assert_eq!(LiveFile::read(&folder).unwrap().unwrap().runs[0].loss, None);
    }

    #[test]
    fn what_a_power_cut_left_is_nothing_and_a_newer_one_is_refused() {
        let results = tempfile::tempdir().unwrap();
        let folder = SweepFolder::new(results.path(), "tiny");
        let _lock = folder.lock().unwrap();
        for torn in [&b""[..], b"{\"version\": 1, \"proc", b"\0\0\0\0", b"\xff\xfe"] {
            fs::write(folder.live_file(), torn).unwrap();
            assert_eq!(LiveFile::read(&folder).unwrap(), None, "{torn:?}");
        }
        fs::write(folder.live_file(), "{\"version\": 99}").unwrap();
        assert!(matches!(LiveFile::read(&folder), Err(RecordError::Newer { found: 99, .. })));
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_named() {
        let results = tempfile::tempdir().unwrap();
        fs::write(results.path().join("tiny"), "a file where the folder should be").unwrap();
        let folder = SweepFolder::new(results.path(), "tiny");
        let error = live().write(&folder).unwrap_err().to_string();
        assert!(error.contains("tiny"), "{error}");
    }
}
