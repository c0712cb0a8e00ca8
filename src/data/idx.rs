//! The IDX format of MNIST and Fashion-MNIST: 0, 0, the type of values, the number of axes, each axis as a big-endian
//! u32, then the values (LeCun, the page of MNIST).

/// The type of bytes.
const UNSIGNED_BYTE: u8 = 8;

/// The values of a file of bytes with these axes; the error says what does not fit.
pub fn parse_idx<'f>(file: &'f [u8], axes: &[usize]) -> Result<&'f [u8], String> {
    let (header, values) =
        file.split_at_checked(4 + 4 * axes.len()).ok_or_else(|| "is shorter than its header".to_owned())?;
    let [0, 0, UNSIGNED_BYTE, axis_count] = header[..4] else {
        return Err(format!("is no IDX file of bytes: it begins with {:?}", &header[..4]));
    };
    if usize::from(axis_count) != axes.len() {
        return Err(format!("has {axis_count} axes, not {}", axes.len()));
    }
    let sizes = header[4..].as_chunks::<4>().0.iter().map(|&size| u32::from_be_bytes(size) as usize);
    if !sizes.clone().eq(axes.iter().copied()) {
        return Err(format!("has the sizes {:?}, not {axes:?}", sizes.collect::<Vec<_>>()));
    }
    let expected: usize = axes.iter().product();
    if values.len() != expected {
        return Err(format!("has {} values, not {expected}", values.len()));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        [&[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[1, 2, 3, 4, 5, 6]].concat()
    }

    #[test]
    fn values_follow_the_header() {
        assert_eq!(parse_idx(&file(), &[2, 3]).unwrap(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn every_file_that_does_not_fit_is_refused() {
        for length in 0..file().len() {
            assert!(parse_idx(&file()[..length], &[2, 3]).is_err(), "{length} bytes");
        }
        let with = |index: usize, byte: u8| {
            let mut file = file();
            file[index] = byte;
            parse_idx(&file, &[2, 3]).unwrap_err()
        };
        assert_eq!(with(2, 13), "is no IDX file of bytes: it begins with [0, 0, 13, 2]");
        assert_eq!(with(3, 3), "has 3 axes, not 2");
        assert_eq!(with(7, 9), "has the sizes [9, 3], not [2, 3]");
        assert_eq!(parse_idx(&[file(), vec![7]].concat(), &[2, 3]).unwrap_err(), "has 7 values, not 6");
    }
}
