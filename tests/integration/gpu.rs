//! A program that was built for GPUs: a sweep on an adapter, or on software that plays one, and what it says where there is none.

use std::process::{Command, Output};

use speedlab::device::{WITHOUT_FUSION, WITHOUT_OWN_KERNELS};
use speedlab::event::RunOutcome;
use speedlab::record::{CurveRow, RunState, SweepFolder};

use crate::sandbox::{Sandbox, TINY, stderr, stdout};

/// One run; batches as small as the steps that are compared, so that kernels are compiled for one size only.
fn short() -> String {
    TINY.replace("steps: 60", "steps: 12")
        .replace("every: 20", "every: 6")
        .replace("seeds: 2", "seeds: 1")
        .replace("  clts: { timestep_sampler: { kind: curriculum } }\n", "")
        .lines()
        .filter(|line| !line.starts_with("compare:"))
        .map(|line| format!("{line}\n"))
        .collect::<String>()
        .replace("samples: 80, ode: { kind: ddim, steps: 3 }", "samples: 64, ode: { kind: ddim, steps: 2 }")
}

/// The program that `scripts/check-gpu.sh` has built.
fn with_gpu(sandbox: &Sandbox, args: &[&str]) -> Output {
    gpu_command(sandbox).args(args).output().expect("the program starts")
}

fn gpu_command(sandbox: &Sandbox) -> Command {
    let program = std::env::var("SPEEDLAB_GPU_BIN").expect("scripts/check-gpu.sh names the program");
    let mut command = Command::new(program);
    command.current_dir(sandbox.path());
    command
}

