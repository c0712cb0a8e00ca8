//! The noise level of an image, at a timestep or between two timesteps.

use super::ForwardProcess;

/// A point of the forward process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseLevel {
    /// 0..=T - 1, what the network is told; between two timesteps it is no whole number.
    pub t: f64,
    /// abar, in (0, 1].
    pub alpha_bar: f64,
}

impl NoiseLevel {
    /// The level without noise: the image itself. The network is never evaluated there.
    pub const CLEAN: Self = Self { t: -1.0, alpha_bar: 1.0 };

    pub fn of_timestep(process: &ForwardProcess, t: u32) -> Self {
        Self { t: f64::from(t), alpha_bar: process.alpha_bar(t) }
    }

    /// The level of noise `sigma`, with its t between two timesteps, on a line in ln(sigma); beyond the schedule it is the
    /// first or the last timestep.
    pub fn of_sigma(process: &ForwardProcess, sigma: f64) -> Self {
        let timesteps = process.timesteps();
        let above = (0..timesteps as u32).collect::<Vec<_>>().partition_point(|&t| process.sigma(t) < sigma);
        let t = match above {
            0 => 0.0,
            above if above == timesteps => (timesteps - 1) as f64,
            above => {
                let (below, above) = (above as u32 - 1, above as u32);
                let (low, high) = (process.sigma(below).ln(), process.sigma(above).ln());
                f64::from(below) + (sigma.ln() - low) / (high - low)
            }
        };
        Self { t, alpha_bar: 1.0 / (1.0 + sigma * sigma) }
    }

    /// sqrt(abar), the factor of the image in x_t.
    pub fn signal_scale(&self) -> f64 {
        self.alpha_bar.sqrt()
    }

    /// sqrt(1 - abar), the factor of the noise in x_t.
    pub fn noise_scale(&self) -> f64 {
        (1.0 - self.alpha_bar).sqrt()
    }

    /// sqrt((1 - abar) / abar), the noise of x_t / sqrt(abar).
    pub fn sigma(&self) -> f64 {
        ((1.0 - self.alpha_bar) / self.alpha_bar).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::NoiseSchedule;

    #[test]
    fn a_level_is_found_again_by_its_sigma() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        for t in [0, 1, 250, 998, 999] {
            let level = NoiseLevel::of_timestep(&process, t);
            let found = NoiseLevel::of_sigma(&process, level.sigma());
            assert!((found.t - level.t).abs() < 1e-9, "{found:?} is not {level:?}");
            assert!((found.alpha_bar / level.alpha_bar - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn between_timesteps_t_is_on_a_line_in_the_logarithm_of_sigma() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        let sigma = (process.sigma(400).ln() * 0.25 + process.sigma(401).ln() * 0.75).exp();
        let level = NoiseLevel::of_sigma(&process, sigma);
        assert!((level.t - 400.75).abs() < 1e-9, "{level:?}");
        assert!((level.sigma() / sigma - 1.0).abs() < 1e-9);
        assert_eq!(NoiseLevel::of_sigma(&process, 1e9).t, 999.0);
        assert_eq!(NoiseLevel::of_sigma(&process, 1e-9).t, 0.0);
    }
}
