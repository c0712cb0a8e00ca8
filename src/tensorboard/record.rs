//! Records as TensorFlow writes them: a length and its sum, the content and its sum (tensorflow/core/lib/io/record_writer.h).

use std::io::{self, Write};

/// The records of a file, each with where it begins. One that was being written when its program ended is left out.
pub(super) fn records(bytes: &[u8]) -> impl Iterator<Item = Result<(usize, &[u8]), String>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (begin, head) = (at, bytes.get(at..at + HEAD)?);
        let length = u64::from_le_bytes(head[..8].try_into().expect("eight bytes")) as usize;
        if masked(crc32c(&head[..8])) != u32::from_le_bytes(head[8..].try_into().expect("four bytes")) {
            at = bytes.len();
            return Some(Err(format!("the length of the record at byte {begin} is damaged")));
        }
        let end = begin.checked_add(HEAD)?.checked_add(length)?;
        let (record, sum) = (bytes.get(begin + HEAD..end)?, bytes.get(end..end.checked_add(SUM)?)?);
        if masked(crc32c(record)) != u32::from_le_bytes(sum.try_into().expect("four bytes")) {
            at = bytes.len();
            return Some(Err(format!("the record at byte {begin} is damaged")));
        }
        at = end + SUM;
        Some(Ok((begin, record)))
    })
}

/// Bytes before a record's content, and after it.
const HEAD: usize = 12;
const SUM: usize = 4;

/// Writes a record.
pub(super) fn write_record(to: &mut impl Write, content: &[u8]) -> io::Result<()> {
    let length = (content.len() as u64).to_le_bytes();
    to.write_all(&length)?;
    to.write_all(&masked(crc32c(&length)).to_le_bytes())?;
    to.write_all(content)?;
    to.write_all(&masked(crc32c(content)).to_le_bytes())
}

/// The sum as TensorFlow keeps it: a sum of bytes that hold sums would be weak.
fn masked(sum: u32) -> u32 {
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4).
fn crc32c(bytes: &[u8]) -> u32 {
    let mut sum = !0u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0x82f6_3b78 & (0u32.wrapping_sub(sum & 1)));
        }
    }
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_standard() {
        // RFC 3720, appendix B.4: 32 bytes of zeros, 32 bytes of ones.
        assert_eq!((crc32c(&[0; 32]), crc32c(&[0xff; 32])), (0x8a91_36aa, 0x62a8_ab43));
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        for content in [&b"one"[..], b"", b"three"] {
            write_record(&mut bytes, content).unwrap();
        }
        let read: Vec<_> = records(&bytes).map(Result::unwrap).collect();
        assert_eq!(read, [(0, &b"one"[..]), (19, b""), (35, b"three")]);
    }
}
