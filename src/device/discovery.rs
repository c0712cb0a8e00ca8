//! Which devices there are, and why others are not.

use serde::{Deserialize, Serialize};

use super::{DeviceKind, DeviceName, cpu_memory_bytes, cpu_model};
use crate::kernels::multiplies_bf16;

/// What was found of one or more kinds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Discovery {
    pub found: Vec<FoundDevice>,
    pub absent: Vec<Absent>,
}

/// A device that can be opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundDevice {
    /// As on the command line: `cuda:0`.
    pub name: String,
    pub kind: DeviceKind,
    /// The part as it names itself.
    pub model: String,
    /// Where it is plugged in, which tells equal parts apart: `0000:65:00.0`.
    pub bus: Option<String>,
    /// What kernels are compiled for.
    pub compiled_for: Option<String>,
    pub memory_bytes: Option<u64>,
    /// A CPU that plays a GPU: right, and slow.
    pub software: bool,
    /// Whether it computes in bf16.
    pub bf16: bool,
    /// Whether the factors of products of f32 may be rounded to the 10 bits of TF32.
    pub tf32: bool,
}

impl FoundDevice {
    /// A device that a trainer of one's own opens: it has every precision as far as anybody knows, and rounds nothing by itself.
    pub fn unopened(name: DeviceName, model: String) -> Self {
        Self {
            name: name.to_string(),
            kind: name.kind(),
            model,
            bus: None,
            compiled_for: None,
            memory_bytes: None,
            software: false,
            bf16: true,
            tf32: true,
        }
    }
}

/// A kind of device that cannot be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Absent {
    pub kind: DeviceKind,
    pub reason: String,
    /// What a person could do.
    pub cure: Option<String>,
}

impl Discovery {
    pub fn add(&mut self, other: Self) {
        self.found.extend(other.found);
        self.absent.extend(other.absent);
    }

    /// The devices that `auto` takes: all of the best model, so that a sweep's times compare. CUDA before other GPUs, GPUs before
    /// the CPU, and no software that plays a GPU.
    pub fn best(&self) -> Vec<&FoundDevice> {
        let rank = |device: &FoundDevice| match device.kind {
            DeviceKind::Cuda => 0,
            DeviceKind::Wgpu => 1,
            DeviceKind::Cpu => 2,
        };
        let usable = || self.found.iter().filter(|device| !device.software);
        let Some(best) = usable().min_by_key(|device| (rank(device), std::cmp::Reverse(device.memory_bytes))) else {
            return Vec::new();
        };
        usable().filter(|device| (device.kind, &device.model) == (best.kind, &best.model)).collect()
    }
}

/// Looks for devices of a kind. GPUs are opened for it, which takes a moment and may end the process: ask in one of its own.
pub fn discover(kind: DeviceKind) -> Discovery {
    match kind {
        DeviceKind::Cpu => Discovery { found: vec![cpu()], absent: vec![] },
        #[cfg(feature = "wgpu")]
        DeviceKind::Wgpu => super::wgpu::discover(),
        #[cfg(feature = "cuda")]
        DeviceKind::Cuda => super::cuda::discover(),
        #[cfg(not(all(feature = "wgpu", feature = "cuda")))]
        _ => Discovery { found: vec![], absent: vec![not_compiled_in(kind)] },
    }
}

fn cpu() -> FoundDevice {
    FoundDevice {
        name: "cpu".to_owned(),
        kind: DeviceKind::Cpu,
        model: cpu_model(),
        bus: None,
        compiled_for: None,
        memory_bytes: cpu_memory_bytes(),
        software: false,
        bf16: multiplies_bf16(),
        tf32: false,
    }
}

#[cfg(not(all(feature = "wgpu", feature = "cuda")))]
fn not_compiled_in(kind: DeviceKind) -> Absent {
    Absent {
        kind,
        reason: "not compiled in".to_owned(),
        cure: Some(format!("cargo build --release --features {kind}")),
    }
}

/// What burn tells of an open device.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub(super) fn found(kind: DeviceKind, index: usize, device: &burn::tensor::Device) -> FoundDevice {
    use burn::tensor::FloatDType;

    use crate::kernels::has_tf32;

    let identity = device.identity();
    let bus = identity.as_ref().and_then(|identity| identity.physical.as_ref()?.pci_address);
    FoundDevice {
        name: kind.nth(index).to_string(),
        kind,
        software: kind == DeviceKind::Wgpu && identity.as_ref().is_none_or(|identity| identity.physical.is_none()),
        bus: bus.map(|bus| bus.to_string()),
        compiled_for: identity.as_ref().map(|identity| identity.fingerprint.clone()),
        model: identity.map_or_else(|| "unknown device".to_owned(), |identity| identity.name),
        memory_bytes: None,
        bf16: device.supports_dtype(FloatDType::BF16),
        tf32: has_tf32(device),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(kind: DeviceKind, index: usize, model: &str, software: bool) -> FoundDevice {
        FoundDevice { name: kind.nth(index).to_string(), kind, model: model.into(), software, ..cpu() }
    }

    fn best(found: Vec<FoundDevice>) -> Vec<String> {
        Discovery { found, absent: vec![] }.best().into_iter().map(|device| device.name.clone()).collect()
    }

    #[test]
    fn auto_takes_all_gpus_of_one_model_and_the_cpu_where_there_is_none() {
        let cuda = |index, model| device(DeviceKind::Cuda, index, model, false);
        assert_eq!(best(vec![cpu(), cuda(0, "H100"), cuda(1, "H100"), cuda(2, "A10")]), ["cuda:0", "cuda:1"]);
        assert_eq!(best(vec![cpu(), device(DeviceKind::Wgpu, 0, "Arc", false)]), ["wgpu:0"]);
        assert_eq!(best(vec![cpu(), device(DeviceKind::Wgpu, 0, "llvmpipe", true)]), ["cpu"]);
        assert_eq!(best(vec![]), Vec::<String>::new());
    }

    #[test]
    fn the_cpu_is_found_and_what_is_not_compiled_in_has_a_cure() {
        assert_eq!(discover(DeviceKind::Cpu).found[0].name, "cpu");
        for kind in DeviceKind::ALL.into_iter().filter(|kind| !kind.is_compiled_in()) {
            let absent = &discover(kind).absent[0];
            assert_eq!(absent.cure, Some(format!("cargo build --release --features {kind}")));
        }
    }
}
