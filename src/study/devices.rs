//! The devices of a study's runs: those that are asked for, or the best available.
//!
//! Each kind of GPU is listed by a process of its own: a driver that dies ends that process, not the program.

use std::fmt;
use std::num::NonZeroUsize;
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use super::StudyError;
use crate::device::{
    Absent, DeviceError, DeviceKind, DeviceName, Discovery, FoundDevice, cpu_model, discover, gpus_seen,
};
use crate::process::output_within;
use crate::schedule::{CpuThreads, Device, cores, gpus};
use crate::spec::{FidPrecision, Plan, PlannedRun, Precision};

/// To list a kind's devices.
const LIST_PATIENCE: Duration = Duration::from_secs(120);

/// What `--device` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedDevices {
    Auto,
    /// At least one, each once, and the CPU not beside GPUs.
    These(Vec<DeviceName>),
}

/// What `--evaluate-on` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvaluateOnDevice {
    /// The device that trains.
    Same,
    Other(DeviceName),
}

/// The devices that a sweep's runs go to.
#[derive(Clone, Debug)]
pub struct ChosenDevices {
    /// For the queue.
    pub devices: Vec<Device>,
    /// In words, each as on the command line with its model where it is a GPU.
    pub words: String,
    /// What a person should know of the choice.
    pub note: Option<String>,
    /// Where networks are evaluated: else their images are generated where they are trained, and measured on the CPU.
    pub evaluate_on: Option<EvaluateOnDevice>,
    /// Whether the kernels of a training step are launched together.
    pub captures_steps: bool,
}

impl ChosenDevices {
    /// The devices for a plan's runs, each seen to be there and able to do what the plan asks; `jobs` runs at once on each. Runs are
    /// evaluated on `evaluate_on`.
    pub fn choose(
        wanted: &WantedDevices,
        jobs: Option<NonZeroUsize>,
        evaluate_on: Option<EvaluateOnDevice>,
        plan: &Plan,
    ) -> Result<Self, StudyError> {
        Self::training(wanted, jobs, plan)?.evaluating_on(evaluate_on, plan)
    }

    fn training(wanted: &WantedDevices, jobs: Option<NonZeroUsize>, plan: &Plan) -> Result<Self, StudyError> {
        let planned_runs = plan.runs.len();
        let jobs = match (jobs, plan.exclusive) {
            (Some(jobs), true) if jobs.get() > 1 => return Err(StudyError::Exclusive { jobs: jobs.get() }),
            (_, true) => Some(NonZeroUsize::MIN),
            (jobs, false) => jobs,
        };
        // Another program opens the device then, whatever this one was built for.
        let by_trainers = !plan.runs.is_empty() && plan.runs.iter().all(|run| run.spec.trainer.is_some());
        let (names, note) = match wanted {
            WantedDevices::These(names) if by_trainers => (unopened(names)?, None),
            WantedDevices::Auto if by_trainers => (unopened_auto(), None),
            WantedDevices::These(names) => (found(names)?, None),
            WantedDevices::Auto => auto(),
        };
        let own = plan.runs.iter().filter(|run| run.spec.trainer.is_none());
        let asked: Vec<Precision> = own.map(|run| run.spec.train.precision).collect();
        let rounds = can_do(&asked, &names)?;
        let note = note.or(rounds);
        if names.iter().all(|device| device.kind == DeviceKind::Cpu) {
            let device = CpuThreads::of_this_machine(jobs, planned_runs).device();
            let words = "cpu".to_owned();
            return Ok(Self { devices: vec![device], words, note, evaluate_on: None, captures_steps: false });
        }
        let words = names.iter().map(in_words).collect::<Vec<_>>();
        let names: Vec<String> = names.into_iter().map(|device| device.name).collect();
        let (devices, words) = (gpus(&names, cores(), jobs), words.join(", "));
        Ok(Self { devices, words, note, evaluate_on: None, captures_steps: false })
    }

    /// The same with steps whose kernels are launched together, where that is asked for.
    pub fn capturing_steps(mut self, asked: bool, plan: &Plan) -> Result<Self, StudyError> {
        if asked && plan.runs.iter().any(|run| run.spec.trainer.is_some()) {
            return Err(StudyError::CapturedByTrainer);
        }
        if asked && self.devices.iter().any(Device::is_cpu) {
            return Err(StudyError::CapturedOnCpu);
        }
        self.captures_steps = asked;
        Ok(self)
    }

