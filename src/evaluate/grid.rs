use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, ImageResult, RgbImage};

const IMAGES_PER_ROW: usize = 8;
/// Small images are enlarged to about this side, in pixels, by a whole factor and without smoothing.
const SHOWN_SIDE: usize = 64;
/// Pixels between images and around them.
const GAP: usize = 2;
/// Neither paper nor ink.
const GAP_LEVEL: u8 = 96;

/// A PNG of images laid out in rows of eight. `pixels` is `[n, channels, side, side]` in [-1, 1], with one channel
/// (grey) or three (RGB).
pub fn grid_png(pixels: &[f32], channels: usize, side: usize) -> ImageResult<Vec<u8>> {
    assert!(matches!(channels, 1 | 3), "an image is grey or RGB");
    let image_values = channels * side * side;
    assert!(!pixels.is_empty() && pixels.len().is_multiple_of(image_values), "whole images, at least one");
    let count = pixels.len() / image_values;
    let scale = (SHOWN_SIDE / side).max(1);
    let cell = side * scale + GAP;
    let columns = count.min(IMAGES_PER_ROW);
    let (width, height) = (columns * cell + GAP, count.div_ceil(columns) * cell + GAP);

    let mut levels = vec![GAP_LEVEL; width * height * channels];
    for (index, image) in pixels.chunks_exact(image_values).enumerate() {
        let (left, top) = (index % columns * cell + GAP, index / columns * cell + GAP);
        for (y, x) in (0..side * scale).flat_map(|y| (0..side * scale).map(move |x| (y, x))) {
            let source = y / scale * side + x / scale;
            let target = ((top + y) * width + left + x) * channels;
            for channel in 0..channels {
                levels[target + channel] = level(image[channel * side * side + source]);
            }
        }
    }
    let (width, height) = (width as u32, height as u32);
    let image = match channels {
        1 => DynamicImage::ImageLuma8(GrayImage::from_raw(width, height, levels).expect("one level per pixel")),
        _ => DynamicImage::ImageRgb8(RgbImage::from_raw(width, height, levels).expect("three levels per pixel")),
    };
    let mut png = Cursor::new(vec![]);
    image.write_to(&mut png, ImageFormat::Png)?;
    Ok(png.into_inner())
}

/// [-1, 1] to 0..=255, as a picture shows it.
pub fn level(value: f32) -> u8 {
    ((value.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_images_are_enlarged_and_set_in_rows_of_eight() {
        // Ten 2 x 2 images: each all -1 but for one white pixel at its top right.
        let pixels = [-1.0, 1.0, -1.0, -1.0].repeat(10);
        let png = image::load_from_memory(&grid_png(&pixels, 1, 2).unwrap()).unwrap();
        let grid = png.as_luma8().expect("a grey PNG");
        assert_eq!(grid.dimensions(), (8 * 66 + 2, 2 * 66 + 2));
        let at = |x, y| grid.get_pixel(x, y).0[0];
        // The tenth image starts at column 1, row 1.
        let (left, top) = (2 + 66, 2 + 66);
        assert_eq!((at(left - 1, top), at(left, top - 1)), (GAP_LEVEL, GAP_LEVEL));
        assert_eq!((at(left, top), at(left + 31, top + 31), at(left + 63, top + 63)), (0, 0, 0));
        assert_eq!((at(left + 32, top), at(left + 63, top + 31)), (255, 255));
        assert_eq!(at(left + 66, top), GAP_LEVEL, "the last row is not full");
    }

    #[test]
    fn colour_images_keep_their_channels_apart() {
        let pixels = [[1.0; 64 * 64], [0.0; 64 * 64], [-1.0; 64 * 64]].concat();
        let png = image::load_from_memory(&grid_png(&pixels, 3, 64).unwrap()).unwrap();
        let grid = png.as_rgb8().expect("an RGB PNG");
        assert_eq!(grid.dimensions(), (68, 68));
        assert_eq!(grid.get_pixel(2, 2).0, [255, 128, 0]);
        assert_eq!(grid.get_pixel(1, 1).0, [GAP_LEVEL; 3]);
    }
}
