//! `bench-step --trace`: what a step launches, how long its kernels take, and what it would take at least.

use serde_json::{Value, json};

use crate::cli::table::new_table;
use crate::device::Launches;
use crate::spec::Model;

/// What is known of the steps that were traced.
pub struct Trace {
    pub steps: usize,
    /// Of each step that nobody watched.
    pub milliseconds: Vec<f64>,
    /// Of all steps: as they are, and between marks of the device's clock.
    pub counted: Launches,
    pub timed: Launches,
    pub floor: Floor,
}

/// The least that a step can take, by arithmetic: see [`Floor::training_bytes`] for what its bytes are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floor {
    pub flops: f64,
    /// Between the device's memory and its units.
    pub bytes: f64,
    /// What the device does of the former, in 1e12 a second, where it is known.
    pub peak_teraflops: Option<f64>,
    /// And of the latter, in 1e12 a second.
    pub terabytes_a_second: Option<f64>,
}

/// Times that Adam touches a parameter: it reads the weight, the gradient and both moments, and writes all but the gradient; which the
/// backward pass has written.
const TOUCHES_OF_A_PARAMETER: f64 = 8.0;

impl Floor {
    /// Bytes of a training step in f32 of `batch` images whose layers are one kernel each: the output of a layer is written and read forward and
    /// read again backward, its gradient is written and read. Where kernels do several layers together it takes fewer.
    pub fn training_bytes(model: &Model, shape: (usize, usize), batch: usize) -> f64 {
        const TOUCHES_OF_AN_OUTPUT: f64 = 5.0;
        let outputs = (batch * crate::model::activation_bytes(model, shape)) as f64;
        let parameters = (size_of::<f32>() * crate::model::parameter_count(model, shape)) as f64;
        TOUCHES_OF_AN_OUTPUT * outputs + TOUCHES_OF_A_PARAMETER * parameters
    }

    fn of_flops(&self) -> Option<f64> {
        Some(self.flops / (self.peak_teraflops? * 1e9))
    }

    fn of_bytes(&self) -> Option<f64> {
        Some(self.bytes / (self.terabytes_a_second? * 1e9))
    }
}

impl Trace {
    /// Of the steps that nobody watched.
    fn median_milliseconds(&self) -> f64 {
        let mut milliseconds = self.milliseconds.clone();
        milliseconds.sort_by(f64::total_cmp);
        milliseconds[milliseconds.len() / 2]
    }

    /// (name, launches, device's milliseconds) of a step, those that take longest first; a time only of a kernel whose launches were all timed.
    fn kernels(&self) -> Vec<(&str, f64, Option<f64>)> {
        let a_step = |value: f64| value / self.steps as f64;
        let mut kernels: Vec<_> = self
            .counted
            .iter()
            .map(|(name, counted)| {
                let timed = self.timed.get(name).filter(|of| of.timed > 0 && of.timed == of.launches);
                (name.as_str(), a_step(counted.launches as f64), timed.map(|of| a_step(of.device_seconds * 1e3)))
            })
            .collect();
        kernels.sort_by(|one, other| {
            other.2.unwrap_or(0.0).total_cmp(&one.2.unwrap_or(0.0)).then(other.1.total_cmp(&one.1))
        });
        kernels
    }

    /// The kernels' time in a step, where all of them were timed.
    fn device_milliseconds(&self) -> Option<f64> {
        let kernels = self.kernels();
        if kernels.is_empty() { None } else { kernels.iter().map(|kernel| kernel.2).sum() }
    }

    pub fn to_json(&self) -> Value {
        let kernels = self.kernels();
        let (milliseconds, device) = (self.median_milliseconds(), self.device_milliseconds());
        let kernel = |(name, launches, milliseconds): &(&str, f64, Option<f64>)| json!({ "name": name, "launches": launches, "device_milliseconds": milliseconds });
        json!({
            "version": 1,
            "steps": self.steps,
            "milliseconds": milliseconds,
            "launches": kernels.iter().map(|kernel| kernel.1).sum::<f64>(),
            "device_milliseconds": device,
            "idle_share": device.map(|device| (1.0 - device / milliseconds).max(0.0)),
            "kernels": kernels.iter().map(kernel).collect::<Vec<_>>(),
            "floor": {
                "flops": self.floor.flops,
                "bytes": self.floor.bytes,
                "milliseconds_of_flops": self.floor.of_flops(),
                "milliseconds_of_bytes": self.floor.of_bytes(),
            },
        })
    }

