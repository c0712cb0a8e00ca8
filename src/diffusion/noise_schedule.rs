//! The forward process q(x_t | x_0) = N(a_t x_0, s_t^2 I): on variance-preserving paths a_t^2 = abar_t and s_t^2 = 1 - abar_t (Ho et al. 2020,
//! arXiv 2006.11239, equation 4), on a straight one a_t = 1 - s_t.

use std::f64::consts::FRAC_PI_2;

use super::{NoiseLevel, Path};
use crate::spec::{CosineNoise, LinearNoise, NoiseSchedule, RectifiedFlow, ScaledLinearNoise, SigmoidNoise};

/// The forward process as a table of noise levels, one for each timestep.
#[derive(Clone, Debug)]
pub struct ForwardProcess {
    path: Path,
    levels: Vec<NoiseLevel>,
}

impl ForwardProcess {
    /// # Panics
    /// If the schedule has no timesteps or a beta outside (0, 1), which the plan's check refuses beforehand.
    pub fn new(noise_schedule: &NoiseSchedule) -> Self {
        match noise_schedule {
            NoiseSchedule::Linear(linear) => Self::of_betas(&linear_betas(linear)),
            NoiseSchedule::Cosine(cosine) => Self::of_betas(&cosine_betas(cosine)),
            NoiseSchedule::ScaledLinear(scaled_linear) => Self::of_betas(&scaled_linear_betas(scaled_linear)),
            NoiseSchedule::Sigmoid(sigmoid) => Self::of_betas(&sigmoid_betas(sigmoid)),
            NoiseSchedule::RectifiedFlow(flow) => Self::straight(flow),
        }
    }

    /// abar_t is the product of 1 - beta_s over s = 0..=t.
    fn of_betas(betas: &[f64]) -> Self {
        assert!(!betas.is_empty(), "a noise schedule has at least one timestep");
        let mut product = 1.0;
        let level = |(t, beta): (usize, &f64)| {
            assert!(*beta > 0.0 && *beta < 1.0, "beta at timestep {t} is {beta}, outside (0, 1)");
            product *= 1.0 - beta;
            NoiseLevel::of_alpha_bar(t as f64, product)
        };
        Self { path: Path::VariancePreserving, levels: betas.iter().enumerate().map(level).collect() }
    }

    /// s_t = (t + 1/2) / T: timestep t stands for the middle of its share of the line, whose ends, where there is no noise or no
    /// image, are left out.
    fn straight(flow: &RectifiedFlow) -> Self {
        assert!(flow.timesteps > 0, "a noise schedule has at least one timestep");
        let noise_scale = |t: usize| (t as f64 + 0.5) / flow.timesteps as f64;
        let levels = (0..flow.timesteps).map(|t| NoiseLevel::on_a_line(t as f64, noise_scale(t)));
        Self { path: Path::Straight, levels: levels.collect() }
    }

    /// Two variance-preserving processes and a straight one.
    #[cfg(test)]
    pub fn of_test() -> [Self; 3] {
        let schedules = [
            NoiseSchedule::default(),
            NoiseSchedule::Cosine(CosineNoise::default()),
            NoiseSchedule::RectifiedFlow(RectifiedFlow::default()),
        ];
        schedules.map(|noise_schedule| Self::new(&noise_schedule))
    }

    pub fn path(&self) -> Path {
        self.path
    }

    /// T, the number of timesteps.
    pub fn timesteps(&self) -> usize {
        self.levels.len()
    }

    /// The noise level at a timestep.
    pub fn level(&self, t: u32) -> NoiseLevel {
        self.levels[t as usize]
    }

    /// abar_t, in (0, 1) and falling with t: a_t^2 / (a_t^2 + s_t^2).
    pub fn alpha_bar(&self, t: u32) -> f64 {
        self.level(t).alpha_bar()
    }

    /// The signal-to-noise ratio a_t^2 / s_t^2.
    pub fn snr(&self, t: u32) -> f64 {
        self.level(t).snr()
    }

    /// The noise level s_t / a_t = snr^-1/2 of x_t / a_t: sigma of Karras et al. 2022 (arXiv 2206.00364).
    pub fn sigma(&self, t: u32) -> f64 {
        self.snr(t).sqrt().recip()
    }

