//! A PNG or JPEG file to a square of bytes.

use std::path::Path;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, ImageReader};

use super::DataError;

/// Decodes a file: `[channels, side, side]` bytes, 0 to 255; `channels` is 1 or 3.
///
/// The central square is resized with antialiasing (Lanczos of three lobes), as EDM's data tool does with
/// `center-crop` (Karras et al. 2022, dataset_tool.py). 16-bit values are rounded to 8. What transparent pixels let
/// through is white. Colour becomes grey by ITU-R BT.601 in whole numbers, as Pillow does. The orientation that a
/// camera noted is not applied, as in torchvision, so that images are what other tools train on.
pub fn decode_image(path: &Path, channels: usize, side: usize) -> Result<Vec<u8>, DataError> {
    let problem = |problem: String| DataError::Image { path: path.to_owned(), problem };
    let reader = ImageReader::open(path).map_err(DataError::io("read", path))?;
    let reader = reader.with_guessed_format().map_err(DataError::io("read", path))?;
    let decoded = reader.decode().map_err(|error| problem(error.to_string()))?;
    let (width, height) = (decoded.width(), decoded.height());
    let interleaved = opaque(decoded, channels);
    let square = central_square(&interleaved, (width, height), channels, side).map_err(problem)?;
    Ok(planar(&square, channels))
}

/// An image of any size in colour: bytes `[height, width, 3]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbImage {
    pub width: usize,
    pub height: usize,
    pub bytes: Vec<u8>,
}

