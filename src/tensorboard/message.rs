//! Messages of protobuf, as far as scalars need them (<https://protobuf.dev/programming-guides/encoding>).

/// A field of a message: its number, and what it holds.
#[derive(Debug, PartialEq)]
pub(super) enum Field<'b> {
    Number(u64, u64),
    Bytes(u64, &'b [u8]),
    Double(u64, f64),
    Float(u64, f32),
}

/// The fields of a message; `None` where it is none.
pub(super) fn fields(mut bytes: &[u8]) -> Option<Vec<Field<'_>>> {
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

/// Appends a field that is a whole number.
pub(super) fn put_number(to: &mut Vec<u8>, number: u64, value: u64) {
    put_varint(to, number << 3);
    put_varint(to, value);
}

/// Appends a field in 64 bits.
pub(super) fn put_double(to: &mut Vec<u8>, number: u64, value: f64) {
    put_varint(to, number << 3 | 1);
    to.extend(value.to_le_bytes());
}

/// Appends a field that is a text or a message.
pub(super) fn put_bytes(to: &mut Vec<u8>, number: u64, value: &[u8]) {
    put_varint(to, number << 3 | 2);
    put_varint(to, value.len() as u64);
    to.extend(value);
}

/// Appends a field in 32 bits.
pub(super) fn put_float(to: &mut Vec<u8>, number: u64, value: f32) {
    put_varint(to, number << 3 | 5);
    to.extend(value.to_le_bytes());
}

fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        to.push(value as u8 | 128);
        value >>= 7;
    }
    to.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back() {
        let mut bytes = Vec::new();
        put_number(&mut bytes, 2, 300);
        put_double(&mut bytes, 1, -0.1);
        put_bytes(&mut bytes, 5, b"abc");
        put_float(&mut bytes, 2, 1.5);
        put_number(&mut bytes, 16, u64::MAX);
        // The guide's own example of 300.
        assert_eq!(bytes[..3], [0x10, 0xac, 0x02]);
        let expected = [
            Field::Number(2, 300),
            Field::Double(1, -0.1),
            Field::Bytes(5, b"abc"),
            Field::Float(2, 1.5),
            Field::Number(16, u64::MAX),
        ];
        assert_eq!(fields(&bytes).unwrap(), expected);
        assert_eq!(fields(&bytes[..bytes.len() - 1]), None);
    }
}
