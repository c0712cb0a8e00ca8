//! DiT and U-ViT against PyTorch, and in training.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;
use speedlab::data;
use speedlab::model;
use speedlab::plan::plan_text;
use speedlab::spec::{DataShape, DitModel, Model, UvitModel, decode_json};
use speedlab::train::Trainer;

use super::parity::{Asked, agrees_with_pytorch, formula, read_golden, reals};

fn golden() -> Value {
    read_golden("dit")
}

fn model_of(case: &Value) -> (Model, DataShape) {
    let mut written = serde_json::json!({"class_conditional": case["classes"].is_number()});
    if case["outputs"].is_number() {
        written["learned_sigma"] = true.into();
    }
    for key in ["kind", "patch", "dim", "depth", "heads", "mlp_ratio"] {
        written[key] = case[key].clone();
    }
    let number = |key: &str| case[key].as_u64().map(|number| number as usize);
    let shape =
        DataShape { channels: number("images").unwrap(), side: number("side").unwrap(), classes: number("classes") };
    (decode_json(&written).unwrap(), shape)
}

/// tests/golden/dit.json: the same networks in PyTorch, in f64 (scripts/golden/networks.py).
#[test]
fn the_transformers_and_their_gradients_agree_with_pytorch() {
    for case in golden()["cases"].as_array().unwrap() {
        let (model, shape) = model_of(case);
        let classes = case["told"].as_array().map(|_| reals(&case["told"]).iter().map(|&class| class as u32).collect());
        agrees_with_pytorch(&model, Asked { shape, classes, weight_scale: 0.2 }, case);
    }
}

/// The 44 million of the paper's table of CIFAR-10 models.
#[test]
fn the_published_uvit_has_the_published_number_of_parameters() {
    let model = Model::Uvit(UvitModel { dim: 512, depth: 12, heads: 8, ..UvitModel::default() });
    assert_eq!(
        model::parameter_count(&model, (3, 32)) as u64,
        golden()["published_sizes"]["uvit-s/2"]["with_positions"]
    );
}

#[test]
fn a_model_that_cannot_be_built_is_refused_with_the_reason() {
    let refused = |model: Model| model::check(&model, (1, 8)).unwrap_err().to_string();
    let dit = |change: fn(&mut DitModel)| {
        let mut dit = DitModel::default();
        change(&mut dit);
        refused(Model::Dit(dit))
    };
    let uvit = |change: fn(&mut UvitModel)| {
        let mut uvit = UvitModel::default();
        change(&mut uvit);
        refused(Model::Uvit(uvit))
    };
    assert_eq!(dit(|dit| dit.heads = 0), "model.heads is 0");
    assert_eq!(dit(|dit| dit.patch = 3), "model.patch: patches of 3 pixels do not divide images of side 8");
    assert_eq!(dit(|dit| dit.heads = 3), "model.dim is 128, which is no multiple of 3");
    assert_eq!(
        dit(|dit| {
            dit.dim = 6;
            dit.heads = 2;
        }),
        "model.dim is 6, which is no multiple of 4"
    );
    assert_eq!(uvit(|uvit| uvit.depth = 3), "model.depth is 3, which is no multiple of 2");
    assert_eq!(uvit(|uvit| uvit.mlp_ratio = 0), "model.mlp_ratio is 0");
    let told = "model.class_conditional is true, but the images have no classes";
    assert_eq!(dit(|dit| dit.class_conditional = true), told);
}

/// A patch of the whole image and of one pixel, a batch that fills no vector, one pixel of many channels.
#[test]
fn a_fresh_dit_predicts_zeros_of_the_shape_of_its_input_whatever_the_patch() {
    let device = Device::flex();
    for (patch, side, channels, batch) in [(1, 4, 1, 3), (4, 4, 3, 17), (2, 6, 2, 70)] {
        let model = Model::Dit(DitModel { patch, dim: 16, depth: 1, heads: 2, ..DitModel::default() });
        let network = model::build(&model, (channels, side), 1, &device);
        let images = TensorData::new(formula(batch * channels * side * side), [batch, channels, side, side]);
        let timesteps: Vec<f32> = (0..batch).map(|index| (13 * index) as f32).collect();
        let output = network.forward(
            Tensor::from_data(images, &device),
            Tensor::from_data(timesteps.as_slice(), &device),
            None,
            None,
        );
        assert_eq!(output.dims(), [batch, channels, side, side]);
        assert!(output.try_into_vec_as::<f32>().unwrap().iter().all(|&value| value == 0.0));
    }
}

#[test]
fn small_transformers_learn_digits_with_and_without_classes() {
    let text = "
name: transformers
base:
  train: { steps: 150, batch_size: 32 }
  optimizer: { kind: adam, learning_rate: 2.0e-3 }
  evaluate: { fid: { samples: 10 } }
arms:
  dit: { model: { kind: dit, patch: 2, dim: 32, depth: 2, heads: 2 } }
  told: { model: { kind: dit, patch: 4, dim: 32, depth: 2, heads: 4, class_conditional: true, class_dropout: 0.2 } }
  uvit: { model: { kind: uvit, patch: 2, dim: 32, depth: 2, heads: 2, class_conditional: true } }
seeds: 1
";
    let plan = plan_text(Path::new("sweep.yaml"), text, &[]).unwrap_or_else(|error| panic!("{error}"));
    for run in &plan.runs {
        let dataset = data::load_digits().unwrap();
        let mut trainer = Trainer::new(&run.spec, &dataset, &Device::flex(), None, 1).unwrap();
        let losses: Vec<f64> = (0..150).map(|_| trainer.train_step().unwrap()).collect();
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&losses[..10]), mean(&losses[130..]));
        assert!(last < 0.6 * first && last < 0.5, "{}: {first} at first, {last} at last", run.arm);
    }
}
