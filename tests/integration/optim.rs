//! Adam, AdamW, Muon, SOAP and schedule-free AdamW against PyTorch, and with a moving beta1 against sums written out in numpy.

use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use speedlab::optim::{Adam, Matrix, Optimizer, OptimizerState, Rates, beta1, learning_rate};
use speedlab::spec::{
    self, AdamOptimizer, AdamwOptimizer, DemonMomentum, LrSchedule, MomentumCompensatedLr, MomentumSchedule,
    MuonOptimizer, MuonScale, RunSpec, ScheduleFreeAdamwOptimizer, SoapOptimizer,
};

#[derive(Deserialize)]
struct AdamGolden {
    gradients: Vec<Vec<f32>>,
    initial: Vec<f32>,
    /// Weights after each step.
    fixed: Vec<Vec<f64>>,
    moving: MovingGolden,
}

#[derive(Deserialize)]
struct MovingGolden {
    beta1: Vec<f64>,
    learning_rate: Vec<f64>,
    weights: Vec<Vec<f64>>,
}

fn golden() -> AdamGolden {
    serde_json::from_str(include_str!("../golden/adam.json")).expect("the golden file is JSON")
}

fn tensor(values: &[f32]) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &Device::flex())
}

/// Trains as `spec` says on the golden gradients and compares the weights after every step.
fn follow(spec: &RunSpec, golden: &AdamGolden, expected: &[Vec<f64>]) {
    let mut adam = Adam::new(&AdamOptimizer::default(), golden.initial.len(), &Device::flex());
    let mut weights = tensor(&golden.initial);
    assert_eq!(expected.len(), 50);
    for (step, (gradient, expected)) in golden.gradients.iter().zip(expected).enumerate() {
        let step = step as u64;
        weights = adam.step(weights, tensor(gradient), learning_rate(spec, step), beta1(spec, step));
        let values: Vec<f32> = weights.clone().into_data().try_into_vec().expect("weights are f32");
        for (index, (value, expected)) in values.iter().zip(expected).enumerate() {
            // The weights are f32 of size 0.1 and move by up to 0.001 per step.
            let difference = (f64::from(*value) - expected).abs();
            assert!(difference < 2e-7, "step {step}, parameter {index}: {value} is not {expected} ({difference:e})");
        }
    }
}

#[test]
fn adam_with_fixed_betas_is_torchs_adam() {
    let golden = golden();
    follow(&RunSpec::default(), &golden, &golden.fixed);
}

#[test]
fn adam_with_a_moving_beta1_is_the_sum_over_past_gradients() {
    let golden = golden();
    let mut spec = RunSpec {
        momentum: MomentumSchedule::Demon(DemonMomentum {}),
        lr_schedule: LrSchedule::MomentumCompensated(MomentumCompensatedLr {}),
        ..RunSpec::default()
    };
    spec.train.steps = 50;
    for step in 0..50 {
        assert!((beta1(&spec, step as u64) - golden.moving.beta1[step]).abs() < 1e-14);
        assert!((learning_rate(&spec, step as u64) - golden.moving.learning_rate[step]).abs() < 1e-16);
    }
    follow(&spec, &golden, &golden.moving.weights);
}

#[derive(Deserialize)]
struct OptimizersGolden {
    shapes: Vec<Vec<usize>>,
    gradients: Vec<Vec<f32>>,
    initial: Vec<f32>,
    adamw: Trajectories,
    muon: MuonTrajectories,
}

