//! Tokens that go around blocks in training.

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Value as Json, json};
use speedlab::data;
use speedlab::kernels::{Kernels, Products, TokenChoice};
use speedlab::model::{self, Detour, Dropout, Network, TokenRoute};
use speedlab::random::{Draws, Stream};
use speedlab::spec::{Model, RunSpec, decode_json};
use speedlab::train::Trainer;

use super::parity::{dot, formula};

const BATCH: usize = 19;
const NO_DROPOUT: Dropout = Dropout { seed: 0, step: 0, first_image: 0 };

/// A run whose network is of that kind, on 8x8 digits: 16 tokens.
fn spec(kind: &str, routing: Json) -> RunSpec {
    let model = json!({"kind": kind, "patch": 2, "dim": 32, "depth": 4, "heads": 2, "class_conditional": true});
    let changes = json!({"model": model, "parameterization": "v", "token_routing": routing});
    decode_json(&changes).expect("these are keys of a run")
}

fn around(first: usize, last: usize) -> Json {
    json!({"share": 0.5, "first_block": first, "last_block": last})
}

/// The network with weights that are not zero anywhere, as a fresh one's are.
pub fn network(spec: &RunSpec, device: &Device, kernels: Kernels) -> Network {
    let mut network = model::build(&spec.model, spec.data.shape(), 1, &device.clone().autodiff()).with_kernels(kernels);
    let moved = formula(model::parameter_count(&spec.model, spec.data.shape()));
    let moved = Tensor::<1>::from_data(moved.as_slice(), device) * 0.05;
    network.set_weights(network.weights() + moved);
    network
}

/// The prediction, and the gradient of its mean squared error to something.
fn prediction(network: &Network, route: TokenRoute, device: &Device) -> (Vec<f32>, Vec<f32>) {
    let images = Tensor::<4>::from_data(TensorData::new(formula(BATCH * 64), [BATCH, 1, 8, 8]), device);
    let times: Vec<f32> = (0..BATCH).map(|index| (50 * index) as f32).collect();
    let classes: Vec<u32> = (0..BATCH as u32).map(|index| index % 11).collect();
    let times = Tensor::from_data(times.as_slice(), device);
    let (predicted, _) = network.forward_in_training(images.clone(), times, Some(&classes[..]), NO_DROPOUT, route);
    let values = predicted.clone().inner().try_into_vec_as().expect("they are f32");
    let gradient = network.gradients((predicted - images).square().mean());
    (values, gradient.try_into_vec_as().expect("they are f32"))
}

fn route(spec: &RunSpec) -> TokenRoute {
    let detour = Detour::at(spec, 0).expect("tokens are routed");
    let kept = Draws::new(3, Stream::Patches, 0).subsets(BATCH, 16, detour.kept);
    TokenRoute::new(None, Some((detour, TokenChoice::new(16, detour.kept, &kept))))
}

fn relative_difference(found: &[f32], expected: &[f32]) -> f64 {
    let difference: Vec<f32> = found.iter().zip(expected).map(|(found, expected)| found - expected).collect();
    (dot(&difference, &difference) / dot(expected, expected)).sqrt()
}

#[test]
fn fused_and_plain_operations_route_tokens_alike() {
    let device = Device::flex();
    for (kind, first, last) in
        [("dit", 1, 4), ("dit", 2, 3), ("dit", 4, 4), ("uvit", 1, 5), ("uvit", 2, 4), ("uvit", 3, 3)]
    {
        let spec = spec(kind, around(first, last));
        let [fused, plain] = [Kernels::Fused(Products::F32), Kernels::Plain(Products::F32)]
            .map(|kernels| prediction(&network(&spec, &device, kernels), route(&spec), &device));
        let what = format!("{kind} around {first} to {last}");
        for (name, found, expected) in [("prediction", &fused.0, &plain.0), ("gradient", &fused.1, &plain.1)] {
            let error = relative_difference(found, expected);
            assert!(error < 2e-5, "{what}: the {name} differs by {error:.1e}");
        }
        let all = prediction(&network(&spec, &device, Kernels::Fused(Products::F32)), TokenRoute::default(), &device);
        assert!(relative_difference(&fused.0, &all.0) > 1e-2, "{what}: as if no token went around");
    }
}

