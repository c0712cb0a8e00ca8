//! The noise level of an image, at a timestep or between two timesteps.

use super::{ForwardProcess, Path};

/// A point of the forward process, where x_t = a x_0 + s epsilon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseLevel {
    /// 0..=T - 1, what the network is told; between two timesteps it is no whole number.
    pub t: f64,
    /// a^2, in (0, 1].
    signal_variance: f64,
    /// s^2, in [0, 1).
    noise_variance: f64,
}

impl NoiseLevel {
    /// The level without noise: the image itself. The network is never evaluated there.
    pub const CLEAN: Self = Self { t: -1.0, signal_variance: 1.0, noise_variance: 0.0 };

    /// Of a variance-preserving path: a^2 = abar, s^2 = 1 - abar.
    pub(super) fn of_alpha_bar(t: f64, alpha_bar: f64) -> Self {
        Self { t, signal_variance: alpha_bar, noise_variance: 1.0 - alpha_bar }
    }

    /// Of the straight path: a = 1 - s.
    pub(super) fn on_a_line(t: f64, noise_scale: f64) -> Self {
        Self { t, signal_variance: (1.0 - noise_scale).powi(2), noise_variance: noise_scale.powi(2) }
    }

    /// The level of noise `sigma`, with its t between two timesteps: where it lies on a straight path, else on a line in ln(sigma). Beyond
    /// the schedule t is the first or the last timestep.
    pub fn of_sigma(process: &ForwardProcess, sigma: f64) -> Self {
        let timesteps = process.timesteps();
        if process.path() == Path::Straight {
            let noise_scale = sigma / (1.0 + sigma);
            let t = timesteps as f64 * noise_scale - 0.5;
            return Self::on_a_line(t.clamp(0.0, (timesteps - 1) as f64), noise_scale);
        }
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
        Self::of_alpha_bar(t, 1.0 / (1.0 + sigma * sigma))
    }

    /// The level at `t`, which may lie between two timesteps as that of [`of_sigma`](Self::of_sigma).
    ///
    /// # Panics
    /// If `t` is outside 0..=T - 1.
    pub fn at(process: &ForwardProcess, t: f64) -> Self {
        let timesteps = process.timesteps() as f64;
        let last = timesteps - 1.0;
        assert!((0.0..=last).contains(&t), "t is at least 0 and at most {last}, not {t}");
        let (below, share) = (t.floor() as u32, t.fract());
        if share == 0.0 {
            return process.level(below);
        }
        if process.path() == Path::Straight {
            return Self::on_a_line(t, (t + 0.5) / timesteps);
        }
        let (low, high) = (process.sigma(below).ln(), process.sigma(below + 1).ln());
        let sigma = (low + share * (high - low)).exp();
        Self::of_alpha_bar(t, 1.0 / (1.0 + sigma * sigma))
    }

    /// a, the factor of the image in x_t.
    pub fn signal_scale(&self) -> f64 {
        self.signal_variance.sqrt()
    }

    /// s, the factor of the noise in x_t.
    pub fn noise_scale(&self) -> f64 {
        self.noise_variance.sqrt()
    }

    /// s^2.
    pub fn noise_variance(&self) -> f64 {
        self.noise_variance
    }

    /// a^2 + s^2, the square of the factor between x_t and the variance-preserving image of the same SNR.
    pub fn scale_variance(&self) -> f64 {
        self.signal_variance + self.noise_variance
    }

    /// abar of the variance-preserving image of the same SNR: a^2 / (a^2 + s^2).
    pub fn alpha_bar(&self) -> f64 {
        self.signal_variance / self.scale_variance()
    }

    /// The signal-to-noise ratio a^2 / s^2.
    pub fn snr(&self) -> f64 {
        self.signal_variance / self.noise_variance
    }

    /// s / a = snr^-1/2, the noise of x_t / a: sigma of Karras et al. 2022 (arXiv 2206.00364).
    pub fn sigma(&self) -> f64 {
        (self.noise_variance / self.signal_variance).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{NoiseSchedule, RectifiedFlow};

    #[test]
    fn a_level_is_found_again_by_its_sigma_and_by_its_t() {
        for schedule in [NoiseSchedule::default(), NoiseSchedule::RectifiedFlow(RectifiedFlow::default())] {
            let process = ForwardProcess::new(&schedule);
            for t in [0, 1, 250, 998, 999] {
                let level = process.level(t);
                let found = NoiseLevel::of_sigma(&process, level.sigma());
                assert!((found.t - level.t).abs() < 1e-9, "{found:?} is not {level:?}");
                assert!((found.alpha_bar() / level.alpha_bar() - 1.0).abs() < 1e-9);
                assert!((found.signal_scale() / level.signal_scale() - 1.0).abs() < 1e-9);
                assert_eq!(NoiseLevel::at(&process, f64::from(t)), level);
            }
        }
    }

    #[test]
    #[should_panic(expected = "t is at least 0 and at most 999, not 999.5")]
    fn there_is_no_level_beyond_the_last_timestep() {
        NoiseLevel::at(&ForwardProcess::new(&NoiseSchedule::default()), 999.5);
    }

    #[test]
    fn between_timesteps_t_is_on_a_line_in_the_logarithm_of_sigma() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        let sigma = (process.sigma(400).ln() * 0.25 + process.sigma(401).ln() * 0.75).exp();
        let level = NoiseLevel::of_sigma(&process, sigma);
        assert!((level.t - 400.75).abs() < 1e-9, "{level:?}");
        assert!((level.sigma() / sigma - 1.0).abs() < 1e-9);
        let again = NoiseLevel::at(&process, level.t);
        assert!((again.sigma() / sigma - 1.0).abs() < 1e-9 && again.t == level.t, "{again:?}");
        assert_eq!(NoiseLevel::of_sigma(&process, 1e9).t, 999.0);
        assert_eq!(NoiseLevel::of_sigma(&process, 1e-9).t, 0.0);
    }
}
