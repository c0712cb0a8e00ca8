//! SOAP: Adam in the eigenbasis of Shampoo's factors.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;

use super::eigenbasis::{eigenvectors, refreshed};
use super::host_memory::{is_host, to_vec};
use super::matrices::{Matrix, Partition};
use super::moments::towards;
use super::optimizer::OptimizerState;
use super::rates::Rates;
use crate::spec::SoapOptimizer;

/// SOAP (Vyas et al. 2024, arXiv 2409.11321, algorithm 3, and the authors' code). Of a matrix W with the gradient G,
/// L <- beta2 L + (1 - beta2) G G^T, R <- beta2 R + (1 - beta2) G^T G, with eigenvectors Q_L and Q_R:
///
/// M <- beta1 M + (1 - beta1) G, V <- beta2 V + (1 - beta2) (Q_L^T G Q_R)^2,
/// W <- (1 - lr weight_decay) (W - lr sqrt(c2) / c1 Q_L ((Q_L^T M Q_R) / (sqrt(V) + epsilon)) Q_R^T).
///
/// L and R take G in after the update, so that no gradient chooses its own basis. Every `refresh_every` updates Q becomes the Q of
/// the QR decomposition of L Q, whose columns are ordered by what L has along them; V's rows and columns follow that order. The first
/// gradient updates nothing: it makes the first L, R and their eigenvectors.
///
/// A side of more than `largest_side` keeps the identity for Q. What is no matrix has no Q at all: its update is Adam's.
pub struct Soap {
    settings: SoapOptimizer,
    parts: Partition,
    /// One for each matrix, then one row of everything else, if there is anything.
    rotated: Vec<Rotated>,
    /// Updates so far; none before the second gradient.
    updates: Option<u32>,
    beta1_product: f64,
    beta2_product: f64,
}

/// The state of a matrix.
#[derive(Clone)]
struct Rotated {
    /// M, `[rows, columns]`.
    first: Tensor<2>,
    /// V, in the eigenbasis.
    second: Tensor<2>,
    left: Option<Side>,
    right: Option<Side>,
}

/// A factor and its eigenvectors, `[side, side]` both; a column for each vector.
#[derive(Clone)]
struct Side {
    factor: Tensor<2>,
    vectors: Tensor<2>,
}

/// What all matrices have in common in an update.
#[derive(Clone, Copy)]
struct Factors {
    one_minus_beta1: f32,
    one_minus_beta2: f32,
    /// lr sqrt(c2) / c1.
    step_size: f32,
    epsilon: f32,
    /// 1 - lr weight_decay.
    kept: f32,
    refreshes: bool,
}

impl Soap {
    /// Goes on from `state`, bit for bit.
    ///
    /// # Panics
    /// If `matrices` overlap, are not in order, or lie beyond the parameters of `state`, or if its factors are those of others.
    pub fn from_state(settings: &SoapOptimizer, matrices: &[Matrix], state: OptimizerState, device: &Device) -> Self {
        let OptimizerState { first_moment, second_moment, beta1_product, beta2_product, factors } = state;
        let parts = Partition::new(matrices, first_moment.len());
        let (updates, mut factors) = match factors.split_first() {
            Some((updates, factors)) => (Some(*updates as u32), factors),
            None => (None, &[][..]),
        };
        let mut side = |length: usize| {
            if updates.is_none() || length > settings.largest_side {
                return None;
            }
            let mut matrix = || {
                let (values, after) = factors.split_at(length * length);
                factors = after;
                Tensor::from_data(TensorData::new(values.to_vec(), [length, length]), device)
            };
            Some(Side { factor: matrix(), vectors: matrix() })
        };
        let tensor = |values: &[f32], shape| Tensor::from_data(TensorData::new(values.to_vec(), shape), device);
        let mut rotated: Vec<Rotated> = Vec::with_capacity(matrices.len() + 1);
        for matrix in matrices {
            let (shape, range) = ([matrix.rows, matrix.columns], matrix.range());
            rotated.push(Rotated {
                first: tensor(&first_moment[range.clone()], shape),
                second: tensor(&second_moment[range], shape),
                left: side(matrix.rows),
                right: side(matrix.columns),
            });
        }
        assert!(factors.is_empty(), "factors of these matrices");
        let rest = parts.rest_len();
        if rest > 0 {
            let row = |values: &[f32]| tensor(&parts.rest_of(values), [1, rest]);
            rotated.push(Rotated { first: row(&first_moment), second: row(&second_moment), left: None, right: None });
        }
        Self { settings: settings.clone(), parts, rotated, updates, beta1_product, beta2_product }
    }

