use burn::tensor::Device;

use crate::kernels::{Kernels, NoBf16};
use crate::spec::{Precision, RunSpec};

/// A device cannot train in the precision that a run asks for.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot train with `train.precision: bf16`: {reason}\nhint: name a GPU that has bf16 with `--device`, or set `train.precision: f32`"
)]
pub struct PrecisionError {
    reason: NoBf16,
}

/// Whether a run can be trained on `device` in its precision: for whoever starts runs, before one starts.
pub fn check_precision(spec: &RunSpec, device: &Device) -> Result<(), PrecisionError> {
    training_kernels(spec.train.precision, device).map(|_| ())
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
        let mut spec = RunSpec::default();
        assert!(check_precision(&spec, &Device::flex()).is_ok());
        spec.train.precision = Precision::Bf16;
        assert_eq!(
            check_precision(&spec, &Device::flex()).unwrap_err().to_string(),
            "cannot train with `train.precision: bf16`: the CPU computes in f32\n\
             hint: name a GPU that has bf16 with `--device`, or set `train.precision: f32`"
        );
    }
}
