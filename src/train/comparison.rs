//! The same first steps on two devices.
//!
//! Kernels that a compiler makes for a device can be wrong (burn issues 3266, 4461 and 5202 are about wrong fused kernels), and
//! a wrong loss is still a number. So before a device trains a network, it does a few steps that the CPU does too.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::stopwatch::timed;
use super::{CheckpointError, Trainer};
use crate::data::Dataset;
use crate::event::DeviceComparison;
use crate::spec::{Optimizer, PatchDiffusion, PatchSchedule, Precision, RunSpec};

/// Enough for the updated weights to show in a loss and in a gradient.
pub const COMPARED_STEPS: u64 = 3;
/// Images of a compared step, at most: the CPU has to do it too.
pub const COMPARED_IMAGES: usize = 16;
/// The largest learning rate of a compared step.
pub const COMPARED_LEARNING_RATE: f64 = 1e-3;
/// The largest relative difference of a loss or a gradient's norm. Sums in another order differ by 1e-6; tensor cores that
/// round products to 10 bits (tf32) by 1e-3; wrong kernels by far more.
const TOLERANCE: f64 = 5e-3;
/// The same where products are rounded to the 8 bits of bf16.
const TOLERANCE_BF16: f64 = 5e-2;

/// The results of a few steps on a device.
struct Steps {
    losses: Vec<f64>,
    gradient_norms: Vec<f64>,
}

/// Does steps of the run from the one after `first_step` steps on (see [`RunSpec::phases`]), on `device`, captured if `capture_steps` says
/// so, and on the CPU, from the same initial weights, images and noise.
pub fn compare_with_cpu(
    spec: &RunSpec,
    dataset: &Dataset,
    device: &Device,
    first_step: u64,
    capture_steps: bool,
) -> Result<DeviceComparison, CheckpointError> {
    let mut spec = with_early_refreshes(spec);
    let few = |batch_size: &mut usize| *batch_size = (*batch_size).min(COMPARED_IMAGES);
    few(&mut spec.train.batch_size);
    spec.train.batch_schedule.iter_mut().for_each(|stage| few(&mut stage.batch_size));
    // Large steps in a curved loss make any two orders of summation differ: that is the method's, not the device's.
    for rate in learning_rates(&mut spec.optimizer) {
        *rate = rate.min(COMPARED_LEARNING_RATE);
    }
    let tolerance = match spec.train.precision {
        Precision::F32 | Precision::Tf32 => TOLERANCE,
        Precision::Bf16 => TOLERANCE_BF16,
    };
    let here = first_steps(&spec, dataset, device, first_step, capture_steps)?;
    // With the CPU's f32.
    spec.train.precision = Precision::F32;
    let cpu = first_steps(&spec, dataset, &Device::flex(), first_step, false)?;
    let differences = [(&here.losses, &cpu.losses), (&here.gradient_norms, &cpu.gradient_norms)];
    let largest_difference = differences.iter().map(|(here, cpu)| largest(here, cpu)).fold(0.0, f64::max);
    Ok(DeviceComparison {
        device_losses: here.losses,
        cpu_losses: cpu.losses,
        device_gradient_norms: here.gradient_norms,
        cpu_gradient_norms: cpu.gradient_norms,
        largest_difference,
        tolerance,
    })
}

/// The same run, but that SOAP refreshes its bases after every update: else no compared step would.
fn with_early_refreshes(spec: &RunSpec) -> RunSpec {
    let mut spec = spec.clone();
    if let Optimizer::Soap(soap) = &mut spec.optimizer {
        soap.refresh_every = 1;
    }
    spec
}

/// The steps that are compared: SOAP's first moves nothing, its second has no gradient of hidden layers yet where a network begins with an
/// output of zero.
fn compared_steps(optimizer: &Optimizer) -> u64 {
    match optimizer {
        Optimizer::Soap(_) => 2 * COMPARED_STEPS,
        Optimizer::Adam(_) | Optimizer::Adamw(_) | Optimizer::ScheduleFreeAdamw(_) | Optimizer::Muon(_) => {
            COMPARED_STEPS
        }
    }
}

/// The shapes that a run's steps have: each a run and the step after which it has steps of this shape. A run that draws the size of its crops
/// stands here once for each size.
pub fn shapes(spec: &RunSpec) -> Vec<(RunSpec, u64)> {
    let patches = &spec.patch_diffusion;
    let sizes: Vec<f64> = match patches.schedule {
        PatchSchedule::Stochastic => patches.parts().into_iter().map(|(size, _)| size).collect(),
        PatchSchedule::Progressive => Vec::new(),
    };
    if !patches.is_on() || sizes.is_empty() {
        return spec.phases().into_iter().map(|start| (spec.clone(), start)).collect();
    }
    let of_size = |size: f64| RunSpec { patch_diffusion: PatchDiffusion::of_size(size), ..spec.clone() };
    let starts = spec.phases().into_iter();
    starts
        .flat_map(|start| sizes.iter().map(move |&size| (size, start)))
        .map(|(size, start)| (of_size(size), start))
        .collect()
}

/// Every learning rate that an optimizer has.
fn learning_rates(optimizer: &mut Optimizer) -> Vec<&mut f64> {
    match optimizer {
        Optimizer::Adam(adam) => vec![&mut adam.learning_rate],
        Optimizer::Adamw(adamw) => vec![&mut adamw.learning_rate],
        Optimizer::Soap(soap) => vec![&mut soap.learning_rate],
        Optimizer::ScheduleFreeAdamw(adamw) => vec![&mut adamw.learning_rate],
        Optimizer::Muon(muon) => vec![&mut muon.learning_rate, &mut muon.others.learning_rate],
    }
}

