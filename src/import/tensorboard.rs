//! Event files of TensorBoard: records as TensorFlow writes them (length and CRC-32C around each), and the parts of their
//! messages that hold scalars (tensorflow/core/util/event.proto, framework/summary.proto, framework/tensor.proto).

use std::fs;
use std::path::{Path, PathBuf};

use super::ImportError;

/// In the name of every event file.
const MARK: &str = "tfevents";

/// A scalar at a step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalar {
    pub tag: String,
    pub step: u64,
    /// Seconds since 1970.
    pub wall_time: f64,
    pub value: f64,
}

/// What the event files of a folder hold.
#[derive(Debug, PartialEq)]
pub(super) struct EventRun {
    /// The folder's path below the one that was read.
    pub name: String,
    /// In the order of time.
    pub scalars: Vec<Scalar>,
    /// Of the first event of all, mostly that of opening the file: seconds since 1970.
    pub began: f64,
}

/// Every folder at or below `folder` that holds event files.
pub(super) fn runs_below(folder: &Path) -> Result<Vec<EventRun>, ImportError> {
    let mut files: Vec<PathBuf> = Vec::new();
    list(folder, &mut files)?;
    files.sort();
    let mut runs: Vec<EventRun> = Vec::new();
    for file in files {
        let parent = file.parent().unwrap_or(folder).strip_prefix(folder).unwrap_or(folder);
        let name = parent.to_string_lossy().replace('\\', "/");
        let bytes = fs::read(&file).map_err(|source| ImportError::Io { path: file.clone(), source })?;
        let failed =
            |reason: String| ImportError::Format { path: file.clone(), format: "event file of TensorBoard", reason };
        let (scalars, began) = scalars(&bytes).map_err(failed)?;
        match runs.last_mut() {
            Some(last) if last.name == name => {
                last.scalars.extend(scalars);
                last.began = last.began.min(began);
            }
            _ => runs.push(EventRun { name, scalars, began }),
        }
    }
    for run in &mut runs {
        run.scalars.sort_by(|one, other| one.wall_time.total_cmp(&other.wall_time));
    }
    Ok(runs)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), ImportError> {
    let io = |source| ImportError::Io { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.file_type().map_err(io)?.is_dir() {
            list(&entry.path(), files)?;
        } else if entry.file_name().to_string_lossy().contains(MARK) {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Every scalar of a file, and when its first event was. A record that was being written when its program ended is left out.
fn scalars(bytes: &[u8]) -> Result<(Vec<Scalar>, f64), String> {
    let (mut found, mut at, mut began) = (Vec::new(), 0, f64::INFINITY);
    while let Some(head) = bytes.get(at..at + 12) {
        let length = u64::from_le_bytes(head[..8].try_into().expect("eight bytes")) as usize;
        if masked(crc32c(&head[..8])) != u32::from_le_bytes(head[8..].try_into().expect("four bytes")) {
            return Err(format!("the length of the record at byte {at} is damaged"));
        }
        let Some(record) = at.checked_add(12 + length).and_then(|end| bytes.get(at + 12..end)) else { break };
        let Some(sum) = bytes.get(at + 12 + length..at + 16 + length) else { break };
        if masked(crc32c(record)) != u32::from_le_bytes(sum.try_into().expect("four bytes")) {
            return Err(format!("the record at byte {at} is damaged"));
        }
        let wall_time = event(record, &mut found).ok_or_else(|| format!("the record at byte {at} is no event"))?;
        began = began.min(wall_time);
        at += 16 + length;
    }
    Ok((found, began))
}

/// A field of a message: its number, and what it holds.
enum Field<'b> {
    Number(u64, u64),
    Bytes(u64, &'b [u8]),
    Double(u64, f64),
    Float(u64, f32),
}

/// The fields of a message; `None` where it is none.
fn fields(mut bytes: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let number = key >> 3;
        found.push(match key & 7 {
            0 => Field::Number(number, varint(&mut bytes)?),
            1 => Field::Double(number, f64::from_le_bytes(take(&mut bytes, 8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                Field::Bytes(number, take(&mut bytes, length)?)
            }
            5 => Field::Float(number, f32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?)),
            _ => return None,
        });
    }
    Some(found)
}

fn take<'b>(bytes: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some(value);
        }
    }
    None
}

