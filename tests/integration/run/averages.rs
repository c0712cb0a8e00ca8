//! Averages that runs keep, and others that are made of them.

use speedlab::record::RunFolder;

use super::evaluate::{evaluate, files, report, runs_of};
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

#[test]
fn averages_of_other_lengths_become_values_of_the_record_without_training() {
    let wide = "  wide: { train: { ema: { kind: power, sigma_rel: 0.2 } } }\n";
    let sandbox = finished(&sweep().replace(wide, "  none: { train: { post_hoc: { every: 0 } } }\n"));
    let answer = |report: &str| report[..report.find("| measure |").expect("there is more than FID")].trim().to_owned();
    let before = report(&sandbox);
    let [baseline, power, none] = ["baseline", "power", "none"].map(|arm| runs_of(&sandbox, arm).remove(0));
    let folder = RunFolder { path: sandbox.path().join(&baseline) };
    let recorded = files(&folder.path);
    let shown = found(&sandbox, &baseline, &["--sigma-rel", "0.1,0.15,0.12"]);
    assert_eq!(files(&folder.path), recorded, "`averages` records nothing");

    // Nothing is measured where something cannot be.
    for (arguments, message) in [
        (
            &[&baseline, &none, "--set", "train.ema.sigma_rel=0.1"][..],
            "has kept no averages\nhint: runs keep them with `train: { post_hoc:",
        ),
        (
            &[&baseline, "--set", "train.ema.sigma_rel=0.1,0.3"],
            "`train.ema.sigma_rel` must be at least 0.0001 and at most 0.28, not 0.3",
        ),
        (
            &[&baseline, "--set", "train.ema.sigma_rel=0.1", "--set", "evaluate.weights=both,raw"],
            "`evaluate.weights: raw` measures no average that `train.ema.sigma_rel` is the length of\nhint: ",
        ),
        (
            &[&baseline, "--set", "train.ema.sigma_rel=0.1", "--set", "evaluate.weights=own"],
            "`evaluate.weights: own` measures no average",
        ),
    ] {
        let output = sandbox.speedlab(&[&["evaluate"], arguments].concat());
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    }
    assert_eq!(files(&folder.path), recorded);

    // Every length meets every number of images.
    let lengths = "train.ema.sigma_rel=0.1,0.15,0.01";
    let arguments = [&baseline, "--set", lengths, "--set", "evaluate.fid.samples=80,90"];
    let first = evaluate(&sandbox, &arguments);
    let evaluations = first["runs"][0]["evaluations"].as_array().unwrap();
    let protocol = |samples: u32, average: &str| {
        format!("digits-cnn n={samples} ref=train:1442 resize=none ddim nfe=3 ema=post-hoc-power({average})")
    };
    let missed = evaluations[5]["missed"].as_f64().unwrap();
    assert!(missed > 0.2, "{missed}");
    let short = format!("0.01,missed={:.0}%", 100.0 * missed);
    let expected: Vec<String> =
        ["0.1", "0.15", &short].map(|average| [80, 90].map(|samples| protocol(samples, average))).concat();
    let protocols: Vec<&str> = evaluations.iter().map(|one| one["measures"][0]["protocol"].as_str().unwrap()).collect();
    assert_eq!(protocols, expected);
    assert!(evaluations.iter().all(|one| one["new"] == true));
    let value = |index: usize| evaluations[index]["measures"][0]["value"].as_f64().unwrap();
    assert_eq!([value(0), value(2)], [shown[0].1, shown[1].1], "as `averages` shows them");
    assert_ne!(value(0), value(2));

    // The record has grown, and is what it was.
    let with = files(&folder.path);
    assert_eq!(with.len(), recorded.len() + 6);
    assert!(recorded.iter().all(|file| with.contains(file)));
    let study = sandbox.study();
    let run = study.runs.iter().find(|run| baseline.ends_with(run.planned.run_id.as_str())).unwrap();
    for (index, protocol) in expected.iter().enumerate() {
        assert_eq!(
            run.later.series("fid", protocol).map(|row| (row.step, row.value)).collect::<Vec<_>>(),
            [(60, value(index))]
        );
    }
    assert_eq!(run.later.series("validation_loss", "mse ref=test n=8 bins=4 ema=post-hoc-power(0.15)").count(), 1);
    let averages: Vec<f64> = folder
        .read_evaluations()
        .unwrap()
        .iter()
        .map(|(_, evaluation)| evaluation.average.unwrap().sigma_rel)
        .collect();
    assert_eq!(averages, [0.1, 0.1, 0.15, 0.15, 0.01, 0.01]);
    let again = evaluate(&sandbox, &arguments);
    assert!(again["runs"][0]["evaluations"].as_array().unwrap().iter().all(|one| one["new"] == false));
    assert_eq!(files(&folder.path), with);
    let output = sandbox.speedlab(&["evaluate", &baseline, "--set", lengths]);
    let note = format!("recorded before, {:.0} % of the average are missed", 100.0 * missed);
    assert!(stdout(&output).contains(&note), "{}", stdout(&output));

    // The report has a line for each and names the best; what is compared is what it was.
    let after = report(&sandbox);
    assert_eq!(answer(&after), answer(&before));
    assert!(expected.iter().all(|protocol| after.contains(&format!("`{protocol}`"))), "{after}");
    let best = (0..6).step_by(2).min_by(|&one, &other| value(one).total_cmp(&value(other))).unwrap();
    let best = ["0.1", "0.15", &short][best / 2].replace(',', ", ");
    let line = "Best of the averages that were made after training, by the median over runs: baseline ";
    assert!(after.contains(&format!("{line}{best} (FID")), "{after}");

    // Beside raw weights, from within the study.
    let mut command = sandbox.command(&[
        "evaluate",
        power.strip_prefix("results/tiny/").unwrap(),
        "--set",
        "train.ema.sigma_rel=0.1",
        "--set",
        "evaluate.weights=both",
    ]);
    let output = command.current_dir(sandbox.results()).output().unwrap();
    assert!(stdout(&output).contains("averaged") && stdout(&output).contains("raw"), "{}", stdout(&output));
    assert!(stderr(&output).contains("note: `speedlab report .` shows the new values"), "{}", stderr(&output));

    // A run may end at a step that keeps none in a file: its checkpoint has them.
    std::fs::remove_file(folder.averages(60)).unwrap();
    let length = [&baseline, "--set", "train.ema.sigma_rel=0.12"];
    let last = evaluate(&sandbox, &length);
    assert_eq!(last["runs"][0]["evaluations"][0]["measures"][0]["value"], shown[2].1);
    // What is recorded is shown without a look at what it was made of.
    std::fs::write(folder.averages(30), "damaged").unwrap();
    assert_eq!(evaluate(&sandbox, &length)["runs"][0]["evaluations"][0]["new"], false);
    let output = sandbox.speedlab(&["evaluate", &baseline, "--set", "train.ema.sigma_rel=0.13"]);
    assert!(stderr(&output).contains("step-00000030.safetensors\nhint: without this file"), "{}", stderr(&output));
}
