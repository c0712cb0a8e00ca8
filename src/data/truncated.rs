//! Finds truncated pictures of the kinds whose decoders accept them without an error. Pillow refuses such pictures.

use image::ImageFormat;

/// What is missing at the end of a file, if that can be seen.
pub(super) fn missing_end(format: ImageFormat, bytes: &[u8]) -> Option<&'static str> {
    match format {
        ImageFormat::Jpeg if !jpeg_has_an_end(bytes) => Some("the marker that ends a JPEG image is missing"),
        ImageFormat::WebP if !webp_is_whole(bytes) => Some("it is shorter than its first bytes say"),
        _ => None,
    }
}

/// Whether a RIFF file is as long as it says.
fn webp_is_whole(bytes: &[u8]) -> bool {
    let size = bytes.get(4..8).map(|size| u32::from_le_bytes(size.try_into().expect("4 bytes")));
    size.is_some_and(|size| bytes.len() as u64 >= 8 + u64::from(size))
}

/// Whether the image's end marker is there.
///
/// Segments are walked by their lengths, since a preview inside one has an end of its own (ITU-T T.81, B.1.1).
fn jpeg_has_an_end(bytes: &[u8]) -> bool {
    let mut place = 2;
    while let Some(&[0xff, marker]) = bytes.get(place..place + 2) {
        place += match marker {
            0xd9 => return true,
            // Fill bytes, data that look like a marker, and markers without a segment.
            0xff => 1,
            0x00 | 0x01 | 0xd0..=0xd8 => 2,
            _ => match bytes.get(place + 2..place + 4) {
                Some(&[high, low]) => 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        };
        // Behind a scan's header come its data, up to the next marker.
        place += bytes.get(place..).unwrap_or_default().iter().take_while(|&&byte| byte != 0xff).count();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_preview_inside_a_segment_is_not_the_images() {
        // A segment of 6 bytes that holds an end marker, then a scan of two bytes.
        let whole = [0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xd9, 1, 2, 0xff, 0xda, 0, 2, 7, 8, 0xff, 0xd9];
        assert_eq!(missing_end(ImageFormat::Jpeg, &whole), None);
        for length in 0..whole.len() {
            assert!(missing_end(ImageFormat::Jpeg, &whole[..length]).is_some(), "{length}");
        }
        assert_eq!(missing_end(ImageFormat::Png, &[]), None);
    }
}
