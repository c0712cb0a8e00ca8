//! The learning rate and beta1 of one step.

use super::{lr_schedule, momentum};
use crate::spec::{Optimizer, RunSpec};

/// Learning rate and beta1 of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    pub learning_rate: f64,
    pub beta1: f64,
}

impl Rates {
    /// The rates of the update at `step`; for `muon` those of its matrices.
    pub fn at(spec: &RunSpec, step: u64) -> Self {
        Self::from(spec, step, spec.optimizer.learning_rate(), spec.optimizer.beta1())
    }

    /// The rates of the parameters that `muon` leaves to AdamW. The same as [`Rates::at`] for the other optimizers.
    pub fn of_others(spec: &RunSpec, step: u64) -> Self {
        match &spec.optimizer {
            Optimizer::Muon(muon) => Self::from(spec, step, muon.others.learning_rate, muon.others.beta1),
            Optimizer::Adam(_) | Optimizer::Adamw(_) => Self::at(spec, step),
        }
    }

    /// Both schedules start from the initial value of the parameters they are for.
    fn from(spec: &RunSpec, step: u64, learning_rate: f64, beta1: f64) -> Self {
        let moved = momentum::moved(spec, step, beta1);
        Self { learning_rate: lr_schedule::moved(spec, step, learning_rate, beta1, moved), beta1: moved }
    }
}

/// beta1 of the update at `step`: see [`crate::spec::MomentumSchedule`]. For `muon` that of its matrices.
pub fn beta1(spec: &RunSpec, step: u64) -> f64 {
    Rates::at(spec, step).beta1
}

/// The learning rate of the update at `step`: see [`crate::spec::LrSchedule`]. For `muon` that of its matrices.
pub fn learning_rate(spec: &RunSpec, step: u64) -> f64 {
    Rates::at(spec, step).learning_rate
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{
        AdamwOptimizer, DemonMomentum, LrSchedule, MomentumCompensatedLr, MomentumSchedule, MuonOptimizer,
    };

    #[test]
    fn each_group_of_muons_parameters_starts_from_its_own_values() {
        let others = AdamwOptimizer { learning_rate: 1e-3, beta1: 0.9, ..AdamwOptimizer::default() };
        let muon = MuonOptimizer { learning_rate: 0.02, beta1: 0.95, others, ..MuonOptimizer::default() };
        let spec = RunSpec {
            optimizer: Optimizer::Muon(muon),
            momentum: MomentumSchedule::Demon(DemonMomentum {}),
            lr_schedule: LrSchedule::MomentumCompensated(MomentumCompensatedLr {}),
            ..RunSpec::default()
        };
        for (tau, step) in [(0.0, 0), (0.5, 1000), (0.75, 1500)] {
            // With Demon, the compensation is a linear decay to a share of 1 - b0.
            for (rates, learning_rate, initial) in
                [(Rates::at(&spec, step), 0.02, 0.95), (Rates::of_others(&spec, step), 1e-3, 0.9)]
            {
                assert!((rates.learning_rate - learning_rate * (1.0 - initial * tau)).abs() < 1e-15);
                let beta1 = initial * (1.0 - tau) / ((1.0 - initial) + initial * (1.0 - tau));
                assert!((rates.beta1 - beta1).abs() < 1e-15);
            }
        }
    }
}
