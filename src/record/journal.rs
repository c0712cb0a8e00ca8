//! `events.jsonl`: one event a line, on disk before the next begins.
//!
//! Since version 3 of the events every line ends with its number in the file and the CRC-32 of all before it, so that a
//! damaged, lost or moved line is noticed: `{"event":"trained",..,"line":17,"crc32":"0a1b2c3d"}`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};

use super::RecordError;
use super::event_line::EventLine;
use super::frequent_lines::FrequentLines;
use crate::checksum::{crc32, crc32_digits};
use crate::event::{EVENT_VERSION, RunEvent, RunOutcome};

/// An open journal, which only grows.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// The number of the next line, counted from 1.
    next_line: usize,
}

/// The contents of a journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalContents {
    pub events: Vec<RunEvent>,
    /// Lines that are no event: each is what a killed writer left of its last one.
    pub torn_lines: usize,
    /// Damage that no killed writer explains, a sentence each: some recorded events are missing.
    pub damage: Vec<String>,
}

/// The first version of the events whose lines are numbered and summed.
const SUMMED_SINCE: u32 = 3;

impl Journal {
    /// Opens a journal to append to it, and closes a torn last line so that the next event stands on its own.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let open = || {
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            let bytes = fs::read(path)?;
            let mut lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
            if bytes.last().is_some_and(|&last| last != b'\n') {
                file.write_all(b"\n")?;
                lines += 1;
            }
            Ok((file, lines + 1))
        };
        let (file, next_line) = open().map_err(RecordError::io("open", path))?;
        Ok(Self { file, path: path.to_owned(), next_line })
    }

    /// Appends one event. `Progress` is not for the record and is refused as a mistake of the caller.
    pub fn append(&mut self, event: &RunEvent) -> Result<(), RecordError> {
        assert!(!matches!(event, RunEvent::Progress { .. }), "progress is shown, not recorded");
        let line = summed_line(event, self.next_line);
        self.file.write_all(line.as_bytes()).map_err(RecordError::io("write", &self.path))?;
        self.next_line += 1;
        Ok(())
    }

    /// Returns when everything appended would survive a power cut.
    pub fn sync(&self) -> Result<(), RecordError> {
        self.file.sync_data().map_err(RecordError::io("write", &self.path))
    }
}

/// An event as a line with its number and sum.
fn summed_line(event: &RunEvent, number: usize) -> String {
    let mut line = serde_json::to_string(event).expect("events are plain data, which JSON can hold");
    assert_eq!(line.pop(), Some('}'), "an event is a map");
    line.push_str(&format!(",\"line\":{number}"));
    let sum = crc32(line.as_bytes());
    line.push_str(&format!("{SUM_BEGINS}{sum}{SUM_ENDS}\n"));
    line
}

const SUM_BEGINS: &str = ",\"crc32\":\"";
const SUM_ENDS: &str = "\"}";

/// The line's number, if it is one with a sum and the sum is right; `Err` if the sum is wrong.
fn number_of(line: &[u8]) -> Result<Option<usize>, ()> {
    let Some((before, end)) = line.len().checked_sub(SUM_BEGINS.len() + 8 + SUM_ENDS.len()).map(|at| line.split_at(at))
    else {
        return Ok(None);
    };
    let Some(sum) = end.strip_prefix(SUM_BEGINS.as_bytes()).and_then(|end| end.strip_suffix(SUM_ENDS.as_bytes()))
    else {
        return Ok(None);
    };
    if sum != crc32_digits(before) {
        return Err(());
    }
    let digits = before.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let number = str::from_utf8(&before[before.len() - digits..]).ok().and_then(|digits| digits.parse().ok());
    number.map(Some).ok_or(())
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
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(JournalContents::default()),
        Err(error) => return Err(RecordError::io("read", path)(error)),
    };
    let mut frequent = FrequentLines::default();
    let mut reader = Reader::default();
    reader.contents.events.reserve(bytes.iter().filter(|&&byte| byte == b'\n').count());
    for (index, line) in lines(&bytes).enumerate().filter(|(_, line)| !line.is_empty()) {
        let event = match EventLine::read(line, &mut frequent, EVENT_VERSION) {
            EventLine::Event(event) => Some(event),
            EventLine::Unreadable => None,
            EventLine::Newer(found) => {
                return Err(RecordError::Newer { path: path.to_owned(), found, known: EVENT_VERSION });
            }
        };
        reader.read(index + 1, line, event);
    }
    Ok(reader.finish())
}

