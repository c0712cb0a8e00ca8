//! Whether there is room on the disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Room that must be there before runs go on after the disk was full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    pub folder: PathBuf,
    pub bytes: u64,
}

impl Room {
    /// Asks the file system, and then tries it out, since what is free is not always free to this user: writes as much into a
    /// file without a name.
    pub fn is_there(&self) -> bool {
        // A file system that does not say is tried.
        #[cfg(unix)]
        if rustix::fs::statvfs(&self.folder).is_ok_and(|free| free.f_bavail.saturating_mul(free.f_frsize) < self.bytes)
        {
            return false;
        }
        let path = self.folder.join(format!(".room.{}", std::process::id()));
        self.write(&path).is_ok()
    }

    fn write(&self, path: &std::path::Path) -> io::Result<()> {
        let mut file = File::create(path)?;
        // The system gives the room back however this process ends.
        fs::remove_file(path)?;
        let piece = [0x5au8; 1 << 16];
        let mut left = self.bytes;
        while left > 0 {
            let size = left.min(piece.len() as u64);
            file.write_all(&piece[..size as usize])?;
            left -= size;
        }
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_where_a_file_can_be_written_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Room { folder: folder.path().to_owned(), bytes: 200_000 }.is_there());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(!Room { folder: folder.path().join("not there"), bytes: 1 }.is_there());
        // It would take days to find out by writing.
        assert!(!Room { folder: folder.path().to_owned(), bytes: 1 << 60 }.is_there());
    }
}
