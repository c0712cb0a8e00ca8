//! Commands that train nothing.

use crate::sandbox::{Sandbox, TINY, stderr, stdout};

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
    for command in [
        "run",
        "plan",
        "status",
        "logs",
        "report",
        "cell",
        "serve",
        "sample",
        "averages",
        "devices",
        "train-features",
        "completions",
    ] {
        let help = stdout(&sandbox.speedlab(&[command, "--help"]));
        assert!(help.contains("Example") && help.contains(&format!("speedlab {command}")), "{command}: {help}");
    }
    assert!(stdout(&sandbox.speedlab(&["--help"])).contains("Exit codes"));
}
