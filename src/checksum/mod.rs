//! Checksums of files, which tell a damaged file from a whole one. They do not protect from deliberate changes.

mod inputs;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

pub use inputs::{InputError, changed_inputs, input_digest};

/// The SHA-256 of named parts, as hexadecimal digits. A part that moves, grows or is renamed changes it.
pub fn sha256_of_parts<'p>(parts: impl IntoIterator<Item = (&'p str, &'p [u8])>) -> String {
    let mut hash = Sha256::new();
    for (name, bytes) in parts {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hexadecimal(&hash.finalize())
}

/// The SHA-256 of a text, as hexadecimal digits: what `sha256sum` prints.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The SHA-256 of what comes piece by piece.
#[derive(Clone, Default)]
pub struct RunningSha256(Sha256);

impl RunningSha256 {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// As hexadecimal digits.
    pub fn finish(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}

/// The SHA-256 of a file of any size, as hexadecimal digits.
pub fn file_digest(path: &Path) -> io::Result<String> {
    let (mut file, mut sum) = (File::open(path)?, RunningSha256::default());
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(sum.finish()),
            read => sum.update(&piece[..read]),
        }
    }
}

/// The CRC-32 of a line (ISO 3309, as in gzip and PNG), as 8 hexadecimal digits.
pub fn crc32(bytes: &[u8]) -> String {
    crc32_digits(bytes).into_iter().map(char::from).collect()
}

/// The same as text of its 8 digits: a sweep may have millions of lines to compare.
pub fn crc32_digits(bytes: &[u8]) -> [u8; 8] {
    let sum = crc32fast::hash(bytes);
    std::array::from_fn(|index| b"0123456789abcdef"[(sum >> (28 - 4 * index)) as usize % 16])
}

/// Bytes as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_the_published_ones() {
        // FIPS 180-2, appendix B.1; the check value of CRC-32/ISO-HDLC.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!((crc32(b"123456789").as_str(), crc32(b"").as_str()), ("cbf43926", "00000000"));
    }

    #[test]
    fn parts_cannot_trade_bytes_or_names() {
        let sums = [
            sha256_of_parts([("a", &b"xy"[..]), ("b", b"z")]),
            sha256_of_parts([("a", &b"x"[..]), ("b", b"yz")]),
            sha256_of_parts([("b", &b"xy"[..]), ("a", b"z")]),
            sha256_of_parts([("ab", &b"xy"[..]), ("", b"z")]),
        ];
        for (index, sum) in sums.iter().enumerate() {
            assert!(!sums[..index].contains(sum));
        }
    }
}