    /// The same for people: the kernels that take longest.
    pub fn to_table(&self) -> String {
        const SHOWN: usize = 20;
        let number = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |value| format!("{value:.3}"));
        let mut table = new_table(vec!["kernel", "launches a step", "ms a step"]);
        let kernels = self.kernels();
        for (name, launches, milliseconds) in kernels.iter().take(SHOWN) {
            table.add_row(vec![(*name).to_owned(), format!("{launches:.1}"), number(*milliseconds)]);
        }
        let others = match kernels.len().saturating_sub(SHOWN) {
            0 => String::new(),
            others => format!("{others} more kernels\n"),
        };
        let launches: f64 = kernels.iter().map(|kernel| kernel.1).sum();
        let (gflop, megabytes) = (self.floor.flops / 1e9, self.floor.bytes / 1e6);
        let floor = match (self.floor.of_flops(), self.floor.of_bytes()) {
            (None, None) => format!(
                "{gflop:.2} GFLOP and {megabytes:.1} MB a step; --peak-teraflops and --terabytes-a-second say what that takes at least"
            ),
            (flops, bytes) => {
                format!(
                    "at least {} ms for {gflop:.2} GFLOP, {} ms for {megabytes:.1} MB",
                    number(flops),
                    number(bytes)
                )
            }
        };
        format!(
            "{table}\n{others}a step takes {:.3} ms; its {launches:.0} kernels take {} ms of the device\n{floor}",
            self.median_milliseconds(),
            number(self.device_milliseconds()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::KernelLaunches;

    fn launches(of: &[(&str, usize, usize, f64)]) -> Launches {
        let kernel = |&(name, launches, timed, device_seconds): &(&str, usize, usize, f64)| {
            (name.to_owned(), KernelLaunches { launches, timed, device_seconds })
        };
        of.iter().map(kernel).collect()
    }

    fn trace(timed_additions: usize) -> Trace {
        Trace {
            steps: 2,
            milliseconds: vec![9.0, 2.0, 1.0],
            counted: launches(&[("Add", 8, 0, 0.0), ("Product", 2, 0, 0.0)]),
            timed: launches(&[("Add", 8, timed_additions, 4e-4), ("Product", 2, 2, 1.6e-3)]),
            floor: Floor { flops: 3e9, bytes: 6e6, peak_teraflops: Some(60.0), terabytes_a_second: None },
        }
    }

    #[test]
    fn a_step_is_idle_where_no_kernel_runs() {
        let found = trace(8).to_json();
        assert_eq!((&found["launches"], &found["milliseconds"]), (&json!(5.0), &json!(2.0)));
        assert_eq!((&found["device_milliseconds"], &found["idle_share"]), (&json!(1.0), &json!(0.5)));
        assert_eq!(found["kernels"][0], json!({ "name": "Product", "launches": 1.0, "device_milliseconds": 0.8 }));
        let floor = json!({ "flops": 3e9, "bytes": 6e6, "milliseconds_of_flops": 0.05, "milliseconds_of_bytes": null });
        assert_eq!(found["floor"], floor);
        assert!(trace(8).to_table().contains("its 5 kernels take 1.000 ms of the device"));
    }

    #[test]
    fn a_device_that_did_not_time_all_kernels_has_no_time() {
        let found = trace(7).to_json();
        assert_eq!((&found["device_milliseconds"], &found["idle_share"]), (&Value::Null, &Value::Null));
        assert_eq!(found["kernels"][1], json!({ "name": "Add", "launches": 4.0, "device_milliseconds": null }));
        assert!(trace(7).to_table().contains("take ? ms of the device"));
    }
}
