//! Training losses against outside references.

use burn::tensor::{Device, Tensor, TensorData};
use speedlab::diffusion::ForwardProcess;
use speedlab::spec::NoiseSchedule;
use speedlab::train::HybridLoss;

fn reals(value: &serde_json::Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

/// Each value within 1e-4 of the largest.
#[track_caller]
fn assert_close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= 1e-4 * largest, "{what} {index}: {found} for {expected}");
    }
}

/// tests/golden/hybrid_loss.json: from the formulas, in PyTorch, in f64 (scripts/golden/hybrid_loss.py).
#[test]
fn the_hybrid_loss_and_its_gradients_agree_with_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/hybrid_loss.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in cases {
        let schedule = serde_json::json!({"kind": case["noise_schedule"]});
        let schedule: NoiseSchedule = speedlab::spec::decode_json(&schedule).unwrap();
        let hybrid = HybridLoss::new(&ForwardProcess::new(&schedule));
        let timesteps: Vec<u32> = reals(&case["timesteps"]).iter().map(|&t| t as u32).collect();
        let images = reals(&case["images"]);
        let shape = [timesteps.len(), 1, 2, 2];
        let leaf = |key: &str| {
            let device = Device::flex().autodiff();
            Tensor::<4>::from_data(TensorData::new(reals(&case[key]), shape), &device).require_grad()
        };
        let (epsilon, v) = (leaf("epsilon"), leaf("v"));
        let errors =
            epsilon.clone() - Tensor::from_data(TensorData::new(reals(&case["noise"]), shape), &Device::flex());
        let simple = errors.clone().square().mean();
        let bound = hybrid.bound(errors, v.clone(), &images, &timesteps).mean();
        let what = format!("{} {timesteps:?}", case["noise_schedule"]);
        for (loss, key) in [(&simple, "simple"), (&bound, "bound")] {
            let (found, expected) = (loss.clone().inner().into_scalar::<f32>(), case[key].as_f64().unwrap() as f32);
            assert!((found / expected - 1.0).abs() < 1e-4, "{what} {key}: {found} for {expected}");
        }
        let mut gradients = (simple + bound).backward();
        let epsilon_gradient = epsilon.grad_remove(&mut gradients).unwrap().try_into_vec_as::<f32>().unwrap();
        assert_close(&format!("{what} gradient of epsilon"), &epsilon_gradient, &reals(&case["epsilon_gradient"]));
        let v_gradient = v.grad_remove(&mut gradients).unwrap().try_into_vec_as::<f32>().unwrap();
        assert_close(&format!("{what} gradient of v"), &v_gradient, &reals(&case["v_gradient"]));
        // What the bound says of the mean is stopped: the simple loss alone trains it, to the last bit.
        let epsilon = leaf("epsilon");
        let errors =
            epsilon.clone() - Tensor::from_data(TensorData::new(reals(&case["noise"]), shape), &Device::flex());
        let alone =
            epsilon.grad_remove(&mut errors.square().mean().backward()).unwrap().try_into_vec_as::<f32>().unwrap();
        assert_eq!(epsilon_gradient, alone, "{what}");
    }
}
