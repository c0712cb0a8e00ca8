//! The devices of this machine, by name: finds, describes and opens them.
//!
//! A driver that dies can end the process that uses it. So the program that plans and schedules never opens a device itself:
//! `cli` lists devices in child processes, and a run opens the one that it is given.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
mod cuda_headers;
#[cfg(feature = "cuda")]
mod cuda_toolkit;
mod discovery;
mod error;
mod graphics;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod kernel_cache;
mod launches;
mod name;
pub mod thread_panics;
mod utilization;
#[cfg(feature = "wgpu")]
mod wgpu;

use burn::tensor::Device;

use crate::kernels::{OWN_KERNELS_VARIABLE, has_own_gpu_kernels, has_tf32};

use cpu::threads_in_words;
pub use cpu::{cpu_label, cpu_memory_bytes, cpu_model};
#[cfg(feature = "cuda")]
pub use cuda_toolkit::show_toolkit;
pub use discovery::{Absent, Discovery, FoundDevice, discover};
pub use error::{DeviceError, failure};
pub use graphics::gpus_seen;
pub use launches::{KernelLaunches, Launches, observe_launches};
pub use name::{DeviceKind, DeviceName};
pub use utilization::{Gauge, gauge};

/// Set in a process's environment, this keeps burn from fusing kernels; read when the first of them is made.
pub const WITHOUT_FUSION: (&str, &str) = ("BURN_FUSION_MAX_EXPLORATIONS", "0");

/// Set in a process's environment, this keeps it from kernels of our own on GPUs; read when the first network is made.
pub const WITHOUT_OWN_KERNELS: (&str, &str) = (OWN_KERNELS_VARIABLE, "0");

/// Set in the environment of a process that has given `CUDA_PATH` another value, and of those that it starts: the value before, empty where there was none.
pub const CUDA_PATH_BEFORE: &str = "SPEEDLAB_CUDA_PATH_BEFORE";

/// Names the folder of compiled kernels, where the platform's folder for caches is not the place for them.
pub const KERNELS_VARIABLE: &str = "SPEEDLAB_KERNELS";

/// Opens a device, which is then ready for tensors.
///
/// # Errors
/// Where this program was built without it, or the machine has none of that name: never a panic of the driver's.
pub fn open(name: DeviceName) -> Result<Device, DeviceError> {
    if name != DeviceName::Cpu {
        thread_panics::watch();
    }
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    kernel_cache::keep_kernels();
    match name {
        DeviceName::Cpu => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        DeviceName::Wgpu(index) => pick(name, index, wgpu::devices()),
        #[cfg(feature = "cuda")]
        DeviceName::Cuda(index) => pick(name, index, cuda::devices()),
        #[cfg(not(all(feature = "wgpu", feature = "cuda")))]
        _ => Err(DeviceError::NotCompiledIn { name }),
    }
}

/// A device as records name it: its make and how it is used, without its place in the machine, so that equal devices compare.
pub fn label(name: DeviceName, device: &Device, threads: usize, runs_at_once: usize, fusion: bool) -> String {
    if name == DeviceName::Cpu {
        return cpu_label(threads, runs_at_once);
    }
    let mut label = format!("{}: {}, {}", name.kind(), make(device), threads_in_words(threads));
    if has_tf32(device) {
        label.push_str(", products in tf32");
    }
    if !fusion {
        label.push_str(", without fusion");
    }
    if !has_own_gpu_kernels() {
        label.push_str(", burn's kernels");
    }
    if runs_at_once > 1 {
        label.push_str(&format!(", {runs_at_once} runs at once"));
    }
    label
}

/// The same of a device that another program opens: GPUs are named by what their driver says of them.
pub fn label_unopened(name: DeviceName, threads: usize, runs_at_once: usize) -> String {
    let index = match name {
        DeviceName::Cpu => return cpu_label(threads, runs_at_once),
        DeviceName::Wgpu(index) | DeviceName::Cuda(index) => index,
    };
    let make = gpus_seen().into_iter().nth(index).unwrap_or_else(|| "unknown device".to_owned());
    let at_once = if runs_at_once > 1 { format!(", {runs_at_once} runs at once") } else { String::new() };
    format!("{}: {make}, {}{at_once}", name.kind(), threads_in_words(threads))
}

/// The part as it names itself.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn make(device: &Device) -> String {
    device.identity().map_or_else(|| "unknown device".to_owned(), |identity| identity.name)
}

#[cfg(not(any(feature = "wgpu", feature = "cuda")))]
fn make(_: &Device) -> String {
    unreachable!("a program without GPUs opens the CPU alone")
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn pick(name: DeviceName, index: usize, mut devices: Vec<Device>) -> Result<Device, DeviceError> {
    if index < devices.len() {
        return Ok(devices.swap_remove(index));
    }
    let Discovery { absent, .. } = discover(name.kind());
    match absent.into_iter().next() {
        Some(Absent { reason, cure, .. }) => Err(DeviceError::Absent { name, reason, cure }),
        None => Err(DeviceError::NoSuch { name, found: devices.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there() {
        let device = open(DeviceName::Cpu).expect("the CPU needs no driver");
        assert!(label(DeviceName::Cpu, &device, 2, 1, true).starts_with("cpu: "));
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error_with_a_cure_and_no_panic() {
        for name in [DeviceName::Wgpu(97), DeviceName::Cuda(97)] {
            let error = open(name).expect_err("no machine has so many devices").to_string();
            assert!(error.starts_with(&format!("{name} ")) && !error.contains("panic"), "{error}");
        }
    }
}
