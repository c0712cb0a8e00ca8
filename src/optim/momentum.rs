//! beta1 over time.

use super::planned_share;
use crate::spec::{MomentumSchedule, RunSpec};

/// beta1 of the update at `step`, with tau = step / planned steps and b0 = `initial`.
///
/// `demon`: b0 (1 - tau) / ((1 - b0) + b0 (1 - tau)) (Chen, Wolfe, Li and Kyrillidis 2019, arXiv 1910.04952).
/// The last of I steps has tau = 1 - 1/I and beta1 = b0 / (I (1 - b0) + b0): for b0 = 0.9 and I = 2000 it is 0.0045.
/// With a beta1 of 0 at any step, Adam's bias correction is 1 from then on, as it is a product of the betas.
pub fn moved(spec: &RunSpec, step: u64, initial: f64) -> f64 {
    let tau = planned_share(spec, step);
    match &spec.momentum {
        MomentumSchedule::Constant(_) => initial,
        MomentumSchedule::Demon(_) => initial * (1.0 - tau) / ((1.0 - initial) + initial * (1.0 - tau)),
        MomentumSchedule::Linear(linear) => initial + (linear.end - initial) * tau,
        MomentumSchedule::Exponential(exponential) => {
            (initial * exponential.decay.powf(step as f64)).max(exponential.floor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::beta1;
    use crate::spec::{ConstantMomentum, DemonMomentum, ExponentialMomentum, LinearMomentum};

    fn with(momentum: MomentumSchedule) -> RunSpec {
        RunSpec { momentum, ..RunSpec::default() }
    }

    #[test]
    fn every_schedule_starts_at_the_initial_beta1_and_ends_where_it_says() {
        let linear = LinearMomentum { end: 0.4 };
        let exponential = ExponentialMomentum { decay: 0.9995, floor: 0.4 };
        for (momentum, half_way, last) in [
            (MomentumSchedule::Constant(ConstantMomentum {}), 0.9, 0.9),
            (MomentumSchedule::Demon(DemonMomentum {}), 0.45 / 0.55, 0.9 / 200.9),
            (MomentumSchedule::Linear(linear), 0.65, 0.4 + 0.5 / 2000.0),
            (MomentumSchedule::Exponential(exponential), 0.9 * 0.9995f64.powi(1000), 0.4),
        ] {
            let spec = with(momentum);
            for (step, expected) in [(0, 0.9), (1000, half_way), (1999, last)] {
                let beta1 = beta1(&spec, step);
                assert!((beta1 - expected).abs() < 1e-12, "{:?} at {step}: {beta1}", spec.momentum);
            }
        }
    }

    #[test]
    fn after_the_planned_end_the_schedule_stands_still() {
        let spec = with(MomentumSchedule::Demon(DemonMomentum {}));
        assert_eq!((beta1(&spec, 2000), beta1(&spec, u64::MAX)), (0.0, 0.0));
    }

    #[test]
    fn the_exponential_floor_is_reached_once_and_kept() {
        let spec = with(MomentumSchedule::Exponential(ExponentialMomentum::default()));
        // 0.9 * 0.9995^1621 = 0.40006, and one factor more is below 0.4.
        assert!(beta1(&spec, 1621) > 0.4);
        assert!((1622..3000).all(|step| beta1(&spec, step) == 0.4));
    }
}
