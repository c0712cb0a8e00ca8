//! The variance of a reverse step where the network predicts it.

use super::ForwardProcess;

/// The bounds between which a network with `learned_sigma` places the variance of p(x_{t-1} | x_t), and what the error of
/// epsilon makes of the error of its mean (Nichol and Dhariwal 2021, arXiv 2102.09672, section 3.1).
#[derive(Clone, Debug)]
pub struct LearnedVariance {
    /// log of beta~_t = beta_t (1 - abar_{t-1}) / (1 - abar_t), the variance of q(x_{t-1} | x_t, x_0). At t = 0, where that
    /// is zero, the one of t = 1, as in the authors' code.
    log_smallest: Vec<f64>,
    /// log of beta_t.
    log_largest: Vec<f64>,
    mean_error: Vec<f64>,
}

impl LearnedVariance {
    /// # Panics
    /// If there is a single timestep, which the plan's check refuses beforehand.
    pub fn new(process: &ForwardProcess) -> Self {
        let timesteps = process.timesteps() as u32;
        assert!(timesteps > 1, "the variance at t = 0 is that of t = 1");
        let before = |t: u32| if t == 0 { 1.0 } else { process.alpha_bar(t - 1) };
        let alpha = |t| process.alpha_bar(t) / before(t);
        let beta = |t| 1.0 - alpha(t);
        let smallest = |t: u32| {
            let t = t.max(1);
            beta(t) * (1.0 - before(t)) / (1.0 - process.alpha_bar(t))
        };
        Self {
            log_smallest: (0..timesteps).map(|t| smallest(t).ln()).collect(),
            log_largest: (0..timesteps).map(|t| beta(t).ln()).collect(),
            mean_error: (0..timesteps).map(|t| beta(t).powi(2) / ((1.0 - process.alpha_bar(t)) * alpha(t))).collect(),
        }
    }

    /// The log variance that the network's `v` stands for: on the line from beta~_t (v = -1) to beta_t (v = 1) in logarithms,
    /// and beyond (equation 15, whose v in [0, 1] is (v + 1) / 2 of the authors' code, so that a fresh network is in the
    /// middle).
    pub fn log_variance(&self, t: u32, v: f64) -> f64 {
        self.log_smallest(t) + (v + 1.0) / 2.0 * self.log_range(t)
    }

    /// log beta~_t, the log variance of q(x_{t-1} | x_t, x_0).
    pub fn log_smallest(&self, t: u32) -> f64 {
        self.log_smallest[t as usize]
    }

    /// log (beta_t / beta~_t).
    pub fn log_range(&self, t: u32) -> f64 {
        self.log_largest[t as usize] - self.log_smallest[t as usize]
    }

    /// The squared error of the mean of x_{t-1}, if that of epsilon is 1: beta_t^2 / ((1 - abar_t) alpha_t) (Ho et al. 2020,
    /// arXiv 2006.11239, equation 12, without its 1 / (2 sigma^2)).
    pub fn mean_error(&self, t: u32) -> f64 {
        self.mean_error[t as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{CosineNoise, NoiseSchedule};

    #[test]
    fn bounds_meet_where_there_is_much_noise_and_hold_v_between_them() {
        for schedule in [NoiseSchedule::default(), NoiseSchedule::Cosine(CosineNoise::default())] {
            let variance = LearnedVariance::new(&ForwardProcess::new(&schedule));
            for t in 1..1000 {
                assert!(variance.log_range(t) > 0.0, "t = {t}");
                assert!((variance.log_variance(t, -1.0) - variance.log_smallest(t)).abs() < 1e-12);
                assert!((variance.log_variance(t, 1.0) - variance.log_largest[t as usize]).abs() < 1e-12);
            }
            assert!(variance.log_range(999) < 0.02 && variance.log_range(1) > 0.5);
            assert_eq!(variance.log_smallest(0), variance.log_smallest(1));
        }
    }
}
