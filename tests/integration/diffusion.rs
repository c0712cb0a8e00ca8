//! The forward process against 50-digit arithmetic, DDIM against diffusers.

use std::convert::Infallible;

use serde::Deserialize;
use speedlab::diffusion::{ForwardProcess, generate, generation_timesteps};
use speedlab::spec::{CosineNoise, Ddim, LinearNoise, NoiseSchedule, OdeSampler, Parameterization};

#[derive(Deserialize)]
struct ScheduleGolden {
    noise_schedule: NoiseScheduleGolden,
    t: Vec<u32>,
    alpha_bar: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum NoiseScheduleGolden {
    Linear { timesteps: usize, beta_start: f64, beta_end: f64 },
    Cosine { timesteps: usize, offset: f64, beta_max: f64 },
}

#[test]
fn alpha_bar_is_what_50_digit_arithmetic_says() {
    let cases: Vec<ScheduleGolden> =
        serde_json::from_str(include_str!("../golden/noise_schedules.json")).expect("the golden file is JSON");
    assert_eq!(cases.len(), 5);
    for case in cases {
        let noise_schedule = match case.noise_schedule {
            NoiseScheduleGolden::Linear { timesteps, beta_start, beta_end } => {
                NoiseSchedule::Linear(LinearNoise { timesteps, beta_start, beta_end })
            }
            NoiseScheduleGolden::Cosine { timesteps, offset, beta_max } => {
                NoiseSchedule::Cosine(CosineNoise { timesteps, offset, beta_max })
            }
        };
        let process = ForwardProcess::new(&noise_schedule);
        assert_eq!(process.timesteps(), noise_schedule.timesteps());
        for (&t, expected) in case.t.iter().zip(case.alpha_bar) {
            let alpha_bar = process.alpha_bar(t);
            // Relative: the last values are as small as 1e-9. The cosine near pi/2 costs three digits.
            assert!(
                (alpha_bar / expected - 1.0).abs() < 1e-11,
                "{noise_schedule:?} at {t}: {alpha_bar} not {expected}"
            );
        }
    }
}

#[derive(Deserialize)]
struct DdimGolden {
    mean: Vec<f64>,
    deviation: Vec<f64>,
    noise: Vec<f32>,
    cases: Vec<DdimCase>,
}

#[derive(Deserialize)]
struct DdimCase {
    noise_schedule: String,
    steps: usize,
    /// The first 20.
    timesteps: Vec<u32>,
    images: Vec<f64>,
}

/// The network of scripts/golden/ddim.py: the best epsilon for Gaussian pixels, wrong by 2 percent and 0.01.
fn network(golden: &DdimGolden, alpha_bar: f64, noisy: &[f32]) -> Vec<f32> {
    let pixels = noisy.iter().zip(golden.mean.iter().zip(&golden.deviation));
    let epsilon = |(x_t, (mean, deviation)): (&f32, (&f64, &f64))| {
        let variance = alpha_bar * deviation * deviation + 1.0 - alpha_bar;
        let best = (1.0 - alpha_bar).sqrt() * (f64::from(*x_t) - alpha_bar.sqrt() * mean) / variance;
        (1.02 * best + 0.01) as f32
    };
    pixels.map(epsilon).collect()
}

#[test]
fn ddim_generates_what_diffusers_generates() {
    let golden: DdimGolden =
        serde_json::from_str(include_str!("../golden/ddim.json")).expect("the golden file is JSON");
    assert_eq!(golden.cases.len(), 10);
    for case in &golden.cases {
        // f32 noise and predictions, whose rounding the clipped sampler multiplies by up to 1 / sqrt(abar) in the first step.
        let (noise_schedule, tolerance) = match case.noise_schedule.as_str() {
            "linear" => (NoiseSchedule::default(), 2e-5),
            "cosine" => (NoiseSchedule::Cosine(CosineNoise::default()), 1e-4),
            other => panic!("no noise schedule {other}"),
        };
        let process = ForwardProcess::new(&noise_schedule);
        let ode = OdeSampler::Ddim(Ddim { steps: case.steps });
        let timesteps = generation_timesteps(&ode, &process);
        assert_eq!(timesteps.len(), case.steps);
        assert_eq!(timesteps[..case.timesteps.len()], case.timesteps);
        let mut predict = |noisy: &[f32], t: u32| -> Result<Vec<f32>, Infallible> {
            Ok(network(&golden, process.alpha_bar(t), noisy))
        };
        let epsilon = Parameterization::Epsilon;
        let images =
            generate(&ode, &process, epsilon, golden.noise.clone(), &mut predict).expect("the network cannot fail");
        for (pixel, expected) in images.iter().zip(&case.images) {
            let difference = (f64::from(*pixel) - expected).abs();
            assert!(
                difference < tolerance,
                "{} in {} steps: {pixel} is not {expected} ({difference:e})",
                case.noise_schedule,
                case.steps
            );
        }
    }
}
