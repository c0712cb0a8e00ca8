//! Tokens that are aligned with what a frozen network sees, against PyTorch and in training.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Value as Json, json};
use speedlab::data::{self, Batch, DataFolder, Dataset, ImageFeatures, RgbImage};
use speedlab::evaluate::{SpatialEncoder, encoder_cost};
use speedlab::kernels::{Kernels, Products, TokenChoice};
use speedlab::model::vit::VitWeights;
use speedlab::model::{self, Detour, Dropout, TokenRoute};
use speedlab::spec::{Dinov2Encoder, EfficientnetEncoder, Encoder, RunSpec, decode_json};
use speedlab::study::{factor_bytes, training_flops};
use speedlab::train::{Checkpoint, PatchFeatures, Trainer, misalignment, of_shown, shapes};

use super::features;
use super::parity::{dot, formula, read_golden, reals};
use super::vit;

const NO_DROPOUT: Dropout = Dropout { seed: 0, step: 0, first_image: 0 };
const IMAGES: usize = 3;
/// Of `digits-cnn`.
const CHANNELS: usize = 64;

/// Planes that are made beforehand, whatever the images are; it counts the images that it is asked about.
#[derive(Debug, Default)]
struct Fake {
    planes: Vec<f32>,
    shape: (usize, usize),
    asked: AtomicUsize,
}

impl ImageFeatures for Fake {
    fn features(&self, pixels: &[f32]) -> Vec<f32> {
        let values = self.shape.0 * self.shape.1 * self.shape.1;
        let images = self.planes.len() / values;
        self.asked.fetch_add(images, Ordering::Relaxed);
        assert!(pixels.len().is_multiple_of(images));
        self.planes.clone()
    }

    fn shape(&self) -> (usize, usize) {
        self.shape
    }
}

/// Of images that are told apart by their number alone.
fn batch(images: usize) -> Batch {
    let indices = (0..images as u32).collect();
    Batch { indices, pixels: vec![0.0; images], labels: vec![0; images], mirrored: vec![false; images] }
}

/// `formula` from a later place on.
fn formula_from(start: usize, count: usize) -> Vec<f32> {
    formula(start + count)[start..].to_vec()
}

fn number(case: &Json, key: &str) -> usize {
    case[key].as_u64().unwrap_or_else(|| panic!("`{key}` of {case}")) as usize
}

fn spec_of(case: &Json) -> RunSpec {
    let mut model = json!({"class_conditional": case["classes"].is_number()});
    for key in ["kind", "patch", "dim", "depth", "heads", "mlp_ratio"] {
        model[key] = case[key].clone();
    }
    let alignment = json!({"weight": 0.5, "encoder": "digits-cnn", "block": case["block"], "hidden": case["hidden"]});
    let mut run = json!({"model": model, "auxiliary_losses": {"alignment": alignment}});
    if case["classes"].is_number() {
        // The digits have ten.
        let (side, classes) = (&case["side"], &case["classes"]);
        run["data"] = json!({"kind": "image_folder", "path": "x", "side": side, "channels": 1, "classes": classes, "held_out": 1});
    }
    decode_json(&run).expect("keys of a run")
}

