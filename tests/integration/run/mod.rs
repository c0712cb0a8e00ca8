//! The whole program: a sweep trained, killed, resumed, refused.

mod alignment;
mod averages;
mod beside;
mod commands;
mod disturbed;
mod evaluate;
mod refused;
mod sharing;
mod shipped;
mod trained;
mod utilization;

use crate::sandbox::{Sandbox, TINY, stderr};

fn undisturbed() -> Sandbox {
    finished(TINY)
}

fn finished(sweep: &str) -> Sandbox {
    let sandbox = Sandbox::new(sweep);
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    sandbox
}