/// The lines between line feeds; the last may have none after it.
fn lines(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let whole = bytes;
        let length = bytes.skip_until(b'\n').expect("bytes in memory can be read");
        (length > 0).then(|| whole[..length].strip_suffix(b"\n").unwrap_or(&whole[..length]))
    })
}

/// Reads lines in their order.
#[derive(Default)]
struct Reader {
    contents: JournalContents,
    /// The version of the attempt that the lines belong to; 0 before the first.
    version: u32,
    /// How much higher lines are numbered than they stand, where some were lost.
    shift: isize,
    /// A line that is no event, until what follows says whether its writer was killed.
    unreadable: Option<usize>,
    checkpoints: Vec<u32>,
}

impl Reader {
    /// `event`: what the line at `place` says, if it is one.
    fn read(&mut self, place: usize, line: &[u8], event: Option<RunEvent>) {
        let number = number_of(line);
        let version = match &event {
            Some(RunEvent::Started(started)) => started.version,
            _ => self.version,
        };
        let (Some(event), true) = (event, number.is_ok_and(|number| number.is_some() || version < SUMMED_SINCE)) else {
            self.explain_unreadable(false);
            self.unreadable = Some(place);
            return;
        };
        self.explain_unreadable(ends_or_begins_an_attempt(&event));
        if let Ok(Some(number)) = number {
            let shift = number as isize - place as isize;
            match shift - self.shift {
                0 => {}
                lost @ 1.. => self.contents.damage.push(format!("{lost} lines are missing before line {place}")),
                _ => self.contents.damage.push(format!("line {place} was written as line {number}")),
            }
            self.shift = shift;
        }
        match &event {
            RunEvent::Started(started) => {
                self.version = started.version;
                let from = started.from_checkpoint;
                if from > 0 && !self.checkpoints.contains(&from) {
                    let attempt = started.attempt;
                    self.contents
                        .damage
                        .push(format!("attempt {attempt} goes on from checkpoint {from}, which no line announces"));
                }
            }
            RunEvent::Checkpointed { checkpoint, .. } => self.checkpoints.push(*checkpoint),
            _ => {}
        }
        self.contents.events.push(event);
    }

    /// A line that cannot be read is torn where an attempt ended with it, and damaged elsewhere.
    fn explain_unreadable(&mut self, is_torn: bool) {
        match self.unreadable.take() {
            Some(_) if is_torn => self.contents.torn_lines += 1,
            Some(place) => self.contents.damage.push(format!("line {place} cannot be read")),
            None => {}
        }
    }

    fn finish(mut self) -> JournalContents {
        self.explain_unreadable(true);
        self.contents
    }
}

