//! A sweep's results in one archive: the same bytes each time, every change noticed, and a report from what is unpacked.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;

use serde_json::Value;
use speedlab::checksum::sha256;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use crate::sandbox::{Sandbox, TINY, stderr, stdout};

/// A sweep of four runs in `results/tiny`.
fn trained() -> Sandbox {
    let sandbox = Sandbox::new(TINY);
    done(&sandbox, &["run", "sweep.yaml", "--quiet"]);
    sandbox
}

#[track_caller]
fn done(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = sandbox.speedlab(args);
    assert!(output.status.success(), "{args:?}: {}{}", stdout(&output), stderr(&output));
    stdout(&output)
}

/// What `verify` finds wrong.
#[track_caller]
fn mistakes(sandbox: &Sandbox, bundle: &str) -> String {
    let output = sandbox.speedlab(&["verify", bundle, "--quiet"]);
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
    stdout(&output)
}

type Files = BTreeMap<String, Vec<u8>>;

fn unzipped(path: &Path) -> Files {
    let mut archive = ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut files = Files::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        files.insert(file.name().unwrap().into_owned(), bytes);
    }
    files
}

fn zip(path: &Path, files: &Files) {
    let mut archive = ZipWriter::new(File::create(path).unwrap());
    for (name, bytes) in files {
        archive.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
}

/// Sets the sums right again, as one does who changes a file on purpose and not the metadata.
fn summed(mut files: Files) -> Files {
    let line = |(name, bytes): (&String, &Vec<u8>)| format!("{}  {name}\n", sha256(bytes));
    files.remove("SHA256SUMS");
    let sums = files.iter().map(line).collect::<String>();
    files.insert("SHA256SUMS".to_owned(), sums.into_bytes());
    files
}

fn unpack(files: &Files, folder: &Path) {
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_bundle_is_the_same_each_time_and_is_reported_on_where_it_is_unpacked() {
    let sandbox = trained();
    let at = |path: &str| sandbox.path().join(path);
    let said = done(&sandbox, &["bundle", "sweep.yaml", "--quiet", "--license", "CC BY 4.0", "--author", "A. Author"]);
    assert!(said.starts_with("tiny.zip: ") && said.contains(" files, "), "{said}");
    // Another name and time, from a copy of the folder.
    done(
        &sandbox,
        &[
            "bundle",
            "sweep.yaml",
            "--quiet",
            "--license",
            "CC BY 4.0",
            "--author",
            "A. Author",
            "--out",
            "deep/again.zip",
        ],
    );
    assert!(fs::read(at("tiny.zip")).unwrap() == fs::read(at("deep/again.zip")).unwrap(), "equal results, equal bytes");
    assert_eq!(fs::read_dir(at("deep")).unwrap().count(), 1, "nothing half-written is left");

    let files = unzipped(&at("tiny.zip"));
    let count = |ending: &str| files.keys().filter(|name| name.ends_with(ending)).count();
    assert_eq!((count("/events.jsonl"), count("/spec.json"), count("/DONE"), count("/curves.parquet")), (4, 4, 4, 4));
    assert!(files.contains_key("sweep.yaml") && files.contains_key("report/index.html") && count(".safetensors") == 0);
    assert!(!files.keys().any(|name| name.ends_with("lock") || name.ends_with("live.json")));
    let metadata: Value = serde_json::from_slice(&files["ro-crate-metadata.json"]).unwrap();
    let entity = |id: &str| {
        let graph = metadata["@graph"].as_array().unwrap();
        graph.iter().find(|entity| entity["@id"] == id).unwrap_or_else(|| panic!("no entity {id}")).clone()
    };
    assert_eq!(entity("ro-crate-metadata.json")["conformsTo"]["@id"], "https://w3id.org/ro/crate/1.1");
    assert_eq!(entity(entity("./")["license"]["@id"].as_str().unwrap())["name"], "CC BY 4.0");
    assert_eq!(entity(entity("./")["author"]["@id"].as_str().unwrap())["name"], "A. Author");
    assert_eq!(entity("plan.json")["sha256"], sha256(&files["plan.json"]));

    let said = done(&sandbox, &["verify", "tiny.zip", "--quiet"]);
    assert!(said.contains("4 of 4 planned runs have ended, and every record is whole"), "{said}");
    unpack(&files, &at("elsewhere/unpacked"));
    done(&sandbox, &["verify", "elsewhere/unpacked", "--quiet"]);
    let drawn = done(&sandbox, &["report", "elsewhere/unpacked"]);
    assert!(drawn.contains("report: elsewhere/unpacked/report/index.html"), "{drawn}");
    for name in ["curves.parquet", "report/speedups.json", "report/index.html"] {
        assert!(fs::read(at("elsewhere/unpacked").join(name)).unwrap() == files[name], "{name} is drawn as it was");
    }
    // A report changes nothing of it.
    done(&sandbox, &["verify", "elsewhere/unpacked", "--quiet"]);

    done(&sandbox, &["bundle", "results/tiny", "--quiet", "--checkpoints", "--out", "whole.zip"]);
    let whole = unzipped(&at("whole.zip"));
    assert_eq!(whole.keys().filter(|name| name.ends_with("checkpoint/state.safetensors")).count(), 4);
    done(&sandbox, &["verify", "whole.zip", "--quiet"]);
}

#[test]
fn whatever_is_changed_missing_or_added_is_named() {
    let sandbox = trained();
    let at = |path: &str| sandbox.path().join(path);
    done(&sandbox, &["bundle", "sweep.yaml", "--quiet"]);
    let files = unzipped(&at("tiny.zip"));
    let with = |change: &dyn Fn(&mut Files)| {
        let mut files = files.clone();
        change(&mut files);
        zip(&at("changed.zip"), &files);
        mistakes(&sandbox, "changed.zip")
    };
    // One byte of any file.
    for name in files.keys().filter(|name| *name != "SHA256SUMS" && !name.contains("point")) {
        let said = with(&|files| *files.get_mut(name).unwrap().last_mut().unwrap() ^= 1);
        assert_eq!(said.lines().next(), Some(format!("{name}: it was changed, its sum is another").as_str()));
    }
    let run = files.keys().find(|name| name.ends_with("/events.jsonl")).unwrap().rsplit_once('/').unwrap().0.to_owned();
    let journal = format!("{run}/events.jsonl");
    let said = with(&|files| drop(files.remove(&journal)));
    assert!(said.starts_with(&format!("{journal}: it is missing\n")), "{said}");
    let said = with(&|files| drop(files.insert("runs/extra.txt".to_owned(), b"x".to_vec())));
    assert!(said.starts_with("runs/extra.txt: it was added, SHA256SUMS does not name it\n"), "{said}");

    // Whoever sets the sums right is found out by the metadata, the plan or the record itself.
    let resummed = |change: &dyn Fn(&mut Files)| {
        let mut files = files.clone();
        change(&mut files);
        zip(&at("changed.zip"), &summed(files));
        mistakes(&sandbox, "changed.zip")
    };
    let cut = |text: &[u8]| text[..text.len() * 2 / 3].to_vec();
    let said = resummed(&|files| *files.get_mut(&journal).unwrap() = cut(&files[&journal]));
    assert!(said.contains(&format!("ro-crate-metadata.json: {journal}: its sum is described as another")), "{said}");
    assert!(said.contains(&format!("{run}: events.jsonl: the run's end is missing")), "{said}");
    let said = resummed(&|files| drop(files.insert("notes.txt".to_owned(), b"x".to_vec())));
    assert!(said.contains("ro-crate-metadata.json: notes.txt: it is part of no dataset"), "{said}");
    let said = resummed(&|files| drop(files.remove("report/index.html")));
    assert!(said.contains("report/index.html: it is described and not there"), "{said}");
    // A run that the plan does not have, and a record of another run.
    let of_run = |files: &Files| -> Files {
        files
            .iter()
            .filter(|(name, _)| name.starts_with(&run))
            .map(|(name, bytes)| (name.clone(), bytes.clone()))
            .collect()
    };
    let said = resummed(&|files| {
        for (name, bytes) in of_run(files) {
            files.insert(name.replacen(&run, "runs/0123456789ab", 1), bytes);
        }
    });
    assert!(said.contains("runs/0123456789ab: it is in no plan"), "{said}");
    let other =
        files.keys().filter(|name| name.ends_with("/DONE")).nth(1).unwrap().rsplit_once('/').unwrap().0.to_owned();
    let said = resummed(&|files| {
        for (name, bytes) in of_run(files) {
            files.insert(name.replacen(&run, &other, 1), bytes);
        }
    });
    assert!(said.contains(&format!("{other}: spec.json: it is not the run that plan.json has")), "{said}");
    assert!(said.contains(&format!("{other}: events.jsonl: it is the record of run ")), "{said}");

    // No bundle at all.
    let whole = fs::read(at("tiny.zip")).unwrap();
    fs::write(at("torn.zip"), &whole[..whole.len() / 2]).unwrap();
    zip(&at("other.zip"), &[("a".to_owned(), b"b".to_vec())].into());
    zip(&at("out.zip"), &[("../a".to_owned(), b"b".to_vec())].into());
    for (name, words) in
        [("torn.zip", "no whole zip archive"), ("other.zip", "its SHA256SUMS cannot be read"), ("out.zip", "")]
    {
        let output = sandbox.speedlab(&["verify", name]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(
            stderr(&output).contains(&format!("{name} is no bundle: ")) && stderr(&output).contains(words),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn a_damaged_record_is_not_bundled_and_a_part_of_a_sweep_is() {
    let sandbox = trained();
    let journal =
        fs::read_dir(sandbox.results().join("runs")).unwrap().flatten().next().unwrap().path().join("events.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, text.replacen("\"step\":20", "\"step\":21", 1)).unwrap();
    let output = sandbox.speedlab(&["bundle", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(" is damaged: events.jsonl: line "), "{}", stderr(&output));
    assert!(!sandbox.path().join("tiny.zip").exists());
    fs::remove_dir_all(journal.parent().unwrap()).unwrap();
    let output = sandbox.speedlab(&["bundle", "sweep.yaml", "--quiet"]);
    assert!(stderr(&output).contains("note: 3 of 4 planned runs have ended"), "{}", stderr(&output));
    assert!(done(&sandbox, &["verify", "tiny.zip"]).contains("3 of 4 planned runs have ended"));
}

#[test]
fn a_bundle_spares_records_and_says_what_it_leaves_out() {
    let sandbox = Sandbox::new(TINY);
    let at = |path: &str| sandbox.path().join(path);
    done(&sandbox, &["bench-report", "sweep.yaml", "--results", "results"]);
    let run = fs::read_dir(sandbox.results().join("runs")).unwrap().flatten().next().unwrap().path();
    let journal = run.join("events.jsonl");
    let id = run.file_name().unwrap().to_string_lossy().into_owned();
    let before = fs::read(&journal).unwrap();
    let inside = format!("results/tiny/runs/{id}/events.jsonl");
    for (out, words) in [
        (inside.as_str(), "holds records"),
        ("results/tiny/lock", "holds records"),
        ("sweep.yaml", "it is the sweep's own file"),
        ("..", "`..` names no file"),
    ] {
        let output = sandbox.speedlab(&["bundle", "sweep.yaml", "--quiet", "--out", out]);
        assert_eq!(output.status.code(), Some(2), "{out}");
        assert!(stderr(&output).contains(words), "{out}: {}", stderr(&output));
    }
    assert_eq!(fs::read(&journal).unwrap(), before);
    assert_eq!(fs::read_to_string(at("sweep.yaml")).unwrap(), TINY);

    // A sweep's file that is not the frozen one is left out; so are links.
    fs::create_dir_all(run.join("samples")).unwrap();
    fs::write(run.join("samples/.half.4711"), "").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/hostname", run.join("samples/link.png")).unwrap();
    let output = sandbox.speedlab(&["bundle", "sweep.yaml", "--quiet", "--set", "train.steps=40"]);
    let said = stderr(&output);
    assert!(said.contains("the bundle holds the frozen one, without the sweep's file"), "{said}");
    let left_out = if cfg!(unix) { 2 } else { 1 };
    let note = format!("note: {left_out} links and files with a dot before their names are left out");
    assert!(said.contains(&note), "{said}");
    assert!(!unzipped(&at("tiny.zip")).keys().any(|name| name.contains("sweep.yaml") || name.contains("link")));
    assert!(done(&sandbox, &["verify", "tiny.zip", "--quiet"]).contains("4 of 4 planned runs have ended"));

    // A name that another program would refuse or show as something else.
    fs::write(run.join("samples/a\nb.png"), "").unwrap();
    let output = sandbox.speedlab(&["bundle", "sweep.yaml", "--quiet", "--out", "odd.zip"]);
    let said = stderr(&output);
    let words = format!("has the name \"runs/{id}/samples/a\\nb.png\", which not every program");
    assert!(said.contains(&words) && said.contains("hint: rename it") && !at("odd.zip").exists(), "{said}");

    let output = sandbox.speedlab(&["verify", "absent.zip"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("absent.zip is no bundle: there is no such file or folder"), "{said}");
    // What an archive calls its files does not steer a terminal.
    let mut files = unzipped(&at("tiny.zip"));
    files.insert("report/\u{1b}[31mred".to_owned(), b"x".to_vec());
    zip(&at("red.zip"), &files);
    let said = mistakes(&sandbox, "red.zip");
    assert!(said.contains("report/\\u{1b}[31mred: ") && !said.contains('\u{1b}'), "{said}");
}
