//! The digits of the UCI repository (Alpaydin and Kaynak 1998), shipped with the program; see digits.LICENSE.md.

use std::collections::BTreeMap;

use super::{DataError, Dataset, Images};
use crate::checksum::sha256;

/// Records of 64 pixels (0 = paper .. 16 = ink) and a label; made by scripts/data/digits.py.
const RECORDS: &[u8] = include_bytes!("digits.bin");
const SHA256: &str = "68aea062d35a127749050fa0e52dca09d6569ac08092c925610e0954e172dde2";
const SIDE: usize = 8;
const PIXELS: usize = SIDE * SIDE;
const LABELS: u8 = 10;
const INK: u8 = 16;

/// Within each label, the fifth, tenth, ... image in the order of the source is held out: 355 of 1,797 images, with
/// the same share of each digit. Both splits hold digits by the same 13 writers.
const HELD_OUT_EVERY: usize = 5;

pub(super) fn load() -> Result<Dataset, DataError> {
    parse(RECORDS)
}

fn parse(records: &[u8]) -> Result<Dataset, DataError> {
    let sha256 = sha256(records);
    if sha256 != SHA256 {
        return Err(DataError::Checksum { name: "digits", expected: SHA256, found: sha256 });
    }
    // (pixels, labels) of what is trained on and what is held out.
    let (mut train, mut test) = ((vec![], vec![]), (vec![], vec![]));
    let mut seen = [0usize; LABELS as usize];
    for (index, record) in records.chunks(PIXELS + 1).enumerate() {
        let malformed = |problem| DataError::Malformed { name: "digits", index, problem };
        let (pixels, label) = match record.split_at_checked(PIXELS) {
            Some((pixels, &[label])) if label < LABELS => (pixels, label),
            Some((_, &[label])) => return Err(malformed(format!("label {label} is above {}", LABELS - 1))),
            _ => return Err(malformed(format!("{} bytes, expected {}", record.len(), PIXELS + 1))),
        };
        if let Some(pixel) = pixels.iter().find(|&&pixel| pixel > INK) {
            return Err(malformed(format!("pixel {pixel} is above {INK}")));
        }
        seen[label as usize] += 1;
        let split = if seen[label as usize].is_multiple_of(HELD_OUT_EVERY) { &mut test } else { &mut train };
        split.0.extend_from_slice(pixels);
        split.1.push(u16::from(label));
    }
    let images = |(pixels, labels)| Images::in_memory(1, SIDE, pixels, labels, INK);
    Ok(Dataset {
        train: images(train),
        test: images(test),
        references: BTreeMap::new(),
        sha256,
        encoder: None,
        pictures: None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::spec::{Data, DigitsData};

    #[test]
    fn the_digits_are_those_of_the_uci_repository() {
        let Dataset { train, test, sha256, .. } = load().unwrap();
        assert_eq!(sha256, SHA256);
        assert_eq!((train.len(), test.len()), (1442, 355));
        let data = Data::Digits(DigitsData::default());
        assert_eq!((data.training_images(), data.held_out_images()), (Some(1442), 355));
        let mut count_per_label = [0; 10];
        for &label in train.labels.iter().chain(&*test.labels) {
            count_per_label[label as usize] += 1;
        }
        assert_eq!(count_per_label, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        // The sum of all pixels of the published numbers: 561,718, a mean of 4.88 out of 16.
        let values = [train.pixels(0..train.len()), test.pixels(0..test.len())].concat();
        assert_eq!(values.iter().map(|&value| (f64::from(value) + 1.0) * 8.0).sum::<f64>(), 561_718.0);
        assert!(values.iter().all(|value| (-1.0..=1.0).contains(value)));
    }

    #[test]
    fn no_image_is_in_both_splits_and_each_label_is_held_out_alike() {
        let Dataset { train, test, .. } = load().unwrap();
        let bits = |images: &Images| -> BTreeSet<Vec<u8>> {
            (0..images.len()).map(|index| images.bytes(index..index + 1).to_vec()).collect()
        };
        assert_eq!(bits(&train).len(), train.len(), "all images differ");
        assert!(bits(&train).is_disjoint(&bits(&test)));
        for label in 0..10 {
            let held_out = test.labels.iter().filter(|&&found| found == label).count();
            assert!((34..=36).contains(&held_out), "{held_out} of label {label}");
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let mut records = RECORDS.to_vec();
        records[1000] ^= 1;
        let message = parse(&records).unwrap_err().to_string();
        assert!(message.starts_with("data `digits`: sha256 is "), "{message}");
        assert!(message.contains("hint: "), "{message}");
    }
}
