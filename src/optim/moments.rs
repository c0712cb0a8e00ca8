//! Adam's two moments and the update that they give, in host memory or on a device.

use std::ops::Range;

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
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// `from` + share (`to` - `from`).
pub fn towards<const D: usize>(from: Tensor<D>, to: Tensor<D>, share: f32) -> Tensor<D> {
    let step = to.sub(from.clone()).mul_scalar(share);
    from.add(step)
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

    /// Takes the gradient in and gives back the updated weights. The size of a parameter's step is multiplied by its one of `scales`, if there are some.
    pub fn update(
        &mut self,
        weights: Tensor<1>,
        gradient: Tensor<1>,
        factors: Factors,
        scales: Option<&StepScales>,
    ) -> Tensor<1> {
        match self {
            Self::Host { first, second } => {
                let gradient = gradient.into_data();
                let gradient = gradient.as_slice::<f32>().expect("gradients are f32");
                update_in_place(weights, |weights| match scales {
                    None => factors.update_slices(weights, gradient, first, second),
                    Some(scales) => {
                        assert_eq!(scales.count(), weights.len(), "a scale for each parameter");
                        for (range, scale) in scales.runs() {
                            let factors = Factors { step_size: factors.step_size * scale, ..factors };
                            let (weights, gradient) = (&mut weights[range.clone()], &gradient[range.clone()]);
                            factors.update_slices(weights, gradient, &mut first[range.clone()], &mut second[range]);
                        }
                    }
                })
            }
            Self::Device { first, second } => {
                let learned = [weights, first.clone(), second.clone()];
                let scales = scales.map(|scales| scales.tensor(&gradient.device()));
                let weights;
                [weights, *first, *second] = factors.update_tensors(learned, gradient, scales);
                weights
            }
        }
    }
}

/// The factor of every parameter's step: runs of parameters that have the same, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepScales {
    /// (the place after its last parameter, the factor).
    ends: Vec<(usize, f32)>,
}

impl StepScales {
    /// From (the number of parameters, their factor).
    pub fn new(runs: impl IntoIterator<Item = (usize, f32)>) -> Self {
        let mut ends: Vec<(usize, f32)> = Vec::new();
        for (count, scale) in runs {
            let end = ends.last().map_or(0, |(end, _)| *end) + count;
            match ends.last_mut() {
                Some(last) if last.1 == scale => last.0 = end,
                _ => ends.push((end, scale)),
            }
        }
        Self { ends }
    }

    fn count(&self) -> usize {
        self.ends.last().map_or(0, |(end, _)| *end)
    }

    fn runs(&self) -> impl Iterator<Item = (Range<usize>, f32)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        starts.zip(&self.ends).map(|(start, &(end, scale))| (start..end, scale))
    }

    /// The factor of each parameter, `[parameters]`.
    pub fn tensor(&self, device: &Device) -> Tensor<1> {
        let parts = self.runs().map(|(range, scale)| Tensor::full([range.len()], scale, device));
        Tensor::cat(parts.collect(), 0)
    }
}

impl Factors {
    /// In the order of the fields.
    pub fn to_array(self) -> [f32; 8] {
        let Self { beta1, one_minus_beta1, beta2, one_minus_beta2, step_size, root_scale, epsilon, kept } = self;
        [beta1, one_minus_beta1, beta2, one_minus_beta2, step_size, root_scale, epsilon, kept]
    }

    /// (weights, m, v) after the update. `scales` are `[parameters]`.
    pub fn update_tensors(
        &self,
        [weights, first, second]: [Tensor<1>; 3],
        gradient: Tensor<1>,
        scales: Option<Tensor<1>>,
    ) -> [Tensor<1>; 3] {
        let first = first.mul_scalar(self.beta1) + gradient.clone().mul_scalar(self.one_minus_beta1);
        let second = second.mul_scalar(self.beta2) + gradient.clone().mul_scalar(self.one_minus_beta2).mul(gradient);
        let root = second.clone().sqrt().mul_scalar(self.root_scale).add_scalar(self.epsilon);
        let step = match scales {
            None => first.clone().mul_scalar(self.step_size),
            Some(scales) => first.clone().mul(scales.mul_scalar(self.step_size)),
        };
        let weights = weights.mul_scalar(self.kept) - step.div(root);
        [weights, first, second]
    }

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
        agree(None);
        agree(Some(&StepScales::new([(70_001, 1.0), (30_002, 0.3), (100_000, 2.5)])));
    }

    #[test]
    fn a_scale_is_that_of_the_learning_rate_and_not_of_the_decay() {
        let device = Device::flex();
        let tensor = |values: &[f32]| Tensor::<1>::from_data(values, &device);
        let factors = Factors {
            beta1: 0.0,
            one_minus_beta1: 1.0,
            beta2: 0.0,
            one_minus_beta2: 1.0,
            step_size: 0.5,
            root_scale: 1.0,
            epsilon: 0.0,
            kept: 0.5,
        };
        let scales = StepScales::new([(1, 1.0), (2, 0.25)]);
        let mut moments = Moments::new(vec![0.0; 3], vec![0.0; 3], &device);
        let updated = moments.update(tensor(&[4.0, 4.0, 4.0]), tensor(&[1.0, 1.0, -2.0]), factors, Some(&scales));
        assert_eq!(updated.into_data().try_into_vec::<f32>().unwrap(), [1.5, 1.875, 2.125]);
    }

    fn agree(scales: Option<&StepScales>) {
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
            host_weights = host.update(host_weights, tensor(f32::from(step)), factors, scales);
            device_weights = on_device.update(device_weights, tensor(f32::from(step)), factors, scales);
        }
        assert!(host.to_vecs() == on_device.to_vecs());
        assert!(host_weights.into_data() == device_weights.into_data());
    }
}
