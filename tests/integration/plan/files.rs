//! Files that are no sweep.

use std::path::Path;

use speedlab::plan::{load_sweep, plan_text};

/// The message when a file holds `bytes`, with the folder's name left out.
fn file_error(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    without_folder(load_sweep(&path, &[]).unwrap_err().to_string(), folder.path())
}

fn without_folder(message: String, folder: &Path) -> String {
    message.replace(&format!("{}/", folder.display()), "")
}

#[test]
fn what_is_not_a_text_file_is_named() {
    assert_eq!(
        file_error("my.yaml", b"name: x\nquestion: \xff\n"),
        "error: not a text file: byte 0xff is not UTF-8
  --> my.yaml:2:11
   = hint: save it as UTF-8, or check that it is the right file"
    );
    assert_eq!(
        file_error("my.yaml", b"\x89PNG\r\n\x1a\n"),
        "error: not a text file: byte 0x89 is not UTF-8
  --> my.yaml:1:1
   = hint: save it as UTF-8, or check that it is the right file"
    );
    assert_eq!(
        file_error("my sweep.yaml", b"base: {}\n"),
        "error: the file's name cannot name the sweep's results: `my sweep`
  --> my sweep.yaml
   = hint: give the sweep a `name`"
    );
}

#[test]
fn a_missing_file_and_a_folder_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("quickstart.yaml"), "base: {}\n").unwrap();
    let message =
        |name: &str| without_folder(load_sweep(&folder.path().join(name), &[]).unwrap_err().to_string(), folder.path());
    assert_eq!(
        message("quikstart.yaml"),
        "error: cannot read the sweep: there is no such file
  --> quikstart.yaml
   = hint: did you mean `quickstart.yaml`?"
    );
    assert_eq!(message("other"), "error: cannot read the sweep: there is no such file\n  --> other");
    std::fs::create_dir(folder.path().join("sweeps")).unwrap();
    assert_eq!(message("sweeps"), "error: cannot read the sweep: it is a folder, not a file\n  --> sweeps");
}

#[test]
fn a_hundred_megabytes_are_refused_without_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.yaml");
    // Sparse: it takes no room on the disk.
    std::fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    assert_eq!(
        without_folder(load_sweep(&path, &[]).unwrap_err().to_string(), folder.path()),
        "error: the file is too large for a sweep: 100.0 MiB, and 4 MiB is the limit
  --> big.yaml:1:1
   = hint: is this the right file? values at equal distances can be written as `linspace`, `logspace` or `range`"
    );
}

#[test]
fn a_grid_of_a_million_million_million_points_is_refused_before_it_is_expanded() {
    let axis = |path: &str| format!("  {path}: {{ linspace: {{ start: 0.1, stop: 0.9, count: 1000000 }} }}\n");
    let grid: String = ["train.ema_decay", "optimizer.learning_rate", "model.dropout"].map(axis).concat();
    let text = format!("base: {{ model: {{ kind: unet }} }}\narms: {{ baseline: {{}} }}\nseeds: 1\ngrid:\n{grid}");
    let before = std::time::Instant::now();
    let message = plan_text(Path::new("my.yaml"), &text, &[]).unwrap_err().to_string();
    // Expanded, it would take ten seconds; the bound is far from both.
    assert!(before.elapsed().as_secs() < 2, "it took {:?}", before.elapsed());
    let expected = "asks for 1000000000000000000 runs: 1 (arms) x 1000000 x 1000000 x 1000000 (points) x 1 (seeds)";
    assert!(message.contains(expected) && message.contains("my.yaml:5:3"), "{message}");
}

#[cfg(unix)]
#[test]
fn an_endless_device_is_refused() {
    let message = load_sweep(Path::new("/dev/zero"), &[]).unwrap_err().to_string();
    assert!(message.starts_with("error: the file is too large for a sweep: more than 4 MiB"), "{message}");
}