/// By differences, along a direction in all weights.
#[test]
fn the_gradient_is_that_of_the_routed_network() {
    let device = Device::flex();
    for (kind, first, last) in [("dit", 2, 3), ("uvit", 2, 4)] {
        let spec = spec(kind, around(first, last));
        let mut network = network(&spec, &device, Kernels::Fused(Products::F32));
        let (_, gradient) = prediction(&network, route(&spec), &device);
        let weights = network.weights();
        let norm = dot(&gradient, &gradient).sqrt();
        let direction = Tensor::<1>::from_data(gradient.as_slice(), &device) / norm;
        let mut loss = |by: f64| {
            network.set_weights(weights.clone() + direction.clone() * by);
            let (predicted, _) = prediction(&network, route(&spec), &device);
            let images = formula(BATCH * 64);
            predicted.iter().zip(&images).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / images.len() as f64
        };
        let slope = (loss(5e-3) - loss(-5e-3)) / 1e-2;
        assert!((slope / norm - 1.0).abs() < 0.01, "{kind}: {slope} by differences, {norm} by the gradient");
    }
}

/// Both ends of a detour around all blocks, of one token that stays: what the others are after it is what they were before.
#[test]
fn tokens_that_go_around_all_blocks_do_not_feel_them() {
    let device = Device::flex();
    let spec = spec("dit", around(1, 4));
    let network = network(&spec, &device, Kernels::Fused(Products::F32));
    let predicted = |changed: &str| {
        let mut network = network.clone();
        let mut weights: Vec<f32> = network.weights().try_into_vec_as().expect("they are f32");
        let mut start = 0;
        for parameter in network.layout() {
            let place = start..start + parameter.size();
            start = place.end;
            if !changed.is_empty() && parameter.name.starts_with(changed) {
                weights[place].iter_mut().for_each(|weight| *weight += 0.1);
            }
        }
        network.set_weights(Tensor::from_data(weights.as_slice(), &device));
        prediction(&network, route(&spec), &device).0
    };
    let (before, after) = (predicted(""), predicted("blocks."));
    let detour = Detour::at(&spec, 0).expect("tokens are routed");
    let kept = Draws::new(3, Stream::Patches, 0).subsets(BATCH, 16, detour.kept);
    for (image, kept) in kept.chunks_exact(detour.kept).enumerate() {
        for pixel in 0..64 {
            let patch = (pixel / 16 * 4 + pixel % 8 / 2) as u32;
            let [before, after] = [&before, &after].map(|images| images[image * 64 + pixel]);
            assert_eq!(before != after, kept.contains(&patch), "pixel {pixel} of image {image}, in patch {patch}");
        }
    }
}

#[test]
fn a_network_that_was_trained_so_is_used_with_all_tokens_and_without_routing_nothing_changes() {
    let device = Device::flex();
    let digits = data::load_digits().expect("they are in the program");
    let trained = |routing: Json| {
        let mut spec = spec("dit", routing);
        spec.train.steps = 4;
        let mut trainer = Trainer::new(&spec, &digits, &device, None, 1).expect("it can be trained");
        let first = trainer.raw_network();
        let losses: Vec<f64> = (0..4).map(|_| trainer.train_step().expect("it does not diverge")).collect();
        (first, trainer.raw_network(), losses)
    };
    let (first, last, losses) = trained(around(2, 3));
    let (unrouted_first, _, unrouted_losses) = trained(json!({}));
    let shown = |network: &Network| -> Vec<f32> {
        let images = Tensor::<4>::from_data(TensorData::new(formula(4 * 64), [4, 1, 8, 8]), &device);
        let times = Tensor::from_data([0.0f32, 100.0, 500.0, 900.0].as_slice(), &device);
        network.forward(images, times, Some(&[0, 1, 2, 10]), None).try_into_vec_as().expect("they are f32")
    };
    assert_eq!(first.weights().into_data(), unrouted_first.weights().into_data());
    // The blocks of a fresh DiT change nothing, and their gates have no gradient before the last layer has weights.
    assert_eq!(losses[..2], unrouted_losses[..2]);
    assert!(losses[2..].iter().zip(&unrouted_losses[2..]).all(|(routed, other)| routed != other), "{losses:?}");
    // The weights alone make the prediction.
    let mut same = unrouted_first;
    same.set_weights(last.weights());
    assert_eq!(shown(&last), shown(&same));
}

