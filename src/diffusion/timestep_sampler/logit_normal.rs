//! The logit-normal distribution over t.

use statrs::function::erf::erfc;

use super::fixed::Fixed;
use crate::spec::LogitNormalTimesteps;

/// t = floor(T sigmoid(mean + deviation z)), z standard normal (Esser et al. 2024, arXiv 2403.03206, section 3.1). The paper's
/// t is that of a rectified flow; here it is t / T of the noise schedule.
pub fn logit_normal(logit_normal: &LogitNormalTimesteps, timesteps: usize) -> Fixed {
    let border = |index: usize| {
        let share = index as f64 / timesteps as f64;
        // -infinity at 0 and infinity at 1.
        ((share / (1.0 - share)).ln() - logit_normal.mean) / logit_normal.deviation
    };
    let weights: Vec<f64> = (0..timesteps).map(|t| normal_between(border(t), border(t + 1))).collect();
    Fixed::proportional_to(&weights)
}

/// P(low < z < high) of a standard normal, as exact in the upper tail as in the lower.
fn normal_between(low: f64, high: f64) -> f64 {
    let above = |z: f64| match z {
        f64::INFINITY => 0.0,
        f64::NEG_INFINITY => 1.0,
        z => 0.5 * erfc(z * std::f64::consts::FRAC_1_SQRT_2),
    };
    if low > 0.0 { above(low) - above(high) } else { above(-high) - above(-low) }
}

#[cfg(test)]
mod tests {
    use super::super::TimestepSampler as _;
    use super::*;

    fn probabilities(mean: f64, deviation: f64) -> Vec<f64> {
        logit_normal(&LogitNormalTimesteps { mean, deviation }, 1000).probabilities(0)
    }

    #[test]
    fn the_density_is_the_formula_and_symmetric_around_the_middle() {
        let standard = probabilities(0.0, 1.0);
        for t in 0..1000 {
            assert!((standard[t] - standard[999 - t]).abs() < 1e-15);
        }
        // pi(t) = exp(-(logit t)^2 / 2) / (sqrt(2 pi) t (1 - t)), nearly constant within a cell.
        for t in [20, 300, 500, 900] {
            let share = (t as f64 + 0.5) / 1000.0;
            let logit = (share / (1.0 - share)).ln();
            let density = (-0.5 * logit * logit).exp() / ((2.0 * std::f64::consts::PI).sqrt() * share * (1.0 - share));
            assert!((1000.0 * standard[t] / density - 1.0).abs() < 1e-3, "t = {t}");
        }
        let total: f64 = standard[..731].iter().sum();
        // sigmoid(1) = 0.73106 and Phi(1) = 0.84134: one deviation is 84 percent.
        assert!((total - 0.84134).abs() < 1e-3, "{total}");
    }

    #[test]
    fn a_positive_mean_favours_noise_and_extremes_keep_one_timestep() {
        assert!(probabilities(1.0, 1.0)[700] > probabilities(0.0, 1.0)[700]);
        assert!(probabilities(10.0, 0.001)[999] > 0.999);
        assert!(probabilities(-10.0, 0.001)[0] > 0.999);
    }
}
