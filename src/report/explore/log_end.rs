//! The last lines that a run's process wrote.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

const LINES: usize = 12;
const BYTES: u64 = 2400;

/// The end of the log; empty where there is none, and the reason where it cannot be read.
pub fn log_end(path: &Path) -> String {
    match read_end(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => format!("cannot read log.txt: {error}"),
    }
}

fn read_end(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let from = size.saturating_sub(BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<&str> = text.lines().collect();
    // The first line may be half of one.
    if from > 0 && lines.len() > 1 {
        lines.remove(0);
    }
    Ok(lines[lines.len().saturating_sub(LINES)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_end_is_whole_lines_of_a_file_of_any_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        assert_eq!(log_end(&path), "");
        fs::write(&path, "one\ntwo\n").unwrap();
        assert_eq!(log_end(&path), "one\ntwo");
        let lines: Vec<String> = (0..10_000).map(|index| format!("line {index}")).collect();
        fs::write(&path, lines.join("\n")).unwrap();
        assert_eq!(log_end(&path), lines[10_000 - LINES..].join("\n"));
        fs::write(&path, "x".repeat(10_000)).unwrap();
        assert_eq!(log_end(&path).len(), BYTES as usize);
        assert!(log_end(folder.path()).starts_with("cannot read log.txt: "));
    }
}
