//! Records on disk, apart from the runs that make them.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use polars::prelude::*;
use speedlab::record::{CurveRow, RecordError, Row, Rows, read_curves, write_curves};
use speedlab::spec::{PlannedRun, Point, RunId, RunSpec};

use crate::sandbox::{Sandbox, TINY, stderr};

#[test]
fn a_table_of_curves_comes_back_bit_for_bit_and_a_cut_one_is_refused() {
    let planned = PlannedRun {
        run_id: RunId::of(&RunSpec::default()),
        arm: "clts+mdlrc".into(),
        trial: "clts+mdlrc model.channels=16".into(),
        point: Point::new(),
        seed: u64::MAX,
        spec: RunSpec::default(),
    };
    let row = |step: u64, value: f64| Row {
        attempt: 2,
        step,
        images_seen: 64 * step,
        train_seconds: 0.1 + 0.2,
        wall_seconds: 1e-300,
        metric: "fid",
        protocol: "digits-cnn n=500",
        value,
    };
    let rows: Rows = [row(1, 1.0 / 3.0), row(2, f64::MIN_POSITIVE), row(3, -0.0)].into_iter().collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curves.parquet");
    write_curves(&path, [(&planned, &rows)]).unwrap();
    let back = read_curves(&path).unwrap();
    let expected = rows.iter().map(|row| CurveRow {
        run_id: planned.run_id.clone(),
        arm: planned.arm.clone(),
        trial: planned.trial.clone(),
        seed: planned.seed,
        attempt: row.attempt,
        step: row.step,
        images_seen: row.images_seen,
        train_seconds: row.train_seconds,
        wall_seconds: row.wall_seconds,
        metric: row.metric.into(),
        protocol: row.protocol.into(),
        value: row.value,
    });
    assert_eq!(back, expected.collect::<Vec<_>>());
    assert_eq!(back[2].value.to_bits(), (-0.0f64).to_bits());

    // A table of more rows than are written at once, and one of none.
    let many: Rows = (0..1000).map(|step| row(step, step as f64)).collect();
    write_curves(&path, std::iter::repeat_n((&planned, &many), 300)).unwrap();
    let back = read_curves(&path).unwrap();
    assert_eq!(back.len(), 300_000);
    assert!(back.iter().enumerate().all(|(index, row)| row.step == index as u64 % 1000));
    write_curves(&path, [(&planned, &Rows::default())]).unwrap();
    assert_eq!(read_curves(&path).unwrap(), []);
    write_curves(&path, [(&planned, &rows)]).unwrap();

    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(read_curves(&path), Err(RecordError::Damaged { .. })));
}

/// A finished sweep that measures nearly everything.
fn measured() -> Sandbox {
    let sweep = TINY.replace("    grid_images: 4\n", "    grid_images: 4\n    difficulty: { images: 4 }\n    weights: both\n    measures: [kid, precision_recall, density_coverage]\n");
    let sandbox = Sandbox::new(&sweep);
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet", "--set", "seeds=1"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    sandbox
}

fn guide() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("results/README.md")).unwrap()
}

/// The code between fences of a language.
fn code(language: &str) -> String {
    let guide = guide();
    let start = guide.find(&format!("```{language}\n")).unwrap() + language.len() + 4;
    guide[start..].split("```").next().unwrap().to_owned()
}

#[test]
fn every_column_metric_event_and_file_is_in_the_guide_to_results() {
    let sandbox = measured();
    let guide = guide();
    let mut names: Vec<String> =
        sandbox.curves().into_iter().map(|row| row.metric.split('/').next().unwrap().to_owned()).collect();
    names.sort();
    names.dedup();
    assert!(names.len() >= 12, "{names:?}");
    let frame = ParquetReader::new(File::open(sandbox.results().join("curves.parquet")).unwrap()).finish().unwrap();
    names.extend(frame.get_column_names().iter().map(ToString::to_string));
    let run = sandbox.study().runs[0].planned.run_id.clone();
    let run = sandbox.results().join("runs").join(run.as_str());
    for line in std::fs::read_to_string(run.join("events.jsonl")).unwrap().lines() {
        names.push(serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].as_str().unwrap().to_owned());
    }
    for name in names {
        assert!(guide.contains(&format!("`{name}`")), "results/README.md does not tell of `{name}`");
    }
    for folder in [sandbox.results(), run] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name == "lock" || guide.contains(&name), "results/README.md does not tell of the file {name}");
        }
    }
}

