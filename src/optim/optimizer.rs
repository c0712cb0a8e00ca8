//! The update rule of a run.

use burn::tensor::{Device, Tensor};

use super::adam::{Adam, AdamSettings};
use super::host_memory::to_vec;
use super::matrices::Matrix;
use super::moments::StepScales;
use super::muon::Muon;
use super::rates::Rates;
use super::schedule_free::ScheduleFree;
use super::soap::Soap;
use crate::spec;

/// Adam, AdamW, Muon, SOAP or schedule-free AdamW on one flat tensor of all parameters.
pub enum Optimizer {
    Adam(Adam),
    Muon(Muon),
    Soap(Soap),
    ScheduleFree(ScheduleFree),
}

/// All that an update rule carries from step to step. A checkpoint keeps every bit of it.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerState {
    /// One value per parameter: the m of Adam and SOAP, Muon's momentum, schedule-free AdamW's z.
    pub first_moment: Vec<f32>,
    /// One value per parameter: Adam's v, SOAP's V, 0 for Muon's matrices, which have none.
    pub second_moment: Vec<f32>,
    /// The product of the beta1s that Adam used so far; 1 before the first step.
    pub beta1_product: f64,
    /// The same of beta2.
    pub beta2_product: f64,
    /// SOAP's factors and their eigenvectors, after its first gradient: the number of its updates, then of each matrix L, Q_L, R and
    /// Q_R. Else empty.
    pub factors: Vec<f32>,
}

impl OptimizerState {
    /// Before the first step of a run from `weights`.
    pub fn from(settings: &spec::Optimizer, weights: &Tensor<1>) -> Self {
        let zeros = Self::start(weights.dims()[0]);
        match settings {
            spec::Optimizer::ScheduleFreeAdamw(_) => Self { first_moment: to_vec(weights), ..zeros },
            spec::Optimizer::Adam(_)
            | spec::Optimizer::Adamw(_)
            | spec::Optimizer::Muon(_)
            | spec::Optimizer::Soap(_) => zeros,
        }
    }

    /// Before the first step of an optimizer whose moments are 0 then: any but schedule-free AdamW.
    pub fn start(parameter_count: usize) -> Self {
        Self {
            first_moment: vec![0.0; parameter_count],
            second_moment: vec![0.0; parameter_count],
            beta1_product: 1.0,
            beta2_product: 1.0,
            factors: vec![],
        }
    }
}

impl Optimizer {
    /// At the start, or where a checkpoint's state was taken, then bit for bit. `matrices` are the hidden layers' weights
    /// in the flat tensor, which only `muon` and `soap` ask for; `device` is that of the weights, without autodiff.
    pub fn new(settings: &spec::Optimizer, matrices: &[Matrix], state: OptimizerState, device: &Device) -> Self {
        match settings {
            spec::Optimizer::Adam(adam) => Self::Adam(Adam::from_state(adam, state, device)),
            spec::Optimizer::Adamw(adamw) => Self::Adam(Adam::from_state(adamw, state, device)),
            spec::Optimizer::Muon(muon) => Self::Muon(Muon::from_state(muon, matrices, state, device)),
            spec::Optimizer::Soap(soap) => Self::Soap(Soap::from_state(soap, matrices, state, device)),
            spec::Optimizer::ScheduleFreeAdamw(adamw) => {
                Self::ScheduleFree(ScheduleFree::from_state(adamw, state, device))
            }
        }
    }

    /// The same with learning rates of the parameters that `scales` multiply.
    ///
    /// # Panics
    /// If it is neither Adam nor AdamW.
    pub fn with_scales(self, scales: StepScales) -> Self {
        match self {
            Self::Adam(adam) => Self::Adam(adam.with_scales(scales)),
            Self::Muon(_) | Self::Soap(_) | Self::ScheduleFree(_) => panic!("learning rates are scaled for Adam alone"),
        }
    }

    /// The state that a checkpoint keeps.
    pub fn state(&self) -> OptimizerState {
        match self {
            Self::Adam(adam) => adam.state(),
            Self::Muon(muon) => muon.state(),
            Self::Soap(soap) => soap.state(),
            Self::ScheduleFree(schedule_free) => schedule_free.state(),
        }
    }

    /// The weights after one update, by the gradient at [`Self::gradient_point`]. `weights` and `gradient` hold all parameters,
    /// without autodiff; `others` are the rates of the parameters that are none of Muon's matrices.
    pub fn step(&mut self, weights: Tensor<1>, gradient: Tensor<1>, rates: Rates, others: Rates) -> Tensor<1> {
        match self {
            Self::Adam(adam) => adam.step(weights, gradient, rates.learning_rate, rates.beta1),
            Self::Muon(muon) => muon.step(weights, gradient, rates, others),
            Self::Soap(soap) => soap.step(weights, gradient, rates),
            Self::ScheduleFree(schedule_free) => schedule_free.step(weights, gradient, rates),
        }
    }

    /// Where the next gradient is taken: at the weights, but for schedule-free AdamW, at y.
    pub fn gradient_point(&self, weights: &Tensor<1>) -> Tensor<1> {
        match self {
            Self::Adam(_) | Self::Muon(_) | Self::Soap(_) => weights.clone(),
            Self::ScheduleFree(schedule_free) => schedule_free.gradient_point(weights),
        }
    }
}

impl From<&spec::AdamOptimizer> for AdamSettings {
    fn from(adam: &spec::AdamOptimizer) -> Self {
        Self { beta2: adam.beta2, epsilon: adam.epsilon, weight_decay: 0.0 }
    }
}

impl From<&spec::AdamwOptimizer> for AdamSettings {
    fn from(adamw: &spec::AdamwOptimizer) -> Self {
        Self { beta2: adamw.beta2, epsilon: adamw.epsilon, weight_decay: adamw.weight_decay }
    }
}
