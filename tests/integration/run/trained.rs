//! Sweeps that nothing disturbs.

use std::collections::BTreeSet;
use std::fs;

use speedlab::event::RunOutcome;
use speedlab::record::RunState;

use super::{finished, undisturbed};
use crate::sandbox::{Sandbox, TINY, stderr};

/// The same sweep with a learning rate that makes the second arm's loss overflow.
fn with_a_diverging_arm() -> String {
    TINY.replace(
        "timestep_sampler: { kind: curriculum }",
        "optimizer: { kind: adam, learning_rate: 1.0e+12 }, train: { clip_norm: 0 }",
    )
}

#[test]
fn a_sweep_is_trained_recorded_and_reported() {
    let sandbox = undisturbed();
    let study = sandbox.study();
    assert_eq!(study.runs.len(), 4);
    for run in &study.runs {
        assert_eq!(run.state, RunState::Ended(RunOutcome::Completed));
        let steps =
            |metric: &str| run.rows.iter().filter(|row| row.metric == metric).map(|row| row.step).collect::<Vec<_>>();
        assert_eq!(steps("train_loss"), [7, 14, 21, 28, 35, 42, 49, 56, 60]);
        assert_eq!(steps("fid"), [20, 40, 60]);
        assert_eq!(steps("validation_loss/3"), [20, 40, 60]);
        assert_eq!(run.samples.len(), 3);
        assert_eq!(run.densities.iter().map(|density| density.step).collect::<Vec<_>>(), [0, 15, 30, 45, 60]);
        assert!(run.rows.iter().all(|row| row.images_seen == 16 * row.step && row.value.is_finite()));
        assert!(run.rows.iter().map(|row| row.train_seconds).is_sorted());
    }
    let rows: usize = study.runs.iter().map(|run| run.rows.len()).sum();
    assert_eq!(sandbox.curves().len(), rows);
    for file in ["plan.json", "curves.parquet", "report/index.html", "report/speedups.md", "report/speedups.json"] {
        assert!(sandbox.results().join(file).is_file(), "{file} is missing");
    }
}

#[test]
fn a_finished_sweep_is_left_alone() {
    let sandbox = undisturbed();
    let bits = sandbox.bits();
    let journals = || {
        let study = sandbox.study();
        let paths = study.runs.iter().map(|run| sandbox.results().join("runs").join(run.planned.run_id.as_str()));
        paths.map(|path| fs::read(path.join("events.jsonl")).unwrap()).collect::<Vec<_>>()
    };
    let before = journals();
    let again = sandbox.speedlab(&["run", "sweep.yaml"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert!(journals() == before, "a finished run was written to");
    assert_eq!(sandbox.bits(), bits);
}

#[test]
fn arms_that_share_a_seed_start_from_the_same_loss() {
    // At step 0 the curriculum is still uniform, so the first window differs only by what came after.
    let sandbox = Sandbox::new(&TINY.replace("log_every: 7", "log_every: 1"));
    assert_eq!(sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]).status.code(), Some(0));
    let first_loss = |arm: &str, seed| {
        let rows = sandbox.curves();
        rows.iter().find(|row| row.arm == arm && row.seed == seed && row.metric == "train_loss").unwrap().value
    };
    let seeds: BTreeSet<u64> = sandbox.curves().iter().map(|row| row.seed).collect();
    let [first, second] = seeds.into_iter().collect::<Vec<_>>()[..] else { panic!("two seeds") };
    assert_eq!(first_loss("baseline", first).to_bits(), first_loss("clts", first).to_bits());
    assert_ne!(first_loss("baseline", first).to_bits(), first_loss("baseline", second).to_bits());
}

