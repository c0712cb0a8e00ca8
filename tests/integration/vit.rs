//! Encoders of images against transformers' and timm's, filled from one formula.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::Dtype;
use serde::Deserialize;
use speedlab::kernels::{Kernels, Products};
use speedlab::model::vit::{Resampling, Vit, VitFamily, VitWeights};

use crate::autoencoder::{Tensors, file, relative_error};
use crate::features::{uniform, weights};

#[derive(Deserialize)]
struct Case {
    name: String,
    tensors: BTreeMap<String, Vec<usize>>,
    side: usize,
    step: usize,
    features: Vec<f64>,
    patches: Vec<f64>,
}

fn cases() -> Vec<Case> {
    include_str!("../golden/vit.json").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).expect("there is such a case")
}

fn tensors(case: &Case) -> Tensors {
    let of = |(name, shape): (&String, &Vec<usize>)| (name.clone(), (shape.clone(), weights(name, shape).unwrap()));
    case.tensors.iter().map(of).collect()
}

/// What transformers writes beside the weights of a tower of CLIP.
const CLIP_CONFIG: &str =
    r#"{"vision_config": {"hidden_act": "quick_gelu", "num_attention_heads": 2, "layer_norm_eps": 1e-05}}"#;

/// Small weights in a folder, for tests of whole studies: the file of `name`, which is one of the golden cases.
pub fn small_weights(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(format!("{}.safetensors", name.replace(' ', "-")));
    fs::write(&path, file(&tensors(&case(name)), Dtype::F32)).unwrap();
    fs::write(folder.join("config.json"), CLIP_CONFIG).unwrap();
    path
}

/// The corner of the images of the script.
fn images(case: &Case) -> Tensor<4> {
    let values: Vec<f32> = uniform("images", 2 * 3 * 56 * 56).map(|value| (2.0 * value) as f32).collect();
    let images = Tensor::from_data(TensorData::new(values, [2, 3, 56, 56]), &Device::flex());
    images.narrow(2, 0, case.side).narrow(3, 0, case.side)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// The errors of the features and of the patches' tokens.
fn errors(case: &Case, bytes: &[u8], positions: Option<Resampling>, kernels: Option<Kernels>) -> [f64; 2] {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, bytes).unwrap();
    fs::write(folder.path().join("config.json"), CLIP_CONFIG).unwrap();
    errors_of_file(case, &path, positions, kernels)
}

fn errors_of_file(case: &Case, path: &Path, positions: Option<Resampling>, kernels: Option<Kernels>) -> [f64; 2] {
    let vit = Vit::new(&VitWeights::open(path).unwrap(), case.side, positions, &Device::flex()).unwrap();
    let vit = match kernels {
        Some(kernels) => vit.with_kernels(kernels),
        None => vit,
    };
    let (features, patches) = (values(vit.features(images(case))), values(vit.patch_tokens(images(case))));
    assert_eq!(features.len(), 2 * vit.design().features());
    assert_eq!(patches.len(), 2 * vit.patches() * vit.design().dim);
    [
        relative_error(features.into_iter(), &case.features),
        relative_error(patches.into_iter().step_by(case.step), &case.patches),
    ]
}

#[test]
fn encoders_see_what_transformers_and_timm_see() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/weights");
    let errors_of_pytorch =
        errors_of_file(&case("dinov2 in a file of pytorch"), &golden.join("dinov2.pth"), None, None);
    assert!(errors_of_pytorch.iter().all(|&error| error < 3e-6), "{errors_of_pytorch:?}");
    for case in cases().into_iter().filter(|case| !case.tensors.is_empty()) {
        let positions = case.name.contains("antialiased").then_some(Resampling::Antialiased);
        let bytes = file(&tensors(&case), Dtype::F32);
        for kernels in [None, Some(Kernels::Plain(Products::F32))] {
            let errors = errors(&case, &bytes, positions, kernels);
            println!("{}, {kernels:?}: {:.1e} {:.1e}", case.name, errors[0], errors[1]);
            assert!(errors.iter().all(|&error| error < 3e-6), "{}, {kernels:?}: {errors:?}", case.name);
        }
        // Rounded weights are nearly the same.
        for (dtype, most) in [(Dtype::F16, 6e-3), (Dtype::BF16, 6e-2)] {
            let errors = errors(&case, &file(&tensors(&case), dtype), positions, None);
            let near = |error: &f64| (1e-6..most).contains(error);
            assert!(errors.iter().all(near), "{}, {dtype:?}: {errors:?}", case.name);
        }
    }
}

#[test]
fn an_image_alone_is_seen_as_beside_others_and_images_are_prepared_as_pytorch_resizes() {
    let case = case("clip");
    let folder = tempfile::tempdir().unwrap();
    let weights = VitWeights::open(&small_weights(folder.path(), "clip")).unwrap();
    let vit = Vit::new(&weights, case.side, None, &Device::flex()).unwrap();
    let both = values(vit.features(images(&case)));
    let second = values(vit.features(images(&case).narrow(0, 1, 1)));
    assert_eq!(second, both[both.len() / 2..]);
    assert_eq!((vit.design().family, vit.design().name().as_str()), (VitFamily::Clip, "clip-vit-128x2-14-56"));
    // White stays white, whatever the size; the mean and deviation of CLIP's red.
    let white = Tensor::<4>::ones([1, 3, 20, 20], &Device::flex());
    let prepared = values(vit.prepared(white));
    assert_eq!(prepared.len(), 3 * case.side * case.side);
    let red = (1.0 - 0.481_454_66) / 0.268_629_54;
    assert!(prepared[..case.side * case.side].iter().all(|value| (value - red).abs() < 1e-5), "{:?}", &prepared[..4]);
}

