//! What a captured step is given: packed into one row of numbers on the host, taken apart on the device.

use burn::tensor::Tensor;

use crate::model::{Classes, DeviceDraws, one_hot};
use crate::optim::Factors;
use crate::random::{Draws, Stream};
use crate::train::hybrid_loss::HybridLoss;

/// What a step is given, but for its learned values.
pub struct Given<'a> {
    /// Steps done before it: what dropout draws by.
    pub step: u64,
    /// `[batch, channels, side, side]`, as the target and the images before they were noised.
    pub input: &'a [f32],
    pub target: &'a [f32],
    /// Needed where the variance is learned.
    pub images: &'a [f32],
    pub timesteps: &'a [u32],
    /// Of each image, where the network is told them.
    pub classes: Option<&'a [u32]>,
    /// `[batch]`: lambda(t) times the importance weight.
    pub loss_weights: Vec<f32>,
    /// `[batch]`, needed where the variance is learned.
    pub importance: &'a [f32],
    pub factors: Factors,
    /// Of the weights in their average after the step.
    pub share_of_weights: f32,
}

/// The same on a device.
pub struct OnDevice {
    pub step: Tensor<1>,
    /// `[batch, channels, side, side]`.
    pub input: Tensor<4>,
    pub target: Tensor<4>,
    /// `[batch]`.
    pub timesteps: Tensor<1>,
    pub classes: Classes<'static>,
    /// `[batch, 1, 1, 1]`.
    pub loss_weights: Tensor<4>,
    pub variance: Option<OfVariance>,
    /// Adam's factors in their order, then the share of the weights in their average: what `kernels::update` is given.
    pub factors: Tensor<1>,
}

/// What the loss of a learned variance is made of.
pub struct OfVariance {
    /// `[batch, channels, side, side]`.
    pub images: Tensor<4>,
    /// See [`HybridLoss::of_images`]; each `[batch, 1, 1, 1]`.
    pub of_images: [Tensor<4>; 3],
    /// `[batch, 1, 1, 1]`.
    pub importance: Tensor<4>,
}

/// What decides where numbers lie.
pub struct Layout {
    /// Of a batch: `[batch, channels, side, side]`.
    pub shape: [usize; 4],
    /// Of the network's table of classes, where there are some.
    pub class_rows: Option<usize>,
    /// Where the network learns its variance.
    pub hybrid_loss: Option<HybridLoss>,
}

/// Adam's, and the average's.
const FACTORS: usize = 9;

impl Layout {
    /// What is large first, where it is aligned.
    pub fn packed(&self, given: &Given) -> Vec<f32> {
        let mut packed = Vec::new();
        packed.extend_from_slice(given.input);
        packed.extend_from_slice(given.target);
        if let Some(hybrid) = &self.hybrid_loss {
            packed.extend_from_slice(given.images);
            packed.extend(hybrid.of_images(given.timesteps).into_iter().flatten());
            packed.extend_from_slice(given.importance);
        }
        packed.extend(given.timesteps.iter().map(|&t| t as f32));
        packed.extend_from_slice(&given.loss_weights);
        packed.extend(given.factors.to_array());
        packed.push(given.share_of_weights);
        packed.extend(DeviceDraws::step_values(given.step));
        let classes = given.classes.zip(self.class_rows).map(|(classes, rows)| one_hot(classes, rows));
        packed.extend(classes.into_iter().flatten());
        packed
    }

    /// Takes apart what was packed. What the network computes with is on a device that tracks gradients.
    pub fn taken_apart(&self, packed: &Tensor<1>) -> OnDevice {
        let (shape, batch) = (self.shape, self.shape[0]);
        let mut start = 0;
        let mut next = |count| {
            start += count;
            packed.clone().narrow(0, start - count, count)
        };
        let pixels = shape.iter().product();
        let [input, target] = [(); 2].map(|()| next(pixels).reshape(shape).autodiff());
        let variance = self.hybrid_loss.is_some().then(|| {
            let images = next(pixels).reshape(shape).autodiff();
            let [log_range, error_weight, is_first, importance] =
                [(); 4].map(|()| next(batch).reshape([batch, 1, 1, 1]).autodiff());
            OfVariance { images, of_images: [log_range, error_weight, is_first], importance }
        });
        OnDevice {
            input,
            target,
            variance,
            timesteps: next(batch).autodiff(),
            loss_weights: next(batch).reshape([batch, 1, 1, 1]).autodiff(),
            factors: next(FACTORS),
            step: next(2),
            classes: self.class_rows.map_or(Classes::Untold, |rows| {
                Classes::OneHot(Box::new(next(batch * rows).reshape([batch, rows]).autodiff()))
            }),
        }
    }

