//! Adam against PyTorch, and with a moving beta1 against sums written out in numpy.

use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use speedlab::optim::{Adam, beta1, learning_rate};
use speedlab::spec::{DemonMomentum, LrSchedule, MomentumCompensatedLr, MomentumSchedule, RunSpec};

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
    let mut adam = Adam::new(&spec.optimizer, golden.initial.len(), &Device::flex());
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
