//! A sweep that was trained in two folders, joined: bit for bit what one folder would hold.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use speedlab::record::{CurveRow, RunState, StudyRecord, SweepFolder, read_curves};

use crate::sandbox::{Sandbox, TINY, retrain, stderr, stdout};

/// The whole sweep in `results/tiny`, and a half of its seeds in each of `a/tiny` and `b/tiny`.
fn halves() -> Sandbox {
    let sandbox = Sandbox::new(TINY);
    done(&sandbox, &["run", "sweep.yaml", "--quiet"]);
    for (folder, seed) in [("a", "seeds=[0]"), ("b", "seeds=[1]")] {
        done(&sandbox, &["run", "sweep.yaml", "--quiet", "--set", seed, "--results", folder]);
    }
    sandbox
}

#[track_caller]
fn done(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = sandbox.speedlab(args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output)
}

#[track_caller]
fn refused(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = sandbox.speedlab(args);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {}{}", stdout(&output), stderr(&output));
    stderr(&output)
}

/// Every value with its place, without clocks.
fn values(folder: &Path) -> Vec<String> {
    let rows = read_curves(&folder.join("curves.parquet")).unwrap().into_iter();
    rows.map(|row| {
        let CurveRow { run_id, trial, seed, step, images_seen, metric, protocol, value, .. } = row;
        format!("{run_id} {trial} {seed} {step} {images_seen} {metric} {protocol} {:x}", value.to_bits())
    })
    .collect()
}

/// What `speedups.json` says, but for numbers that come of clocks.
fn answer(folder: &Path) -> Value {
    let text = fs::read_to_string(folder.join("report/speedups.json")).unwrap();
    fn without_times(value: &mut Value) {
        match value {
            Value::Object(entries) => {
                entries.retain(|key, _| !key.contains("seconds") && key != "sha256");
                entries.values_mut().for_each(without_times);
            }
            Value::Array(items) => items.iter_mut().for_each(without_times),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(&text).unwrap();
    without_times(&mut value);
    value
}

/// Every file of runs, by path below the sweep's folder, but those that say who works on it.
fn records(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    fn visit(folder: &Path, root: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => visit(&path, root, found),
                false if entry.file_name() == "lock" => {}
                false => found.push((path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap())),
            }
        }
    }
    let mut found = Vec::new();
    visit(&folder.join("runs"), folder, &mut found);
    found.sort();
    found
}

fn run_folders(folder: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(folder.join("runs")).unwrap().flatten().map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let place = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &place),
            false => assert!(fs::copy(entry.path(), place).is_ok()),
        }
    }
}

#[test]
fn two_halves_are_the_whole_and_a_merge_can_be_interrupted() {
    let sandbox = halves();
    let at = |path: &str| sandbox.path().join(path);
    let (before_a, before_b) = (records(&at("a/tiny")), records(&at("b/tiny")));
    let looked = done(&sandbox, &["merge", "a/tiny", "b/tiny", "--into", "whole", "--dry-run"]);
    assert!(looked.contains("no conflict: 4 runs of 4") && !at("whole").exists(), "{looked}");
    let said = done(&sandbox, &["merge", "b/tiny", "a/tiny", "--into", "whole", "--quiet"]);
    assert!(said.contains("report: "), "{said}");

    assert_eq!(values(&at("whole")), values(&at("results/tiny")));
    assert_eq!(answer(&at("whole")), answer(&at("results/tiny")));
    let plan = |folder: &str| StudyRecord::read(&SweepFolder { path: at(folder) }).unwrap().plan;
    assert_eq!(plan("whole"), plan("results/tiny"));
    // Every byte that was recorded is there, and nothing was touched.
    let mut both: Vec<_> = before_a.iter().chain(&before_b).cloned().collect();
    both.sort();
    assert_eq!(records(&at("whole")), both);
    assert_eq!((records(&at("a/tiny")), records(&at("b/tiny"))), (before_a, before_b));
    assert!(!at("whole/attempts").exists());
    assert!(at("whole/plans").read_dir().unwrap().count() == 2, "what each had planned is kept");

    // What a merge leaves that was killed: records without a plan, and a copy that is not whole.
    fs::remove_file(at("whole/plan.json")).unwrap();
    fs::remove_file(at("whole/curves.parquet")).unwrap();
    fs::remove_dir_all(at("whole/report")).unwrap();
    let runs = run_folders(&at("whole"));
    fs::create_dir_all(at("whole/attempts").join(runs[0].file_name().unwrap()).join(".half")).unwrap();
    fs::remove_dir_all(&runs[1]).unwrap();
    // Of a run that only the other source has.
    fs::create_dir_all(at("whole/attempts/0123456789ab/.half")).unwrap();
    done(&sandbox, &["merge", "b/tiny", "a/tiny", "--into", "whole", "--quiet"]);
    assert_eq!(records(&at("whole")), both);
    // Once more changes nothing, and the sweep is complete for `run`.
    done(&sandbox, &["merge", "a/tiny", "--into", "whole", "--quiet"]);
    assert_eq!(records(&at("whole")), both);
    fs::create_dir(at("joined")).unwrap();
    fs::rename(at("whole"), at("joined/tiny")).unwrap();
    done(&sandbox, &["run", "sweep.yaml", "--quiet", "--results", "joined"]);
    assert_eq!(records(&at("joined/tiny")), both);
    // A folder is enough for the report.
    assert!(done(&sandbox, &["report", "joined/tiny"]).contains("report: joined/tiny/report/index.html"));
}

