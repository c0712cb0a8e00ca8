//! From the text of a sweep to its runs, or to the exact words of what is wrong with it.

mod files;
mod identity;
mod keys;
mod mistakes;
mod resolved;
mod shipped;

use std::path::{Path, PathBuf};

use speedlab::plan::plan_text;
use speedlab::spec::{Plan, RunSpec};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/plan")
}

fn plan(text: &str) -> Plan {
    plan_with(text, &[])
}

#[track_caller]
fn plan_with(text: &str, overrides: &[&str]) -> Plan {
    let overrides: Vec<String> = overrides.iter().map(|text| text.to_string()).collect();
    plan_text(Path::new("sweeps/my.yaml"), text, &overrides).unwrap_or_else(|error| panic!("{error}"))
}

/// Plans a text and, if that fails, gives the whole message.
fn error_of(text: &str, overrides: &[String]) -> String {
    match plan_text(Path::new("sweeps/my.yaml"), text, overrides) {
        Ok(plan) => format!("no error, but {} runs", plan.runs.len()),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn arms_of(plan: &Plan, arm: &str) -> RunSpec {
    plan.runs.iter().find(|run| run.arm == arm).unwrap().spec.clone()
}
