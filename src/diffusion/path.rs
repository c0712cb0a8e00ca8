//! Paths from image to noise: how much of each there is at a noise level, and what is read off from that.

use super::NoiseLevel;

/// x = a x_0 + s epsilon, with a falling and s growing along the path.
///
/// Up to a factor every such path is a variance-preserving one: x / sqrt(a^2 + s^2) has the same SNR. What depends on the SNR alone asks no
/// path; here is what depends on more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// a^2 + s^2 = 1, with a^2 = abar (Ho et al. 2020, arXiv 2006.11239).
    VariancePreserving,
    /// a + s = 1: a straight line (Liu, Gong and Liu 2022, arXiv 2209.03003; Lipman et al. 2022, arXiv 2210.02747).
    Straight,
}

impl Path {
    /// The factors of image and noise in the velocity: dx/ds = epsilon - x_0 of a straight line; along the angle whose sine is s for
    /// the other path (Salimans and Ho 2022, arXiv 2202.00512, appendix D).
    pub fn velocity(self, signal_scale: f64, noise_scale: f64) -> (f64, f64) {
        match self {
            Self::VariancePreserving => (-noise_scale, signal_scale),
            Self::Straight => (-1.0, 1.0),
        }
    }

    /// x_0, if `velocity` is that of `x`.
    pub fn clean_from_velocity(self, x: f64, velocity: f64, signal_scale: f64, noise_scale: f64) -> f64 {
        match self {
            Self::VariancePreserving => signal_scale * x - noise_scale * velocity,
            Self::Straight => x - noise_scale * velocity,
        }
    }

    /// How large the squared error of x_0 is, if that of the velocity is 1.
    pub fn clean_error_of_velocity(self, level: &NoiseLevel) -> f64 {
        match self {
            Self::VariancePreserving => 1.0 / (level.snr() + 1.0),
            Self::Straight => level.noise_variance(),
        }
    }

    /// (c, u) in which the path's ODE reads d(x / c) / du = (x / c - x_0) / u: the variables of its solvers.
    ///
    /// - variance-preserving: c = a, u = sigma = s / a (Karras et al. 2022, arXiv 2206.00364, equation 1, with their s(t) = 1);
    /// - straight: c = 1, u = s, since the velocity epsilon - x_0 is (x - x_0) / s.
    pub fn ode_variables(self, level: &NoiseLevel) -> (f64, f64) {
        match self {
            Self::VariancePreserving => (level.signal_scale(), level.sigma()),
            Self::Straight => (1.0, level.noise_scale()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [Path; 2] = [Path::VariancePreserving, Path::Straight];

    fn level(path: Path, sigma: f64) -> NoiseLevel {
        match path {
            Path::VariancePreserving => NoiseLevel::of_alpha_bar(0.0, 1.0 / (1.0 + sigma * sigma)),
            Path::Straight => NoiseLevel::on_a_line(0.0, sigma / (1.0 + sigma)),
        }
    }

    #[test]
    fn the_velocity_is_the_derivative_along_the_path() {
        let (image, noise) = (0.75, -1.5);
        for sigma in [0.01, 0.3, 1.0, 40.0] {
            for path in PATHS {
                let level = level(path, sigma);
                let x = |a: f64, s: f64| a * image + s * noise;
                // The parameter of each path: its angle, and s.
                let at = |change: f64| match path {
                    Path::VariancePreserving => {
                        let angle = level.noise_scale().atan2(level.signal_scale()) + change;
                        x(angle.cos(), angle.sin())
                    }
                    Path::Straight => x(1.0 - level.noise_scale() - change, level.noise_scale() + change),
                };
                let derivative = (at(1e-5) - at(-1e-5)) / 2e-5;
                let (of_image, of_noise) = path.velocity(level.signal_scale(), level.noise_scale());
                let velocity = of_image * image + of_noise * noise;
                assert!((velocity - derivative).abs() < 1e-8, "{path:?}, {sigma}: {velocity} is not {derivative}");
                let clean = path.clean_from_velocity(at(0.0), velocity, level.signal_scale(), level.noise_scale());
                assert!((clean - image).abs() < 1e-12, "{path:?}, {sigma}: {clean}");
                let wrong =
                    path.clean_from_velocity(at(0.0), velocity + 0.1, level.signal_scale(), level.noise_scale());
                let error = (wrong - image).powi(2) / 0.01;
                assert!((path.clean_error_of_velocity(&level) / error - 1.0).abs() < 1e-9, "{path:?}, {sigma}");
            }
        }
    }

    #[test]
    fn the_solvers_variables_turn_the_path_of_one_image_into_a_line() {
        let (image, noise) = (0.75, -1.5);
        for path in PATHS {
            let slopes = [0.01, 0.3, 1.0, 40.0].map(|sigma| {
                let level = level(path, sigma);
                let (scale, time) = path.ode_variables(&level);
                let x = level.signal_scale() * image + level.noise_scale() * noise;
                (x / scale - image) / time
            });
            assert!(slopes.iter().all(|slope| (slope - slopes[0]).abs() < 1e-9), "{path:?}: {slopes:?}");
        }
    }
}