    /// The same with evaluations there, which is seen to be there.
    fn evaluating_on(mut self, evaluate_on: Option<EvaluateOnDevice>, plan: &Plan) -> Result<Self, StudyError> {
        if evaluate_on.is_some() && plan.runs.iter().any(|run| run.spec.trainer.is_some()) {
            return Err(StudyError::EvaluatedByTrainer);
        }
        let mut gpu = self.devices.iter().find(|device| !device.is_cpu()).map(|device| device.name.clone());
        if let Some(EvaluateOnDevice::Other(name)) = evaluate_on {
            gpu = found(&[name])?
                .into_iter()
                .find(|device| device.kind != DeviceKind::Cpu)
                .map(|device| in_words(&device));
            let trains = |device: &Device| device.name == name.to_string();
            if self.devices.len() > 1 && self.devices.iter().any(trains) {
                return Err(StudyError::EvaluatesWhereOthersTrain { name });
            }
        }
        can_measure(plan, gpu, &found_cpu())?;
        self.evaluate_on = evaluate_on;
        Ok(self)
    }
}

fn in_words(device: &FoundDevice) -> String {
    format!("{} ({})", device.name, device.model)
}

fn found_cpu() -> FoundDevice {
    discover(DeviceKind::Cpu).found.remove(0)
}

/// That what measures a plan's runs does so in the precisions that are asked for: `gpu` generates the images, or the CPU where it is none.
/// The CPU sees those that programs of the user's own generate.
fn can_measure(plan: &Plan, gpu: Option<String>, cpu: &FoundDevice) -> Result<(), DeviceError> {
    let asks = |run: &&PlannedRun| run.spec.evaluate.fids().any(|fid| fid.precision == FidPrecision::Bf16);
    let mut asking = plan.runs.iter().filter(asks).peekable();
    if asking.peek().is_none() {
        return Ok(());
    }
    match gpu {
        Some(device) if asking.any(|run| run.spec.trainer.is_none()) => Err(DeviceError::MeasuresOnGpu { device }),
        _ if !cpu.bf16 => Err(DeviceError::NoMeasuringPrecision { device: in_words(cpu) }),
        _ => Ok(()),
    }
}

/// That every device computes in every precision asked for; a note where one rounds what was asked in f32.
fn can_do(asked: &[Precision], devices: &[FoundDevice]) -> Result<Option<String>, DeviceError> {
    let asks = |precision| asked.contains(&precision);
    for device in devices {
        let words = || in_words(device);
        for (precision, is_there) in [(Precision::Tf32, device.tf32), (Precision::Bf16, device.bf16)] {
            if asks(precision) && !is_there {
                return Err(DeviceError::NoPrecision { device: words(), precision: precision.name() });
            }
        }
        if device.tf32 && asks(Precision::F32) && asks(Precision::Tf32) {
            return Err(DeviceError::OnePrecision { device: words() });
        }
    }
    let rounding = devices.iter().find(|device| device.tf32 && asks(Precision::F32));
    Ok(rounding.map(|device| {
        format!(
            "{} may round the factors of f32 products to tf32 (10 bits); the records say so, and `train.precision: tf32` asks for it",
            device.name
        )
    }))
}

/// The named devices, each seen to be there.
fn found(names: &[DeviceName]) -> Result<Vec<FoundDevice>, DeviceError> {
    let mut discovery = Discovery::default();
    for kind in DeviceKind::ALL.into_iter().filter(|kind| names.iter().any(|name| name.kind() == *kind)) {
        discovery.add(found_in_children(kind));
    }
    let of = |name: &DeviceName| {
        if !name.kind().is_compiled_in() {
            return Err(DeviceError::NotCompiledIn { name: *name });
        }
        let text = name.to_string();
        if let Some(device) = discovery.found.iter().find(|device| device.name == text) {
            return Ok(device.clone());
        }
        match discovery.absent.iter().find(|absent| absent.kind == name.kind()) {
            Some(Absent { reason, cure, .. }) => {
                Err(DeviceError::Absent { name: *name, reason: reason.clone(), cure: cure.clone() })
            }
            None => {
                let found = discovery.found.iter().filter(|device| device.kind == name.kind()).count();
                Err(DeviceError::NoSuch { name: *name, found })
            }
        }
    };
    names.iter().map(of).collect()
}

