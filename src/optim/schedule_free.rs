//! Schedule-free AdamW.

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::host_memory::{is_host, to_vec, update_in_place};
use super::optimizer::OptimizerState;
use super::rates::Rates;
use crate::spec::ScheduleFreeAdamwOptimizer;

/// Values that a thread takes at a time.
const PIECE: usize = 1 << 16;

/// Schedule-free AdamW (Defazio et al. 2024, arXiv 2405.15682), as `AdamWScheduleFree` of the authors' package `schedulefree`
/// computes it. The gradient g is taken at y, between the sequence z and its average x:
///
/// y = (1 - b) z + b x, v <- beta2 v + (1 - beta2) g^2, z <- z - lr g / (sqrt(v / c2) + epsilon) - lr weight_decay y,
/// x <- (1 - c) x + c z, with b = beta1 and c2 = 1 - (product of the beta2s used so far).
///
/// c is [`Rates::average_share`]: the square of the largest learning rate so far over the sum of all such squares.
///
/// The weights of a run are x, the point that the paper evaluates. The network computes with y while it is trained; y is always
/// computed from x and z, which a checkpoint keeps.
pub struct ScheduleFree {
    settings: ScheduleFreeAdamwOptimizer,
    sequences: Sequences,
    beta2_product: f64,
}

/// z and v, one value per parameter.
#[expect(clippy::large_enum_variant, reason = "there is one per run")]
enum Sequences {
    /// Updated in one fused pass.
    Host { z: Vec<f32>, second: Vec<f32> },
    /// Updated by tensor operations.
    Device { z: Tensor<1>, second: Tensor<1> },
}

/// The factors of one step, the same for every parameter.
#[derive(Clone, Copy)]
struct Factors {
    /// 1 - b.
    towards_z: f32,
    beta2: f32,
    one_minus_beta2: f32,
    learning_rate: f32,
    /// lr weight_decay.
    decay: f32,
    /// 1 / sqrt(c2).
    root_scale: f32,
    epsilon: f32,
    /// c.
    average_share: f32,
}

impl ScheduleFree {
    /// Goes on from `state`, bit for bit; z is its first moment.
    pub fn from_state(settings: &ScheduleFreeAdamwOptimizer, state: OptimizerState, device: &Device) -> Self {
        let OptimizerState { first_moment: z, second_moment: second, beta2_product, .. } = state;
        assert_eq!(z.len(), second.len(), "z and v have a value per parameter");
        let sequences = match is_host(device) {
            true => Sequences::Host { z, second },
            false => Sequences::on_device(z, second, device),
        };
        Self { settings: settings.clone(), sequences, beta2_product }
    }

    /// The state that a checkpoint keeps.
    pub fn state(&self) -> OptimizerState {
        let (first_moment, second_moment) = match &self.sequences {
            Sequences::Host { z, second } => (z.clone(), second.clone()),
            Sequences::Device { z, second } => (to_vec(z), to_vec(second)),
        };
        OptimizerState {
            first_moment,
            second_moment,
            beta1_product: 1.0,
            beta2_product: self.beta2_product,
            factors: vec![],
        }
    }

    /// x after one update, from x before it and the gradient at y. Both hold all parameters, without autodiff.
    pub fn step(&mut self, x: Tensor<1>, gradient: Tensor<1>, rates: Rates) -> Tensor<1> {
        let ScheduleFreeAdamwOptimizer { beta2, epsilon, weight_decay, .. } = self.settings;
        self.beta2_product *= beta2;
        let factors = Factors {
            towards_z: self.towards_z(),
            beta2: beta2 as f32,
            one_minus_beta2: (1.0 - beta2) as f32,
            learning_rate: rates.learning_rate as f32,
            decay: (rates.learning_rate * weight_decay) as f32,
            root_scale: (1.0 - self.beta2_product).sqrt().recip() as f32,
            epsilon: epsilon as f32,
            average_share: rates.average_share as f32,
        };
        self.sequences.update(x, gradient, factors)
    }

    /// y, where the next gradient is taken, between `x` and z.
    pub fn gradient_point(&self, x: &Tensor<1>) -> Tensor<1> {
        let towards_z = self.towards_z();
        match &self.sequences {
            Sequences::Host { z, .. } => update_in_place(x.clone(), |x| {
                x.par_chunks_mut(PIECE).zip(z.par_chunks(PIECE)).for_each(|(x, z)| {
                    x.iter_mut().zip(z).for_each(|(x, &z)| *x = between(*x, z, towards_z));
                });
            }),
            Sequences::Device { z, .. } => x.clone() + z.clone().sub(x.clone()).mul_scalar(towards_z),
        }
    }

    fn towards_z(&self) -> f32 {
        (1.0 - self.settings.beta1) as f32
    }
}

/// A step from `from` towards `to`: shares are rounded once, and equal values stay equal.
fn between(from: f32, to: f32, share: f32) -> f32 {
    from + (to - from) * share
}

impl Sequences {
    fn on_device(z: Vec<f32>, second: Vec<f32>, device: &Device) -> Self {
        let shape = [z.len()];
        let tensor = |values| Tensor::from_data(TensorData::new(values, shape), device);
        Self::Device { z: tensor(z), second: tensor(second) }
    }

