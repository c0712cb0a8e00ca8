//! Published architectures by name.

use crate::spec::{AdmModel, DitModel, Model, UnetModel, UvitModel};

/// A published name that stands for every key of `model`, each of which a sweep may still set otherwise.
pub struct Preset {
    /// The name, as in `model: { preset: ddpm-cifar10 }`.
    pub name: &'static str,
    /// The publication, in a few words.
    pub source: &'static str,
    pub model: fn() -> Model,
}

/// Every preset, by family. A parameter count that a test compares with the published one stands in
/// `tests/integration/presets.rs`.
pub const PRESETS: &[Preset] = &[
    preset("ddpm-cifar10", "Ho et al. 2020, appendix B: 32x32, 35.7 million", ddpm_cifar10),
    preset("iddpm-cifar10", "Nichol and Dhariwal 2021: 32x32, learned sigma, 52.5 million", iddpm_cifar10),
    preset("adm-imagenet64", "Dhariwal and Nichol 2021: 64x64, 296 million", adm_imagenet64),
    preset("adm-imagenet128", "Dhariwal and Nichol 2021: 128x128, 422 million", adm_imagenet128),
    preset("adm-imagenet256", "Dhariwal and Nichol 2021: 256x256, 554 million", adm_imagenet256),
    preset("dit-s/2", DIT_S, || dit(2, 384, 12, 6)),
    preset("dit-s/4", DIT_S, || dit(4, 384, 12, 6)),
    preset("dit-s/8", DIT_S, || dit(8, 384, 12, 6)),
    preset("dit-b/2", DIT_B, || dit(2, 768, 12, 12)),
    preset("dit-b/4", DIT_B, || dit(4, 768, 12, 12)),
    preset("dit-b/8", DIT_B, || dit(8, 768, 12, 12)),
    preset("dit-l/2", DIT_L, || dit(2, 1024, 24, 16)),
    preset("dit-l/4", DIT_L, || dit(4, 1024, 24, 16)),
    preset("dit-l/8", DIT_L, || dit(8, 1024, 24, 16)),
    preset("dit-xl/2", DIT_XL, || dit(2, 1152, 28, 16)),
    preset("dit-xl/4", DIT_XL, || dit(4, 1152, 28, 16)),
    preset("dit-xl/8", DIT_XL, || dit(8, 1152, 28, 16)),
    preset("sit-s/2", SIT, || sit(384, 12, 6)),
    preset("sit-b/2", SIT, || sit(768, 12, 12)),
    preset("sit-l/2", SIT, || sit(1024, 24, 16)),
    preset("sit-xl/2", SIT, || sit(1152, 28, 16)),
    preset("uvit-s/2", "Bao et al. 2023, table 1: CIFAR-10, 44 million", uvit_s_2),
];

const DIT_S: &str = "Peebles and Xie 2023, table 1: 33 million on latents of 32x32";
const DIT_B: &str = "Peebles and Xie 2023, table 1: 130 million on latents of 32x32";
const DIT_L: &str = "Peebles and Xie 2023, table 1: 458 million on latents of 32x32";
const DIT_XL: &str = "Peebles and Xie 2023, table 1: 675 million on latents of 32x32";

const SIT: &str = "Ma et al. 2024 (arXiv 2401.08740): the DiT of that size, without learned sigma, for `noise_schedule: rectified_flow`";

const fn preset(name: &'static str, source: &'static str, model: fn() -> Model) -> Preset {
    Preset { name, source, model }
}

fn dit(patch: usize, dim: usize, depth: usize, heads: usize) -> Model {
    Model::Dit(DitModel {
        patch,
        dim,
        depth,
        heads,
        learned_sigma: true,
        class_conditional: true,
        ..DitModel::default()
    })
}

/// With `noise_schedule: { kind: rectified_flow }` and `parameterization: v` it is SiT.
fn sit(dim: usize, depth: usize, heads: usize) -> Model {
    Model::Dit(DitModel { patch: 2, dim, depth, heads, class_conditional: true, ..DitModel::default() })
}

fn uvit_s_2() -> Model {
    Model::Uvit(UvitModel { patch: 2, dim: 512, depth: 12, heads: 8, ..UvitModel::default() })
}

fn ddpm_cifar10() -> Model {
    Model::Unet(UnetModel {
        channels: 128,
        channel_multipliers: vec![1, 2, 2, 2],
        blocks_per_level: 2,
        attention_resolutions: vec![16],
        attention_heads: 1,
        dropout: 0.1,
        norm_groups: 32,
        ..UnetModel::default()
    })
}

/// The flags that the README of openai/improved-diffusion gives for CIFAR-10; there with the cosine schedule and 4000
/// timesteps, which the network is told as fractions of 1000.
fn iddpm_cifar10() -> Model {
    Model::Adm(AdmModel {
        channels: 128,
        channel_multipliers: vec![1, 2, 2, 2],
        blocks_per_level: 3,
        attention_resolutions: vec![16, 8],
        attention_heads: 4,
        head_channels: None,
        scale_shift_norm: true,
        resblock_updown: false,
        learned_sigma: true,
        dropout: 0.3,
        norm_groups: 32,
        ..AdmModel::default()
    })
}

/// The settings that the three share. Dhariwal and Nichol 2021, and the flags in the README of openai/guided-diffusion.
fn adm_imagenet(sizes: AdmModel) -> Model {
    Model::Adm(AdmModel {
        attention_resolutions: vec![32, 16, 8],
        learned_sigma: true,
        class_conditional: true,
        class_dropout: 0.0,
        ..sizes
    })
}

fn adm_imagenet64() -> Model {
    adm_imagenet(AdmModel {
        channels: 192,
        channel_multipliers: vec![1, 2, 3, 4],
        blocks_per_level: 3,
        head_channels: Some(64),
        dropout: 0.1,
        ..AdmModel::default()
    })
}

fn adm_imagenet128() -> Model {
    adm_imagenet(AdmModel {
        channels: 256,
        channel_multipliers: vec![1, 1, 2, 3, 4],
        blocks_per_level: 2,
        attention_heads: 4,
        ..AdmModel::default()
    })
}

fn adm_imagenet256() -> Model {
    adm_imagenet(AdmModel {
        channels: 256,
        channel_multipliers: vec![1, 1, 2, 2, 4, 4],
        blocks_per_level: 2,
        head_channels: Some(64),
        ..AdmModel::default()
    })
}
