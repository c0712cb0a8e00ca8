//! The learning rate and beta1 of one step.

use super::{lr_schedule, momentum};
use crate::spec::{Optimizer, RunSpec};

/// Learning rate and beta1 of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    pub learning_rate: f64,
    pub beta1: f64,
    /// The share that the new z has in the average x of schedule-free AdamW. The other optimizers have no such average.
    pub average_share: f64,
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
            Optimizer::Adam(_) | Optimizer::Adamw(_) | Optimizer::Soap(_) | Optimizer::ScheduleFreeAdamw(_) => {
                Self::at(spec, step)
            }
        }
    }

    /// Both schedules start from the initial value of the parameters they are for.
    fn from(spec: &RunSpec, step: u64, learning_rate: f64, beta1: f64) -> Self {
        let moved = momentum::moved(spec, step, beta1);
        Self {
            learning_rate: lr_schedule::moved(spec, step, learning_rate, beta1, moved),
            beta1: moved,
            average_share: average_share(spec.train.warmup_steps, step),
        }
    }
}

/// The square of the learning rate of the update at `step` over the sum of the squares so far, for a constant learning rate
/// with a warm-up (`weight_lr_power` 2 and `r` 0 of the package `schedulefree`). With W steps of warm-up, the n-th of them has
/// n^2 over the sum of the first n squares, and later ones have 1 over (the sum of the warm-up's squares / W^2 + the steps since).
fn average_share(warmup_steps: u64, step: u64) -> f64 {
    let (n, warmup) = ((step + 1) as f64, warmup_steps as f64);
    if n <= warmup {
        return 6.0 * n / ((n + 1.0) * (2.0 * n + 1.0));
    }
    let squares_of_warmup =
        if warmup_steps == 0 { 0.0 } else { (warmup + 1.0) * (2.0 * warmup + 1.0) / (6.0 * warmup) };
    (squares_of_warmup + n - warmup).recip()
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
    fn the_share_of_the_newest_in_an_average_is_that_of_its_squared_learning_rate() {
        for warmup_steps in [0, 1, 2, 7, 100] {
            let mut spec = RunSpec::default();
            spec.train.warmup_steps = warmup_steps;
            let mut sum = 0.0;
            for step in 0..300 {
                let square = learning_rate(&spec, step).powi(2);
                sum += square;
                let found = Rates::at(&spec, step).average_share;
                assert!((found / (square / sum) - 1.0).abs() < 1e-12, "{warmup_steps}, step {step}: {found}");
            }
        }
        assert_eq!([0, 1, 2, 3].map(|step| average_share(0, step)), [1.0, 0.5, 1.0 / 3.0, 0.25]);
    }

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
