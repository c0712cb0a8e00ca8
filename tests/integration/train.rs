//! Training losses against outside references, and batches computed in parts against whole ones.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use speedlab::data;
use speedlab::diffusion::ForwardProcess;
use speedlab::kernels::multiplies_bf16;
use speedlab::plan::plan_text;
use speedlab::spec::{AdamOptimizer, NoiseSchedule, Optimizer, Precision, RunSpec};
use speedlab::train::{Checkpoint, HybridLoss, Trainer};

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

/// A UNet; an ADM that draws all there is to draw, with classes, dropout and a learned variance; a sampler that observes losses; DiTs some of
/// whose tokens go around blocks or are masked, the latter in two steps of three.
///
/// The epsilon of Adam is large, so that gradients which are nothing but rounding (such as those of the keys' biases) do not
/// move weights as far as others do.
fn parts_runs() -> Vec<(String, RunSpec)> {
    let text = "
name: parts
base:
  optimizer: { kind: adam, learning_rate: 1.0e-3, epsilon: 1.0e-6 }
  train: { steps: 3, batch_size: 10, log_every: 1 }
  evaluate: { validation: { bins: 2 }, fid: { samples: 10, ode: { kind: ddim, steps: 2 } } }
arms:
  unet:
    model: { kind: unet, channels: 16 }
  everything:
    model:
      kind: adm
      channels: 16
      norm_groups: 8
      dropout: 0.2
      class_conditional: true
      class_dropout: 0.3
      learned_sigma: true
    noise: { kind: immiscible }
    loss_weighting: { kind: min_snr }
  observing:
    noise_schedule: { kind: cosine, timesteps: 4 }
    timestep_sampler: { kind: loss_second_moment, history: 2 }
    loss_weighting: { kind: min_snr }
    model: { kind: unet, channels: 16, dropout: 0.2 }
  routed:
    model: { kind: dit, dim: 32, depth: 3, heads: 2 }
    parameterization: v
    token_routing: { share: 0.4, first_block: 2, last_block: 3 }
  masked:
    model: { kind: dit, dim: 32, depth: 3, heads: 2, mask_token: true, learned_sigma: true }
    parameterization: epsilon
    token_masking: { share: 0.4, decoder_blocks: 1, reconstruction: 0, until: 0.6 }
seeds: 1
";
    let plan = plan_text(Path::new("sweep.yaml"), text, &[]).unwrap_or_else(|error| panic!("{error}"));
    plan.runs.into_iter().map(|run| (run.arm, run.spec)).collect()
}

/// What three steps in parts came to.
struct ThreeSteps {
    losses: Vec<f64>,
    gradient_norms: Vec<f64>,
    start: Vec<f32>,
    weights: Vec<f32>,
    /// The losses that the timestep sampler heard, and how many.
    heard: Vec<f32>,
}

fn three_steps(spec: &RunSpec, micro_batches: usize) -> ThreeSteps {
    let dataset = data::load_digits().unwrap();
    let mut trainer = Trainer::new(spec, &dataset, &Device::flex(), None, micro_batches).unwrap();
    let start = trainer.checkpoint().weights;
    let (mut losses, mut gradient_norms) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        losses.push(trainer.train_step().unwrap_or_else(|diverged| panic!("{}", diverged.0)));
        gradient_norms.push(trainer.recorded_mean().unwrap().gradient_norm);
    }
    let end = trainer.checkpoint();
    ThreeSteps { losses, gradient_norms, start, weights: end.weights, heard: end.sampler_state }
}

/// |a - b| over |b|.
fn relative_difference(a: impl Iterator<Item = f64>, b: impl Iterator<Item = f64>) -> f64 {
    let (mut difference, mut norm) = (0f64, 0f64);
    for (a, b) in a.zip(b) {
        difference += (a - b) * (a - b);
        norm += b * b;
    }
    (difference / norm).sqrt()
}

