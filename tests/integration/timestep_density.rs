//! What timestep samplers draw, a million times, against their formulas written out once more.

use std::f64::consts::PI;

use serde_json::{Value as Json, json};
use speedlab::diffusion::{TimestepSampler, timestep_sampler};
use speedlab::random::{Draws, Stream};
use speedlab::spec::{self, RunSpec, decode_json};
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

const TIMESTEPS: usize = 1000;
const STEPS: u64 = 2000;
const DRAWS: usize = 1_000_000;

/// A sampler at a step, and the weight of each timestep by its paper's formula, up to a constant.
struct Case {
    settings: Json,
    step: u64,
    weights: Vec<f64>,
    /// The losses, at each timestep, that an adaptive sampler has heard of.
    heard: Option<fn(usize) -> f32>,
}

impl Case {
    fn new(settings: Json, step: u64, weight: impl Fn(usize) -> f64) -> Self {
        Self { settings, step, weights: (0..TIMESTEPS).map(weight).collect(), heard: None }
    }
}

/// Every kind as the YAML knows it.
fn kinds() -> Vec<String> {
    let error =
        decode_json::<spec::TimestepSampler>(&json!({"kind": "no such kind"})).expect_err("there is no such kind");
    let hint = error.hint.expect("an unknown kind lists the known");
    hint.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn share(t: usize) -> f64 {
    t as f64 / TIMESTEPS as f64
}

/// ln(SNR) of DDPM's linear schedule, the betas multiplied up.
fn log_snr() -> Vec<f64> {
    let mut abar = 1.0;
    let beta = |t: usize| 1e-4 + (0.02 - 1e-4) * t as f64 / (TIMESTEPS - 1) as f64;
    let log_snr = |t: usize| {
        abar *= 1.0 - beta(t);
        (abar / (1.0 - abar)).ln()
    };
    (0..TIMESTEPS).map(log_snr).collect()
}

/// p(lambda) times how much of lambda a timestep covers.
fn in_log_snr(density: impl Fn(f64) -> f64) -> impl Fn(usize) -> f64 {
    let lambda = log_snr();
    move |t| {
        let covered = match t {
            0 => lambda[0] - lambda[1],
            t if t == TIMESTEPS - 1 => lambda[t - 1] - lambda[t],
            t => (lambda[t - 1] - lambda[t + 1]) / 2.0,
        };
        density(lambda[t]) * covered
    }
}

fn bump(value: f64, center: f64, width: f64) -> f64 {
    (-(value - center).powi(2) / (2.0 * width * width)).exp()
}

/// (1 - a) / T + a g, g with sum 1.
fn mixed(a: f64, favoured: impl Fn(usize) -> f64) -> impl Fn(usize) -> f64 {
    let total: f64 = (0..TIMESTEPS).map(&favoured).sum();
    move |t| (1.0 - a) / TIMESTEPS as f64 + a * favoured(t) / total
}

/// Cases of a kind; every kind must have some.
fn cases(kind: &str) -> Vec<Case> {
    let clts = |t: usize| bump(share(t), 0.3, 0.3);
    match kind {
        "uniform" => vec![Case::new(json!({"kind": kind}), 700, |_| 1.0)],
        "curriculum" => [(0, 0.0), (500, 0.5), (1000, 1.0), (1999, 1.0)]
            .map(|(step, a)| Case::new(json!({"kind": kind}), step, mixed(a, clts)))
            .into_iter()
            .chain([Case::new(json!({"kind": kind, "center": 0.9, "width": 0.05, "anneal": 0}), 0, |t| {
                bump(share(t), 0.9, 0.05)
            })])
            .collect(),
        "paced_curriculum" => {
            let a = (1.0 - (PI * 0.25).cos()) / 2.0;
            vec![
                Case::new(json!({"kind": kind}), 250, mixed(a, clts)),
                Case::new(json!({"kind": kind, "pacing": "step"}), 999, |_| 1.0),
                Case::new(json!({"kind": kind, "pacing": "step"}), 1000, clts),
            ]
        }
        "log_snr_curriculum" => {
            let lambda = log_snr();
            let settings = json!({"kind": kind, "center": -1, "width": 2});
            vec![Case::new(settings, 500, mixed(0.5, move |t| bump(lambda[t], -1.0, 2.0)))]
        }
        "curriculum_sampling" => vec![
            Case::new(json!({"kind": kind}), 999, |t| bump(share(t), 0.5, 0.2)),
            Case::new(json!({"kind": kind}), 1000, |_| 1.0),
        ],
        "logit_normal" => {
            let normal = Normal::new(-0.5, 1.2).expect("a normal distribution");
            let below = move |share: f64| if share >= 1.0 { 1.0 } else { normal.cdf((share / (1.0 - share)).ln()) };
            vec![Case::new(json!({"kind": kind, "mean": -0.5, "deviation": 1.2}), 3, move |t| {
                below(share(t + 1)) - if t == 0 { 0.0 } else { below(share(t)) }
            })]
        }
        // The density of 3 u / (1 + 2 u) in the middle of each timestep's share.
        "shifted" => vec![Case::new(json!({"kind": kind}), 3, |t| (3.0 - 2.0 * (share(t) + 0.0005)).powi(-2))],
        // 1 / |dt/du| at the u that leads to the middle, which Newton's method finds.
        "mode" => vec![Case::new(json!({"kind": kind}), 3, |t| {
            let slope = |u: f64| -1.0 - 1.29 * (1.0 - PI / 2.0 * (PI * u).sin());
            let middle = share(t) + 0.0005;
            let found = (0..60).fold(1.0 - middle, |u, _| {
                let t_of_u = 1.0 - u - 1.29 * ((PI / 2.0 * u).cos().powi(2) - 1.0 + u);
                u - (t_of_u - middle) / slope(u)
            });
            slope(found).abs().recip()
        })],
        "laplace" => vec![Case::new(
            json!({"kind": kind, "mean": 0.5, "scale": 0.8}),
            3,
            in_log_snr(|lambda| (-(lambda - 0.5).abs() / 0.8).exp()),
        )],
        // ln(sigma) is minus half of ln(SNR).
        "edm" => vec![Case::new(json!({"kind": kind}), 3, in_log_snr(|lambda| bump(-lambda / 2.0, -1.2, 1.2)))],
        "speed" => vec![Case::new(json!({"kind": kind}), 3, |t| if t < 700 { 5.0 } else { 1.0 })],
        "loss_second_moment" => {
            let loss = |t: usize| 0.1 + share(t) as f32;
            let mixed = mixed(1.0 - 0.001, move |t| f64::from(loss(t)));
            vec![Case { heard: Some(loss), ..Case::new(json!({"kind": kind}), 3, mixed) }]
        }
        // At first the noisiest of four clusters alone.
        "task_difficulty" => vec![Case::new(json!({"kind": kind, "clusters": 4, "clustering": "timestep"}), 0, |t| {
            if t >= 750 { 1.0 } else { 0.0 }
        })],
        other => panic!("`{other}` has no formula here: write one"),
    }
}

fn sampler_of(case: &Case) -> Box<dyn TimestepSampler + Send> {
    let spec: RunSpec = decode_json(&json!({"timestep_sampler": case.settings, "train": {"steps": STEPS}}))
        .unwrap_or_else(|error| panic!("{}: {error}", case.settings));
    let mut sampler = timestep_sampler(&spec);
    if let Some(loss) = case.heard {
        let timesteps: Vec<u32> = (0..TIMESTEPS as u32).collect();
        let losses: Vec<f32> = (0..TIMESTEPS).map(loss).collect();
        (0..10).for_each(|_| sampler.observe(&timesteps, &losses));
    }
    sampler
}

fn drawn(sampler: &dyn TimestepSampler, step: u64) -> Vec<f64> {
    let mut draws = Draws::new(21, Stream::Timesteps, step);
    let uniforms: Vec<f64> = (0..DRAWS).map(|_| draws.uniform()).collect();
    let mut counts = vec![0.0; TIMESTEPS];
    sampler.draw(&uniforms, step).iter().for_each(|drawn| counts[drawn.t as usize] += 1.0);
    counts
}

/// Pearson's statistic over its one-in-ten-thousand value; timesteps that expect fewer than 5 draws are one cell.
fn chi_square(counts: &[f64], weights: &[f64]) -> f64 {
    let total: f64 = weights.iter().sum();
    let (mut statistic, mut cells, mut rare) = (0.0, 0u32, (0.0, 0.0));
    for (count, weight) in counts.iter().zip(weights) {
        let expected = weight / total * DRAWS as f64;
        if expected < 5.0 {
            rare = (rare.0 + count, rare.1 + expected);
        } else {
            statistic += (count - expected).powi(2) / expected;
            cells += 1;
        }
    }
    if rare.1 >= 5.0 {
        statistic += (rare.0 - rare.1).powi(2) / rare.1;
        cells += 1;
    } else {
        // Fewer than 5 expected in all: 25 would be a wonder.
        assert!(rare.0 < 25.0, "{} draws where {} are expected", rare.0, rare.1);
    }
    let degrees = f64::from(cells - 1).max(1.0);
    statistic / ChiSquared::new(degrees).expect("degrees of freedom").inverse_cdf(1.0 - 1e-4)
}

#[test]
fn a_million_draws_of_every_sampler_follow_its_formula() {
    let kinds = kinds();
    assert!(kinds.len() >= 10, "{kinds:?}");
    for case in kinds.iter().flat_map(|kind| cases(kind)) {
        let sampler = sampler_of(&case);
        let ratio = chi_square(&drawn(&*sampler, case.step), &case.weights);
        assert!(ratio < 1.0, "{} at step {}: {ratio} times the critical value", case.settings, case.step);
    }
}

/// The test can fail: it tells the curriculum from one that is a hundredth of T away.
#[test]
fn a_million_draws_tell_near_formulas_apart() {
    let curriculum = &cases("curriculum")[2];
    let counts = drawn(&*sampler_of(curriculum), curriculum.step);
    let shifted: Vec<f64> = (0..TIMESTEPS).map(|t| bump(share(t), 0.31, 0.3)).collect();
    assert!(chi_square(&counts, &shifted) > 1.0);
}

/// How often the paper's curriculum trains on timesteps at the end, over uniformly: 0.97, 1.60, 1.28, 0.40, 0.11 for s = 0.3.
#[test]
fn the_curriculum_draws_as_often_as_its_table_says() {
    let curriculum = &cases("curriculum")[3];
    let sampler = sampler_of(curriculum);
    let (probabilities, counts) = (sampler.probabilities(curriculum.step), drawn(&*sampler, curriculum.step));
    for (t, expected) in [(0, 0.97), (300, 1.60), (500, 1.28), (800, 0.40), (999, 0.11)] {
        assert!((TIMESTEPS as f64 * probabilities[t] - expected).abs() < 0.005, "t = {t}");
        // Twenty-one neighbours: some 20,000 draws, known to a hundredth.
        let near = t.saturating_sub(10)..(t + 11).min(TIMESTEPS);
        let (count, cells): (f64, usize) = (counts[near.clone()].iter().sum(), near.len());
        let often = count / DRAWS as f64 * TIMESTEPS as f64 / cells as f64;
        assert!((often - expected).abs() < 0.05, "t = {t}: {often}");
    }
}
