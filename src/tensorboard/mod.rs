//! Event files of TensorBoard, read and written: records of messages, and of these what scalars need (tensorflow/core/util/event.proto,
//! framework/summary.proto, framework/tensor.proto).

mod message;
mod record;

use std::io::{self, Write};

use self::message::{Field, fields, put_bytes, put_double, put_float, put_number};
use self::record::{records, write_record};

/// In the name of every event file.
pub const MARK: &str = "tfevents";

/// A scalar at a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    pub tag: String,
    pub step: u64,
    /// Seconds since 1970.
    pub wall_time: f64,
    pub value: f64,
}

/// Fields of an event.
const WALL_TIME: u64 = 1;
const STEP: u64 = 2;
const FILE_VERSION: u64 = 3;
const SUMMARY: u64 = 5;
/// Of a summary: each of its values.
const VALUE: u64 = 1;
/// Of a value.
const TAG: u64 = 1;
const SIMPLE_VALUE: u64 = 2;
const TENSOR: u64 = 8;

/// Every scalar of a file, and when its first event was. A record that was being written when its program ended is left out.
pub fn scalars(bytes: &[u8]) -> Result<(Vec<Scalar>, f64), String> {
    let (mut found, mut began) = (Vec::new(), f64::INFINITY);
    for record in records(bytes) {
        let (at, record) = record?;
        let wall_time = event(record, &mut found).ok_or_else(|| format!("the record at byte {at} is no event"))?;
        began = began.min(wall_time);
    }
    Ok((found, began))
}

/// Takes the scalars of an event, and says when it was.
fn event(bytes: &[u8], found: &mut Vec<Scalar>) -> Option<f64> {
    let (mut wall_time, mut step, mut summary) = (0.0, 0, None);
    for field in fields(bytes)? {
        match field {
            Field::Double(WALL_TIME, value) => wall_time = value,
            Field::Number(STEP, value) => step = value,
            Field::Bytes(SUMMARY, value) => summary = Some(value),
            _ => {}
        }
    }
    for field in fields(summary.unwrap_or_default())? {
        let Field::Bytes(VALUE, value) = field else { continue };
        let (mut tag, mut scalar) = (String::new(), None);
        for field in fields(value)? {
            match field {
                Field::Bytes(TAG, text) => tag = String::from_utf8_lossy(text).into_owned(),
                Field::Float(SIMPLE_VALUE, value) => scalar = Some(f64::from(value)),
                Field::Bytes(TENSOR, tensor) => scalar = scalar_of(tensor).or(scalar),
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

/// Writes the first event of a file, which says what it is. Times are seconds since 1970.
pub fn write_begin(to: &mut impl Write, wall_time: f64) -> io::Result<()> {
    let mut event = Vec::new();
    put_double(&mut event, WALL_TIME, wall_time);
    put_bytes(&mut event, FILE_VERSION, b"brain.Event:2");
    write_record(to, &event)
}

/// Writes what was measured at a step: tags and values, which TensorBoard keeps in 32 bits.
pub fn write_scalars<'v>(
    to: &mut impl Write,
    wall_time: f64,
    step: u64,
    values: impl IntoIterator<Item = (&'v str, f64)>,
) -> io::Result<()> {
    let mut summary = Vec::new();
    for (tag, value) in values {
        let mut one = Vec::new();
        put_bytes(&mut one, TAG, tag.as_bytes());
        put_float(&mut one, SIMPLE_VALUE, value as f32);
        put_bytes(&mut summary, VALUE, &one);
    }
    let mut event = Vec::new();
    put_double(&mut event, WALL_TIME, wall_time);
    put_number(&mut event, STEP, step);
    put_bytes(&mut event, SUMMARY, &summary);
    write_record(to, &event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        write_begin(&mut bytes, 1.7e9).unwrap();
        write_scalars(&mut bytes, 1.7e9 + 2.5, 70_000, [("fid", 12.25), ("validation_loss/3", f64::NEG_INFINITY)])
            .unwrap();
        let (found, began) = scalars(&bytes).unwrap();
        let scalar = |tag: &str, value| Scalar { tag: tag.to_owned(), step: 70_000, wall_time: 1.7e9 + 2.5, value };
        assert_eq!((found, began), (vec![scalar("fid", 12.25), scalar("validation_loss/3", f64::NEG_INFINITY)], 1.7e9));
    }
}
