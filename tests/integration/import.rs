//! Curves of other programs with known answers: a table, a chart of Weights & Biases, event files, JSON lines and Parquet.

use std::fs;
use std::path::Path;

use serde_json::Value;
use speedlab::event::{Measure, RunEvent, Stamp};
use speedlab::record::{Rows, write_curves};
use speedlab::spec::{PlannedRun, RunId, RunSpec};

use crate::sandbox::{Sandbox, stderr, stdout};

/// How many times as fast as `base` each arm is: its curve is base's with the step stretched.
const ARMS: [(&str, f64); 3] = [("base", 1.0), ("fast one", 1.6), ("slow", 0.8)];
const STEPS: u64 = 400;
const SEEDS: u64 = 5;

/// FID at a step: falls as a power of it, with noise of 2 % that depends on seed and step alone.
fn fid(factor: f64, seed: u64, step: u64) -> f64 {
    let mixed = (seed * 7919 + step * 104_729).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let noise = 0.02 * (mixed as f64 / f64::from(1u32 << 24) - 0.5);
    3.0 + 400.0 / (1.0 + factor * step as f64 / 10.0) * (1.0 + noise)
}

/// (arm, seed, step, FID) of every evaluation.
fn values() -> impl Iterator<Item = (&'static str, u64, u64, f64)> {
    let steps = || (10..=STEPS).step_by(10);
    ARMS.into_iter().flat_map(move |(arm, factor)| {
        (0..SEEDS).flat_map(move |seed| steps().map(move |step| (arm, seed, step, fid(factor, seed, step))))
    })
}

fn csv() -> String {
    let rows = values()
        .map(|(arm, seed, step, fid)| format!("{arm},{seed},{step},{},{:.3},{fid}\n", 64 * step, 0.5 * step as f64));
    format!("method,run,it,img,sec,fid50k\n{}", rows.collect::<String>())
}

const LONG: [&str; 7] = ["--map", "arm=method", "seed=run", "step=it", "images=img", "seconds=sec", "fid=fid50k"];

/// The speedup and the verdict in images of an arm, from `speedups.json`.
fn answer(table: &Value, arm: &str) -> (f64, String) {
    let arms = table["points"][0]["arms"].as_array().expect("a list of arms");
    let arm = arms.iter().find(|found| found["arm"] == arm).unwrap_or_else(|| panic!("no arm {arm}"));
    let speedup = &arm["speedups"]["images_seen"];
    (speedup["speedup"].as_f64().unwrap_or(f64::NAN), speedup["verdict"].as_str().unwrap_or_default().to_owned())
}