/// Does two steps of the whole batch, from the one after `first_step` steps on, whose kernels are compiled and tuned then; what they learned is dropped.
pub fn warm_up(
    spec: &RunSpec,
    dataset: &Dataset,
    device: &Device,
    first_step: u64,
    micro_batches: usize,
) -> Result<(), CheckpointError> {
    let spec = &with_early_refreshes(spec);
    let mut trainer = Trainer::at(spec, dataset, device, None, first_step, micro_batches)?;
    // SOAP's first step is another.
    for _ in 0..if matches!(spec.optimizer, Optimizer::Soap(_)) { 4 } else { 2 } {
        // A loss that is not finite is found, and told, by the run itself.
        if trainer.train_step().is_err() {
            break;
        }
    }
    // What is still to be done would count as training. A device that fails here fails in the run, which tells.
    let _ = device.sync();
    Ok(())
}

/// How fast a device trains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    pub steps_per_second: f64,
    pub images_per_second: f64,
}

/// The speed over twenty steps after the first five.
pub fn measure_speed(spec: &RunSpec, dataset: &Dataset, device: &Device) -> Result<Speed, CheckpointError> {
    const WARM_UP_STEPS: usize = 5;
    const STEPS: usize = 20;
    let mut trainer = Trainer::new(spec, dataset, device, None, 1)?;
    let mut steps = |count: usize| {
        for _ in 0..count {
            // Its numbers are looked at elsewhere; a loss that is not finite takes as long.
            let _ = trainer.train_step();
        }
        // A device that fails here has failed the comparison before, or will in a run.
        let _ = device.sync();
    };
    steps(WARM_UP_STEPS);
    let ((), seconds) = timed(|| steps(STEPS));
    let steps_per_second = STEPS as f64 / seconds;
    Ok(Speed { steps_per_second, images_per_second: steps_per_second * spec.train.batch_size as f64 })
}

/// Up to the first loss or gradient that is not finite.
fn first_steps(
    spec: &RunSpec,
    dataset: &Dataset,
    device: &Device,
    first_step: u64,
    capture_steps: bool,
) -> Result<Steps, CheckpointError> {
    let mut trainer = Trainer::at(spec, dataset, device, None, first_step, 1)?;
    if capture_steps {
        trainer.capture_steps()?;
    }
    let mut steps = Steps { losses: Vec::new(), gradient_norms: Vec::new() };
    let mut sum_before = 0.0;
    for _ in 0..compared_steps(&spec.optimizer).min(spec.train.steps - first_step) {
        let Ok(loss) = trainer.train_step() else { break };
        let sum = trainer.progress.window.gradient_norm_sum;
        steps.losses.push(loss);
        steps.gradient_norms.push(sum - sum_before);
        sum_before = sum;
    }
    Ok(steps)
}

/// The largest relative difference; the largest number where one device stopped before the other.
fn largest(here: &[f64], cpu: &[f64]) -> f64 {
    if here.len() != cpu.len() {
        return f64::MAX; // JSON knows no infinity
    }
    let relative = |(here, cpu): (&f64, &f64)| (here - cpu).abs() / cpu.abs().max(f64::MIN_POSITIVE);
    here.iter().zip(cpu).map(relative).fold(0.0, f64::max).min(f64::MAX)
}

impl DeviceComparison {
    /// `None` where the device agrees, else the numbers in a sentence.
    pub fn objection(&self) -> Option<String> {
        if self.largest_difference <= self.tolerance {
            return None;
        }
        let list = |values: &[f64]| values.iter().map(|value| format!("{value:.6}")).collect::<Vec<_>>().join(", ");
        Some(format!(
            "its first steps differ from the CPU's by {:.2e}, more than {:.0e}: losses {} and not {}, gradient norms {} and not {}",
            self.largest_difference,
            self.tolerance,
            list(&self.device_losses),
            list(&self.cpu_losses),
            list(&self.device_gradient_norms),
            list(&self.cpu_gradient_norms),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::MuonOptimizer;

    #[test]
    fn a_difference_is_relative_and_a_device_that_stops_early_is_infinitely_far() {
        assert_eq!(largest(&[1.1, 2.0], &[1.0, 2.0]), 0.10000000000000009);
        assert_eq!(largest(&[], &[]), 0.0);
        assert_eq!(largest(&[1.0], &[1.0, 2.0]), f64::MAX);
    }

    #[test]
    fn what_is_compared_takes_small_steps_whatever_the_run_takes() {
        let mut muon = Optimizer::Muon(MuonOptimizer::default());
        for rate in learning_rates(&mut muon) {
            *rate = 1e12;
        }
        let spec = RunSpec { optimizer: muon, ..RunSpec::default() };
        let digits = crate::data::load_digits().expect("they are in the program");
        let comparison = compare_with_cpu(&spec, &digits, &Device::flex(), 0, false).expect("a small batch");
        assert_eq!((comparison.device_losses.len() as u64, comparison.largest_difference), (COMPARED_STEPS, 0.0));
        assert!(comparison.cpu_losses.iter().all(|loss| *loss < 10.0), "{:?}", comparison.cpu_losses);
    }

    #[test]
    fn only_a_device_outside_the_tolerance_is_objected_to() {
        let comparison = |loss: f64| DeviceComparison {
            device_losses: vec![loss],
            cpu_losses: vec![1.0],
            device_gradient_norms: vec![2.0],
            cpu_gradient_norms: vec![2.0],
            largest_difference: (loss - 1.0).abs(),
            tolerance: TOLERANCE,
        };
        assert_eq!(comparison(1.001).objection(), None);
        let objection = comparison(0.6).objection().expect("0.6 is far from 1");
        assert!(objection.contains("losses 0.600000 and not 1.000000"), "{objection}");
    }
}
