use burn::tensor::{Tensor, TensorData};

use super::EvaluateError;
use crate::model::Network;

/// The network: `predict(input, timesteps)` of `timesteps.len()` images, each at its own t, which may lie between two
/// timesteps; with `learned_sigma` the v of all images follow what is predicted of all images.
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
        let predicted = network.forward(input, timesteps, None);
        let values = |part: Tensor<4>| part.into_data().try_into_vec::<f32>().expect("networks compute in f32");
        if predicted.dims()[1] == channels {
            return Ok(values(predicted));
        }
        let mut both = values(predicted.clone().narrow(1, 0, channels));
        both.extend(values(predicted.narrow(1, channels, channels)));
        Ok(both)
    }
}
