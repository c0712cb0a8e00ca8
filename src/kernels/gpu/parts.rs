use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use super::tensors::Tensors;
use crate::kernels::{Products, has_own_gpu_kernels};

/// A part of a row.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub values: usize,
    /// What its values are factors of: they are rounded as such.
    pub factor_of: Products,
}

/// `row`, `[values]`, in parts, one after the other: all parts of a type in one launch on a GPU.
///
/// # Panics
/// If the parts are not the whole row.
pub fn apart(row: Tensor<1>, parts: Vec<Part>) -> Vec<Tensor<1>> {
    assert_eq!(row.dims(), [parts.iter().map(|part| part.values).sum::<usize>()], "the parts are the whole row");
    if !has_own_gpu_kernels() {
        let mut end = 0;
        let part = |Part { values, .. }| {
            end += values;
            row.clone().narrow(0, end - values, values)
        };
        return parts.into_iter().map(part).collect();
    }
    Dispatch::device_apart(row.into_dispatch(), parts).0.into_iter().map(Tensor::from_dispatch).collect()
}

/// The parts, which may be rounded, in one row of f32, `[values]`, one after the other: in a launch for each type on a GPU.
pub fn joined(parts: Vec<Tensor<1>>) -> Tensor<1> {
    if !has_own_gpu_kernels() {
        return Tensor::cat(parts, 0);
    }
    let parts = Tensors(parts.into_iter().map(Tensor::into_dispatch).collect());
    Tensor::from_dispatch(Dispatch::device_joined(parts))
}

#[backend_extension(
    Flex,
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Fusion: cfg(any(feature = "wgpu", feature = "cuda"))
)]
pub trait PartKernels: Backend {
    /// See [`apart`].
    #[fusion(meta = |row, parts| specs::apart(row, parts))]
    fn device_apart(row: FloatTensor<Self>, parts: Vec<Part>) -> Tensors<Self>;

    /// See [`joined`].
    #[fusion(meta = |parts| specs::joined(parts))]
    fn device_joined(#[extension_type] parts: Tensors<Self>) -> FloatTensor<Self>;
}

/// What fused operations are told of results that are still to be computed.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod specs {
    use burn::backend::DType;
    use burn::backend::fusion::custom::TensorSpec;
    use burn::tensor::Shape;

    use super::super::linear::rounded_spec;
    use super::Part;

    pub fn apart(row: &TensorSpec, parts: &[Part]) -> Vec<TensorSpec> {
        let of = |part: &Part| rounded_spec(&TensorSpec::new(Shape::from([part.values]), row.dtype), part.factor_of);
        parts.iter().map(of).collect()
    }

    pub fn joined(parts: &[TensorSpec]) -> TensorSpec {
        let values: usize = parts.iter().map(|part| part.shape.num_elements()).sum();
        TensorSpec::new(Shape::from([values]), DType::F32)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn a_row_comes_apart_and_together_again() {
        let numbers: Vec<f32> = (0..12).map(|index| index as f32).collect();
        let row = Tensor::<1>::from_data(numbers.as_slice(), &Device::flex());
        let part = |values| Part { values, factor_of: Products::F32 };
        let parts = apart(row.clone(), [3, 1, 8].map(part).to_vec());
        let values = |tensor: &Tensor<1>| tensor.to_data().try_to_vec::<f32>().unwrap();
        let found: Vec<_> = parts.iter().map(values).collect();
        assert_eq!(found, [numbers[..3].to_vec(), vec![3.0], numbers[4..].to_vec()]);
        assert_eq!(values(&joined(parts)), numbers);
    }

    #[test]
    #[should_panic(expected = "the parts are the whole row")]
    fn parts_of_another_row_are_a_fault() {
        apart(Tensor::zeros([4], &Device::flex()), vec![Part { values: 3, factor_of: Products::F32 }]);
    }
}
