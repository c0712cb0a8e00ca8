//! `speedlab devices`: the devices that can train runs, and why others cannot.
//!
//! Each kind of GPU is listed by a process of its own: a driver that dies ends that process, not the program.

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::table::{bytes, new_table};
use super::{DataArgs, Exit};
use crate::data;
use crate::device::{
    self, Absent, DeviceKind, DeviceName, Discovery, FoundDevice, WITHOUT_FUSION, WITHOUT_OWN_KERNELS, discover,
    gpus_seen,
};
use crate::event::DeviceComparison;
use crate::report::number::significant;
use crate::schedule::GpuKernels;
use crate::spec::RunSpec;
use crate::study::{self, ask_child, found_in_children};
use crate::train::{Speed, compare_with_cpu, measure_speed};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab devices                      the devices that can train runs, and why others cannot
  speedlab devices --probe              train a few steps on each: its speed, and whether its numbers agree with the CPU's
  speedlab devices --json | jq -r '.devices[].name'

`speedlab run --device NAME` takes the names that are printed here.")]
pub struct DevicesArgs {
    /// Train a small network for a few steps on each device and compare it with the CPU; a device that disagrees is tried again
    /// without fused kernels, then with burn's alone
    #[arg(long)]
    probe: bool,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArgs,
}

/// The version of `devices --json`.
const DEVICES_VERSION: u32 = 1;
/// To train a few steps: the first time, kernels are compiled and tuned.
const PROBE_PATIENCE: Duration = Duration::from_secs(1200);

/// The result of a probe.
#[derive(Debug, Serialize, Deserialize)]
struct Probe {
    comparison: DeviceComparison,
    speed: Speed,
}

/// The outcome of a probe: with fused kernels and, where these disagreed with the CPU, with others.
struct Probed {
    gpu_kernels: GpuKernels,
    result: Result<Probe, String>,
}

pub fn devices(args: &DevicesArgs) -> anyhow::Result<Exit> {
    let mut discovery = Discovery::default();
    for kind in DeviceKind::ALL {
        discovery.add(found_in_children(kind));
    }
    let probes: Vec<Option<Probed>> =
        discovery.found.iter().map(|device| args.probe.then(|| probe(device, args))).collect();
    let disagrees = |probed: &Probed| !matches!(&probed.result, Ok(probe) if probe.comparison.objection().is_none());
    let exit = match probes.iter().flatten().any(disagrees) {
        true => Exit::SomeFailed,
        false => Exit::AllDone,
    };
    if args.json {
        let devices: Vec<_> =
            discovery.found.iter().zip(&probes).map(|(device, probed)| to_json(device, probed)).collect();
        out!(
            "{}",
            json!({ "version": DEVICES_VERSION, "devices": devices, "absent": discovery.absent, "seen": gpus_seen() })
        );
        return Ok(exit);
    }
    let mut table = new_table(["device", "model", "at", "memory", "tf32", "bf16", "note"]);
    for device in &discovery.found {
        table.add_row([
            device.name.clone(),
            device.model.clone(),
            device.bus.clone().unwrap_or_default(),
            device.memory_bytes.map_or_else(String::new, |size| bytes(size as f64)),
            if device.tf32 { "yes" } else { "no" }.to_owned(),
            if device.bf16 { "yes" } else { "no" }.to_owned(),
            if device.software { "software on the CPU: right, and slow" } else { "" }.to_owned(),
        ]);
    }
    out!("{table}");
    for Absent { kind, reason, cure } in &discovery.absent {
        out!("{kind:<5} {reason}{}", cure.as_ref().map_or_else(String::new, |cure| format!("; {cure}")));
    }
    for gpu in gpus_seen()
        .iter()
        .filter(|_| discovery.found.iter().all(|device| device.software || device.kind == DeviceKind::Cpu))
    {
        out!("seen  {gpu}, which nothing here can use yet");
    }
    for (device, probed) in discovery.found.iter().zip(&probes) {
        if let Some(probed) = probed {
            out!("probe {}: {}", device.name, in_words(probed));
        }
    }
    Ok(exit)
}

