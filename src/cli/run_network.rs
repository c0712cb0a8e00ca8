//! The network of a run, with the weights that its method is meant to be used with.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use burn::tensor::{Device, Tensor, TensorData};

use crate::model::{self, Network};
use crate::record::RunFolder;
use crate::run::unverified;
use crate::spec::{PlannedRun, RunSpec};
use crate::train::Checkpoint;

pub(super) struct RunNetwork {
    pub spec: RunSpec,
    pub network: Network,
    /// The step of the checkpoint that the weights are from.
    pub step: u64,
}

impl RunNetwork {
    /// Reads the network of the last checkpoint in a run's folder, on the CPU.
    pub fn read(run: &Path) -> anyhow::Result<Self> {
        let (PlannedRun { spec, .. }, checkpoint) = read_run(run)?;
        let device = Device::flex();
        let mut network = model::build_for(&spec, &device);
        let weights = spec.evaluate.weights.used().of(spec.own_weights(), checkpoint.ema_weights, checkpoint.weights);
        let count = weights.len();
        network.set_weights(Tensor::from_data(TensorData::new(weights, [count]), &device));
        Ok(Self { spec, network, step: checkpoint.progress.stamp.step })
    }
}

/// A run and its last checkpoint, from its folder.
pub(super) fn read_run(run: &Path) -> anyhow::Result<(PlannedRun, Checkpoint)> {
    let folder = RunFolder { path: run.to_owned() };
    let planned = folder.read_spec().with_context(|| {
        format!(
            "{} is no run's folder\nhint: name results/<sweep>/runs/<run-id>; `speedlab status` lists the ids",
            run.display()
        )
    })?;
    let spec = &planned.spec;
    let path = folder.checkpoint();
    let bytes = fs::read(&path).with_context(|| {
        format!(
            "the run has no checkpoint yet ({})\nhint: it gets one while it is trained by `speedlab run`",
            path.display()
        )
    })?;
    let read = Checkpoint::from_bytes(&bytes, model::parameter_count_for(spec))
        .with_context(|| format!("cannot read {}", path.display()))?;
    if !read.is_verified {
        eprintln!("note: {}", unverified(&path));
    }
    Ok((planned, read.checkpoint))
}