#[test]
fn every_method_can_be_an_arm() {
    let arms = "arms:
  baseline: {}
  paced: { timestep_sampler: { kind: paced_curriculum, pacing: step } }
  log-snr: { timestep_sampler: { kind: log_snr_curriculum } }
  middle-first: { timestep_sampler: { kind: curriculum_sampling } }
  logit-normal: { timestep_sampler: { kind: logit_normal } }
  laplace: { timestep_sampler: { kind: laplace } }
  edm: { timestep_sampler: { kind: edm }, loss_weighting: { kind: edm }, parameterization: x0 }
  speed: { timestep_sampler: { kind: speed }, loss_weighting: { kind: speed } }
  second-moment: { timestep_sampler: { kind: loss_second_moment } }
  min-snr: { loss_weighting: { kind: min_snr } }
  p2: { loss_weighting: { kind: p2 } }
  tasks: { timestep_sampler: { kind: task_difficulty, clusters: 2, patience: 5 } }
  immiscible: { noise: { kind: immiscible } }
  adamw: { optimizer: { kind: adamw } }
  muon: { optimizer: { kind: muon }, momentum: { kind: demon } }
  soap: { optimizer: { kind: soap, refresh_every: 4 } }
  schedule-free: { optimizer: { kind: schedule_free_adamw } }
  wsd: { lr_schedule: { kind: wsd, decay: 0.5, shape: one_minus_sqrt } }
  inverse-sqrt: { lr_schedule: { kind: inverse_sqrt, reference_steps: 10 } }
  v: { parameterization: v }
  min-snr-x0: { parameterization: x0, loss_weighting: { kind: min_snr } }
seeds: 1
";
    let (base, rest) = TINY.split_once("arms:").unwrap();
    let compare = rest.split_once("seeds: 2\n").unwrap().1;
    let sandbox = finished(&format!("{base}{arms}{compare}"));
    let study = sandbox.study();
    assert_eq!(study.runs.len(), 21);
    let mut last_losses = BTreeSet::new();
    for run in &study.runs {
        assert_eq!(run.state, RunState::Ended(RunOutcome::Completed), "{}", run.planned.arm);
        assert!(run.rows.iter().all(|row| row.value.is_finite()), "{}", run.planned.arm);
        let protocol = run.rows.iter().find(|row| row.metric == "validation_loss").unwrap().protocol;
        let of = match run.planned.arm.as_str() {
            "v" => "mse of=v ",
            "edm" | "min-snr-x0" => "mse of=x0 ",
            _ => "mse ref=",
        };
        assert!(protocol.starts_with(of), "{}: {protocol}", run.planned.arm);
        let last = run.rows.iter().rfind(|row| row.metric == "train_loss").unwrap().value;
        last_losses.insert(last.to_bits());
    }
    // loss_second_moment is still uniform after so few steps; all others differ from each other.
    assert_eq!(last_losses.len(), 20);
}

#[test]
fn a_network_that_learns_its_variance_is_trained_and_measured() {
    let model = "{ kind: adm, channels: 8, norm_groups: 4, attention_resolutions: [4], head_channels: 8, learned_sigma: true, class_conditional: true }";
    let sweep = TINY
        .replace("{ kind: unet, channels: 8, channel_multipliers: [1, 2] }", model)
        .replace(
            "clts: { timestep_sampler: { kind: curriculum } }",
            "adaptive: { timestep_sampler: { kind: loss_second_moment } }",
        )
        .replace("samples: 80,", "samples: 80, guidance: 1.5,")
        .replace("{ kind: ddim, steps: 3 }", "{ kind: ddpm, steps: 5, variance: learned }")
        .replace("steps: 60,", "steps: 120,");
    let study = finished(&sweep).study();
    assert_eq!(study.runs.len(), 4);
    for run in &study.runs {
        assert_eq!(run.state, RunState::Ended(RunOutcome::Completed));
        let losses: Vec<f64> = run.rows.iter().filter(|row| row.metric == "train_loss").map(|row| row.value).collect();
        // The bound is noisy while the means of t = 0 are far off, and part of the loss.
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&losses[..3]), mean(&losses[losses.len() - 3..]));
        assert!(last < 0.8 * first, "{}: {first} to {last}", run.planned.trial);
        assert!(run.rows.iter().any(|row| row.metric == "fid" && row.value.is_finite()));
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let expected = undisturbed().bits();
    let sandbox = Sandbox::new(TINY);
    assert_eq!(sandbox.speedlab(&["run", "sweep.yaml", "--quiet", "--jobs", "1"]).status.code(), Some(0));
    assert_eq!(sandbox.bits(), expected);
}

#[test]
fn a_run_that_diverges_is_recorded_and_the_sweep_goes_on() {
    let sandbox = Sandbox::new(&with_a_diverging_arm());
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    for run in sandbox.study().runs {
        match (run.planned.arm.as_str(), &run.state) {
            ("baseline", RunState::Ended(RunOutcome::Completed)) => {}
            ("clts", RunState::Ended(RunOutcome::Diverged { reason })) => {
                assert!(reason.contains("at step"), "{reason}");
                assert_eq!(run.attempts.len(), 1, "a diverged run was tried again");
            }
            other => panic!("{other:?}"),
        }
    }
    let page = fs::read_to_string(sandbox.results().join("report/index.html")).unwrap();
    assert!(page.to_lowercase().contains("diverged"), "the report does not name the failure");
    let again = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(again.status.code(), Some(1), "a second run may not call it done");
}
