//! Feature networks against PyTorch's, filled from one formula.

use std::path::Path;

use serde::Deserialize;
use speedlab::data::{RgbImage, decode_rgb};
use speedlab::evaluate::{Activations, FrozenNetwork, WeightsError};
use speedlab::kernels::{Products, multiplies_bf16};
use speedlab::spec::{Features, Resize};

/// The formula of scripts/golden/inception.py: FNV-1a of the name, then a mix of it and the index; in [-1, 1).
pub fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let hash = name.bytes().fold(2_166_136_261u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    (0..count).map(move |index| {
        let mut x = (index as u32).wrapping_mul(2_654_435_761).wrapping_add(hash);
        for _ in 0..2 {
            x = (x ^ (x >> 16)).wrapping_mul(0x45D_9F3B);
        }
        x ^= x >> 16;
        f64::from(x) / 2f64.powi(31) - 1.0
    })
}

pub fn weights(name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
    let inputs: usize = shape[1..].iter().product();
    let scaled = |value: f64| match name {
        _ if name.ends_with("running_var") => 1.0 + 0.25 * value,
        _ if name.ends_with("running_mean") || name.ends_with("bias") => 0.1 * value,
        _ if shape.len() == 1 => 1.0 + 0.1 * value,
        _ => value * (6.0 / inputs as f64).sqrt(),
    };
    Ok(uniform(name, shape.iter().product()).map(|value| scaled(value) as f32).collect())
}

/// Smooth waves and noise, as the script makes them.
pub fn image(name: &str, height: usize, width: usize) -> RgbImage {
    let mut noise = uniform(name, height * width * 3);
    let mut bytes = Vec::with_capacity(height * width * 3);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                let wave = (x as f64 * (channel + 1) as f64 * 0.37 + y as f64 * 0.21).sin();
                let value = 127.5 + 80.0 * wave + 40.0 * noise.next().expect("a number for each value");
                bytes.push(value.round_ties_even().clamp(0.0, 255.0) as u8);
            }
        }
    }
    RgbImage { width, height, bytes }
}

#[derive(Deserialize)]
struct Case {
    image: String,
    height: usize,
    width: usize,
    resize: Resize,
    /// By the number of values; every eighth of the longer ones.
    features: std::collections::BTreeMap<String, Vec<f64>>,
}

/// |found - expected| / |expected|, as vectors.
fn relative_error(found: impl Iterator<Item = f64>, expected: &[f64]) -> f64 {
    let found: Vec<f64> = found.collect();
    assert_eq!(found.len(), expected.len());
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let error = squares(&mut found.iter().zip(expected).map(|(found, expected)| found - expected));
    (error / squares(&mut expected.iter().copied())).sqrt()
}

#[test]
fn inception_sees_what_pytorch_fid_torch_fidelity_and_clean_fid_see() {
    let golden = include_str!("../golden/inception.json");
    let cases: Vec<Case> = golden.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(cases.len(), 6);
    let layers =
        [Features::InceptionV3At64, Features::InceptionV3At192, Features::InceptionV3At768, Features::InceptionV3];
    for case in cases {
        let image = image(&case.image, case.height, case.width);
        for features in layers {
            let network = FrozenNetwork::new(features, case.resize, Products::F32, &weights).unwrap();
            // Beside another image, in another lane.
            let both = [RgbImage { bytes: vec![0; image.bytes.len()], ..image.clone() }, image.clone()];
            let found = network.features(&both);
            let found = &found[network.dimension()..];
            let step = if network.dimension() < 256 { 1 } else { 8 };
            let error = |found: &[f32], expected| {
                relative_error(found.iter().step_by(step).map(|&value| f64::from(value)), expected)
            };
            let of_features = error(found, &case.features[&network.dimension().to_string()]);
            println!("{} {} {}: {of_features:.1e}", case.image, case.resize.name(), features.name());
            assert!(of_features < 1e-5, "{} {} {}: {of_features}", case.image, case.resize.name(), features.name());
            if features == Features::InceptionV3 {
                let Activations { features: again, spatial } = network.activations(&both, true);
                assert_eq!(again[network.dimension()..], *found);
                let spatial = &spatial[network.spatial_dimension().expect("Inception has them")..];
                let of_spatial = error(spatial, &case.features["2023"]);
                println!("{} {} spatial: {of_spatial:.1e}", case.image, case.resize.name());
                assert!(of_spatial < 1e-5, "{} {} spatial: {of_spatial}", case.image, case.resize.name());
            }
            if let (Features::InceptionV3, Some(logits)) = (features, case.features.get("1008")) {
                let of_logits = error(&network.logits(found).unwrap(), logits);
                assert!(of_logits < 1e-5, "logits: {of_logits}");
            }
        }
    }
}

/// Of the network as a whole, where the processor has instructions for it: without them it takes long, and layer by layer it is tested.
#[test]
fn features_in_bf16_are_near_those_in_f32() {
    if !multiplies_bf16() {
        eprintln!("skipped: this processor does not multiply in bf16");
        return;
    }
    let images = [image("first", 40, 32), image("second", 40, 32)];
    for features in [Features::InceptionV3, Features::EfficientnetLite0] {
        let [exact, rounded] = [Products::F32, Products::Bf16]
            .map(|products| FrozenNetwork::new(features, Resize::Customary, products, &weights).unwrap());
        let found = rounded.features(&images);
        let expected: Vec<f64> = exact.features(&images).into_iter().map(f64::from).collect();
        let error = relative_error(found.iter().map(|&value| f64::from(value)), &expected);
        println!("{}: {error:.1e}", features.name());
        assert!(error > 1e-6 && error < 0.02, "{}: {error}", features.name());
        let with_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| rounded.features(&images[..1]))
        };
        assert_eq!(with_threads(1), with_threads(2), "bit for bit");
    }
}

#[derive(Deserialize)]
struct Photograph {
    image: String,
    features: Vec<f64>,
    classes: Vec<(usize, f64)>,
}

/// Of real photographs, with the real weights, where these were fetched.
pub fn efficientnet_knows_photographs(weights: &Path) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/efficientnet");
    let network = FrozenNetwork::load(Features::EfficientnetLite0, Resize::Clean, Products::F32, weights).unwrap();
    let golden = include_str!("../golden/efficientnet/efficientnet.json");
    for line in golden.lines() {
        let expected: Photograph = serde_json::from_str(line).unwrap();
        let features = network.features(&[decode_rgb(&folder.join(&expected.image)).unwrap()]);
        let error = relative_error(features.iter().step_by(8).map(|&value| f64::from(value)), &expected.features);
        assert!(error < 1e-4, "{}: {error}", expected.image);
        let logits = network.logits(&features).unwrap();
        let largest = logits.iter().copied().fold(f32::MIN, f32::max);
        let shares: Vec<f64> = logits.iter().map(|logit| f64::from(logit - largest).exp()).collect();
        let total: f64 = shares.iter().sum();
        for (class, share) in expected.classes {
            assert!((shares[class] / total - share).abs() < 1e-3, "{} class {class}", expected.image);
        }
    }
}
