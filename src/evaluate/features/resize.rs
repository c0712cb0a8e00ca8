use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::data::RgbImage;
use crate::spec::Resize;

/// `[side, side, 3]` of an image, 0 to 255, as `resize` says.
///
/// # Panics
/// With [`Resize::None`] if the image has another size; [`Resize::with`] has made another of [`Resize::Customary`].
pub fn resized(resize: Resize, image: &RgbImage, side: usize) -> Vec<f32> {
    let values: Vec<f32> = image.bytes.iter().map(|&byte| f32::from(byte)).collect();
    let size = (image.height, image.width);
    if size == (side, side) {
        return values;
    }
    match resize {
        Resize::Customary | Resize::None => panic!("images of another size were refused"),
        Resize::PytorchFid => bilinear(&values, size, [half_pixel(size.0, side), half_pixel(size.1, side)]),
        Resize::TorchFidelity => bilinear(&values, size, [no_half_pixel(size.0, side), no_half_pixel(size.1, side)]),
        Resize::Clean => bicubic(&values, size, side),
        Resize::Pillow => pillow(image, side),
    }
}

/// The sources of a row or column of the result: (first, second, share of the second).
type Mixture = (usize, usize, f32);

/// Centres of pixels on centres of pixels, as PyTorch does with `align_corners=False`.
fn half_pixel(inputs: usize, outputs: usize) -> Vec<Mixture> {
    let scale = inputs as f32 / outputs as f32;
    let place = |output: usize| (scale * (output as f32 + 0.5) - 0.5).max(0.0);
    mixtures(inputs, outputs, place)
}

/// Corners on corners, as TensorFlow 1 does.
fn no_half_pixel(inputs: usize, outputs: usize) -> Vec<Mixture> {
    let scale = inputs as f32 / outputs as f32;
    mixtures(inputs, outputs, |output| output as f32 * scale)
}

fn mixtures(inputs: usize, outputs: usize, place: impl Fn(usize) -> f32) -> Vec<Mixture> {
    let mixture = |output| {
        let place = place(output);
        let first = (place as usize).min(inputs - 1);
        (first, (first + 1).min(inputs - 1), place - first as f32)
    };
    (0..outputs).map(mixture).collect()
}

/// Between the four nearest pixels, for (rows, columns) of the result.
fn bilinear(values: &[f32], (_, width): (usize, usize), [rows, columns]: [Vec<Mixture>; 2]) -> Vec<f32> {
    let mut result = Vec::with_capacity(rows.len() * columns.len() * CHANNELS);
    for (upper, lower, share) in rows {
        let [upper, lower] = [upper, lower].map(|row| &values[row * width * CHANNELS..][..width * CHANNELS]);
        for &(left, right, along) in &columns {
            for channel in 0..CHANNELS {
                let mix = |row: &[f32]| {
                    (1.0 - along) * row[left * CHANNELS + channel] + along * row[right * CHANNELS + channel]
                };
                result.push((1.0 - share) * mix(upper) + share * mix(lower));
            }
        }
    }
    result
}

const CHANNELS: usize = 3;

/// Pillow's bicubic filter is that of Catmull and Rom, a = -0.5.
const BICUBIC: ResizeAlg = ResizeAlg::Convolution(FilterType::CatmullRom);

/// Antialiased, as Pillow resizes pictures: along rows first, then along columns, each rounded and clipped to bytes. Its weights are of
/// other fixed points, so that a value may differ by one level.
fn pillow(image: &RgbImage, side: usize) -> Vec<f32> {
    let options = ResizeOptions::new().resize_alg(BICUBIC);
    let resize = |bytes: &[u8], (width, height): (usize, usize), (to_width, to_height): (usize, usize)| {
        let source = ImageRef::new(width as u32, height as u32, bytes, PixelType::U8x3);
        let mut target = Image::new(to_width as u32, to_height as u32, PixelType::U8x3);
        let source = source.expect("three bytes for every pixel");
        Resizer::new().resize(&source, &mut target, &options).expect("both are of three bytes");
        target.into_vec()
    };
    let rows = resize(&image.bytes, (image.width, image.height), (side, image.height));
    resize(&rows, (side, image.height), (side, side)).into_iter().map(f32::from).collect()
}

/// The square in the middle of an image, as CMMD's code cuts it out of a picture.
pub fn middle_square(image: &RgbImage) -> RgbImage {
    let RgbImage { width, height, bytes } = image;
    let side = *width.min(height);
    let (top, left) = ((height - side) / 2, (width - side) / 2);
    let rows = bytes.chunks_exact(width * CHANNELS).skip(top).take(side);
    let bytes = rows.flat_map(|row| &row[left * CHANNELS..(left + side) * CHANNELS]).copied().collect();
    RgbImage { width: side, height: side, bytes }
}

/// Antialiased, in floats and not rounded, as clean-fid resizes with Pillow.
fn bicubic(values: &[f32], (height, width): (usize, usize), side: usize) -> Vec<f32> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let source = ImageRef::new(width as u32, height as u32, &bytes, PixelType::F32x3);
    let source = source.expect("three floats for every pixel");
    let mut target = Image::new(side as u32, side as u32, PixelType::F32x3);
    let options = ResizeOptions::new().resize_alg(BICUBIC);
    Resizer::new().resize(&source, &mut target, &options).expect("both are of three floats");
    let values = target.buffer().as_chunks::<4>().0.iter();
    values.map(|bytes| f32::from_ne_bytes(*bytes).clamp(0.0, 255.0)).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        height: usize,
        width: usize,
        side: usize,
        squeezed: Vec<f32>,
        cut: Vec<f32>,
    }

    /// As scripts/golden/resize.py makes it.
    fn picture(height: usize, width: usize) -> RgbImage {
        let places =
            (0..height).flat_map(|y| (0..width).flat_map(move |x| (0..CHANNELS).map(move |channel| (y, x, channel))));
        let bytes =
            places.map(|(y, x, channel)| ((x * x * 7 + y * 31 * (channel + 1) + x * y * 5 + channel * 90) % 256) as u8);
        RgbImage { width, height, bytes: bytes.collect() }
    }

    #[test]
    fn pictures_are_resized_and_cut_as_pillow_does_to_one_level() {
        let cases = include_str!("../../../tests/golden/resize.json");
        for case in cases.lines().map(|line| serde_json::from_str::<Case>(line).unwrap()) {
            let Case { height, width, side, squeezed, cut } = case;
            let image = picture(height, width);
            for (found, expected) in [
                (resized(Resize::Pillow, &image, side), squeezed),
                (resized(Resize::Pillow, &middle_square(&image), side), cut),
            ] {
                assert_eq!(found.len(), expected.len());
                let largest = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(largest <= 1.0, "{height} x {width} to {side}: {largest}");
            }
        }
    }
}
