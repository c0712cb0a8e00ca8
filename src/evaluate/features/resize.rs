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

/// Antialiased, in floats and not rounded, as clean-fid resizes with Pillow.
fn bicubic(values: &[f32], (height, width): (usize, usize), side: usize) -> Vec<f32> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let source = ImageRef::new(width as u32, height as u32, &bytes, PixelType::F32x3);
    let source = source.expect("three floats for every pixel");
    let mut target = Image::new(side as u32, side as u32, PixelType::F32x3);
    // Pillow's bicubic filter is that of Catmull and Rom, a = -0.5.
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(&source, &mut target, &options).expect("both are of three floats");
    let values = target.buffer().as_chunks::<4>().0.iter();
    values.map(|bytes| f32::from_ne_bytes(*bytes).clamp(0.0, 255.0)).collect()
}