    /// The state that a checkpoint keeps. Its factors are the number of updates, which f32 holds up to 2^24, and of each matrix in order
    /// L, Q_L, R and Q_R, as far as it has them.
    pub fn state(&self) -> OptimizerState {
        let moment = |of: &dyn Fn(&Rotated) -> Tensor<2>| {
            let values: Vec<Vec<f32>> = self.rotated.iter().map(|rotated| to_vec(&of(rotated).flatten(0, 1))).collect();
            let (matrices, rest) = values.split_at(self.parts.matrices.len());
            self.parts.joined(rest.first().map_or(&[], Vec::as_slice), matrices.iter().map(Vec::as_slice))
        };
        let mut factors = Vec::new();
        if let Some(updates) = self.updates {
            factors.push(updates as f32);
            for side in self.rotated.iter().flat_map(|rotated| [&rotated.left, &rotated.right]).flatten() {
                for matrix in [&side.factor, &side.vectors] {
                    factors.extend(to_vec(&matrix.clone().flatten(0, 1)));
                }
            }
        }
        OptimizerState {
            first_moment: moment(&|rotated| rotated.first.clone()),
            second_moment: moment(&|rotated| rotated.second.clone()),
            beta1_product: self.beta1_product,
            beta2_product: self.beta2_product,
            factors,
        }
    }

    /// The weights after one update.
    pub fn step(&mut self, weights: Tensor<1>, gradient: Tensor<1>, rates: Rates) -> Tensor<1> {
        assert!((0.0..1.0).contains(&rates.beta1), "beta1 is in [0, 1), not {}", rates.beta1);
        let SoapOptimizer { beta2, epsilon, weight_decay, refresh_every, .. } = self.settings;
        let gradients = self.matrices_of(&gradient);
        let Some(updates) = &mut self.updates else {
            self.updates = Some(0);
            let (largest, share) = (self.settings.largest_side, (1.0 - beta2) as f32);
            let of_matrices = self.rotated.iter_mut().zip(gradients).take(self.parts.matrices.len());
            of_matrices.for_each(|(rotated, gradient)| rotated.begin(gradient, largest, share));
            return weights;
        };
        *updates += 1;
        self.beta1_product *= rates.beta1;
        self.beta2_product *= beta2;
        let bias = (1.0 - self.beta2_product).sqrt() / (1.0 - self.beta1_product);
        let factors = Factors {
            one_minus_beta1: (1.0 - rates.beta1) as f32,
            one_minus_beta2: (1.0 - beta2) as f32,
            step_size: (rates.learning_rate * bias) as f32,
            epsilon: epsilon as f32,
            kept: (1.0 - rates.learning_rate * weight_decay) as f32,
            refreshes: u64::from(*updates).is_multiple_of(refresh_every),
        };
        let before = self.matrices_of(&weights);
        let update = |((rotated, weights), gradient): ((&mut Rotated, Tensor<2>), Tensor<2>)| {
            rotated.update(weights, gradient, factors).flatten(0, 1)
        };
        // On the CPU threads share the matrices; each is updated on its own, so their number cannot change a bit.
        let mut updated: Vec<Tensor<1>> = match is_host(&weights.device()) {
            true => self.rotated.par_iter_mut().zip(before).zip(gradients).map(update).collect(),
            false => self.rotated.iter_mut().zip(before).zip(gradients).map(update).collect(),
        };
        let rest = (updated.len() > self.parts.matrices.len()).then(|| updated.pop()).flatten();
        self.parts.scatter(rest, updated)
    }

    /// Each matrix of a flat tensor, then one row of everything else.
    fn matrices_of(&self, flat: &Tensor<1>) -> Vec<Tensor<2>> {
        let rest = self.parts.gather(flat).map(|rest| rest.unsqueeze::<2>());
        self.parts.matrices.iter().map(|matrix| matrix.of(flat)).chain(rest).collect()
    }
}

impl Rotated {
    /// Takes the first gradient in.
    fn begin(&mut self, gradient: Tensor<2>, largest_side: usize, share: f32) {
        let [rows, columns] = gradient.dims();
        let side = |of: Tensor<2>| {
            let factor = of.mul_scalar(share);
            let vectors = eigenvectors(&factor);
            Side { factor, vectors }
        };
        self.left = (rows <= largest_side).then(|| side(gradient.clone().matmul(gradient.clone().transpose())));
        self.right = (columns <= largest_side).then(|| side(gradient.clone().transpose().matmul(gradient)));
    }

    fn update(&mut self, weights: Tensor<2>, gradient: Tensor<2>, factors: Factors) -> Tensor<2> {
        self.first = towards(self.first.clone(), gradient.clone(), factors.one_minus_beta1);
        let projected = self.project(gradient.clone());
        self.second = towards(self.second.clone(), projected.square(), factors.one_minus_beta2);
        let root = self.second.clone().sqrt().add_scalar(factors.epsilon);
        let step = self.project_back(self.project(self.first.clone()).div(root)).mul_scalar(factors.step_size);
        let weights = (weights - step).mul_scalar(factors.kept);
        for (dimension, side) in [&mut self.left, &mut self.right].into_iter().enumerate() {
            let Some(side) = side else { continue };
            let product = match dimension {
                0 => gradient.clone().matmul(gradient.clone().transpose()),
                _ => gradient.clone().transpose().matmul(gradient.clone()),
            };
            side.factor = towards(side.factor.clone(), product, factors.one_minus_beta2);
            if factors.refreshes {
                let (vectors, order) = refreshed(&side.factor, &side.vectors);
                side.vectors = vectors;
                let count = order.len();
                let order = Tensor::<1, Int>::from_data(TensorData::new(order, [count]), &self.second.device());
                self.second = self.second.clone().select(dimension, order);
            }
        }
        weights
    }

