//! Files that were damaged after they were written: every reader notices, or reads what the undamaged file holds.

use std::fs;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use speedlab::data::decode_rgb;
use speedlab::evaluate::Statistics;
use speedlab::plan::plan_text;
use speedlab::random::{Draws, Stream};
use speedlab::record::{ConsistencyImages, PlanFile, RunFolder, RunRecord, RunState, SweepFolder};
use speedlab::spec::PlannedRun;
use speedlab::train::Checkpoint;

use crate::sandbox::{Sandbox, TINY, stderr, stdout};

/// Damages to each kind of file; 10,000 in all.
const DAMAGES: u64 = 1_250;

/// Something that may happen to a file: bits turn over, parts are lost, doubled, swapped, overwritten or put in.
fn damaged(bytes: &[u8], draw: &mut Draws) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let length = bytes.len() as u32;
    let range = |draw: &mut Draws| {
        let start = draw.below(length) as usize;
        let end = (start + 1 + draw.below(40) as usize).min(length as usize);
        start..end
    };
    match draw.below(8) {
        0..=2 => {
            for _ in 0..=draw.below(3) {
                bytes[draw.below(length) as usize] ^= 1 << draw.below(8);
            }
        }
        3 => bytes.truncate(draw.below(length) as usize),
        4 => drop(bytes.drain(range(draw))),
        5 => {
            let (one, other) = (range(draw), range(draw));
            let count = one.len().min(other.len());
            for offset in 0..count {
                bytes.swap(one.start + offset, other.start + offset);
            }
        }
        6 => {
            for place in range(draw) {
                bytes[place] = draw.below(256) as u8;
            }
        }
        _ => {
            let part = range(draw);
            let (place, part) = (draw.below(length) as usize, bytes[part].to_vec());
            bytes.splice(place..place, part);
        }
    }
    bytes
}

/// `Ok` is what a file holds, as text, `Err` what is said to be wrong.
type Reader<'r> = &'r dyn Fn() -> Result<String, String>;

/// Damages a file again and again: (how often its reader noticed, how often nothing changed).
fn damage_often(path: &Path, kind: u64, read: Reader) -> (u64, u64) {
    let whole = fs::read(path).unwrap();
    let expected = read().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut noticed, mut harmless) = (0, 0);
    for seed in 0..DAMAGES {
        let damaged = damaged(&whole, &mut Draws::new(seed, Stream::Noise, kind));
        if damaged == whole {
            continue;
        }
        fs::write(path, &damaged).unwrap();
        match read() {
            Err(_) => noticed += 1,
            Ok(found) => {
                assert!(found == expected, "{} was damaged (seed {seed}), and nothing was said", path.display());
                harmless += 1;
            }
        }
    }
    fs::write(path, whole).unwrap();
    (noticed, harmless)
}

/// A finished study of four runs, one of which keeps images of shared noises.
fn study() -> (Sandbox, SweepFolder, Vec<PlannedRun>) {
    let sweep = TINY.replace("    every: 20\n", "    every: 20\n    consistency: { images: 8 }\n");
    let sandbox = Sandbox::new(&sweep);
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let folder = SweepFolder { path: sandbox.results() };
    let runs = sandbox.study().plan.runs;
    (sandbox, folder, runs)
}

fn run_folder(folder: &SweepFolder, runs: &[PlannedRun]) -> RunFolder {
    folder.run(&runs[0].run_id)
}

#[test]
fn ten_thousand_damages_are_noticed_or_change_nothing() {
    let (sandbox, folder, runs) = study();
    let run = run_folder(&folder, &runs);
    let of_run = || {
        let record = RunRecord::read(&folder, &runs[0]).map_err(|error| error.to_string())?;
        match (&record.state, record.torn_lines) {
            (RunState::Damaged(damage), _) => Err(damage.join("; ")),
            (_, 0) => Ok(format!("{:?} {:?}", record.rows, record.state)),
            (_, torn) => Err(format!("{torn} torn lines")),
        }
    };
    let checkpoint = || {
        let bytes = fs::read(run.checkpoint()).unwrap();
        let parameters = speedlab::model::parameter_count(&runs[0].spec.model, runs[0].spec.data.shape());
        let read = Checkpoint::from_bytes(&bytes, parameters).map_err(|error| error.to_string())?;
        if read.is_verified { Ok(format!("{:?}", read.checkpoint)) } else { Err("unverified".to_owned()) }
    };
    let plan = || Ok(format!("{:?}", PlanFile::read(&folder).map_err(|error| error.to_string())?.unwrap()));
    let spec = || Ok(format!("{:?}", run.read_spec().map_err(|error| error.to_string())?));
    let images_path = run.consistency(60);
    let images = || Ok(format!("{:?}", ConsistencyImages::read(&images_path).map_err(|error| error.to_string())?));
    let statistics_path = sandbox.path().join("digits.npz");
    let saved = sandbox.speedlab(&["fid", "digits", "--features", "digits-cnn", "--save", "digits.npz", "--quiet"]);
    assert_eq!(saved.status.code(), Some(0), "{}", stderr(&saved));
    let statistics = || {
        let read = Statistics::read(&statistics_path).map_err(|error| error.to_string())?;
        // A file that does not say what it is of is told of.
        let protocol = read.protocol.ok_or("it does not say what it is of")?;
        Ok(format!("{:?} {:?} {protocol}", read.gaussian.mean, read.gaussian.covariance))
    };
    let files: [(PathBuf, Reader); 8] = [
        (run.journal(), &of_run),
        (run.path.join("DONE"), &of_run),
        (run.curves(), &of_run),
        (run.checkpoint(), &checkpoint),
        (folder.plan_file(), &plan),
        (run.path.join("spec.json"), &spec),
        (images_path.clone(), &images),
        (statistics_path.clone(), &statistics),
    ];
    for (kind, (path, read)) in files.iter().enumerate() {
        let (noticed, harmless) = damage_often(path, kind as u64, read);
        println!("{}: {noticed} noticed, {harmless} change nothing", path.file_name().unwrap().display());
        assert!(noticed > harmless, "{}", path.display());
    }
}