/// The loss, the term alone, and the gradient by every parameter.
fn aligned(case: &Json, spec: &RunSpec, kernels: Kernels) -> (f64, f64, Vec<f32>) {
    let device = Device::flex();
    let side = number(case, "side");
    let mut network = model::build_for(spec, &device.clone().autodiff()).with_kernels(kernels);
    let mut weights = formula(model::parameter_count_for(spec));
    assert_eq!(weights.len(), number(case, "parameters"));
    let mut start = 0;
    for parameter in network.layout() {
        let norm = parameter.name.contains("norm") && parameter.name.ends_with(".weight");
        for weight in &mut weights[start..start + parameter.size()] {
            *weight = *weight * 0.2 + if norm { 1.0 } else { 0.0 };
        }
        start += parameter.size();
    }
    network.set_weights(Tensor::from_data(weights.as_slice(), &device));

    let encoder = Fake {
        planes: formula_from(7, IMAGES * 4 * 4 * CHANNELS),
        shape: (CHANNELS, 4),
        asked: AtomicUsize::default(),
    };
    let patches_side = side / number(case, "patch");
    let patches = patches_side * patches_side;
    let mut features = PatchFeatures::new(Arc::new(encoder), patches_side).of_batch(&batch(IMAGES));
    let block = number(case, "block");
    let mut route = TokenRoute::default();
    if !case["detour"].is_null() {
        let ends: Vec<usize> = reals(&case["detour"]).iter().map(|&block| block as usize).collect();
        let places: Vec<u32> = reals(&case["kept"]).iter().map(|&place| place as u32).collect();
        let kept = places.len() / IMAGES;
        let detour = Detour { first_block: ends[0], last_block: ends[1], kept, masked: false };
        let choice = TokenChoice::new(patches, kept, &places);
        if block < ends[1] {
            features = of_shown(&features, &choice);
        }
        route = TokenRoute::new(None, Some((detour, choice)));
    }
    let images = TensorData::new(formula(IMAGES * side * side), [IMAGES, 1, side, side]);
    let images = Tensor::<4>::from_data(images, &device);
    let times = Tensor::from_data([0.0f32, 7.0, 500.0], &device);
    let told: Option<Vec<u32>> =
        case["told"].as_array().map(|_| reals(&case["told"]).iter().map(|&class| class as u32).collect());
    let route = route.aligned_after(Some(block));
    let (output, seen) = network.forward_in_training(images.clone(), times, told.as_deref(), NO_DROPOUT, route);
    let there = features.len() / IMAGES / CHANNELS;
    let features = Tensor::<3>::from_data(TensorData::new(features, [IMAGES, there, CHANNELS]), &device);
    let features = features.permute([0, 2, 1]).reshape([IMAGES, CHANNELS, 1, there]);
    let term = misalignment(seen.projected.expect("the block was passed"), features);
    let loss = (output - images).square().mean() + term.clone() * 0.5;
    let value = |loss: &Tensor<1>| f64::from(loss.clone().inner().into_scalar::<f32>());
    let values = (value(&loss), value(&term));
    (values.0, values.1, network.gradients(loss).try_into_vec_as().expect("they are f32"))
}

/// tests/golden/alignment.json: the same networks in PyTorch, in f64 (scripts/golden/alignment.py). All tokens, those of a detour, behind it.
#[test]
fn the_loss_and_its_gradients_agree_with_pytorch() {
    for case in read_golden("alignment")["networks"].as_array().expect("cases") {
        for kernels in [Kernels::Plain(Products::F32), Kernels::Fused(Products::F32)] {
            let spec = spec_of(case);
            let what =
                format!("{} after block {} with detour {} by {kernels:?}", case["kind"], case["block"], case["detour"]);
            let (loss, term, gradients) = aligned(case, &spec, kernels);
            let expected = |key: &str| case[key].as_f64().expect("a number");
            assert!((loss - expected("loss")).abs() < 1e-5, "{what}: loss {loss} for {}", expected("loss"));
            assert!((term - expected("alignment")).abs() < 2e-6, "{what}: {term} for {}", expected("alignment"));
            let of_parameters = case["gradient_norms_and_projections"].as_array().expect("pairs");
            let layout = model::build_for(&spec, &Device::flex()).layout().to_vec();
            assert_eq!(of_parameters.len(), layout.len());
            let mut start = 0;
            for (parameter, expected) in layout.iter().zip(of_parameters) {
                let gradient = &gradients[start..start + parameter.size()];
                start += parameter.size();
                let (norm, projection) = (dot(gradient, gradient).sqrt(), dot(gradient, &formula(gradient.len())));
                let [expected_norm, expected_projection] = reals(expected)[..] else { panic!("two numbers") };
                assert!(
                    (norm - expected_norm).abs() < 1e-4 * expected_norm
                        && (projection - expected_projection).abs() < 1e-4 * expected_norm,
                    "{what}: gradient of {}: {norm} for {expected_norm}, {projection} for {expected_projection}",
                    parameter.name
                );
            }
            assert_eq!(start, gradients.len());
        }
    }
}

/// The same file: `adaptive_avg_pool2d` and `normalize`, also to more patches than there are pixels.
#[test]
fn features_are_averaged_over_patches_as_pytorch_does() {
    for case in read_golden("alignment")["pooling"].as_array().expect("cases") {
        let (pixels, patches) = (number(case, "pixels"), number(case, "patches"));
        let planes = formula(pixels * pixels * 3);
        let encoder = Fake { planes, shape: (3, pixels), asked: AtomicUsize::default() };
        let found = PatchFeatures::new(Arc::new(encoder), patches).of_batch(&batch(1));
        let expected = reals(&case["features"]);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{pixels} to {patches}: {found} for {expected}");
        }
    }
}

