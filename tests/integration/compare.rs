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
