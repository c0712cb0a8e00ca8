//! Muon for the matrices of hidden layers, AdamW for everything else.

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::adam::Adam;
use super::host_memory::{is_host, to_vec};
use super::matrices::{Matrix, Partition};
use super::moments::towards;
use super::optimizer::OptimizerState;
use super::orthogonal::orthogonalized;
use super::rates::Rates;
use crate::spec::{MuonOptimizer, MuonScale};

/// Muon (Jordan 2024, <https://kellerjordan.github.io/posts/muon/>). With momentum mu (`optimizer.beta1`, which `momentum`
/// may move) and the gradient G of a matrix W:
///
/// M <- mu M + (1 - mu) G, N = mu M + (1 - mu) G (Nesterov's; M itself without), W <- (1 - lr decay) W - lr scale O,
///
/// where O is N with its singular values brought near 1. O does not depend on the size of N, so M needs no bias correction,
/// and neither a constant nor a moving mu changes the size of an update.
pub struct Muon {
    settings: MuonOptimizer,
    parts: Partition,
    /// M of each matrix.
    momenta: Vec<Tensor<2>>,
    /// AdamW on the rest, laid end to end.
    adam: Adam,
}

impl Muon {
    /// Goes on from `state`, bit for bit.
    ///
    /// # Panics
    /// If `matrices` overlap, are not in order, or lie beyond the parameters of `state`.
    pub fn from_state(settings: &MuonOptimizer, matrices: &[Matrix], state: OptimizerState, device: &Device) -> Self {
        let OptimizerState { first_moment, second_moment, beta1_product, beta2_product, .. } = state;
        let parts = Partition::new(matrices, first_moment.len());
        let rest_state = OptimizerState {
            first_moment: parts.rest_of(&first_moment),
            second_moment: parts.rest_of(&second_moment),
            beta1_product,
            beta2_product,
            factors: vec![],
        };
        let momentum = |matrix: &Matrix| {
            let values = first_moment[matrix.range()].to_vec();
            Tensor::from_data(TensorData::new(values, [matrix.rows, matrix.columns]), device)
        };
        Self {
            settings: settings.clone(),
            momenta: matrices.iter().map(momentum).collect(),
            parts,
            adam: Adam::from_state(&settings.others, rest_state, device),
        }
    }

    /// The state that a checkpoint keeps.
    pub fn state(&self) -> OptimizerState {
        let rest = self.adam.state();
        let momenta: Vec<Vec<f32>> =
            self.momenta.iter().map(|momentum| to_vec(&momentum.clone().flatten(0, 1))).collect();
        // The matrices have no second moment.
        let none: Vec<Vec<f32>> = momenta.iter().map(|momentum| vec![0.0; momentum.len()]).collect();
        OptimizerState {
            first_moment: self.parts.joined(&rest.first_moment, momenta.iter().map(Vec::as_slice)),
            second_moment: self.parts.joined(&rest.second_moment, none.iter().map(Vec::as_slice)),
            ..rest
        }
    }

    /// The weights after one update: `rates` are those of the matrices, `others` those of the rest.
    pub fn step(&mut self, weights: Tensor<1>, gradient: Tensor<1>, rates: Rates, others: Rates) -> Tensor<1> {
        assert!((0.0..1.0).contains(&rates.beta1), "beta1 is in [0, 1), not {}", rates.beta1);
        let settings = &self.settings;
        let update = |(matrix, momentum): (&Matrix, &Tensor<2>)| {
            let gradient = matrix.of(&gradient);
            let momentum = towards(momentum.clone(), gradient.clone(), (1.0 - rates.beta1) as f32);
            let update = match settings.nesterov {
                true => towards(gradient, momentum.clone(), rates.beta1 as f32),
                false => momentum.clone(),
            };
            let kept = (1.0 - rates.learning_rate * settings.weight_decay) as f32;
            let step_size = (rates.learning_rate * scale(settings.scale, matrix)) as f32;
            let step = orthogonalized(update, settings.newton_schulz_steps).mul_scalar(step_size);
            (momentum, (matrix.of(&weights).mul_scalar(kept) - step).flatten(0, 1))
        };
        // On the CPU threads share the matrices; each is updated on its own, so their number cannot change a bit.
        let updated: Vec<(Tensor<2>, Tensor<1>)> = match is_host(&weights.device()) {
            true => self.parts.matrices.par_iter().zip(&self.momenta).map(update).collect(),
            false => self.parts.matrices.iter().zip(&self.momenta).map(update).collect(),
        };
        let (momenta, matrices): (Vec<_>, Vec<_>) = updated.into_iter().unzip();
        self.momenta = momenta;
        let rest = self.parts.gather(&weights).zip(self.parts.gather(&gradient));
        let rest =
            rest.map(|(weights, gradient)| self.adam.step(weights, gradient, others.learning_rate, others.beta1));
        self.parts.scatter(rest, matrices)
    }
}

