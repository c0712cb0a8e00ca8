//! The forward process, what is predicted, which timesteps are trained on and how they are weighted.

mod loss_weighting;
mod noise_assignment;
mod noise_schedule;
mod parameterization;
mod timestep_sampler;

pub use loss_weighting::*;
pub use noise_assignment::*;
pub use noise_schedule::*;
pub use parameterization::*;
pub use timestep_sampler::*;
