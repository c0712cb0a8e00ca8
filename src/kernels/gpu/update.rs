use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

/// The update of Adam or AdamW ([`crate::optim::Adam`]) and of the averaged weights, in one pass: weights, both moments and the average, each
/// `[parameters]`, are changed in place where nobody else holds them. `factors` are `[9]`: those of `crate::optim::Factors` in their order, then
/// the share of the weights in their average. `scales` are what the gradient is multiplied by, `[1]`, and what each parameter's learning rate
/// is, `[parameters]`, if they are any.
pub fn update(
    learned: [Tensor<1>; 4],
    gradient: Tensor<1>,
    factors: Tensor<1>,
    scales: [Option<Tensor<1>>; 2],
) -> [Tensor<1>; 4] {
    let scaled = scales.each_ref().map(Option::is_some);
    // What is not there is not read.
    let [clipped, rates] = scales.map(|scale| scale.unwrap_or_else(|| factors.clone()).into_dispatch());
    let [weights, first, second, average] = learned.map(Tensor::into_dispatch);
    let (gradient, factors) = (gradient.into_dispatch(), factors.into_dispatch());
    let (weights, first, second, average) =
        Dispatch::device_update(weights, first, second, average, gradient, factors, clipped, rates, scaled);
    [weights, first, second, average].map(Tensor::from_dispatch)
}

#[backend_extension(
    Flex,
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Fusion: cfg(any(feature = "wgpu", feature = "cuda"))
)]
#[expect(clippy::too_many_arguments, reason = "an operation's tensors are its arguments")]
pub trait UpdateKernels: Backend {
    /// See [`update`]; `scaled` says which of `clipped` and `rates` are there.
    #[fusion(meta = |weights, first, second, average, _, _, _, _, _| {
        (weights.clone(), first.clone(), second.clone(), average.clone())
    })]
    fn device_update(
        weights: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        average: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        factors: FloatTensor<Self>,
        clipped: FloatTensor<Self>,
        rates: FloatTensor<Self>,
        scaled: [bool; 2],
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::optim::{Factors, StepScales, towards};

    #[test]
    fn one_pass_is_the_operations_one_after_the_other() {
        let device = Device::flex();
        let tensor = |salt: f32| {
            let values: Vec<f32> = (0..70).map(|index| (index as f32 * 0.618 + salt).sin().abs()).collect();
            Tensor::<1>::from_data(values.as_slice(), &device)
        };
        let factors = Factors {
            beta1: 0.9,
            one_minus_beta1: 0.1,
            beta2: 0.99,
            one_minus_beta2: 0.01,
            step_size: 1e-3,
            root_scale: 1.5,
            epsilon: 1e-8,
            kept: 0.99,
        };
        let rates = StepScales::new([(30, 1.0), (40, 0.25)]).tensor(&device);
        for (clipped, rates) in [(None, None), (Some(0.5), None), (Some(2.0), Some(rates))] {
            let learned = || [tensor(0.0), tensor(1.0), tensor(2.0)];
            let gradient = clipped.map_or(tensor(4.0), |clipped: f32| tensor(4.0).mul_scalar(clipped));
            let [weights, first, second] = factors.update_tensors(learned(), gradient, rates.clone());
            let average = towards(tensor(3.0), weights.clone(), 0.01);
            let numbers = [&factors.to_array()[..], &[0.01]].concat();
            let [one, two, three] = learned();
            let scales = [clipped.map(|clipped| Tensor::from_data([clipped], &device)), rates];
            let numbers = Tensor::from_data(numbers.as_slice(), &device);
            let found = update([one, two, three, tensor(3.0)], tensor(4.0), numbers, scales);
            for (found, expected) in found.into_iter().zip([weights, first, second, average]) {
                assert_eq!(found.into_data(), expected.into_data());
            }
        }
    }
}
