//! NVIDIA's GPUs through CUDA, whose driver is loaded when it is first asked.

use burn::tensor::{Device, DeviceType};

use super::cuda_toolkit::{absent_header, has_compiler};
use super::{Absent, DeviceKind, Discovery, discovery};

/// GPUs that the driver shows this process: `CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER` are the driver's to read.
pub fn devices() -> Vec<Device> {
    Device::enumerate(DeviceType::Cuda).into_iter().collect()
}

pub fn discover() -> Discovery {
    if let Some((reason, cure)) = trouble() {
        return Discovery { found: vec![], absent: vec![Absent { kind: DeviceKind::Cuda, reason, cure: Some(cure) }] };
    }
    let devices = devices();
    let found = devices.iter().enumerate().map(|(index, device)| {
        let mut found = discovery::found(DeviceKind::Cuda, index, device);
        found.memory_bytes = memory_bytes(index);
        found
    });
    Discovery { found: found.collect(), absent: vec![] }
}

/// What keeps CUDA from being used, and what helps.
fn trouble() -> Option<(String, String)> {
    // SAFETY: it only tries to open a library of the names that there are.
    let has_driver = unsafe { cudarc::driver::sys::is_culib_present() };
    let driver = "install NVIDIA's driver (libcuda.so.1)".to_owned();
    if !has_driver {
        return Some(("there is no NVIDIA driver (libcuda)".to_owned(), driver));
    }
    if let Err(error) = cudarc::driver::result::init() {
        return Some((format!("NVIDIA's driver does not start: {error}"), "`nvidia-smi` says more".to_owned()));
    }
    let hidden = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    match (cudarc::driver::result::device::get_count(), hidden) {
        (Err(error), _) => Some((format!("NVIDIA's driver counts no GPUs: {error}"), driver)),
        (Ok(0), Some(hidden)) => Some((
            format!("CUDA_VISIBLE_DEVICES=`{hidden}` leaves no GPU"),
            "unset it, or name GPUs that `nvidia-smi -L` lists".to_owned(),
        )),
        (Ok(0), None) => Some(("NVIDIA's driver finds no GPU".to_owned(), "`nvidia-smi -L` lists them".to_owned())),
        (Ok(_), _) if !has_compiler() => Some((
            "NVIDIA's kernel compiler (libnvrtc) is missing".to_owned(),
            "install it: the package nvidia-cuda-nvrtc of pip, which PyTorch brings along, or the CUDA toolkit".to_owned(),
        )),
        (Ok(_), _) => absent_header().map(|header| {
            let reason = match std::env::var("CUDA_PATH") {
                Ok(path) => format!("CUDA's headers are missing: CUDA_PATH=`{path}` has no {header}"),
                Err(_) => format!("CUDA's headers are missing: {header} is nowhere"),
            };
            let cure = "install them: the packages nvidia-cuda-runtime, nvidia-cuda-crt and nvidia-cuda-cccl of pip, or the CUDA \
                toolkit; elsewhere than in /usr/local/cuda, /opt/cuda and Python's packages, name their folder in CUDA_PATH";
            (reason, cure.to_owned())
        }),
    }
}

/// `None` if the driver does not say.
fn memory_bytes(index: usize) -> Option<u64> {
    let device = cudarc::driver::result::device::get(i32::try_from(index).ok()?).ok()?;
    // SAFETY: the device is one that the driver just gave.
    let bytes = unsafe { cudarc::driver::result::device::total_mem(device) };
    bytes.ok().map(|bytes| bytes as u64)
}