    /// Q_L^T X Q_R.
    fn project(&self, x: Tensor<2>) -> Tensor<2> {
        let x = match &self.left {
            Some(side) => side.vectors.clone().transpose().matmul(x),
            None => x,
        };
        match &self.right {
            Some(side) => x.matmul(side.vectors.clone()),
            None => x,
        }
    }

    /// Q_L X Q_R^T.
    fn project_back(&self, x: Tensor<2>) -> Tensor<2> {
        let x = match &self.left {
            Some(side) => side.vectors.clone().matmul(x),
            None => x,
        };
        match &self.right {
            Some(side) => x.matmul(side.vectors.clone().transpose()),
            None => x,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32]) -> Tensor<1> {
        Tensor::from_data(values, &Device::flex())
    }

    fn values(tensor: Tensor<1>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    /// A vector of 2, a matrix of 2 x 3, a vector of 1, and a matrix of 3 x 1 at the end.
    fn soap(state: OptimizerState) -> Soap {
        let matrices = [Matrix { start: 2, rows: 2, columns: 3 }, Matrix { start: 9, rows: 3, columns: 1 }];
        let settings = SoapOptimizer { refresh_every: 3, largest_side: 2, ..SoapOptimizer::default() };
        Soap::from_state(&settings, &matrices, state, &Device::flex())
    }

    fn gradient(step: u32) -> Tensor<1> {
        let values: Vec<f32> = (0..12).map(|index| ((index * index + 13 * step) as f32 * 0.7).sin()).collect();
        tensor(&values)
    }

    const RATES: Rates = Rates { learning_rate: 0.01, beta1: 0.9, average_share: 1.0 };

    #[test]
    fn a_run_goes_on_from_any_of_its_states_bit_for_bit() {
        let mut whole = soap(OptimizerState::start(12));
        let mut weights = tensor(&[0.5; 12]);
        let mut states = vec![(whole.state(), weights.clone())];
        for step in 0..8 {
            weights = whole.step(weights, gradient(step), RATES);
            states.push((whole.state(), weights.clone()));
        }
        let expected = (whole.state(), values(weights));
        for (step, (state, weights)) in states.into_iter().enumerate() {
            let mut part = soap(state);
            let mut weights = weights;
            for step in step as u32..8 {
                weights = part.step(weights, gradient(step), RATES);
            }
            assert_eq!((part.state(), values(weights)), expected, "from step {step}");
        }
        // The left factor of the first matrix and the right one of the second: the other sides are too large.
        assert_eq!(expected.0.factors.len(), 1 + 2 * 4 + 2);
        assert_eq!(expected.0.factors[0], 7.0);
    }

    #[test]
    fn the_first_gradient_moves_nothing_and_the_second_moves_everything() {
        let mut soap = soap(OptimizerState::start(12));
        let start = tensor(&[0.5; 12]);
        let first = soap.step(start.clone(), gradient(0), RATES);
        assert_eq!(values(first.clone()), [0.5; 12]);
        let second = values(soap.step(first, gradient(1), RATES));
        assert!(second.iter().all(|weight| *weight != 0.5), "{second:?}");
    }

    /// Without bases it is Adam, whose moments begin at the second gradient.
    #[test]
    fn without_bases_it_is_adam() {
        let matrices = [Matrix { start: 2, rows: 2, columns: 3 }];
        let settings = SoapOptimizer { largest_side: 1, weight_decay: 0.0, ..SoapOptimizer::default() };
        let mut soap = Soap::from_state(&settings, &matrices, OptimizerState::start(9), &Device::flex());
        let adam = crate::spec::AdamOptimizer { beta2: settings.beta2, epsilon: 1e-30, ..Default::default() };
        let mut adam = super::super::Adam::new(&adam, 9, &Device::flex());
        let nine = |step| gradient(step).narrow(0, 0, 9);
        let mut by_adam = tensor(&[0.25; 9]);
        let mut by_soap = soap.step(by_adam.clone(), nine(7), RATES);
        for step in 0..5 {
            // Also where beta1 moves.
            let rates = Rates { beta1: 0.9 - 0.2 * f64::from(step), ..RATES };
            by_soap = soap.step(by_soap, nine(step), rates);
            by_adam = adam.step(by_adam, nine(step), rates.learning_rate, rates.beta1);
        }
        for (soap, adam) in values(by_soap).iter().zip(values(by_adam)) {
            assert!((soap - adam).abs() < 1e-6, "{soap} and {adam}");
        }
    }
}