/// What the guide's lines of Rust find; the test below compares other languages with it.
fn last_fids(path: &Path) -> Vec<(String, f64)> {
    let read = || -> Result<DataFrame, Box<dyn std::error::Error>> {
        let curves = ParquetReader::new(File::open(path)?).finish()?;
        let fid = curves.filter(&curves.column("metric")?.str()?.equal("fid"))?;
        let last = fid.sort(["run_id", "step"], Default::default())?.unique_stable(
            Some(&["run_id".into()]),
            UniqueKeepStrategy::Last,
            None,
        )?;
        Ok(last)
    };
    let last = read().unwrap();
    let ids = last.column("run_id").unwrap().str().unwrap();
    let values = last.column("value").unwrap().f64().unwrap();
    ids.iter().zip(values.iter()).map(|(id, value)| (id.unwrap().to_owned(), value.unwrap())).collect()
}

#[test]
fn the_guides_lines_of_rust_are_those_that_are_tested_and_find_the_last_fids() {
    let packed = |text: &str| text.split_whitespace().collect::<String>();
    for line in code("rust").lines().filter(|line| !line.starts_with("//")) {
        assert!(packed(include_str!("record.rs")).contains(&packed(line)), "{line}");
    }
    let sandbox = Sandbox::new(TINY);
    assert!(sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]).status.success());
    let found = last_fids(&sandbox.results().join("curves.parquet"));
    let study = sandbox.study();
    assert_eq!(found.len(), study.runs.len());
    for run in &study.runs {
        let last = run.rows.iter().rev().find(|row| row.metric == "fid").unwrap().value;
        assert!(found.contains(&(run.planned.run_id.to_string(), last)), "{found:?}");
    }
}

#[test]
#[ignore = "needs pandas, pyarrow and duckdb, and R with arrow where it is installed: scripts/check-tables.sh"]
fn the_guides_lines_of_other_languages_find_the_same() {
    let sandbox = Sandbox::new(TINY);
    assert!(sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]).status.success());
    let path = sandbox.results().join("curves.parquet");
    let expected = last_fids(&path);
    let shown = path.display().to_string();
    let python = |code: String| Command::new("python3").args(["-c", &code]).output().unwrap();
    let pandas =
        format!("path = '{shown}'\n{}\nfor run, value in last.items(): print(run, repr(float(value)))", code("python"));
    let query = code("sql").replace("PATH", &shown);
    let duckdb =
        format!("import duckdb\nfor run, value in duckdb.sql(\"\"\"{query}\"\"\").fetchall(): print(run, repr(value))");
    let mut outputs = vec![("pandas", python(pandas)), ("duckdb", python(duckdb))];
    if Command::new("Rscript").arg("--version").output().is_ok() {
        let text = format!(
            "path <- '{shown}'\n{}\nfor (run in names(last)) cat(run, format(last[[run]], digits = 17), '\\n')",
            code("r")
        );
        outputs.push(("R", Command::new("Rscript").args(["-e", &text]).output().unwrap()));
    }
    for (language, output) in outputs {
        assert!(output.status.success(), "{language}: {}", stderr(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut found: Vec<(String, f64)> = text
            .lines()
            .map(|line| line.trim().split_once(' ').unwrap())
            .map(|(run, value)| (run.to_owned(), value.parse().unwrap()))
            .collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(found, expected, "{language}");
    }
}
