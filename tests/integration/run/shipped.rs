//! The sweeps that come with the program, run for a few steps; and the list of what they ask.

use std::fs;
use std::path::Path;

use crate::sandbox::{Sandbox, TINY, stderr, stdout};

/// One seed, few steps, few images: what a run of every kind needs and no more.
const SHORT: [&str; 6] = [
    "seeds=1",
    "train.batch_size=4",
    "train.warmup_steps=2",
    "evaluate.fid.samples=40",
    "evaluate.fid.ode={kind: ddim, steps: 2}",
    "evaluate.validation.images=4",
];

/// An arm's best setting is chosen on other seeds than it is measured on, of which one has none.
const ONE_SEED: &str = "compare.tune=[]";
const AT_THE_END: &str = "evaluate.consistency={images: 8, every: 10}";

#[track_caller]
fn runs_to_its_end(sandbox: &Sandbox, sweep: &str, steps: u32, runs: usize, more: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("sweeps/{sweep}.yaml"));
    let lengths = [format!("train.steps={steps}"), format!("evaluate.every={steps}")];
    let mut args = vec!["run", path.to_str().unwrap(), "--quiet"];
    let settings = SHORT.iter().copied().chain(lengths.iter().chain(more).map(String::as_str));
    args.extend(settings.flat_map(|setting| ["--set", setting]));
    let output = sandbox.speedlab(&args);
    assert_eq!(output.status.code(), Some(0), "{sweep}: {}", stderr(&output));
    let counted = format!("All {runs} runs are finished");
    assert!(stdout(&output).contains(&counted), "{sweep}: {}", stdout(&output));
}

#[test]
fn the_shipped_sweeps_on_digits_run_a_few_steps() {
    let sandbox = Sandbox::new(TINY);
    let tuned = [ONE_SEED.to_owned()];
    // Its own encoder is fetched.
    let encoder = ["arms.aligned.auxiliary_losses.alignment.encoder=digits-cnn".to_owned()];
    // Some methods need a few hundred steps to be what they are.
    for (sweep, steps, runs, more) in [
        ("quickstart", 10, 5, &[][..]),
        ("small/consistency", 10, 5, &[AT_THE_END.to_owned(), "evaluate.difficulty.images=4".to_owned()]),
        ("small/ema-length", 10, 12, &[]),
        ("small/equal-arms", 10, 2, &[]),
        ("small/factorial", 10, 8, &[]),
        ("small/known-truth", 10, 3, &[]),
        ("small/learning-rate", 10, 15, &tuned),
        ("small/networks", 10, 36, &tuned),
        ("small/sensitivity", 10, 29, &[]),
        ("small/tokens", 10, 4, &[]),
        ("small/alignment", 10, 3, &encoder),
        ("small/optimizers", 210, 7, &[]),
        ("small/preconditioners", 10, 5, &[]),
        ("small/flows", 10, 8, &[]),
        ("methods", 220, 30, &[]),
    ] {
        runs_to_its_end(&sandbox, sweep, steps, runs, more);
    }
}

