//! Images from shared noise: kept by runs, set side by side by the report.

use std::fs;

use serde_json::Value;
use speedlab::record::{ConsistencyImages, StudyRecord};
use speedlab::report::{Consistency, write};

use crate::sandbox::{Sandbox, TINY, stderr};

/// Two widths and one that predicts the image; the last step and the one half way are kept.
const SWEEP: &str = "
arms:
  narrow: {}
  wide: { model: { channels: 16 } }
  x0: { parameterization: x0 }
seeds: 2
";

fn observed() -> Sandbox {
    let base = TINY.split("arms:").next().expect("a text has a first part");
    let keep = "grid_images: 4\n    consistency: { images: 24, every: 20 }\n    difficulty: { images: 4, every: 40 }";
    let sandbox = Sandbox::new(&(base.replace("grid_images: 4", keep) + SWEEP));
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    sandbox
}

fn similarity<'v>(group: &'v Value, differ: &str, similarity: &str) -> &'v Value {
    let groups = group["groups"].as_array().expect("a list");
    let group = groups.iter().find(|group| group["differ"] == differ);
    &group.unwrap_or_else(|| panic!("no group {differ}"))["similarities"][similarity]
}

#[test]
fn runs_keep_what_they_make_of_shared_noises_and_the_report_compares_them() {
    let sandbox = observed();
    let study = sandbox.study();
    for run in &study.runs {
        let steps: Vec<u64> = run.consistency.iter().map(|kept| kept.0).collect();
        assert_eq!(steps, [20, 40, 60]);
        let rows =
            |metric: &str| run.rows.iter().filter(|row| row.metric == metric).map(|row| row.step).collect::<Vec<_>>();
        assert_eq!(rows("validation_gradient_norm/0"), [40, 60]);
        let kept = ConsistencyImages::read(&run.consistency[2].1).expect("it was written whole");
        assert_eq!((kept.step, kept.images(), kept.features.len()), (60, 24, 24 * 64));
    }

    let report = sandbox.results().join("report");
    let text = fs::read_to_string(report.join("consistency.json")).expect("a table");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let group = &json["comparable"][0];
    assert_eq!((json["comparable"].as_array().map(Vec::len), group["noises"].as_u64()), (Some(1), Some(24)));
    assert_eq!((group["runs"].as_array().map(Vec::len), group["pairs"].as_array().map(Vec::len)), (Some(6), Some(15)));
    let names: Vec<&str> = group["groups"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|group| group["differ"].as_str().expect("text"))
        .collect();
    assert_eq!(
        names,
        [
            "seed (epsilon)",
            "seed (x0)",
            "parameterization",
            "width (epsilon)",
            "parameterization + seed",
            "width + seed (epsilon)",
            "width + parameterization",
            "width + parameterization + seed",
        ]
    );
    for name in ["pixel_cosine", "ssim", "feature_cosine"] {
        let found = similarity(group, "seed (epsilon)", name);
        let (same, shuffled) =
            (found["same"].as_f64().expect("a number"), found["shuffled"].as_f64().expect("a number"));
        // Networks that have learned little return the noise, and two of them the same noise.
        assert!(same > shuffled + 0.1 && same <= 1.0, "{name}: {same} and {shuffled}");
        let interval: Vec<f64> = found["same_interval"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|bound| bound.as_f64().expect("a number"))
            .collect();
        assert!(interval[0] < same && same < interval[1]);
    }
    assert_eq!(group["along_training"].as_array().map(Vec::len), Some(3 * 15));
    let csv = fs::read_to_string(report.join("consistency.csv")).expect("a table");
    assert_eq!(csv.lines().count(), 1 + 15 * 3 + 3 * 15 * 3);
    let page = fs::read_to_string(report.join("index.html")).expect("the page");
    for expected in [
        "<h2>Consistency</h2>",
        "The control is runs that predict the image",
        "<h2>Learning difficulty</h2>",
        "image-rendering:pixelated",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    for figure in ["consistency_ssim", "consistency_strip", "consistency_ssim_by_step", "gradient_by_timestep_and_step"]
    {
        assert!(
            report.join(format!("{figure}.svg")).is_file() && report.join(format!("{figure}.png")).is_file(),
            "{figure}"
        );
    }
    let difficulty: Value =
        serde_json::from_str(&fs::read_to_string(report.join("difficulty.json")).expect("a table")).expect("JSON");
    assert_eq!(difficulty["points"][0]["arms"][1]["validation_gradient_norm"]["steps"], serde_json::json!([40, 60]));

    other_protocols_and_damaged_files(&sandbox, &study);
}

/// Images generated otherwise are not compared, and what cannot be read is named.
fn other_protocols_and_damaged_files(sandbox: &Sandbox, study: &StudyRecord) {
    let path = &study.runs[0].consistency[2].1;
    let kept = ConsistencyImages::read(path).expect("it is there");
    let other = ConsistencyImages { protocol: kept.protocol.replace("nfe=3", "nfe=9"), ..kept };
    fs::write(path, other.to_bytes()).expect("the file can be replaced");
    let cut = &study.runs[1].consistency[2].1;
    let bytes = fs::read(cut).expect("it is there");
    fs::write(cut, &bytes[..bytes.len() / 2]).expect("the file can be replaced");
    fs::remove_file(&study.runs[2].consistency[2].1).expect("it is there");

    let consistency = Consistency::of(study).expect("runs keep images");
    let sizes: Vec<usize> = consistency.comparable.iter().map(|group| group.runs.len()).collect();
    assert_eq!(sizes, [1, 3]);
    assert_eq!(consistency.comparable[1].pairs.len(), 3);
    let reasons: Vec<&str> = consistency.unread.iter().map(|unread| unread.reason.as_str()).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].contains("is damaged") && reasons[1].contains("cannot read"), "{reasons:?}");
    let report = write(study, &sandbox.path().join("again")).expect("a report");
    let page = fs::read_to_string(report.page).expect("the page");
    assert!(page.contains("Runs of different protocols are not compared.") && page.contains("is damaged"));
}
