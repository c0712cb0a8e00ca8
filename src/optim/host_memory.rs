//! Flat tensors in host memory, changed in place.
//!
//! On the CPU a tensor operation is a pass over memory and often a new allocation. Adam in one fused pass takes half the
//! time: 5 ms instead of 10 ms for 1.6 million parameters, measured on 2 cores of an AMD EPYC (Zen 4).

use burn::tensor::{Device, Tensor};

/// Whether tensors of `device` are host memory, so that taking their data out and putting it back copies nothing.
pub fn is_host(device: &Device) -> bool {
    *device == Device::flex()
}

/// `tensor` after `update` of its values; in place if nothing else holds the tensor.
pub fn update_in_place(tensor: Tensor<1>, update: impl FnOnce(&mut [f32])) -> Tensor<1> {
    let device = tensor.device();
    let mut data = tensor.into_data();
    update(data.as_mut_slice().expect("parameters are f32"));
    Tensor::from_data(data, &device)
}

/// A copy of the values.
pub fn to_vec(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.clone().into_data().try_into_vec().expect("parameters are f32")
}
