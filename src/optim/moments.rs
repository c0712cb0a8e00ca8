//! Adam's two moments and the update that they give, in host memory or on a device.

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::host_memory::{is_host, to_vec, update_in_place};

/// m and v, one value per parameter.
#[expect(clippy::large_enum_variant, reason = "there is one per run")]
pub enum Moments {
    /// Updated in one fused pass.
    Host { first: Vec<f32>, second: Vec<f32> },
    /// Updated by tensor operations.
    Device { first: Tensor<1>, second: Tensor<1> },
}

/// The factors of one step, the same for every parameter.
#[derive(Clone, Copy)]
pub struct Factors {
    pub beta1: f32,
    pub one_minus_beta1: f32,
    pub beta2: f32,
    pub one_minus_beta2: f32,
    /// lr / c1.
    pub step_size: f32,
    /// 1 / sqrt(c2).
    pub root_scale: f32,
    pub epsilon: f32,
    /// 1 - lr weight decay: what stays of a weight before the update. 1, which changes no bit, without decay.
    pub kept: f32,
}

impl Moments {
    pub fn new(first: Vec<f32>, second: Vec<f32>, device: &Device) -> Self {
        assert_eq!(first.len(), second.len(), "two moments per parameter");
        if is_host(device) { Self::Host { first, second } } else { Self::on_device(first, second, device) }
    }

    fn on_device(first: Vec<f32>, second: Vec<f32>, device: &Device) -> Self {
        let shape = [first.len()];
        Self::Device {
            first: Tensor::from_data(TensorData::new(first, shape), device),
            second: Tensor::from_data(TensorData::new(second, shape), device),
        }
    }

    /// Copies of m and v.
    pub fn to_vecs(&self) -> (Vec<f32>, Vec<f32>) {
        match self {
            Self::Host { first, second } => (first.clone(), second.clone()),
            Self::Device { first, second } => (to_vec(first), to_vec(second)),
        }
    }

    /// Takes the gradient in and gives back the updated weights.
    pub fn update(&mut self, weights: Tensor<1>, gradient: Tensor<1>, factors: Factors) -> Tensor<1> {
        match self {
            Self::Host { first, second } => {
                let gradient = gradient.into_data();
                let gradient = gradient.as_slice::<f32>().expect("gradients are f32");
                update_in_place(weights, |weights| factors.update_slices(weights, gradient, first, second))
            }
            Self::Device { first, second } => {
                *first = first.clone().mul_scalar(factors.beta1) + gradient.clone().mul_scalar(factors.one_minus_beta1);
                *second = second.clone().mul_scalar(factors.beta2)
                    + gradient.clone().mul_scalar(factors.one_minus_beta2).mul(gradient);
                let root = second.clone().sqrt().mul_scalar(factors.root_scale).add_scalar(factors.epsilon);
                weights.mul_scalar(factors.kept) - first.clone().mul_scalar(factors.step_size).div(root)
            }
        }
    }
}

impl Factors {
    /// The same operations in the same order as on a device. Every parameter is on its own, so the number of threads
    /// cannot change a bit.
    fn update_slices(self, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        const PIECE: usize = 1 << 16;
        assert!(weights.len() == first.len() && gradient.len() == first.len(), "one weight and gradient per moment");
        weights
            .par_chunks_mut(PIECE)
            .zip(gradient.par_chunks(PIECE))
            .zip(first.par_chunks_mut(PIECE).zip(second.par_chunks_mut(PIECE)))
            .for_each(|((weights, gradient), (first, second))| self.update_piece(weights, gradient, first, second));
    }

    fn update_piece(self, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        for (((weight, &gradient), first), second) in weights.iter_mut().zip(gradient).zip(first).zip(second) {
            *first = *first * self.beta1 + gradient * self.one_minus_beta1;
            *second = *second * self.beta2 + gradient * self.one_minus_beta2 * gradient;
            *weight = *weight * self.kept - *first * self.step_size / (second.sqrt() * self.root_scale + self.epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_device_updates_agree_to_the_bit() {
        const COUNT: usize = 200_003;
        let device = Device::flex();
        let value = |index: usize, salt: f32| ((index as f32 + salt) * 0.618_034).sin();
        let tensor = |salt: f32| {
            let values: Vec<f32> = (0..COUNT).map(|index| value(index, salt)).collect();
            Tensor::<1>::from_data(TensorData::new(values, [COUNT]), &device)
        };
        let zeros = || vec![0.0; COUNT];
        let mut host = Moments::new(zeros(), zeros(), &device);
        let mut on_device = Moments::on_device(zeros(), zeros(), &device);
        assert!(matches!(host, Moments::Host { .. }));
        let (mut host_weights, mut device_weights) = (tensor(0.5), tensor(0.5));
        for step in 0..4u8 {
            let factors = Factors {
                beta1: 0.9,
                one_minus_beta1: 0.1,
                beta2: 0.999,
                one_minus_beta2: 0.001,
                step_size: 1e-2,
                root_scale: 3.0,
                epsilon: 1e-8,
                kept: 0.999,
            };
            host_weights = host.update(host_weights, tensor(f32::from(step)), factors);
            device_weights = on_device.update(device_weights, tensor(f32::from(step)), factors);
        }
        assert!(host.to_vecs() == on_device.to_vecs());
        assert!(host_weights.into_data() == device_weights.into_data());
    }
}