/// Takes the scalars of an event, and says when it was.
fn event(bytes: &[u8], found: &mut Vec<Scalar>) -> Option<f64> {
    let (mut wall_time, mut step, mut summary) = (0.0, 0, None);
    for field in fields(bytes)? {
        match field {
            Field::Double(1, value) => wall_time = value,
            Field::Number(2, value) => step = value,
            Field::Bytes(5, value) => summary = Some(value),
            _ => {}
        }
    }
    for field in fields(summary.unwrap_or_default())? {
        let Field::Bytes(1, value) = field else { continue };
        let (mut tag, mut scalar) = (String::new(), None);
        for field in fields(value)? {
            match field {
                Field::Bytes(1, text) => tag = String::from_utf8_lossy(text).into_owned(),
                Field::Float(2, value) => scalar = Some(f64::from(value)),
                Field::Bytes(8, tensor) => scalar = scalar_of(tensor).or(scalar),
                _ => {}
            }
        }
        // Pictures, texts and histograms are no scalars.
        if let Some(value) = scalar {
            found.push(Scalar { tag, step, wall_time, value });
        }
    }
    Some(wall_time)
}

/// The one number of a tensor without sides, in f32 or f64.
fn scalar_of(tensor: &[u8]) -> Option<f64> {
    const FLOAT: u64 = 1;
    const DOUBLE: u64 = 2;
    let (mut kind, mut content, mut listed, mut has_sides) = (0, &[][..], None, false);
    for field in fields(tensor)? {
        match field {
            Field::Number(1, value) => kind = value,
            // A shape whose message is not empty has sides.
            Field::Bytes(2, shape) => has_sides = !shape.is_empty(),
            Field::Bytes(4, bytes) => content = bytes,
            Field::Bytes(5, bytes) => listed = Some(f64::from(f32::from_le_bytes(bytes.get(..4)?.try_into().ok()?))),
            Field::Float(5, value) => listed = Some(f64::from(value)),
            Field::Bytes(6, bytes) => listed = Some(f64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)),
            Field::Double(6, value) => listed = Some(value),
            _ => {}
        }
    }
    match kind {
        _ if has_sides => None,
        FLOAT if content.len() == 4 => Some(f64::from(f32::from_le_bytes(content.try_into().ok()?))),
        DOUBLE if content.len() == 8 => Some(f64::from_le_bytes(content.try_into().ok()?)),
        FLOAT | DOUBLE => listed,
        _ => None,
    }
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

    /// Written by the package tensorboard (scripts/golden/tensorboard_events.py), with the scalars in it.
    fn golden() -> (PathBuf, serde_json::Value) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tensorboard");
        let scalars = fs::read_to_string(folder.join("scalars.json")).unwrap();
        (folder, serde_json::from_str(&scalars).unwrap())
    }

    #[test]
    fn sums_are_those_of_the_standard() {
        // RFC 3720, appendix B.4: 32 bytes of zeros, 32 bytes of ones.
        assert_eq!((crc32c(&[0; 32]), crc32c(&[0xff; 32])), (0x8a91_36aa, 0x62a8_ab43));
    }

    #[test]
    fn scalars_of_both_forms_are_read_and_all_else_is_passed_over() {
        let (folder, expected) = golden();
        let runs = runs_below(&folder).unwrap();
        assert_eq!(runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>(), ["baseline/seed0", "fast/seed1"]);
        for EventRun { name, scalars, began } in runs {
            assert_eq!(began, 1.7e9);
            let expected = expected[&name].as_array().unwrap();
            assert_eq!(scalars.len(), expected.len(), "{name}");
            for (found, expected) in scalars.iter().zip(expected) {
                assert_eq!(found.tag, expected["tag"].as_str().unwrap());
                assert_eq!(
                    (found.step, found.wall_time),
                    (expected["step"].as_u64().unwrap(), expected["wall_time"].as_f64().unwrap())
                );
                assert_eq!(found.value as f32, expected["value"].as_f64().unwrap() as f32);
            }
        }
    }

    #[test]
    fn a_torn_end_is_left_out_and_damage_is_named() {
        let (folder, _) = golden();
        let mut files = Vec::new();
        list(&folder, &mut files).unwrap();
        files.sort();
        let whole = fs::read(&files[0]).unwrap();
        let count = scalars(&whole).unwrap().0.len();
        for cut in 1..16 {
            assert_eq!(scalars(&whole[..whole.len() - cut]).unwrap().0.len(), count - 1, "{cut}");
        }
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 4;
            let message = scalars(&damaged).expect_err("a changed byte is noticed");
            assert!(message.ends_with("is damaged"), "{place}: {message}");
        }
    }
}
