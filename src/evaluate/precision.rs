//! What networks multiply where images are generated and seen, and the devices that do so.

use burn::tensor::Device;

use super::EvaluateError;
use crate::kernels::{Kernels, Products};
use crate::model::Network;
use crate::spec::FidPrecision;

/// Why nothing is measured in bf16 on a GPU.
const THE_CPUS: &str = "feature networks in bf16 are the CPU's";

/// What is multiplied on `device` by what measures in `precision`.
pub fn measuring_products(precision: FidPrecision, device: &Device) -> Result<Products, EvaluateError> {
    let refused = |reason: String| EvaluateError::Precision { precision, reason };
    match (precision, Kernels::for_device(device)) {
        (FidPrecision::F32, _) => Ok(Products::F32),
        (FidPrecision::Bf16, Kernels::Fused(_)) => {
            Kernels::bf16_for_device(device).map_err(|reason| refused(reason.to_string()))?;
            Ok(Products::Bf16)
        }
        (FidPrecision::Bf16, _) => Err(refused(THE_CPUS.to_owned())),
    }
}

/// `network` as it generates images that are measured in `precision`; in f32 it is what it was.
pub fn generating(network: &Network, precision: FidPrecision) -> Result<Network, EvaluateError> {
    match measuring_products(precision, &network.weights().device())? {
        Products::F32 => Ok(network.clone()),
        Products::Bf16 => Ok(network.clone().with_kernels(Kernels::Fused(Products::Bf16))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{multiplies_bf16, without_bf16};

    #[test]
    fn a_processor_measures_in_bf16_where_it_has_it_and_says_what_to_do() {
        let of = |precision| measuring_products(precision, &Device::flex()).map_err(|error| error.to_string());
        let refused = "cannot measure with `evaluate.fid.precision: bf16`: this processor has no instructions for products of bf16 (AVX512-BF16)\n\
             hint: measure on a processor with AVX512-BF16, or set `evaluate.fid.precision: f32`";
        assert_eq!(of(FidPrecision::F32), Ok(Products::F32));
        assert_eq!(
            of(FidPrecision::Bf16),
            if multiplies_bf16() { Ok(Products::Bf16) } else { Err(refused.to_owned()) }
        );
        without_bf16(|| {
            assert_eq!(of(FidPrecision::F32), Ok(Products::F32));
            assert_eq!(of(FidPrecision::Bf16), Err(refused.to_owned()));
        });
    }
}