/// What is predicted decides how the held-out loss is measured.
#[test]
fn arms_that_predict_other_things_are_merged() {
    let arms =
        "  v: { parameterization: v }\n  flow: { noise_schedule: { kind: rectified_flow }, parameterization: v }\n";
    let sweep = TINY.replace("  clts: { timestep_sampler: { kind: curriculum } }\n", arms);
    assert!(sweep.contains("rectified_flow"));
    let sandbox = Sandbox::new(&sweep);
    for (folder, seed) in [("a", "seeds=[0]"), ("b", "seeds=[1]")] {
        done(&sandbox, &["run", "sweep.yaml", "--quiet", "--set", seed, "--results", folder]);
    }
    done(&sandbox, &["merge", "a/tiny", "b/tiny", "--into", "whole"]);
    assert_eq!(run_folders(&sandbox.path().join("whole")).len(), 6);
}

#[test]
fn what_contradicts_is_refused_by_the_names_of_both_files() {
    let sandbox = halves();
    let at = |path: &str| sandbox.path().join(path);
    // One run with another value: trained again with other bits, as another device does.
    copy(&at("a/tiny"), &at("c/tiny"));
    let run = run_folders(&at("c/tiny"))[0].clone();
    let id = run.file_name().unwrap().to_string_lossy().into_owned();
    retrain(&run, |event| {
        if let speedlab::event::RunEvent::Evaluated { measures, .. } = event {
            measures[0].value *= 1.5;
        }
    });
    let message = refused(&sandbox, &["merge", "a/tiny", "c/tiny", "--into", "whole"]);
    assert!(
        message.contains(&format!(
            "a/tiny/runs/{id}/events.jsonl and c/tiny/runs/{id}/events.jsonl record the same run differently"
        )),
        "{message}"
    );
    assert!(message.contains("at step 20 is ") && message.contains("hint: only one can count"), "{message}");

    // The same values with other times are no contradiction.
    fs::remove_dir_all(at("c")).unwrap();
    copy(&at("a/tiny"), &at("c/tiny"));
    retrain(&run, |event| {
        if let speedlab::event::RunEvent::Evaluated { stamp, .. } = event {
            stamp.wall_seconds += 1.0;
        }
    });
    let output = sandbox.speedlab(&["merge", "a/tiny", "c/tiny", "--into", "twice", "--quiet"]);
    assert!(
        output.status.success() && stderr(&output).contains("was trained twice with the same values"),
        "{}",
        stderr(&output)
    );
    assert_eq!(fs::read_dir(at("twice/attempts").join(&id)).unwrap().count(), 1, "the other is kept");

    // Another protocol for the same settings: other images.
    fs::remove_dir_all(at("c")).unwrap();
    copy(&at("b/tiny"), &at("c/tiny"));
    for run in run_folders(&at("c/tiny")) {
        retrain(&run, |event| {
            if let speedlab::event::RunEvent::Evaluated { measures, .. } = event {
                measures
                    .iter_mut()
                    .filter(|measure| measure.metric == "fid")
                    .for_each(|fid| fid.protocol = format!("{} @0123", fid.protocol.as_str()).into());
            }
        });
    }
    let message = refused(&sandbox, &["merge", "a/tiny", "c/tiny", "--into", "whole"]);
    assert!(
        message.contains("measure `fid` by different protocols: ") && message.contains("c/tiny/runs/"),
        "{message}"
    );

    // Other settings, another question, no sweep, a folder with other things, a damaged record.
    done(
        &sandbox,
        &["run", "sweep.yaml", "--quiet", "--set", "seeds=[2]", "--set", "train.steps=40", "--results", "d"],
    );
    let message = refused(&sandbox, &["merge", "a/tiny", "d/tiny", "--into", "whole"]);
    assert!(message.contains("a/tiny/plan.json and d/tiny/plan.json plan different runs as `baseline`: `train.steps` is 60 in the first and 40 in the second"), "{message}");
    done(
        &sandbox,
        &[
            "run",
            "sweep.yaml",
            "--quiet",
            "--set",
            "seeds=[2]",
            "--set",
            "compare.metric=validation_loss",
            "--results",
            "e",
        ],
    );
    let message = refused(&sandbox, &["merge", "a/tiny", "e/tiny", "--into", "whole"]);
    assert!(message.contains("are not of one study: `compare` is "), "{message}");
    assert!(refused(&sandbox, &["merge", "a", "--into", "whole"]).contains("a holds no sweep's results"));
    assert!(
        refused(&sandbox, &["merge", "a/tiny", "--into", "."]).contains(". holds other things than a sweep's results")
    );
    let run = run_folders(&at("a/tiny"))[0].clone();
    let journal = fs::read_to_string(run.join("events.jsonl")).unwrap();
    fs::write(run.join("events.jsonl"), journal.replacen("\"step\":20", "\"step\":21", 1)).unwrap();
    let message = refused(&sandbox, &["merge", "a/tiny", "b/tiny", "--into", "whole"]);
    assert!(message.contains(&format!("a/tiny/runs/{id} is damaged: events.jsonl: line ")), "{message}");
    assert!(!at("whole").exists(), "nothing is written before every conflict is known");
}

