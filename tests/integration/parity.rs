//! The comparison of networks with PyTorch, for whoever has a golden file.

use burn::tensor::{Device, Tensor, TensorData};
use speedlab::kernels::{Kernels, Products};
use speedlab::model;
use speedlab::spec::{DataShape, Model};

/// What a network of a golden file was asked, besides its timesteps.
pub struct Asked {
    pub shape: DataShape,
    /// The class of each image, where classes are told.
    pub classes: Option<Vec<u32>>,
    /// What [`formula`] is multiplied by to be the weights; those of norms are that plus 1.
    pub weight_scale: f32,
}

/// Values in (-1, 1) that need no storing: sin(1), sin(4), sin(9), ...
pub fn formula(count: usize) -> Vec<f32> {
    (1..=count).map(|index| (index as f64).powi(2).sin() as f32).collect()
}

/// The output of parameters and images of [`formula`], the mean squared error to the images in another order, and for the
/// gradient of each parameter its norm and its projection on [`formula`]: with both kinds of kernels.
#[track_caller]
pub fn agrees_with_pytorch(model: &Model, asked: Asked, case: &serde_json::Value) {
    let Asked { shape, classes, weight_scale } = asked;
    let DataShape { channels, side, .. } = shape;
    assert_eq!(model::parameter_count(model, shape) as u64, case["parameters"]);
    for kernels in [Kernels::Plain(Products::F32), Kernels::Fused(Products::F32)] {
        let what = format!("{} for {shape:?} by {kernels:?}", model.kind());
        let plain = Device::flex();
        let mut network = model::build(model, shape, 0, &plain.clone().autodiff());
        network = network.with_kernels(kernels);
        let layout = network.layout().to_vec();
        let mut weights = formula(model::parameter_count(model, shape));
        let mut start = 0;
        for parameter in &layout {
            let norm = parameter.name.contains("norm") && parameter.name.ends_with(".weight");
            for weight in &mut weights[start..start + parameter.size()] {
                *weight = *weight * weight_scale + if norm { 1.0 } else { 0.0 };
            }
            start += parameter.size();
        }
        network.set_weights(Tensor::from_data(weights.as_slice(), &plain));

        let timesteps: Vec<f32> = reals(&case["timesteps"]).iter().map(|&t| t as f32).collect();
        let batch = timesteps.len();
        let images = TensorData::new(formula(batch * channels * side * side), [batch, channels, side, side]);
        let images = Tensor::<4>::from_data(images, &plain);
        let times = Tensor::from_data(timesteps.as_slice(), &plain);
        let output = network.forward(images, times, classes.as_deref(), None);
        let found = output.clone().inner().try_into_vec_as::<f32>().unwrap();
        assert_close(&format!("{what} output"), &found, &reals(&case["output"]));

        let targets: Vec<f32> = formula(found.len()).chunks(found.len() / batch).rev().flatten().copied().collect();
        let targets = Tensor::<4>::from_data(TensorData::new(targets, output.dims()), &plain);
        let loss = (output - targets).square().mean();
        let loss_value = f64::from(loss.clone().inner().into_scalar::<f32>());
        assert!((loss_value / case["loss"].as_f64().unwrap() - 1.0).abs() < 1e-5, "{what} loss {loss_value}");

        let gradients = network.gradients(loss).try_into_vec_as::<f32>().unwrap();
        let expected = case["gradient_norms_and_projections"].as_array().unwrap();
        assert_eq!(expected.len(), layout.len());
        let mut start = 0;
        for (parameter, expected) in layout.iter().zip(expected) {
            let gradient = &gradients[start..start + parameter.size()];
            start += parameter.size();
            let norm = dot(gradient, gradient).sqrt();
            let projection = dot(gradient, &formula(gradient.len()));
            let [expected_norm, expected_projection] = reals(expected)[..] else { panic!("two numbers") };
            assert!(
                (norm - expected_norm).abs() < 1e-4 * expected_norm
                    && (projection - expected_projection).abs() < 1e-4 * expected_norm,
                "{what} gradient of {}: norm {norm} for {expected_norm}, projection {projection} for {expected_projection}",
                parameter.name
            );
        }
    }
}

pub fn read_golden(name: &str) -> serde_json::Value {
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn reals(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

pub fn dot(first: &[f32], second: &[f32]) -> f64 {
    first.iter().zip(second).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Each value within 1e-4 of the largest.
fn assert_close(what: &str, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0f64, |largest, value| largest.max(value.abs()));
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(found) - expected).abs() < 1e-4 * largest, "{what} {index}: {found} for {expected}");
    }
}
