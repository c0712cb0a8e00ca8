//! The schema and the reference of a sweep's keys: true of the shipped sweeps, not of mistaken ones, and not stale.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use speedlab::checksum::sha256;
use speedlab::plan::{reference, reference_page, sweep_schema};

use super::golden;

fn sweeps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sweeps")
}

/// `SPEEDLAB_UPDATE_GOLDEN=1` writes it anew.
#[track_caller]
fn assert_fresh(path: &Path, expected: &str) {
    if std::env::var_os("SPEEDLAB_UPDATE_GOLDEN").is_some() {
        fs::write(path, expected).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(found == expected, "{} is stale: SPEEDLAB_UPDATE_GOLDEN=1 writes it anew", path.display());
}

#[test]
fn the_reference_and_the_schema_beside_the_sweeps_are_those_of_this_program() {
    assert_fresh(&sweeps().join("README.md"), &reference_page());
    assert_fresh(&sweeps().join("schema.json"), &(serde_json::to_string_pretty(&sweep_schema()).unwrap() + "\n"));
}

/// What a validator that we did not write says of the schema, the shipped sweeps and the mistaken ones:
/// scripts/golden/schema.py, to be run again when one of them has changed.
fn verdicts() -> Value {
    serde_json::from_str(&fs::read_to_string(golden().join("schema.json")).unwrap()).unwrap()
}

#[track_caller]
fn assert_seen(verdicts: &Value, path: &Path) {
    let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap();
    let sum = sha256(&fs::read(path).unwrap());
    assert_eq!(verdicts["files"][name]["sha256"], sum, "{name} was not validated as it is: scripts/golden/schema.py");
}

#[test]
fn every_shipped_sweep_is_valid_by_the_schema() {
    let verdicts = verdicts();
    assert_seen(&verdicts, &sweeps().join("schema.json"));
    let files = [sweeps(), sweeps().join("small"), sweeps().join("paper")]
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    assert!(files.len() >= 6);
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        let first = text.lines().next().unwrap();
        let schema = first.strip_prefix("# yaml-language-server: $schema=").expect("the schema is named");
        assert!(path.parent().unwrap().join(schema).is_file(), "{}: {schema}", path.display());
    }
    files.push(golden().join("everything.yaml"));
    for path in &files {
        assert_seen(&verdicts, path);
        let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap();
        assert_eq!(verdicts["files"][name]["objection"], Value::Null, "{name}");
    }
}

#[test]
fn mistakes_in_keys_kinds_types_and_ranges_are_invalid_by_the_schema() {
    let verdicts = verdicts();
    let seen =
        ["key_", "kind_", "type_", "seeds_", "compare_unknown", "compare_metric_unknown", "ode_setting", "muon_others"];
    // The reader of YAML 1.1 takes `yes` for true and `.inf` for a number, and the script "1e-3" for one.
    let unseen = ["type_quoted_number", "type_yes_for_true", "type_not_finite", "type_too_large_for_a_float"];
    let (mut must, mut refused) = (0, 0);
    for (file, verdict) in verdicts["files"].as_object().unwrap() {
        let Some(name) = file.strip_prefix("tests/golden/plan/errors/").and_then(|name| name.strip_suffix(".case"))
        else {
            continue;
        };
        let objection = &verdict["objection"];
        refused += usize::from(!objection.is_null());
        if seen.iter().any(|prefix| name.starts_with(prefix)) && !unseen.contains(&name) {
            must += 1;
            assert!(objection.is_string(), "{name} is valid by the schema");
        }
    }
    assert!(must >= 25 && refused >= 60, "{must} had to be refused, {refused} were");
}

#[test]
fn keys_are_printed_with_type_range_default_and_source() {
    let text = reference(Some("optimizer")).unwrap();
    assert!(text.contains("optimizer.beta1  a number at least 0 and below 1; default 0.9\n"), "{text}");
    assert!(text.contains("optimizer: { kind: adam }\n    Adam (Kingma and Ba 2015, arXiv 1412.6980"), "{text}");
    assert!(text.contains("optimizer.others.epsilon  a number above 0 and at most 1; default 1e-8"), "{text}");
    let one = reference(Some("base.train.steps")).unwrap();
    assert!(
        one.starts_with("train.steps  a whole number at least 1 and at most 1099511627776; default 2000\n"),
        "{one}"
    );
    let error = reference(Some("trian.steps")).unwrap_err().to_string();
    assert_eq!(error, "there is no key `trian.steps`\nhint: did you mean `train.steps`?");
    // Every number of a run has a range or is any number: those without one are known.
    let all = reference(None).unwrap();
    let open: Vec<&str> =
        all.lines().filter(|line| line.contains("  a number;") || line.contains("  a whole number;")).collect();
    println!("{}", open.join("\n"));
    assert!(open.len() <= 12, "{}", open.join("\n"));
}
