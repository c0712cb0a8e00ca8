//! Stable Diffusion's autoencoder against diffusers', filled from one formula.

use std::collections::BTreeMap;

use burn::tensor::Device;
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Deserialize;
use speedlab::kernels::{Kernels, Products};
use speedlab::model::autoencoder::{AutoencoderHalf, AutoencoderWeights, Direction};

use crate::features::{uniform, weights};

#[derive(Deserialize)]
struct Golden {
    side: usize,
    step: usize,
    tensors: BTreeMap<String, Vec<usize>>,
    moments: BTreeMap<String, Vec<f64>>,
    decoded: BTreeMap<String, Vec<f64>>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/vae.json")).unwrap()
}

/// A tensor of a file: shape and values.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn tensors() -> Tensors {
    let of = |(name, shape): (String, Vec<usize>)| {
        let values = weights(&name, &shape).unwrap();
        (name, (shape, values))
    };
    golden().tensors.into_iter().map(of).collect()
}

/// The bytes of a file of such numbers.
pub fn file(tensors: &Tensors, dtype: Dtype) -> Vec<u8> {
    let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            let bytes = match dtype {
                Dtype::F16 => values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect(),
                Dtype::BF16 => values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect(),
                _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            };
            (name, shape, bytes)
        })
        .collect();
    let views =
        bytes.iter().map(|(name, shape, bytes)| (*name, TensorView::new(dtype, (*shape).clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

/// The weights of a small autoencoder, for tests of whole studies.
pub fn small_autoencoder() -> Vec<u8> {
    file(&tensors(), Dtype::F32)
}

/// |found - expected| / |expected|, as vectors.
pub fn relative_error(found: impl Iterator<Item = f32>, expected: &[f64]) -> f64 {
    let found: Vec<f64> = found.map(f64::from).collect();
    assert_eq!(found.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    norm(&mut found.iter().zip(expected).map(|(found, expected)| found - expected))
        / norm(&mut expected.iter().copied())
}

/// The errors of moments and of images, beside another image in the batch.
fn errors(bytes: &[u8], kernels: Option<Kernels>) -> [f64; 2] {
    let Golden { side, step, moments, decoded, .. } = golden();
    let weights = AutoencoderWeights::read(bytes, None).unwrap();
    let half = |direction| {
        let half = AutoencoderHalf::new(&weights, direction, side / 8, &Device::flex()).unwrap();
        match kernels {
            Some(kernels) => half.with_kernels(kernels),
            None => half,
        }
    };
    let both = |names: Vec<&String>, count: usize, factor: f64| -> Vec<f32> {
        names
            .iter()
            .flat_map(|name| uniform(name, count).map(|value| (factor * value) as f32).collect::<Vec<_>>())
            .collect()
    };
    let images = both(moments.keys().collect(), 3 * side * side, 1.0);
    let encoded = half(Direction::Encode).forward(&images, [3, side]);
    let latents = both(decoded.keys().collect(), 4 * (side / 8).pow(2), 3.0);
    let pictures = half(Direction::Decode).forward(&latents, [4, side / 8]);
    let expected_moments: Vec<f64> = moments.into_values().flatten().collect();
    let expected: Vec<f64> = decoded.into_values().flatten().collect();
    let seen = pictures.chunks_exact(3 * side * side).flat_map(|picture| picture.iter().copied().step_by(step));
    [relative_error(encoded.into_iter(), &expected_moments), relative_error(seen, &expected)]
}

#[test]
fn it_encodes_and_decodes_as_diffusers_does() {
    let bytes = small_autoencoder();
    let design = AutoencoderWeights::read(&bytes, None).unwrap().design().clone();
    assert_eq!(design.channels, [32, 32, 64, 64]);
    assert_eq!((design.layers_per_block, design.latent_channels, design.norm_groups), (2, 4, 32));
    assert!(design.quantization && design.attention);
    for kernels in [None, Some(Kernels::Plain(Products::F32))] {
        let [encoder, decoder] = errors(&bytes, kernels);
        println!("{kernels:?}: encoder {encoder:.1e}, decoder {decoder:.1e}");
        assert!(encoder < 1e-5 && decoder < 1e-5, "{kernels:?}: encoder {encoder:.1e}, decoder {decoder:.1e}");
    }
    // As 16-bit files hold them.
    for (dtype, most) in [(Dtype::F16, 5e-3), (Dtype::BF16, 5e-2)] {
        let [encoder, decoder] = errors(&file(&tensors(), dtype), None);
        println!("{dtype:?}: encoder {encoder:.1e}, decoder {decoder:.1e}");
        assert!((1e-5..most).contains(&encoder) && (1e-5..most).contains(&decoder), "{dtype:?}: {encoder}, {decoder}");
    }
}

#[test]
fn files_with_the_names_of_older_versions_are_read_alike() {
    let mut older = Tensors::new();
    for (name, (mut shape, values)) in tensors() {
        let mut renamed = name.clone();
        for (new, old) in [("to_q.", "query."), ("to_k.", "key."), ("to_v.", "value."), ("to_out.0.", "proj_attn.")] {
            renamed = renamed.replace(new, old);
        }
        if renamed != name && shape.len() == 2 {
            shape.extend([1, 1]);
        }
        older.insert(renamed, (shape, values));
    }
    assert!(older.contains_key("decoder.mid_block.attentions.0.query.weight"));
    let [encoder, decoder] = errors(&file(&older, Dtype::F32), None);
    assert!(encoder < 1e-5 && decoder < 1e-5, "{encoder:.1e}, {decoder:.1e}");
}

#[test]
fn other_files_are_refused_by_the_tensor_that_tells_them() {
    let refused = |change: &dyn Fn(&mut Tensors), config: Option<&str>| {
        let mut tensors = tensors();
        change(&mut tensors);
        let bytes = file(&tensors, Dtype::F32);
        let weights = AutoencoderWeights::read(&bytes, config);
        let half = weights.and_then(|weights| AutoencoderHalf::new(&weights, Direction::Decode, 4, &Device::flex()));
        half.err().expect("it is refused").to_string()
    };
    let same = |_: &mut Tensors| {};
    assert_eq!(
        refused(&|tensors| drop(tensors.remove("decoder.conv_out.bias")), None),
        "it has no tensor `decoder.conv_out.bias`, which diffusers' AutoencoderKL has"
    );
    assert_eq!(
        refused(&|tensors| drop(tensors.insert("quantize.embedding.weight".to_owned(), (vec![1], vec![0.0]))), None),
        "it has a tensor `quantize.embedding.weight`, which Stable Diffusion's autoencoder has not"
    );
    assert_eq!(
        refused(&|tensors| tensors.get_mut("decoder.conv_out.bias").unwrap().0 = vec![3, 1], None),
        "tensor `decoder.conv_out.bias` is [3, 1], where [3] is expected"
    );
    assert_eq!(
        refused(&|tensors| tensors.get_mut("decoder.conv_out.bias").unwrap().1[1] = f32::NAN, None),
        "tensor `decoder.conv_out.bias` holds NaN"
    );
    for (config, expected) in [
        (r#"{"_class_name": "VQModel"}"#, "its config.json says _class_name: VQModel, which is not supported"),
        (r#"{"act_fn": "relu"}"#, "its config.json says act_fn: relu, which is not supported"),
        (r#"{"shift_factor": 0.0609}"#, "its config.json says shift_factor: 0.0609, which is not supported"),
        (
            r#"{"norm_num_groups": 12}"#,
            "norms of 12 groups do not divide 32 channels: is `norm_num_groups` in its config.json?",
        ),
        ("{", "its config.json cannot be read: EOF while parsing an object at line 1 column 1"),
    ] {
        assert_eq!(refused(&same, Some(config)), expected);
    }
    let config = r#"{"_class_name": "AutoencoderKL", "act_fn": "silu", "norm_num_groups": 16, "scaling_factor": 0.13025, "shift_factor": null}"#;
    let bytes = small_autoencoder();
    let weights = AutoencoderWeights::read(&bytes, Some(config)).unwrap();
    assert_eq!((weights.design().norm_groups, weights.scaling_factor()), (16, Some(0.13025)));
    for length in [0, 5, 1000, bytes.len() - 1] {
        let error = AutoencoderWeights::read(&bytes[..length], None).err().expect("it is refused").to_string();
        assert!(error.starts_with("it is no whole safetensors file: "), "{error}");
    }
}
