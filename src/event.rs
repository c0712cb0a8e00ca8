//! What a run reports while it trains, and how it ended. Plain data; every event is one line of JSON.

mod name;

use serde::{Deserialize, Serialize};

pub use self::name::Name;
use crate::spec::RunId;

/// The version of `events.jsonl`. A newer one is refused, an older one is read.
///
/// 2: lost and disagreeing devices, full disks and silence are outcomes; stamps tell set-up and checkpoints apart.
/// 3: every line carries its number and a checksum.
/// 4: a trainer of one's own may leave out what it does not know of `trained`, and checkpoints hold losses.
pub const EVENT_VERSION: u32 = 4;

/// The place in a run where something happened. Clocks continue across a resume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    /// Optimizer steps done.
    pub step: u64,
    pub images_seen: u64,
    /// Seconds of training alone: evaluation, checkpoints and set-up excluded.
    pub train_seconds: f64,
    /// Seconds of evaluation alone.
    pub eval_seconds: f64,
    /// Seconds of writing checkpoints alone. Records of version 1 have none.
    #[serde(default)]
    pub checkpoint_seconds: f64,
    /// Seconds of everything that comes before training, in each attempt: reading images and reference features, compiling and tuning
    /// kernels, warming up, comparing the device with the CPU. Records of version 1 have none; reading was not counted before
    /// 29 November 2026.
    #[serde(default)]
    pub setup_seconds: f64,
    /// Seconds since the run first started, without the time between attempts.
    pub wall_seconds: f64,
}

/// One measured number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// `fid`, `validation_loss`, `validation_loss/3` (bin 3 of t), ...
    pub metric: Name,
    /// How the value was measured; empty where the metric's name says everything.
    pub protocol: Name,
    pub value: f64,
}

/// An event that a run reports. `Progress` goes to the parent only; everything else is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    Started(Started),
    /// The first steps, done on the run's device and on the CPU, before training began.
    DeviceCompared(DeviceComparison),
    /// The probability of training on each of equally wide bins of t, as it is at `step`.
    TimestepDensity {
        step: u64,
        density: Vec<f64>,
    },
    /// Means over the steps since the last such event; `learning_rate` and `beta1` are the last step's.
    Trained {
        stamp: Stamp,
        loss: f64,
        /// This value and the next two are `None` where the user's own trainer does not state them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gradient_norm: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        learning_rate: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beta1: Option<f64>,
        /// Seconds of training since the last such event that the device waited for images. Records made before it was
        /// measured have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wait_seconds: Option<f64>,
        /// The share of the time since the last such event in which at least one kernel ran on the device, whoever started it: the
        /// mean of what the driver's counter said in training. `None` where it said nothing, as of a CPU, in records made before
        /// it was asked, and where the time was too short for a look.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device_utilization: Option<f64>,
    },
    /// Sent often, recorded never.
    Progress {
        stamp: Stamp,
        /// The last step's; not known right after a resume.
        loss: Option<f64>,
        phase: Phase,
    },
    /// `samples` names the grid of generated images, relative to the run's folder.
    Evaluated {
        stamp: Stamp,
        measures: Vec<Measure>,
        samples: String,
    },
    /// Everything recorded so far belongs to checkpoint number `checkpoint`, which is about to replace the one before.
    Checkpointed {
        stamp: Stamp,
        checkpoint: u32,
        /// For the user's own trainer: the losses of the steps since the last `Trained`, so that means go on as if
        /// nobody had stopped.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        losses: Vec<f64>,
    },
    Ended {
        stamp: Stamp,
        outcome: RunOutcome,
    },
}

impl RunEvent {
    /// The place in the run where the event happened, if it has one.
    pub fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Trained { stamp, .. }
            | Self::Progress { stamp, .. }
            | Self::Evaluated { stamp, .. }
            | Self::Checkpointed { stamp, .. }
            | Self::Ended { stamp, .. } => Some(*stamp),
            Self::Started(_) | Self::DeviceCompared(_) | Self::TimestepDensity { .. } => None,
        }
    }
}

