//! Averages that runs keep, and others that are made of them.

use speedlab::record::RunFolder;

use super::{Sandbox, finished, stderr};
use crate::sandbox::{TINY, stdout};

/// Averages of sigma_rel 0.1 and 0.2 that are measured while they are trained, and one run that keeps averages.
fn sweep() -> String {
    TINY.replace("log_every: 7", "log_every: 7, post_hoc: { every: 10 }").replace(
        "  clts: { timestep_sampler: { kind: curriculum } }\n",
        "  power: { train: { ema: { kind: power, sigma_rel: 0.1 } } }\n  wide: { train: { ema: { kind: power, sigma_rel: 0.2 } } }\n",
    )
    .replace("every: 20", "every: 20\n    weights: own")
    .replace("seeds: 2", "seeds: 1")
}

/// The Fréchet distances that `speedlab averages` finds, and what it was measured by.
fn found(sandbox: &Sandbox, run: &str, more: &[&str]) -> Vec<(f64, f64, String)> {
    let output = sandbox.speedlab(&[&["averages", run, "--json"], more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("one JSON value");
    let last = json["step"].as_u64().unwrap();
    let kept: Vec<u64> = (1..=6).map(|count| 10 * count).filter(|&step| step <= last).collect();
    assert_eq!(json["kept"], serde_json::json!(kept), "nothing that came later takes part");
    let of = |average: &serde_json::Value| {
        let fid = &average["measures"][0];
        assert_eq!((&fid["metric"], average["factors"].as_array().unwrap().len()), (&"fid".into(), 2 * kept.len()));
        assert!(average["missed"].as_f64().unwrap() < 0.2, "{average}");
        let protocol = fid["protocol"].as_str().unwrap().to_owned();
        (average["sigma_rel"].as_f64().unwrap(), fid["value"].as_f64().unwrap(), protocol)
    };
    json["averages"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn an_average_made_of_kept_ones_is_as_good_as_the_one_that_was_trained_with_it() {
    let sandbox = finished(&sweep());
    let study = sandbox.study();
    let run = |arm: &str| study.runs.iter().find(|run| run.planned.arm == arm).expect("an arm");
    let fid = |arm: &str, step: u64| {
        let of_step = run(arm).rows.iter().find(|row| row.metric == "fid" && row.step == step);
        of_step.expect("it was evaluated").value
    };
    let path = |arm: &str| format!("results/tiny/runs/{}", run(arm).planned.run_id);

    // One that was kept is itself; another is near the one that its run kept up.
    let baseline = path("baseline");
    let last = found(&sandbox, &baseline, &["--sigma-rel", "0.1,0.2"]);
    assert_eq!(last[0].2, "digits-cnn n=80 ref=train:1442 resize=none ddim nfe=3 ema=post-hoc-power(0.1)");
    let kept = (last[0].1 / fid("power", 60) - 1.0).abs();
    assert!(kept < 1e-3, "{last:?} for {}", fid("power", 60));
    let made = (last[1].1 / fid("wide", 60) - 1.0).abs();
    assert!(made < 0.05, "{last:?} for {}", fid("wide", 60));
    let earlier = found(&sandbox, &baseline, &["--sigma-rel", "0.1", "--step", "40"]);
    assert!((earlier[0].1 / fid("power", 40) - 1.0).abs() < 1e-3, "{earlier:?} for {}", fid("power", 40));
    // The average that a run is measured by changes neither its training nor what it keeps.
    assert_eq!(found(&sandbox, &path("wide"), &["--sigma-rel", "0.1,0.2"]), last);

    for (arguments, message) in [
        (["--sigma-rel", "0.3"], "invalid value '0.3' for '--sigma-rel <X,..>': it must be from 0.0001 to 0.28"),
        (["--sigma-rel", "-0.1"], "it must be from 0.0001 to 0.28"),
        (["--step", "61"], "no averages were kept at step 61\nhint: they were kept at 10, 20, 30, 40, 50, 60"),
    ] {
        let output = sandbox.speedlab(&[&["averages", &baseline], &arguments[..]].concat());
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
        assert_eq!(output.status.code(), Some(2));
    }
    let folder = RunFolder { path: sandbox.path().join(&baseline) };
    let damaged = folder.averages(30);
    let mut bytes = std::fs::read(&damaged).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    let output = sandbox.speedlab(&["averages", &baseline]);
    assert!(stderr(&output).contains("the kept averages are damaged"), "{}", stderr(&output));
    assert!(stderr(&output).contains("step-00000030.safetensors"), "{}", stderr(&output));
    std::fs::remove_dir_all(folder.path.join("averages")).unwrap();
    let output = sandbox.speedlab(&["averages", &baseline]);
    assert!(stderr(&output).contains("has kept no averages\nhint: "), "{}", stderr(&output));
}
