//! Batches and images that change in size while a run trains: what is drawn, what is counted, and how a run goes on across a change.

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Value as Json, json};
use speedlab::data::{self, average_pooled};
use speedlab::model;
use speedlab::spec::{DataShape, RunSpec, decode_json};
use speedlab::study::{Estimator, training_flops};
use speedlab::train::{Checkpoint, Trainer};

use super::parity::formula;

/// Ten steps on 8x8 digits: of 2, 3 and then 8 images, of 4x4 pixels in the first four.
fn spec(model: Json) -> RunSpec {
    let run = json!({
        "model": model,
        "train": {
            "steps": 10,
            "batch_size": 8,
            "batch_schedule": [{"until": 0.2, "batch_size": 2}, {"until": 0.5, "batch_size": 3}],
            "resolution_schedule": [{"until": 0.4, "side": 4}],
            "ema": {"kind": "half_life", "images": 16, "ramp_up": 0.5},
            "log_every": 1,
        },
    });
    decode_json(&run).expect("these are keys of a run")
}

fn models() -> [Json; 3] {
    [
        json!({"kind": "unet", "channels": 8, "attention_resolutions": [8], "dropout": 0.2}),
        json!({"kind": "adm", "channels": 8, "norm_groups": 4, "dropout": 0.2, "class_conditional": true}),
        json!({"kind": "dit", "patch": 2, "dim": 16, "depth": 2, "heads": 2}),
    ]
}

fn trained_steps(trainer: &mut Trainer, count: usize) -> Vec<u64> {
    (0..count).map(|_| trainer.train_step().unwrap_or_else(|diverged| panic!("{}", diverged.0)).to_bits()).collect()
}

/// tests/golden/pooling.json: PyTorch's `avg_pool2d` and `adaptive_avg_pool2d` (scripts/golden/pooling.py).
#[test]
fn smaller_images_are_those_of_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pooling.json");
    let cases: Vec<Json> = serde_json::from_str(&std::fs::read_to_string(path).expect("it is there")).expect("JSON");
    assert_eq!(cases.len(), 6);
    for case in cases {
        let [planes, side, smaller] =
            ["planes", "side", "smaller"].map(|key| case[key].as_u64().expect("a number") as usize);
        let pooled = average_pooled(&formula(planes * side * side), side, smaller);
        let expected = case["pooled"].as_array().expect("a list");
        assert_eq!(pooled.len(), expected.len());
        for (found, expected) in pooled.iter().zip(expected) {
            let expected = expected.as_f64().expect("a number");
            assert!((f64::from(*found) - expected).abs() < 1e-7, "{side} to {smaller}: {found} for {expected}");
        }
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_bit_for_bit_across_every_switch_with_any_number_of_threads() {
    let (device, digits) = (Device::flex(), data::load_digits().expect("they are in the program"));
    for model in models() {
        let spec = spec(model);
        let mut whole = Trainer::new(&spec, &digits, &device, None, 1).expect("it can be trained");
        let mut losses = Vec::new();
        // Before, at and after the steps with which stages end.
        let mut kept = Vec::new();
        for step in 0..10 {
            if [1, 2, 4, 5].contains(&step) {
                kept.push((step, whole.checkpoint().to_bytes()));
            }
            losses.extend(trained_steps(&mut whole, 1));
        }
        let end = whole.checkpoint();
        for (index, (step, bytes)) in kept.into_iter().enumerate() {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1 + index % 2).build().expect("threads");
            pool.install(|| {
                let checkpoint = Checkpoint::from_bytes(&bytes, end.weights.len()).expect("written above").checkpoint;
                let mut resumed = Trainer::new(&spec, &digits, &device, Some(checkpoint), 1).expect("it goes on");
                assert_eq!(trained_steps(&mut resumed, 10 - step), losses[step..], "from step {step}");
                assert!(resumed.checkpoint() == end, "from step {step}");
            });
        }
    }
}

