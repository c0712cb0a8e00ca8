use burn::tensor::{Tensor, TensorData};

use super::EvaluateError;
use crate::model::Network;

/// The network: `predict(noisy, timesteps)` of `timesteps.len()` images, each at its own timestep.
pub type Predict<'a> = &'a mut dyn FnMut(&[f32], &[u32]) -> Result<Vec<f32>, EvaluateError>;

/// Asks `network`, with the weights it has, for a whole batch of images of `image_shape` (channels, side).
pub fn with_network(
    network: &Network,
    image_shape: (usize, usize),
) -> impl FnMut(&[f32], &[u32]) -> Result<Vec<f32>, EvaluateError> {
    let network = network.untracked();
    let device = network.weights().device();
    let (channels, side) = image_shape;
    move |noisy, timesteps| {
        let count = timesteps.len();
        let noisy = TensorData::new(noisy.to_vec(), [count, channels, side, side]);
        let timesteps = TensorData::new(timesteps.iter().map(|&t| t as f32).collect(), [count]);
        let (noisy, timesteps) = (Tensor::from_data(noisy, &device), Tensor::from_data(timesteps, &device));
        let predicted = network.forward(noisy, timesteps, None).into_data();
        Ok(predicted.try_into_vec().expect("networks compute in f32"))
    }
}
