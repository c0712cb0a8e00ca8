//! lambda(t), the weight of each timestep in the loss. It changes the objective.

use super::ForwardProcess;
use super::parameterization::clean_error;
use crate::spec::{FdmWeighting, LossWeighting, Parameterization, SpeedWeighting};

/// The factor of the squared error of what is predicted, for each timestep 0..T, in the optimizer step after `step` others.
///
/// A weighting that is stated for the error of x_0 is brought to the other parameterizations by what their errors are to
/// each other, so that the objective stays the same: with one network output, the error of x_0 is 1 / SNR times that of
/// epsilon, 1 / (SNR + 1) times that of v and c_out^2 times that of `edm`'s network.
///
/// - `uniform`: 1 (Ho et al. 2020, arXiv 2006.11239, equation 14).
/// - `min_snr`: on x_0 min(SNR, gamma), hence min(SNR, gamma) / SNR on epsilon and min(SNR, gamma) / (SNR + 1) on v (Hang et
///   al. 2023, arXiv 2303.09556, section 3.4).
/// - `p2`: 1 / (k + SNR)^gamma on epsilon (Choi et al. 2022, arXiv 2204.00227).
/// - `edm`: on x_0 (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 (Karras et al. 2022, arXiv 2206.00364), which
///   is 1 on the network of `edm`'s parameterization.
/// - `fdm`: as `edm`, on x_0 no more than the cap of [`FdmWeighting`], which rises with `step`.
/// - `speed`: see [`SpeedWeighting`].
pub fn loss_weights(
    weighting: &LossWeighting,
    parameterization: Parameterization,
    process: &ForwardProcess,
    step: u64,
) -> Vec<f64> {
    let timesteps = 0..process.timesteps() as u32;
    match weighting {
        LossWeighting::Uniform(_) => vec![1.0; process.timesteps()],
        LossWeighting::MinSnr(min_snr) => {
            timesteps.map(|t| process.snr(t).min(min_snr.gamma) * clean_error(parameterization, process, t)).collect()
        }
        LossWeighting::P2(p2) => timesteps.map(|t| (p2.k + process.snr(t)).powf(-p2.gamma)).collect(),
        LossWeighting::Edm(edm) => {
            let on_clean = |t| edm_weight(process.sigma(t), edm.sigma_data);
            timesteps.map(|t| on_clean(t) * clean_error(parameterization, process, t)).collect()
        }
        LossWeighting::Fdm(fdm) => {
            let cap = cap(fdm, step);
            let on_clean = |t| edm_weight(process.sigma(t), fdm.sigma_data).min(cap);
            timesteps.map(|t| on_clean(t) * clean_error(parameterization, process, t)).collect()
        }
        LossWeighting::Speed(speed) => change_aware(speed, process),
    }
}

fn edm_weight(sigma: f64, sigma_data: f64) -> f64 {
    (sigma * sigma + sigma_data * sigma_data) / (sigma * sigma_data).powi(2)
}

fn cap(fdm: &FdmWeighting, step: u64) -> f64 {
    if step >= fdm.warm_up {
        return f64::INFINITY;
    }
    fdm.cap_start * (fdm.cap_end / fdm.cap_start).powf(step as f64 / fdm.warm_up as f64)
}

