use std::ops::Range;

use rayon::prelude::*;

use super::precision::generating;
use super::predict::{Conditioning, Passes, Predict, with_network};
use super::{EvaluateError, LatentDecoder};
use crate::diffusion::{ForwardProcess, generate};
use crate::model::{self, Network};
use crate::random::{Draws, Stream};
use crate::spec::{OdeSampler, Parameterization, RunSpec};

/// Most images per forward pass. It changes the speed, and the result by no more than rounding.
pub(super) const BATCH_IMAGES: usize = 256;
/// The most bytes of a forward pass's activations. Networks whose images need more get smaller batches.
const ACTIVATION_BYTES: usize = 1 << 30;
/// The divisor of all activations that gives those alive at a time where no backward pass needs them. `plan` counts
/// with it.
const LIVE_SHARE: usize = 4;

/// Images per forward pass of the run's network.
pub(super) fn batch_images(spec: &RunSpec) -> usize {
    let live_bytes = model::activation_bytes(&spec.model, spec.data.shape()) / LIVE_SHARE;
    (ACTIVATION_BYTES / live_bytes.max(1)).clamp(1, BATCH_IMAGES)
}

/// Images generated with a network's weights as `evaluate.fid.ode` and `precision` say, latents decoded by `decoder` if there is one: `[images,
/// channels, side, side]` in [-1, 1].
///
/// Image `i` depends on `seed` and `i` alone, and is of class `i` modulo their number where the model is told classes; with seed 0 these are the images that evaluations measure.
pub fn generate_images(
    spec: &RunSpec,
    network: &Network,
    decoder: Option<&LatentDecoder>,
    seed: u64,
    images: Range<usize>,
) -> Result<Vec<f32>, EvaluateError> {
    let generation = Generation::of(spec);
    let network = generating(network, spec.evaluate.fid.precision)?;
    let mut predict = with_network(&network, spec.data.image_shape(), Passes::ByKernel);
    let mut generated = Vec::with_capacity(images.len() * generation.image_values);
    let batch_images = batch_images(spec);
    for first in images.clone().step_by(batch_images) {
        let batch = batch_images.min(images.end - first);
        let images = generation.batch(seed, first, batch, &mut predict)?;
        match decoder {
            Some(decoder) => generated.extend(decoder.decode(&images, &mut || Ok(()))?),
            None => generated.extend(images),
        }
    }
    Ok(generated)
}

/// How images are generated, as `evaluate.fid` says, whatever the network.
pub(super) struct Generation {
    process: ForwardProcess,
    parameterization: Parameterization,
    ode: OdeSampler,
    conditioning: Conditioning,
    pub(super) image_values: usize,
}

impl Generation {
    pub(super) fn of(spec: &RunSpec) -> Self {
        let (channels, side) = spec.data.image_shape();
        Self {
            process: ForwardProcess::new(&spec.noise_schedule),
            parameterization: spec.parameterization,
            ode: spec.evaluate.fid.ode.clone(),
            conditioning: Conditioning::of(spec),
            image_values: channels * side * side,
        }
    }

    /// The `count` images from the one at `first`, as [`generate_images`] says.
    pub(super) fn batch(
        &self,
        seed: u64,
        first: usize,
        count: usize,
        network: Predict<'_>,
    ) -> Result<Vec<f32>, EvaluateError> {
        let noise = starting_noise(seed, first, count, self.image_values);
        let mut fresh_noise = fresh_noise(seed, first, count, self.image_values);
        let classes = self.conditioning.generated_classes(first, count);
        let mut predict_at = |input: &[f32], t: f64| {
            self.conditioning.predict(&mut *network, input, &vec![t as f32; count], classes.as_deref())
        };
        generate(&self.ode, &self.process, self.parameterization, noise, &mut fresh_noise, &mut predict_at)
    }
}

/// `[count, image_values]` of standard normals, image by image, from the image at `first`.
fn starting_noise(seed: u64, first: usize, count: usize, image_values: usize) -> Vec<f32> {
    let mut noise = vec![0.0; count * image_values];
    for (index, image) in noise.chunks_exact_mut(image_values).enumerate() {
        Draws::new(seed, Stream::EvaluationNoise, (first + index) as u64).fill_normal(image);
    }
    noise
}

/// What [`generate`] asks for at each step: `[count, image_values]` of standard normals, image by image, from the image at
/// `first`. An image's noise depends on the seed, its own index and the step's, not on its batch.
fn fresh_noise(seed: u64, first: usize, count: usize, image_values: usize) -> impl FnMut(usize) -> Vec<f32> {
    move |step| {
        let mut noise = vec![0.0; count * image_values];
        noise.par_chunks_exact_mut(image_values).enumerate().for_each(|(index, image)| {
            // A noise schedule has at most 2^20 timesteps.
            let draw = (((first + index) as u64) << 20) | step as u64;
            Draws::new(seed, Stream::GenerationNoise, draw).fill_normal(image);
        });
        noise
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Model, UnetModel};

    #[test]
    fn large_networks_go_in_batches_that_fit_and_small_ones_in_full_ones() {
        let with = |channels| {
            let model = Model::Unet(UnetModel { channels, ..UnetModel::default() });
            let spec = RunSpec { model, ..RunSpec::default() };
            (batch_images(&spec), model::activation_bytes(&spec.model, spec.data.shape()) / LIVE_SHARE)
        };
        assert_eq!(with(16).0, 256);
        let (batch, live_bytes) = with(16_384);
        assert!(batch < 256 && batch * live_bytes <= ACTIVATION_BYTES && (batch + 1) * live_bytes > ACTIVATION_BYTES);
        // One image that takes more than there should be is still generated.
        assert_eq!(with(4_000_000).0, 1);
    }
}