/// The first event of each attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// [`EVENT_VERSION`] when it was written.
    pub version: u32,
    pub run_id: RunId,
    /// Counts from 1.
    pub attempt: u32,
    /// The number of the checkpoint this attempt goes on from, 0 for none; whatever was recorded after it is void.
    pub from_checkpoint: u32,
    /// The step of that checkpoint.
    pub from_step: u64,
    /// The run whose first steps were taken over in the place of training them: what follows up to there is its record. An attempt
    /// that took over none, and older records, have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_from: Option<Box<SharedSteps>>,
    /// The program and its version.
    pub program: String,
    /// Device model and how it was used, such as `cpu: AMD EPYC 9R14, 1 thread, 2 runs at once`.
    pub device: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// The first digits of the program file's SHA-256: two builds may have one version. Records of version 1 have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub build: String,
    /// Parts in which each batch was computed, one after the other, so that it needs less memory. Their gradients are the
    /// batch's, added in another order: results differ in the last bits from those of one part.
    #[serde(default = "one_part", skip_serializing_if = "is_one_part")]
    pub micro_batches: usize,
    /// `data::Dataset::content_sha256` of what was trained on. Older records and other trainers have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data_sha256: String,
    /// The SHA-256 of the decoder of latents, where there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub decoder_sha256: String,
}

/// The first steps of a run, which another one shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedSteps {
    /// The run that trained them.
    pub run_id: RunId,
    /// How many they are.
    pub step: u64,
}

impl Started {
    /// The first step that this attempt trains, counted from 0.
    pub fn first_step(&self) -> u64 {
        self.shared_from.as_ref().map_or(self.from_step, |shared| shared.step)
    }

    /// The last attempt in a record that says what it was trained on.
    pub fn of_known_data(events: &[RunEvent]) -> Option<&Self> {
        events.iter().rev().find_map(|event| match event {
            RunEvent::Started(started) if !started.data_sha256.is_empty() => Some(started),
            _ => None,
        })
    }

    /// How many runs shared the device, as `device` tells; `None` of a device without a description.
    pub fn runs_at_once(&self) -> Option<usize> {
        let told = self.device.rsplit(", ").find_map(|part| part.strip_suffix(" runs at once"));
        match told {
            Some(number) => number.parse().ok().filter(|&number| number > 0),
            None => (!self.device.is_empty()).then_some(1),
        }
    }
}

#[cfg(test)]
impl RunEvent {
    /// A mean of losses, of which nothing but when it was matters.
    pub fn trained_of_test(stamp: Stamp, wait_seconds: Option<f64>, device_utilization: Option<f64>) -> Self {
        Self::Trained {
            stamp,
            loss: 1.0,
            gradient_norm: None,
            learning_rate: None,
            beta1: None,
            wait_seconds,
            device_utilization,
        }
    }
}

#[cfg(test)]
impl Started {
    /// The first event of an attempt of the default run, recorded by this program.
    pub fn of_test(attempt: u32, from_checkpoint: u32) -> Self {
        Self {
            version: EVENT_VERSION,
            run_id: RunId::of(&crate::spec::RunSpec::default()),
            attempt,
            from_checkpoint,
            from_step: 0,
            shared_from: None,
            program: String::new(),
            device: String::new(),
            started_at: String::new(),
            build: String::new(),
            micro_batches: 1,
            data_sha256: String::new(),
            decoder_sha256: String::new(),
        }
    }
}

fn one_part() -> usize {
    1
}

fn is_one_part(micro_batches: &usize) -> bool {
    *micro_batches == 1
}

/// How far a device is from the CPU over a few steps from the same weights, images and noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceComparison {
    /// The loss of each step.
    pub device_losses: Vec<f64>,
    pub cpu_losses: Vec<f64>,
    /// The gradient's norm at each step.
    pub device_gradient_norms: Vec<f64>,
    pub cpu_gradient_norms: Vec<f64>,
    /// The largest relative difference of any of these.
    pub largest_difference: f64,
    /// More than this is refused.
    pub tolerance: f64,
}

