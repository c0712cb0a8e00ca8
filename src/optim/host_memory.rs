//! Flat tensors that live in host memory, worked on in place.
//!
//! On the CPU a tensor operation is a pass over memory and often a new allocation; an update of a dozen of them costs ten
//! times what one fused pass over the slices does.

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