    /// a_t, the factor of the image in x_t.
    pub fn signal_scale(&self, t: u32) -> f64 {
        self.level(t).signal_scale()
    }

    /// s_t, the factor of the noise in x_t.
    pub fn noise_scale(&self, t: u32) -> f64 {
        self.level(t).noise_scale()
    }

    /// x_t = a_t x_0 + s_t epsilon, each image at its own timestep.
    ///
    /// `images` and `noise` hold `timesteps.len()` images of one size.
    pub fn add_noise(&self, images: &[f32], noise: &[f32], timesteps: &[u32]) -> Vec<f32> {
        assert_eq!(images.len(), noise.len(), "as many noise values as pixels");
        if timesteps.is_empty() {
            assert!(images.is_empty(), "every image needs a timestep");
            return Vec::new();
        }
        let pixels_per_image = images.len() / timesteps.len();
        assert_eq!(pixels_per_image * timesteps.len(), images.len(), "as many images as timesteps");
        let mut noisy = Vec::with_capacity(images.len());
        for (index, &t) in timesteps.iter().enumerate() {
            let image = index * pixels_per_image..(index + 1) * pixels_per_image;
            let (signal_scale, noise_scale) = (self.signal_scale(t) as f32, self.noise_scale(t) as f32);
            let pixels = images[image.clone()].iter().zip(&noise[image]);
            noisy.extend(pixels.map(|(pixel, epsilon)| signal_scale * pixel + noise_scale * epsilon));
        }
        noisy
    }
}

/// Ho et al. 2020, section 4: betas on a line from `beta_start` to `beta_end`, both included.
fn linear_betas(linear: &LinearNoise) -> Vec<f64> {
    let intervals = linear.timesteps.saturating_sub(1).max(1) as f64;
    let slope = (linear.beta_end - linear.beta_start) / intervals;
    (0..linear.timesteps).map(|t| linear.beta_start + slope * t as f64).collect()
}

/// Nichol and Dhariwal 2021 (arXiv 2102.09672), equation 17: beta_t = 1 - abar(t+1) / abar(t), at most `beta_max`, with
/// abar(t) proportional to cos^2(pi/2 (t/T + s) / (1 + s)).
fn cosine_betas(cosine: &CosineNoise) -> Vec<f64> {
    let alpha_bar = |t: usize| {
        let angle = (t as f64 / cosine.timesteps as f64 + cosine.offset) / (1.0 + cosine.offset) * FRAC_PI_2;
        angle.cos().powi(2)
    };
    (0..cosine.timesteps).map(|t| (1.0 - alpha_bar(t + 1) / alpha_bar(t)).min(cosine.beta_max)).collect()
}

/// Stable Diffusion's code (Rombach et al. 2022, arXiv 2112.10752): the roots of the betas on a line from that of
/// `beta_start` to that of `beta_end`, both included.
fn scaled_linear_betas(scaled_linear: &ScaledLinearNoise) -> Vec<f64> {
    let (start, end) = (scaled_linear.beta_start.sqrt(), scaled_linear.beta_end.sqrt());
    let intervals = scaled_linear.timesteps.saturating_sub(1).max(1) as f64;
    (0..scaled_linear.timesteps).map(|t| (start + (end - start) / intervals * t as f64).powi(2)).collect()
}

