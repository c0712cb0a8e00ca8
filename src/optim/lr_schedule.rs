//! The learning rate over time.

use std::f64::consts::PI;

use super::planned_share;
use crate::spec::{DecayShape, LrSchedule, RunSpec, WsdLr};

/// The learning rate of the update at `step`, with tau = step / planned steps, from lr0 = `initial`; `initial_beta1` and
/// `beta1` are those of the same parameters, at the start and now.
///
/// `momentum_compensated` is MDLRC's lr0 (1 - b0) / (1 - beta1) (Xu, Mi, Wang and Chen 2024, arXiv 2404.07946): it undoes
/// what a smaller beta1 does to the size of the momentum term. With `demon` it equals lr0 (1 - b0 tau), a plain linear
/// decay, for which a fair study carries a control of constant beta1.
///
/// `wsd` and `inverse_sqrt` are those of the code of Hägele et al. 2024 (arXiv 2405.18392) and of EDM2 (Karras et al. 2024,
/// arXiv 2312.02696). EDM2 counts images; its ratio of images to a reference times the batch size is that of steps.
///
/// Warm-up multiplies the schedule by (step + 1) / warm-up steps up to 1, so that the first update is not lost.
pub fn moved(spec: &RunSpec, step: u64, initial: f64, initial_beta1: f64, beta1: f64) -> f64 {
    let tau = planned_share(spec, step);
    let share = match &spec.lr_schedule {
        LrSchedule::Constant(_) => 1.0,
        LrSchedule::Linear(linear) => 1.0 + (linear.end - 1.0) * tau,
        LrSchedule::Cosine(cosine) => cosine.end + (1.0 - cosine.end) * (1.0 + (PI * tau).cos()) / 2.0,
        LrSchedule::MomentumCompensated(_) => (1.0 - initial_beta1) / (1.0 - beta1),
        LrSchedule::Wsd(wsd) => decayed(wsd, tau),
        LrSchedule::InverseSqrt(inverse) => {
            (step as f64 / inverse.reference_steps.max(1) as f64).max(1.0).sqrt().recip()
        }
    };
    initial * share * warmup(spec, step)
}

/// The share of lr0 that warmup-stable-decay leaves at tau.
fn decayed(wsd: &WsdLr, tau: f64) -> f64 {
    let u = ((tau - (1.0 - wsd.decay)) / wsd.decay).clamp(0.0, 1.0);
    let falling = match wsd.shape {
        DecayShape::Linear => 1.0 - u,
        DecayShape::OneMinusSqrt => 1.0 - u.sqrt(),
    };
    wsd.end + (1.0 - wsd.end) * falling
}

