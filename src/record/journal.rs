//! `events.jsonl`: one event a line, on disk before the next begins.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::RecordError;
use crate::event::{EVENT_VERSION, RunEvent, RunOutcome};

/// An open journal, which only grows.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

/// What a journal holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalContents {
    pub events: Vec<RunEvent>,
    /// Lines that are no event: each is what a killed writer left of its last one.
    pub torn_lines: usize,
}

impl Journal {
    /// Opens a journal to append to it, and closes a torn last line so that the next event stands on its own.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let open = || {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
            if file.seek(SeekFrom::End(0))? > 0 {
                file.seek(SeekFrom::End(-1))?;
                let mut last = [0u8];
                file.read_exact(&mut last)?;
                if last != *b"\n" {
                    file.write_all(b"\n")?;
                }
            }
            Ok(file)
        };
        Ok(Self { file: open().map_err(RecordError::io("open", path))?, path: path.to_owned() })
    }

    /// Appends one event. `Progress` is not for the record and is refused as a mistake of the caller.
    pub fn append(&mut self, event: &RunEvent) -> Result<(), RecordError> {
        assert!(!matches!(event, RunEvent::Progress { .. }), "progress is shown, not recorded");
        let mut line = serde_json::to_string(event).expect("events are plain data, which JSON can hold");
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(RecordError::io("write", &self.path))
    }

    /// Returns when everything appended would survive a power cut.
    pub fn sync(&self) -> Result<(), RecordError> {
        self.file.sync_data().map_err(RecordError::io("write", &self.path))
    }
}

/// Adds how an attempt ended when its process could not say so itself: it was killed, or it crashed, perhaps before it said
/// anything.
pub fn record_silent_end(path: &Path, outcome: &RunOutcome) -> Result<(), RecordError> {
    let events = read_journal(path)?.events;
    match events.last() {
        // It said so itself, or the same has happened before.
        Some(RunEvent::Ended { outcome: known, .. }) if known == outcome => Ok(()),
        // Nothing was begun since the last end, and nothing went wrong.
        None | Some(RunEvent::Ended { .. }) if matches!(outcome, RunOutcome::Interrupted { .. }) => Ok(()),
        _ => {
            let stamp = events.iter().rev().find_map(RunEvent::stamp).unwrap_or_default();
            let mut journal = Journal::open(path)?;
            journal.append(&RunEvent::Ended { stamp, outcome: outcome.clone() })?;
            journal.sync()
        }
    }
}

/// Reads a journal; one that does not exist is empty.
pub fn read_journal(path: &Path) -> Result<JournalContents, RecordError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(JournalContents::default()),
        Err(error) => return Err(RecordError::io("read", path)(error)),
    };
    let mut contents = JournalContents::default();
    for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        refuse_newer(path, line)?;
        match serde_json::from_slice(line) {
            Ok(event) => contents.events.push(event),
            Err(_) => contents.torn_lines += 1,
        }
    }
    Ok(contents)
}

/// A newer program may have written events that would look torn to this one, so its version is read first.
fn refuse_newer(path: &Path, line: &[u8]) -> Result<(), RecordError> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    match serde_json::from_slice(line) {
        Ok(Versioned { version }) if version > EVENT_VERSION => {
            Err(RecordError::Newer { path: path.to_owned(), found: version, known: EVENT_VERSION })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Stamp;

    fn interrupted() -> RunOutcome {
        RunOutcome::Interrupted { reason: "killed".to_owned() }
    }

    fn crashed() -> RunOutcome {
        RunOutcome::Crashed { reason: "exited with status 1\nerror: no space".to_owned() }
    }

    /// What is recorded of a run that ended in these ways, one after the other, and never began.
    fn recorded(ends: &[RunOutcome]) -> Vec<RunOutcome> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        for end in ends {
            record_silent_end(&path, end).unwrap();
        }
        let outcome = |event| match event {
            RunEvent::Ended { outcome, .. } => outcome,
            other => panic!("{other:?}"),
        };
        read_journal(&path).unwrap().events.into_iter().map(outcome).collect()
    }

    #[test]
    fn a_crash_before_the_first_event_leaves_its_reason_once() {
        assert_eq!(recorded(&[crashed(), crashed()]), [crashed()]);
        assert_eq!(recorded(&[interrupted()]), []);
        assert_eq!(recorded(&[crashed(), interrupted()]), [crashed()]);
    }

    #[test]
    fn a_crash_after_an_interruption_is_no_interruption() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let ended = RunEvent::Ended { stamp: Stamp { step: 7, ..Stamp::default() }, outcome: interrupted() };
        Journal::open(&path).unwrap().append(&ended).unwrap();
        record_silent_end(&path, &interrupted()).unwrap();
        record_silent_end(&path, &crashed()).unwrap();
        let events = read_journal(&path).unwrap().events;
        assert_eq!(events.len(), 2);
        assert!(matches!(&events[1], RunEvent::Ended { stamp, outcome } if stamp.step == 7 && *outcome == crashed()));
    }
}