fn efficientnet(side: usize, stride: usize) -> SpatialEncoder {
    let encoder = Encoder::EfficientnetLite0(EfficientnetEncoder { side, stride });
    SpatialEncoder::new(encoder, (3, side), &features::weights).expect("weights of a formula")
}

/// The same file: the network in PyTorch, filled from the same formula.
#[test]
fn the_planes_of_efficientnet_are_pytorchs() {
    let image: RgbImage = features::image("alignment", 64, 64);
    for case in read_golden("alignment")["efficientnet"].as_array().expect("cases") {
        let stride = number(case, "stride");
        let encoder = efficientnet(64, stride);
        let found = encoder.features(&image.planes(3));
        let (channels, side) = encoder.shape();
        assert_eq!(reals(&case["shape"]), [side as f64, side as f64, channels as f64]);
        let expected = reals(&case["planes"]);
        let scale = expected.iter().fold(0f64, |most, value| most.max(value.abs()));
        let found: Vec<f32> = found.into_iter().step_by(97).collect();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-4 * scale, "stride {stride}: {found} for {expected}");
        }
    }
}

fn dinov2(name: &str, side: usize, tokens: usize, image_shape: (usize, usize)) -> SpatialEncoder {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let weights = VitWeights::open(&vit::small_weights(folder.path(), name)).expect("weights of a formula");
    SpatialEncoder::of_file(Dinov2Encoder { channels: 128, side }, &weights, tokens, image_shape)
        .expect("they are there")
}

/// The same file: timm's network on images as REPA's code prepares them, its positions moved as there.
#[test]
fn the_tokens_of_dinov2_are_those_that_repa_sees() {
    let image: RgbImage = features::image("alignment", 64, 64);
    for case in read_golden("alignment")["dinov2"].as_array().expect("cases") {
        let (name, side) = (case["name"].as_str().expect("a name"), number(case, "side"));
        let grid = side / 14;
        // Its own size, and one that is named.
        for encoder in [dinov2(name, 0, grid, (3, 64)), dinov2(name, side, 5, (3, 64))] {
            assert_eq!(encoder.shape(), (128, grid));
            let found = encoder.features(&image.planes(3));
            assert_eq!(found.len(), grid * grid * 128);
            let found: Vec<f32> = found.into_iter().step_by(97).collect();
            let expected = reals(&case["planes"]);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{name} at {side}: {found} for {expected}");
            }
        }
    }
}

/// Else a run that goes on with no features kept would go another way.
#[test]
fn the_features_of_an_image_are_the_same_bits_beside_any_others() {
    let digits = data::load_digits().expect("digits come with the program");
    let cnn = SpatialEncoder::new(Encoder::DigitsCnn, (1, 8), &features::weights).expect("it comes with the program");
    let colour: Vec<f32> = (0..20).flat_map(|index| features::image(&format!("{index}"), 32, 32).planes(3)).collect();
    for (encoder, pixels, image_values) in [
        (cnn, digits.test.pixels(0..20), 64),
        (efficientnet(32, 16), colour.clone(), 3 * 32 * 32),
        (dinov2("dinov2 with registers of timm", 0, 4, (3, 32)), colour, 3 * 32 * 32),
        (dinov2("dinov2 of its authors", 0, 4, (1, 8)), digits.test.pixels(0..20), 64),
    ] {
        let together = encoder.features(&pixels);
        let values = together.len() / 20;
        for image in [0, 7, 15, 16, 19] {
            let alone = encoder.features(&pixels[image * image_values..][..image_values]);
            assert!(alone == together[image * values..][..values], "image {image} of {encoder:?}");
            assert!(alone.iter().any(|value| *value != 0.0));
        }
    }
}

fn run(changes: Json) -> RunSpec {
    let mut run = json!({
        "model": {"kind": "dit", "patch": 2, "dim": 16, "depth": 3, "heads": 2},
        "auxiliary_losses": {"alignment": {"weight": 0.5, "encoder": "digits-cnn", "hidden": 12, "until": 0.4}},
        "train": {"steps": 10, "batch_size": 6, "log_every": 1},
    });
    for (key, value) in changes.as_object().expect("a map") {
        run[key] = value.clone();
    }
    decode_json(&run).expect("keys of a run")
}

fn with_alignment(settings: Json) -> RunSpec {
    run(json!({"auxiliary_losses": {"alignment": settings}}))
}

