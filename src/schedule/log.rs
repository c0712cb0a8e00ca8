//! Lines of a child that are no events: they are appended to a file, and the last ones are kept in memory.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Lines kept for a look at what a process died of: a backtrace may follow the line that says it.
const KEPT_LINES: usize = 300;
/// Bytes kept of each of them.
const KEPT_BYTES: usize = 400;

/// The log of one run, written by the readers of its two pipes.
#[derive(Debug)]
pub(super) struct Log {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// `None` after a write failed.
    file: Option<File>,
    last_lines: LastLines,
}

/// The last lines that a process wrote, short and harmless.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastLines(VecDeque<String>);

impl LastLines {
    pub fn push(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(&line[..line.len().min(KEPT_BYTES)]);
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        if self.0.len() == KEPT_LINES {
            self.0.pop_front();
        }
        // A terminal would obey control characters in it.
        self.0.push_back(text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect());
    }

    /// The oldest first.
    pub fn all(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

impl Log {
    /// Opens it for appending, with its folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { inner: Mutex::new(Inner { file: Some(file), last_lines: LastLines::default() }) })
    }

    /// Appends a piece of text as it is. After the first failure, which is returned, nothing is written any more.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = &mut inner.file else { return Ok(()) };
        let written = file.write_all(bytes);
        if written.is_err() {
            inner.file = None;
        }
        written
    }

    /// Keeps a line in mind.
    pub fn remember(&self, line: &[u8]) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).last_lines.push(line);
    }

    /// The oldest first.
    pub fn last_lines(&self) -> Vec<String> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).last_lines.all()
    }
}

/// Calls `take` with each line, its line feed included; a line longer than `limit` bytes comes in pieces. Ends with
/// the stream or its first error, or when `take` says that it wants no more.
pub(crate) fn each_line(mut reader: impl BufRead, limit: u64, mut take: impl FnMut(&[u8]) -> bool) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return, // a pipe that cannot be read has ended
            Ok(_) if take(&line) => {}
            Ok(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_lines_short_and_harmless() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(&folder.path().join("runs/a/log.txt")).unwrap();
        for i in 0..KEPT_LINES + 30 {
            log.remember(format!("line {i}\n").as_bytes());
        }
        log.remember(b"  \n");
        log.remember(&[b"\x1b[31mred".as_slice(), &[b'x'; 5000]].concat());
        let lines = log.last_lines();
        assert_eq!(lines.len(), KEPT_LINES);
        assert_eq!(lines[0], "line 31");
        let last = lines.last().unwrap();
        assert!(last.starts_with(" [31mredxxx") && last.len() == KEPT_BYTES, "{last}");
    }

    #[test]
    fn appends_to_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        for text in ["one\n", "two\n"] {
            Log::open(&path).unwrap().append(text.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn says_once_that_it_cannot_write() {
        let log = Log::open(Path::new("/dev/full")).unwrap();
        assert!(log.append(b"x").is_err());
        assert!(log.append(b"x").is_ok());
    }

    #[test]
    fn a_line_without_end_comes_in_pieces() {
        let mut pieces = Vec::new();
        each_line(b"short\nabcdefghij\nlast".as_slice(), 6, |piece| {
            pieces.push(String::from_utf8_lossy(piece).into_owned());
            true
        });
        assert_eq!(pieces, ["short\n", "abcdef", "ghij\n", "last"]);
    }
}
