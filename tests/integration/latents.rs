//! Latents as a user trains on them: pictures are encoded, a network is trained on their latents, and what it generates is decoded.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::autoencoder::small_autoencoder;
use crate::sandbox::{Sandbox, stderr, stdout};

pub const SWEEP: &str = "\
name: tiny
question: Does a shift help on latents?
base:
  data: { kind: latents, path: latents, side: 8, classes: 2, held_out: 12, horizontal_flips: true, moments: true, scale: 0.5, decoder: vae }
  model: { kind: dit, patch: 4, dim: 32, depth: 1, heads: 2, class_conditional: true }
  noise_schedule: { kind: rectified_flow }
  parameterization: v
  train: { steps: 20, batch_size: 8, ema_decay: 0.9, log_every: 5 }
  evaluate:
    every: 10
    grid_images: 4
    validation: { bins: 4, images: 8 }
    consistency: { images: 4 }
    measures: [kid]
    fid: { samples: 16, features: pixels-8x8, reference: test, ode: { kind: euler, steps: 3 } }
arms:
  baseline: {}
  shifted: { timestep_sampler: { kind: shifted } }
seeds: 1
compare: { baseline: baseline, metric: fid }
";

/// 40 pictures of stripes in two classes, and an autoencoder of few channels with weights from a formula.
pub fn sandbox(sweep: &str) -> Sandbox {
    let sandbox = Sandbox::new(sweep);
    for index in 0..20u32 {
        for (class, width) in [("coarse", 9), ("fine", 3)] {
            let path = sandbox.path().join("pictures").join(class).join(format!("{index:02}.png"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let pixel = |x: u32, y: u32| {
                let stripe = if ((x + index * y / 10) / width).is_multiple_of(2) { 40 } else { 200 };
                image::Rgb([stripe, (stripe + index as u8).wrapping_mul(3) / 4, 255 - stripe])
            };
            image::RgbImage::from_fn(64, 64, pixel).save(path).unwrap();
        }
    }
    let folder = sandbox.path().join("vae");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("diffusion_pytorch_model.safetensors"), small_autoencoder()).unwrap();
    fs::write(folder.join("config.json"), r#"{"_class_name": "AutoencoderKL", "scaling_factor": 0.5}"#).unwrap();
    sandbox
}

pub const ENCODE: [&str; 17] = [
    "data",
    "encode",
    "--vae",
    "vae",
    "--data",
    "pictures",
    "--classes",
    "2",
    "--side",
    "64",
    "--out",
    "latents",
    "--take",
    "moments",
    "--flips",
    "--shard",
    "16",
];

pub fn speedlab(sandbox: &Sandbox, args: &[&str]) -> std::process::Output {
    sandbox.command(args).env("SPEEDLAB_DATA", sandbox.path().join("data")).output().expect("the program starts")
}

#[track_caller]
pub fn succeeds(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = speedlab(sandbox, args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    stdout(&output)
}

#[track_caller]
pub fn is_refused(sandbox: &Sandbox, args: &[&str], expected: &str) {
    let output = speedlab(sandbox, args);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
    assert!(stderr(&output).contains(expected), "{args:?}: {}\nlacks {expected}", stderr(&output));
}

pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn pictures_are_encoded_trained_on_and_decoded_before_they_are_measured() {
    let sandbox = sandbox(SWEEP);
    let said = succeeds(&sandbox, &ENCODE);
    let latents = sandbox.path().join("latents");
    let whole = files(&latents);
    let names: Vec<&str> = whole.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["encoded.json", "latents-00000.safetensors", "latents-00001.safetensors", "latents-00002.safetensors"]
    );
    assert!(said.starts_with("latents: 40 latents of 4x8x8 in 3 files\n"), "{said}");
    let data = "data: { kind: latents, path: latents, channels: 4, side: 8, scale: 0.5, classes: 2, moments: true, horizontal_flips: true, decoder: vae }";
    assert_eq!(said.lines().last(), Some(data));

    // As a command leaves it that was killed in its second shard.
    let manifest = fs::read_to_string(latents.join("encoded.json")).unwrap();
    let mut stopped: Value = serde_json::from_str(&manifest).unwrap();
    stopped["complete"] = false.into();
    stopped["shards"].as_array_mut().unwrap().truncate(1);
    fs::write(latents.join("encoded.json"), stopped.to_string()).unwrap();
    fs::remove_file(latents.join("latents-00002.safetensors")).unwrap();
    fs::write(latents.join("latents-00001.partial"), "half").unwrap();
    is_refused(&sandbox, &["run", "sweep.yaml"], "latents has 1 of 3 shards: encoding was stopped");
    is_refused(
        &sandbox,
        &[&ENCODE[..], &["--seed", "1"]].concat(),
        "holds latents of other pictures, weights or settings",
    );
    succeeds(&sandbox, &[&ENCODE[..], &["-q"]].concat());
    assert!(files(&latents) == whole, "what was stopped goes on and ends with the same bytes");

    succeeds(&sandbox, &["run", "sweep.yaml", "--quiet", "--device", "cpu"]);
    let curves = sandbox.curves();
    let protocols = |metric: &str| -> BTreeSet<String> {
        curves.iter().filter(|row| row.metric == metric).map(|row| row.protocol.to_string()).collect()
    };
    let fid = protocols("fid");
    assert_eq!(fid.len(), 1, "{fid:?}");
    let fid = fid.first().unwrap();
    assert!(fid.starts_with("pixels-8x8 n=16 ref=test:12@"), "{fid}");
    assert!(fid.contains(" resize=none decoder=@") && fid.ends_with(" euler nfe=3 ema=0.9 classes=balanced"), "{fid}");
    assert!(protocols("kid").first().unwrap().starts_with(fid.as_str()));
    assert!(protocols("validation_loss").first().unwrap().starts_with("mse of=velocity ref=test@"));
    assert!(curves.iter().all(|row| row.value.is_finite()));

    // Pictures, not latents, are drawn and kept; the decoded reference is kept for the runs that follow.
    for run in &sandbox.study().runs {
        let (_, png) = run.samples.last().unwrap();
        let grid = image::open(png).unwrap();
        assert_eq!((grid.width(), grid.height()), (4 * 66 + 2, 66 + 2));
        assert!(grid.as_rgb8().is_some());
        assert_eq!(run.consistency.len(), 1);
    }
    let kept = files(&sandbox.path().join("data/statistics"));
    assert_eq!(kept.len(), 1);
    assert!(kept[0].0.starts_with("pixels-8x8_none_own_"), "{}", kept[0].0);

    let run = sandbox.study().runs[0].planned.run_id.to_string();
    let run = format!("results/tiny/runs/{run}");
    succeeds(&sandbox, &["sample", &run, "--images", "2", "--out", "two.png"]);
    let two = image::open(sandbox.path().join("two.png")).unwrap();
    assert_eq!((two.width(), two.height()), (2 * 66 + 2, 66 + 2));
    let found = succeeds(&sandbox, &["fid", &run, "pictures", "--features", "pixels-8x8", "--samples", "8", "--json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    assert!(found["value"].as_f64().unwrap() > 0.0, "{found}");
    let plan: Value = serde_json::from_str(&succeeds(&sandbox, &["plan", "sweep.yaml", "--json"])).unwrap();
    assert!(plan["runs"].as_array().unwrap().iter().all(|run| run["state"] != "waiting"), "{plan}");
}

#[test]
fn real_pictures_may_be_the_reference_of_decoded_latents() {
    let sweep = SWEEP
        .replace("reference: test", "reference: folder, reference_folder: pictures")
        .replace(", horizontal_flips: true, moments: true", "")
        .replace("    measures: [kid]\n", "")
        .replace("steps: 20", "steps: 10");
    let sandbox = sandbox(&sweep);
    let latents =
        ["data", "encode", "--vae", "vae", "--data", "pictures", "--classes", "2", "--side", "64", "--out", "latents"];
    succeeds(&sandbox, &latents);
    succeeds(&sandbox, &["run", "sweep.yaml", "--quiet", "--device", "cpu"]);
    let curves = sandbox.curves();
    let row = curves.iter().find(|row| row.metric == "fid").unwrap();
    assert!(
        row.protocol.starts_with("pixels-8x8 n=16 ref=folder:40@") && row.protocol.contains(" decoder=@"),
        "{row:?}"
    );
}

#[test]
fn latents_without_a_decoder_are_measured_as_they_are_and_are_no_pictures() {
    let sweep = SWEEP
        .replace(", decoder: vae", "")
        .replace("    consistency: { images: 4 }\n", "")
        .replace(", horizontal_flips: true, moments: true", "");
    let sandbox = sandbox(&sweep);
    succeeds(&sandbox, &[&ENCODE[..12], &["-q"]].concat());
    succeeds(&sandbox, &["run", "sweep.yaml", "--quiet", "--device", "cpu"]);
    let curves = sandbox.curves();
    let row = curves.iter().find(|row| row.metric == "fid").unwrap();
    assert!(row.protocol.contains(" resize=none of=latents euler nfe=3 "), "{row:?}");
    let study = sandbox.study();
    let (_, png) = study.runs[0].samples.last().unwrap();
    assert!(image::open(png).unwrap().as_rgb8().is_some());
    let run = format!("results/tiny/runs/{}", study.runs[0].planned.run_id);
    let output = speedlab(&sandbox, &["sample", &run]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("its sweep names no decoder of them\nhint: "), "{}", stderr(&output));
    is_refused(
        &sandbox,
        &["plan", "sweep.yaml", "--set", "base.evaluate.fid.features=inception-v3"],
        "features `inception-v3` are of pictures, and latents without `data.decoder` are none",
    );
}

#[test]
fn decoders_and_pictures_that_do_not_fit_are_refused_before_anything_starts() {
    let sandbox = sandbox(SWEEP);
    succeeds(&sandbox, &[&ENCODE[..], &["-q"]].concat());
    let run = |set: &str, expected: &str| is_refused(&sandbox, &["run", "sweep.yaml", "--set", set], expected);
    run("base.data.decoder=nowhere", "error: `data.decoder`: cannot read the autoencoder nowhere: ");
    run(
        "base.data.scale=0.18215",
        "has the scaling_factor 0.5 in its config.json, and `data.scale` is 0.18215\nhint: ",
    );
    run("base.data.side=16", "has the moments of shape [16, 8, 8, 8], and [n, 8, 16, 16] is wanted\nhint: ");
    let weights = sandbox.path().join("vae/diffusion_pytorch_model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() - 1]).unwrap();
    run("seeds=1", "it is no whole safetensors file: ");
    let encode = |changes: &[&str], expected: &str| is_refused(&sandbox, &[&ENCODE[..], changes].concat(), expected);
    encode(
        &[],
        "error: `--vae`: the autoencoder vae/diffusion_pytorch_model.safetensors: it is no whole safetensors file: ",
    );
    fs::write(&weights, whole).unwrap();
    encode(&["--classes", "2"], "cannot be used multiple times");
    let other = ["data", "encode", "--vae", "vae", "--out", "other", "--data"];
    let encode = |changes: &[&str], expected: &str| is_refused(&sandbox, &[&other[..], changes].concat(), expected);
    encode(
        &["pictures", "--side", "60"],
        "error: `--side`: pictures of 60x60 pixels have no latents of whole pixels\nhint: ",
    );
    encode(&["pictures", "--classes", "3"], "pictures has 2 class folders, but --classes is 3\nhint: set --classes to");
    encode(
        &["nothing"],
        "there is no folder nothing, and no set of that name\nhint: name a folder of pictures, or cifar10",
    );
    encode(&["mnist"], "there is no folder mnist, and no set of that name");
    encode(&["cifar10", "--side", "64"], "--side and --classes are of folders, and cifar10 has its own\nhint: ");
    fs::create_dir(sandbox.path().join("empty")).unwrap();
    encode(&["empty"], "error: `--data`: there are no pictures in empty\nhint: ");
    assert!(!sandbox.path().join("other").exists(), "nothing was written");
}

#[test]
fn what_is_damaged_is_encoded_again_and_labels_are_of_classes() {
    let sandbox = sandbox(SWEEP);
    succeeds(&sandbox, &ENCODE);
    let latents = sandbox.path().join("latents");
    let whole = files(&latents);
    let shard = latents.join("latents-00001.safetensors");
    let mut bytes = fs::read(&shard).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&shard, bytes).unwrap();
    let expected = "latents-00001.safetensors is not as it was encoded: encoded.json there has another sha256\nhint: give the same `speedlab data encode` again";
    is_refused(&sandbox, &["run", "sweep.yaml", "--device", "cpu"], expected);
    // The folder may be written in another way.
    let again: Vec<&str> = ENCODE.iter().map(|&word| if word == "pictures" { "./pictures/" } else { word }).collect();
    succeeds(&sandbox, &again);
    assert!(files(&latents) == whole, "what was damaged is as it was");
    fs::remove_file(&shard).unwrap();
    is_refused(&sandbox, &["run", "sweep.yaml", "--device", "cpu"], "latents lacks latents-00001.safetensors, which");
    succeeds(&sandbox, &ENCODE);
    assert!(files(&latents) == whole, "what was missing is as it was");

    let without: Vec<&str> = ENCODE
        .iter()
        .filter(|word| !["--classes", "2"].contains(word))
        .map(|&word| if word == "latents" { "unlabelled" } else { word })
        .collect();
    succeeds(&sandbox, &without);
    is_refused(
        &sandbox,
        &["run", "sweep.yaml", "--set", "base.data.path=unlabelled"],
        "has no tensor `labels`, and `data.classes` is 2",
    );
}

#[test]
fn other_latents_or_another_decoder_under_the_same_name_are_refused() {
    let sweep = SWEEP.replace("steps: 20", "steps: 10");
    let sandbox = sandbox(&sweep);
    succeeds(&sandbox, &ENCODE);
    succeeds(&sandbox, &["run", "sweep.yaml", "--quiet", "--device", "cpu"]);
    let record = sandbox.study();
    let started = record.runs[0].attempts.last().unwrap();
    assert_eq!((started.data_sha256.len(), started.decoder_sha256.len()), (64, 64));

    let more = ["run", "sweep.yaml", "--quiet", "--device", "cpu", "--set", "seeds=2"];
    let config = sandbox.path().join("vae/config.json");
    let whole = fs::read_to_string(&config).unwrap();
    fs::write(&config, whole.replace('}', r#", "norm_num_groups": 16}"#)).unwrap();
    is_refused(&sandbox, &more, "error: `data.decoder`: vae is not what results/tiny/runs/");
    let plan = succeeds(&sandbox, &["plan", "sweep.yaml", "--set", "seeds=2"]);
    let note = "the latents of `data.path`, latents, were encoded by another autoencoder than `data.decoder`, vae";
    assert!(plan.contains(note), "{plan}");
    fs::remove_file(&config).unwrap();
    let plan = succeeds(&sandbox, &["plan", "sweep.yaml", "--set", "seeds=2"]);
    assert!(plan.contains("has no config.json beside it: its norms are taken to have 32 groups"), "{plan}");
    fs::write(&config, whole).unwrap();

    fs::remove_dir_all(sandbox.path().join("latents")).unwrap();
    let other: Vec<&str> = ENCODE.iter().map(|&word| if word == "pictures" { "others" } else { word }).collect();
    fs::rename(sandbox.path().join("pictures/fine"), sandbox.path().join("fine")).unwrap();
    fs::rename(sandbox.path().join("pictures"), sandbox.path().join("others")).unwrap();
    fs::rename(sandbox.path().join("fine"), sandbox.path().join("others/a")).unwrap();
    succeeds(&sandbox, &other);
    is_refused(&sandbox, &more, "error: `data`: latents is not what results/tiny/runs/");

    let weights = sandbox.path().join("vae/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    // The first tensor is one of the decoder's.
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[start..start + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&weights, bytes).unwrap();
    is_refused(&sandbox, &more, "tensor `decoder.conv_in.bias` holds NaN");
}
