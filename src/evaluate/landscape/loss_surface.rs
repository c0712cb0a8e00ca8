use burn::tensor::{Device, Tensor, TensorData};

use super::length;
use crate::data::Dataset;
use crate::diffusion::ForwardProcess;
use crate::evaluate::EvaluateError;
use crate::evaluate::predict::{Passes, with_network};
use crate::evaluate::sample::batch_images;
use crate::evaluate::validation::Validation;
use crate::model::{self, Network, ParameterLayout};
use crate::spec::{RunSpec, Weights};

/// The validation loss of one architecture as a function of its weights: the first held-out images, each at one timestep of
/// every bin of t, always the same.
pub struct LossSurface {
    validation: Validation,
    network: Network,
    image_shape: (usize, usize),
    /// Of the noised images.
    indices: Vec<usize>,
    device: Device,
    batch_images: usize,
}

impl LossSurface {
    /// Of `images` held-out images; on the CPU.
    pub fn new(spec: &RunSpec, dataset: &Dataset, images: usize) -> Result<Self, EvaluateError> {
        let mut spec = spec.clone();
        spec.evaluate.validation.images = images;
        let process = ForwardProcess::new(&spec.noise_schedule);
        let validation = Validation::new(&spec, &dataset.test, &process)?;
        let device = Device::flex();
        let network = model::build_for(&spec, &device.clone().autodiff());
        let indices = (0..validation.predictions()).collect();
        let (image_shape, batch_images) = (spec.data.image_shape(), batch_images(&spec));
        Ok(Self { validation, network, image_shape, indices, device, batch_images })
    }

    /// How the loss is measured, whatever the weights are.
    pub fn protocol(&self) -> String {
        self.validation.protocol(None, self.validation.images())
    }

    /// The weights a run of this spec and seed started from, until others are asked about.
    pub fn weights(&self) -> Vec<f32> {
        self.network.weights().into_data().try_into_vec().expect("weights are f32")
    }

    pub fn layout(&self) -> &[ParameterLayout] {
        self.network.layout()
    }

    /// The loss at these weights; it may be infinite or no number where they are far from any network.
    pub fn loss(&mut self, weights: &[f32]) -> Result<f64, EvaluateError> {
        self.set(weights);
        let mut predict = with_network(&self.network, self.image_shape, Passes::ByKernel);
        Ok(self.validation.measure(Weights::Averaged, self.batch_images, &mut predict)?[0].value)
    }

    /// Its gradient there.
    pub fn gradient(&mut self, weights: &[f32]) -> Vec<f32> {
        self.set(weights);
        let (_, gradient) = self.validation.loss_and_gradient(&self.network, self.image_shape, &self.indices);
        gradient.into_data().try_into_vec().expect("networks compute in f32")
    }

    /// H v for a unit vector v: central differences of the gradient, (g(w + step v) - g(w - step v)) / (2 step). Its error falls
    /// as step^2 while the third derivative rules, and grows as 1 / step once f32's rounding does.
    pub fn hessian_product(&mut self, weights: &[f32], v: &[f32], step: f64) -> Result<Vec<f32>, EvaluateError> {
        let moved = |sign: f64| -> Vec<f32> {
            let to = |(weight, v): (&f32, &f32)| (f64::from(*weight) + sign * step * f64::from(*v)) as f32;
            weights.iter().zip(v).map(to).collect()
        };
        let (ahead, behind) = (self.gradient(&moved(1.0)), self.gradient(&moved(-1.0)));
        let difference =
            |(ahead, behind): (&f32, &f32)| ((f64::from(*ahead) - f64::from(*behind)) / (2.0 * step)) as f32;
        let product: Vec<f32> = ahead.iter().zip(&behind).map(difference).collect();
        let size = length(&product);
        if !size.is_finite() {
            let doing = "differentiating the gradient of the loss";
            return Err(EvaluateError::NotFinite { weights: Weights::Averaged, value: size as f32, t: 0.0, doing });
        }
        Ok(product)
    }

    fn set(&mut self, weights: &[f32]) {
        let data = TensorData::new(weights.to_vec(), [weights.len()]);
        self.network.set_weights(Tensor::from_data(data, &self.device));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::load_digits;
    use crate::evaluate::landscape::{dot, normal};
    use crate::spec::{Model, UnetModel};

    fn surface() -> (LossSurface, Vec<f32>) {
        let unet = UnetModel { channels: 4, channel_multipliers: vec![1], norm_groups: 2, ..UnetModel::default() };
        let mut spec = RunSpec { model: Model::Unet(unet), ..RunSpec::default() };
        spec.evaluate.validation.bins = 4;
        let surface = LossSurface::new(&spec, &load_digits().unwrap(), 8).unwrap();
        let mut weights = surface.weights();
        // Away from where the last layer is zero and most second derivatives vanish.
        let moved = normal(9, 0, weights.len());
        weights.iter_mut().zip(moved).for_each(|(weight, moved)| *weight += 0.2 * moved);
        (surface, weights)
    }

    fn unit(mut vector: Vec<f32>) -> Vec<f32> {
        let norm = length(&vector);
        vector.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
        vector
    }

    #[test]
    fn hessian_products_are_symmetric_and_agree_with_second_differences_of_the_loss() {
        let (mut surface, weights) = surface();
        let step = 1e-3 * length(&weights);
        let (u, v) = (unit(normal(1, 0, weights.len())), unit(normal(1, 1, weights.len())));
        let (hu, hv) = (
            surface.hessian_product(&weights, &u, step).unwrap(),
            surface.hessian_product(&weights, &v, step).unwrap(),
        );
        let scale = length(&hu).max(length(&hv));
        assert!((dot(&u, &hv) - dot(&v, &hu)).abs() < 0.01 * scale, "{} {}", dot(&u, &hv), dot(&v, &hu));
        // Along the steepest direction, where the loss itself bends enough to be seen in f32.
        let steepest = unit(surface.gradient(&weights));
        let bend = dot(&surface.hessian_product(&weights, &steepest, step).unwrap(), &steepest);
        let wide = 0.05;
        let mut at = |by: f64| {
            let moved: Vec<f32> =
                weights.iter().zip(&steepest).map(|(w, v)| (f64::from(*w) + by * f64::from(*v)) as f32).collect();
            surface.loss(&moved).unwrap()
        };
        let expected = (at(wide) - 2.0 * at(0.0) + at(-wide)) / (wide * wide);
        assert!((bend / expected - 1.0).abs() < 0.1, "{bend} is not {expected}");
    }
}