/// Whether it may follow on what a killed writer left.
fn ends_or_begins_an_attempt(event: &RunEvent) -> bool {
    match event {
        RunEvent::Started(_) => true,
        // What the parent records of a child that could not say it itself. A child that says it has written its last line whole.
        RunEvent::Ended { outcome, .. } => {
            !matches!(outcome, RunOutcome::Completed | RunOutcome::ReachedTarget | RunOutcome::Diverged { .. })
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Stamp, Started};

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

    fn trained(step: u64) -> RunEvent {
        let stamp = Stamp { step, ..Stamp::default() };
        RunEvent::trained_of_test(stamp, None, None)
    }

    fn started(version: u32, attempt: u32, from_checkpoint: u32) -> RunEvent {
        RunEvent::Started(Started { version, ..Started::of_test(attempt, from_checkpoint) })
    }

    /// A journal of one attempt with six lines.
    fn lines() -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        let checkpoint = RunEvent::Checkpointed { stamp: Stamp::default(), checkpoint: 1, losses: Vec::new() };
        let ended = RunEvent::Ended { stamp: Stamp::default(), outcome: RunOutcome::Completed };
        for event in [started(EVENT_VERSION, 1, 0), trained(1), trained(2), checkpoint, trained(3), ended] {
            journal.append(&event).unwrap();
        }
        fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect()
    }

    fn read_lines(lines: &[String]) -> JournalContents {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        read_journal(&path).unwrap()
    }

    #[test]
    fn a_line_carries_its_number_and_a_sum_and_is_still_one_value_of_json() {
        let lines = lines();
        let value: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!((&value["event"], &value["line"]), (&"trained".into(), &2.into()));
        assert_eq!(value["crc32"].as_str().unwrap().len(), 8);
        let contents = read_lines(&lines);
        assert_eq!((contents.events.len(), contents.torn_lines, contents.damage), (6, 0, vec![]));
    }

    #[test]
    fn lines_that_were_changed_lost_moved_or_put_in_are_named() {
        let damage = |change: &dyn Fn(&mut Vec<String>)| {
            let mut lines = lines();
            change(&mut lines);
            read_lines(&lines).damage
        };
        assert_eq!(
            damage(&|lines| lines[1] = lines[1].replace("\"loss\":1.0", "\"loss\":1.5")),
            ["line 2 cannot be read"]
        );
        assert_eq!(damage(&|lines| lines.insert(3, "garbage".to_owned()))[0], "line 4 cannot be read");
        assert_eq!(damage(&|lines| drop(lines.drain(1..3))), ["2 lines are missing before line 2"]);
        assert_eq!(damage(&|lines| lines.swap(1, 2))[1], "line 3 was written as line 2");
        // The sum's key is damaged: a line of this version has one.
        assert_eq!(damage(&|lines| lines[4] = lines[4].replace("crc32", "crc33")), ["line 5 cannot be read"]);
        assert_eq!(damage(&|lines| lines[4] = "{\"event\":\"tr".to_owned()), ["line 5 cannot be read"]);
    }

    #[test]
    fn what_a_killed_writer_left_is_torn_and_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let torn = lines()[..4].join("\n") + "\n{\"event\":\"trai";
        fs::write(&path, &torn).unwrap();
        record_silent_end(&path, &interrupted()).unwrap();
        Journal::open(&path).unwrap().append(&started(EVENT_VERSION, 2, 1)).unwrap();
        let contents = read_journal(&path).unwrap();
        assert_eq!((contents.events.len(), contents.torn_lines, contents.damage), (6, 1, vec![]));
        assert!(fs::read_to_string(&path).unwrap().starts_with(&torn), "a journal only grows");
        // The checkpoint that the second attempt went on from is announced by line 4.
        let mut lines: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
        lines[3] = "garbage".to_owned();
        let damage = read_lines(&lines).damage;
        assert_eq!(damage.last().unwrap(), "attempt 2 goes on from checkpoint 1, which no line announces");
    }

    #[test]
    fn lines_of_older_programs_have_no_sum_and_are_read() {
        let plain = |event: &RunEvent| serde_json::to_string(event).unwrap();
        let old = vec![plain(&started(2, 1, 0)), plain(&trained(1))];
        assert_eq!(
            read_lines(&old),
            JournalContents { events: vec![started(2, 1, 0), trained(1)], ..Default::default() }
        );
        // Gone on with by this one.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, old.join("\n") + "\n").unwrap();
        let mut journal = Journal::open(&path).unwrap();
        journal.append(&started(EVENT_VERSION, 2, 0)).unwrap();
        journal.append(&trained(1)).unwrap();
        let contents = read_journal(&path).unwrap();
        assert_eq!((contents.events.len(), contents.damage), (4, vec![]));
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