/// The phase that a run is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reading images, loading what measures them.
    Preparing,
    Training,
    Evaluating,
}

/// How a run, or one attempt at it, ended. Data, not an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RunOutcome {
    /// All planned steps done.
    Completed,
    /// Stopped early at the target, because the sweep asks for it.
    ReachedTarget,
    /// The loss or the weights are no longer finite. Trying again would do the same.
    Diverged {
        reason: String,
    },
    OutOfMemory {
        reason: String,
    },
    /// Its device is lost. The run goes on from its checkpoint on another device.
    DeviceLost {
        reason: String,
    },
    /// Its device does not agree with the CPU. Nothing was trained.
    DeviceDisagrees {
        reason: String,
    },
    /// The disk had no room for its records. The run goes on from its checkpoint.
    DiskFull {
        reason: String,
    },
    /// The run reported nothing for too long and was killed. It goes on from its checkpoint.
    TimedOut {
        reason: String,
    },
    /// The run was asked to stop. It goes on from its checkpoint.
    Interrupted {
        reason: String,
    },
    /// The run died, or could not go on. The last lines that it wrote are the reason.
    Crashed {
        reason: String,
    },
}

impl RunOutcome {
    /// Whether there is nothing left to do for this run.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Completed | Self::ReachedTarget | Self::Diverged { .. })
    }

    /// The outcome in words, with the reason, if there is one.
    pub fn in_words(&self) -> String {
        match self.reason() {
            Some(reason) => format!("{}: {reason}", self.word()),
            None => self.word().to_owned(),
        }
    }

    /// In a few words, without the reason.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::ReachedTarget => "reached the target",
            Self::Diverged { .. } => "diverged",
            Self::OutOfMemory { .. } => "out of memory",
            Self::DeviceLost { .. } => "device lost",
            Self::DeviceDisagrees { .. } => "device disagrees",
            Self::DiskFull { .. } => "disk full",
            Self::TimedOut { .. } => "timed out",
            Self::Interrupted { .. } => "interrupted",
            Self::Crashed { .. } => "crashed",
        }
    }

    /// Why, where there is more to say than the word: how it ended, then the last lines it wrote.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Completed | Self::ReachedTarget => None,
            Self::Diverged { reason }
            | Self::OutOfMemory { reason }
            | Self::DeviceLost { reason }
            | Self::DeviceDisagrees { reason }
            | Self::DiskFull { reason }
            | Self::TimedOut { reason }
            | Self::Interrupted { reason }
            | Self::Crashed { reason } => Some(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_tells_how_many_runs_it_had() {
        let of = |device: &str| Started { device: device.into(), ..Started::of_test(1, 0) }.runs_at_once();
        assert_eq!(of("cpu: AMD EPYC 9R14, 1 thread, 2 runs at once"), Some(2));
        assert_eq!(of("cuda: NVIDIA H200, 4 threads, products in tf32, 3 runs at once, PyTorch 2.15"), Some(3));
        assert_eq!(of("cpu: AMD EPYC 9R14, 1 thread"), Some(1));
        assert_eq!(of("cpu: x, no runs at once"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn parts_of_a_batch_are_written_where_there_are_several_and_are_one_where_none_are_written() {
        let started = |micro_batches| Started { micro_batches, ..Started::of_test(1, 0) };
        for (micro_batches, is_written) in [(1, false), (4, true)] {
            let event = RunEvent::Started(started(micro_batches));
            let line = serde_json::to_string(&event).unwrap();
            assert_eq!(line.contains("\"micro_batches\":4"), is_written, "{line}");
            assert_eq!(line.contains("micro_batches"), is_written, "{line}");
            assert_eq!(serde_json::from_str::<RunEvent>(&line).unwrap(), event);
        }
    }
}