/// The sweeps whose images or networks are too large for a test, with every arm and every point of their grids: images of
/// the same size take the place of the set's, and every network is narrow.
#[test]
fn the_shipped_sweeps_on_other_images_run_ten_steps() {
    let sandbox = Sandbox::new(TINY);
    for class in 0..2u8 {
        let folder = sandbox.path().join(format!("images/{class}"));
        fs::create_dir_all(&folder).unwrap();
        for index in 0..50u8 {
            let pixel = |x: u32, y: u32| image::Rgb([x as u8 * 7, y as u8 * 7, class * 90 + index]);
            image::RgbImage::from_fn(32, 32, pixel).save(folder.join(format!("{index}.png"))).unwrap();
        }
    }
    let images = |side: u32, channels: u32, classes: u32| {
        let path = sandbox.path().join("images");
        let shape = format!("side: {side}, channels: {channels}, classes: {classes}, held_out: 20");
        format!("data={{kind: image_folder, path: '{}', {shape}}}", path.display())
    };
    let narrow_levels = "channels: 8, channel_multipliers: [1, 2], blocks_per_level: 1, norm_groups: 4";
    let unet = format!("{{kind: unet, {narrow_levels}, attention_resolutions: []}}");
    let adm = format!("model={{kind: adm, {narrow_levels}, class_conditional: true}}");
    let transformer = |kind: &str| format!("{{kind: {kind}, patch: 4, dim: 32, depth: 2, heads: 2}}");
    let (dit, uvit) = (transformer("dit"), transformer("uvit"));
    let sit = "model={kind: dit, patch: 8, dim: 32, depth: 3, heads: 2, class_conditional: true}";
    let route = "arms.tread.token_routing={share: 0.5, first_block: 2, last_block: 2}";
    let pictures = format!("evaluate.fid.reference_folder={}", sandbox.path().join("images/0").display());
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/weights/dinov2.pth");
    let of_file = format!("weights: '{weights}', encoder: {{kind: dinov2, channels: 64}}, pictures: '', block: 1");
    let [repa, supervised] = [("repa", 8), ("supervised", 4)].map(|(arm, hidden)| {
        format!("arms.{arm}.auxiliary_losses.alignment={{weight: 0.5, {of_file}, hidden: {hidden}}}")
    });
    let base = format!("model={unet}");
    let networks = [format!("arms.dit.model={dit}"), format!("arms.uvit.model={uvit}")];
    let grid = format!("grid.model=[{unet}, {{kind: adm, channels: 8, norm_groups: 4}}, {dit}, {uvit}]");
    let clusters = "arms.task-difficulty.timestep_sampler.clusters=2";
    let narrow = [base.as_str(), &networks[0], &networks[1], "arms.narrow.model.channels=4"];
    let wide = [base.as_str(), &networks[0], &networks[1], "arms.wide.model.channels=12"];
    for (sweep, data, runs, networks) in [
        ("paper/cifar10-speedup", images(32, 3, 0), 6, &[base.as_str()][..]),
        ("paper/imagenet128-speedup", images(32, 3, 2), 6, &[&adm]),
        ("paper/clts-center-width", images(32, 3, 0), 21, &[&base]),
        ("paper/mdlrc-decay", images(32, 3, 0), 9, &[&base]),
        (
            "paper/rivals",
            images(32, 3, 0),
            12,
            &[base.as_str(), clusters, "arms.task-difficulty.timestep_sampler.patience=2"],
        ),
        ("paper/architectures", images(32, 3, 0), 24, &[&grid, ONE_SEED]),
        ("paper/consistency-cifar10", images(32, 3, 0), 5, &[narrow.as_slice(), &[AT_THE_END]].concat()),
        ("gpu/cifar10-gpu", images(32, 3, 0), 6, &[&base]),
        ("gpu/rivals-gpu", images(32, 3, 0), 9, &[&base]),
        ("gpu/consistency-gpu", images(32, 3, 0), 5, &[wide.as_slice(), &[AT_THE_END]].concat()),
        ("gpu/imagenet256-latents", images(32, 3, 2), 4, &[sit, route, "evaluate.fid.reference=folder", &pictures]),
        (
            "gpu/imagenet256-repa",
            images(32, 3, 2),
            4,
            &[sit, &repa, &supervised, "evaluate.fid.reference=folder", &pictures],
        ),
        ("small/cifar10", images(32, 3, 0), 5, &[&base]),
        ("small/progressive", images(32, 3, 0), 5, &[&base]),
        ("small/fashion", images(28, 1, 0), 6, &[&base]),
        ("small/mnist", images(28, 1, 0), 6, &[&base]),
    ] {
        let fid = ["evaluate.fid.features=pixels-8x8", "evaluate.fid.reference=train"];
        let more: Vec<String> =
            [data.as_str()].into_iter().chain(fid).chain(networks.iter().copied()).map(str::to_owned).collect();
        runs_to_its_end(&sandbox, sweep, 10, runs, &more);
    }
}

#[test]
fn the_papers_claims_stand_beside_our_sweeps_and_one_is_run_by_name() {
    let sandbox = Sandbox::new(TINY);
    let output = sandbox.speedlab(&["reproduce", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let list: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("one JSON value");
    let claims = list["claims"].as_array().unwrap();
    assert_eq!(claims[1]["claimed"], 2.6);
    let asked = &claims[1]["asked"][0];
    assert_eq!((asked["sweep"].as_str(), asked["runs"].as_u64()), (Some("paper/imagenet128-speedup"), Some(18)));
    assert!(asked["seconds_here"].as_f64().unwrap() > 1e6 && asked["ours"] == "not run");

    let options = ["--set", "seeds=1", "--set", "train.steps=10", "--set", "evaluate.every=5"];
    let output = sandbox.speedlab(&[["reproduce", "quickstart", "--quiet"].as_slice(), &options].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("All 5 runs are finished"), "{}", stdout(&output));
    assert!(sandbox.path().join("results/sweeps/quickstart.yaml").is_file());
    // What there is of it now is in the list.
    let table = stdout(&sandbox.speedlab(&["reproduce", "--table"]));
    let quickstart = table.lines().find(|line| line.contains("| quickstart | clts+mdlrc |")).unwrap();
    assert!(!quickstart.contains("not run"), "{quickstart}");

    let output = sandbox.speedlab(&["reproduce", "rival"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("hint: did you mean `rivals`?"), "{}", stderr(&output));
}
