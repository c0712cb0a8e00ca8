//! What is wrong with a sweep's text, in exact words.

use std::path::{Path, PathBuf};

use serde_json::json;
use speedlab::plan::plan_text;

use super::{error_of, golden, plan};

/// A case is a file: lines `$ --set path=value`, a sweep, a line of `=`, and the exact message.
/// `SPEEDLAB_UPDATE_GOLDEN=1` writes the messages anew; read the difference before committing it.
#[test]
fn every_mistake_is_reported_in_the_words_of_its_golden_case() {
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(golden().join("errors")).unwrap().map(|file| file.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 90, "only {} cases were found", cases.len());
    let mut wrong = Vec::new();
    for path in cases {
        let case = std::fs::read_to_string(&path).unwrap();
        let (input, expected) = case.split_once("\n====\n").unwrap_or((&case, ""));
        let overrides: Vec<String> =
            input.lines().map_while(|line| line.strip_prefix("$ --set ")).map(str::to_owned).collect();
        let text: String = input.split_inclusive('\n').skip(overrides.len()).collect();
        let message = error_of(&text, &overrides);
        if std::env::var_os("SPEEDLAB_UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, format!("{input}\n====\n{message}\n")).unwrap();
        } else if message != expected.trim_end() {
            wrong.push(format!("{}\n{message}\n--- instead of\n{expected}", path.display()));
        }
        if !message.starts_with("error: ") {
            wrong.push(format!("{}: {message}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lines_may_end_as_on_windows_and_begin_with_a_mark() {
    assert_eq!(plan("\u{feff}base:\r\n  train:\r\n    steps: 7\r\n").runs[0].spec.train.steps, 7);
    let message = error_of("\u{feff}base:\r\n  train:\r\n    step: 7\r\n", &[]);
    assert!(message.contains("\n  --> sweeps/my.yaml:3:5\n   |\n 3 |     step: 7\n   |     ^^^^\n"), "{message}");
}

#[test]
fn a_problem_has_fields_for_machines() {
    let error = plan_text(Path::new("sweeps/my.yaml"), "base:\n  train: { step: 1 }\n", &[]).unwrap_err();
    assert_eq!(
        serde_json::to_value(&error).unwrap(),
        json!({"more": 0, "problems": [{
            "message": "unknown key `train.step`",
            "file": "sweeps/my.yaml",
            "line": 2,
            "column": 12,
            "text": "  train: { step: 1 }",
            "width": 4,
            "related": null,
            "note": null,
            "hint": "did you mean `steps`?",
        }]})
    );
}

#[test]
fn sweeps_of_absurd_size_are_refused_at_once() {
    let arms: String = (0..50_000).map(|arm| format!("  a{arm}: {{ extends: a{} }}\n", arm + 1)).collect();
    let message = error_of(&format!("arms:\n{arms}"), &[]);
    assert!(message.starts_with("error: the sweep has 50000 arms, and 1000 is the limit\n"), "{message}");
    let seeds: Vec<String> = (0..200_000).map(|seed: u32| seed.to_string()).collect();
    let message = error_of(&format!("seeds: [{}]", seeds.join(", ")), &[]);
    assert!(message.starts_with("error: `seeds` must list from 1 to 10000 seeds, not 200000\n"), "{message}");
    let message = error_of("grid: { train.steps: { linspace: { start: 1, stop: 9, count: 999_999_999_999 } } }", &[]);
    assert!(message.starts_with("error: the axis `train.steps` would have 999999999999 values"), "{message}");
}
