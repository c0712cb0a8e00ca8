//! The training speed of this machine's CPU, measured in a few seconds and kept. The estimate of a first study rests on it.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ask_child;
use super::cost::network_flops;
use crate::checksum::sha256;
use crate::data::{self, DataFolder};
use crate::device::cpu_model;
use crate::schedule::Device;
use crate::spec::{RunSpec, decode_json};
use crate::train::measure_speed;

/// Operations per second of a run, while as many runs as share the device train beside it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The geometric mean over the networks that were timed.
    pub flops_per_second: f64,
    /// Of the slowest and the fastest network: what the estimate may be off by.
    pub slowest: f64,
    pub fastest: f64,
}

/// For both networks, with the start of the program.
const PATIENCE: Duration = Duration::from_secs(60);
const VERSION: u32 = 1;

/// Networks that are timed: small images with few channels, and larger ones with more.
fn networks() -> [RunSpec; 2] {
    let small = serde_json::json!({ "model": { "kind": "unet", "channels": 16 }, "train": { "batch_size": 64 } });
    let large = serde_json::json!({ "model": { "kind": "unet", "channels": 48 }, "train": { "batch_size": 16 } });
    [small, large].map(|changes| decode_json(&changes).expect("these are keys of a run"))
}

impl Calibration {
    /// As it was measured before for this processor, number of runs and of threads; else measured now, a process for each run.
    /// `None` where it cannot be measured: the estimate then rests on a typical core.
    pub fn of_cpu(device: &Device, folder: &DataFolder) -> Option<Self> {
        let path = kept(device, folder);
        let known = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if known.is_some() {
            return known;
        }
        let threads = device.threads.to_string();
        let measured: Vec<Vec<f64>> = thread::scope(|scope| {
            let one = || ask_child::<Vec<f64>>(&["probe-cpu"], &[("RAYON_NUM_THREADS", &threads)], PATIENCE).ok();
            let all: Vec<_> = (0..device.slots).map(|_| scope.spawn(one)).collect();
            all.into_iter().filter_map(|child| child.join().expect("it does not panic")).collect()
        });
        let calibration = Self::of_speeds(&measured.concat())?;
        // It can be measured again where it cannot be kept.
        let text = serde_json::to_string(&calibration).expect("numbers are plain data");
        let _ = path.parent().map(fs::create_dir_all);
        let _ = fs::write(path, text);
        Some(calibration)
    }

    fn of_speeds(speeds: &[f64]) -> Option<Self> {
        if speeds.is_empty() || speeds.iter().any(|speed| !(speed.is_finite() && *speed > 0.0)) {
            return None;
        }
        let mean = speeds.iter().map(|speed| speed.ln()).sum::<f64>() / speeds.len() as f64;
        let slowest = speeds.iter().copied().fold(f64::INFINITY, f64::min);
        let fastest = speeds.iter().copied().fold(0.0, f64::max);
        Some(Self { flops_per_second: mean.exp(), slowest, fastest })
    }
}

fn kept(device: &Device, folder: &DataFolder) -> PathBuf {
    let program = env!("CARGO_PKG_VERSION");
    let key = format!("{VERSION} {program} {} {} {}", cpu_model(), device.slots, device.threads);
    folder.path().join("calibration").join(format!("{}.json", &sha256(key.as_bytes())[..16]))
}

/// Operations per second of each of the networks, in this process: what `probe-cpu` prints.
pub fn probe_cpu() -> Result<Vec<f64>, super::StudyError> {
    let device = crate::device::open(crate::device::DeviceName::Cpu)?;
    let dataset = data::load_digits()?;
    let mut speeds = Vec::new();
    for spec in networks() {
        let speed = measure_speed(&spec, &dataset, &device)?;
        speeds.push(network_flops(&spec).after(1) * speed.images_per_second);
    }
    Ok(speeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_become_a_mean_and_what_it_may_be_off_by() {
        let calibration = Calibration::of_speeds(&[40e9, 90e9]).unwrap();
        assert!((calibration.flops_per_second / 60e9 - 1.0).abs() < 1e-12);
        assert_eq!((calibration.slowest, calibration.fastest), (40e9, 90e9));
        for wrong in [&[][..], &[0.0], &[f64::NAN, 1e9]] {
            assert_eq!(Calibration::of_speeds(wrong), None);
        }
    }

    #[test]
    fn what_was_measured_is_kept_by_processor_and_shares() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::find(Some(temporary.path())).unwrap();
        let (one, two) = (Device::new("cpu", 2, 1), Device::new("cpu", 1, 2));
        assert_ne!(kept(&one, &folder), kept(&two, &folder));
        let calibration = Calibration { flops_per_second: 6e10, slowest: 4e10, fastest: 9e10 };
        fs::create_dir_all(kept(&one, &folder).parent().unwrap()).unwrap();
        fs::write(kept(&one, &folder), serde_json::to_string(&calibration).unwrap()).unwrap();
        assert_eq!(Calibration::of_cpu(&one, &folder), Some(calibration));
    }
}
