use std::ops::Range;

use crate::data::{Batch, average_pooled, batch_classes};
use crate::diffusion::{self, ForwardProcess, TimestepSampler};
use crate::model::Detour;
use crate::random::{Draws, Stream};
use crate::spec::RunSpec;

/// The draws of a step, one of each for every image. They are functions of (seed, stream, step), drawn for the whole batch, in
/// however many parts it is computed.
pub struct StepBatch {
    /// The side of the images, in pixels.
    pub side: usize,
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
}

impl StepBatch {
    /// The draws of the step after `step` steps, for the images of `batch`.
    pub fn draw(
        spec: &RunSpec,
        step: u64,
        batch: Batch,
        process: &ForwardProcess,
        sampler: &dyn TimestepSampler,
    ) -> Self {
        let Batch { pixels: images, labels, .. } = batch;
        let (batch_size, seed, side) = (labels.len(), spec.seed, spec.side_at(step));
        let images = match spec.data.image_shape().1 {
            full_side if side == full_side => images,
            full_side => average_pooled(&images, full_side, side),
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
        Self { side, images, input, target, classes, timesteps, importance, detour }
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.timesteps.len()
    }
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
