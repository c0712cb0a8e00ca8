use burn::tensor::Device;

use crate::kernels::{Kernels, NoPrecision};
use crate::spec::Precision;

/// A device cannot train in the precision that a run asks for.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot train with `train.precision: {precision}`: {reason}\nhint: name a device that has {precision} with `--device`, or set `train.precision: f32`"
)]
pub struct PrecisionError {
    precision: &'static str,
    reason: NoPrecision,
}

/// The operations of training in `precision` on `device`.
pub(super) fn training_kernels(precision: Precision, device: &Device) -> Result<Kernels, PrecisionError> {
    let kernels = match precision {
        Precision::F32 => Ok(Kernels::for_device(device)),
        Precision::Tf32 => Kernels::tf32_for_device(device),
        Precision::Bf16 => Kernels::bf16_for_device(device),
    };
    kernels.map_err(|reason| PrecisionError { precision: precision.name(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::multiplies_bf16;

    #[test]
    fn the_cpu_trains_in_what_it_has_and_says_what_to_do() {
        assert!(training_kernels(Precision::F32, &Device::flex()).is_ok());
        for (precision, reason) in [
            (Precision::Tf32, "the CPU has no tf32"),
            (Precision::Bf16, "this processor has no instructions for products of bf16 (AVX512-BF16)"),
        ] {
            let name = precision.name();
            match training_kernels(precision, &Device::flex()) {
                Ok(_) => assert!(precision == Precision::Bf16 && multiplies_bf16()),
                Err(error) => assert_eq!(
                    error.to_string(),
                    format!(
                        "cannot train with `train.precision: {name}`: {reason}\n\
                         hint: name a device that has {name} with `--device`, or set `train.precision: f32`"
                    )
                ),
            }
        }
    }
}
