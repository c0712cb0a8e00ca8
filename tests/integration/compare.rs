//! Studies that were trained apart, in one report: paired where Speedlab drew the same, refused where they do not compare.

use std::fs;

use serde_json::Value;
use speedlab::event::RunEvent;

use crate::sandbox::{Sandbox, retrain, stderr, stdout};

/// A study with made-up curves in `results/<name>`: of a baseline and one arm, five seeds.
fn study(sandbox: &Sandbox, name: &str, arm: &str, base: &str, metric: &str) {
    let text = format!(
        "name: {name}\nquestion: Is it sooner?\nbase: {{ {base} }}\narms:\n  baseline: {{}}\n  {arm}\nseeds: 5\ncompare: {{ baseline: baseline, metric: {metric} }}\n"
    );
    fs::write(sandbox.path().join(format!("{name}.yaml")), text).unwrap();
    let output = sandbox.speedlab(&["bench-report", &format!("{name}.yaml"), "--results", "results"]);
    assert!(output.status.success(), "{}", stderr(&output));
}

const LONG: &str = "train: { steps: 600 }";
const CLTS: &str = "clts: { timestep_sampler: { kind: curriculum } }";
const MDLRC: &str = "mdlrc: { momentum: { kind: demon }, lr_schedule: { kind: momentum_compensated } }";

fn pairing(table: &Value, arm: &str) -> Value {
    let arms = table["points"][0]["arms"].as_array().expect("a list of arms");
    let found = arms.iter().find(|found| found["arm"] == arm).unwrap_or_else(|| panic!("no arm {arm} in {arms:?}"));
    found["speedups"]["images_seen"].clone()
}