/// Weights after every fifth step.
#[derive(Deserialize)]
struct Trajectories {
    fixed: Vec<Vec<f64>>,
    moving: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct MuonTrajectories {
    fixed: Vec<Vec<f64>>,
    moving: Vec<Vec<f64>>,
    match_rms_adamw: Vec<Vec<f64>>,
    /// After the last step, with torch's Newton-Schulz iteration in bfloat16.
    bfloat16: Vec<f64>,
}

fn optimizers_golden() -> OptimizersGolden {
    serde_json::from_str(include_str!("../golden/optimizers.json")).expect("the golden file is JSON")
}

/// scripts/golden/optimizers.py has the same numbers.
fn adamw() -> AdamwOptimizer {
    AdamwOptimizer {
        learning_rate: 2e-3,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.3,
        mup: Default::default(),
    }
}

fn muon(scale: MuonScale) -> MuonOptimizer {
    let default = MuonOptimizer::default();
    MuonOptimizer { learning_rate: 0.02, beta1: 0.95, weight_decay: 0.2, scale, others: adamw(), ..default }
}

fn fixed(optimizer: spec::Optimizer) -> RunSpec {
    let mut spec = RunSpec { optimizer, ..RunSpec::default() };
    spec.train.steps = 20;
    spec
}

fn moving(optimizer: spec::Optimizer) -> RunSpec {
    RunSpec {
        momentum: MomentumSchedule::Demon(DemonMomentum {}),
        lr_schedule: LrSchedule::MomentumCompensated(MomentumCompensatedLr {}),
        ..fixed(optimizer)
    }
}

/// Trains as `spec` says on the golden gradients, from a checkpoint's state in the middle on; the weights after every fifth
/// step.
fn trajectory(spec: &RunSpec, golden: &OptimizersGolden) -> Vec<Vec<f32>> {
    let mut start = 0;
    let mut matrices = Vec::new();
    for shape in &golden.shapes {
        if let [rows, inputs @ ..] = shape.as_slice()
            && !inputs.is_empty()
        {
            matrices.push(Matrix { start, rows: *rows, columns: inputs.iter().product() });
        }
        start += shape.iter().product::<usize>();
    }
    assert_eq!((start, matrices.len()), (golden.initial.len(), 3));
    let device = Device::flex();
    let mut optimizer = Optimizer::new(&spec.optimizer, &matrices, OptimizerState::start(start), &device);
    let mut weights = tensor(&golden.initial);
    let mut trajectory = Vec::new();
    for (step, gradient) in golden.gradients.iter().enumerate() {
        let (rates, others) = (Rates::at(spec, step as u64), Rates::of_others(spec, step as u64));
        weights = optimizer.step(weights, tensor(gradient), rates, others);
        optimizer = Optimizer::new(&spec.optimizer, &matrices, optimizer.state(), &device);
        if step % 5 == 4 {
            trajectory.push(weights.clone().into_data().try_into_vec().expect("weights are f32"));
        }
    }
    trajectory
}

#[track_caller]
fn agree(found: &[Vec<f32>], expected: &[Vec<f64>], tolerance: f64) {
    assert_eq!((found.len(), expected.len()), (4, 4));
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        for (index, (value, expected)) in found.iter().zip(expected).enumerate() {
            let difference = (f64::from(*value) - expected).abs();
            assert!(difference < tolerance, "row {row}, {index}: {value} is not {expected} ({difference:e})");
        }
    }
}

#[test]
fn adamw_is_torchs_adamw_and_with_a_moving_beta1_the_sum_over_past_gradients() {
    let golden = optimizers_golden();
    let optimizer = spec::Optimizer::Adamw(adamw());
    // The weights are f32 of size 1.
    agree(&trajectory(&fixed(optimizer.clone()), &golden), &golden.adamw.fixed, 2e-6);
    agree(&trajectory(&moving(optimizer), &golden), &golden.adamw.moving, 2e-6);
}

#[test]
fn muon_is_torchs_muon_and_with_a_moving_beta1_the_polynomial_of_the_singular_values_of_the_sum() {
    let golden = optimizers_golden();
    let optimizer = spec::Optimizer::Muon(muon(MuonScale::Original));
    let found = trajectory(&fixed(optimizer.clone()), &golden);
    agree(&found, &golden.muon.fixed, 5e-6);
    agree(&trajectory(&moving(optimizer), &golden), &golden.muon.moving, 5e-6);
    let matched = fixed(spec::Optimizer::Muon(muon(MuonScale::MatchRmsAdamw)));
    agree(&trajectory(&matched, &golden), &golden.muon.match_rms_adamw, 5e-6);
    // torch itself iterates in bfloat16, whose eight bits show.
    for (value, rounded) in found[3].iter().zip(&golden.muon.bfloat16) {
        assert!((f64::from(*value) - rounded).abs() < 4e-3, "{value} is not near {rounded}");
    }
}

#[derive(Deserialize)]
struct ScheduleFreeGolden {
    curvature: Vec<f64>,
    target: Vec<f64>,
    initial: Vec<f32>,
    /// Of each step.
    noise: Vec<Vec<f64>>,
    cases: Vec<ScheduleFreeCase>,
}

#[derive(Deserialize)]
struct ScheduleFreeCase {
    learning_rate: f64,
    warmup_steps: u64,
    betas: [f64; 2],
    weight_decay: f64,
    /// After every fifth step.
    x: Vec<Vec<f64>>,
    y: Vec<Vec<f64>>,
}