    /// Made-up values for a step, of no small effect.
    pub fn trial(&self, step: u64) -> Vec<f32> {
        let (batch, pixels) = (self.shape[0], self.shape.iter().product::<usize>());
        let mut noise = vec![0f32; 3 * pixels];
        Draws::new(0, Stream::Noise, step).fill_normal(&mut noise);
        // The first image's is 0, which a learned variance counts in another way.
        let timesteps: Vec<u32> = (0..batch).map(|image| (image * 997 % 1000) as u32).collect();
        let classes: Option<Vec<u32>> =
            self.class_rows.map(|rows| (0..batch).map(|image| (image % rows) as u32).collect());
        self.packed(&Given {
            step,
            input: &noise[..pixels],
            target: &noise[pixels..2 * pixels],
            images: &noise[2 * pixels..],
            timesteps: &timesteps,
            classes: classes.as_deref(),
            loss_weights: vec![1.0; batch],
            importance: &vec![1.0; batch],
            factors: Factors {
                beta1: 0.9,
                one_minus_beta1: 0.1,
                beta2: 0.99,
                one_minus_beta2: 0.01,
                step_size: 1e-3,
                root_scale: 1.0,
                epsilon: 1e-8,
                kept: 1.0,
            },
            share_of_weights: 0.1,
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::diffusion::ForwardProcess;
    use crate::model::{flat, values};
    use crate::spec::NoiseSchedule;

    const FACTORS: Factors = Factors {
        beta1: 1.0,
        one_minus_beta1: 2.0,
        beta2: 3.0,
        one_minus_beta2: 4.0,
        step_size: 5.0,
        root_scale: 6.0,
        epsilon: 7.0,
        kept: 8.0,
    };

    fn given() -> Given<'static> {
        Given {
            step: 65_537,
            input: &[0.1, 0.2],
            target: &[0.3, 0.4],
            images: &[0.6, 0.7],
            timesteps: &[17],
            classes: Some(&[1]),
            loss_weights: vec![0.5],
            importance: &[0.8],
            factors: FACTORS,
            share_of_weights: 9.0,
        }
    }

    #[test]
    fn a_step_is_given_images_first_and_classes_last() {
        let layout = Layout { shape: [1, 2, 1, 1], class_rows: Some(3), hybrid_loss: None };
        let packed = layout.packed(&given());
        let expected =
            [0.1, 0.2, 0.3, 0.4, 17.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 1.0, 1.0, 0.0, 1.0, 0.0];
        assert_eq!(packed, expected);
        assert_eq!(packed.len(), layout.trial(0).len());
    }

    #[test]
    fn a_device_finds_what_it_was_given() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        for hybrid_loss in [None, Some(HybridLoss::new(&process))] {
            let layout = Layout { shape: [1, 2, 1, 1], class_rows: Some(3), hybrid_loss };
            let found = layout.taken_apart(&flat(layout.packed(&given()), &Device::flex()));
            let read = |values: Tensor<4>| values.inner().into_data().try_into_vec::<f32>().unwrap();
            assert_eq!((read(found.input), read(found.target)), (vec![0.1, 0.2], vec![0.3, 0.4]));
            assert_eq!((values(found.timesteps.inner()), read(found.loss_weights)), (vec![17.0], vec![0.5]));
            assert_eq!(values(found.factors), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
            assert_eq!(values(found.step), [1.0, 1.0]);
            let Classes::OneHot(chosen) = found.classes else { panic!("the network is told classes") };
            assert_eq!(chosen.inner().into_data().try_into_vec::<f32>().unwrap(), [0.0, 1.0, 0.0]);
            let Some(hybrid) = &layout.hybrid_loss else { continue };
            let found = found.variance.expect("a variance is learned");
            assert_eq!((read(found.images), read(found.importance)), (vec![0.6, 0.7], vec![0.8]));
            assert_eq!(found.of_images.map(read), hybrid.of_images(&[17]));
        }
    }
}
