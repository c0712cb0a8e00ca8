use burn::tensor::Device;

use crate::kernels::{Kernels, NoBf16};
use crate::spec::Precision;

/// A device cannot train in the precision that a run asks for.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot train with `train.precision: bf16`: {reason}\nhint: name a GPU that has bf16 with `--device`, or set `train.precision: f32`"
)]
pub struct PrecisionError {
    reason: NoBf16,
}

/// The operations of training in `precision` on `device`.
pub(super) fn training_kernels(precision: Precision, device: &Device) -> Result<Kernels, PrecisionError> {
    match precision {
        Precision::F32 => Ok(Kernels::for_device(device)),
        Precision::Bf16 => Kernels::bf16_for_device(device).map_err(|reason| PrecisionError { reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_trains_in_f32_only_and_says_what_to_do() {
        assert!(training_kernels(Precision::F32, &Device::flex()).is_ok());
        let error = training_kernels(Precision::Bf16, &Device::flex()).err().expect("the CPU has no bf16");
        assert_eq!(
            error.to_string(),
            "cannot train with `train.precision: bf16`: the CPU computes in f32\n\
             hint: name a GPU that has bf16 with `--device`, or set `train.precision: f32`"
        );
    }
}