#[test]
fn a_batch_in_parts_trains_as_a_whole_one_does() {
    for (arm, spec) in parts_runs() {
        let whole = three_steps(&spec, 1);
        let (weights, start) = (&whole.weights, &whole.start);
        assert!(weights.iter().zip(start).filter(|(weight, start)| weight != start).count() > start.len() / 2, "{arm}");
        assert_eq!(!whole.heard.is_empty(), arm == "observing");
        // 10 is the batch; of more parts than images there are as many as images.
        for micro_batches in [2, 3, 10, 11] {
            let parts = three_steps(&spec, micro_batches);
            let what = format!("{arm} in {micro_batches} parts");
            let close = |name: &str, found: &[f64], expected: &[f64]| {
                for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
                    let error = (found / expected - 1.0).abs();
                    assert!(error < 1e-5, "{what}, {name} of step {step}: {found} for {expected}, {error:.1e}");
                }
            };
            close("loss", &parts.losses, &whole.losses);
            close("gradient norm", &parts.gradient_norms, &whole.gradient_norms);
            assert_eq!(parts.start, whole.start, "{what}");
            let moved = |steps: &ThreeSteps| -> Vec<f64> {
                let pairs = steps.weights.iter().zip(&steps.start);
                pairs.map(|(weight, start)| f64::from(*weight) - f64::from(*start)).collect()
            };
            let error = relative_difference(moved(&parts).into_iter(), moved(&whole).into_iter());
            assert!(error < 1e-3, "{what}: the weights moved elsewhere by {error:.1e}");
            let reals = |steps: &ThreeSteps| -> Vec<f64> { steps.weights.iter().copied().map(f64::from).collect() };
            let error = relative_difference(reals(&parts).into_iter(), reals(&whole).into_iter());
            assert!(error < 2e-6, "{what}: the weights differ by {error:.1e}");
            assert_eq!(parts.heard.len(), whole.heard.len(), "{what}");
            for (found, expected) in parts.heard.iter().zip(&whole.heard) {
                assert!((found - expected).abs() <= 1e-5 * expected.abs(), "{what} heard {found} for {expected}");
            }
        }
    }
}

#[test]
fn a_batch_in_parts_that_diverges_says_so() {
    let (_, mut spec) = parts_runs().remove(0);
    spec.optimizer = Optimizer::Adam(AdamOptimizer { learning_rate: 1e12, ..AdamOptimizer::default() });
    spec.train.clip_norm = 0.0;
    spec.train.steps = 60;
    let dataset = data::load_digits().unwrap();
    for micro_batches in [1, 3] {
        let mut trainer = Trainer::new(&spec, &dataset, &Device::flex(), None, micro_batches).unwrap();
        let reason = (0..60).find_map(|_| trainer.train_step().err()).expect("weights of 1e12 overflow").0;
        assert!(reason.starts_with("the loss is ") || reason.starts_with("the gradient's norm is "), "{reason}");
        assert!(reason.ends_with(&format!(" at step {}", trainer.step() + 1)), "{reason}");
    }
}

#[test]
fn the_cpu_is_refused_a_run_in_a_precision_that_it_lacks() {
    let (_, mut spec) = parts_runs().remove(0);
    let dataset = data::load_digits().unwrap();
    let f32_loss = Trainer::new(&spec, &dataset, &Device::flex(), None, 1).unwrap().train_step().ok().unwrap();
    for precision in [Precision::Bf16, Precision::Tf32] {
        spec.train.precision = precision;
        match Trainer::new(&spec, &dataset, &Device::flex(), None, 1) {
            Ok(mut trainer) => {
                assert!(precision == Precision::Bf16 && multiplies_bf16());
                let loss = trainer.train_step().ok().unwrap();
                assert!((loss / f32_loss - 1.0).abs() < 0.01, "{loss} is not near {f32_loss}");
            }
            Err(refused) => {
                let expected = format!("cannot train with `train.precision: {}`: th", precision.name());
                assert!(refused.to_string().starts_with(&expected), "{refused}");
            }
        }
    }
}

