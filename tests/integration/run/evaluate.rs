//! Runs that are measured in several ways: while they are trained, and after they have ended.

use std::fs;
use std::path::{Path, PathBuf};

use npyz::WriterBuilder as _;
use serde_json::Value;
use speedlab::kernels::multiplies_bf16;
use speedlab::record::RunFolder;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{Sandbox, finished, stderr, undisturbed};
use crate::sandbox::{TINY, stdout};

/// `speedlab evaluate --json`, which succeeds.
pub(super) fn evaluate(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let output = sandbox.speedlab(&[&["evaluate", "--json"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("one JSON value")
}

/// The folders of the runs of an arm, as they are named on a command line.
pub(super) fn runs_of(sandbox: &Sandbox, arm: &str) -> Vec<String> {
    let study = sandbox.study();
    let own = study.runs.iter().filter(|run| run.planned.arm == arm);
    own.map(|run| format!("results/tiny/runs/{}", run.planned.run_id)).collect()
}

/// Name and bytes of every file of a folder but the locks, below it too.
pub(super) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is readable").flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path if path.ends_with("lock") => {}
            path => found.push((path.clone(), fs::read(&path).expect("the file is readable"))),
        }
    }
    found.sort();
    found
}

/// So many grey pictures of 8 x 8, as ADM's evaluator keeps images.
fn images(path: &Path, count: u64) {
    let mut archive = ZipWriter::new(fs::File::create(path).expect("the folder takes files"));
    archive.start_file("arr_0.npy", SimpleFileOptions::default()).expect("the archive takes files");
    let options = npyz::WriteOptions::new().default_dtype().shape(&[count, 8, 8, 1]);
    let mut array = options.writer(&mut archive).begin_nd().expect("the archive takes bytes");
    array.extend(vec![7u8; 64 * count as usize]).expect("the archive takes bytes");
    array.finish().and_then(|()| Ok(archive.finish()?)).expect("the archive takes bytes");
}