fn warmup(spec: &RunSpec, step: u64) -> f64 {
    let warmup_steps = spec.train.warmup_steps;
    if step < warmup_steps { (step + 1) as f64 / warmup_steps as f64 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::learning_rate;
    use crate::spec::*;

    fn with(lr_schedule: LrSchedule) -> RunSpec {
        RunSpec { lr_schedule, ..RunSpec::default() }
    }

    #[test]
    fn every_schedule_starts_at_the_initial_rate_and_ends_where_it_says() {
        let last_tau = 1999.0 / 2000.0;
        let cosine_last = 0.2 + 0.8 * (1.0 + (PI * last_tau).cos()) / 2.0;
        for (lr_schedule, half_way, last) in [
            (LrSchedule::Constant(ConstantLr {}), 1.0, 1.0),
            (LrSchedule::Linear(LinearLr { end: 0.1 }), 0.55, 0.1 + 0.9 / 2000.0),
            (LrSchedule::Linear(LinearLr::default()), 0.5, 1.0 / 2000.0),
            (LrSchedule::Cosine(CosineLr { end: 0.2 }), 0.6, cosine_last),
            (LrSchedule::MomentumCompensated(MomentumCompensatedLr {}), 1.0, 1.0),
        ] {
            let spec = with(lr_schedule);
            for (step, share) in [(0, 1.0), (1000, half_way), (1999, last)] {
                let learning_rate = learning_rate(&spec, step);
                assert!(
                    (learning_rate - 1e-3 * share).abs() < 1e-15,
                    "{:?} at {step}: {learning_rate}",
                    spec.lr_schedule
                );
            }
        }
    }

    /// The control `same-lr` (linear, end 0.1) follows exactly the path of MDLRC with Demon and b0 = 0.9.
    #[test]
    fn mdlrc_with_demon_is_a_linear_decay_of_the_learning_rate() {
        let mdlrc = RunSpec {
            momentum: MomentumSchedule::Demon(DemonMomentum {}),
            ..with(LrSchedule::MomentumCompensated(MomentumCompensatedLr {}))
        };
        let same_lr = with(LrSchedule::Linear(LinearLr { end: 0.1 }));
        for step in 0..=2000 {
            let (mdlrc, same_lr) = (learning_rate(&mdlrc, step), learning_rate(&same_lr, step));
            let formula = 1e-3 * (1.0 - 0.9 * step as f64 / 2000.0);
            assert!((mdlrc / formula - 1.0).abs() < 1e-12, "step {step}: {mdlrc} is not {formula}");
            assert!((mdlrc / same_lr - 1.0).abs() < 1e-12, "step {step}: {mdlrc} is not {same_lr}");
        }
    }

    /// By hand: 1000 steps of which the last 200 decay to a tenth.
    #[test]
    fn wsd_is_constant_and_decays_over_the_last_share_in_either_shape() {
        for (shape, quarter, half, last) in [
            (DecayShape::Linear, 0.775, 0.55, 0.1045),
            (DecayShape::OneMinusSqrt, 0.55, 1.0 - 0.9 * 0.5f64.sqrt(), 1.0 - 0.9 * 0.995f64.sqrt()),
        ] {
            let mut spec = with(LrSchedule::Wsd(WsdLr { decay: 0.2, end: 0.1, shape }));
            spec.train = Train { steps: 1000, warmup_steps: 4, ..Train::default() };
            let cases = [(0, 0.25), (3, 1.0), (500, 1.0), (800, 1.0), (850, quarter), (900, half), (999, last)];
            for (step, share) in cases.into_iter().chain([(1000, 0.1), (2000, 0.1)]) {
                let learning_rate = learning_rate(&spec, step);
                assert!((learning_rate - 1e-3 * share).abs() < 1e-15, "{shape:?} at {step}: {learning_rate}");
            }
        }
        let whole = with(LrSchedule::Wsd(WsdLr { decay: 1.0, end: 0.25, ..WsdLr::default() }));
        let linear = with(LrSchedule::Linear(LinearLr { end: 0.25 }));
        for step in [0, 1, 777, 1999] {
            assert!((learning_rate(&whole, step) - learning_rate(&linear, step)).abs() < 1e-18, "step {step}");
        }
    }

    /// By hand, and EDM2's own numbers: 0.01 after 10 million images of warm-up, halved after 4 x 70,000 batches.
    #[test]
    fn inverse_sqrt_falls_after_its_reference_and_does_not_know_the_end() {
        let mut spec = with(LrSchedule::InverseSqrt(InverseSqrtLr { reference_steps: 100 }));
        for steps in [1000, 5000] {
            spec.train = Train { steps, warmup_steps: 10, ..Train::default() };
            for (step, share) in
                [(0, 0.1), (9, 1.0), (99, 1.0), (100, 1.0), (225, 1.0 / 1.5), (400, 0.5), (900, 1.0 / 3.0)]
            {
                let learning_rate = learning_rate(&spec, step);
                assert!((learning_rate - 1e-3 * share).abs() < 1e-15, "step {step}: {learning_rate}");
            }
        }
        let edm2 = with(LrSchedule::InverseSqrt(InverseSqrtLr::default()));
        assert_eq!([70_000, 280_000].map(|step| learning_rate(&edm2, step)), [1e-3, 5e-4]);
    }

    #[test]
    fn warmup_multiplies_the_schedule_and_loses_no_update() {
        let mut spec = with(LrSchedule::Linear(LinearLr { end: 0.0 }));
        spec.train = Train { steps: 100, warmup_steps: 10, ..Train::default() };
        for (step, expected) in [(0, 1e-4), (4, 0.96 * 5e-4), (9, 0.91 * 1e-3), (10, 0.9 * 1e-3)] {
            assert!((learning_rate(&spec, step) - expected).abs() < 1e-15, "step {step}");
        }
    }
}