#[test]
fn damaged_pictures_and_sweeps_never_end_the_program() {
    let temporary = tempfile::tempdir().unwrap();
    let picture = RgbImage::from_fn(9, 11, |x, y| Rgb([(x * 25) as u8, (y * 20) as u8, (x * y) as u8]));
    for (kind, ending) in ["png", "jpg", "bmp", "tif", "webp", "ppm"].into_iter().enumerate() {
        let path = temporary.path().join(format!("picture.{ending}"));
        picture.save(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        for seed in 0..300 {
            fs::write(&path, damaged(&whole, &mut Draws::new(seed, Stream::Noise, kind as u64))).unwrap();
            // A pixel that is another is no fault of the reader's; that it returns is what counts.
            let _ = decode_rgb(&path);
        }
    }
    for seed in 0..2_000 {
        let text = damaged(TINY.as_bytes(), &mut Draws::new(seed, Stream::Noise, 99));
        if let Ok(text) = String::from_utf8(text)
            && let Err(error) = plan_text(Path::new("sweep.yaml"), &text, &[])
        {
            assert!(error.to_string().contains("sweep.yaml"), "{error}");
        }
    }
}

#[test]
fn a_damaged_record_is_left_out_and_named_everywhere() {
    let (sandbox, folder, runs) = study();
    let run = run_folder(&folder, &runs);
    let whole = fs::read_to_string(run.journal()).unwrap();
    let mut lines: Vec<&str> = whole.lines().collect();
    lines.insert(3, "garbage");
    let random: Vec<u8> = (0..whole.len()).map(|index| (index * 7919 % 251) as u8).collect();
    for damaged in [lines.join("\n").into_bytes(), random] {
        fs::write(run.journal(), &damaged).unwrap();
        let report = sandbox.speedlab(&["report", "sweep.yaml"]);
        assert_eq!(report.status.code(), Some(0), "{}", stderr(&report));
        let warning = format!("run {} (baseline, seed 0) is left out, because its record is damaged", runs[0].run_id);
        assert!(stderr(&report).contains(&warning), "{}", stderr(&report));
        assert!(stdout(&report).contains("3 of 4 runs are finished"), "{}", stdout(&report));
        let page = fs::read_to_string(folder.report().join("index.html")).unwrap();
        assert!(page.contains("record damaged, left out: events.jsonl: "), "the page names it");
        let status = sandbox.speedlab(&["status", "sweep.yaml"]);
        assert_eq!(status.status.code(), Some(1), "{}", stdout(&status));
        assert!(stdout(&status).contains("damaged"), "{}", stdout(&status));
        let again = sandbox.speedlab(&["run", "sweep.yaml"]);
        assert!(
            stderr(&again).contains("or move it away and `speedlab run` trains the run again"),
            "{}",
            stderr(&again)
        );
        assert_eq!(again.status.code(), Some(1), "{}", stderr(&again));
        assert_eq!(fs::read(run.journal()).unwrap(), damaged, "a damaged journal is left as it is");
    }
    // What says that the run has ended is damaged: nothing starts, and the others are reported.
    fs::write(run.journal(), &whole).unwrap();
    let done = run.path.join("DONE");
    let text = fs::read_to_string(&done).unwrap();
    fs::write(&done, text.replace("completed", "complexed")).unwrap();
    for command in ["plan", "run", "report", "status"] {
        let output = sandbox.speedlab(&[command, "sweep.yaml"]);
        let code = if matches!(command, "run" | "status") { 1 } else { 0 };
        assert_eq!(output.status.code(), Some(code), "{command}: {}", stderr(&output));
        let said = stdout(&output) + &stderr(&output);
        assert!(command == "plan" || said.contains("DONE is damaged"), "{command}: {said}");
    }
    // The cure works.
    fs::rename(&run.path, sandbox.path().join("aside")).unwrap();
    let again = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert!(stdout(&again).contains("All 4 runs are finished"), "{}", stdout(&again));
}

#[test]
fn a_flipped_bit_of_a_checkpoint_stops_the_run_and_says_how_to_go_on() {
    let (sandbox, folder, runs) = study();
    let run = run_folder(&folder, &runs);
    fs::remove_file(run.path.join("DONE")).unwrap();
    let mut bytes = fs::read(run.checkpoint()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(run.checkpoint(), &bytes).unwrap();
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--retries", "0"]);
    let said = stderr(&output);
    assert_ne!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("the checkpoint is damaged") && said.contains("hint: remove that file"), "{said}");
    assert_eq!(fs::read(run.checkpoint()).unwrap(), bytes, "it is left as it is");
    for arguments in
        [&["sample", run.path.to_str().unwrap(), "--out", "made.png"][..], &["landscape", run.path.to_str().unwrap()]]
    {
        let output = sandbox.speedlab(arguments);
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        assert!(stderr(&output).contains("the checkpoint is damaged"), "{arguments:?}: {}", stderr(&output));
    }
    fs::remove_file(run.checkpoint()).unwrap();
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}