/// Chen 2023 (arXiv 2301.10972, algorithm 1): abar(u) = (S(e) - S(s + u (e - s))) / (S(e) - S(s)) at u = (t + 1) / T, with
/// S(v) = 1 / (1 + exp(-v)), s = start / tau and e = end / tau; beta_t = 1 - abar(u of t) / abar(u of t - 1), at most
/// `beta_max`.
///
/// With S(b) - S(a) = sinh((b - a) / 2) / (2 cosh(a / 2) cosh(b / 2)) no digits cancel:
/// beta = sinh((b - a) / 2) cosh(e / 2) / (cosh(b / 2) sinh((e - a) / 2)) for the step from a to b.
fn sigmoid_betas(sigmoid: &SigmoidNoise) -> Vec<f64> {
    let (start, end) = (sigmoid.start / sigmoid.tau, sigmoid.end / sigmoid.tau);
    let half_step = (end - start) / sigmoid.timesteps as f64 / 2.0;
    let beta = |t: usize| {
        let half_from = start / 2.0 + half_step * t as f64;
        let rest = half_step * (sigmoid.timesteps - t) as f64;
        half_step.sinh() * (end / 2.0).cosh() / ((half_from + half_step).cosh() * rest.sinh())
    };
    (0..sigmoid.timesteps).map(|t| beta(t).min(sigmoid.beta_max)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_only_grows_and_its_measures_agree() {
        for noise_schedule in [
            NoiseSchedule::Linear(LinearNoise::default()),
            NoiseSchedule::Cosine(CosineNoise::default()),
            NoiseSchedule::ScaledLinear(ScaledLinearNoise::default()),
            NoiseSchedule::Sigmoid(SigmoidNoise::default()),
            // The edges of what the plan's check lets through.
            NoiseSchedule::Sigmoid(SigmoidNoise { start: -20.0, end: 20.0, ..SigmoidNoise::default() }),
            NoiseSchedule::Sigmoid(SigmoidNoise { start: 19.0, end: 20.0, ..SigmoidNoise::default() }),
            NoiseSchedule::Sigmoid(SigmoidNoise { tau: 1000.0, ..SigmoidNoise::default() }),
        ] {
            let process = ForwardProcess::new(&noise_schedule);
            assert_eq!(process.timesteps(), 1000);
            for t in 1..1000 {
                assert!(process.alpha_bar(t) < process.alpha_bar(t - 1) && process.alpha_bar(t) > 0.0);
                assert!((process.sigma(t).powi(-2) / process.snr(t) - 1.0).abs() < 1e-12);
                // To the last digit, so that what is divided by it stays as it was.
                assert_eq!(process.level(t).scale_variance(), 1.0, "t = {t}");
            }
        }
    }

    #[test]
    fn a_flow_is_a_line_from_image_to_noise() {
        let process = ForwardProcess::new(&NoiseSchedule::RectifiedFlow(RectifiedFlow { timesteps: 10 }));
        assert_eq!(process.timesteps(), 10);
        for t in 0..10 {
            let noise = (f64::from(t) + 0.5) / 10.0;
            assert!((process.noise_scale(t) - noise).abs() < 1e-15);
            assert!((process.signal_scale(t) - (1.0 - noise)).abs() < 1e-15);
            let snr = ((1.0 - noise) / noise).powi(2);
            assert!(
                (process.snr(t) / snr - 1.0).abs() < 1e-12 && (process.sigma(t).powi(-2) / snr - 1.0).abs() < 1e-12
            );
        }
        let noisy = process.add_noise(&[0.5, -1.0], &[2.0, 1.0], &[0, 9]);
        let expected = [0.95 * 0.5 + 0.05 * 2.0, -0.05 + 0.95];
        assert!(noisy.iter().zip(expected).all(|(value, expected): (&f32, f32)| (value - expected).abs() < 1e-6));
    }

    #[test]
    fn one_timestep_is_the_first_of_the_line() {
        let linear = LinearNoise { timesteps: 1, ..LinearNoise::default() };
        assert_eq!(ForwardProcess::new(&NoiseSchedule::Linear(linear)).alpha_bar(0), 1.0 - 1e-4);
    }

    #[test]
    fn each_image_is_noised_at_its_own_timestep() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        let noisy = process.add_noise(&[1.0, -1.0, 0.5, 0.0], &[0.25, 0.0, 2.0, 1.0], &[999, 0]);
        let expected = |image: f64, noise: f64, t: u32| {
            (process.alpha_bar(t).sqrt() * image + (1.0 - process.alpha_bar(t)).sqrt() * noise) as f32
        };
        for (value, expected) in noisy.iter().zip([
            expected(1.0, 0.25, 999),
            expected(-1.0, 0.0, 999),
            expected(0.5, 2.0, 0),
            expected(0.0, 1.0, 0),
        ]) {
            assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
        }
    }

    #[test]
    #[should_panic(expected = "outside (0, 1)")]
    fn a_beta_of_nan_is_refused() {
        ForwardProcess::new(&NoiseSchedule::Linear(LinearNoise { beta_end: f64::NAN, ..LinearNoise::default() }));
    }

    #[test]
    #[should_panic(expected = "as many images as timesteps")]
    fn images_without_a_timestep_are_refused() {
        ForwardProcess::new(&NoiseSchedule::default()).add_noise(&[0.0; 3], &[0.0; 3], &[1, 2]);
    }
}
