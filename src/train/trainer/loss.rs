//! The loss of images, and what is added to it.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData};

use super::Trainer;
use crate::kernels::TokenChoice;
use crate::model::{Detour, Dropout, TokenRoute};
use crate::train::alignment::{misalignment, of_shown};
use crate::train::auxiliary::{contrasted, dispersion, targets_of_others};
use crate::train::masks::pixel_weights;
use crate::train::step_batch::StepBatch;

impl Trainer<'_> {
    /// The share of the images of `part` in the loss of their batch, which is the mean over the batch of weight * mean squared
    /// error of what is predicted, with what `auxiliary_losses` adds. Where the timestep sampler observes losses also that of each of
    /// these images, with its loss weight, without its importance weight and without what is added; else none.
    pub(super) fn loss_share(&self, batch: &StepBatch, part: Range<usize>) -> (Tensor<1>, Vec<f32>) {
        let spec = self.spec;
        let (channels, side) = (spec.data.image_shape().0, batch.side);
        let (count, image_values) = (part.len(), channels * side * side);
        let pixels = part.start * image_values..part.end * image_values;
        let [images, input, target] =
            [&batch.images, &batch.input, &batch.target].map(|values| &values[pixels.clone()]);
        let (timesteps, importance) = (&batch.timesteps[part.clone()], &batch.importance[part.clone()]);
        let classes = batch.classes.as_deref().map(|classes| &classes[part.clone()]);
        let weights = self.weights_of(importance, timesteps);

        let tracked = self.device.clone().autodiff();
        let shape = [count, channels, side, side];
        let input = Tensor::<4>::from_data(TensorData::new(input.to_vec(), shape), &tracked);
        let input = match &batch.coordinates {
            Some(coordinates) => {
                let coordinates = coordinates[part.start * 2 * side * side..part.end * 2 * side * side].to_vec();
                let coordinates = TensorData::new(coordinates, [count, 2, side, side]);
                Tensor::cat(vec![input, Tensor::from_data(coordinates, &tracked)], 1)
            }
            None => input,
        };
        let target = Tensor::<4>::from_data(TensorData::new(target.to_vec(), shape), &tracked);
        let times: Vec<f32> = timesteps.iter().map(|&t| t as f32).collect();
        let times = Tensor::<1>::from_data(TensorData::new(times, [count]), &tracked);
        let weights = Tensor::<4>::from_data(TensorData::new(weights, [count, 1, 1, 1]), &tracked);
        let dropout = Dropout { seed: spec.seed, step: self.step(), first_image: part.start };
        let (contrastive, dispersive) = (spec.auxiliary_losses.contrastive, &spec.auxiliary_losses.dispersive);
        let tapped_block = (dispersive.weight > 0.0).then_some(dispersive.block);
        let patches = spec.model.patches(side);
        let detour = batch.detour.as_ref().map(|(detour, kept)| {
            let kept = &kept[part.start * detour.kept..part.end * detour.kept];
            (*detour, TokenChoice::new(patches, detour.kept, kept))
        });
        let masks = detour.as_ref().filter(|(detour, _)| detour.masked).map(|(_, shown)| {
            let reconstruction = spec.token_masking.reconstruction;
            [0.0, reconstruction].map(|masked| {
                let weights = TensorData::new(pixel_weights(shown, side, masked), [count, 1, side, side]);
                Tensor::<4>::from_data(weights, &tracked)
            })
        });
        let alignment = &spec.auxiliary_losses.alignment;
        let features = batch.features.as_ref().map(|features| {
            let image_values = features.len() / batch.size();
            let features = &features[part.start * image_values..part.end * image_values];
            let features = match &detour {
                Some((detour, shown)) if Detour::patches_after(Some(*detour), alignment.block, patches) < patches => {
                    of_shown(features, shown)
                }
                _ => features.to_vec(),
            };
            let channels = alignment.encoder.channels();
            let tokens = features.len() / (count * channels);
            let features = Tensor::<3>::from_data(TensorData::new(features, [count, tokens, channels]), &tracked);
            features.permute([0, 2, 1]).reshape([count, channels, 1, tokens])
        });
        let aligned_block = features.is_some().then_some(alignment.block);
        let route = TokenRoute::new(tapped_block, detour).aligned_after(aligned_block);
        let (predicted, seen) = self.network.forward_in_training(input, times, classes, dropout, route);
        let v = self.hybrid_loss.is_some().then(|| predicted.clone().narrow(1, channels, channels));
        let predicted = if v.is_some() { predicted.narrow(1, 0, channels) } else { predicted };
        let errors = predicted.clone() - target;
        let squares = errors.clone().square();
        let bound = self.hybrid_loss.as_ref().zip(v).map(|(hybrid, v)| hybrid.bound(errors, v, images, timesteps));
        // Errors of masked patches are the reconstruction's alone.
        let shown = |values: Tensor<4>| match &masks {
            Some([shown, _]) => values * shown.clone(),
            None => values,
        };
        let bound = bound.map(shown);
        let mut image_losses = Vec::new();
        if self.sampler.observes_losses() {
            let squares = image_means(shown(squares.clone()).inner(), image_values);
            let bounds = bound.clone().map_or(vec![0.0; count], |bound| image_means(bound.inner(), image_values));
            let of_images = squares.iter().zip(bounds).zip(timesteps);
            image_losses
                .extend(of_images.map(|((mean, bound), &t)| (self.loss_weights[t as usize] * mean + bound) as f32));
        }
        let squares = if contrastive > 0.0 {
            let others = targets_of_others(&batch.target, part, batch.size());
            let others = Tensor::<4>::from_data(TensorData::new(others, shape), &tracked);
            contrasted(squares, predicted, others, contrastive)
        } else {
            squares
        };
        let squares = match masks {
            Some([_, all]) => squares * all,
            None => squares,
        };
        let bound = bound
            .map(|bound| (bound, Tensor::from_data(TensorData::new(importance.to_vec(), [count, 1, 1, 1]), &tracked)));
        let mut loss = total(squares, weights, bound);
        if let Some(tokens) = seen.tokens {
            loss = loss + dispersion(tokens, dispersive.temperature) * dispersive.weight;
        }
        if let Some((features, projected)) = features.zip(seen.projected) {
            loss = loss + misalignment(projected, features) * alignment.weight;
        }
        if count < batch.size() {
            loss = loss * (count as f64 / batch.size() as f64);
        }
        (loss, image_losses)
    }
}

impl Trainer<'_> {
    /// The weight of each image's error: lambda(t) times its importance weight.
    pub(super) fn weights_of(&self, importance: &[f32], timesteps: &[u32]) -> Vec<f32> {
        let images = importance.iter().zip(timesteps);
        images.map(|(importance, &t)| importance * self.loss_weights[t as usize] as f32).collect()
    }
}

/// The mean over the pixels of `squares` times the images' `weights`; and of the bound on a learned variance times the images' importance, where
/// there is one: lambda(t) changes what the mean learns, not what the variance does.
pub fn total(squares: Tensor<4>, weights: Tensor<4>, bound: Option<(Tensor<4>, Tensor<4>)>) -> Tensor<1> {
    let loss = (squares * weights).mean();
    match bound {
        Some((bound, importance)) => loss + (bound * importance).mean(),
        None => loss,
    }
}

/// The mean over each image's pixels: in f64, in a fixed order.
fn image_means(pixels: Tensor<4>, image_values: usize) -> Vec<f64> {
    let pixels = pixels.into_data().try_into_vec::<f32>().expect("networks compute in f32");
    let images = pixels.chunks_exact(image_values);
    images.map(|image| image.iter().copied().map(f64::from).sum::<f64>() / image_values as f64).collect()
}
