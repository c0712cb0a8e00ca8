use super::EvaluateError;

/// The network: `predict(noisy, timesteps)` of `timesteps.len()` images, each at its own timestep.
pub type Predict<'a> = &'a mut dyn FnMut(&[f32], &[u32]) -> Result<Vec<f32>, EvaluateError>;
