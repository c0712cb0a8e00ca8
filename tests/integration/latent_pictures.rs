//! Tokens of latents that are aligned with what an encoder sees in the pictures of which the latents are.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use burn::tensor::Device;
use safetensors::SafeTensors;
use serde_json::{Value as Json, json};
use speedlab::data::{self, BatchSettings, BatchSource, DataFolder, LatentShard, write_latents};
use speedlab::evaluate::{AutoencoderFile, SpatialEncoder};
use speedlab::model::autoencoder::{AutoencoderHalf, Direction};
use speedlab::plan::plan_text;
use speedlab::spec::RunSpec;
use speedlab::study::training_flops;
use speedlab::train::{PatchFeatures, Trainer};

use crate::latents::{ENCODE, SWEEP, files, is_refused, sandbox, speedlab, succeeds};
use crate::sandbox::{Sandbox, stderr};

const SHIFTED: &str = "  shifted: { timestep_sampler: { kind: shifted } }\n";
const ALIGNED: &str = "  aligned:
    auxiliary_losses:
      alignment:
        { weight: 0.5, block: 1, hidden: 8, encoder: { kind: dinov2, channels: 64 }, weights: small.pth, pictures: pictures }
";

/// Two arms, of which one is aligned.
fn aligned_sweep() -> String {
    let sweep = SWEEP.replace(SHIFTED, ALIGNED).replace("steps: 20", "steps: 10");
    sweep.replace("    measures: [kid]\n", "").replace("    consistency: { images: 4 }\n", "")
}

/// With encoded latents, and DINOv2 of 64 channels that sees 4x4 pixels.
fn encoded(sweep: &str) -> Sandbox {
    // All tests have the same latents, which take longer than what is tested.
    static ENCODED: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    let shards = ENCODED.get_or_init(|| {
        let sandbox = sandbox(sweep);
        succeeds(&sandbox, &[&ENCODE[..], &["-q"]].concat());
        files(&sandbox.path().join("latents"))
    });
    let sandbox = sandbox(sweep);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/weights/dinov2.pth");
    fs::copy(golden, sandbox.path().join("small.pth")).unwrap();
    fs::create_dir(sandbox.path().join("latents")).unwrap();
    for (name, bytes) in shards {
        fs::write(sandbox.path().join("latents").join(name), bytes).unwrap();
    }
    sandbox
}

/// The means in a shard of moments, as a shard of latents without labels and sums.
fn write_means(shard: &Path, to: &Path) {
    let bytes = fs::read(shard).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let means = |name: &str| -> Vec<f32> {
        let values =
            file.tensor(name).unwrap().data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        values.collect::<Vec<f32>>().chunks_exact(512).flat_map(|moments| moments[..256].to_vec()).collect()
    };
    let (values, flipped) = (means("moments"), means("moments_flip"));
    let (values, flipped) = (&values[..], &flipped[..]);
    let shard = LatentShard { name: "latents", shape: [4, 8, 8], values, flipped, labels: None, pictures: &[] };
    write_latents(to, &shard).unwrap();
}

const RUN: [&str; 5] = ["run", "sweep.yaml", "--quiet", "--device", "cpu"];