/// The digits with the encoder of a run, as the program loads it.
pub fn digits_for(spec: &RunSpec) -> Dataset {
    let mut digits = data::load_digits().expect("digits come with the program");
    if spec.auxiliary_losses.alignment.weight > 0.0 {
        let folder = DataFolder::find(None).expect("there is a folder for data");
        let encoder = SpatialEncoder::of_run(spec, &folder).expect("it sees digits").expect("tokens are aligned");
        digits.encoder = Some(Arc::new(encoder));
    }
    digits
}

fn steps(trainer: &mut Trainer, count: usize) -> Vec<f64> {
    (0..count).map(|_| trainer.train_step().map_err(|diverged| diverged.0).expect("it is stable")).collect()
}

fn trained(spec: &RunSpec, checkpoint: Option<Checkpoint>, parts: usize, count: usize) -> (Vec<f64>, Checkpoint) {
    let digits = digits_for(spec);
    let mut trainer = Trainer::new(spec, &digits, &Device::flex(), checkpoint, parts).expect("it can be trained");
    let losses = steps(&mut trainer, count);
    (losses, trainer.checkpoint())
}

#[test]
fn a_resumed_run_has_the_same_bits_and_parts_add_up() {
    let spec = run(json!({"data": {"kind": "digits"}}));
    let (losses, whole) = trained(&spec, None, 1, 7);
    let (_, early) = trained(&spec, None, 1, 3);
    let (resumed_losses, resumed) = trained(&spec, Some(early), 1, 4);
    assert_eq!(losses[3..], resumed_losses);
    assert_eq!((whole.weights, whole.ema_weights), (resumed.weights, resumed.ema_weights));
    let (in_parts, _) = trained(&spec, None, 3, 7);
    for (whole, in_parts) in losses.iter().zip(&in_parts) {
        assert!((whole - in_parts).abs() < 1e-4, "{whole} in one part, {in_parts} in three");
    }
}

/// Of the same weights, only the steps before `until` depend on the term; and nobody asks the encoder after it.
#[test]
fn after_its_share_of_the_steps_the_term_and_its_cost_are_gone() {
    let settings = |weight: f64, until: f64| {
        with_alignment(json!({"weight": weight, "encoder": "digits-cnn", "hidden": 12, "until": until}))
    };
    let spec = settings(0.5, 0.4);
    let (_, after_four) = trained(&spec, None, 1, 4);
    let go_on = |spec: &RunSpec| trained(spec, Some(after_four.clone()), 1, 6).1.weights;
    assert!(go_on(&spec) == go_on(&settings(0.9, 0.4)));
    assert!(go_on(&settings(0.5, 1.0)) != go_on(&settings(0.9, 1.0)));

    let mut digits = data::load_digits().expect("digits come with the program");
    let encoder =
        Arc::new(Fake { planes: formula(6 * 16 * CHANNELS), shape: (CHANNELS, 4), asked: AtomicUsize::default() });
    digits.encoder = Some(encoder.clone());
    let mut trainer = Trainer::new(&spec, &digits, &Device::flex(), None, 1).expect("it can be trained");
    steps(&mut trainer, 10);
    // The first epoch of 1442 images has each once.
    assert_eq!(encoder.asked.load(Ordering::Relaxed), 4 * 6);
}