    fn update(&mut self, x: Tensor<1>, gradient: Tensor<1>, factors: Factors) -> Tensor<1> {
        match self {
            Self::Host { z, second } => {
                let gradient = gradient.into_data();
                let gradient = gradient.as_slice::<f32>().expect("gradients are f32");
                update_in_place(x, |x| factors.update_slices(x, gradient, z, second))
            }
            Self::Device { z, second } => {
                let y = x.clone() + z.clone().sub(x.clone()).mul_scalar(factors.towards_z);
                *second = second.clone().mul_scalar(factors.beta2)
                    + gradient.clone().mul_scalar(factors.one_minus_beta2).mul(gradient.clone());
                let root = second.clone().sqrt().mul_scalar(factors.root_scale).add_scalar(factors.epsilon);
                *z = z.clone() - y.mul_scalar(factors.decay) - gradient.mul_scalar(factors.learning_rate).div(root);
                x.clone() + z.clone().sub(x).mul_scalar(factors.average_share)
            }
        }
    }
}

impl Factors {
    /// The same operations in the same order as on a device. Every parameter is on its own, so the number of threads cannot
    /// change a bit.
    fn update_slices(self, x: &mut [f32], gradient: &[f32], z: &mut [f32], second: &mut [f32]) {
        assert!(x.len() == z.len() && gradient.len() == z.len(), "one weight and gradient per value of z");
        x.par_chunks_mut(PIECE)
            .zip(gradient.par_chunks(PIECE))
            .zip(z.par_chunks_mut(PIECE).zip(second.par_chunks_mut(PIECE)))
            .for_each(|((x, gradient), (z, second))| self.update_piece(x, gradient, z, second));
    }

    fn update_piece(self, x: &mut [f32], gradient: &[f32], z: &mut [f32], second: &mut [f32]) {
        for (((x, &gradient), z), second) in x.iter_mut().zip(gradient).zip(z).zip(second) {
            let y = between(*x, *z, self.towards_z);
            *second = *second * self.beta2 + gradient * self.one_minus_beta2 * gradient;
            let root = second.sqrt() * self.root_scale + self.epsilon;
            *z = *z - y * self.decay - gradient * self.learning_rate / root;
            *x = between(*x, *z, self.average_share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates { learning_rate: 1e-2, beta1: 0.9, average_share: 0.25 };

    fn settings() -> ScheduleFreeAdamwOptimizer {
        ScheduleFreeAdamwOptimizer { weight_decay: 0.1, ..ScheduleFreeAdamwOptimizer::default() }
    }

    fn values(count: usize, salt: f32) -> Vec<f32> {
        (0..count).map(|index| ((index as f32 + salt) * 0.618_034).sin()).collect()
    }

    fn tensor(values: Vec<f32>) -> Tensor<1> {
        let shape = [values.len()];
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    fn start(count: usize) -> OptimizerState {
        OptimizerState { first_moment: values(count, 0.5), ..OptimizerState::start(count) }
    }

    #[test]
    fn host_and_device_updates_agree_to_the_bit() {
        const COUNT: usize = 150_001;
        let device = Device::flex();
        let mut host = ScheduleFree::from_state(&settings(), start(COUNT), &device);
        let OptimizerState { first_moment, second_moment, .. } = start(COUNT);
        let sequences = Sequences::on_device(first_moment, second_moment, &device);
        let mut on_device = ScheduleFree { settings: settings(), sequences, beta2_product: 1.0 };
        assert!(matches!(host.sequences, Sequences::Host { .. }));
        let (mut host_x, mut device_x) = (tensor(values(COUNT, 0.5)), tensor(values(COUNT, 0.5)));
        for step in 0..4u8 {
            let gradient = tensor(values(COUNT, f32::from(step)));
            host_x = host.step(host_x, gradient.clone(), RATES);
            device_x = on_device.step(device_x, gradient, RATES);
        }
        assert!(host.state() == on_device.state());
        assert!(host_x.clone().into_data() == device_x.clone().into_data());
        assert!(host.gradient_point(&host_x).into_data() == on_device.gradient_point(&device_x).into_data());
    }

    #[test]
    fn a_state_taken_up_goes_on_bit_for_bit() {
        let device = Device::flex();
        let mut straight = ScheduleFree::from_state(&settings(), start(5), &device);
        let mut x = tensor(values(5, 0.5));
        for step in 0..3u8 {
            x = straight.step(x, tensor(values(5, f32::from(step))), RATES);
        }
        let mut resumed = ScheduleFree::from_state(&settings(), straight.state(), &device);
        let gradient = tensor(values(5, 7.0));
        let straight_x = straight.step(x.clone(), gradient.clone(), RATES);
        let resumed_x = resumed.step(x, gradient, RATES);
        assert_eq!(straight.state(), resumed.state());
        assert_eq!(straight_x.into_data(), resumed_x.into_data());
    }

    /// By hand: the first step has c = 1, so x is z; Adam's second moment, corrected, is the square of the gradient.
    #[test]
    fn the_first_step_is_one_of_the_gradients_sign_and_y_lies_between_x_and_z() {
        let plain = ScheduleFreeAdamwOptimizer { weight_decay: 0.0, beta1: 0.75, ..settings() };
        let state = OptimizerState { first_moment: vec![1.0, 1.0], ..OptimizerState::start(2) };
        let mut schedule_free = ScheduleFree::from_state(&plain, state, &Device::flex());
        let close = |tensor: &Tensor<1>, expected: [f32; 2]| {
            let found: Vec<f32> = to_vec(tensor);
            assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6), "{found:?}");
        };
        let first = Rates { average_share: 1.0, ..RATES };
        let x = schedule_free.step(tensor(vec![1.0, 1.0]), tensor(vec![3.0, -0.2]), first);
        close(&x, [0.99, 1.01]);
        close(&schedule_free.gradient_point(&x), [0.99, 1.01]);
        let x = schedule_free.step(x, tensor(vec![3.0, -0.2]), Rates { average_share: 0.5, ..RATES });
        // z is at 0.98 and 1.02.
        close(&x, [0.985, 1.015]);
        close(&schedule_free.gradient_point(&x), [0.98375, 1.01625]);
    }
}
