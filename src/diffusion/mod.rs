//! The diffusion process on the host: how images are noised, which timesteps are trained on, how images are generated.
//!
//! A timestep `t` is an index 0..T, t = 0 the least noisy (DDPM's t minus one). Images and noise are flat host slices
//! of f32, one image after the other, pixels in [-1, 1]; tables and sums are f64. Nothing here knows a network, a
//! device or a clock: [`generate`] is given the network as a closure.
//!
//! A noise schedule is a path from image to noise: x_t = a_t x_0 + s_t epsilon. What needs more than its SNR asks `path.rs`.
//! The parameterization decides the network's input, its target and the meaning of its output, in `parameterization.rs` alone.

mod learned_variance;
mod loss_weighting;
mod noise_assignment;
mod noise_level;
mod noise_schedule;
mod ode_sampler;
mod parameterization;
mod path;
mod timestep_sampler;

pub use learned_variance::LearnedVariance;
pub use loss_weighting::loss_weights;
pub use noise_assignment::assigned_noise;
pub use noise_level::NoiseLevel;
pub use noise_schedule::ForwardProcess;
pub use ode_sampler::{FreshNoise, Predict, generate, generation_levels};
pub use parameterization::{network_input, training_target};
pub use path::Path;
pub use timestep_sampler::{TimestepSampler, TrainingTimestep, timestep_sampler};
