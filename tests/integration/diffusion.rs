//! The forward process against 50-digit arithmetic, ODE samplers against diffusers.

use std::convert::Infallible;

use serde::Deserialize;
use speedlab::diffusion::{ForwardProcess, NoiseLevel, Path, generate, generation_levels};
use speedlab::spec::{NoiseSchedule, OdeSampler, Parameterization, decode_json};

#[derive(Deserialize)]
struct ScheduleGolden {
    noise_schedule: serde_json::Value,
    t: Vec<u32>,
    alpha_bar: Vec<f64>,
}

#[test]
fn alpha_bar_is_what_50_digit_arithmetic_says() {
    let cases: Vec<ScheduleGolden> =
        serde_json::from_str(include_str!("../golden/noise_schedules.json")).expect("the golden file is JSON");
    assert_eq!(cases.len(), 11);
    for case in cases {
        let noise_schedule: NoiseSchedule = decode_json(&case.noise_schedule).expect("its keys are the YAML's");
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
struct SamplersGolden {
    mean: Vec<f64>,
    deviation: Vec<f64>,
    noise: Vec<f32>,
    /// Noise of the first, second, .. step of the kinds that add some.
    fresh_noise: Vec<Vec<f32>>,
    cases: Vec<SamplerCase>,
}

#[derive(Deserialize)]
struct SamplerCase {
    noise_schedule: serde_json::Value,
    ode: serde_json::Value,
    parameterization: serde_json::Value,
    /// Where the network is asked, the first 20.
    t: Vec<f64>,
    nfe: usize,
    images: Vec<f64>,
    /// How near f32 networks come.
    tolerance: f64,
}

/// The network of scripts/golden/ode_samplers.py: the best epsilon for Gaussian pixels, wrong by 2 percent and 0.01, said in the words of the
/// parameterization; on a straight path the best velocity, as wrong.
fn network(
    golden: &SamplersGolden,
    parameterization: Parameterization,
    path: Path,
    level: &NoiseLevel,
    input: &[f32],
) -> Vec<f32> {
    let (signal, noise) = (level.signal_scale(), level.noise_scale());
    let pixels = input.iter().zip(golden.mean.iter().zip(&golden.deviation));
    let say = |(x_t, (mean, deviation)): (&f32, (&f64, &f64))| {
        let x_t = f64::from(*x_t);
        let variance = (signal * deviation).powi(2) + noise * noise;
        let best = noise * (x_t - signal * mean) / variance;
        let epsilon = 1.02 * best + 0.01;
        match (parameterization, path) {
            (Parameterization::Epsilon, _) => epsilon as f32,
            (Parameterization::V, Path::VariancePreserving) => (epsilon / signal - x_t * noise / signal) as f32,
            (Parameterization::V, Path::Straight) => {
                let image = (signal * deviation * deviation * x_t + noise * noise * mean) / variance;
                (1.02 * (best - image) + 0.01) as f32
            }
            other => panic!("no golden network of {other:?}"),
        }
    };
    pixels.map(say).collect()
}

#[test]
fn every_ode_sampler_generates_what_diffusers_generates() {
    let golden: SamplersGolden =
        serde_json::from_str(include_str!("../golden/ode_samplers.json")).expect("the golden file is JSON");
    let mut kinds: Vec<String> = Vec::new();
    for case in &golden.cases {
        let process = ForwardProcess::new(&decode_json(&case.noise_schedule).expect("its keys are the YAML's"));
        let ode: OdeSampler = decode_json(&case.ode).expect("its keys are the YAML's");
        let parameterization: Parameterization = decode_json(&case.parameterization).expect("a parameterization");
        kinds.push(ode.kind().to_owned());
        let levels = generation_levels(&ode, &process);
        assert_eq!((levels.len(), ode.nfe()), (ode.steps(), case.nfe));
        let mut asked = Vec::new();
        let mut predict = |noisy: &[f32], t: f64| -> Result<Vec<f32>, Infallible> {
            asked.push(t);
            let predicted = network(&golden, parameterization, process.path(), &NoiseLevel::at(&process, t), noisy);
            // Where the variance lies follows, for those who ask.
            Ok(predicted.into_iter().chain(noisy.iter().map(|x_t| 0.3 * x_t)).collect())
        };
        let mut fresh_noise = |step: usize| golden.fresh_noise[step].clone();
        let images = generate(&ode, &process, parameterization, golden.noise.clone(), &mut fresh_noise, &mut predict)
            .expect("the network cannot fail");
        assert_eq!(asked.len(), case.nfe);
        for (t, expected) in asked.iter().zip(&case.t) {
            assert!((t - expected).abs() < 1e-3, "{}: asked at {t}, not {expected}", case.ode);
        }
        for (pixel, expected) in images.iter().zip(&case.images) {
            let difference = (f64::from(*pixel) - expected).abs();
            assert!(
                difference < case.tolerance,
                "{} {} {}: {pixel} is not {expected} ({difference:e})",
                case.noise_schedule,
                case.ode,
                case.parameterization
            );
        }
    }
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, ["ddim", "ddpm", "dpm_solver_pp", "euler", "heun"]);
}
