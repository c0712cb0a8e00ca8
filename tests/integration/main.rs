//! Tests of the whole program and of its parts against outside references.

mod architecture;
mod consistency;
mod data;
mod diffusion;
mod evaluate;
mod features;
mod fid;
mod gaussian_mixture;
mod kernels;
mod landscape;
mod measures;
mod model;
mod optim;
mod parity;
mod plan;
mod presets;
mod real_sets;
mod record;
mod report;
mod run;
mod sandbox;
mod schedule;
mod timestep_density;
mod train;
mod transformers;