#[test]
fn tokens_of_latents_follow_the_pictures_that_these_were_encoded_from() {
    let sandbox = encoded(&aligned_sweep());
    let id = |sweep: &str| plan_text(Path::new("x.yaml"), sweep, &[]).unwrap().runs[0].run_id.to_string();
    let alone = id(&aligned_sweep().replace(ALIGNED, ""));
    let before = succeeds(&sandbox, &["plan", "sweep.yaml", "--json"]);
    assert!(before.contains(&alone), "what is not aligned is the run that it was");
    assert!(!before.contains("pictures:"), "nothing is to be noted: {before}");
    succeeds(&sandbox, &RUN);
    let study = sandbox.study();
    assert_eq!(study.runs.len(), 2);
    let of = |weight: f64| {
        let run = study.runs.iter().find(|run| run.planned.spec.auxiliary_losses.alignment.weight == weight).unwrap();
        run.attempts.last().unwrap().data_sha256.clone()
    };
    assert!(of(0.0).len() == 64 && of(0.5).len() == 64 && of(0.0) != of(0.5));

    // They were compared once.
    let decoded = sandbox.path().join("data/decoded");
    let compared = || {
        let names = fs::read_dir(&decoded).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("pictures-of-latents-")).count()
    };
    assert_eq!(compared(), 1);

    // Other pictures under that name are no longer what was trained on; without sums they would be taken for those of the latents.
    let shards: Vec<_> =
        fs::read_dir(sandbox.path().join("latents")).unwrap().map(|entry| entry.unwrap().path()).collect();
    for shard in shards.iter().filter(|path| path.extension().is_some_and(|ending| ending == "safetensors")) {
        let renamed = String::from_utf8_lossy(b"\"picture_sums_1\"").replace('1', "0");
        let bytes = fs::read(shard).unwrap();
        let start = bytes.windows(renamed.len()).position(|part| part == b"\"picture_sums_1\"").expect("it has sums");
        fs::write(shard, [&bytes[..start], renamed.as_bytes(), &bytes[start + renamed.len()..]].concat()).unwrap();
    }
    fs::remove_file(sandbox.path().join("latents/encoded.json")).unwrap();
    let more = [&RUN[..], &["--set", "seeds=2"]].concat();
    let note =
        "pictures: that these are the pictures of latents, in their order, is known by their number and classes alone";
    let plan = succeeds(&sandbox, &["plan", "sweep.yaml", "--set", "seeds=2"]);
    assert!(plan.contains(note), "{plan}");
    fs::copy(sandbox.path().join("pictures/fine/03.png"), sandbox.path().join("pictures/fine/04.png")).unwrap();
    is_refused(&sandbox, &more, "error: `data`: latents with the pictures pictures is not what results/tiny/runs/");
}