/// The change of 1 - abar_t is the mean of the differences to both neighbours (one neighbour at the ends), and its smallest
/// and largest value are those over all T: both are open. The authors' released code has P2 weights (k = gamma = 1) in the place
/// of this weighting.
fn change_aware(speed: &SpeedWeighting, process: &ForwardProcess) -> Vec<f64> {
    let last = process.timesteps() - 1;
    let change = |t: usize| {
        let (before, after) = (t.saturating_sub(1), (t + 1).min(last));
        (process.alpha_bar(before as u32) - process.alpha_bar(after as u32)) / (after - before).max(1) as f64
    };
    let changes: Vec<f64> = (0..=last).map(change).collect();
    let least = changes.iter().copied().fold(f64::INFINITY, f64::min);
    let range = changes.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least;
    let border = speed.tau * process.timesteps() as f64;
    let weight = |(t, change): (usize, &f64)| {
        if t as f64 >= border {
            return 1.0;
        }
        // A process that changes evenly changes least everywhere.
        let share = if range > 0.0 { (change - least) / range } else { 0.0 };
        (1.0 - speed.lambda) + (2.0 * speed.lambda - 1.0) * share
    };
    changes.iter().enumerate().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{CosineNoise, EdmParameterization, EdmWeighting, MinSnrWeighting, NoiseSchedule, P2Weighting};

    fn processes() -> [ForwardProcess; 2] {
        [NoiseSchedule::default(), NoiseSchedule::Cosine(CosineNoise::default())]
            .map(|noise_schedule| ForwardProcess::new(&noise_schedule))
    }

    use Parameterization::{Epsilon, V, X0};

    #[test]
    fn the_simple_loss_weighs_every_timestep_alike() {
        for parameterization in [Epsilon, V, X0] {
            let weights = loss_weights(&LossWeighting::default(), parameterization, &processes()[0], 0);
            assert_eq!(weights, vec![1.0; 1000]);
        }
    }

    #[test]
    fn min_snr_is_the_published_formula_of_each_parameterization() {
        let weighting = LossWeighting::MinSnr(MinSnrWeighting::default());
        for process in processes() {
            let weights = [Epsilon, V, X0].map(|predicted| loss_weights(&weighting, predicted, &process, 0));
            for t in 0..1000u32 {
                let snr = process.snr(t);
                let least = snr.min(5.0);
                for (weights, expected) in weights.iter().zip([least / snr, least / (snr + 1.0), least]) {
                    assert!((weights[t as usize] / expected - 1.0).abs() < 1e-12, "t = {t}");
                }
            }
            // Both ends by hand: only noise, and almost none.
            assert!((weights[0][999] - 1.0).abs() < 1e-12 && weights[0][0] < 6e-4 && weights[2][0] == 5.0);
        }
    }

    /// One wrong image, and what each parameterization makes of the same mistake.
    #[test]
    fn the_objective_is_the_same_whatever_is_predicted() {
        let min_snr = LossWeighting::MinSnr(MinSnrWeighting { gamma: 2.0 });
        let weightings = [min_snr.clone(), LossWeighting::Edm(EdmWeighting::default()), min_snr];
        for (process, weighting) in ForwardProcess::of_test().iter().zip(weightings) {
            let weights = [Epsilon, V, X0].map(|predicted| loss_weights(&weighting, predicted, process, 0));
            for t in [0u32, 10, 300, 700, 999] {
                let (signal, noise) = (process.signal_scale(t), process.noise_scale(t));
                let (clean, wrong, epsilon) = (0.3, 0.4, -1.2);
                let x_t = signal * clean + noise * epsilon;
                let wrong_epsilon = (x_t - signal * wrong) / noise;
                let (of_image, of_noise) = process.path().velocity(signal, noise);
                let error_v = of_noise * (wrong_epsilon - epsilon) + of_image * (wrong - clean);
                let errors = [wrong_epsilon - epsilon, error_v, wrong - clean];
                let objectives: Vec<f64> =
                    weights.iter().zip(errors).map(|(weights, error)| weights[t as usize] * error * error).collect();
                for objective in &objectives {
                    assert!((objective / objectives[2] - 1.0).abs() < 1e-7, "t = {t}: {objectives:?}");
                }
            }
        }
    }

    #[test]
    fn p2_and_edm_are_their_formulas() {
        let [process, _] = processes();
        let p2 = loss_weights(&LossWeighting::P2(P2Weighting { k: 2.0, gamma: 0.5 }), Epsilon, &process, 0);
        let edm = loss_weights(&LossWeighting::Edm(EdmWeighting { sigma_data: 0.5 }), X0, &process, 0);
        for t in 0..1000u32 {
            let (abar, sigma) = (process.alpha_bar(t), process.sigma(t));
            assert!((p2[t as usize] * (2.0 + abar / (1.0 - abar)).sqrt() - 1.0).abs() < 1e-12);
            // 1 / sigma_data^2 + 1 / sigma^2.
            assert!((edm[t as usize] / (4.0 + sigma.powi(-2)) - 1.0).abs() < 1e-12);
        }
        // With k = gamma = 1 the weight is 1 - abar.
        let p2 = loss_weights(&LossWeighting::P2(P2Weighting::default()), Epsilon, &process, 0);
        assert!((0..1000u32).all(|t| (p2[t as usize] - (1.0 - process.alpha_bar(t))).abs() < 1e-12));
    }

    /// By hand, for a sigma at which EDM's weight, 4 + 1 / sigma^2, is larger than the cap.
    #[test]
    fn fdm_caps_the_weights_of_edm_until_it_is_warm() {
        let [process, _] = processes();
        let fdm = LossWeighting::Fdm(FdmWeighting { warm_up: 100, ..FdmWeighting::default() });
        let edm = loss_weights(&LossWeighting::Edm(EdmWeighting::default()), X0, &process, 0);
        assert!(edm[0] > 5000.0 && edm[999] < 5.0);
        for (step, cap) in [(0, 5.0), (50, 50.0), (99, 5.0 * 100f64.powf(0.99)), (100, f64::INFINITY)] {
            let weights = loss_weights(&fdm, X0, &process, step);
            assert!(weights.iter().zip(&edm).all(|(weight, edm)| (weight / edm.min(cap) - 1.0).abs() < 1e-12));
        }
        assert_eq!(fdm.settles_at(), 100);
        let never = LossWeighting::Fdm(FdmWeighting { warm_up: 0, ..FdmWeighting::default() });
        assert_eq!(loss_weights(&never, X0, &process, 0), edm);
    }

    #[test]
    fn edm_weighs_its_own_network_evenly() {
        for process in processes() {
            let weighting = LossWeighting::Edm(EdmWeighting { sigma_data: 0.7 });
            let parameterization = Parameterization::Edm(EdmParameterization { sigma_data: 0.7 });
            let weights = loss_weights(&weighting, parameterization, &process, 0);
            assert!(weights.iter().all(|weight| (weight - 1.0).abs() < 1e-12));
        }
    }

    #[test]
    fn speed_weighs_fast_change_more_and_the_convergence_area_fully() {
        for process in processes() {
            let weights = loss_weights(&LossWeighting::Speed(SpeedWeighting::default()), Epsilon, &process, 0);
            assert!(weights[700..].iter().all(|&weight| weight == 1.0));
            let most = weights[..700].iter().copied().fold(0.0, f64::max);
            assert!((most - 0.6).abs() < 1e-12, "{most}");
            assert!(weights[..700].iter().all(|&weight| weight >= 0.4 - 1e-12));
            let steepest = weights[..700].iter().position(|&weight| weight == most).unwrap() as u32;
            let change = |t: u32| process.alpha_bar(t - 1) - process.alpha_bar(t + 1);
            assert!((1..999).all(|t| change(t) <= change(steepest)));
        }
    }
}