/// What a step sees is what it is told to see: with the same weights, the first step of a run of small images is that of a run
/// on such images.
#[test]
fn images_and_operations_are_counted_as_they_were() {
    let (device, digits) = (Device::flex(), data::load_digits().expect("they are in the program"));
    for model in models() {
        let spec = spec(model);
        let mut trainer = Trainer::new(&spec, &digits, &device, None, 1).expect("it can be trained");
        let mut images = Vec::new();
        for _ in 0..10 {
            trained_steps(&mut trainer, 1);
            images.push(trainer.images_seen());
        }
        assert_eq!(images, [2, 4, 7, 10, 13, 21, 29, 37, 45, 53]);

        // The network of 4x4 images, attention where it is in the other.
        let mut small = spec.clone();
        small.train.resolution_schedule.clear();
        let at_half = spec.model.at_side(8, 4);
        let shape = |side: usize| DataShape { channels: 1, side, classes: Some(10) };
        assert_eq!(model::parameter_count(&at_half, shape(4)), model::parameter_count(&small.model, shape(8)));
        let (few, many) = (model::forward_flops(&at_half, shape(4)), model::forward_flops(&small.model, shape(8)));
        assert!(few < 0.5 * many, "{few} of {many}");
        let flops = training_flops(&spec).expect("Speedlab trains");
        assert_eq!(flops.after(4), 3.0 * 4.0 * few);
        assert_eq!(flops.after(10), 3.0 * 10.0 * few);
        assert_eq!(flops.after(11), 3.0 * (10.0 * few + many));
        assert_eq!(flops.after(53), 3.0 * (10.0 * few + 43.0 * many));

        // The estimate counts them too.
        let seconds = |spec: &RunSpec| Estimator::new(None, None, 2).cost(spec).train_seconds;
        small.train.batch_schedule.clear();
        let expected = (10.0 * few + 43.0 * many) / (80.0 * many);
        assert!((seconds(&spec) / seconds(&small) / expected - 1.0).abs() < 1e-9);
    }
}

#[test]
fn memory_is_that_of_the_largest_step() {
    let mut spec = spec(models()[0].clone());
    let full = model::activation_bytes(&spec.model, (1, 8));
    assert_eq!(model::training_activation_bytes(&spec), 8 * full);
    // Small images in large batches.
    spec.train.batch_schedule[0].batch_size = 1000;
    let small = model::activation_bytes(&spec.model.at_side(8, 4), (1, 4));
    assert_eq!(model::training_activation_bytes(&spec), 1000 * small);
}

/// A DiT that is shown smaller images takes the positions of the places that they come from.
#[test]
fn a_dit_sees_smaller_images_at_the_places_of_the_large_ones() {
    let device = Device::flex();
    let dit: speedlab::spec::Model =
        decode_json(&json!({"kind": "dit", "patch": 2, "dim": 16, "depth": 1, "heads": 2})).expect("a model");
    let mut network = model::build(&dit, (1, 8), 3, &device);
    let count = network.weights().dims()[0];
    network.set_weights(Tensor::from_data(TensorData::new(formula(count), [count]), &device) * 0.1);
    let images =
        |side: usize| Tensor::<4>::from_data(TensorData::new(formula(side * side), [1, 1, side, side]), &device);
    let time = || Tensor::<1>::from_data([3.0], &device);
    let at = |network: &model::Network, side: usize| -> Vec<f32> {
        network.forward(images(side), time(), None, None).try_into_vec_as().expect("they are f32")
    };
    let small = at(&network, 4);
    assert_eq!((small.len(), at(&network, 8).len()), (16, 64));
    // As a network of such images, whose positions lie next to each other.
    let mut other = model::build(&dit, (1, 4), 3, &device);
    other.set_weights(network.weights());
    let near = at(&other, 4);
    assert!(small.iter().zip(&near).all(|(small, near)| (small - near).abs() > 1e-6), "{small:?} {near:?}");
}
