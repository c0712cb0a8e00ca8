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
pub struct Factors<F = f32> {
    pub beta1: F,
    pub one_minus_beta1: F,
    pub beta2: F,
    pub one_minus_beta2: F,
    /// lr / c1.
    pub step_size: F,
    /// 1 / sqrt(c2).
    pub root_scale: F,
    pub epsilon: F,
    /// 1 - lr weight decay: what stays of a weight before the update. 1, which changes no bit, without decay.
    pub kept: F,
}

/// A number that tensors on a device are multiplied by or that is added to them: part of a kernel's arguments, or a tensor `[1]`, which a
/// captured step finds changed.
pub trait Factor {
    fn times<const D: usize>(&self, values: Tensor<D>) -> Tensor<D>;
    fn plus<const D: usize>(&self, values: Tensor<D>) -> Tensor<D>;
}

impl Factor for f32 {
    fn times<const D: usize>(&self, values: Tensor<D>) -> Tensor<D> {
        values.mul_scalar(*self)
    }

    fn plus<const D: usize>(&self, values: Tensor<D>) -> Tensor<D> {
        values.add_scalar(*self)
    }
}

impl Factor for Tensor<1> {
    fn times<const D: usize>(&self, values: Tensor<D>) -> Tensor<D> {
        values.mul(self.clone().unsqueeze())
    }

    fn plus<const D: usize>(&self, values: Tensor<D>) -> Tensor<D> {
        values.add(self.clone().unsqueeze())
    }
}

/// `from` + share (`to` - `from`).
pub fn towards<const D: usize>(from: Tensor<D>, to: Tensor<D>, share: &impl Factor) -> Tensor<D> {
    let step = share.times(to.sub(from.clone()));
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
                let updated = match scales {
                    None => factors.update_tensors(learned, gradient),
                    Some(scales) => {
                        let step_size = scales.tensor(factors.step_size, &gradient.device());
                        factors.update_tensors_by(&step_size, learned, gradient)
                    }
                };
                let weights;
                [weights, *first, *second] = updated;
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

    /// `step_size` times each factor, `[parameters]`.
    pub fn tensor(&self, step_size: f32, device: &Device) -> Tensor<1> {
        let parts = self.runs().map(|(range, scale)| Tensor::full([range.len()], step_size * scale, device));
        Tensor::cat(parts.collect(), 0)
    }
}

impl<F: Factor> Factors<F> {
    /// (weights, m, v) after the update.
    pub fn update_tensors(&self, learned: [Tensor<1>; 3], gradient: Tensor<1>) -> [Tensor<1>; 3] {
        self.update_tensors_by(&self.step_size, learned, gradient)
    }

    /// The same with another `step_size`, which may be one of each parameter.
    pub fn update_tensors_by(
        &self,
        step_size: &impl Factor,
        [weights, first, second]: [Tensor<1>; 3],
        gradient: Tensor<1>,
    ) -> [Tensor<1>; 3] {
        let first = self.beta1.times(first) + self.one_minus_beta1.times(gradient.clone());
        let second = self.beta2.times(second) + self.one_minus_beta2.times(gradient.clone()).mul(gradient);
        let root = self.epsilon.plus(self.root_scale.times(second.clone().sqrt()));
        let weights = self.kept.times(weights) - step_size.times(first.clone()).div(root);
        [weights, first, second]
    }
}

impl Factors<Tensor<1>> {
    /// Those of [`Factors::to_array`], `[8]` on a device.
    pub fn on_device(values: &Tensor<1>) -> Self {
        let [beta1, one_minus_beta1, beta2, one_minus_beta2, step_size, root_scale, epsilon, kept] =
            std::array::from_fn(|index| values.clone().narrow(0, index, 1));
        Self { beta1, one_minus_beta1, beta2, one_minus_beta2, step_size, root_scale, epsilon, kept }
    }
}

impl Factors {
    /// In the order of the fields.
    pub fn to_array(self) -> [f32; 8] {
        let Self { beta1, one_minus_beta1, beta2, one_minus_beta2, step_size, root_scale, epsilon, kept } = self;
        [beta1, one_minus_beta1, beta2, one_minus_beta2, step_size, root_scale, epsilon, kept]
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
    fn factors_that_are_tensors_update_as_numbers_do() {
        let device = Device::flex();
        let tensor = |values: &[f32]| Tensor::<1>::from_data(values, &device);
        let learned = || [tensor(&[1.0, -2.0]), tensor(&[0.1, 0.2]), tensor(&[0.01, 0.04])];
        let factors = Factors {
            beta1: 0.9,
            one_minus_beta1: 0.1,
            beta2: 0.99,
            one_minus_beta2: 0.01,
            step_size: 1e-3,
            root_scale: 1.5,
            epsilon: 1e-8,
            kept: 0.99,
        };
        let numbers = factors.update_tensors(learned(), tensor(&[0.3, -0.7]));
        let on_device = Factors::on_device(&tensor(&factors.to_array()));
        let tensors = on_device.update_tensors(learned(), tensor(&[0.3, -0.7]));
        for (number, tensor) in numbers.into_iter().zip(tensors) {
            assert_eq!(number.into_data(), tensor.into_data());
        }
    }

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