/// The named devices, as the system knows them: a GPU is refused where it knows of fewer.
fn unopened(names: &[DeviceName]) -> Result<Vec<FoundDevice>, DeviceError> {
    let gpus = gpus_seen();
    let of = |name: &DeviceName| match *name {
        DeviceName::Cpu => Ok(FoundDevice::unopened(*name, cpu_model())),
        // What lists them may be hidden, as in some containers: then the trainer finds out.
        DeviceName::Wgpu(index) | DeviceName::Cuda(index) => match gpus.get(index) {
            Some(model) => Ok(FoundDevice::unopened(*name, model.clone())),
            None if gpus.is_empty() => Ok(FoundDevice::unopened(*name, "unknown GPU".to_owned())),
            None => Err(DeviceError::NoSuch { name: *name, found: gpus.len() }),
        },
    };
    names.iter().map(of).collect()
}

/// NVIDIA's GPUs where there are any, else the CPU.
fn unopened_auto() -> Vec<FoundDevice> {
    let gpus = gpus_seen().into_iter().filter(|gpu| gpu.starts_with("NVIDIA"));
    let found: Vec<FoundDevice> =
        gpus.enumerate().map(|(index, model)| FoundDevice::unopened(DeviceName::Cuda(index), model)).collect();
    match found.is_empty() {
        true => vec![FoundDevice::unopened(DeviceName::Cpu, cpu_model())],
        false => found,
    }
}

/// The best there is, and why not a better one.
fn auto() -> (Vec<FoundDevice>, Option<String>) {
    let mut discovery = Discovery::default();
    for kind in DeviceKind::ALL.into_iter().filter(|kind| kind.is_compiled_in()) {
        discovery.add(found_in_children(kind));
    }
    let best: Vec<FoundDevice> = discovery.best().into_iter().cloned().collect();
    if best.iter().any(|device| device.kind != DeviceKind::Cpu) {
        return (best, None);
    }
    let seen = gpus_seen();
    let note = seen.first().map(|gpu| match discovery.absent.first() {
        Some(Absent { kind, reason, .. }) => {
            format!("there is a GPU ({gpu}) that {kind} cannot use: {reason}; `speedlab devices` says more")
        }
        None if !DeviceKind::Wgpu.is_compiled_in() || !DeviceKind::Cuda.is_compiled_in() => format!(
            "there is a GPU ({gpu}), and this speedlab was built for the CPU alone: cargo build --release --features {}",
            if gpu.starts_with("NVIDIA") { DeviceKind::Cuda } else { DeviceKind::Wgpu }
        ),
        None => format!("there is a GPU ({gpu}) that no driver offers; `speedlab devices` says more"),
    });
    (best, note)
}

impl fmt::Display for WantedDevices {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::These(names) => {
                formatter.write_str(&names.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl FromStr for EvaluateOnDevice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "same" { Ok(Self::Same) } else { text.parse().map(Self::Other) }
    }
}

impl FromStr for WantedDevices {
    type Err = String;

    /// `cuda:0,1` is short for `cuda:0,cuda:1`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let mut names: Vec<DeviceName> = Vec::new();
        for part in text.split(',') {
            let name = match (part.parse::<usize>(), names.last()) {
                (Ok(index), Some(last)) if last.kind() != DeviceKind::Cpu => last.kind().nth(index),
                _ => part.parse()?,
            };
            if names.contains(&name) {
                return Err(DeviceError::Twice { name }.to_string());
            }
            names.push(name);
        }
        let on_cpu = names.contains(&DeviceName::Cpu);
        if on_cpu && names.len() > 1 {
            return Err("a sweep runs on the CPU or on GPUs: times of both say nothing about methods".to_owned());
        }
        Ok(Self::These(names))
    }
}

/// A kind's devices, asked in a child process; one that dies or takes too long is absent, with its last word.
pub fn found_in_children(kind: DeviceKind) -> Discovery {
    if kind == DeviceKind::Cpu || !kind.is_compiled_in() {
        return discover(kind);
    }
    let answer = ask_child(&["list-devices", &kind.to_string()], &[], LIST_PATIENCE);
    answer.unwrap_or_else(|reason| Discovery {
        found: vec![],
        absent: vec![Absent { kind, reason: format!("asking its driver failed: {reason}"), cure: None }],
    })
}