/// The factor of the learning rate for a matrix of this shape.
fn scale(scale: MuonScale, &Matrix { rows, columns, .. }: &Matrix) -> f64 {
    let (rows, columns) = (rows as f64, columns as f64);
    match scale {
        MuonScale::Original => (rows / columns).max(1.0).sqrt(),
        MuonScale::MatchRmsAdamw => 0.2 * rows.max(columns).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::AdamwOptimizer;

    fn tensor(values: &[f32]) -> Tensor<1> {
        Tensor::from_data(values, &Device::flex())
    }

    fn values(tensor: Tensor<1>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    /// A vector of 2, a matrix of 2 x 3, a vector of 1, and a matrix of 3 x 1 at the end.
    fn matrices() -> Vec<Matrix> {
        vec![Matrix { start: 2, rows: 2, columns: 3 }, Matrix { start: 9, rows: 3, columns: 1 }]
    }

    fn muon(state: OptimizerState) -> Muon {
        Muon::from_state(&MuonOptimizer::default(), &matrices(), state, &Device::flex())
    }

    fn gradient(step: u32) -> Tensor<1> {
        let values: Vec<f32> = (0..12).map(|index| ((index + 13 * step) as f32 * 0.7).sin()).collect();
        tensor(&values)
    }

    const RATES: Rates = Rates { learning_rate: 0.02, beta1: 0.95, average_share: 1.0 };
    const OTHERS: Rates = Rates { learning_rate: 1e-3, beta1: 0.9, average_share: 1.0 };

    #[test]
    fn what_is_no_matrix_is_updated_by_adamw() {
        let mut muon = muon(OptimizerState::start(12));
        let mut adam = Adam::new(&AdamwOptimizer::default(), 3, &Device::flex());
        let start: Vec<f32> = (0..12).map(|index| index as f32 / 10.0).collect();
        let (mut all, mut rest) = (tensor(&start), tensor(&[start[0], start[1], start[8]]));
        for step in 0..5 {
            let g = values(gradient(step));
            all = muon.step(all, gradient(step), RATES, OTHERS);
            rest = adam.step(rest, tensor(&[g[0], g[1], g[8]]), OTHERS.learning_rate, OTHERS.beta1);
        }
        let all = values(all);
        assert_eq!([all[0], all[1], all[8]].to_vec(), values(rest));
        assert!(all.iter().zip(&start).all(|(after, before)| after != before), "every parameter moves");
    }

    /// A column has one singular value, so the update is the column's direction times the polynomial of 1.
    #[test]
    fn an_update_does_not_depend_on_the_size_of_the_gradient() {
        let step = |size: f32| {
            let gradient = tensor(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0 * size, 0.0, 4.0 * size]);
            values(muon(OptimizerState::start(12)).step(tensor(&[0.0; 12]), gradient, RATES, OTHERS))
        };
        let (small, large) = (step(1e-3), step(1e3));
        let ratio = |weights: &[f32]| weights[9] / weights[11];
        assert!((ratio(&small) - 0.75).abs() < 1e-5 && (ratio(&large) - 0.75).abs() < 1e-5);
        let length = |weights: &[f32]| weights[9].hypot(weights[11]);
        assert!((length(&small) / length(&large) - 1.0).abs() < 1e-5);
        // lr x sqrt(3 / 1) x a singular value of about 0.7 to 1.2.
        assert!((0.65..1.25).contains(&(length(&small) / (0.02 * 3f32.sqrt()))), "{}", length(&small));
        assert_eq!(small[2..8], [0.0; 6], "a matrix without gradient stays where it is");
    }

    #[test]
    fn a_state_taken_up_goes_on_bit_for_bit() {
        let mut straight = muon(OptimizerState::start(12));
        let mut weights = tensor(&[0.5; 12]);
        for step in 0..6 {
            let beta1 = 0.95 - 0.1 * f64::from(step);
            weights = straight.step(weights, gradient(step), Rates { beta1, ..RATES }, OTHERS);
        }
        let mut resumed = muon(straight.state());
        assert_eq!(resumed.state(), straight.state());
        let (mut first, mut second) = (weights.clone(), weights);
        for step in 6..10 {
            first = straight.step(first, gradient(step), RATES, OTHERS);
            second = resumed.step(second, gradient(step), RATES, OTHERS);
        }
        assert_eq!(straight.state(), resumed.state());
        assert_eq!(values(first), values(second));
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (rows, columns) = (96, 300);
        let matrices: Vec<Matrix> =
            (0..5).map(|index| Matrix { start: index * rows * columns, rows, columns }).collect();
        let count = 5 * rows * columns + 7;
        let flat = |salt: f32| {
            let values: Vec<f32> = (0..count).map(|index| ((index as f32 + salt) * 0.618_034).sin()).collect();
            tensor(&values)
        };
        let train = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let state = OptimizerState::start(count);
                let mut muon = Muon::from_state(&MuonOptimizer::default(), &matrices, state, &Device::flex());
                let mut weights = flat(0.5);
                for step in 0..3u8 {
                    weights = muon.step(weights, flat(f32::from(step)), RATES, OTHERS);
                }
                values(weights)
            })
        };
        assert!(train(1) == train(3));
    }

    #[test]
    fn without_matrices_it_is_adamw_and_without_others_it_is_muon_alone() {
        let device = Device::flex();
        let settings = MuonOptimizer::default();
        let mut none = Muon::from_state(&settings, &[], OptimizerState::start(2), &device);
        assert_eq!(values(none.step(tensor(&[1.0, 1.0]), tensor(&[1.0, -1.0]), RATES, OTHERS)).len(), 2);
        let all = [Matrix { start: 0, rows: 1, columns: 2 }];
        let mut all = Muon::from_state(&settings, &all, OptimizerState::start(2), &device);
        let weights = values(all.step(tensor(&[0.0, 0.0]), tensor(&[1.0, -1.0]), RATES, OTHERS));
        assert!(weights[0] < 0.0 && weights[0] == -weights[1]);
        assert_eq!(all.state().second_moment, [0.0, 0.0]);
    }
}
