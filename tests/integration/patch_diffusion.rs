//! Crops in the place of whole images in training: where they lie, what the network is told, what is counted.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Value as Json, json};
use speedlab::data;
use speedlab::model::{self, Dropout, TokenRoute};
use speedlab::spec::{RunSpec, decode_json};
use speedlab::study::{Estimator, training_flops};
use speedlab::train::{Checkpoint, Trainer, shapes};

use super::parity::formula;

const NO_DROPOUT: Dropout = Dropout { seed: 0, step: 0, first_image: 0 };

fn spec(patches: Json) -> RunSpec {
    let run = json!({
        "model": {"kind": "unet", "channels": 8, "coordinates": true, "attention_resolutions": [8]},
        "patch_diffusion": patches,
        "train": {"steps": 40, "batch_size": 3, "log_every": 1},
    });
    decode_json(&run).expect("these are keys of a run")
}

/// The paper's sizes and shares, of 8x8 images.
fn papers() -> RunSpec {
    spec(json!({"sizes": [0.25, 0.5], "shares": [0.4, 0.6], "full_share": 0.5}))
}

/// tests/golden/patches.json: the formula of the authors' code, in PyTorch (scripts/golden/patches.py).
#[test]
fn coordinates_are_those_of_the_authors_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/patches.json");
    let cases: Vec<Json> = serde_json::from_str(&std::fs::read_to_string(path).expect("it is there")).expect("JSON");
    assert_eq!(cases.len(), 5);
    for case in cases {
        let [image_side, side, row, column] =
            ["image_side", "side", "row", "column"].map(|key| case[key].as_u64().expect("a number") as usize);
        let found = model::coordinates(image_side, side, (row, column));
        let expected = case["coordinates"].as_array().expect("a list");
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected.as_f64().expect("a number")).abs() < 1e-7, "{found} {expected}");
        }
    }
    assert_eq!(model::coordinates(1, 1, (0, 0)), [0.0, 0.0]);
}

#[test]
fn a_network_is_given_the_coordinates_of_whole_images_unless_it_is_given_others() {
    let (device, spec) = (Device::flex(), papers());
    let mut network = model::build(&spec.model, (1, 8), 3, &device);
    let count = network.weights().dims()[0];
    network.set_weights(Tensor::from_data(TensorData::new(formula(count), [count]), &device) * 0.3);
    let images = |values: Vec<f32>, channels: usize| {
        Tensor::<4>::from_data(TensorData::new(values, [1, channels, 8, 8]), &device)
    };
    let time = || Tensor::<1>::from_data([5.0], &device);
    let values = |predicted: Tensor<4>| predicted.try_into_vec_as::<f32>().expect("they are f32");
    let alone = values(network.forward(images(formula(64), 1), time(), None, None));
    assert_eq!(alone.len(), 64);
    let told = |coordinates: Vec<f32>| {
        let both = images([formula(64), coordinates].concat(), 3);
        values(network.forward_in_training(both, time(), None, NO_DROPOUT, TokenRoute::default()).0)
    };
    assert_eq!(told(model::coordinates(8, 8, (0, 0))), alone);
    let elsewhere = told(model::coordinates(16, 8, (8, 8)));
    assert!(elsewhere.iter().zip(&alone).all(|(one, other)| one != other));
}

#[test]
fn sizes_come_about_as_often_as_their_shares_and_one_after_the_other_where_they_are_progressive() {
    let mut spec = papers();
    spec.train.steps = 4000;
    let count = |spec: &RunSpec| {
        let mut counts = BTreeMap::new();
        (0..spec.train.steps).for_each(|step| *counts.entry(model::seen_side(spec, step)).or_insert(0u32) += 1);
        counts
    };
    // Five standard deviations are at most 158.
    for (side, expected) in [(2, 800), (4, 1200), (8, 2000)] {
        let found = count(&spec)[&side];
        assert!(found.abs_diff(expected) < 158, "{side}: {found}");
    }
    let mut progressive = self::spec(json!({"sizes": [0.25, 0.5], "shares": [0.4, 0.6], "schedule": "progressive"}));
    progressive.train.steps = 10;
    let sides: Vec<usize> = (0..10).map(|step| model::seen_side(&progressive, step)).collect();
    assert_eq!(sides, [2, 2, 4, 4, 4, 8, 8, 8, 8, 8]);
    assert_eq!(progressive.phases(), [0, 2, 5]);
    assert_eq!((shapes(&progressive).len(), shapes(&papers()).len()), (3, 3));
}

#[test]
fn operations_are_counted_at_the_sizes_that_were_drawn() {
    let spec = papers();
    let each = |side: usize| model::forward_flops(&spec.model.at_side(8, side), (1, side));
    let flops = training_flops(&spec).expect("Speedlab trains");
    let mut spent = 0.0;
    for step in 0..40 {
        assert!((flops.after(3 * step) - spent).abs() <= 1e-9 * spent, "step {step}");
        spent += 3.0 * 3.0 * each(model::seen_side(&spec, step));
    }
    assert!((flops.after(120) / spent - 1.0).abs() < 1e-12);
    // The plan knows shares alone.
    let seconds = |spec: &RunSpec| Estimator::new(None, None, 2).cost(spec).train_seconds;
    let whole = self::spec(json!({}));
    let expected = (0.2 * each(2) + 0.3 * each(4) + 0.5 * each(8)) / each(8);
    assert!((seconds(&spec) / seconds(&whole) / expected - 1.0).abs() < 1e-9);
    assert!(expected < 0.65, "{expected}");
}

#[test]
fn a_run_goes_on_with_the_crops_it_would_have_had_whatever_the_number_of_threads() {
    let (device, digits) = (Device::flex(), data::load_digits().expect("they are in the program"));
    let spec = papers();
    let steps = |trainer: &mut Trainer, count: usize| -> Vec<u64> {
        (0..count).map(|_| trainer.train_step().unwrap_or_else(|diverged| panic!("{}", diverged.0)).to_bits()).collect()
    };
    let mut whole = Trainer::new(&spec, &digits, &device, None, 1).expect("it can be trained");
    let first = steps(&mut whole, 7);
    let bytes = whole.checkpoint().to_bytes();
    let rest = steps(&mut whole, 7);
    let end = whole.checkpoint();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("threads");
    pool.install(|| {
        let mut again = Trainer::new(&spec, &digits, &device, None, 1).expect("it can be trained");
        assert_eq!(steps(&mut again, 7), first);
        let checkpoint = Checkpoint::from_bytes(&bytes, end.weights.len()).expect("written above").checkpoint;
        let mut resumed = Trainer::new(&spec, &digits, &device, Some(checkpoint), 1).expect("it goes on");
        assert_eq!(steps(&mut resumed, 7), rest);
        assert!(resumed.checkpoint() == end);
    });
    // In parts as whole, but for rounding.
    let mut in_parts = Trainer::new(&spec, &digits, &device, None, 2).expect("it can be trained");
    let loss = f64::from_bits(steps(&mut in_parts, 1)[0]);
    assert!((loss / f64::from_bits(first[0]) - 1.0).abs() < 1e-5, "{loss}");
}
