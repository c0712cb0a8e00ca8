use std::io::{self, Read};

use md5::Md5;
use sha2::{Digest, Sha256};

use super::SetFile;
use crate::checksum::hexadecimal;

/// The size and both checksums of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sums {
    pub bytes: u64,
    pub sha256: String,
    pub md5: String,
}

impl Sums {
    pub fn of(mut bytes: impl Read) -> io::Result<Self> {
        let mut sums = RunningSums::default();
        let mut block = vec![0; 1 << 18];
        loop {
            match bytes.read(&mut block) {
                Ok(0) => return Ok(sums.finish()),
                Ok(count) => sums.update(&block[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether these are the sums of `file`; the error says what it has instead.
    pub fn check(&self, file: &SetFile) -> Result<(), String> {
        let other = |bytes: &u64| *bytes != self.bytes;
        if let Some(bytes) = file.bytes.filter(other) {
            return Err(format!("has {} bytes, not {bytes}", self.bytes));
        }
        if !self.sha256.starts_with(&file.sha256) {
            return Err(format!("has sha256 {}, not {}", self.sha256, file.sha256));
        }
        match &file.md5 {
            Some(md5) if *md5 != self.md5 => Err(format!("has MD5 {}, not {md5}", self.md5)),
            _ => Ok(()),
        }
    }
}

/// [`Sums`] of bytes that arrive in parts.
#[derive(Default)]
pub(super) struct RunningSums {
    bytes: u64,
    sha256: Sha256,
    md5: Md5,
}

impl RunningSums {
    pub fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.sha256.update(bytes);
        self.md5.update(bytes);
    }

    pub fn finish(self) -> Sums {
        let Self { bytes, sha256, md5 } = self;
        Sums { bytes, sha256: hexadecimal(&sha256.finalize()), md5: hexadecimal(&md5.finalize()) }
    }
}