#[test]
fn the_cost_is_that_of_the_projection_and_of_the_encoder_while_tokens_are_aligned() {
    let spec = run(json!({}));
    let without = with_alignment(json!({}));
    let [early, late] = [3, 4].map(|step| model::training_forward_flops(&spec, step));
    let (tokens, dim, hidden) = (16.0, 16.0, 12.0);
    assert_eq!(early - late, 2.0 * tokens * (dim * hidden + hidden * hidden + hidden * CHANNELS as f64));
    assert_eq!(late, model::forward_flops(&spec.model, spec.data.shape()));
    let encoder = encoder_cost(&spec.auxiliary_losses.alignment, 4).flops;
    let flops = training_flops(&spec).expect("Speedlab trains");
    assert_eq!(flops.after(24), 24.0 * (3.0 * early + encoder));
    assert_eq!(flops.after(60), 24.0 * (3.0 * early + encoder) + 36.0 * 3.0 * late);
    assert_eq!(training_flops(&without).expect("Speedlab trains").after(60), 60.0 * 3.0 * late);
    assert!(model::training_activation_bytes(&spec) > model::training_activation_bytes(&without));
    // Masks end later than the alignment: three phases.
    let masked = run(json!({
        "model": {"kind": "dit", "patch": 2, "dim": 16, "depth": 3, "heads": 2, "mask_token": true},
        "parameterization": "v", "token_masking": {"share": 0.5, "until": 0.7},
    }));
    let flops = training_flops(&masked).expect("Speedlab trains");
    let at = |step| 3.0 * model::training_forward_flops(&masked, step);
    let expected = 24.0 * (at(0) + encoder) + 18.0 * at(5) + 18.0 * at(9);
    assert!((flops.after(60) / expected - 1.0).abs() < 1e-12, "{flops:?}");
    assert!(at(0) < at(9) && at(5) < at(9));
    // Devices are compared and warmed up in each of them.
    assert_eq!(shapes(&masked).into_iter().map(|(_, start)| start).collect::<Vec<_>>(), [0, 4, 7]);
    // Steps of fewer images at first.
    // DINOv2's: 16 patches of 2 x 2 pixels and a class token, of 64 numbers each, and a hidden layer as wide.
    let weights = format!("{}/tests/golden/weights/dinov2.pth", env!("CARGO_MANIFEST_DIR"));
    let settings = json!({"weight": 0.5, "weights": weights, "encoder": {"kind": "dinov2", "channels": 64}});
    let settings = with_alignment(settings).auxiliary_losses.alignment;
    let products = 17 * (6 * 64 * 64 + 2 * 17 * 64) + 16 * 3 * 2 * 2 * 64;
    assert_eq!(encoder_cost(&settings, 4).flops, f64::from(2 * products));
    let growing =
        run(json!({"train": {"steps": 10, "batch_size": 6, "batch_schedule": [{"until": 0.2, "batch_size": 2}]}}));
    let flops = training_flops(&growing).expect("Speedlab trains");
    let aligned_images = 2.0 * 2.0 + 2.0 * 6.0;
    assert_eq!(flops.after(52), aligned_images * (3.0 * early + encoder) + 36.0 * 3.0 * late);
}

#[test]
fn a_projection_changes_nothing_else_of_a_network_and_is_no_part_of_its_prediction() {
    let device = Device::flex();
    let (with, without) = (run(json!({})), with_alignment(json!({})));
    let weights = |spec: &RunSpec| -> Vec<f32> {
        model::build_for(spec, &device).weights().try_into_vec_as().expect("they are f32")
    };
    let (of_aligned, plain) = (weights(&with), weights(&without));
    let projection = 16 * 12 + 12 + 12 * 12 + 12 + 12 * CHANNELS + CHANNELS;
    assert_eq!(of_aligned.len(), plain.len() + projection);
    assert_eq!(of_aligned[..plain.len()], plain);
    let predicted = |by: f32| -> Vec<f32> {
        let mut network = model::build_for(&with, &device);
        let mut weights = of_aligned.clone();
        weights.iter_mut().for_each(|weight| *weight += 0.01);
        weights[plain.len()..].iter_mut().for_each(|weight| *weight += by);
        network.set_weights(Tensor::from_data(weights.as_slice(), &device));
        let images = Tensor::<4>::from_data(TensorData::new(formula(2 * 64), [2, 1, 8, 8]), &device);
        network.forward(images, Tensor::from_data([3.0f32, 700.0], &device), None, None).try_into_vec_as().expect("f32")
    };
    assert_eq!(predicted(0.0), predicted(1.0));
    // Who forgets to load the encoder is told.
    let digits = data::load_digits().expect("digits come with the program");
    let error = Trainer::new(&with, &digits, &device, None, 1).err().expect("it is refused").to_string();
    assert_eq!(error, "the run aligns tokens, and nobody has loaded its `auxiliary_losses.alignment.encoder`");
}

/// What a checkpoint holds of SOAP beside the number of its updates, and the parameters of the whole network.
#[test]
fn soap_keeps_the_factors_that_are_estimated_also_where_tokens_are_aligned() {
    for (weight, largest_side) in [(0.0, 64), (0.5, 64), (0.5, 16)] {
        let spec = run(json!({
            "auxiliary_losses": {"alignment": {"weight": weight, "encoder": "digits-cnn", "hidden": 24}},
            "optimizer": {"kind": "soap", "largest_side": largest_side},
        }));
        let (_, checkpoint) = trained(&spec, None, 1, 2);
        let kept = (checkpoint.factors.len() - 1) * size_of::<f32>();
        assert!(kept > 0);
        assert_eq!(factor_bytes(&spec), kept as f64, "{weight} {largest_side}");
        assert_eq!(model::parameter_count_for(&spec), checkpoint.weights.len());
    }
}