impl RgbImage {
    /// Of `[channels, side, side]` in [-1, 1], each value rounded to one of 256, as a file would hold it. `channels` is 1
    /// or 3; what is not a number must have been refused before.
    pub fn of_pixels(pixels: &[f32], channels: usize, side: usize) -> Self {
        let byte = |value: f32| ((value + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
        let plane = side * side;
        let of_pixel =
            |place: usize| (0..3).map(move |channel| byte(pixels[channel.min(channels - 1) * plane + place]));
        Self { width: side, height: side, bytes: (0..plane).flat_map(of_pixel).collect() }
    }

    /// `[channels, height, width]` in [-1, 1]; one channel is the grey of [`decode_image`].
    pub fn planes(&self, channels: usize) -> Vec<f32> {
        let grey;
        let bytes = match channels {
            3 => &self.bytes,
            _ => {
                grey = colour(self.bytes.clone(), channels);
                &grey
            }
        };
        planar(bytes, channels).into_iter().map(|byte| f32::from(byte) / 127.5 - 1.0).collect()
    }
}

/// Decodes a file as Pillow's `convert("RGB")` does: transparency is dropped, grey becomes three equal values.
pub fn decode_rgb(path: &Path) -> Result<RgbImage, DataError> {
    let reader = ImageReader::open(path).map_err(DataError::io("read", path))?;
    let reader = reader.with_guessed_format().map_err(DataError::io("read", path))?;
    let decoded = reader.decode();
    let decoded = decoded.map_err(|error| DataError::Image { path: path.to_owned(), problem: error.to_string() })?;
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    Ok(RgbImage { width, height, bytes: decoded.into_rgb8().into_raw() })
}

/// `[height, width, channels]`: 8 bits, white behind what is transparent.
fn opaque(image: DynamicImage, channels: usize) -> Vec<u8> {
    let has_alpha = image.color().has_alpha();
    let is_grey = !image.color().has_color();
    // The crate's own 16-bit to 8-bit step rounds to the nearest: (v + 128) / 257.
    match (is_grey, has_alpha) {
        (true, false) => spread(image.into_luma8().into_raw(), channels),
        (true, true) => {
            let pixels = image.into_luma_alpha8().into_raw();
            let grey = pixels.as_chunks::<2>().0.iter().map(|&[grey, alpha]| over_white(grey, alpha)).collect();
            spread(grey, channels)
        }
        (false, false) => colour(image.into_rgb8().into_raw(), channels),
        (false, true) => {
            let pixels = image.into_rgba8().into_raw();
            let pixels = pixels.as_chunks::<4>().0.iter();
            let rgb = pixels.flat_map(|&[red, green, blue, alpha]| [red, green, blue].map(|v| over_white(v, alpha)));
            colour(rgb.collect(), channels)
        }
    }
}

/// The nearest to (value * alpha + white * (255 - alpha)) / 255.
fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

fn spread(grey: Vec<u8>, channels: usize) -> Vec<u8> {
    if channels == 1 { grey } else { grey.iter().flat_map(|&value| [value; 3]).collect() }
}

fn colour(rgb: Vec<u8>, channels: usize) -> Vec<u8> {
    if channels == 3 {
        return rgb;
    }
    // 0.299, 0.587 and 0.114 in 16 bits, rounded.
    let luma = |&[red, green, blue]: &[u8; 3]| {
        (u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471 + 0x8000) >> 16
    };
    rgb.as_chunks::<3>().0.iter().map(|pixel| luma(pixel) as u8).collect()
}

/// `[side, side, channels]` of the largest square in the middle of `[height, width, channels]`.
fn central_square(pixels: &[u8], (width, height): (u32, u32), channels: usize, side: usize) -> Result<Vec<u8>, String> {
    let crop = width.min(height);
    let (left, top) = ((width - crop) / 2, (height - crop) / 2);
    let row_bytes = width as usize * channels;
    let square: Vec<u8> = pixels
        .chunks_exact(row_bytes)
        .skip(top as usize)
        .take(crop as usize)
        .flat_map(|row| &row[left as usize * channels..][..crop as usize * channels])
        .copied()
        .collect();
    if crop as usize == side {
        return Ok(square);
    }
    let pixel_type = if channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let source = ImageRef::new(crop, crop, &square, pixel_type).map_err(|error| error.to_string())?;
    let mut target = Image::new(side as u32, side as u32, pixel_type);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new().resize(&source, &mut target, &options).map_err(|error| error.to_string())?;
    Ok(target.into_vec())
}

/// `[side, side, channels]` to `[channels, side, side]`.
fn planar(interleaved: &[u8], channels: usize) -> Vec<u8> {
    (0..channels).flat_map(|channel| interleaved.iter().skip(channel).step_by(channels).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_transparent_is_white() {
        assert_eq!(
            [over_white(0, 0), over_white(200, 0), over_white(200, 255), over_white(0, 255)],
            [255, 255, 200, 0]
        );
        for (value, alpha) in [(10u8, 77u8), (250, 3), (128, 128)] {
            let exact = (f64::from(value) * f64::from(alpha) + 255.0 * f64::from(255 - alpha)) / 255.0;
            assert_eq!(f64::from(over_white(value, alpha)), exact.round());
        }
    }

    #[test]
    fn the_square_is_cut_from_the_middle() {
        // Five columns, two rows: the square is columns 1 and 2.
        let pixels: Vec<u8> = (0..10).collect();
        assert_eq!(central_square(&pixels, (5, 2), 1, 2).unwrap(), [1, 2, 6, 7]);
        let tall: Vec<u8> = (0..18).collect();
        assert_eq!(central_square(&tall, (2, 3), 3, 2).unwrap(), (0..12).collect::<Vec<u8>>());
        assert_eq!(planar(&[1, 2, 3, 4, 5, 6], 3), [1, 4, 2, 5, 3, 6]);
    }

    #[test]
    fn resizing_keeps_a_flat_image_flat_and_averages_fine_detail_away() {
        assert_eq!(central_square(&[77; 9 * 9], (9, 9), 1, 4).unwrap(), [77; 16]);
        // A chequerboard of single pixels, 64 to 8: without antialiasing it would come out black or white.
        let board: Vec<u8> = (0..64 * 64).map(|index| if (index / 64 + index) % 2 == 0 { 255 } else { 0 }).collect();
        let small = central_square(&board, (64, 64), 1, 8).unwrap();
        assert!(small.iter().all(|value| (118..=138).contains(value)), "{small:?}");
    }
}