#[track_caller]
fn recovers(sandbox: &Sandbox, args: &[&str], fast: &str) -> Value {
    let output = sandbox.speedlab(&[&["import"], args, &["--json"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let table: Value = serde_json::from_str(&stdout(&output)).unwrap();
    for (arm, expected, word) in [(fast, 1.6, "faster"), ("slow", 0.8, "slower")] {
        let (speedup, verdict) = answer(&table, arm);
        assert!((speedup / expected - 1.0).abs() < 0.02, "{arm}: {speedup}");
        assert_eq!(verdict, word, "{arm}");
    }
    table
}

#[test]
fn a_table_with_known_answers_is_answered() {
    let sandbox = Sandbox::new("");
    fs::write(sandbox.path().join("curves.csv"), csv()).unwrap();
    recovers(&sandbox, &[&["curves.csv", "--baseline", "base"], &LONG[..]].concat(), "fast-one");
    let page = fs::read_to_string(sandbox.path().join("results/curves/report/index.html")).unwrap();
    assert!(page.contains("Every value was read from <code>curves.csv</code>") && page.contains("FID (imported)"));

    // It is a sweep like any other, but that nothing of it is trained.
    let again = sandbox.speedlab(&["report", "results/curves/sweep.yaml"]);
    assert!(
        again.status.success() && stdout(&again).contains("fast-one is faster than base: 1.6"),
        "{}",
        stdout(&again)
    );
    assert!(!stderr(&again).contains("no longer the one"), "{}", stderr(&again));
    let run = sandbox.speedlab(&["run", "results/curves/sweep.yaml"]);
    assert_eq!(run.status.code(), Some(2));
    assert!(stderr(&run).contains("the sweep was imported: its runs were trained elsewhere"));
    let twice = sandbox.speedlab(&[&["import", "curves.csv", "--baseline", "base"], &LONG[..]].concat());
    assert!(stderr(&twice).contains("results/curves holds a sweep already"), "{}", stderr(&twice));
}

#[test]
fn other_kinds_of_tables_give_the_same_answers() {
    let sandbox = Sandbox::new("");
    let lines = values().map(|(arm, seed, step, fid)| {
        format!(
            "{}\n",
            serde_json::json!({ "method": arm, "run": seed, "it": step, "img": 64 * step, "sec": step, "fid50k": fid })
        )
    });
    fs::write(sandbox.path().join("lines.jsonl"), lines.collect::<String>()).unwrap();
    recovers(&sandbox, &[&["lines.jsonl", "--baseline", "base"], &LONG[..]].concat(), "fast-one");

    // A chart of Weights & Biases: a column for each run, one row for each step, bounds beside the values.
    let runs: Vec<(&str, f64, u64)> =
        ARMS.iter().flat_map(|(arm, factor)| (0..SEEDS).map(|seed| (*arm, *factor, seed))).collect();
    let mut chart = "\"Step\"".to_owned();
    for (arm, _, seed) in &runs {
        for bound in ["", "__MIN", "__MAX"] {
            chart.push_str(&format!(",\"{arm}-seed{seed} - val/fid{bound}\""));
        }
    }
    for step in (10..=STEPS).step_by(10) {
        chart.push_str(&format!("\n\"{step}\""));
        for (_, factor, seed) in &runs {
            let value = fid(*factor, *seed, step);
            chart.push_str(&format!(",\"{value}\",\"{value}\",\"{value}\""));
        }
    }
    fs::write(sandbox.path().join("chart.csv"), chart).unwrap();
    let args =
        ["chart.csv", "--baseline", "base", "--map", "step=Step", "fid=* - val/fid", "--names", "{arm}-seed{seed}"];
    recovers(&sandbox, &[&args[..], &["--batch-size", "64"]].concat(), "fast-one");

    // Our own table of curves is Parquet.
    let runs: Vec<(PlannedRun, Rows)> = ARMS
        .iter()
        .flat_map(|(arm, _)| (0..SEEDS).map(|seed| (*arm, seed)))
        .map(|(arm, seed)| {
            let spec = RunSpec { seed, ..RunSpec::default() };
            let run_id = RunId::of(&spec);
            let planned =
                PlannedRun { run_id, arm: arm.into(), trial: arm.into(), point: Default::default(), seed, spec };
            let of_run = values().filter(|value| (value.0, value.1) == (arm, seed));
            let evaluated = of_run.map(|(_, _, step, value)| {
                let stamp = Stamp { step, images_seen: 64 * step, train_seconds: step as f64, ..Stamp::default() };
                let measures = vec![Measure { metric: "fid".into(), protocol: "".into(), value }];
                (1, RunEvent::Evaluated { stamp, measures, samples: String::new() })
            });
            (planned, Rows::of(&evaluated.collect::<Vec<_>>()))
        })
        .collect();
    let path = sandbox.path().join("curves.parquet");
    write_curves(&path, runs.iter().map(|(planned, rows)| (planned, rows))).unwrap();
    let map =
        ["--map", "arm=arm", "seed=seed", "step=step", "images=images_seen", "seconds=train_seconds", "fid=value"];
    recovers(&sandbox, &[&["curves.parquet", "--baseline", "base", "--name", "ours"], &map[..]].concat(), "fast-one");
}

#[test]
fn event_files_of_tensorboard_are_runs() {
    let sandbox = Sandbox::new("");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tensorboard");
    let args = ["--baseline", "baseline", "--map", "fid=eval/fid", "--names", "{arm}/seed{seed}", "--name", "events"];
    let output = sandbox.speedlab(&[&["import", golden.to_str().unwrap()], &args[..]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("8 values of 2 runs") && said.contains("steps stand for images"), "{said}");
    let rows = speedlab::record::read_curves(&sandbox.path().join("results/events/curves.parquet")).unwrap();
    let last = rows.iter().rfind(|row| row.arm == "fast").unwrap();
    assert_eq!((last.step, last.seed, last.train_seconds, last.protocol.as_str()), (70_000, 1, 10.0, "imported"));
}

#[test]
fn what_a_table_lacks_or_gets_wrong_is_said() {
    let sandbox = Sandbox::new("");
    fs::write(sandbox.path().join("curves.csv"), csv()).unwrap();
    let refused = |args: &[&str]| {
        let output = sandbox.speedlab(&[&["import", "curves.csv"], args].concat());
        assert!(!output.status.success());
        stderr(&output)
    };
    let message = refused(&[&["--baseline", "bass"], &LONG[..]].concat());
    assert!(message.contains("there is no arm `bass`\nhint: the arms are `base`, `fast one`, `slow`"), "{message}");
    let message = refused(&["--baseline", "base", "--map", "arm=method", "step=it", "fid=fid50k"]);
    assert!(message.contains("is a column of seeds missing?"), "{message}");
    let message = refused(&["--baseline", "base", "--map", "arm=method", "seed=run", "step=it", "accuracy=fid50k"]);
    assert!(message.contains("`accuracy` cannot be compared\nhint: map the column to fid"), "{message}");
    assert!(!sandbox.path().join("results").exists());

    // A run that ends early has not finished, and one with a number that is none has diverged.
    let cut: String =
        csv().lines().filter(|line| !line.starts_with("slow,4,4")).fold(String::new(), |text, line| text + line + "\n");
    let cut = cut.replace(&format!("slow,3,200,{},", 64 * 200), "slow,3,200,12800,100,inf\nslow,3,201,12864,");
    fs::write(sandbox.path().join("cut.csv"), cut).unwrap();
    let output = sandbox.speedlab(&[&["import", "cut.csv", "--baseline", "base"], &LONG[..]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(
        text.contains("Runs of slow: ") && text.contains("1 of 5 diverged") && text.contains("1 of 5 interrupted"),
        "{text}"
    );
}

/// Perplexities of AlgoPerf's language model by two submissions of AdEMAMix, three studies each: mlcommons/submissions_algorithms at
/// 665ed12, artifacts/tech_report_v1/appendix_training_curves/curve_plotting/curve_data.csv, the rows of the workload `finewebedu_lm`.
#[test]
fn a_public_table_of_curves_is_read_and_answers() {
    let sandbox = Sandbox::new("");
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/import/algoperf-finewebedu.csv");
    let output = sandbox.speedlab(&[
        "import",
        table.to_str().unwrap(),
        "--baseline",
        "ademamix",
        "--map",
        "arm=submission",
        "seed=study",
        "step=global_step",
        "seconds=accumulated_submission_time",
        "validation_loss=ppl",
        "--json",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("42 values of 6 runs"), "{}", stderr(&output));
    let table: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let (speedup, verdict) = answer(&table, "ademamix_golden");
    // One is at 26.54 after 12,300 steps, the other at 26.52 after 25,318; towards both ends of the band the ratio is less.
    assert!((1.6..2.06).contains(&speedup), "{speedup}");
    assert_eq!(verdict, "faster");
    // They evaluate by the clock, and so end some steps apart: no run is short of anything.
    let summary = stdout(&sandbox.speedlab(&["report", "results/algoperf-finewebedu"]));
    assert!(summary.contains("All 6 runs are finished"), "{summary}");
}