fn probe(device: &FoundDevice, args: &DevicesArgs) -> Probed {
    eprintln!("probing {} ({}): kernels may have to be compiled first", device.name, device.model);
    let mut words = vec!["probe-device".to_owned(), device.name.clone()];
    if let Some(folder) = &args.data.data_dir {
        words.extend(["--data-dir".to_owned(), folder.display().to_string()]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let fused = ask_child::<Probe>(&words, &[], PROBE_PATIENCE);
    let agrees = |result: &Result<Probe, String>| matches!(result, Ok(probe) if probe.comparison.objection().is_none());
    if agrees(&fused) || device.kind == DeviceKind::Cpu {
        return Probed { gpu_kernels: GpuKernels::Fused, result: fused };
    }
    eprintln!("{} disagrees with the CPU or failed: once more without fused kernels", device.name);
    let unfused = ask_child(&words, &[WITHOUT_FUSION], PROBE_PATIENCE);
    if agrees(&unfused) {
        return Probed { gpu_kernels: GpuKernels::Unfused, result: unfused };
    }
    eprintln!("{} disagrees with the CPU or failed: once more with burn's kernels alone", device.name);
    let result = ask_child(&words, &[WITHOUT_FUSION, WITHOUT_OWN_KERNELS], PROBE_PATIENCE);
    Probed { gpu_kernels: GpuKernels::Burns, result }
}

fn in_words(probed: &Probed) -> String {
    let Probe { comparison, speed } = match &probed.result {
        Ok(probe) => probe,
        Err(reason) => return format!("failed: {reason}"),
    };
    let without = match probed.gpu_kernels {
        GpuKernels::Fused => "",
        GpuKernels::Unfused => " without fused kernels",
        GpuKernels::Burns => " with burn's kernels alone",
    };
    match comparison.objection() {
        Some(objection) => format!("not to be used{without}: {objection}"),
        None => format!(
            "agrees with the CPU{without} to {:.1e}; {} steps/s, {} images/s",
            comparison.largest_difference,
            significant(speed.steps_per_second, 3),
            significant(speed.images_per_second, 3),
        ),
    }
}

fn to_json(device: &FoundDevice, probed: &Option<Probed>) -> serde_json::Value {
    let mut value = json!(device);
    if let Some(probed) = probed {
        value["probe"] = match &probed.result {
            Ok(probe) => json!({
                "fusion": probed.gpu_kernels == GpuKernels::Fused,
                "own_kernels": probed.gpu_kernels != GpuKernels::Burns,
                "agrees": probe.comparison.objection().is_none(),
                "comparison": probe.comparison,
                "speed": probe.speed,
            }),
            Err(reason) => json!({
                "fusion": probed.gpu_kernels == GpuKernels::Fused,
                "own_kernels": probed.gpu_kernels != GpuKernels::Burns,
                "agrees": false,
                "error": reason,
            }),
        };
    }
    value
}

/// The arguments of the process that [`found_in_children`] starts.
#[derive(Debug, Args)]
pub struct ListDevicesArgs {
    kind: DeviceKind,
}

pub fn list_devices(args: &ListDevicesArgs) -> anyhow::Result<Exit> {
    out!("{}", json!(discover(args.kind)));
    Ok(Exit::AllDone)
}

/// The arguments of the process that `--probe` starts for each device.
#[derive(Debug, Args)]
pub struct ProbeDeviceArgs {
    device: DeviceName,
    #[command(flatten)]
    data: DataArgs,
}

pub fn probe_device(args: &ProbeDeviceArgs) -> anyhow::Result<Exit> {
    let device = device::open(args.device)?;
    // The UNet and the digits that a sweep has where it says nothing: both are in the program.
    let spec = RunSpec::default();
    let dataset = data::load_for(&spec, &args.data.folder()?, &mut |_| {})?;
    let comparison = compare_with_cpu(&spec, &dataset, &device, 0, false)?;
    let speed = measure_speed(&spec, &dataset, &device)?;
    out!("{}", json!(Probe { comparison, speed }));
    Ok(Exit::AllDone)
}

pub fn probe_cpu() -> anyhow::Result<Exit> {
    out!("{}", json!(study::probe_cpu()?));
    Ok(Exit::AllDone)
}
