//! Tests of the whole program and of its parts against outside references.

mod alignment;
mod architecture;
mod autoencoder;
mod bundle;
mod cell;
#[cfg(unix)]
mod cluster;
mod compare;
mod consistency;
mod damage;
mod data;
mod diffusion;
mod evaluate;
mod export;
#[cfg(unix)]
mod external;
mod features;
mod fid;
mod gaussian_mixture;
mod gpu;
mod import;
mod kernels;
mod landscape;
mod latent_pictures;
mod latents;
mod measures;
mod merge;
mod model;
mod optim;
mod pairs;
mod parity;
mod patch_diffusion;
mod plan;
mod presets;
mod real_sets;
mod record;
mod report;
mod run;
mod sandbox;
mod schedule;
mod schedules;
#[cfg(unix)]
mod serve;
mod study;
mod timestep_density;
mod token_masking;
mod token_routing;
mod torture;
mod train;
mod transformers;
mod vit;
mod watch;
mod width;
