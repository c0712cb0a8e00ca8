//! The named pipe into which a trainer and its child processes write events. Launchers that close inherited files can use it
//! too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::process::output_within;
use crate::schedule::each_line;

/// Longest line that is read as an event; a longer one comes in pieces, which are none.
const LINE_LIMIT: u64 = 1 << 20;
const MKFIFO_PATIENCE: Duration = Duration::from_secs(10);

/// A pipe in a folder of its own below the system's folder for temporary files, both removed at the end.
pub(super) struct EventPipe {
    folder: PathBuf,
    path: PathBuf,
    reader: Option<JoinHandle<()>>,
    /// An end of its own, whatever becomes of the path.
    writer: File,
    /// What tells the reader that nothing follows.
    last_line: String,
}

impl EventPipe {
    /// Makes it, and hears every line of it in a thread.
    pub fn open(name: &str, hear: impl Fn(&str) + Send + 'static) -> io::Result<Self> {
        let (unique, folder) = own_folder(name)?;
        let path = folder.join("events");
        let made = output_within(Command::new("mkfifo").arg("-m").arg("600").arg(&path), MKFIFO_PATIENCE)?;
        if !made.as_ref().is_some_and(|output| output.status.success()) {
            let said = made
                .map_or_else(|| "no answer".to_owned(), |output| String::from_utf8_lossy(&output.stderr).into_owned());
            let _ = fs::remove_dir_all(&folder);
            return Err(io::Error::other(format!("mkfifo: {}", said.trim())));
        }
        // With both ends open, it does not end when the trainer closes its own and opens it again.
        let both: File = OpenOptions::new().read(true).write(true).open(&path)?;
        let writer = both.try_clone()?;
        let last_line = format!("the end of {unique}");
        let last = last_line.clone();
        let reader = thread::Builder::new().name("events".to_owned()).spawn(move || {
            let mut is_over = false;
            each_line(BufReader::new(both), LINE_LIMIT, |line| {
                let line = String::from_utf8_lossy(line);
                let line = line.trim();
                is_over = line == last;
                if !is_over && !line.is_empty() {
                    hear(line);
                }
                !is_over
            });
        })?;
        Ok(Self { folder, path, reader: Some(reader), writer, last_line })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that it lies in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Asks for the end of what is said, behind all that was written: `hear` is not called once the thread has ended.
    pub fn end(&self) -> io::Result<()> {
        // Whoever wrote last may have been killed in the middle of a line.
        let text = format!("\n{}\n", self.last_line);
        let mut pipe = self.writer.try_clone()?;
        // Writing waits for room, which the reader makes when whoever hears it takes what it has: often the one who asks here.
        thread::Builder::new().name("last line".to_owned()).spawn(move || pipe.write_all(text.as_bytes())).map(drop)
    }

    fn has_ended(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// A new folder, and its name. Processes of containers may share both the folder for temporary files and their numbers.
fn own_folder(name: &str) -> io::Result<(String, PathBuf)> {
    let process = std::process::id();
    for number in 0..1000 {
        let unique = format!("speedlab-{name}-{process}-{number}");
        let folder = std::env::temp_dir().join(&unique);
        let mut builder = fs::DirBuilder::new();
        // Nobody else is to write what the trainer reads.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(&folder) {
            Ok(()) => return Ok((unique, folder)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{} is full of old pipes", std::env::temp_dir().display())))
}

impl Drop for EventPipe {
    fn drop(&mut self) {
        if !self.has_ended() && self.end().is_err() {
            return; // the folder is gone, and the thread ends with this process
        }
        if let Some(reader) = self.reader.take() {
            // A reader that has panicked has said so on standard error.
            let _ = reader.join();
        }
        // What cannot be removed is in the system's folder for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn what_is_written_before_the_end_is_heard_also_by_who_opens_it_late_and_dies_in_a_line() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hearing = heard.clone();
        let pipe = EventPipe::open("test", move |line| hearing.lock().unwrap().push(line.to_owned())).unwrap();
        let path = pipe.path().to_owned();
        for text in ["one\n", "two\n\nthree", "\nhalf a li"] {
            let mut file = OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
        drop(pipe);
        assert_eq!(*heard.lock().unwrap(), ["one", "two", "three", "half a li"]);
        assert!(!path.exists() && !path.parent().unwrap().exists());
    }
}
