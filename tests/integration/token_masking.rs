//! Tokens that the first blocks do not see in training.

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Value as Json, json};
use speedlab::kernels::{Kernels, Products, TokenChoice};
use speedlab::model::{self, Detour, Dropout, Network, TokenRoute};
use speedlab::random::{Draws, Stream};
use speedlab::spec::{RunSpec, decode_json};
use speedlab::study::training_flops;

use super::parity::{dot, formula};
use super::token_routing::network;

const BATCH: usize = 19;
const PATCHES: usize = 16;
const NO_DROPOUT: Dropout = Dropout { seed: 0, step: 0, first_image: 0 };

/// A run on 8x8 digits: three quarters of its 16 patches are masked from two of four blocks, in the first six of ten steps.
fn spec(changes: Json) -> RunSpec {
    let mut run = json!({
        "model": {"kind": "dit", "patch": 2, "dim": 32, "depth": 4, "heads": 2, "mask_token": true},
        "parameterization": "v",
        "token_masking": {"share": 0.75, "decoder_blocks": 2, "until": 0.6},
        "train": {"steps": 10, "batch_size": 8},
    });
    for (key, value) in changes.as_object().expect("a map") {
        run[key] = value.clone();
    }
    decode_json(&run).expect("these are keys of a run")
}

fn detour(spec: &RunSpec) -> Detour {
    Detour::at(spec, 0).expect("the first step masks tokens")
}

fn shown_patches(spec: &RunSpec) -> Vec<u32> {
    Draws::new(3, Stream::Patches, 0).subsets(BATCH, PATCHES, detour(spec).kept)
}

/// The prediction for `images`, and the gradient of its mean squared error to something.
fn prediction(spec: &RunSpec, network: &Network, images: &[f32], device: &Device) -> (Vec<f32>, Vec<f32>) {
    let choice = TokenChoice::new(PATCHES, detour(spec).kept, &shown_patches(spec));
    let route = TokenRoute::new(None, Some((detour(spec), choice)));
    let images = Tensor::<4>::from_data(TensorData::new(images.to_vec(), [BATCH, 1, 8, 8]), device);
    let times: Vec<f32> = (0..BATCH).map(|index| (50 * index) as f32).collect();
    let times = Tensor::from_data(times.as_slice(), device);
    let (predicted, _) = network.forward_in_training(images.clone(), times, None, NO_DROPOUT, route);
    let values = predicted.clone().inner().try_into_vec_as().expect("they are f32");
    let gradient = network.gradients((predicted - images).square().mean());
    (values, gradient.try_into_vec_as().expect("they are f32"))
}

fn relative_difference(found: &[f32], expected: &[f32]) -> f64 {
    let difference: Vec<f32> = found.iter().zip(expected).map(|(found, expected)| found - expected).collect();
    (dot(&difference, &difference) / dot(expected, expected)).sqrt()
}

#[test]
fn fused_and_plain_operations_mask_tokens_alike_and_the_mask_token_learns() {
    let (device, spec) = (Device::flex(), spec(json!({})));
    let images = formula(BATCH * 64);
    let [fused, plain] = [Kernels::Fused(Products::F32), Kernels::Plain(Products::F32)]
        .map(|kernels| prediction(&spec, &network(&spec, &device, kernels), &images, &device));
    for (name, found, expected) in [("prediction", &fused.0, &plain.0), ("gradient", &fused.1, &plain.1)] {
        let error = relative_difference(found, expected);
        assert!(error < 2e-5, "the {name} differs by {error:.1e}");
    }
    let of_token = |gradient: &[f32]| gradient[gradient.len() - 32..].to_vec();
    let [fused, plain] = [of_token(&fused.1), of_token(&plain.1)];
    assert!(
        relative_difference(&fused, &plain) < 1e-4 && fused.iter().all(|&value| value != 0.0),
        "{fused:?}, {plain:?}"
    );
}

/// The encoder takes its shown patches; the decoder is told of the others by their places alone.
#[test]
fn what_is_masked_is_not_seen_and_what_is_shown_is_seen_everywhere() {
    let (device, spec) = (Device::flex(), spec(json!({})));
    let network = network(&spec, &device, Kernels::Fused(Products::F32));
    let images = formula(BATCH * 64);
    let shown = shown_patches(&spec);
    let kept = detour(&spec).kept;
    let moved = |is_moved: bool| {
        let mut images = images.clone();
        for (index, pixel) in images.iter_mut().enumerate() {
            let (image, pixel_index) = (index / 64, index % 64);
            let patch = (pixel_index / 16 * 4 + pixel_index % 8 / 2) as u32;
            if shown[image * kept..][..kept].contains(&patch) == is_moved {
                *pixel += 0.5;
            }
        }
        prediction(&spec, &network, &images, &device).0
    };
    let before = prediction(&spec, &network, &images, &device).0;
    assert_eq!(moved(false), before);
    assert!(moved(true).iter().zip(&before).all(|(after, before)| after != before));
}

#[test]
fn a_mask_token_changes_nothing_else_of_a_network() {
    let (device, with) = (Device::flex(), spec(json!({})));
    let without = spec(json!({"model": {"kind": "dit", "patch": 2, "dim": 32, "depth": 4, "heads": 2}}));
    let weights = |spec: &RunSpec| -> Vec<f32> {
        let network = model::build(&spec.model, spec.data.shape(), 5, &device);
        network.weights().try_into_vec_as().expect("they are f32")
    };
    let (with, without) = (weights(&with), weights(&without));
    assert_eq!(with.len(), without.len() + 32);
    assert_eq!(with[..without.len()], without);
    assert!(with[without.len()..].iter().all(|&value| value != 0.0 && value.abs() < 0.1));
}

#[test]
fn masks_end_with_their_share_of_the_steps_and_so_does_what_they_save() {
    let spec = spec(json!({}));
    let masked: Vec<bool> = (0..10).map(|step| Detour::at(&spec, step).is_some()).collect();
    assert_eq!(masked, [vec![true; 6], vec![false; 4]].concat());
    let [early, late] = [0, 6].map(|step| model::training_forward_flops(&spec, step));
    let block = |tokens: f64| 2.0 * (tokens * 32.0 * 32.0 * (3.0 + 1.0 + 8.0) + 2.0 * tokens * tokens * 32.0);
    assert_eq!(late - early, 2.0 * (block(16.0) - block(4.0)));
    let flops = training_flops(&spec).expect("Speedlab trains");
    assert_eq!(flops.after(0), 0.0);
    assert_eq!(flops.after(48), 3.0 * 48.0 * early);
    assert_eq!(flops.after(80), 3.0 * (48.0 * early + 32.0 * late));
    // The most that is kept at a time.
    assert_eq!(model::training_activation_bytes(&spec), 8 * model::activation_bytes(&spec.model, spec.data.shape()));
}
