//! Any number of tensors as one argument or result of an operation of our own, which burn's macros know tensors and structs of tensors alone as.

use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Backend, BackendTensor, Dispatch, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind, ExtensionType,
};

/// Tensors of numbers, of any shapes.
#[derive(Debug)]
pub struct Tensors<B: Backend>(pub Vec<FloatTensor<B>>);

impl<B: Backend> ExtensionType<B> for Tensors<B> {
    type Target = Tensors<Dispatch>;

    fn map_to_dispatch<F>(self, map_kind: F, autodiff: DispatchAutodiffContext) -> Tensors<Dispatch>
    where
        F: Fn(BackendTensor<B>) -> DispatchTensorKind,
    {
        let dispatched = |tensor| DispatchTensor { kind: map_kind(BackendTensor::Float(tensor)), autodiff };
        Tensors(self.0.into_iter().map(dispatched).collect())
    }

    fn map_from_dispatch<F>(target: Tensors<Dispatch>, unwrap_kind: F) -> Self
    where
        F: Fn(DispatchTensor) -> BackendTensor<B>,
    {
        Self(target.0.into_iter().map(|tensor| unwrap_kind(tensor).float()).collect())
    }

    fn routing_tensor(target: &Tensors<Dispatch>) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn routing_float_tensor(target: &Tensors<Dispatch>) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn autodiff_context(target: &Tensors<Dispatch>) -> DispatchAutodiffContext {
        target.0.iter().fold(DispatchAutodiffContext::Disabled, |context, tensor| context.merge(tensor.autodiff))
    }
}

/// Each tensor as burn's own adapter has it.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod fused {
    use burn::backend::fusion::custom::{
        ExtensionMetadata, Float, FusionValueAdapter, HandleContainer, OutputTensor, TensorId, TensorIr, TensorSpec,
    };
    use burn::backend::fusion::{ExecutionError, Fusion, FusionBackend, FusionRuntime, FusionTensor};

    use super::{Backend, Tensors};

    type Handles<B> = HandleContainer<<<B as FusionBackend>::FusionRuntime as FusionRuntime>::FusionHandle>;

    impl<B: Backend> ExtensionMetadata for Tensors<B> {
        type Metadata = Vec<TensorSpec>;
        type Input = Vec<TensorIr>;
        type Output = Vec<OutputTensor>;
    }

    impl<B: FusionBackend> FusionValueAdapter<B> for Tensors<B> {
        type Metadata = Vec<TensorSpec>;
        type Input = Vec<TensorIr>;
        type Output = Vec<OutputTensor>;
        type Inner = Self;
        type Fused = Tensors<Fusion<B>>;

        fn to_metadata(value: &Self::Fused) -> Vec<TensorSpec> {
            value.0.iter().map(<Float as FusionValueAdapter<B>>::to_metadata).collect()
        }

        fn visit_fused_tensors(value: &Self::Fused, visit: &mut impl FnMut(&FusionTensor<B::FusionRuntime>)) {
            value.0.iter().for_each(visit);
        }

        fn tensor_count(meta: &Vec<TensorSpec>) -> usize {
            meta.len()
        }

        fn append_input_ir(value: Self::Fused, inputs: &mut Vec<TensorIr>) -> Vec<TensorIr> {
            let append = |tensor| <Float as FusionValueAdapter<B>>::append_input_ir(tensor, inputs);
            value.0.into_iter().map(append).collect()
        }

        fn resolve_inputs(input: &Vec<TensorIr>, handles: &mut Handles<B>) -> Self {
            let resolve = |tensor| <Float as FusionValueAdapter<B>>::resolve_inputs(tensor, handles);
            Self(input.iter().map(resolve).collect())
        }

        fn append_output_ir(
            meta: &Vec<TensorSpec>,
            out: &mut Vec<TensorIr>,
            create: &mut impl FnMut() -> TensorId,
        ) -> Vec<OutputTensor> {
            let append = |spec| <Float as FusionValueAdapter<B>>::append_output_ir(spec, out, create);
            meta.iter().map(append).collect()
        }

        fn validate_outputs(
            value: &Self,
            output: &Vec<OutputTensor>,
            device: Option<&B::Device>,
        ) -> Result<(), ExecutionError> {
            let validate =
                |(tensor, output)| <Float as FusionValueAdapter<B>>::validate_outputs(tensor, output, device);
            value.0.iter().zip(output).try_for_each(validate)
        }

        fn register_output_handles(value: Self, output: &Vec<OutputTensor>, handles: &mut Handles<B>) {
            for (tensor, output) in value.0.into_iter().zip(output) {
                <Float as FusionValueAdapter<B>>::register_output_handles(tensor, output, handles);
            }
        }

        fn build_fused_output(
            meta: &Vec<TensorSpec>,
            tensors: &mut std::vec::IntoIter<FusionTensor<B::FusionRuntime>>,
        ) -> Self::Fused {
            let build = |spec| <Float as FusionValueAdapter<B>>::build_fused_output(spec, tensors);
            Tensors(meta.iter().map(build).collect())
        }
    }
}