/// Twice the multiply-adds of a block of 16 and of 8 tokens of 32 numbers: qkv, two products of attention, output, feed-forward; and
/// the modulation, which is of the image.
#[test]
fn a_training_step_counts_the_operations_of_the_tokens_that_are_there() {
    let (whole, routed) = (spec("dit", json!({})), spec("dit", around(2, 3)));
    let block = |tokens: f64| 2.0 * (tokens * 32.0 * 32.0 * (3.0 + 1.0 + 8.0) + 2.0 * tokens * tokens * 32.0);
    let flops = |spec: &RunSpec| model::training_forward_flops(spec, 0);
    assert_eq!(flops(&whole), model::forward_flops(&whole.model, whole.data.shape()));
    assert_eq!(flops(&whole) - flops(&routed), 2.0 * (block(16.0) - block(8.0)));
    // All tokens are there where images are generated.
    assert_eq!(model::forward_flops(&routed.model, routed.data.shape()), flops(&whole));
    let bytes = |spec: &RunSpec| model::training_activation_bytes(spec);
    assert!(bytes(&routed) < bytes(&whole));
    let of_an_image = model::activation_bytes(&routed.model, routed.data.shape());
    assert_eq!(bytes(&whole), whole.train.batch_size * of_an_image);
    // Class and time are tokens of a U-ViT that never go around.
    let (whole, routed) = (spec("uvit", json!({})), spec("uvit", around(3, 3)));
    assert_eq!(flops(&whole) - flops(&routed), block(18.0) - block(10.0));
}

/// Enough tokens for the operations to use all threads of the pool.
#[test]
fn tokens_are_routed_the_same_bit_for_bit_whatever_the_number_of_threads() {
    let device = Device::flex();
    let mut spec = spec("dit", around(2, 3));
    let Model::Dit(dit) = &mut spec.model else { panic!("a DiT was asked for") };
    (dit.patch, dit.dim) = (1, 64);
    let detour = Detour::at(&spec, 0).expect("tokens are routed");
    let step = || {
        let kept = Draws::new(3, Stream::Patches, 0).subsets(BATCH, 64, detour.kept);
        let route = TokenRoute::new(None, Some((detour, TokenChoice::new(64, detour.kept, &kept))));
        prediction(&network(&spec, &device, Kernels::Fused(Products::F32)), route, &device)
    };
    let with_threads = |count| rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap().install(step);
    let one = with_threads(1);
    assert!(one.1.iter().filter(|&&value| value != 0.0).count() > one.1.len() / 2);
    for count in [2, 3] {
        assert!(one == with_threads(count), "{count} threads");
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_with_the_tokens_it_would_have_had() {
    let (device, digits) = (Device::flex(), data::load_digits().expect("they are in the program"));
    let mut spec = spec("uvit", around(2, 4));
    spec.train.steps = 4;
    let steps = |trainer: &mut Trainer, count: usize| -> Vec<f64> {
        (0..count).map(|_| trainer.train_step().expect("it does not diverge")).collect()
    };
    let mut whole = Trainer::new(&spec, &digits, &device, None, 1).expect("it can be trained");
    let losses = steps(&mut whole, 2);
    let mut resumed = Trainer::new(&spec, &digits, &device, Some(whole.checkpoint()), 1).expect("it goes on");
    assert_eq!(steps(&mut resumed, 2), steps(&mut whole, 2));
    assert_ne!(losses[0], losses[1]);
    assert_eq!(whole.raw_network().weights().into_data(), resumed.raw_network().weights().into_data());
}
