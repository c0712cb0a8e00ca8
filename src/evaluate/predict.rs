use burn::tensor::{Tensor, TensorData};

use super::EvaluateError;
use crate::model::Network;

/// The network: `predict(input, timesteps)` of `timesteps.len()` images, each at its own t, which may lie between two
/// timesteps.
pub type Predict<'a> = &'a mut dyn FnMut(&[f32], &[f32]) -> Result<Vec<f32>, EvaluateError>;

/// Asks `network`, with the weights it has, for a whole batch of images of `image_shape` (channels, side).
pub fn with_network(
    network: &Network,
    image_shape: (usize, usize),
) -> impl FnMut(&[f32], &[f32]) -> Result<Vec<f32>, EvaluateError> {
    let network = network.untracked();
    let device = network.weights().device();
    let (channels, side) = image_shape;
    move |input, timesteps| {
        let count = timesteps.len();
        let input = TensorData::new(input.to_vec(), [count, channels, side, side]);
        let timesteps = TensorData::new(timesteps.to_vec(), [count]);
        let (input, timesteps) = (Tensor::from_data(input, &device), Tensor::from_data(timesteps, &device));
        let mut predicted = network.forward(input, timesteps, None);
        // What follows says where the variance lies, which no deterministic sampler asks for.
        if predicted.dims()[1] > channels {
            predicted = predicted.narrow(1, 0, channels);
        }
        Ok(predicted.into_data().try_into_vec().expect("networks compute in f32"))
    }
}
