//! What the program does not touch: another's sweep, a newer one's records, an invalid file.

use std::fs;

use super::undisturbed;
use crate::sandbox::{Sandbox, TINY, send_signal, stderr};

#[test]
fn two_programs_do_not_run_one_sweep_at_once() {
    let sandbox = Sandbox::new(&TINY.replace("steps: 60", "steps: 4000"));
    let mut first = sandbox.start(&["run", "sweep.yaml", "--quiet"]);
    sandbox.wait_until("the first program", || sandbox.results().join("plan.json").exists());
    let second = sandbox.speedlab(&["run", "sweep.yaml"]);
    assert_eq!(second.status.code(), Some(1));
    let holder = format!("is in use by process {} on ", first.id());
    assert!(stderr(&second).contains(&holder), "{}", stderr(&second));
    send_signal("INT", first.id());
    first.wait().unwrap();
}

#[test]
fn records_of_a_newer_program_are_refused_and_left_alone() {
    let sandbox = undisturbed();
    let path = sandbox.results().join("plan.json");
    let newer = fs::read_to_string(&path).unwrap().replacen("\"version\": 3", "\"version\": 99", 1);
    fs::write(&path, &newer).unwrap();
    let output = sandbox.speedlab(&["run", "sweep.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("was written by a newer speedlab (format 99, this one reads up to 3)"),
        "{}",
        stderr(&output)
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
}

#[test]
fn an_invalid_sweep_ends_with_2_and_names_the_place() {
    let sandbox = Sandbox::new(&TINY.replace("batch_size: 16", "batch_sise: 16"));
    for command in ["run", "plan", "status", "report"] {
        let output = sandbox.speedlab(&[command, "sweep.yaml"]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        let text = stderr(&output);
        assert!(text.contains("sweep.yaml:5:23") && text.contains("did you mean `batch_size`?"), "{text}");
    }
    assert!(!sandbox.path().join("results").exists(), "something was made for an invalid sweep");
}
