//! GPUs through Vulkan, Metal or DirectX 12.

use burn::tensor::{Device, DeviceKind as AdapterKind, DeviceType};

use super::graphics::vulkan_trouble;
use super::{Absent, DeviceKind, Discovery, discovery};

/// Adapters that wgpu finds, GPUs first, then software that plays one. Lists them without opening any.
///
/// `WGPU_ADAPTER_NAME` narrows them to those whose name has that text in it, in whatever case, as it does in wgpu's own programs;
/// the loader's own variables (`VK_DRIVER_FILES` and others) hold anyway.
pub fn devices() -> Vec<Device> {
    let software = Device::wgpu(AdapterKind::Cpu);
    let (software, mut devices): (Vec<Device>, Vec<Device>) =
        Device::enumerate(DeviceType::Wgpu).into_iter().partition(|device| *device == software);
    devices.extend(software);
    if let Ok(wanted) = std::env::var("WGPU_ADAPTER_NAME") {
        let wanted = wanted.to_lowercase();
        let name = |device: &Device| device.identity().map(|identity| identity.name.to_lowercase());
        devices.retain(|device| name(device).is_some_and(|name| name.contains(&wanted)));
    }
    devices
}

pub fn discover() -> Discovery {
    let devices = devices();
    let found = devices.iter().enumerate().map(|(index, device)| discovery::found(DeviceKind::Wgpu, index, device));
    let found: Vec<_> = found.collect();
    let absent = match found.is_empty() {
        true => {
            let (reason, cure) = vulkan_trouble();
            vec![Absent { kind: DeviceKind::Wgpu, reason, cure: Some(cure) }]
        }
        false => vec![],
    };
    Discovery { found, absent }
}
