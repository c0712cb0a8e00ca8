use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use super::tensors::Tensors;
use crate::kernels::has_own_gpu_kernels;

/// `row`, `[values]`, in parts of these sizes, one after the other: all parts in one launch on a GPU.
///
/// # Panics
/// If the parts are not the whole row.
pub fn apart(row: Tensor<1>, sizes: Vec<usize>) -> Vec<Tensor<1>> {
    assert_eq!(row.dims(), [sizes.iter().sum::<usize>()], "the parts are the whole row");
    if !has_own_gpu_kernels() {
        let mut end = 0;
        let part = |size| {
            end += size;
            row.clone().narrow(0, end - size, size)
        };
        return sizes.into_iter().map(part).collect();
    }
    Dispatch::device_apart(row.into_dispatch(), sizes).0.into_iter().map(Tensor::from_dispatch).collect()
}

/// The parts in one row, `[values]`, one after the other: in one launch on a GPU.
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
    #[fusion(meta = |row, sizes| specs::apart(row, sizes))]
    fn device_apart(row: FloatTensor<Self>, sizes: Vec<usize>) -> Tensors<Self>;

    /// See [`joined`].
    #[fusion(meta = |parts| specs::joined(parts))]
    fn device_joined(#[extension_type] parts: Tensors<Self>) -> FloatTensor<Self>;
}

/// What fused operations are told of results that are still to be computed.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod specs {
    use burn::backend::fusion::custom::TensorSpec;
    use burn::tensor::Shape;

    pub fn apart(row: &TensorSpec, sizes: &[usize]) -> Vec<TensorSpec> {
        sizes.iter().map(|&size| TensorSpec::new(Shape::from([size]), row.dtype)).collect()
    }

    pub fn joined(parts: &[TensorSpec]) -> TensorSpec {
        let values: usize = parts.iter().map(|part| part.shape.num_elements()).sum();
        TensorSpec::new(Shape::from([values]), parts[0].dtype)
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
        let parts = apart(row.clone(), vec![3, 1, 8]);
        let values = |tensor: &Tensor<1>| tensor.to_data().try_to_vec::<f32>().unwrap();
        let found: Vec<_> = parts.iter().map(values).collect();
        assert_eq!(found, [numbers[..3].to_vec(), vec![3.0], numbers[4..].to_vec()]);
        assert_eq!(values(&joined(parts)), numbers);
    }

    #[test]
    #[should_panic(expected = "the parts are the whole row")]
    fn parts_of_another_row_are_a_fault() {
        apart(Tensor::zeros([4], &Device::flex()), vec![3]);
    }
}