#[test]
fn what_one_machine_began_and_another_ended_is_ended() {
    let sandbox = halves();
    let at = |path: &str| sandbox.path().join(path);
    let begun = run_folders(&at("a/tiny"))[0].clone();
    let id = begun.file_name().unwrap().to_string_lossy().into_owned();
    copy(&at("a/tiny"), &at("c/tiny"));
    // In `a` it was interrupted: its journal ends early.
    let cut = |lines: usize| {
        let journal = fs::read_to_string(at("c/tiny/runs").join(&id).join("events.jsonl")).unwrap();
        let kept: String = journal.lines().take(lines).fold(String::new(), |text, line| text + line + "\n");
        fs::write(begun.join("events.jsonl"), kept).unwrap();
    };
    cut(6);
    fs::remove_file(begun.join("DONE")).unwrap();
    fs::remove_file(begun.join("curves.parquet")).unwrap();
    done(&sandbox, &["merge", "a/tiny", "--into", "whole", "--quiet"]);
    let state = |folder: &str| {
        let study = StudyRecord::read(&SweepFolder { path: at(folder) }).unwrap();
        study.runs.into_iter().find(|run| run.planned.run_id.as_str() == id).unwrap().state
    };
    assert_eq!(state("whole"), RunState::Unfinished);
    done(&sandbox, &["merge", "c/tiny", "b/tiny", "--into", "whole", "--quiet"]);
    assert!(matches!(state("whole"), RunState::Ended(_)));
    assert_eq!(values(&at("whole")), values(&at("results/tiny")));
    assert!(!at("whole/attempts").join(&id).exists(), "the beginning is a part of the end");
}

/// Made-up records of the sweep with these seeds, in `<results>/tiny`.
fn made_up(sandbox: &Sandbox, seeds: &str, results: &str) {
    fs::write(sandbox.path().join("made-up.yaml"), TINY.replace("seeds: 2", &format!("seeds: {seeds}"))).unwrap();
    done(sandbox, &["bench-report", "made-up.yaml", "--results", results]);
}