#[test]
fn studies_are_paired_where_they_share_draws_and_told_apart_elsewhere() {
    let sandbox = Sandbox::new("");
    study(&sandbox, "one", CLTS, LONG, "fid");
    study(&sandbox, "two", MDLRC, LONG, "fid");
    study(&sandbox, "small", MDLRC.replace("mdlrc", "other").as_str(), "train: { steps: 600, batch_size: 32 }", "fid");
    let args = ["compare", "results/one", "two.yaml", "results/small", "--baseline", "one/baseline"];
    let output = sandbox.speedlab(&[&args[..], &["--json", "--out", "joined"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let table: Value = serde_json::from_str(&stdout(&output)).unwrap();
    for (arm, seeds) in
        [("one/clts", "paired"), ("two/mdlrc", "paired"), ("two/baseline", "paired"), ("small/other", "unpaired")]
    {
        let speedup = pairing(&table, arm);
        assert_eq!(speedup["seeds"]["kind"], seeds, "{arm}: {speedup}");
        assert!(speedup["speedup"].as_f64().is_some(), "{arm}: {speedup}");
    }
    // The same baseline twice is as fast as itself, and within a study nothing is other than in its own report.
    assert_eq!(pairing(&table, "two/baseline")["speedup"].as_f64(), Some(1.0));
    let own = sandbox.speedlab(&["report", "results/one", "--json"]);
    let own: Value = serde_json::from_str(&stdout(&own)).unwrap();
    assert_eq!(pairing(&own, "clts")["speedup"], pairing(&table, "one/clts")["speedup"]);
    let page = fs::read_to_string(sandbox.path().join("joined/index.html")).unwrap();
    assert!(
        page.contains("Compared from 3 studies, each trained on its own") && page.contains("Welch"),
        "the page says what it is of"
    );
    let said = stderr(&output);
    assert!(said.contains("note: `two` is paired with `one` by seed"), "{said}");
    assert!(said.contains("note: `small` is not paired with `one`"), "{said}");
}

#[test]
fn what_does_not_compare_is_refused_by_what_differs() {
    let sandbox = Sandbox::new("");
    study(&sandbox, "one", CLTS, LONG, "fid");
    let refused = |other: &str| {
        let output = sandbox.speedlab(&["compare", "results/one", other, "--baseline", "one/baseline"]);
        assert_eq!(output.status.code(), Some(2), "{other}: {}{}", stdout(&output), stderr(&output));
        stderr(&output)
    };
    study(&sandbox, "data", MDLRC, "data: { kind: mnist }, evaluate: { fid: { features: mnist-cnn } }", "fid");
    assert!(
        refused("results/data")
            .contains("`one` and `data` do not compare: their data differs\n  one: {\"kind\":\"digits\"")
    );
    study(&sandbox, "metric", MDLRC, LONG, "validation_loss");
    assert!(refused("results/metric").contains("their metric differs\n  one: fid\n  metric: validation_loss"));
    study(&sandbox, "protocol", MDLRC, LONG, "fid");
    for run in fs::read_dir(sandbox.path().join("results/protocol/runs")).unwrap().flatten() {
        retrain(&run.path(), |event| {
            if let RunEvent::Evaluated { measures, .. } = event {
                measures[0].protocol = "inception-v3".into();
            }
        });
    }
    assert!(refused("results/protocol").contains("their protocol differs\n  one: digits-cnn fid, 250 images"));
    let output = sandbox.speedlab(&["compare", "results/one", "results/metric", "--baseline", "baseline"]);
    assert!(
        stderr(&output).contains("there is no arm `baseline`\nhint: the arms are `one/baseline`, `one/clts`, "),
        "{}",
        stderr(&output)
    );
    assert!(!sandbox.path().join("results/comparisons").exists());
}

#[test]
fn a_study_and_its_copy_are_refused_and_records_are_not_written_over() {
    let sandbox = Sandbox::new("");
    study(&sandbox, "one", CLTS, LONG, "fid");
    study(&sandbox, "two", MDLRC, LONG, "fid");
    let compared = |args: &[&str]| sandbox.speedlab(&[&["compare", "--baseline", "one/baseline"], args].concat());
    let refused = |args: &[&str]| {
        let output = compared(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}{}", stdout(&output), stderr(&output));
        stderr(&output)
    };
    let message = refused(&["results/one", "results/../results/one"]);
    assert!(message.contains("results/one and results/../results/one are the same results: they are one"), "{message}");
    let mut copy = std::process::Command::new("cp");
    let copied = copy.args(["-r", "results/one", "copy"]).current_dir(sandbox.path()).status().unwrap();
    assert!(copied.success());
    let message = refused(&["results/one", "copy"]);
    let words = "results/one and copy are the same results: all 10 recorded runs of one have the same journals";
    assert!(message.contains(words), "{message}");

    let page = sandbox.path().join("results/two/report/index.html");
    fs::create_dir_all(page.parent().unwrap()).unwrap();
    fs::write(&page, "its own").unwrap();
    for out in ["results/two", "results/two/report", "results/two/new"] {
        let message = refused(&["results/one", "results/two", "--out", out]);
        assert!(message.contains(&format!("{out} would be written over: ")), "{message}");
        assert!(message.contains("results/two holds a sweep's results"), "{message}");
    }
    assert_eq!(fs::read_to_string(&page).unwrap(), "its own");
}

#[test]
fn only_studies_with_common_seeds_are_called_paired_and_the_data_of_imports_is_not_known() {
    let sandbox = Sandbox::new("");
    study(&sandbox, "one", CLTS, LONG, "fid");
    let text = fs::read_to_string(sandbox.path().join("one.yaml")).unwrap();
    fs::write(sandbox.path().join("far.yaml"), text.replace("one", "far").replace("seeds: 5", "seeds: [7, 8, 9]"))
        .unwrap();
    let made = sandbox.speedlab(&["bench-report", "far.yaml", "--results", "results"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let output = sandbox.speedlab(&["compare", "results/one", "results/far", "--baseline", "one/baseline"]);
    let said = stderr(&output);
    assert!(
        said.contains("note: `far` is not paired with `one`: they share no seed, so arms are compared by Welch"),
        "{said}"
    );

    // Two imports of different data, which nobody has said.
    for name in ["left", "right"] {
        let row = |step: u64, seed: u64| format!("base,{seed},{step},{}\n", 100.0 / (step + seed) as f64);
        let rows: String =
            (0..3).flat_map(|seed| (1..20).map(move |step| (step, seed))).map(|(step, seed)| row(step, seed)).collect();
        fs::write(sandbox.path().join(format!("{name}.csv")), format!("arm,seed,step,fid\n{rows}")).unwrap();
        let map = ["--map", "arm=arm", "seed=seed", "step=step", "fid=fid"];
        let file = format!("{name}.csv");
        let output = sandbox.speedlab(&[&["import", &file, "--baseline", "base"], &map[..]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let output = sandbox.speedlab(&["compare", "results/left", "results/right", "--baseline", "left/base"]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    for name in ["left", "right"] {
        assert!(
            said.contains(&format!("note: `{name}` was imported: what data it was trained on is not known")),
            "{said}"
        );
    }
    assert!(!said.contains("digits"), "{said}");
}
