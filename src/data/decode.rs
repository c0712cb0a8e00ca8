//! Decodes an image file to a square of bytes.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, ImageResult};

use super::DataError;
use super::truncated::missing_end;

/// Endings of the files that are read as images, in lower case: those that pytorch-fid takes.
const ENDINGS: [&str; 9] = ["bmp", "jpg", "jpeg", "pgm", "png", "ppm", "tif", "tiff", "webp"];

/// Their kinds, in words.
pub const IMAGE_KINDS: &str = "PNG, JPEG, WebP, TIFF, BMP, PPM and PGM";

/// Whether its ending, in capitals or not, says that a file is an image that is read.
pub fn is_image_file(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// Decodes a file: `[channels, side, side]` bytes, 0 to 255; `channels` is 1 or 3.
///
/// The central square is resized with antialiasing (Lanczos of three lobes), as EDM's data tool does with `center-crop` (Karras
/// et al. 2022, dataset_tool.py). 16-bit values are rounded to 8. Transparent pixels become white. Colour becomes grey by ITU-R
/// BT.601 in whole numbers, as Pillow does. The orientation that a camera noted is applied to TIFF alone, as in Pillow and so
/// in torchvision: images are what other tools train on.
pub fn decode_image(path: &Path, channels: usize, side: usize) -> Result<Vec<u8>, DataError> {
    let (image, _) = decoded(path)?;
    let (width, height) = (image.width(), image.height());
    let interleaved = opaque(image, channels);
    let square = central_square(&interleaved, (width, height), channels, side).map_err(problem_of(path))?;
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
///
/// Of 16 bits it keeps, with colour or with transparency, the upper 8 (Pillow's `Unpack.c`), of PPM the nearest 8
/// (`PpmImagePlugin.py`); of grey alone the value itself, so that 255 and all above is white (`Convert.c`).
pub fn decode_rgb(path: &Path) -> Result<RgbImage, DataError> {
    let (image, format) = decoded(path)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    Ok(RgbImage { width, height, bytes: rgb_bytes(image, format) })
}

/// `[height, width, 3]`: see [`decode_rgb`].
fn rgb_bytes(image: DynamicImage, format: Option<ImageFormat>) -> Vec<u8> {
    let upper = |value: u16| (value >> 8) as u8;
    match image {
        DynamicImage::ImageLuma16(image) => {
            image.into_raw().into_iter().flat_map(|value| [value.min(255) as u8; 3]).collect()
        }
        DynamicImage::ImageLumaA16(image) => {
            let pixels = image.into_raw();
            pixels.as_chunks::<2>().0.iter().flat_map(|&[grey, _]| [upper(grey); 3]).collect()
        }
        DynamicImage::ImageRgb16(image) if format != Some(ImageFormat::Pnm) => {
            image.into_raw().into_iter().map(upper).collect()
        }
        DynamicImage::ImageRgba16(image) => {
            let pixels = image.into_raw();
            let pixels = pixels.as_chunks::<4>().0.iter();
            pixels.flat_map(|&[red, green, blue, _]| [red, green, blue].map(upper)).collect()
        }
        image => image.into_rgb8().into_raw(),
    }
}

/// The first image of a file, upright, and what kind of file its first bytes say it is.
fn decoded(path: &Path) -> Result<(DynamicImage, Option<ImageFormat>), DataError> {
    let bytes = fs::read(path).map_err(DataError::io("read", path))?;
    let mut reader = ImageReader::new(Cursor::new(bytes.as_slice()));
    if let Ok(by_name) = ImageFormat::from_path(path) {
        reader.set_format(by_name);
    }
    let reader = reader.with_guessed_format().map_err(DataError::io("read", path))?;
    let format = reader.format();
    if let Some(missing) = format.and_then(|format| missing_end(format, &bytes)) {
        return Err(problem_of(path)(format!("it is truncated: {missing}")));
    }
    let image = match format {
        Some(ImageFormat::Tiff) => upright(reader),
        _ => reader.decode(),
    };
    let image = image.map_err(|error| problem_of(path)(error.to_string()))?;
    if matches!(image, DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_)) {
        return Err(problem_of(path)("its values are fractions, and nothing says which of them is white".to_owned()));
    }
    Ok((image, format))
}

/// Turned as the file says: Pillow does so with TIFF, and leaves other kinds as they lie.
fn upright(reader: ImageReader<Cursor<&[u8]>>) -> ImageResult<DynamicImage> {
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn problem_of(path: &Path) -> impl Fn(String) -> DataError {
    move |problem| DataError::Image { path: path.to_owned(), problem }
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
    use image::{ImageBuffer, Luma, LumaA, Rgb, Rgba};

    use super::*;

    #[test]
    fn every_kind_of_file_gives_the_pixels_that_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let colour = |x: u32, y: u32| Rgb([(50 * x) as u8, (60 * y) as u8, (7 * x * y) as u8]);
        let picture = image::RgbImage::from_fn(5, 4, colour);
        let path = |ending: &str| folder.path().join(format!("picture.{ending}"));
        for ending in ["png", "bmp", "tif", "TIFF", "webp"] {
            picture.save(path(ending)).unwrap();
        }
        fs::write(path("ppm"), [&b"P6\n5 4\n255\n"[..], picture.as_raw().as_slice()].concat()).unwrap();
        for ending in ["png", "bmp", "tif", "TIFF", "webp", "ppm"] {
            assert!(is_image_file(&path(ending)));
            let found = decode_rgb(&path(ending)).unwrap();
            assert_eq!((found.width, found.height), (5, 4));
            assert_eq!(&found.bytes, picture.as_raw(), "{ending}");
            // In the middle, as an image to train on.
            assert_eq!(
                decode_image(&path(ending), 3, 4).unwrap(),
                decode_image(&path("png"), 3, 4).unwrap(),
                "{ending}"
            );
        }
        // JPEG loses a little.
        image::RgbImage::from_pixel(16, 16, Rgb([200, 100, 50])).save(path("JPG")).unwrap();
        assert!(is_image_file(&path("JPG")));
        let found = decode_rgb(&path("JPG")).unwrap().bytes;
        let written = [200u8, 100, 50];
        let close = found.iter().zip(written.iter().cycle()).all(|(found, written)| found.abs_diff(*written) < 6);
        assert!(found.len() == 768 && close, "{found:?}");
        for other in ["gif", "npz", "jpegs"] {
            assert!(!is_image_file(&path(other)));
        }
        assert!(!is_image_file(Path::new("png")));
    }

    #[test]
    fn grey_becomes_three_equal_values_and_transparency_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let grey = image::GrayImage::from_raw(2, 1, vec![19, 250]).unwrap();
        for name in ["grey.png", "grey.bmp", "grey.tiff", "grey.webp"] {
            grey.save(path(name)).unwrap();
        }
        fs::write(path("grey.pgm"), b"P5\n2 1\n255\n\x13\xfa").unwrap();
        for name in ["grey.png", "grey.bmp", "grey.tiff", "grey.webp", "grey.pgm"] {
            assert_eq!(decode_rgb(&path(name)).unwrap().bytes, [19, 19, 19, 250, 250, 250], "{name}");
            assert_eq!(decode_image(&path(name), 1, 1).unwrap(), [19], "{name}");
        }
        // Fifteen is white: the nearest to 8 / 15 of 255.
        fs::write(path("few.pgm"), b"P5\n2 1\n15\n\x08\x0f").unwrap();
        assert_eq!(decode_rgb(&path("few.pgm")).unwrap().bytes, [136, 136, 136, 255, 255, 255]);
        let clear = image::RgbaImage::from_raw(2, 1, vec![1, 2, 3, 0, 4, 5, 6, 255]).unwrap();
        for name in ["clear.png", "clear.webp"] {
            clear.save(path(name)).unwrap();
            assert_eq!(decode_rgb(&path(name)).unwrap().bytes, [1, 2, 3, 4, 5, 6], "{name}");
        }
    }

    #[test]
    fn sixteen_bits_become_eight_as_in_pillow() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let bytes = |name: &str| decode_rgb(&path(name)).unwrap().bytes;
        let grey = ImageBuffer::<Luma<u16>, Vec<u16>>::from_raw(3, 1, vec![7, 255, 256]).unwrap();
        let colour = ImageBuffer::<Rgb<u16>, Vec<u16>>::from_raw(1, 1, vec![0x12ff, 0x0080, 0xffff]).unwrap();
        for (grey_name, colour_name) in [("grey.png", "colour.png"), ("grey.tif", "colour.tif")] {
            grey.save(path(grey_name)).unwrap();
            colour.save(path(colour_name)).unwrap();
            assert_eq!(bytes(grey_name), [7, 7, 7, 255, 255, 255, 255, 255, 255], "{grey_name}");
            assert_eq!(bytes(colour_name), [0x12, 0x00, 0xff], "{colour_name}");
        }
        let clear = vec![0x12ff, 0x0080, 0xffff, 0x0000];
        ImageBuffer::<Rgba<u16>, Vec<u16>>::from_raw(1, 1, clear).unwrap().save(path("clear.png")).unwrap();
        assert_eq!(bytes("clear.png"), [0x12, 0x00, 0xff]);
        ImageBuffer::<LumaA<u16>, Vec<u16>>::from_raw(1, 1, vec![0x34ff, 0]).unwrap().save(path("la.png")).unwrap();
        assert_eq!(bytes("la.png"), [0x34; 3]);
        fs::write(path("grey.pgm"), b"P5\n3 1\n65535\n\x00\x07\x00\xff\x01\x00").unwrap();
        assert_eq!(bytes("grey.pgm"), [7, 7, 7, 255, 255, 255, 255, 255, 255]);
        fs::write(path("colour.ppm"), b"P6\n1 1\n65535\n\x12\xff\x00\x80\xff\xff").unwrap();
        assert_eq!(bytes("colour.ppm"), [0x13, 0x00, 0xff]);
    }

    /// A row of grey pixels, to be turned as `orientation` says.
    fn tiff(pixels: &[u8], orientation: u32) -> Vec<u8> {
        let width = pixels.len() as u32;
        // (tag, 3 for a number of 16 bits or 4 for one of 32, value), in the order of tags; the pixels are behind them.
        let entries = [
            (256, 3, width),
            (257, 3, 1),
            (258, 3, 8),
            (259, 3, 1),
            (262, 3, 1),
            (273, 4, 134),
            (274, 3, orientation),
            (277, 3, 1),
            (278, 3, 1),
            (279, 4, width),
        ];
        let mut file = b"II*\0\x08\0\0\0".to_vec();
        file.extend_from_slice(&(entries.len() as u16).to_le_bytes());
        for (tag, kind, value) in entries {
            file.extend_from_slice(&u16::to_le_bytes(tag));
            file.extend_from_slice(&u16::to_le_bytes(kind));
            file.extend_from_slice(&1u32.to_le_bytes());
            file.extend_from_slice(&u32::to_le_bytes(value));
        }
        file.extend_from_slice(&[0; 4]);
        file.extend_from_slice(pixels);
        file
    }

    #[test]
    fn a_tiff_is_turned_as_it_says_and_one_of_fractions_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turned.tif");
        // As it lies, by 180 degrees, by 90 to the right.
        let turned = [(1, (2, 1), [10u8, 200]), (3, (2, 1), [200, 10]), (6, (1, 2), [10, 200])];
        for (orientation, size, expected) in turned {
            fs::write(&path, tiff(&[10, 200], orientation)).unwrap();
            let found = decode_rgb(&path).unwrap();
            assert_eq!((found.width, found.height), size, "{orientation}");
            assert_eq!(found.bytes, expected.map(|grey| [grey; 3]).concat(), "{orientation}");
        }
        let path = folder.path().join("fractions.tif");
        ImageBuffer::<Rgb<f32>, Vec<f32>>::from_raw(1, 1, vec![0.0, 0.5, 1.0]).unwrap().save(&path).unwrap();
        for error in [decode_rgb(&path).unwrap_err(), decode_image(&path, 3, 1).unwrap_err()] {
            let message = error.to_string();
            let expected = "fractions.tif: its values are fractions, and nothing says which of them is white";
            assert!(message.contains(expected), "{message}");
        }
    }

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
