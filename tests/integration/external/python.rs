//! The file that Python programs import, in every version of Python that is here.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::wait_for_start;
use crate::sandbox::{Sandbox, send_signal, stderr};

#[test]
fn the_helper_for_python_trains_stops_and_goes_on() {
    let names = ["python3", "python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14"];
    let is_there =
        |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    let found: Vec<&str> = names.iter().filter(is_there).copied().collect();
    if found.is_empty() {
        eprintln!("SKIPPED: there is no python3");
    }
    found.into_iter().for_each(the_helper_works_in);
}

fn the_helper_works_in(python: &str) {
    let sandbox = Sandbox::new(&format!(
        "name: tiny\nbase:\n  trainer: {{ command: [{python}, train.py], inputs: [train.py, speedlab_run.py] }}\n  params: {{ rate: 2.0 }}\n  \
         train: {{ steps: 60, batch_size: 2, checkpoint_seconds: 0.02 }}\n  evaluate: {{ every: 10 }}\narms: {{ baseline: {{}}, slow: {{ params: {{ \
         rate: 1 }} }} }}\nseeds: 1\n"
    ));
    let helper = sandbox.speedlab(&["trainer", "--python"]);
    fs::write(sandbox.path().join("speedlab_run.py"), &helper.stdout).unwrap();
    let program = "import time, speedlab_run\nrun = speedlab_run.start(params={'rate': 1.0, 'other': 3}, steps=60, batch_size=2)\n\
        file = run.checkpoints / 'step'\nstep = int(file.read_text()) if file.exists() else 0\nrun.begin(step, device='a chip')\n\
        while step < run.steps:\n    step += 1\n    time.sleep(0.01)\n    run.progress(step, loss=run.params['rate'] / step)\n    \
        if step % 10 == 0:\n        with run.evaluating():\n            time.sleep(0.02)\n            run.measure(step, fid=100 / step)\n    \
        if run.should_checkpoint() or run.should_stop():\n        new = file.with_suffix('.new')\n        new.write_text(str(step))\n        \
        new.rename(file)\n        run.checkpointed(step)\n    if run.should_stop():\n        break\nrun.end()\n";
    fs::write(sandbox.path().join("train.py"), program).unwrap();
    let mut first = sandbox.start(&["run", "sweep.yaml", "--quiet"]);
    wait_for_start(&sandbox);
    std::thread::sleep(Duration::from_millis(200));
    send_signal("INT", first.id());
    first.wait().unwrap();
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert!(output.status.success(), "{python}: {}", stderr(&output));
    let rows = sandbox.curves();
    let steps: Vec<u64> =
        rows.iter().filter(|row| row.metric == "fid" && row.arm == "slow").map(|row| row.step).collect();
    assert_eq!(steps, [10, 20, 30, 40, 50, 60]);
    let last = rows.iter().find(|row| row.metric == "fid" && row.step == 60).unwrap();
    // 60 steps of 0.01 s; six evaluations of 0.02 s are off the clock of training.
    assert!(last.train_seconds >= 0.6 && last.wall_seconds >= last.train_seconds + 0.1, "{last:?}");

    // Without Speedlab it prints and goes on.
    let alone = Command::new(python).arg("train.py").current_dir(sandbox.path()).output().unwrap();
    assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stderr));
    let last = String::from_utf8_lossy(&alone.stdout).lines().last().unwrap().to_owned();
    assert_eq!(last, r#"{"event": "ended", "outcome": "completed", "reason": ""}"#);
}
