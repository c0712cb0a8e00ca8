//! Published architectures by name.

use crate::spec::{Model, UnetModel};

/// A published name that stands for every key of `model`, each of which a sweep may still set otherwise.
pub struct Preset {
    /// As it is written: `model: { preset: ddpm-cifar10 }`.
    pub name: &'static str,
    /// Where it was published, in a few words.
    pub source: &'static str,
    pub model: fn() -> Model,
}

/// Every preset, by family. A parameter count that a test compares with the published one stands in
/// `tests/integration/presets.rs`.
pub const PRESETS: &[Preset] = &[Preset {
    name: "ddpm-cifar10",
    source: "Ho et al. 2020, appendix B: CIFAR-10, 35.7 million",
    model: ddpm_cifar10,
}];

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
