//! The queue's decisions beside starting runs.

use super::GpuKernels;

/// A decision about all runs of a device, or of the sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing starts on this device any more: it was lost, or it computes something else than the CPU.
    DeviceOut { device: String, reason: String },
    /// From now on runs start on this device with these kernels alone: with those before it computed something else than the CPU.
    OtherKernels { device: String, gpu_kernels: GpuKernels, reason: String },
    /// A run is started with burn's kernels alone: it crashed on a GPU before any step.
    BurnsKernels { run_id: crate::spec::RunId },
    /// A run is started with its batch in more pieces, since it ran out of memory.
    MicroBatches { run_id: crate::spec::RunId, micro_batches: usize },
    /// Nothing starts until there is room on the disk again.
    Paused { reason: String },
    /// There is room again.
    Resumed,
}
