//! The new lines of a file that grows, is cut, or is replaced.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Follows a file by its name; one that does not exist is empty so far.
pub(super) struct Tail {
    path: PathBuf,
    /// Kept open, so that the end of a file is still read after another took its name.
    file: Option<File>,
    position: u64,
    /// The beginning of a line whose end has not come.
    torn: Vec<u8>,
}

impl Tail {
    /// From the beginning of the file.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, position: 0, torn: Vec::new() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines that have been completed since the last call, each with its line feed.
    pub fn new_lines(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut lines = self.rest_of_the_open_file()?;
        let named = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(lines),
            Err(error) => return Err(error),
        };
        let is_the_open_file = match &self.file {
            Some(file) => is_same_file(&file.metadata()?, &named.metadata()?),
            None => false,
        };
        if !is_the_open_file {
            lines.extend(self.torn_line());
            (self.file, self.position) = (Some(named), 0);
            lines.extend(self.rest_of_the_open_file()?);
        }
        Ok(lines)
    }

    fn rest_of_the_open_file(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut lines = Vec::new();
        let Some(mut file) = self.file.as_ref() else { return Ok(lines) };
        let is_cut = file.metadata()?.len() < self.position;
        if is_cut {
            self.position = 0;
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.position))?;
        self.position += file.read_to_end(&mut bytes)? as u64;
        if is_cut {
            lines.extend(self.torn_line());
        }
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.torn.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                lines.push(std::mem::take(&mut self.torn));
            }
        }
        Ok(lines)
    }

    /// The line that was begun and will not be completed, with a line feed.
    pub fn torn_line(&mut self) -> Option<Vec<u8>> {
        if self.torn.is_empty() {
            return None;
        }
        self.torn.push(b'\n');
        Some(std::mem::take(&mut self.torn))
    }
}

#[cfg(unix)]
fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// By when they were made, where files have no number that can be asked for.
#[cfg(not(unix))]
fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    one.created().ok() == other.created().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;

    use super::*;

    fn append(path: &Path, text: &str) {
        OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn text(tail: &mut Tail) -> String {
        String::from_utf8(tail.new_lines().unwrap().concat()).unwrap()
    }

    #[test]
    fn lines_come_when_they_are_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        let mut tail = Tail::new(path.clone());
        assert_eq!(text(&mut tail), "", "it does not exist yet");
        append(&path, "one\ntw");
        assert_eq!(text(&mut tail), "one\n");
        append(&path, "o\nthr");
        assert_eq!(text(&mut tail), "two\n");
        assert_eq!(text(&mut tail), "");
        assert_eq!(tail.torn_line(), Some(b"thr\n".to_vec()));
        assert_eq!(tail.torn_line(), None);
    }

    #[test]
    fn a_file_that_was_cut_is_read_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        append(&path, "a long first line\nand a piece");
        let mut tail = Tail::new(path.clone());
        assert_eq!(text(&mut tail), "a long first line\n");
        fs::write(&path, "new\n").unwrap();
        assert_eq!(text(&mut tail), "and a piece\nnew\n");
    }

    #[test]
    fn a_file_that_was_replaced_is_read_to_its_end_and_then_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        append(&path, "one\n");
        let mut tail = Tail::new(path.clone());
        assert_eq!(text(&mut tail), "one\n");
        append(&path, "two\n");
        fs::rename(&path, folder.path().join("log.txt.1")).unwrap();
        assert_eq!(text(&mut tail), "two\n");
        append(&path, "three\n");
        assert_eq!(text(&mut tail), "three\n");
        fs::remove_file(&path).unwrap();
        assert_eq!(text(&mut tail), "");
    }
}
