//! `SHA256SUMS`: a line for each file, as `sha256sum` writes and checks it.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use crate::checksum::RunningSha256;

/// By a file's name: its sum.
pub(super) type Sums = BTreeMap<String, String>;

pub(super) fn to_text(sums: &Sums) -> String {
    sums.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect()
}

/// Takes nothing but what [`to_text`] writes.
pub(super) fn of_text(text: &str) -> Result<Sums, String> {
    let mut sums = Sums::new();
    for (index, line) in text.lines().enumerate() {
        let (sum, name) = line.split_once("  ").unwrap_or_default();
        let is_sum = sum.len() == 64 && sum.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_sum || name.is_empty() {
            return Err(format!("line {} is no sum and name", index + 1));
        }
        sums.insert(name.to_owned(), sum.to_owned());
    }
    match to_text(&sums) == text {
        true => Ok(sums),
        false => Err("its lines are not in the order of names, each once".to_owned()),
    }
}

/// Copies what is read, and gives its sum and length.
pub(super) fn copy_summed(from: &mut impl Read, to: &mut impl Write) -> io::Result<(String, u64)> {
    let (mut sum, mut buffer, mut length) = (RunningSha256::default(), vec![0; 1 << 16], 0);
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok((sum.finish(), length));
        }
        sum.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
        length += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_is_read() {
        let sum = "ab".repeat(32);
        let text = format!("{sum}  a b\n{sum}  runs/c\n");
        assert_eq!(to_text(&of_text(&text).unwrap()), text);
        for wrong in [
            text.replace("  a", " a"),
            text.replacen("ab", "aB", 1),
            text.trim_end().to_owned(),
            format!("{text}{sum}  b\n"),
            format!("{sum}  runs/c\n{sum}  runs/c\n"),
            format!("\n{text}"),
        ] {
            assert!(of_text(&wrong).is_err(), "{wrong}");
        }
        let mut copied = Vec::new();
        let (sum, length) = copy_summed(&mut &b"abc"[..], &mut copied).unwrap();
        assert_eq!((sum, length, copied), (crate::checksum::sha256(b"abc"), 3, b"abc".to_vec()));
    }
}
