//! The sweeps that come with the program.

use std::path::Path;

use speedlab::plan::load_sweep;
use speedlab::spec::{BandShares, Plan, TimestepSampler};

use super::arms_of;

#[test]
fn every_shipped_sweep_is_valid_and_its_header_says_what_it_asks_costs_and_expects() {
    let sweeps = Path::new(env!("CARGO_MANIFEST_DIR")).join("sweeps");
    let mut files = Vec::new();
    for folder in ["", "small", "paper", "gpu", "examples"].map(|folder| sweeps.join(folder)) {
        files.extend(
            std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|ending| ending == "yaml")),
        );
    }
    assert!(files.len() >= 19, "{files:?}");
    for file in files {
        // What a user has is part of what runs are.
        let root = env!("CARGO_MANIFEST_DIR");
        let of_user =
            ["repa", "supervised"].map(|arm| format!("arms.{arm}.auxiliary_losses.alignment.pictures={root}"));
        let weights = format!("arms.repa.auxiliary_losses.alignment.weights={root}/tests/golden/weights/dinov2.pth");
        let overrides =
            if file.ends_with("gpu/imagenet256-repa.yaml") { [&of_user[..], &[weights]].concat() } else { vec![] };
        let plan = load_sweep(&file, &overrides).unwrap_or_else(|error| panic!("{error}"));
        // A sweep is found by the name of its results.
        assert_eq!(file.file_stem().unwrap(), plan.name.as_str());
        let text = std::fs::read_to_string(&file).unwrap();
        let header: String = text.lines().take_while(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n");
        for part in ["# Question: ", "# Run: ", "# Cost: ", "# Expected: "] {
            assert!(header.contains(part), "{}: {part}", file.display());
        }
        let path = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display();
        let command = format!("speedlab run {path}");
        let is_there = ['\n', ' '].iter().any(|end| header.contains(&format!("{command}{end}")));
        assert!(is_there, "{path}: its command");
    }
}

#[test]
fn the_quickstart_asks_for_five_arms_and_five_seeds() {
    let plan = load_sweep(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sweeps/quickstart.yaml"), &[]).unwrap();
    assert_eq!(plan.name, "quickstart");
    assert_eq!(plan.arms, ["baseline", "clts", "mdlrc", "same-lr", "clts+mdlrc"]);
    assert_eq!((plan.seeds.as_slice(), plan.axes.len(), plan.runs.len()), ([0, 1, 2, 3, 4].as_slice(), 0, 25));
    // Seeds outermost, arms in order: after five runs every arm can be compared.
    let order: Vec<(u64, &str)> = plan.runs.iter().map(|run| (run.seed, run.trial.as_str())).collect();
    assert_eq!(order[..6].iter().map(|(seed, _)| *seed).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 1]);
    assert!(order.chunks(5).all(|seed| seed.iter().map(|(_, arm)| *arm).eq(plan.arms.iter().map(String::as_str))));
    let compare = plan.compare.as_ref().unwrap();
    assert_eq!(compare.baseline, "baseline");
    assert_eq!((compare.target.as_ref(), compare.band), (None, BandShares { from: 0.3, to: 0.75 }));

    let both = arms_of(&plan, "clts+mdlrc");
    assert!(matches!(&both.timestep_sampler, TimestepSampler::Curriculum(clts) if clts.center == 0.3));
    assert_eq!((both.momentum.kind(), both.lr_schedule.kind()), ("demon", "momentum_compensated"));
    assert_eq!((both.optimizer.clone(), both.train.clone()), {
        let baseline = arms_of(&plan, "baseline");
        (baseline.optimizer, baseline.train)
    });
    // What is frozen in plan.json reads back as the same plan.
    let record = serde_json::to_value(&plan).unwrap();
    assert_eq!(speedlab::spec::decode_json::<Plan>(&record).unwrap(), plan);
}

#[test]
fn the_sweep_in_the_readme_is_planned() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let sweep = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let plan =
        speedlab::plan::plan_text(Path::new("readme.yaml"), sweep, &[]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((plan.arms.len(), plan.axes.len(), plan.runs.len()), (4, 2, 60));
    assert!(readme.lines().count() < 220, "the README's first use is to be read");
}
