//! The sweeps that come with the program, run for a few steps; and the list of what they ask.

use std::path::Path;

use crate::sandbox::{Sandbox, TINY, stderr, stdout};

#[test]
fn the_shipped_sweeps_on_digits_run_a_few_steps() {
    let sandbox = Sandbox::new(TINY);
    // Some methods need a few hundred steps to be what they are.
    for (sweep, steps, runs) in [
        ("quickstart", 10, 5),
        ("small/factorial", 10, 8),
        ("small/learning-rate", 10, 15),
        ("small/sensitivity", 10, 29),
        ("small/ema-length", 10, 12),
        ("small/networks", 10, 36),
        ("methods", 220, 25),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("sweeps/{sweep}.yaml"));
        let (steps, every) = (format!("train.steps={steps}"), format!("evaluate.every={steps}"));
        let settings = [
            "seeds=1",
            &steps,
            &every,
            "train.batch_size=8",
            "evaluate.fid.samples=60",
            "evaluate.fid.ode={kind: ddim, steps: 2}",
            "evaluate.validation.images=4",
            "compare.tune=[]",
        ];
        let mut args = vec!["run", path.to_str().unwrap(), "--quiet"];
        args.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        let output = sandbox.speedlab(&args);
        assert_eq!(output.status.code(), Some(0), "{sweep}: {}", stderr(&output));
        let counted = format!("All {runs} runs are finished");
        assert!(stdout(&output).contains(&counted), "{sweep}: {}", stdout(&output));
    }
}

#[test]
fn the_papers_claims_stand_beside_our_sweeps_and_one_is_run_by_name() {
    let sandbox = Sandbox::new(TINY);
    let output = sandbox.speedlab(&["reproduce", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let list: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("one JSON value");
    let claims = list["claims"].as_array().unwrap();
    assert_eq!(claims[1]["claimed"], 2.6);
    let asked = &claims[1]["asked"][0];
    assert_eq!((asked["sweep"].as_str(), asked["runs"].as_u64()), (Some("paper/imagenet128-speedup"), Some(18)));
    assert!(asked["seconds_here"].as_f64().unwrap() > 1e6 && asked["ours"] == "not run");

    let options = ["--set", "seeds=1", "--set", "train.steps=10", "--set", "evaluate.every=5"];
    let output = sandbox.speedlab(&[["reproduce", "quickstart", "--quiet"].as_slice(), &options].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("All 5 runs are finished"), "{}", stdout(&output));
    assert!(sandbox.path().join("results/sweeps/quickstart.yaml").is_file());
    // What there is of it now is in the list.
    let table = stdout(&sandbox.speedlab(&["reproduce", "--table"]));
    let quickstart = table.lines().find(|line| line.contains("| quickstart | clts+mdlrc |")).unwrap();
    assert!(!quickstart.contains("not run"), "{quickstart}");

    let output = sandbox.speedlab(&["reproduce", "rival"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("hint: did you mean `rivals`?"), "{}", stderr(&output));
}
