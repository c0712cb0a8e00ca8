//! How busy a GPU is, by the counter that its driver keeps: NVIDIA's management library (NVML), found by the card's PCI address
//! whatever `CUDA_VISIBLE_DEVICES` says, the system's files for cards of AMD and Intel, or Windows's and macOS's own counters.
//!
//! The number is NVML's "GPU utilization": the share of the counter's last period in which at least one kernel ran on the card,
//! whoever started it. It does not say how full the card was: one small kernel after the other keeps all of a card "busy".

use burn::tensor::Device;

use super::DeviceName;

/// Says how busy a device was lately, between 0 and 1; `None` where its counter measures between two looks and this was the first. An
/// error says why there is no counter, or why it gave no reading.
///
/// Asking does not wait for the device. NVML looks back over the last sixth of a second to a second, as the card has it.
pub type Gauge = Box<dyn Fn() -> Result<Option<f64>, String> + Send + Sync>;

/// The gauge of an open device; `None` for the CPU, which has none. Nothing is loaded before it is asked.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub fn gauge(name: DeviceName, device: &Device) -> Option<Gauge> {
    use cubecl_monitoring::UtilizationUnavailable;
    use cubecl_monitoring::gpu_utilization::CardCounters;

    if name == DeviceName::Cpu {
        return None;
    }
    let card = device.identity().and_then(|identity| identity.physical);
    Some(Box::new(move || match CardCounters::read(card.as_ref()) {
        Ok(utilization) => Ok(Some(f64::from(utilization.busy_percent) / 100.0)),
        Err(UtilizationUnavailable::NoPreviousReading) => Ok(None),
        Err(reason) => Err(reason.to_string()),
    }))
}

#[cfg(not(any(feature = "wgpu", feature = "cuda")))]
pub fn gauge(_: DeviceName, _: &Device) -> Option<Gauge> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_has_no_gauge() {
        assert!(gauge(DeviceName::Cpu, &Device::flex()).is_none());
    }
}