/// Ten steps of schedule-free AdamW with a warm-up, and of Adam, with each average.
fn averaging_runs() -> Vec<(String, RunSpec)> {
    let text = "
name: averaging
base:
  model: { kind: unet, channels: 8, norm_groups: 4 }
  optimizer: { kind: adam }
  train: { steps: 10, batch_size: 4, warmup_steps: 3, ema_decay: 0.9, post_hoc: { every: 4 } }
  evaluate: { weights: own }
arms:
  schedule-free: { optimizer: { kind: schedule_free_adamw, weight_decay: 0.1 } }
  exponential: {}
  half-life: { train: { ema: { kind: half_life, images: 16, ramp_up: 0.5 } } }
  power: { train: { ema: { kind: power, sigma_rel: 0.2 } } }
seeds: 1
";
    let plan = plan_text(Path::new("sweep.yaml"), text, &[]).unwrap_or_else(|error| panic!("{error}"));
    plan.runs.into_iter().map(|run| (run.arm, run.spec)).collect()
}

#[test]
fn runs_go_on_from_a_checkpoint_bit_for_bit_under_every_average_and_without_a_schedule() {
    let dataset = data::load_digits().unwrap();
    let device = Device::flex();
    let values = |weights: Tensor<1>| weights.into_data().try_into_vec::<f32>().unwrap();
    let mut averages = Vec::new();
    for (arm, spec) in averaging_runs() {
        let mut straight = Trainer::new(&spec, &dataset, &device, None, 1).unwrap();
        let start = straight.checkpoint();
        assert!(start.weights == start.ema_weights, "{arm}");
        let mut resumed: Option<Trainer> = None;
        for step in 1..=10 {
            let loss = straight.train_step().unwrap_or_else(|diverged| panic!("{arm}: {}", diverged.0));
            if let Some(resumed) = &mut resumed {
                let again = resumed.train_step().unwrap_or_else(|diverged| panic!("{arm}: {}", diverged.0));
                assert_eq!(again.to_bits(), loss.to_bits(), "{arm}, step {step}");
            }
            let kept = straight.kept_averages();
            assert_eq!(kept.is_some(), [4, 8, 10].contains(&step), "{arm}, step {step}");
            if let (Some(kept), Some(resumed)) = (kept, &resumed) {
                assert!(resumed.kept_averages() == Some(kept), "{arm}, step {step}");
            }
            if step == 2 || step == 6 {
                let bytes = straight.checkpoint().to_bytes();
                let checkpoint = Checkpoint::from_bytes(&bytes, start.weights.len()).unwrap().checkpoint;
                resumed = Some(Trainer::new(&spec, &dataset, &device, Some(checkpoint), 1).unwrap());
            }
        }
        let end = straight.checkpoint();
        assert!(end == resumed.unwrap().checkpoint(), "{arm}");
        // What is measured is what a checkpoint keeps: of schedule-free AdamW x, and not where the gradient is taken.
        assert!(values(straight.raw_network().weights()) == end.weights, "{arm}");
        assert!(values(straight.ema_network().weights()) == end.ema_weights, "{arm}");
        assert!(end.weights != end.ema_weights && end.weights != start.weights, "{arm}");
        assert!(end.post_hoc[0] != end.post_hoc[1] && !end.post_hoc[0].is_empty(), "{arm}");
        let mut without = end.clone();
        without.post_hoc = Default::default();
        let refused = Trainer::new(&spec, &dataset, &device, Some(without), 1).err().expect("it lacks averages");
        assert_eq!(refused.to_string(), "the checkpoint is damaged: it lacks the averages of `train.post_hoc`");
        averages.push(end);
    }
    let [schedule_free, exponential, half_life, power] = averages.try_into().expect("four arms");
    // An average changes no training.
    assert!(exponential.weights == half_life.weights && exponential.weights == power.weights);
    assert!(exponential.ema_weights != half_life.ema_weights && exponential.ema_weights != power.ema_weights);
    assert!(schedule_free.weights != exponential.weights);
    // z leads, x follows.
    assert!(schedule_free.first_moment != schedule_free.weights);
}