/// tests/golden/schedule_free.json: the authors' package, in float64 (scripts/golden/schedule_free.py).
#[test]
fn schedule_free_adamw_is_that_of_its_authors_package_through_warm_up_decay_and_checkpoints() {
    let golden: ScheduleFreeGolden =
        serde_json::from_str(include_str!("../golden/schedule_free.json")).expect("the golden file is JSON");
    let device = Device::flex();
    for case in &golden.cases {
        let [beta1, beta2] = case.betas;
        let mut spec = RunSpec {
            optimizer: spec::Optimizer::ScheduleFreeAdamw(ScheduleFreeAdamwOptimizer {
                learning_rate: case.learning_rate,
                beta1,
                beta2,
                epsilon: 1e-8,
                weight_decay: case.weight_decay,
            }),
            ..RunSpec::default()
        };
        spec.train.warmup_steps = case.warmup_steps;
        let values = |weights: &Tensor<1>| weights.clone().into_data().try_into_vec::<f32>().expect("weights are f32");
        let mut x = tensor(&golden.initial);
        let start = OptimizerState::from(&spec.optimizer, &x);
        let mut optimizer = Optimizer::new(&spec.optimizer, &[], start, &device);
        for (step, noise) in golden.noise.iter().enumerate() {
            let y = values(&optimizer.gradient_point(&x));
            let gradient: Vec<f32> = (0..y.len())
                .map(|index| {
                    let distance = f64::from(y[index]) - golden.target[index];
                    (golden.curvature[index] * distance + noise[index]) as f32
                })
                .collect();
            let rates = Rates::at(&spec, step as u64);
            x = optimizer.step(x, tensor(&gradient), rates, rates);
            optimizer = Optimizer::new(&spec.optimizer, &[], optimizer.state(), &device);
            if step % 5 != 4 {
                continue;
            }
            let found = [values(&x), values(&optimizer.gradient_point(&x))];
            for (found, expected) in found.iter().zip([&case.x[step / 5], &case.y[step / 5]]) {
                for (index, (value, expected)) in found.iter().zip(expected).enumerate() {
                    // The weights are f32 of size 1.
                    let difference = (f64::from(*value) - expected).abs();
                    assert!(difference < 2e-6, "step {step}, {index}: {value} is not {expected} ({difference:e})");
                }
            }
        }
        assert_eq!(golden.noise.len() / 5, case.x.len());
    }
}

#[derive(Deserialize)]
struct SoapGolden {
    initial: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    both: Vec<Vec<f64>>,
    short: Vec<Vec<f64>>,
}

/// tests/golden/soap.json: the package `pytorch_optimizer`, in float64 (scripts/golden/soap.py).
#[test]
fn soap_is_that_of_a_package_with_bases_on_all_sides_and_on_the_short_ones() {
    let golden: SoapGolden =
        serde_json::from_str(include_str!("../golden/soap.json")).expect("the golden file is JSON");
    let device = Device::flex();
    let matrices = [(2, 2, 3), (8, 3, 4), (20, 4, 3)].map(|(start, rows, columns)| Matrix { start, rows, columns });
    for (largest_side, expected) in [(10_000, &golden.both), (3, &golden.short)] {
        let settings = spec::Optimizer::Soap(SoapOptimizer {
            learning_rate: 0.01,
            beta1: 0.9,
            beta2: 0.8,
            epsilon: 1e-8,
            weight_decay: 0.3,
            refresh_every: 4,
            largest_side,
        });
        let spec = RunSpec { optimizer: settings, ..RunSpec::default() };
        let mut weights = tensor(&golden.initial);
        let start = OptimizerState::from(&spec.optimizer, &weights);
        let mut optimizer = Optimizer::new(&spec.optimizer, &matrices, start, &device);
        let mut compared = 0;
        for (step, gradient) in golden.gradients.iter().enumerate() {
            let rates = Rates::at(&spec, step as u64);
            weights = optimizer.step(weights, tensor(gradient), rates, rates);
            optimizer = Optimizer::new(&spec.optimizer, &matrices, optimizer.state(), &device);
            if step % 4 != 1 {
                continue;
            }
            let found = weights.clone().into_data().try_into_vec::<f32>().expect("weights are f32");
            for (index, (value, expected)) in found.iter().zip(&expected[step / 4]).enumerate() {
                let difference = (f64::from(*value) - expected).abs();
                assert!(difference < 2e-5, "step {step}, {index}: {value} is not {expected} ({difference:e})");
            }
            compared += 1;
        }
        assert_eq!(compared, expected.len());
    }
}