/// Starts this program again and reads the one JSON value that it prints; else the last thing it said.
pub fn ask_child<T: serde::de::DeserializeOwned>(
    words: &[&str],
    environment: &[(&str, &str)],
    patience: Duration,
) -> Result<T, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    let output = output_within(command.args(words).envs(environment.iter().copied()), patience);
    let Some(output) = output.map_err(|error| error.to_string())? else {
        return Err(format!("no answer in {} s", patience.as_secs()));
    };
    if !output.status.success() {
        let complained = String::from_utf8_lossy(&output.stderr);
        let last = complained.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        return Err(format!("{}: {last}", output.status));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(said.trim()).map_err(|error| format!("its answer cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_lists_with_short_forms() {
        let read = |text: &str| text.parse::<WantedDevices>().map(|wanted| wanted.to_string());
        assert_eq!(read("auto"), Ok("auto".into()));
        assert_eq!(read("cuda:0,1"), Ok("cuda:0,cuda:1".into()));
        assert_eq!(read("cuda:1,wgpu"), Ok("cuda:1,wgpu:0".into()));
        assert_eq!(read("cpu"), Ok("cpu".into()));
    }

    #[test]
    fn a_device_is_asked_for_no_precision_that_it_has_not_and_rounding_is_told() {
        let device = |tf32, bf16| FoundDevice {
            name: "cuda:0".into(),
            kind: DeviceKind::Cuda,
            model: "H100".into(),
            bus: None,
            compiled_for: None,
            memory_bytes: None,
            software: false,
            bf16,
            tf32,
        };
        use Precision::{Bf16, F32, Tf32};
        assert_eq!(can_do(&[F32], &[device(false, false)]), Ok(None));
        assert_eq!(can_do(&[Tf32, Bf16], &[device(true, true)]), Ok(None));
        let note = can_do(&[F32, Bf16], &[device(true, true)]).unwrap().expect("f32 is rounded there");
        assert!(note.starts_with("cuda:0 may round"), "{note}");
        let words = "cuda:0 (H100)".to_owned();
        let lacks = |precision| Err(DeviceError::NoPrecision { device: words.clone(), precision });
        assert_eq!(can_do(&[Tf32], &[device(false, true)]), lacks("tf32"));
        assert_eq!(can_do(&[F32, Bf16], &[device(true, false)]), lacks("bf16"));
        let one = DeviceError::OnePrecision { device: words.clone() };
        assert_eq!(can_do(&[F32, Tf32], &[device(true, true)]), Err(one));
    }

    #[test]
    fn what_measures_in_bf16_is_a_cpu_that_has_it() {
        let with = |also: bool, by_trainer: bool| {
            let mut spec = crate::spec::RunSpec::default();
            let rounded = crate::spec::Fid { precision: FidPrecision::Bf16, ..Default::default() };
            match also {
                true => spec.evaluate.also = vec![rounded],
                false => spec.evaluate.fid = rounded,
            }
            spec.trainer = by_trainer.then(Default::default);
            super::super::task::plan_of("bf16", &[PlannedRun::of_baseline(spec)], false)
        };
        let plain = super::super::task::plan_of("f32", &[PlannedRun::of_baseline(Default::default())], false);
        let cpu = |bf16| FoundDevice { bf16, ..FoundDevice::unopened(DeviceName::Cpu, "EPYC".into()) };
        let gpu = || Some("cuda:0 (H100)".to_owned());
        assert_eq!(can_measure(&plain, gpu(), &cpu(false)), Ok(()));
        for also in [false, true] {
            assert_eq!(can_measure(&with(also, false), None, &cpu(true)), Ok(()));
            let lacks = can_measure(&with(also, false), None, &cpu(false)).unwrap_err().to_string();
            let expected = "the sweep asks for `evaluate.fid.precision: bf16`, which cpu (EPYC) does not compute in\nhint: measure on a processor with AVX512-BF16, or leave the key out";
            assert_eq!(lacks, expected);
            let on_gpu = can_measure(&with(also, false), gpu(), &cpu(true)).unwrap_err().to_string();
            let expected = "the sweep asks for `evaluate.fid.precision: bf16`, and cuda:0 (H100) generates the images: feature networks in bf16 are the CPU's\n";
            assert!(on_gpu.starts_with(expected), "{on_gpu}");
            // The CPU sees what somebody else's program generates, wherever that trains.
            assert_eq!(can_measure(&with(also, true), gpu(), &cpu(true)), Ok(()));
            assert!(can_measure(&with(also, true), gpu(), &cpu(false)).is_err());
        }
    }

    #[test]
    fn lists_that_make_no_sense_are_refused() {
        let error = |text: &str| text.parse::<WantedDevices>().unwrap_err();
        assert_eq!(error("cuda:0,0"), "cuda:0 was asked twice");
        assert_eq!(error("1"), "`1` is no kind of device: cpu, wgpu or cuda");
        assert!(error("cpu,cuda:0").starts_with("a sweep runs on the CPU or on GPUs"));
        assert!(error("").contains("no kind of device"));
    }
}