#[test]
fn folders_that_lie_in_each_other_are_refused_and_stay_as_they_are() {
    let sandbox = Sandbox::new(TINY);
    let at = |path: &str| sandbox.path().join(path);
    made_up(&sandbox, "[0]", "a");
    made_up(&sandbox, "[1]", "a/tiny/runs");
    made_up(&sandbox, "[1]", "c");
    let before = records(&at("a/tiny"));
    for (from, into, words) in [
        ("a/tiny/runs/tiny", "a/tiny", "a/tiny/runs/tiny lies in a/tiny\nhint: merge joins folders that stand beside"),
        ("a/tiny", "a/tiny/new", "a/tiny/new lies in a/tiny\n"),
        ("a/tiny", "a/tiny/runs/tiny", "a/tiny/runs/tiny lies in a/tiny\n"),
        ("a/tiny/../tiny/runs/tiny", "a/tiny", " lies in a/tiny\n"),
    ] {
        for extra in [&["--quiet"][..], &["--dry-run"]] {
            let message = refused(&sandbox, &[&["merge", from, "--into", into], extra].concat());
            assert!(message.contains(words), "{from} into {into}: {message}");
        }
    }
    assert_eq!(records(&at("a/tiny")), before);
    assert!(!at("a/tiny/new").exists());
    // What is the folder's own moves; the same record beside it stays.
    let own = records(&at("c/tiny"));
    made_up(&sandbox, "[1]", "d");
    done(&sandbox, &["merge", "d/tiny", "--into", "c/tiny", "--quiet"]);
    assert_eq!((records(&at("c/tiny")), records(&at("d/tiny"))), (own.clone(), own));
}

#[test]
fn a_folder_of_other_things_is_not_merged_into() {
    let sandbox = Sandbox::new(TINY);
    let at = |path: &str| sandbox.path().join(path);
    made_up(&sandbox, "[0]", "a");
    for (file, text) in [
        ("o1/report/index.html", "mine"),
        ("o2/curves.parquet", "mine"),
        ("o3/.git", "mine"),
        ("o4/runs/baseline/events", "mine"),
        ("o5/sweep.yaml", "mine"),
        ("o6/plans/next.json", "mine"),
    ] {
        let into = file.split('/').next().unwrap();
        fs::create_dir_all(at(file).parent().unwrap()).unwrap();
        fs::write(at(file), text).unwrap();
        for extra in ["--quiet", "--dry-run"] {
            let message = refused(&sandbox, &["merge", "a/tiny", "--into", into, extra]);
            assert!(message.contains(&format!("{into} holds other things than a sweep's results")), "{message}");
        }
        assert_eq!((fs::read_to_string(at(file)).unwrap().as_str(), at(into).join("lock").exists()), (text, false));
    }
    // A file is no folder.
    fs::write(at("file"), "mine").unwrap();
    let output = sandbox.speedlab(&["merge", "a/tiny", "--into", "file", "--dry-run"]);
    assert!(!output.status.success() && stderr(&output).contains("cannot read file: "), "{}", stderr(&output));
}

#[test]
fn a_folder_is_taken_before_it_is_read_and_the_sweeps_own_file_goes_along() {
    let sandbox = Sandbox::new(TINY);
    let at = |path: &str| sandbox.path().join(path);
    made_up(&sandbox, "[0]", "a");
    made_up(&sandbox, "[1]", "b");
    let held = SweepFolder { path: at("b/tiny") }.lock().unwrap();
    let output = sandbox.speedlab(&["merge", "a/tiny", "--into", "b/tiny", "--quiet"]);
    assert!(stderr(&output).contains("b/tiny is in use by process "), "{}", stderr(&output));
    drop(held);

    fs::write(at("a/tiny/sweep.yaml"), "name: tiny\n").unwrap();
    done(&sandbox, &["merge", "b/tiny", "a/tiny", "--into", "whole", "--quiet"]);
    assert_eq!(fs::read_to_string(at("whole/sweep.yaml")).unwrap(), "name: tiny\n");
    fs::write(at("b/tiny/sweep.yaml"), "name: other\n").unwrap();
    let message = refused(&sandbox, &["merge", "a/tiny", "b/tiny", "--into", "new", "--quiet"]);
    assert!(message.contains("a/tiny/sweep.yaml and b/tiny/sweep.yaml differ\nhint: "), "{message}");
    assert!(!at("new").exists());
}