#[test]
fn pictures_that_are_not_those_of_the_latents_are_refused_with_the_cure() {
    let sandbox = encoded(&aligned_sweep());
    let pictures = sandbox.path().join("pictures");
    let path = |name: &str| pictures.join(name);
    let refused = |expected: &str| is_refused(&sandbox, &RUN, expected);
    let said = "encoded.json there says that they are of pictures";

    fs::rename(path("fine/03.png"), sandbox.path().join("kept.png")).unwrap();
    refused(&format!(
        "error: `auxiliary_losses.alignment.pictures`: pictures has 39 pictures, and latents has 40 latents\n\
         hint: name all pictures that they were encoded from, and no others; {said}"
    ));
    let plan = succeeds(&sandbox, &["plan", "sweep.yaml"]);
    assert!(plan.contains("no run can start yet: `auxiliary_losses.alignment.pictures`: pictures has 39"), "{plan}");

    // As many, of other classes.
    fs::copy(sandbox.path().join("kept.png"), path("coarse/99.png")).unwrap();
    refused(
        "`auxiliary_losses.alignment.pictures`: pictures/coarse/99.png, picture 21 of 40, is of class 0, and its latent of class 1\n\
         hint: name the pictures that the latents were encoded from, or encode these: speedlab data encode;",
    );
    fs::remove_file(path("coarse/99.png")).unwrap();

    // Two of one class that have each other's names.
    fs::rename(path("fine/05.png"), path("fine/03.png")).unwrap();
    fs::copy(sandbox.path().join("kept.png"), path("fine/05.png")).unwrap();
    refused(
        "`auxiliary_losses.alignment.pictures`: pictures/fine/03.png, picture 24 of 40, is the picture of latent 26 of latents: they are in \
         another order\nhint: they are taken by the names of folders and files: give them their names back;",
    );
    fs::rename(path("fine/03.png"), path("fine/05.png")).unwrap();
    fs::copy(path("coarse/00.png"), path("fine/03.png")).unwrap();
    refused("pictures/fine/03.png, picture 24 of 40, is the picture of latent 1 of latents: they are in another order");
    image::RgbImage::from_pixel(64, 64, image::Rgb([3, 4, 5])).save(path("fine/03.png")).unwrap();
    refused(
        "`auxiliary_losses.alignment.pictures`: pictures/fine/03.png, picture 24 of 40, is not what its latent of latents was encoded from\n\
         hint: name the pictures that the latents were encoded from, or encode these: speedlab data encode;",
    );

    // A folder without class folders has no classes that could differ.
    let flat = sandbox.path().join("flat");
    fs::create_dir(&flat).unwrap();
    let other = ["--set", "arms.aligned.auxiliary_losses.alignment.pictures=flat"];
    is_refused(
        &sandbox,
        &[&RUN[..], &other].concat(),
        "`auxiliary_losses.alignment.pictures`: flat has 0 pictures, and",
    );
    fs::copy(sandbox.path().join("kept.png"), path("fine/03.png")).unwrap();
    for (class, first) in [("coarse", 100), ("fine", 200)] {
        for index in 0..20 {
            let from = path(class).join(format!("{index:02}.png"));
            fs::copy(from, flat.join(format!("{}.png", first + index))).unwrap();
        }
    }
    succeeds(&sandbox, &[&["plan", "sweep.yaml"], &other[..]].concat());
    // What was put back trains, from whichever folder.
    succeeds(&sandbox, &[&RUN[..], &other].concat());

    let wrong = ["run", "sweep.yaml", "--set", "arms.aligned.auxiliary_losses.alignment.pictures=nowhere"];
    is_refused(&sandbox, &wrong, "`auxiliary_losses.alignment.pictures`: there is no folder nowhere");
    let text = fs::read_to_string(sandbox.path().join("sweep.yaml")).unwrap();
    fs::write(sandbox.path().join("sweep.yaml"), text.replace("pictures: pictures", "pictures: nowhere")).unwrap();
    let output = speedlab(&sandbox, &["plan", "sweep.yaml"]);
    let line = text.lines().position(|line| line.contains("pictures: pictures")).unwrap() + 1;
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.starts_with("error: `auxiliary_losses.alignment.pictures`: there is no folder nowhere\n")
            && said.contains(&format!("--> sweep.yaml:{line}:"))
            && said.contains("hint: paths are seen from the folder where `speedlab` is started"),
        "{said}"
    );
}

/// The spec of the aligned run of a sweep in a folder of another process, with these latents.
fn spec_in(sandbox: &Sandbox, data: Json) -> RunSpec {
    let place = |name: &str| sandbox.path().join(name).display().to_string();
    let mut latents = json!({
        "kind": "latents", "path": place("latents"), "side": 8, "classes": 2, "held_out": 12, "horizontal_flips": true, "scale": 1.0,
    });
    latents.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
    let alignment = json!({
        "weight": 0.5, "block": 1, "hidden": 8, "encoder": {"kind": "dinov2", "channels": 64},
        "weights": place("small.pth"), "pictures": place("pictures"),
    });
    let sweep = json!({
        "base": {
            "data": latents,
            "model": {"kind": "dit", "patch": 4, "dim": 32, "depth": 1, "heads": 2},
            "auxiliary_losses": {"alignment": alignment},
            "train": {"steps": 10, "batch_size": 8},
            "evaluate": {"validation": {"images": 4}, "fid": {"features": "pixels-8x8", "ode": {"kind": "euler"}}},
        },
        "seeds": 1,
    });
    plan_text(Path::new("x.yaml"), &sweep.to_string(), &[]).unwrap_or_else(|error| panic!("{error}")).runs[0]
        .spec
        .clone()
}

