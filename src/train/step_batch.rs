use std::ops::Range;

use crate::data::{Batch, average_pooled, batch_classes};
use crate::diffusion::{self, ForwardProcess, TimestepSampler};
use crate::model::{self, Detour};
use crate::random::{Draws, Stream};
use crate::spec::RunSpec;

/// The draws of a step, one of each for every image. They are functions of (seed, stream, step), drawn for the whole batch, in
/// however many parts it is computed.
pub struct StepBatch {
    /// The side, in pixels, of the images or of the crops of them that are in their place.
    pub side: usize,
    /// `[batch, 2, side, side]`: where the pixels of crops lie, where there are crops.
    pub coordinates: Option<Vec<f32>>,
    /// `[batch, channels, side, side]`, as the two that follow.
    pub images: Vec<f32>,
    /// The network's input: the noised images, scaled as the parameterization needs them.
    pub input: Vec<f32>,
    /// The target of its prediction.
    pub target: Vec<f32>,
    /// The classes, where the network is told them.
    pub classes: Option<Vec<u32>>,
    pub timesteps: Vec<u32>,
    /// The timesteps' importance weights.
    pub importance: Vec<f32>,
    /// The blocks that some patches go around, and `[batch, kept]`, the patches of each image that do not; where they do.
    pub detour: Option<(Detour, Vec<u32>)>,
    /// `[batch, patches, channels]`: what tokens are aligned with, in steps that align them.
    pub features: Option<Vec<f32>>,
}

impl StepBatch {
    /// The draws of the step after `step` steps, for the images of `batch`; `features` are known of them.
    pub fn draw(
        spec: &RunSpec,
        step: u64,
        batch: Batch,
        features: Option<Vec<f32>>,
        process: &ForwardProcess,
        sampler: &dyn TimestepSampler,
    ) -> Self {
        let Batch { pixels: images, labels, .. } = batch;
        let (batch_size, seed, side) = (labels.len(), spec.seed, spec.side_at(step));
        let images = match spec.data.image_shape().1 {
            full_side if side == full_side => images,
            full_side => average_pooled(&images, full_side, side),
        };
        let (images, side, coordinates) = match model::seen_side(spec, step) {
            seen if spec.patch_diffusion.is_on() => {
                let (crops, coordinates) = crops(&images, side, seen, batch_size, (seed, step));
                (crops, seen, Some(coordinates))
            }
            _ => (images, side, None),
        };
        let classes =
            spec.told_classes().map(|none| batch_classes(&labels, spec.model.class_dropout(), none as u32, seed, step));
        let mut uniforms = Draws::new(seed, Stream::Timesteps, step);
        let uniforms: Vec<f64> = (0..batch_size).map(|_| uniforms.uniform()).collect();
        let drawn = sampler.draw(&uniforms, step);
        let mut noise = vec![0f32; images.len()];
        Draws::new(seed, Stream::Noise, step).fill_normal(&mut noise);
        let noise = diffusion::assigned_noise(&spec.noise, &images, noise, batch_size);
        let timesteps: Vec<u32> = drawn.iter().map(|drawn| drawn.t).collect();
        let importance = drawn.iter().map(|drawn| drawn.weight).collect();
        let noisy = process.add_noise(&images, &noise, &timesteps);
        let input = diffusion::network_input(spec.parameterization, process, noisy, &timesteps);
        let target =
            diffusion::training_target(spec.parameterization, process, &images, &noise, &timesteps).into_owned();
        let detour = Detour::at(spec, step).map(|detour| {
            let patches = spec.model.patches(side);
            (detour, Draws::new(seed, Stream::Patches, step).subsets(batch_size, patches, detour.kept))
        });
        Self { side, coordinates, images, input, target, classes, timesteps, importance, detour, features }
    }

    /// The number of images.
    pub fn size(&self) -> usize {
        self.timesteps.len()
    }
}

/// A crop of `seen` pixels of each of `batch_size` images of `side` pixels, at a place that is drawn for it, and the coordinates of the crops'
/// pixels in their images.
fn crops(
    images: &[f32],
    side: usize,
    seen: usize,
    batch_size: usize,
    (seed, step): (u64, u64),
) -> (Vec<f32>, Vec<f32>) {
    let mut draws = Draws::new(seed, Stream::CropPlaces, step);
    let places = (side - seen + 1) as u32;
    let (mut cropped, mut coordinates) = (Vec::new(), Vec::new());
    for image in images.chunks_exact(images.len() / batch_size) {
        let [row, column] = [0; 2].map(|_| draws.below(places) as usize);
        for plane in image.chunks_exact(side * side) {
            let rows = plane.chunks_exact(side).skip(row).take(seen);
            rows.for_each(|pixels| cropped.extend_from_slice(&pixels[column..column + seen]));
        }
        coordinates.extend(model::coordinates(side, seen, (row, column)));
    }
    (cropped, coordinates)
}

/// The images of each of `parts` parts of a batch: all images in order, in parts whose sizes differ by at most one. No part
/// is empty: of more parts than images there are as many as images.
///
/// # Panics
/// If there are to be no parts.
pub fn parts_of(batch_size: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    assert!(parts > 0, "a batch is computed in one part or more");
    let parts = parts.min(batch_size);
    (0..parts).map(move |part| part * batch_size / parts..(part + 1) * batch_size / parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The coordinates of a pixel say where its value is found.
    #[test]
    fn crops_lie_where_their_coordinates_say() {
        let (side, seen, batch) = (8, 4, 40);
        let images: Vec<f32> = (0..batch * 2 * side * side).map(|index| index as f32).collect();
        let (cropped, coordinates) = crops(&images, side, seen, batch, (7, 3));
        let place = |coordinate: f32| ((f64::from(coordinate) / 2.0 + 0.5) * 7.0).round() as usize;
        let mut corners = std::collections::BTreeSet::new();
        for image in 0..batch {
            let [across, down] = [0, 1].map(|axis| &coordinates[(2 * image + axis) * seen * seen..][..seen * seen]);
            for channel in 0..2 {
                for pixel in 0..seen * seen {
                    let found = cropped[(2 * image + channel) * seen * seen + pixel];
                    let expected = ((2 * image + channel) * side + place(down[pixel])) * side + place(across[pixel]);
                    assert_eq!(found, expected as f32);
                }
            }
            corners.insert((place(down[0]), place(across[0])));
        }
        assert!(corners.len() > 10 && corners.iter().all(|&(row, column)| row <= 4 && column <= 4), "{corners:?}");
        assert_eq!(crops(&images, side, side, batch, (7, 3)).0, images);
    }

    #[test]
    fn parts_hold_every_image_once_in_order_and_are_alike_in_size() {
        for batch_size in 1..20 {
            for asked in 1..25 {
                let parts: Vec<Range<usize>> = parts_of(batch_size, asked).collect();
                assert_eq!(parts.len(), asked.min(batch_size));
                let images: Vec<usize> = parts.iter().cloned().flatten().collect();
                assert_eq!(images, (0..batch_size).collect::<Vec<_>>());
                let sizes = || parts.iter().map(|part| part.len());
                assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1, "{parts:?}");
            }
        }
    }
}
