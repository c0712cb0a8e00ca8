//! Published architectures by name.

use crate::spec::{AdmModel, DitModel, Model, UnetModel, UvitModel};

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
pub const PRESETS: &[Preset] = &[
    Preset { name: "ddpm-cifar10", source: "Ho et al. 2020, appendix B: 32x32, 35.7 million", model: ddpm_cifar10 },
    Preset {
        name: "iddpm-cifar10",
        source: "Nichol and Dhariwal 2021: 32x32, learned sigma, 52.5 million",
        model: iddpm_cifar10,
    },
    Preset { name: "adm-imagenet64", source: "Dhariwal and Nichol 2021: 64x64, 296 million", model: adm_imagenet64 },
    Preset {
        name: "adm-imagenet128",
        source: "Dhariwal and Nichol 2021: 128x128, 422 million",
        model: adm_imagenet128,
    },
    Preset {
        name: "adm-imagenet256",
        source: "Dhariwal and Nichol 2021: 256x256, 554 million",
        model: adm_imagenet256,
    },
    Preset {
        name: "dit-s/2",
        source: "Peebles and Xie 2023, table 1: 33 million on latents of 32x32",
        model: || dit(2, 384, 12, 6),
    },
    Preset {
        name: "dit-s/4",
        source: "Peebles and Xie 2023, table 1: 33 million on latents of 32x32",
        model: || dit(4, 384, 12, 6),
    },
    Preset {
        name: "dit-s/8",
        source: "Peebles and Xie 2023, table 1: 33 million on latents of 32x32",
        model: || dit(8, 384, 12, 6),
    },
    Preset {
        name: "dit-b/2",
        source: "Peebles and Xie 2023, table 1: 130 million on latents of 32x32",
        model: || dit(2, 768, 12, 12),
    },
    Preset {
        name: "dit-b/4",
        source: "Peebles and Xie 2023, table 1: 130 million on latents of 32x32",
        model: || dit(4, 768, 12, 12),
    },
    Preset {
        name: "dit-b/8",
        source: "Peebles and Xie 2023, table 1: 130 million on latents of 32x32",
        model: || dit(8, 768, 12, 12),
    },
    Preset {
        name: "dit-l/2",
        source: "Peebles and Xie 2023, table 1: 458 million on latents of 32x32",
        model: || dit(2, 1024, 24, 16),
    },
    Preset {
        name: "dit-l/4",
        source: "Peebles and Xie 2023, table 1: 458 million on latents of 32x32",
        model: || dit(4, 1024, 24, 16),
    },
    Preset {
        name: "dit-l/8",
        source: "Peebles and Xie 2023, table 1: 458 million on latents of 32x32",
        model: || dit(8, 1024, 24, 16),
    },
    Preset {
        name: "dit-xl/2",
        source: "Peebles and Xie 2023, table 1: 675 million on latents of 32x32",
        model: || dit(2, 1152, 28, 16),
    },
    Preset {
        name: "dit-xl/4",
        source: "Peebles and Xie 2023, table 1: 675 million on latents of 32x32",
        model: || dit(4, 1152, 28, 16),
    },
    Preset {
        name: "dit-xl/8",
        source: "Peebles and Xie 2023, table 1: 675 million on latents of 32x32",
        model: || dit(8, 1152, 28, 16),
    },
    Preset { name: "uvit-s/2", source: "Bao et al. 2023, table 1: CIFAR-10, 44 million", model: uvit_s_2 },
];

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

/// Dhariwal and Nichol 2021, and the flags in the README of openai/guided-diffusion.
fn adm_imagenet64() -> Model {
    Model::Adm(AdmModel {
        channels: 192,
        channel_multipliers: vec![1, 2, 3, 4],
        blocks_per_level: 3,
        attention_resolutions: vec![32, 16, 8],
        attention_heads: 1,
        head_channels: Some(64),
        scale_shift_norm: true,
        resblock_updown: true,
        learned_sigma: true,
        dropout: 0.1,
        norm_groups: 32,
        class_conditional: true,
        class_dropout: 0.0,
    })
}

/// Dhariwal and Nichol 2021, and the flags in the README of openai/guided-diffusion.
fn adm_imagenet128() -> Model {
    Model::Adm(AdmModel {
        channels: 256,
        channel_multipliers: vec![1, 1, 2, 3, 4],
        blocks_per_level: 2,
        attention_resolutions: vec![32, 16, 8],
        attention_heads: 4,
        head_channels: None,
        scale_shift_norm: true,
        resblock_updown: true,
        learned_sigma: true,
        dropout: 0.0,
        norm_groups: 32,
        class_conditional: true,
        class_dropout: 0.0,
    })
}

/// Dhariwal and Nichol 2021, and the flags in the README of openai/guided-diffusion.
fn adm_imagenet256() -> Model {
    Model::Adm(AdmModel {
        channels: 256,
        channel_multipliers: vec![1, 1, 2, 2, 4, 4],
        blocks_per_level: 2,
        attention_resolutions: vec![32, 16, 8],
        attention_heads: 1,
        head_channels: Some(64),
        scale_shift_norm: true,
        resblock_updown: true,
        learned_sigma: true,
        dropout: 0.0,
        norm_groups: 32,
        class_conditional: true,
        class_dropout: 0.0,
    })
}
