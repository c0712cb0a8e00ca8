//! Why a device cannot be used.

use super::DeviceName;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error("{name} is not compiled in\nhint: build speedlab with it: cargo build --release --features {}", name.kind())]
    NotCompiledIn { name: DeviceName },
    #[error("{name} cannot be used: {reason}{}", hint(cure))]
    Absent { name: DeviceName, reason: String, cure: Option<String> },
    #[error("{name} is not there: {found} of its kind {}\nhint: `speedlab devices` lists them", if *found == 1 { "is" } else { "are" })]
    NoSuch { name: DeviceName, found: usize },
    #[error(
        "the sweep asks for `train.precision: {precision}`, which {device} does not compute in\nhint: name a GPU that has it with --device, or leave the key out"
    )]
    NoPrecision { device: String, precision: &'static str },
    #[error(
        "the sweep compares `train.precision: f32` with tf32, which are one on {device}: burn lets tensor cores round products of f32, and cannot be told not to\nhint: leave one of them out"
    )]
    OnePrecision { device: String },
    #[error(
        "the sweep asks for `evaluate.fid.precision: bf16`, which {device} does not compute in\nhint: measure on a processor with AVX512-BF16, or leave the key out"
    )]
    NoMeasuringPrecision { device: String },
    #[error(
        "the sweep asks for `evaluate.fid.precision: bf16`, and {device} generates the images: feature networks in bf16 are the CPU's\nhint: evaluate on the CPU with --device cpu or --evaluate-on cpu, or leave the key out"
    )]
    MeasuresOnGpu { device: String },
    #[error("{name} was asked twice")]
    Twice { name: DeviceName },
}

fn hint(cure: &Option<String>) -> String {
    cure.as_ref().map_or_else(String::new, |cure| format!("\nhint: {cure}"))
}

/// What a device said when its results could not be read, without the text of the kernel that it says it of.
pub fn failure(error: impl std::fmt::Display) -> anyhow::Error {
    let told = error.to_string();
    let short = told.split("\n[Source]").next().unwrap_or(&told);
    anyhow::anyhow!("the device failed: {}", short.trim_end())
}
