//! The gradient of the validation loss: in each bin of t for learning difficulty, as a whole for the loss landscape.

use burn::tensor::{Tensor, TensorData};

use super::EvaluateError;
use super::validation::{Noised, Validation};
use crate::event::{Measure, Name};
use crate::model::Network;
use crate::spec::Weights;

/// Noised images in a backward pass. It changes the speed, and the result by no more than rounding.
const BATCH: usize = 64;

impl Validation {
    /// The norm of the gradient, with respect to all parameters, of the mean squared error over the first `images` images in
    /// each bin, and of its mean over the bins. `network` tracks its weights. Where `progress`, told the share done, answers
    /// `false`, it ends with [`EvaluateError::Stopped`].
    pub fn gradient_norms(
        &self,
        weights: Weights,
        network: &Network,
        image_shape: (usize, usize),
        images: usize,
        progress: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Vec<Measure>, EvaluateError> {
        let protocol = Name::from(self.protocol(Some(weights), images));
        let mut sum: Option<Tensor<1>> = None;
        let mut measures = Vec::with_capacity(self.bins() + 1);
        let mut measure = |metric: String, gradient: Tensor<1>, t: f32| -> Result<(), EvaluateError> {
            let value = norm(gradient);
            if !value.is_finite() {
                let doing = "differentiating the validation loss";
                return Err(EvaluateError::NotFinite { weights, value: value as f32, t, doing });
            }
            measures.push(Measure { metric: metric.into(), protocol: protocol.clone(), value });
            Ok(())
        };
        for bin in 0..self.bins() {
            if !progress(bin as f64 / self.bins() as f64) {
                return Err(EvaluateError::Stopped);
            }
            let indices: Vec<usize> = (0..images).map(|image| image * self.bins() + bin).collect();
            let (_, gradient) = self.loss_and_gradient(network, image_shape, &indices);
            sum = Some(match sum {
                None => gradient.clone(),
                Some(sum) => sum + gradient.clone(),
            });
            let t = self.noised(&indices[..1]).timesteps[0];
            measure(format!("validation_gradient_norm/{bin}"), gradient, t)?;
        }
        let sum = sum.expect("there is at least one bin");
        measure("validation_gradient_norm".into(), sum / self.bins() as f32, 0.0)?;
        Ok(measures)
    }

    /// The mean squared error over some noised images, and its gradient in the layout of the parameters, not tracked.
    ///
    /// # Panics
    /// If `network` does not track its weights.
    pub fn loss_and_gradient(
        &self,
        network: &Network,
        (channels, side): (usize, usize),
        indices: &[usize],
    ) -> (f64, Tensor<1>) {
        let tracked = network.weights().device().autodiff();
        let (mut loss, mut gradient): (f64, Option<Tensor<1>>) = (0.0, None);
        for batch in indices.chunks(BATCH) {
            let count = batch.len();
            let Noised { input, target, timesteps, classes } = self.noised(batch);
            let shape = [count, channels, side, side];
            let input = Tensor::<4>::from_data(TensorData::new(input, shape), &tracked);
            let target = Tensor::<4>::from_data(TensorData::new(target, shape), &tracked);
            let timesteps = Tensor::<1>::from_data(TensorData::new(timesteps, [count]), &tracked);
            let predicted = network.forward(input, timesteps, classes.as_deref(), None);
            // What follows with a learned variance is not part of this loss.
            let errors = predicted.narrow(1, 0, channels) - target;
            let share = count as f64 / indices.len() as f64;
            let squares = errors.square().mean() * share;
            loss += f64::from(squares.clone().into_scalar::<f32>());
            let part = network.gradients(squares);
            gradient = Some(match gradient {
                None => part,
                Some(sum) => sum + part,
            });
        }
        (loss, gradient.expect("there is at least one noised image"))
    }
}

/// In f64, in a fixed order.
pub(super) fn norm(vector: Tensor<1>) -> f64 {
    let values = vector.into_data().try_into_vec::<f32>().expect("networks compute in f32");
    values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::diffusion::ForwardProcess;
    use crate::evaluate::predict::{Passes, with_network};
    use crate::model::build;
    use crate::spec::{Model, RunSpec, UnetModel};

    fn spec() -> RunSpec {
        let model = Model::Unet(UnetModel { channels: 8, ..UnetModel::default() });
        let mut spec = RunSpec { model, ..RunSpec::default() };
        (spec.evaluate.validation.images, spec.evaluate.validation.bins) = (9, 8);
        spec
    }

    #[test]
    fn the_loss_is_that_of_the_evaluation_and_its_gradient_that_of_finite_differences() {
        let spec = spec();
        let dataset = crate::data::load_digits().unwrap();
        let process = ForwardProcess::new(&spec.noise_schedule);
        let validation = Validation::new(&spec, &dataset.test, &process).unwrap();
        let mut network = build(&spec.model, (1, 8), 3, &Device::flex().autodiff());
        // The last layer starts at zero, where most gradients vanish.
        let weights = network.weights();
        let count = weights.dims()[0];
        let moved: Vec<f32> = (0..count).map(|index| 0.05 * (0.7 * index as f32).sin()).collect();
        let start = weights + Tensor::from_data(TensorData::new(moved, [count]), &Device::flex());
        network.set_weights(start.clone());
        let all: Vec<usize> = (0..72).collect();
        let (loss, gradient) = validation.loss_and_gradient(&network, (1, 8), &all);
        let measured =
            validation.measure(Weights::Averaged, 256, &mut with_network(&network, (1, 8), Passes::ByKernel)).unwrap();
        assert!((loss / measured[0].value - 1.0).abs() < 1e-5, "{loss} {measured:?}");

        let gradient_values = gradient.clone().into_data().try_into_vec::<f32>().unwrap();
        let length = norm(gradient.clone());
        let direction = gradient / length as f32;
        let mut at = |step: f32| {
            network.set_weights(start.clone() + direction.clone() * step);
            validation.loss_and_gradient(&network, (1, 8), &all).0
        };
        let slope = (at(1e-3) - at(-1e-3)) / 2e-3;
        assert!((slope / length - 1.0).abs() < 2e-3, "{slope} is not {length}");
        assert!(gradient_values.iter().filter(|value| **value != 0.0).count() > count / 2);
    }

    #[test]
    fn the_gradients_of_the_bins_make_that_of_all() {
        let spec = spec();
        let dataset = crate::data::load_digits().unwrap();
        let process = ForwardProcess::new(&spec.noise_schedule);
        let validation = Validation::new(&spec, &dataset.test, &process).unwrap();
        let network = build(&spec.model, (1, 8), 3, &Device::flex().autodiff());
        let measures = validation.gradient_norms(Weights::Averaged, &network, (1, 8), 5, &mut |_| true).unwrap();
        let names: Vec<&str> = measures.iter().map(|measure| measure.metric.as_str()).collect();
        let bins: Vec<String> = (0..8).map(|bin| format!("validation_gradient_norm/{bin}")).collect();
        assert!(names[..8] == bins && names[8] == "validation_gradient_norm");
        assert!(measures.iter().all(|measure| measure.protocol == "mse ref=test n=5 bins=8 ema=0.999"));
        let first_images: Vec<usize> = (0..40).collect();
        let (_, gradient) = validation.loss_and_gradient(&network, (1, 8), &first_images);
        assert!((norm(gradient) / measures[8].value - 1.0).abs() < 1e-4);
        // A mean is no longer than the longest.
        let longest = measures[..8].iter().map(|measure| measure.value).fold(0.0, f64::max);
        assert!(measures[8].value <= longest && longest > 0.0);
    }

    #[test]
    fn a_gradient_that_is_not_finite_is_an_error() {
        let spec = spec();
        let dataset = crate::data::load_digits().unwrap();
        let process = ForwardProcess::new(&spec.noise_schedule);
        let validation = Validation::new(&spec, &dataset.test, &process).unwrap();
        let mut network = build(&spec.model, (1, 8), 3, &Device::flex().autodiff());
        network.set_weights(network.weights() * f32::NAN);
        let error = validation.gradient_norms(Weights::Averaged, &network, (1, 8), 5, &mut |_| true).unwrap_err();
        assert!(matches!(error, EvaluateError::NotFinite { .. }), "{error}");
    }
}