/// Each training latent, mirrored or not, is what the autoencoder makes of the picture that the encoder is given for it; so no held-out latent, no
/// order of shards and no flip comes between them.
#[test]
fn the_picture_of_a_latent_is_encoded_to_that_latent() {
    let sandbox = encoded(&aligned_sweep());
    let [means, others] = ["means", "others"].map(|name| sandbox.path().join(name));
    fs::create_dir(&means).unwrap();
    fs::create_dir(&others).unwrap();
    for shard in ["latents-00000.safetensors", "latents-00001.safetensors", "latents-00002.safetensors"] {
        write_means(&sandbox.path().join("latents").join(shard), &means.join(shard));
    }
    let elsewhere = others.join("held-out.safetensors");
    fs::copy(means.join("latents-00002.safetensors"), &elsewhere).unwrap();
    let folder = DataFolder::find(Some(&sandbox.path().join("data"))).unwrap();
    let file = AutoencoderFile::read(&sandbox.path().join("vae")).unwrap_or_else(|error| panic!("{}", error.problem));
    let weights = file.weights(Direction::Encode).unwrap_or_else(|error| panic!("{}", error.problem));
    let autoencoder = AutoencoderHalf::new(&weights, Direction::Encode, 8, &Device::flex()).unwrap();
    let elsewhere = elsewhere.display().to_string();
    for (data, images) in [(json!({}), 28), (json!({"held_out_path": elsewhere, "held_out": 8}), 40)] {
        let mut settings = json!({"path": means.display().to_string(), "classes": 0});
        settings.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
        let spec = spec_in(&sandbox, settings);
        let mut dataset = data::load_for(&spec, &folder, &mut |_| {}).unwrap();
        dataset.pictures = data::load_pictures(&spec, &folder, &mut |_| {}).unwrap();
        assert_eq!(dataset.train.len(), images);
        let settings = BatchSettings { sizes: spec.train.batch_sizes(), flips: true, seed: 3 };
        let mut batches = BatchSource::start(&dataset.train, settings, 0).unwrap();
        let batch = batches.next_batch();
        let names: Vec<(u32, bool)> = batch.indices.iter().copied().zip(batch.mirrored.iter().copied()).collect();
        let flips = names.iter().filter(|(_, mirrored)| *mirrored).count();
        let pixels = dataset.pictures.as_ref().unwrap().pixels(&names);
        assert_eq!(pixels.len(), 8 * 3 * 64 * 64);
        let moments = autoencoder.forward(&pixels, [3, 64]);
        let of = |moments: &[f32], latent: &[f32]| {
            let differences = moments.iter().zip(latent).map(|(found, latent)| (found - latent).abs());
            differences.fold(0.0, f32::max)
        };
        let latents: Vec<&[f32]> = batch.pixels.chunks_exact(256).collect();
        for (place, moments) in moments.chunks_exact(512).enumerate() {
            let (own, next) = (of(moments, latents[place]), of(moments, latents[(place + 1) % 8]));
            assert!(own < 1e-4 && next > 1e-2, "{:?} of {images}: {own}, another is {next} away", names[place]);
        }
        assert!((1..8).contains(&flips));
    }
}

