//! The maximal update parametrization: what a few steps change in networks of several widths.

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Value as Json, json};
use speedlab::data;
use speedlab::model::{Dropout, Network, TokenRoute};
use speedlab::spec::{RunSpec, decode_json};
use speedlab::train::Trainer;

use super::parity::formula;

const IMAGES: usize = 4;
const BASE_WIDTH: usize = 16;
const STEPS: usize = 4;

fn spec(kind: &str, width: usize, has_mup: bool) -> RunSpec {
    let heads = width / BASE_WIDTH;
    let model = match kind {
        "dit" => json!({"kind": kind, "patch": 4, "dim": width, "depth": 2, "heads": heads}),
        "uvit" => json!({"kind": kind, "patch": 4, "dim": width, "depth": 2, "heads": heads}),
        other => panic!("{other}"),
    };
    let mup = if has_mup { json!({"base_width": BASE_WIDTH, "base_heads": 1}) } else { json!({}) };
    let run = json!({
        "model": model,
        "optimizer": {"kind": "adam", "learning_rate": 3e-3, "mup": mup},
        "train": {"steps": 100, "batch_size": 8, "clip_norm": 0.0},
    });
    decode_json(&run).expect("these are keys of a run")
}

/// The tokens after the last block.
fn activations(kind: &str, network: &Network) -> Vec<f32> {
    let device = Device::flex();
    let images = TensorData::new(formula(IMAGES * 64), [IMAGES, 1, 8, 8]);
    let times = Tensor::<1>::from_data([10.0, 200.0, 500.0, 900.0], &device);
    let last_block = if kind == "dit" { 2 } else { 3 };
    let dropout = Dropout { seed: 0, step: 0, first_image: 0 };
    let route = TokenRoute::new(Some(last_block), None);
    let images = Tensor::<4>::from_data(images, &device);
    let (_, seen) = network.forward_in_training(images, times, None, dropout, route);
    seen.tokens.expect("they are looked at").try_into_vec_as().expect("they are f32")
}

/// The root of the mean squared change of the activations in a few steps of Adam.
fn change(kind: &str, width: usize, has_mup: bool) -> f64 {
    let digits = data::load_digits().expect("they are in the program");
    let spec = spec(kind, width, has_mup);
    let mut trainer = Trainer::new(&spec, &digits, &Device::flex(), None, 1).expect("it can be trained");
    let before = activations(kind, &trainer.raw_network());
    for _ in 0..STEPS {
        trainer.train_step().unwrap_or_else(|diverged| panic!("{}", diverged.0));
    }
    let after = activations(kind, &trainer.raw_network());
    let squares = after.iter().zip(&before).map(|(after, before)| f64::from(after - before).powi(2));
    (squares.sum::<f64>() / before.len() as f64).sqrt()
}

/// The coordinate check of Tensor Programs V (Yang and Hu et al. 2022, arXiv 2203.03466, appendix D.1).
#[test]
fn a_few_steps_change_activations_as_much_at_every_width_and_without_mup_more_the_wider_they_are() {
    for kind in ["dit", "uvit"] {
        let widths = [1, 2, 4].map(|times| times * BASE_WIDTH);
        let [with, without] = [true, false].map(|has_mup| widths.map(|width| change(kind, width, has_mup)));
        println!("{kind}: with {with:.4?}, without {without:.4?}");
        assert_eq!(with[0].to_bits(), without[0].to_bits(), "{kind}: the base width is as ever");
        let grown = |changes: [f64; 3]| changes[2] / changes[0];
        assert!((0.6..1.6).contains(&grown(with)), "{kind}: {with:?}");
        assert!(grown(without) > 1.6 * grown(with), "{kind}: {with:?} and without {without:?}");
    }
}

#[test]
fn a_run_goes_on_from_a_checkpoint_with_the_learning_rates_of_its_width() {
    let digits = data::load_digits().expect("they are in the program");
    let (device, spec) = (Device::flex(), spec("dit", 2 * BASE_WIDTH, true));
    let steps = |trainer: &mut Trainer| -> Vec<u64> {
        (0..2).map(|_| trainer.train_step().unwrap_or_else(|diverged| panic!("{}", diverged.0)).to_bits()).collect()
    };
    let mut whole = Trainer::new(&spec, &digits, &device, None, 1).expect("it can be trained");
    steps(&mut whole);
    let mut resumed = Trainer::new(&spec, &digits, &device, Some(whole.checkpoint()), 1).expect("it goes on");
    assert_eq!(steps(&mut resumed), steps(&mut whole));
    assert!(resumed.checkpoint() == whole.checkpoint());
}

/// `base_width: 0` is no base: the key may stand in a base and be switched off by an arm.
#[test]
fn runs_without_mup_keep_their_ids() {
    let id = |optimizer: Json| {
        let spec: RunSpec = decode_json(&json!({ "optimizer": optimizer })).expect("a run");
        speedlab::spec::RunId::of(&spec)
    };
    assert_eq!(id(json!({"kind": "adam"})), id(json!({"kind": "adam", "mup": {"base_width": 0}})));
    assert_ne!(id(json!({"kind": "adam"})), id(json!({"kind": "adam", "mup": {"base_width": 32}})));
}