/// What is said of a file with changed tensors, without the file's name.
fn refused(name: &str, change: impl Fn(&mut Tensors)) -> String {
    let mut tensors = tensors(&case(name));
    change(&mut tensors);
    said_of(&file(&tensors, Dtype::F32), CLIP_CONFIG)
}

fn said_of(bytes: &[u8], config: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, bytes).unwrap();
    if !config.is_empty() {
        fs::write(folder.path().join("config.json"), config).unwrap();
    }
    let made = VitWeights::open(&path).and_then(|weights| {
        let side = weights.design().customary_side();
        Vit::new(&weights, side, None, &Device::flex()).map(drop)
    });
    let message = made.expect_err("it is refused").to_string();
    message.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn other_files_are_refused_with_what_is_wrong_and_the_cure() {
    let authors = "dinov2 of its authors";
    let begins = |found: String, expected: &str| assert!(found.starts_with(expected), "{found}\nis not\n{expected}");
    let file_of = |name| file(&tensors(&case(name)), Dtype::F32);
    begins(
        refused(authors, |tensors| drop(tensors.remove("blocks.1.ls2.gamma"))),
        "the weights of an encoder: model.safetensors has no tensor `blocks.1.ls2.gamma`\nhint: name a .safetensors or .pth file of \
         facebook/dinov2-* or openai/clip-vit-large-patch14-336",
    );
    begins(
        refused(authors, |tensors| tensors.get_mut("norm.bias").unwrap().1.iter_mut().for_each(|x| *x = f32::NAN)),
        "the weights of an encoder: model.safetensors has a tensor `norm.bias` that holds NaN\nhint: copy the file again",
    );
    begins(
        refused(authors, |tensors| {
            let (shape, values) = tensors.get_mut("blocks.0.mlp.fc2.bias").unwrap();
            (shape[0], *values) = (127, values[..127].to_vec());
        }),
        "the weights of an encoder: model.safetensors has a tensor `blocks.0.mlp.fc2.bias` of shape [127], where [128] is expected",
    );
    let added =
        |name: &str, added: &str| refused(name, |tensors| drop(tensors.insert(added.to_owned(), (vec![1], vec![0.0]))));
    begins(
        added(authors, "register_tokens"),
        "the weights of an encoder: model.safetensors has a tensor `register_tokens` of shape [1], which has 3 sides where it is read",
    );
    begins(
        refused("dinov2 with registers of timm", |tensors| {
            tensors.get_mut("reg_token").unwrap().0 = vec![1, 128, 3];
        }),
        "the weights of an encoder: model.safetensors has a tensor `reg_token` of shape [1, 128, 3], where [1, 128, 128] is expected",
    );
    begins(
        added("dinov2 of hugging face", "encoder.layer.0.mlp.weights_in.weight"),
        "the weights of an encoder: model.safetensors has a tensor `encoder.layer.0.mlp.weights_in.weight`, which DINOv2's ViT-g/14 has",
    );
    begins(
        added("clip", "vision_model.head.probe"),
        "the weights of an encoder: model.safetensors has a tensor `vision_model.head.probe`, which the encoders that are read have not",
    );
    begins(
        refused("clip", |tensors| {
            *tensors = [("conv1.weight".to_owned(), (vec![1], vec![0.0]))].into();
        }),
        "the weights of an encoder: model.safetensors holds another network: it has `conv1.weight` first, and none of `cls_token`, \
         `embeddings.cls_token`, `vision_model.embeddings.class_embedding`",
    );
    begins(
        said_of(&file_of("clip"), ""),
        "the weights of an encoder: model.safetensors holds a tower of CLIP whose activation its tensors do not tell\nhint: put its \
         config.json beside it",
    );
    begins(
        said_of(&file_of("clip"), &CLIP_CONFIG.replace("quick_gelu", "gelu")),
        "the weights of an encoder: config.json says `hidden_act` gelu; towers with quick_gelu are read",
    );
    begins(
        said_of(&file_of("clip"), &CLIP_CONFIG.replace(": 2", ": 4")),
        "the weights of an encoder: config.json says `num_attention_heads` 4; heads of 64 numbers are read",
    );
    begins(
        said_of(b"not weights at all, but a letter", ""),
        "the weights of an encoder: model.safetensors is neither a safetensors file nor one that `torch.save` wrote: ",
    );
    let whole = file_of(authors);
    begins(
        said_of(&whole[..whole.len() - 100], ""),
        "the weights of an encoder: model.safetensors is no whole safetensors file: it has ",
    );
    begins(
        VitWeights::open(Path::new("nowhere.pth")).err().unwrap().to_string(),
        "the weights of an encoder: nowhere.pth cannot be read: ",
    );
    // A file of PyTorch's is opened, and what it holds is looked at.
    let pytorch = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/weights/today.pth");
    let message = VitWeights::open(&pytorch).err().unwrap().to_string();
    assert!(message.contains("today.pth holds another network: it has `layer.num_batches_tracked` first"), "{message}");
}