/// Tokens are aligned with what the encoder sees in pictures of 64x64 pixels, whatever the latents; and what is kept changes nothing.
#[test]
fn features_are_of_pictures_at_their_own_size_and_a_resumed_run_has_the_same_bits() {
    let sandbox = encoded(&aligned_sweep());
    let folder = DataFolder::find(Some(&sandbox.path().join("data"))).unwrap();
    let spec = spec_in(&sandbox, json!({"moments": true}));
    let mut dataset = data::load_for(&spec, &folder, &mut |_| {}).unwrap();
    let encoder = Arc::new(SpatialEncoder::of_run(&spec, &folder).unwrap().expect("tokens are aligned"));
    dataset.encoder = Some(encoder.clone());
    let error = Trainer::new(&spec, &dataset, &Device::flex(), None, 1).err().expect("it is refused").to_string();
    assert_eq!(error, "the run aligns tokens, and nobody has loaded its `auxiliary_losses.alignment.pictures`");
    dataset.pictures = data::load_pictures(&spec, &folder, &mut |_| {}).unwrap();

    let settings = BatchSettings { sizes: spec.train.batch_sizes(), flips: true, seed: 3 };
    let batch = BatchSource::start(&dataset.train, settings, 0).unwrap().next_batch();
    let found = PatchFeatures::new(encoder.clone(), 2).of_pictures(dataset.pictures.clone()).of_batch(&batch);
    // The files in their order, of which 12 of 40 are held out.
    let names: Vec<String> = ["coarse", "fine"]
        .iter()
        .flat_map(|class| (0..20).map(move |index| format!("{class}/{index:02}.png")))
        .collect();
    let trained: Vec<&String> = names
        .iter()
        .enumerate()
        .filter(|(row, _)| (row + 1) * 12 / 40 == row * 12 / 40)
        .map(|(_, name)| name)
        .collect();
    assert_eq!(trained.len(), dataset.train.len());
    for (place, (&index, &mirrored)) in batch.indices.iter().zip(&batch.mirrored).enumerate() {
        let file = image::open(sandbox.path().join("pictures").join(trained[index as usize])).unwrap();
        let file = if mirrored { file.fliph() } else { file }.to_rgb8();
        let planes =
            (0..3).flat_map(|channel| file.pixels().map(move |pixel| f32::from(pixel.0[channel]) / 127.5 - 1.0));
        let seen = data::ImageFeatures::features(&*encoder, &planes.collect::<Vec<f32>>());
        for (patch, tokens) in seen.chunks_exact(64).enumerate() {
            let norm = tokens.iter().map(|value| value * value).sum::<f32>().sqrt();
            let of_patch = &found[(place * 4 + patch) * 64..][..64];
            let error =
                of_patch.iter().zip(tokens).map(|(found, token)| (found - token / norm).abs()).fold(0.0, f32::max);
            assert!(error < 1e-5, "patch {patch} of {}: {error}", trained[index as usize]);
        }
    }

    let losses = |trainer: &mut Trainer, count: usize| -> Vec<f64> {
        (0..count).map(|_| trainer.train_step().map_err(|diverged| diverged.0).expect("it is stable")).collect()
    };
    let trainer =
        |checkpoint| Trainer::new(&spec, &dataset, &Device::flex(), checkpoint, 1).expect("it can be trained");
    let mut whole = trainer(None);
    let all = losses(&mut whole, 6);
    let mut early = trainer(None);
    losses(&mut early, 3);
    assert_eq!(losses(&mut trainer(Some(early.checkpoint())), 3), all[3..]);
    let mut without = spec.clone();
    without.auxiliary_losses = Default::default();
    let plain = losses(&mut Trainer::new(&without, &dataset, &Device::flex(), None, 1).unwrap(), 1);
    assert!(plain[0] != all[0]);
    let flops = |spec: &RunSpec| training_flops(spec).expect("Speedlab trains").after(80);
    assert!(flops(&spec) > flops(&without), "the encoder's passes are counted");
}

#[test]
fn sums_of_another_kind_are_refused() {
    let sandbox = encoded(&aligned_sweep());
    let latents = sandbox.path().join("latents");
    fs::remove_dir_all(&latents).unwrap();
    fs::create_dir(&latents).unwrap();
    let (values, labels) = (vec![0.5; 40 * 512], [vec![0; 20], vec![1; 20]].concat());
    let shard = |pictures| LatentShard {
        name: "moments",
        shape: [8, 8, 8],
        values: &values,
        flipped: &values,
        labels: Some(&labels),
        pictures,
    };
    write_latents(&latents.join("a.safetensors"), &shard(&[1, 2])).unwrap();
    // Its own header would count two sums as forty.
    is_refused(&sandbox, &RUN, "a.safetensors is no whole safetensors file");
    write_latents(&latents.join("a.safetensors"), &shard(&[7; 40])).unwrap();
    is_refused(
        &sandbox,
        &RUN,
        "pictures/coarse/00.png, picture 1 of 40, is not what its latent of latents was encoded from\nhint: name",
    );
    write_latents(&latents.join("a.safetensors"), &shard(&[])).unwrap();
    succeeds(&sandbox, &["plan", "sweep.yaml"]);
}
