#![doc = include_str!("ARCHITECTURE.md")]

// The pipeline, in order: sweeps/*.yaml -> plan -> schedule -> run { train, evaluate, record } -> report.
pub mod spec;

pub mod event;

pub mod plan;

pub mod schedule;

pub mod run;

pub mod external;

pub mod import;

pub mod merge;

pub mod bundle;

pub mod export;

pub mod compare;

pub mod train;

pub mod evaluate;

pub mod record;

pub mod report;

pub mod cluster;

pub mod study;

pub mod serve;

// What a run is made of.
pub mod data;
pub mod device;
pub mod diffusion;
pub mod kernels;
pub mod model;
pub mod optim;
pub mod random;

pub mod checksum;
pub mod process;
pub mod tensorboard;
pub mod twin;

pub mod cli;
