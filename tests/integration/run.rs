//! The whole program: a sweep trained, killed, resumed, refused.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use speedlab::event::RunOutcome;
use speedlab::random::{Draws, Stream};
use speedlab::record::RunState;

use crate::sandbox::{Sandbox, TINY, children_of, send_signal, stderr, stdout};

/// The same sweep with a learning rate that makes the second arm's loss overflow.
fn with_a_diverging_arm() -> String {
    TINY.replace(
        "timestep_sampler: { kind: curriculum }",
        "optimizer: { kind: adam, learning_rate: 1.0e+12 }, train: { clip_norm: 0 }",
    )
}

fn undisturbed() -> Sandbox {
    finished(TINY)
}

fn finished(sweep: &str) -> Sandbox {
    let sandbox = Sandbox::new(sweep);
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    sandbox
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
        assert!(run.rows.windows(2).all(|pair| pair[0].train_seconds <= pair[1].train_seconds));
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

/// Kills the program's processes at random moments, as `victims` says, until the sweep is done; returns how often.
fn disturb(sandbox: &Sandbox, seed: u64, victims: impl Fn(u32, &mut Draws)) -> usize {
    let mut draws = Draws::new(seed, Stream::Noise, 0);
    let mut disturbances = 0;
    loop {
        let mut child = sandbox.start(&["run", "sweep.yaml", "--quiet", "--retries", "100"]);
        let status = loop {
            // The pauses grow, so that it ends also where starting alone takes long.
            std::thread::sleep(Duration::from_millis(u64::from(30 + draws.below(250)) + 20 * disturbances as u64));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            victims(child.id(), &mut draws);
            disturbances += 1;
        };
        if status.success() {
            return disturbances;
        }
        assert!(disturbances < 300, "not done after {disturbances} disturbances");
    }
}

#[test]
fn killed_at_any_moment_and_run_again_it_ends_with_the_same_bits() {
    let observed = "grid_images: 4\n    consistency: { images: 8, every: 80 }\n    difficulty: { images: 2 }";
    let longer =
        TINY.replace("steps: 60", "steps: 240").replace("every: 20", "every: 40").replace("grid_images: 4", observed);
    let expected = finished(&longer).bits();
    let of = |metric: &str| expected.iter().filter(|bits| bits.2 == metric).count();
    assert_eq!((of("consistency"), of("validation_gradient_norm/3")), (4 * 3, 4 * 6));
    let sandbox = Sandbox::new(&longer);
    let kills = disturb(&sandbox, 1, |parent, draws| {
        let children = children_of(parent);
        match draws.below(5) {
            0 | 1 => send_signal("KILL", parent),
            2 => children.iter().for_each(|child| send_signal("KILL", *child)),
            _ => {
                send_signal("KILL", parent);
                children.iter().for_each(|child| send_signal("KILL", *child));
            }
        }
    });
    assert!(kills > 2, "the sweep was disturbed only {kills} times");
    assert_eq!(sandbox.bits(), expected);
    let study = sandbox.study();
    assert!(study.runs.iter().all(|run| run.state == RunState::Ended(RunOutcome::Completed)));
    let attempts: usize = study.runs.iter().map(|run| run.attempts.len()).sum();
    assert!(attempts > study.runs.len(), "no run was ever resumed");
    for run in &study.runs {
        // The clock goes on across attempts and never stands above the wall.
        assert!(run.rows.windows(2).all(|pair| pair[0].train_seconds <= pair[1].train_seconds), "{run:?}");
        assert!(run.rows.iter().all(|row| row.train_seconds <= row.wall_seconds));
    }
}

#[test]
fn samplers_and_optimizers_with_state_go_on_with_the_same_bits() {
    let adaptive = TINY.replace("steps: 60", "steps: 120").replace("every: 20", "every: 40").replace(
        "  clts: { timestep_sampler: { kind: curriculum } }\n",
        "  clts: { noise_schedule: { kind: linear, timesteps: 20 }, timestep_sampler: { kind: loss_second_moment, history: 3 } }
  tasks:
    timestep_sampler: { kind: task_difficulty, clusters: 4, patience: 2, smoothing: 0.5 }
    noise: { kind: immiscible }
    optimizer: { kind: muon }
    momentum: { kind: linear, end: 0.5 }
",
    );
    let undisturbed = finished(&adaptive);
    for run in undisturbed.study().runs.iter().filter(|run| run.planned.arm == "clts") {
        // It has left the uniform density behind, so what it observed decides what it draws.
        let last = &run.densities.last().unwrap().density;
        assert!(last.iter().any(|share| (share * last.len() as f64 - 1.0).abs() > 0.01), "{last:?}");
    }
    for run in undisturbed.study().runs.iter().filter(|run| run.planned.arm == "tasks") {
        let trained_on = |at: usize| run.densities[at].density.iter().filter(|share| **share > 0.0).count();
        assert!(trained_on(0) < trained_on(4), "no stage came to its end");
    }
    let sandbox = Sandbox::new(&adaptive);
    let kills = disturb(&sandbox, 3, |parent, _| {
        let children = children_of(parent);
        send_signal("KILL", parent);
        children.iter().for_each(|child| send_signal("KILL", *child));
    });
    assert!(kills > 2, "the sweep was disturbed only {kills} times");
    assert_eq!(sandbox.bits(), undisturbed.bits());
}

#[test]
fn a_preview_is_one_json_value_of_arrays_and_changes_nothing() {
    let sandbox = Sandbox::new(TINY);
    let output = sandbox.speedlab(&["preview", "sweep.yaml", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let preview: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("one JSON value");
    let trials = preview["trials"].as_array().unwrap();
    // Seeds do not change it: one entry an arm.
    assert_eq!(trials.iter().map(|trial| trial["arm"].as_str().unwrap()).collect::<Vec<_>>(), ["baseline", "clts"]);
    let length = |value: &serde_json::Value| value.as_array().unwrap().len();
    for trial in trials {
        assert_eq!(["step", "beta1", "learning_rate"].map(|key| length(&trial[key])), [60; 3]);
        assert_eq!(["t", "loss_weight"].map(|key| length(&trial[key])), [1000; 2]);
        let densities = trial["densities"].as_array().unwrap();
        let percents: Vec<u64> = densities.iter().map(|density| density["percent"].as_u64().unwrap()).collect();
        assert_eq!(percents, [0, 25, 50, 75, 100]);
        for density in densities {
            let probabilities = density["probability"].as_array().unwrap();
            let total: f64 = probabilities.iter().map(|probability| probability.as_f64().unwrap()).sum();
            assert!((total - 1.0).abs() < 1e-9, "{total}");
        }
    }
    let favoured = &trials[1]["densities"][4]["probability"][300];
    assert!((1000.0 * favoured.as_f64().unwrap() - 1.60).abs() < 0.005);
    assert!(!sandbox.path().join("results").exists());

    let text = stdout(&sandbox.speedlab(&["preview", "sweep.yaml"]));
    assert!(text.contains("clts") && text.contains("p(t) 50-100 %"), "{text}");
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
  v: { parameterization: v }
  min-snr-x0: { parameterization: x0, loss_weighting: { kind: min_snr } }
seeds: 1
";
    let (base, rest) = TINY.split_once("arms:").unwrap();
    let compare = rest.split_once("seeds: 2\n").unwrap().1;
    let sandbox = finished(&format!("{base}{arms}{compare}"));
    let study = sandbox.study();
    assert_eq!(study.runs.len(), 17);
    let mut last_losses = BTreeSet::new();
    for run in &study.runs {
        assert_eq!(run.state, RunState::Ended(RunOutcome::Completed), "{}", run.planned.arm);
        assert!(run.rows.iter().all(|row| row.value.is_finite()), "{}", run.planned.arm);
        let protocol = &run.rows.iter().find(|row| row.metric == "validation_loss").unwrap().protocol;
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
    assert_eq!(last_losses.len(), 16);
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
fn ctrl_c_writes_checkpoints_ends_with_130_and_says_how_to_go_on() {
    let sandbox = Sandbox::new(&TINY.replace("steps: 60", "steps: 4000"));
    let child = sandbox.command(&["run", "sweep.yaml"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let journal_has = |text: &str| {
        let study = std::panic::catch_unwind(|| sandbox.study()).ok();
        let runs = study.map(|study| study.runs).unwrap_or_default();
        runs.iter().any(|run| {
            let path = sandbox.results().join("runs").join(run.planned.run_id.as_str()).join("events.jsonl");
            fs::read_to_string(path).is_ok_and(|journal| journal.contains(text))
        })
    };
    sandbox.wait_until("the first training loss", || {
        sandbox.results().join("plan.json").exists() && journal_has("\"trained\"")
    });
    send_signal("INT", child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("speedlab run sweep.yaml"), "{}", stderr(&output));
    assert!(journal_has("\"interrupted\""), "the runs did not say that they were interrupted");
    assert!(journal_has("\"checkpointed\""));
    let status = sandbox.speedlab(&["status", "sweep.yaml"]);
    assert_eq!(status.status.code(), Some(3));
    assert!(stdout(&status).contains("unfinished"), "{}", stdout(&status));
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

#[test]
fn a_full_disk_pauses_the_sweep_and_nothing_recorded_is_lost() {
    let sandbox = Sandbox::new(TINY);
    // Files of this process tree may not grow beyond 64 blocks of 512 bytes; the checkpoint is larger.
    let program = env!("CARGO_BIN_EXE_speedlab");
    let script = format!("trap '' XFSZ; ulimit -f 64; exec '{program}' run sweep.yaml --retries 0 2> said.txt");
    let mut child = std::process::Command::new("sh").args(["-c", &script]).current_dir(sandbox.path()).spawn().unwrap();
    let said = || fs::read_to_string(sandbox.path().join("said.txt")).unwrap_or_default();
    sandbox.wait_until("a pause", || said().contains("goes on by itself"));
    assert!(child.try_wait().unwrap().is_none(), "a full disk ended the sweep: {}", said());
    send_signal("INT", child.id());
    // The report has no room either.
    assert_eq!(child.wait().unwrap().code(), Some(1), "{}", said());
    assert!(said().contains("File too large") && said().contains("cannot write the report"), "{}", said());
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(sandbox.bits(), undisturbed().bits());
}

#[test]
fn two_programs_do_not_run_one_sweep_at_once() {
    let sandbox = Sandbox::new(&TINY.replace("steps: 60", "steps: 4000"));
    let mut first = sandbox.start(&["run", "sweep.yaml", "--quiet"]);
    sandbox.wait_until("the first program", || sandbox.results().join("plan.json").exists());
    let second = sandbox.speedlab(&["run", "sweep.yaml"]);
    assert_eq!(second.status.code(), Some(1));
    let holder = format!("is in use by process {} on ", first.id());
    assert!(stderr(&second).contains(&holder), "{}", stderr(&second));
    send_signal("INT", first.id());
    first.wait().unwrap();
}

#[test]
fn records_of_a_newer_program_are_refused_and_left_alone() {
    let sandbox = undisturbed();
    let path = sandbox.results().join("plan.json");
    let newer = fs::read_to_string(&path).unwrap().replacen("\"version\": 1", "\"version\": 99", 1);
    fs::write(&path, &newer).unwrap();
    let output = sandbox.speedlab(&["run", "sweep.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("was written by a newer speedlab (format 99, this one reads up to 1)"),
        "{}",
        stderr(&output)
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
}

#[test]
fn a_torn_last_line_is_tolerated_and_counted() {
    let sandbox = undisturbed();
    let bits = sandbox.bits();
    let run_id = sandbox.study().runs[0].planned.run_id.clone();
    let journal = sandbox.results().join("runs").join(run_id.as_str()).join("events.jsonl");
    let mut text = fs::read_to_string(&journal).unwrap();
    text.push_str("{\"event\":\"trained\",\"sta");
    fs::write(&journal, text).unwrap();
    assert_eq!(sandbox.study().runs[0].torn_lines, 1);
    assert_eq!(sandbox.speedlab(&["report", "sweep.yaml"]).status.code(), Some(0));
    assert_eq!(sandbox.bits(), bits);
}

#[test]
fn an_invalid_sweep_ends_with_2_and_names_the_place() {
    let sandbox = Sandbox::new(&TINY.replace("batch_size: 16", "batch_sise: 16"));
    for command in ["run", "plan", "status", "report"] {
        let output = sandbox.speedlab(&[command, "sweep.yaml"]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        let text = stderr(&output);
        assert!(text.contains("sweep.yaml:5:23") && text.contains("did you mean `batch_size`?"), "{text}");
    }
    assert!(!sandbox.path().join("results").exists(), "something was made for an invalid sweep");
}

#[test]
fn a_dry_run_and_a_plan_change_nothing() {
    let sandbox = Sandbox::new(TINY);
    for args in [&["plan", "sweep.yaml"][..], &["run", "sweep.yaml", "--dry-run"], &["plan", "sweep.yaml", "--json"]] {
        let output = sandbox.speedlab(args);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stdout(&output).contains("clts"));
    }
    assert!(!sandbox.path().join("results").exists());
}

#[test]
fn every_command_has_help_with_an_example() {
    let sandbox = Sandbox::new(TINY);
    for command in ["run", "plan", "status", "logs", "report", "sample", "devices", "train-features", "completions"] {
        let help = stdout(&sandbox.speedlab(&[command, "--help"]));
        assert!(help.contains("Example") && help.contains(&format!("speedlab {command}")), "{command}: {help}");
    }
    assert!(stdout(&sandbox.speedlab(&["--help"])).contains("Exit codes"));
}
