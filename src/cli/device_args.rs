//! `--device` and `--jobs`: where runs go.

use std::num::NonZeroUsize;

use clap::Args;

use crate::spec::Plan;
use crate::study::{ChosenDevices, EvaluateOnDevice, StudyError, WantedDevices};

/// Which devices, and how many runs at once on each.
#[derive(Debug, Args)]
pub(super) struct DeviceArgs {
    /// The devices that train runs: `auto`, `cpu`, or GPUs such as `wgpu:0` and `cuda:0,1`. `auto` takes all GPUs of the best
    /// model that this program was built for, else the CPU
    #[arg(long, value_name = "DEVICE", default_value_t = WantedDevices::Auto)]
    device: WantedDevices,
    /// The number of runs at once on each device. On the CPU each run gets an equal share of the cores [default: one run a
    /// core, one run a GPU]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

impl DeviceArgs {
    /// The devices for a plan's runs, which are evaluated on `evaluate_on`.
    pub fn choose(&self, evaluate_on: Option<EvaluateOnDevice>, plan: &Plan) -> Result<ChosenDevices, StudyError> {
        ChosenDevices::choose(&self.device, self.jobs, evaluate_on, plan)
    }
}