#[test]
#[ignore = "needs a program with wgpu, and an adapter: scripts/check-gpu.sh"]
fn a_sweep_on_an_adapter_has_the_losses_of_the_cpu() {
    let on_cpu = Sandbox::new(&short());
    let output = on_cpu.speedlab(&["run", "sweep.yaml", "--quiet", "--device", "cpu"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let on_adapter = Sandbox::new(&short());
    let listed = with_gpu(&on_adapter, &["devices", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&stdout(&listed)).expect("one JSON value");
    let devices = listed["devices"].as_array().expect("a list");
    assert!(devices.iter().any(|device| device["name"] == "wgpu:0"), "{listed}");
    let output = with_gpu(&on_adapter, &["run", "sweep.yaml", "--device", "wgpu:0"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let study = on_adapter.study();
    for run in &study.runs {
        assert_eq!(run.state, RunState::Ended(RunOutcome::Completed));
        let device = &run.attempts.last().expect("it ran").device;
        assert!(device.starts_with("wgpu: "), "{device}");
        println!("{device}");
    }
    let (cpu, adapter) = (on_cpu.curves(), on_adapter.curves());
    assert_eq!(cpu.len(), adapter.len());
    let place = |row: &CurveRow| (row.run_id.clone(), row.step, row.metric.clone());
    let mut largest = 0f64;
    for (expected, found) in cpu.iter().zip(&adapter) {
        assert_eq!(place(expected), place(found));
        let difference = (found.value - expected.value).abs() / expected.value.abs().max(1e-3);
        assert!(difference < 1e-2, "{:?}: {} and not {}", place(found), found.value, expected.value);
        largest = largest.max(difference);
    }
    println!("{} numbers, the largest relative difference {largest:.1e}", cpu.len());
}

#[test]
#[ignore = "needs a program with wgpu, and an adapter: scripts/check-gpu.sh"]
fn an_adapter_trains_with_burns_kernels_alone() {
    // What a study does on its own where kernels of our own make an adapter's results others than the CPU's.
    let sandbox = Sandbox::new(&short());
    let mut command = gpu_command(&sandbox);
    command.envs([WITHOUT_FUSION, WITHOUT_OWN_KERNELS]);
    let output = command
        .args(["run", "sweep.yaml", "--quiet", "--device", "wgpu:0", "--capture-steps"])
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let study = sandbox.study();
    assert_eq!(study.runs[0].state, RunState::Ended(RunOutcome::Completed));
    let device = &study.runs[0].attempts.last().expect("it ran").device;
    assert!(device.contains(", burn's kernels") && !device.contains("captured"), "{device}");
    println!("{device}");
}

#[test]
#[ignore = "needs a program with wgpu, and an adapter: scripts/check-gpu.sh"]
fn captured_steps_on_an_adapter_end_where_the_same_steps_kernel_by_kernel_do() {
    // What Mesa's software makes of fused kernels is sometimes wrong, and not always the same.
    let (fusion, none) = WITHOUT_FUSION;
    // Masks of dropout are the host's in one, and made by the adapter in the other.
    let sweep = short().replace("channel_multipliers: [1, 2] }", "channel_multipliers: [1, 2], dropout: 0.2 }");
    // Passes that generate images are captured after some.
    let sweep = sweep.replace("ode: { kind: ddim, steps: 2 }", "ode: { kind: ddim, steps: 12 }");
    assert!(sweep.contains("dropout") && sweep.contains("steps: 12 }"), "{sweep}");
    let curves = [&[][..], &["--capture-steps"]].map(|more| {
        let sandbox = Sandbox::new(&sweep);
        let mut command = gpu_command(&sandbox);
        command.env(fusion, none).args(["run", "sweep.yaml", "--quiet", "--device", "wgpu:0"]).args(more);
        let output = command.output().expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let device = sandbox.study().runs[0].attempts.last().expect("it ran").device.clone();
        assert_eq!(device.contains(", steps captured"), !more.is_empty(), "{device}");
        // It says whether passes are captured.
        let run = &sandbox.study().runs[0].planned.run_id;
        let log = SweepFolder { path: sandbox.results() }.run(run).log();
        let log = std::fs::read_to_string(log).expect("its log");
        assert!(!log.contains("kernel by kernel"), "{log}");
        assert_eq!(log.contains("passes of 64 images are captured"), !more.is_empty(), "{log}");
        sandbox.curves()
    });
    let [kernel_by_kernel, captured] = &curves;
    assert_eq!(kernel_by_kernel.len(), captured.len());
    let mut largest = 0f64;
    for (expected, found) in kernel_by_kernel.iter().zip(captured) {
        assert_eq!((expected.step, &expected.metric), (found.step, &found.metric));
        let difference = (found.value - expected.value).abs() / expected.value.abs().max(1e-3);
        assert!(difference < 1e-3, "{} of step {}: {} and {}", found.metric, found.step, expected.value, found.value);
        largest = largest.max(difference);
    }
    println!("{} numbers, the largest relative difference {largest:.1e}", captured.len());
}

#[test]
#[ignore = "needs a program with wgpu, and an adapter: scripts/check-gpu.sh"]
fn kernels_of_our_own_on_an_adapter_compute_what_the_host_does() {
    let sandbox = Sandbox::new(&short());
    // 13 images: no power of two divides what kernels divide among threads.
    for batch in ["1", "13"] {
        let output =
            with_gpu(&sandbox, &["bench-kernels", "--device", "wgpu:0", "--small", "--rounds", "1", "--batch", batch]);
        let said = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{said}{}", stderr(&output));
        let lines: Vec<serde_json::Value> =
            said.lines().map(|line| serde_json::from_str(line).expect("a JSON value a line")).collect();
        // Norms, convolutions, concatenations, gated sums, attention and curves in both orders of memory, masks, updates, and rows of parts.
        assert_eq!(lines.len(), 2 * (3 * 3 + 2 * 2 + 3 * 3 + 2 * 2) + 2 + 2 + 2, "{said}");
        assert!(lines.iter().all(|line| line["agrees"] == true), "{said}");
        let differences = lines.iter().filter_map(|line| line["largest_difference"].as_f64());
        println!("batches of {batch}: the largest difference {:.1e}", differences.fold(0.0, f64::max));
    }
}

#[test]
#[ignore = "needs a program with wgpu, and an adapter: scripts/check-gpu.sh"]
fn an_adapter_computes_the_features_of_the_cpu() {
    let sandbox = Sandbox::new(&short());
    // Five of Inception's convolutions: all hundred take software very long.
    let features = ["--features", "inception-v3-192", "--images", "4", "--rounds", "1"];
    let output = with_gpu(&sandbox, &[&["bench-features", "--device", "wgpu:0"], &features[..]].concat());
    let said = stdout(&output);
    println!("{said}");
    assert_eq!(output.status.code(), Some(0), "{said}{}", stderr(&output));
    let found: serde_json::Value = serde_json::from_str(&said).expect("one JSON value");
    assert!(found["largest_difference"].as_f64().expect("a number") < 1e-4, "{found}");
}

#[test]
#[ignore = "needs a program with wgpu, and an adapter: scripts/check-gpu.sh"]
fn a_run_on_an_adapter_is_evaluated_on_the_cpu_beside_it() {
    let alone = Sandbox::new(&short());
    let output = with_gpu(&alone, &["run", "sweep.yaml", "--quiet", "--device", "wgpu:0"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let beside = Sandbox::new(&short());
    let output = with_gpu(&beside, &["run", "sweep.yaml", "--quiet", "--device", "wgpu:0", "--evaluate-on", "cpu"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let device = beside.study().runs[0].attempts.last().expect("it ran").device.clone();
    assert!(device.ends_with(", evaluated on cpu beside it"), "{device}");
    let (alone, beside) = (alone.curves(), beside.curves());
    assert_eq!(alone.len(), beside.len());
    for (alone, beside) in alone.iter().zip(&beside) {
        assert_eq!((alone.step, &alone.metric), (beside.step, &beside.metric));
        let difference = (alone.value - beside.value).abs() / alone.value.abs().max(1e-3);
        assert!(difference < 1e-2, "{} of step {}: {} and {}", alone.metric, alone.step, alone.value, beside.value);
    }
}

#[test]
#[ignore = "needs a program with wgpu and cuda: scripts/check-gpu.sh"]
fn devices_that_are_not_there_are_refused_in_a_sentence() {
    let sandbox = Sandbox::new(&short());
    for device in ["wgpu:97", "cuda:97"] {
        let output = with_gpu(&sandbox, &["run", "sweep.yaml", "--device", device]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let said = stderr(&output);
        let first = said.lines().next().expect("it says something");
        let reasons = [format!("error: {device} is not there"), format!("error: {device} cannot be used: ")];
        assert!(reasons.iter().any(|reason| first.starts_with(reason)), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    assert!(!sandbox.path().join("results").exists(), "something was made for a device that is not there");
}