pub(super) fn report(sandbox: &Sandbox) -> String {
    let output = sandbox.speedlab(&["report", "results/tiny"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    fs::read_to_string(sandbox.results().join("report/speedups.md")).expect("the report is there")
}

#[test]
fn a_finished_run_is_measured_anew_and_keeps_what_it_recorded() {
    // The same, measured in the other way while it was trained.
    let also = finished(&TINY.replace("every: 20", "every: 20\n    also: [{ ode: { steps: 5 } }]"));
    let sandbox = undisturbed();
    let headline = |report: &str| {
        let ends = ["| measure |", "Speedup = baseline"].into_iter().filter_map(|next| report.find(next)).min();
        report[..ends.expect("something follows")].trim().to_owned()
    };
    let before = report(&sandbox);
    assert!(!before.contains("| measure |"), "{before}");
    let runs = runs_of(&sandbox, "baseline");
    let folder = sandbox.path().join(&runs[0]);
    let recorded = files(&folder);

    let arguments = [&runs[0], "--set", "evaluate.fid.ode.steps=3,5"];
    let first = evaluate(&sandbox, &arguments);
    let evaluations = first["runs"][0]["evaluations"].as_array().unwrap();
    let of = |evaluation: &Value| (evaluation["new"].clone(), evaluation["measures"][0]["protocol"].clone());
    let protocol = |nfe| format!("digits-cnn n=80 ref=train:1442 resize=none ddim nfe={nfe} ema=0.9");
    // Its own way was recorded while it was trained.
    assert_eq!(of(&evaluations[0]), (Value::Bool(false), protocol(3).into()));
    assert_eq!(of(&evaluations[1]), (Value::Bool(true), protocol(5).into()));
    let values: Vec<f64> = evaluations.iter().map(|one| one["measures"][0]["value"].as_f64().unwrap()).collect();
    let lowest: Vec<bool> = evaluations.iter().map(|one| one["lowest_fid"].as_bool().unwrap()).collect();
    assert_eq!(lowest, [values[0] < values[1], values[1] < values[0]]);
    let study = sandbox.study();
    let run = study.runs.iter().find(|run| runs[0].ends_with(run.planned.run_id.as_str())).unwrap();
    assert_eq!(run.rows.series("fid", &protocol(3)).next_back().unwrap().value, values[0]);
    assert_eq!(
        run.later.iter().map(|row| (row.metric, row.step, row.value)).collect::<Vec<_>>(),
        [("fid", 60, values[1])]
    );
    let other = also.study();
    let same =
        |seed| other.runs.iter().find(move |other| other.planned.arm == "baseline" && other.planned.seed == seed);
    let trained = same(run.planned.seed).unwrap();
    assert_eq!(trained.rows.series("fid", &protocol(5)).next_back().unwrap().value, values[1], "bit for bit");
    assert_eq!(trained.rows.series("fid", &protocol(5)).count(), 3);

    // One file more, and everything else as it was.
    let with = files(&folder);
    assert_eq!(with.len(), recorded.len() + 1);
    assert!(recorded.iter().all(|file| with.contains(file)));
    let again = evaluate(&sandbox, &arguments);
    assert!(again["runs"][0]["evaluations"].as_array().unwrap().iter().all(|one| one["new"] == false));
    assert_eq!(again["runs"][0]["evaluations"][1]["measures"], evaluations[1]["measures"]);
    assert_eq!(files(&folder), with);

    // The report has a line for each protocol; what is compared stays.
    let after = report(&sandbox);
    assert_eq!(headline(&after), headline(&before));
    assert!(after.contains(&format!("1. `{}`\n2. `{}`\n", protocol(3), protocol(5))), "{after}");
    assert!(sandbox.curves().iter().any(|row| row.protocol == protocol(5) && row.value == values[1]));
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(files(&folder), with);
    // A number of what was measured later is shown, and is no number that training gives again.
    let list = stdout(&sandbox.speedlab(&["cell", "--list", "results/tiny", "--json"]));
    let list: Value = serde_json::from_str(&list).expect("one JSON value");
    let is_later =
        |cell: &&Value| cell["what"].as_str().is_some_and(|what| what.contains(&format!("{}`", protocol(5))));
    let cell = list["cells"].as_array().unwrap().iter().find(is_later).expect("it has an id")["id"].as_str().unwrap();
    let shown = sandbox.speedlab(&["cell", cell, "results/tiny"]);
    assert!(stdout(&shown).contains(&protocol(5)), "{}", stdout(&shown));
    assert!(stdout(&shown).contains("Measures again:\n  `speedlab evaluate RUN --set ..` does"), "{}", stdout(&shown));
    let output = sandbox.speedlab(&["cell", cell, "results/tiny", "--rerun"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("was measured after its runs had ended"), "{}", stderr(&output));

    // The study that measured both while it trained has the same lines.
    assert!(report(&also).contains(&format!("2. `{}`\n", protocol(5))));

    // In words, of two runs of an arm, of which one is named twice.
    let again = format!("./{}", runs[0]);
    let output = sandbox.speedlab(&["evaluate", &runs[0], &again, &runs[1], "--set", "evaluate.fid.ode.steps=3,5"]);
    let text = stdout(&output);
    assert!(
        text.contains("fid.ode.steps") && text.contains("lowest FID") && text.contains("recorded before"),
        "{text}"
    );
    assert!(text.contains("baseline: the lowest median FID of 2 runs is "), "{text}");
    assert!(
        stderr(&output).contains("note: `speedlab report results/tiny` shows the new values"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn images_are_measured_in_bf16_where_the_processor_has_it_beside_f32_and_never_instead() {
    let with =
        |fid: &str| TINY.replace("seeds: 2", "seeds: 1").replace("every: 20", &format!("every: 20\n    also: [{fid}]"));
    let sweep = with("{ precision: bf16 }");
    if !multiplies_bf16() {
        let sandbox = Sandbox::new(&sweep);
        let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("the sweep asks for `evaluate.fid.precision: bf16`, which cpu"), "{said}");
        assert!(!sandbox.results().join("runs").exists(), "nothing was trained");
        eprintln!("what is measured was skipped: this processor does not multiply in bf16");
        return;
    }
    let (sandbox, plain) = (finished(&sweep), finished(&TINY.replace("seeds: 2", "seeds: 1")));
    let exact = "digits-cnn n=80 ref=train:1442 resize=none ddim nfe=3 ema=0.9";
    let rounded = exact.replace("resize=none", "resize=none precision=bf16");
    let value = |sandbox: &Sandbox, protocol: &str| {
        let study = sandbox.study();
        let run = study.runs.iter().find(|run| run.planned.arm == "baseline").unwrap();
        run.rows.series("fid", protocol).next_back().map(|point| point.value)
    };
    // What is compared is f32, as if nothing else were measured.
    let in_f32 = value(&sandbox, exact).expect("it is measured in f32");
    assert_eq!(value(&plain, exact), Some(in_f32));
    let in_bf16 = value(&sandbox, &rounded).expect("it is measured in bf16");
    assert!(in_bf16 != in_f32 && (in_bf16 / in_f32 - 1.0).abs() < 0.05, "{in_bf16}, {in_f32}");
    // After a run has ended it is the same value.
    let run = runs_of(&plain, "baseline").remove(0);
    let found = evaluate(&plain, &[&run, "--set", "evaluate.fid.precision=f32,bf16"]);
    let evaluations = found["runs"][0]["evaluations"].as_array().unwrap();
    let of = |index: usize| (&evaluations[index]["new"], evaluations[index]["measures"][0].clone());
    assert_eq!(of(0).0, false);
    let (new, measure) = of(1);
    assert_eq!((new, &measure["protocol"], &measure["value"]), (&true.into(), &rounded.into(), &in_bf16.into()));
    // Neither is the lowest of both: they are not compared.
    assert!(evaluations.iter().all(|evaluation| evaluation["lowest_fid"] == false), "{evaluations:?}");
    // `fid` names it too.
    let output =
        plain.speedlab(&["fid", &run, "digits", "--features", "digits-cnn", "--samples", "80", "--precision", "bf16"]);
    assert!(stdout(&output).contains("protocol  digits-cnn resize=none precision=bf16 n=80"), "{}", stderr(&output));
}

#[test]
fn other_weights_measures_and_losses_are_added_too() {
    let sandbox = finished(&TINY.replace("seeds: 2", "seeds: 1"));
    let run = runs_of(&sandbox, "baseline").remove(0);
    let found = evaluate(
        &sandbox,
        &[
            &run,
            "--set",
            "evaluate.weights=both",
            "--set",
            "evaluate.measures=[kid],[]",
            "--set",
            "evaluate.validation.images=4",
        ],
    );
    let names = |index: usize| -> Vec<(String, String)> {
        let measures = found["runs"][0]["evaluations"][index]["measures"].as_array().unwrap();
        let text = |measure: &Value, key: &str| measure[key].as_str().unwrap().to_owned();
        measures.iter().map(|measure| (text(measure, "metric"), text(measure, "protocol"))).collect()
    };
    let fid = "digits-cnn n=80 ref=train:1442 resize=none ddim nfe=3 ema=0.9";
    let (kid, loss) = (format!("{fid} subsets=100x80"), "mse ref=test n=4 bins=4 ema=0.9");
    let averaged = [("fid", fid), ("kid", &kid), ("kid_se", &kid), ("validation_loss", loss)];
    let raw = averaged.map(|(metric, protocol)| (metric.to_owned(), protocol.replace("ema=0.9", "raw")));
    let averaged = averaged.map(|(metric, protocol)| (metric.to_owned(), protocol.to_owned()));
    assert_eq!(names(0), [averaged.as_slice(), &raw].concat());
    let only = |names: [(String, String); 4]| [names[0].clone(), names[3].clone()];
    assert_eq!(names(1), [only(averaged), only(raw)].concat());
    // What the second asks for is part of what the first has found.
    assert_eq!(found["runs"][0]["evaluations"][1]["new"], false);
    let study = sandbox.study();
    let later: Vec<&str> = study.runs[0].later.iter().map(|row| row.metric).collect();
    // That of the averaged weights is the run's own.
    assert_eq!(later.iter().filter(|metric| **metric == "fid").count(), 1, "{later:?}");
    assert_eq!(later.iter().filter(|metric| **metric == "validation_loss/3").count(), 2, "{later:?}");
}

#[test]
fn what_cannot_be_measured_again_is_refused_with_a_reason() {
    let sandbox = finished(&TINY.replace("seeds: 2", "seeds: 1"));
    let run = runs_of(&sandbox, "baseline").remove(0);
    let folder = RunFolder { path: sandbox.path().join(&run) };
    let refused = |arguments: &[&str], message: &str| {
        let output = sandbox.speedlab(&[&["evaluate"], arguments].concat());
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    };
    refused(&[&run], "--set <KEY=VALUE,..>");
    refused(&[&run, "--set", "train.steps=3"], "`train.steps` cannot be another after training\nhint: ");
    refused(&[&run, "--set", "evaluate.fid.ode.step=3"], "did you mean `steps`?");
    refused(&[&run, "--set", "evaluate.fid.samples=1"], "`evaluate.fid.samples` must be at least 2, not 1");
    refused(&[&run, "--set", "evaluate.fid.guidance=2"], "`evaluate.fid.guidance` needs a model that is told classes");
    refused(&["results/tiny", "--set", "evaluate.fid.samples=90"], "results/tiny is no run's folder");
    let samples = ["--set", "evaluate.fid.samples=90"];
    let with_samples = [&[run.as_str()][..], &samples].concat();
    // A damaged record is left alone.
    let evaluation = evaluate(&sandbox, &with_samples);
    assert_eq!(evaluation["runs"][0]["evaluations"][0]["new"], true);
    let path = folder.evaluation_files().unwrap().remove(0);
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replace("\"samples\": 90", "\"samples\": 91")).unwrap();
    refused(&with_samples, "is damaged: it was changed after it was written");
    // Arms are compared by what the run recorded itself, and are compared still.
    let output = sandbox.speedlab(&["report", "results/tiny"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("that were measured later are left out: ") && said.contains("hint: put back a copy"),
        "{said}"
    );
    assert!(sandbox.study().damaged().next().is_none());
    fs::write(&path, whole).unwrap();
    fs::rename(folder.checkpoint(), sandbox.path().join("kept")).unwrap();
    refused(&with_samples, "has kept no weights: there is no ");
    fs::rename(sandbox.path().join("kept"), folder.checkpoint()).unwrap();
    fs::remove_file(folder.path.join("DONE")).unwrap();
    refused(&with_samples, "has not ended\nhint: `speedlab run` goes on with it");
}

#[test]
fn merged_and_bundled_records_have_the_evaluations_of_all_machines() {
    let sandbox = finished(&TINY.replace("seeds: 2", "seeds: 1"));
    let copy = |from: &str, to: &str| {
        for (path, bytes) in files(&sandbox.path().join(from)) {
            let place = sandbox.path().join(to).join(path.strip_prefix(sandbox.path().join(from)).unwrap());
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, bytes).unwrap();
        }
    };
    copy("results/tiny", "other/tiny");
    let run = runs_of(&sandbox, "baseline").remove(0);
    let other = run.replace("results/", "other/");
    evaluate(&sandbox, &[&run, "--set", "evaluate.fid.samples=90"]);
    evaluate(&sandbox, &[&other, "--set", "evaluate.fid.samples=90,100"]);
    let output = sandbox.speedlab(&["merge", "results/tiny", "other/tiny", "--into", "all/tiny"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let merged = RunFolder { path: sandbox.path().join(run.replace("results/", "all/")) };
    let found = merged.read_evaluations().unwrap();
    let mut samples: Vec<usize> = found.iter().map(|(_, found)| found.evaluate.fid.samples).collect();
    samples.sort_unstable();
    assert_eq!(samples, [90, 100]);

    let output = sandbox.speedlab(&["bundle", "all/tiny", "--out", "tiny.zip"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = sandbox.speedlab(&["verify", "tiny.zip"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // The same settings with other values are no copy.
    let (_, mut changed) = found.iter().find(|(_, found)| found.evaluate.fid.samples == 90).unwrap().clone();
    // Something else by the same settings is no contradiction; both are kept.
    let mut kid = changed.clone();
    kid.measures[0].metric = "kid".into();
    RunFolder { path: sandbox.path().join(&other) }.write_evaluation(&kid).unwrap();
    let output = sandbox.speedlab(&["merge", "results/tiny", "other/tiny", "--into", "all/tiny"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(merged.read_evaluations().unwrap().len(), 3);
    changed.measures[0].value += 1.0;
    RunFolder { path: sandbox.path().join(&other) }.write_evaluation(&changed).unwrap();
    let output = sandbox.speedlab(&["merge", "results/tiny", "other/tiny", "--into", "again/tiny"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains(" was measured with other values, "), "{}", stderr(&output));
}

#[test]
fn a_reference_file_gives_the_distance_to_the_images_that_it_is_of() {
    let sandbox = Sandbox::new(TINY);
    let output = sandbox.speedlab(&["fid", "digits", "--features", "digits-cnn", "--save", "digits.npz", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let sweep =
        TINY.replace("seeds: 2", "seeds: 1").replace("  clts: { timestep_sampler: { kind: curriculum } }\n", "");
    let sweep = sweep.replace("every: 20", "every: 20\n    also: [{ reference: file, reference_file: digits.npz }]");
    fs::write(sandbox.path().join("sweep.yaml"), &sweep).unwrap();
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let study = sandbox.study();
    let run = &study.runs[0];
    let digest = &run.planned.spec.evaluate.also[0].reference_sha256;
    let protocol = |reference: &str| format!("digits-cnn n=80 ref={reference} resize=none ddim nfe=3 ema=0.9");
    let last = |reference: &str| {
        let found = run.rows.series("fid", &protocol(reference)).next_back();
        found.unwrap_or_else(|| panic!("{:?}", run.rows.names().collect::<Vec<_>>())).value
    };
    assert_eq!(last(&format!("file@{}", &digest[..12])), last("train:1442"));

    // The content is the run's, and the path is not.
    let plan = |sweep: &str| -> String {
        fs::write(sandbox.path().join("other.yaml"), sweep).unwrap();
        let output = sandbox.speedlab(&["plan", "other.yaml", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let json: Value = serde_json::from_str(&stdout(&output)).expect("one JSON value");
        json.to_string()
    };
    let run_id = run.planned.run_id.as_str();
    fs::copy(sandbox.path().join("digits.npz"), sandbox.path().join("copy.npz")).unwrap();
    assert!(plan(&sweep).contains(run_id));
    assert!(plan(&sweep.replace("digits.npz", "copy.npz")).contains(run_id));
    let output = sandbox.speedlab(&["fid", "digits:test", "--features", "digits-cnn", "--save", "copy.npz", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!plan(&sweep.replace("digits.npz", "copy.npz")).contains(run_id));

    // A file that does not fit is refused before anything is trained.
    let refused = |file: &str, more: &str, message: &str| {
        let with = sweep.replace("digits.npz", file).replace("grid_images: 4", &format!("grid_images: 4{more}"));
        fs::write(sandbox.path().join("other.yaml"), with.replace("name: tiny", "name: other")).unwrap();
        let output = sandbox.speedlab(&["run", "other.yaml", "--quiet"]);
        assert!(stderr(&output).contains(message) && stderr(&output).contains("hint: "), "{}", stderr(&output));
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    };
    refused("nowhere.npz", "", "`evaluate.also.reference_file`: cannot read nowhere.npz");
    refused("sweep.yaml", "", "`evaluate.fid.reference_file`, sweep.yaml: it is no .npz");
    images(&sandbox.path().join("copy.npz"), 1);
    refused("copy.npz", "", "it holds 1 images as `arr_0`, and a Fréchet distance needs at least 2");
    let output = sandbox.speedlab(&["plan", "other.yaml"]);
    assert!(
        stdout(&output).contains("no run can start yet: `evaluate.fid.reference_file`, copy.npz"),
        "{}",
        stdout(&output)
    );
    let output = sandbox.speedlab(&["fid", "digits:test", "--features", "digits-cnn", "--save", "copy.npz", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    refused(
        "copy.npz",
        "\n    measures: [kid]",
        "it holds no images, and `evaluate.measures` asks for what compares each",
    );
    let output = sandbox.speedlab(&["fid", "digits", "--features", "pixels-8x8", "--save", "copy.npz", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    refused(
        "copy.npz",
        "",
        "it was made with pixels-8x8 resize=none, and `evaluate.fid` asks for digits-cnn resize=none",
    );
}

#[test]
fn a_users_encoder_measures_runs_and_its_file_is_part_of_what_they_are() {
    let sandbox = Sandbox::new(TINY);
    let folder = sandbox.path();
    let [clip, dinov2] = ["clip", "dinov2 of its authors"].map(|name| crate::vit::small_weights(folder, name));
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let (clip, dinov2) = (name(&clip), name(&dinov2));
    let sweep =
        TINY.replace("seeds: 2", "seeds: 1").replace("  clts: { timestep_sampler: { kind: curriculum } }\n", "");
    let sweep = sweep.replace("every: 20", "every: 20\n    measures: [kid, cmmd, precision_recall]");
    let with = |fid: &str| sweep.replace("fid: {", &format!("fid: {{ {fid},"));
    let of_clip = with(&format!("features: clip, weights: {clip}, reference: test"));
    fs::write(folder.join("sweep.yaml"), &of_clip).unwrap();
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let study = sandbox.study();
    let run = &study.runs[0];
    let digest = run.planned.spec.evaluate.fid.weights_sha256[..12].to_owned();
    let names: Vec<String> = run.rows.names().map(|(metric, protocol)| format!("{metric} {protocol}")).collect();
    let expected = format!("clip-vit-128x2-14-56@{digest} n=80 ref=test:355 resize=pillow ddim nfe=3 ema=0.9");
    for wanted in ["fid ".to_owned() + &expected, format!("cmmd {expected} sigma=10")] {
        assert!(names.contains(&wanted), "{wanted} is none of {names:?}");
    }

    let plan = |sweep: &str| {
        fs::write(folder.join("other.yaml"), sweep.replace("name: tiny", "name: other")).unwrap();
        sandbox.speedlab(&["plan", "other.yaml", "--json"])
    };
    // The content is the run's, and the path is not.
    fs::copy(folder.join(&clip), folder.join("copy.safetensors")).unwrap();
    let moved = plan(&of_clip.replace(&clip, "copy.safetensors"));
    assert!(stdout(&moved).contains(run.planned.run_id.as_str()), "{}", stderr(&moved));
    // What does not fit is refused before anything is trained.
    let refused = |sweep: &str, message: &str| {
        fs::write(folder.join("other.yaml"), sweep.replace("name: tiny", "name: other")).unwrap();
        let output = sandbox.speedlab(&["run", "other.yaml", "--quiet"]);
        assert!(stderr(&output).contains(message) && stderr(&output).contains("hint: "), "{}", stderr(&output));
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    };
    let of_dinov2 = with(&format!("features: dinov2, weights: {dinov2}"));
    refused(&of_dinov2, "`cmmd` is made of features `clip`, not of `dinov2`");
    refused(
        &of_dinov2.replace(", cmmd", "").replace(&dinov2, "nowhere.pth"),
        "`evaluate.fid.weights`: cannot read nowhere.pth",
    );
    refused(
        &of_dinov2.replace(", cmmd", "").replace(&dinov2, "sweep.yaml"),
        "sweep.yaml is neither a safetensors file nor",
    );
    refused(
        &of_dinov2.replace(", cmmd", "").replace(&dinov2, &clip),
        "holds an encoder of features `clip`, and `dinov2` are asked for",
    );
    refused(
        &of_dinov2.replace("kid, cmmd", "fid_infinity"),
        "`fid_infinity` needs at least 384 generated images, not 80: three for each of the 128 values of `dinov2-vit-128x2-14`",
    );
}
