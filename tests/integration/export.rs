//! Curves for other programs, and back.

use std::fs;
use std::path::Path;

use speedlab::record::{CurveRow, read_curves};

use crate::sandbox::{Sandbox, TINY, stderr, stdout};

#[track_caller]
fn done(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = sandbox.speedlab(args);
    assert!(output.status.success(), "{args:?}: {}{}", stdout(&output), stderr(&output));
    stdout(&output)
}

/// What a table says of FID: arm, seed, step, images and the bits of times and values.
fn fids(path: &Path) -> Vec<(String, u64, u64, u64, u64, u64)> {
    let of = |row: CurveRow| {
        let (seconds, value) = (row.train_seconds.to_bits(), row.value.to_bits());
        (row.arm, row.seed, row.step, row.images_seen, seconds, value)
    };
    let mut fids: Vec<_> = read_curves(path).unwrap().into_iter().filter(|row| row.metric == "fid").map(of).collect();
    fids.sort();
    fids
}

#[test]
fn what_is_exported_comes_back() {
    let sandbox = Sandbox::new(TINY);
    let at = |path: &str| sandbox.path().join(path);
    done(&sandbox, &["run", "sweep.yaml", "--quiet"]);
    let table = sandbox.results().join("curves.parquet");
    let all = ["--csv", "curves.csv", "--parquet", "out/curves.parquet", "--tensorboard", "events"];
    let said = done(&sandbox, &[&["export", "sweep.yaml", "--quiet"], &all[..]].concat());
    assert_eq!(said.lines().filter(|line| line.contains(" values of 4 runs")).count(), 3, "{said}");

    // Parquet is the table itself; CSV has each number bit for bit.
    assert_eq!(read_curves(&at("out/curves.parquet")).unwrap(), read_curves(&table).unwrap());
    let text = fs::read_to_string(at("curves.csv")).unwrap();
    let rows = read_curves(&table).unwrap();
    assert_eq!(text.lines().count(), rows.len() + 1);
    assert!(text.starts_with(
        "run_id,arm,trial,seed,attempt,step,images_seen,train_seconds,wall_seconds,metric,protocol,value\n"
    ));
    for (line, row) in text.lines().skip(1).zip(&rows) {
        assert!(line.starts_with(&format!("{},{},", row.run_id, row.arm)), "{line}");
        let value: f64 = line.rsplit(',').next().unwrap().parse().unwrap();
        assert_eq!(value.to_bits(), row.value.to_bits(), "{line}");
    }
    let import = ["import", "curves.csv", "--name", "back", "--baseline", "baseline", "--only", "metric=fid", "--map"];
    let map = ["arm=trial", "seed=seed", "step=step", "images=images_seen", "seconds=train_seconds", "fid=value"];
    done(&sandbox, &[&import[..], &map[..]].concat());
    assert_eq!(fids(&at("results/back/curves.parquet")), fids(&table));

    // TensorBoard has 32 bits of each value, under the same steps.
    let import = ["import", "events", "--name", "events", "--baseline", "baseline", "--names", "{arm}/seed{seed}"];
    done(&sandbox, &[&import[..], &["--map", "fid=fid"]].concat());
    let place = |fid: &(String, u64, u64, u64, u64, u64)| (fid.0.clone(), fid.1, fid.2, f64::from_bits(fid.5) as f32);
    let (ours, theirs) = (fids(&table), fids(&at("results/events/curves.parquet")));
    assert_eq!(ours.iter().map(place).collect::<Vec<_>>(), theirs.iter().map(place).collect::<Vec<_>>());

    // What is there is not mixed with.
    let again = sandbox.speedlab(&["export", "sweep.yaml", "--tensorboard", "events"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("events is not empty\nhint: "), "{}", stderr(&again));
    let nothing = sandbox.speedlab(&["export", "sweep.yaml"]);
    assert_eq!(nothing.status.code(), Some(2));
    let unknown = sandbox.speedlab(&["export", "sweep.yaml", "--set", "name=other", "--csv", "x.csv"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("there is nothing recorded in "), "{}", stderr(&unknown));
    let names: Vec<String> = fs::read_dir(sandbox.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!names.iter().any(|name| name.starts_with('.')), "nothing half-written is left: {names:?}");
}

#[test]
fn records_are_not_written_over_and_what_is_left_out_is_said() {
    let sandbox = Sandbox::new(TINY);
    let at = |path: &str| sandbox.path().join(path);
    done(&sandbox, &["bench-report", "sweep.yaml", "--results", "results"]);
    let plan = fs::read(sandbox.results().join("plan.json")).unwrap();
    for (args, words) in [
        (&["--csv", "results/tiny/plan.json"][..], "results/tiny/plan.json would be written over: "),
        (&["--parquet", "results/tiny/curves.parquet"], "holds records"),
        (&["--tensorboard", "results/tiny/tb"], "holds records"),
        (&["--csv", "sweep.yaml"], "it is the sweep's own file"),
        (&["--csv", "x", "--parquet", "./x"], "x is written too"),
        (&["--csv", ".."], "`..` names no file\nhint: "),
        (&["--parquet", "/"], "`/` names no file"),
        (&["--tensorboard", "."], "`.` names no file"),
    ] {
        let output = sandbox.speedlab(&[&["export", "sweep.yaml", "--quiet"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
    }
    assert_eq!(fs::read(sandbox.results().join("plan.json")).unwrap(), plan);
    assert_eq!(fs::read_to_string(at("sweep.yaml")).unwrap(), TINY);
    assert!(!at("x").exists());

    let run = fs::read_dir(sandbox.results().join("runs")).unwrap().flatten().next().unwrap().path();
    fs::remove_dir_all(run).unwrap();
    let output = sandbox.speedlab(&["export", "sweep.yaml", "--csv", "x.csv", "--quiet"]);
    let said = stderr(&output);
    assert!(said.contains("note: 1 of 4 planned runs have recorded no values: 1 not started\n"), "{said}");
    assert!(!said.contains("no longer the one"), "{said}");
    let output = sandbox.speedlab(&["export", "sweep.yaml", "--csv", "y.csv", "--set", "train.steps=40"]);
    let said = stderr(&output);
    assert!(said.contains("the sweep is no longer the one that was frozen in results/tiny/plan.json"), "{said}");
}
