//! CIFAR-10's binary version: records of a label and 3 x 32 x 32 bytes (Krizhevsky 2009, the page of CIFAR-10); and how that
//! version is made again from pictures whose rows are images.

/// Images of a file.
pub const IMAGES_PER_FILE: usize = 10_000;
pub const SIDE: usize = 32;
const PIXELS: usize = SIDE * SIDE;
const CHANNELS: usize = 3;
const CLASSES: u8 = 10;
pub const RECORD: usize = 1 + CHANNELS * PIXELS;

/// Pixels (`[n, 3, 32, 32]`) and labels of a file; the error says what does not fit.
pub fn parse_cifar(file: &[u8]) -> Result<(Vec<u8>, Vec<u16>), String> {
    if file.is_empty() || !file.len().is_multiple_of(RECORD) {
        return Err(format!("has {} bytes, which are no whole records of {RECORD}", file.len()));
    }
    let (mut pixels, mut labels) = (Vec::with_capacity(file.len()), Vec::new());
    for (index, record) in file.chunks_exact(RECORD).enumerate() {
        if record[0] >= CLASSES {
            return Err(format!("gives image {index} the label {}, which is above {}", record[0], CLASSES - 1));
        }
        labels.push(u16::from(record[0]));
        pixels.extend_from_slice(&record[1..]);
    }
    Ok((pixels, labels))
}

/// A file of the binary version from `rows`, `[n, 32 * 32, 3]` (a picture with an image in each row, its colours
/// interleaved), and a label for each.
pub fn from_picture_rows(rows: &[u8], labels: &[u8]) -> Result<Vec<u8>, String> {
    if rows.len() != labels.len() * CHANNELS * PIXELS {
        return Err(format!("has {} bytes of pixels for {} labels", rows.len(), labels.len()));
    }
    let mut file = Vec::with_capacity(labels.len() * RECORD);
    for (row, &label) in rows.chunks_exact(CHANNELS * PIXELS).zip(labels) {
        file.push(label);
        for channel in 0..CHANNELS {
            file.extend(row.iter().skip(channel).step_by(CHANNELS));
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<u8> {
        (0..2 * CHANNELS * PIXELS).map(|index| (index * 7 % 253) as u8).collect()
    }

    #[test]
    fn a_picture_row_becomes_a_record_with_its_colours_apart() {
        let file = from_picture_rows(&rows(), &[3, 9]).unwrap();
        assert_eq!(file.len(), 2 * RECORD);
        let (pixels, labels) = parse_cifar(&file).unwrap();
        assert_eq!(labels, [3, 9]);
        for (image, channel, pixel) in [(0, 0, 0), (0, 2, 5), (1, 1, 1023), (1, 2, 1023)] {
            let planar = (image * CHANNELS + channel) * PIXELS + pixel;
            assert_eq!(pixels[planar], rows()[(image * PIXELS + pixel) * CHANNELS + channel]);
        }
    }

    #[test]
    fn what_is_not_whole_or_has_no_such_label_is_refused() {
        let file = from_picture_rows(&rows(), &[3, 9]).unwrap();
        assert!(parse_cifar(&[]).is_err() && parse_cifar(&file[1..]).is_err());
        let mut wrong = file.clone();
        wrong[RECORD] = 10;
        assert_eq!(parse_cifar(&wrong).unwrap_err(), "gives image 1 the label 10, which is above 9");
        assert_eq!(from_picture_rows(&rows(), &[1]).unwrap_err(), "has 6144 bytes of pixels for 1 labels");
    }
}
