//! From the text of a sweep to its runs, or to the exact words of what is wrong with it.

use std::path::{Path, PathBuf};

use serde_json::json;
use speedlab::plan::{load_sweep, plan_text};
use speedlab::spec::{FinalAt, Plan, RunId, RunSpec, Target, TimestepSampler, canonical_json};

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

/// A case is a file: lines `$ --set path=value`, a sweep, a line of `=`, and the exact message.
/// `SPEEDLAB_UPDATE_GOLDEN=1` writes the messages anew; read the difference before committing it.
#[test]
fn every_mistake_is_reported_in_the_words_of_its_golden_case() {
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(golden().join("errors")).unwrap().map(|file| file.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 90, "only {} cases were found", cases.len());
    let mut wrong = Vec::new();
    for path in cases {
        let case = std::fs::read_to_string(&path).unwrap();
        let (input, expected) = case.split_once("\n====\n").unwrap_or((&case, ""));
        let overrides: Vec<String> =
            input.lines().map_while(|line| line.strip_prefix("$ --set ")).map(str::to_owned).collect();
        let text: String = input.split_inclusive('\n').skip(overrides.len()).collect();
        let message = error_of(&text, &overrides);
        if std::env::var_os("SPEEDLAB_UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, format!("{input}\n====\n{message}\n")).unwrap();
        } else if message != expected.trim_end() {
            wrong.push(format!("{}\n{message}\n--- instead of\n{expected}", path.display()));
        }
        if !message.starts_with("error: ") {
            wrong.push(format!("{}: {message}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a run is, in a line.
fn lines_of(plan: &Plan) -> String {
    plan.runs.iter().map(|run| format!("{} seed={} {}\n", run.run_id, run.seed, run.trial)).collect()
}

#[track_caller]
fn arms_of(plan: &Plan, arm: &str) -> RunSpec {
    plan.runs.iter().find(|run| run.arm == arm).unwrap().spec.clone()
}

#[test]
fn every_shipped_sweep_is_valid_and_its_header_says_what_it_asks_costs_and_expects() {
    let sweeps = Path::new(env!("CARGO_MANIFEST_DIR")).join("sweeps");
    let mut files = Vec::new();
    for folder in [sweeps.clone(), sweeps.join("small")] {
        files.extend(
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()),
        );
    }
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let plan = load_sweep(&file, &[]).unwrap_or_else(|error| panic!("{error}"));
        // A sweep is found by the name of its results.
        assert_eq!(file.file_stem().unwrap(), plan.name.as_str());
        let text = std::fs::read_to_string(&file).unwrap();
        let header: String = text.lines().take_while(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n");
        for part in ["# Question: ", "# Run: ", "# Cost: ", "# Expected: "] {
            assert!(header.contains(part), "{}: {part}", file.display());
        }
        let path = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display();
        assert!(header.contains(&format!("speedlab run {path}\n")), "{path}: its command");
    }
}

#[test]
fn the_quickstart_asks_for_five_arms_and_three_seeds() {
    let plan = load_sweep(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sweeps/quickstart.yaml"), &[]).unwrap();
    assert_eq!(plan.name, "quickstart");
    assert_eq!(plan.arms, ["baseline", "clts", "mdlrc", "same-lr", "clts+mdlrc"]);
    assert_eq!((plan.seeds.as_slice(), plan.axes.len(), plan.runs.len()), ([0, 1, 2].as_slice(), 0, 15));
    // Seeds outermost, arms in order: after five runs every arm can be compared.
    let order: Vec<(u64, &str)> = plan.runs.iter().map(|run| (run.seed, run.trial.as_str())).collect();
    assert_eq!(order[..6].iter().map(|(seed, _)| *seed).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 1]);
    assert!(order.chunks(5).all(|seed| seed.iter().map(|(_, arm)| *arm).eq(plan.arms.iter().map(String::as_str))));
    let compare = plan.compare.as_ref().unwrap();
    assert_eq!(compare.baseline, "baseline");
    assert_eq!(compare.target, Target::Final { from: "baseline".to_owned(), at: FinalAt::FinalWorst });

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
fn a_sweep_with_every_feature_stands_for_exactly_these_runs() {
    let text = std::fs::read_to_string(golden().join("everything.yaml")).unwrap();
    let plan = plan(&text);
    let path = golden().join("everything.txt");
    if std::env::var_os("SPEEDLAB_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, lines_of(&plan)).unwrap();
    }
    assert_eq!(lines_of(&plan), std::fs::read_to_string(path).unwrap());

    let values: Vec<_> = plan.axes.iter().map(|axis| (axis.path.as_str(), json!(axis.values))).collect();
    assert_eq!(
        values,
        [
            ("model.channels", json!([16, 32, 24])),
            ("noise_schedule", json!([{"kind": "linear"}, {"kind": "cosine", "offset": 0.01}])),
            ("train.batch_size", json!([16, 32])),
            ("optimizer.learning_rate", json!([0.001, 0.002])),
        ]
    );
    let first = &plan.runs[0];
    assert_eq!(
        json!(first.point),
        json!({"model.channels": 16, "noise_schedule": {"kind": "linear"}, "train.batch_size": 16, "optimizer.learning_rate": 0.001})
    );
    assert_eq!((first.spec.train.steps, first.spec.train.log_every, first.spec.train.batch_size), (100, 5, 16));
}

#[test]
fn patches_apply_in_the_order_of_extends_and_each_arm_once() {
    let plan = plan(
        "arms:
  a: { train: { steps: 1, batch_size: 1, log_every: 1 }, lr_schedule: { kind: linear, end: 0.5 } }
  b: { extends: a, train: { steps: 2 } }
  c: { extends: a, train: { log_every: 3 }, lr_schedule: { kind: cosine } }
  d: { extends: [b, c], train: { batch_size: 4 } }
",
    );
    let train = |arm: &str| {
        let train = arms_of(&plan, arm).train;
        (train.steps, train.batch_size, train.log_every)
    };
    // Were `a` applied again for `c`, `b`'s steps would be lost.
    assert_eq!([train("a"), train("b"), train("c"), train("d")], [(1, 1, 1), (2, 1, 1), (1, 1, 3), (2, 4, 3)]);
    // Another kind takes nothing from the settings of the first.
    assert_eq!(serde_json::to_value(arms_of(&plan, "d").lr_schedule).unwrap(), json!({"kind": "cosine", "end": 0.0}));
}

#[test]
fn the_id_of_the_default_run_is_pinned() {
    // A change here makes every recorded run of every user another run. If the meaning of a key has changed, raise
    // RUN_SPEC_VERSION; if it has not, undo the change of the spelling.
    let spelling = concat!(
        r#"{"data":{"horizontal_flips":false,"kind":"digits"},"evaluate":{"every":200,"fid":{"features":"digits-cnn","#,
        r#""ode":{"kind":"ddim","steps":20},"reference":"train","samples":1000},"grid_images":64,"#,
        r#""validation":{"bins":10,"images":64}},"loss_weighting":{"kind":"uniform"},"lr_schedule":{"kind":"constant"},"#,
        r#""model":{"attention_heads":1,"attention_resolutions":[],"blocks_per_level":1,"channel_multipliers":[1,2],"#,
        r#""channels":32,"dropout":0.0,"kind":"unet","norm_groups":8},"momentum":{"kind":"constant"},"#,
        r#""noise_schedule":{"beta_end":0.02,"beta_start":0.0001,"kind":"linear","timesteps":1000},"#,
        r#""optimizer":{"beta1":0.9,"beta2":0.999,"epsilon":1e-8,"kind":"adam","learning_rate":0.001},"#,
        r#""parameterization":"epsilon","seed":0,"timestep_sampler":{"kind":"uniform"},"#,
        r#""train":{"batch_size":64,"clip_norm":1.0,"ema_decay":0.999,"log_every":10,"steps":2000,"warmup_steps":0},"#,
        r#""version":1}"#
    );
    assert_eq!(canonical_json(&RunSpec::default()), spelling);
    assert_eq!(RunId::of(&RunSpec::default()).as_str(), "25e93997de83");
}

/// The ids of a sweep's runs, sorted.
#[track_caller]
fn ids(text: &str) -> Vec<String> {
    let mut ids: Vec<String> = plan(text).runs.iter().map(|run| run.run_id.to_string()).collect();
    ids.sort();
    ids
}

#[test]
fn one_run_has_one_id_however_it_is_written() {
    let written = ids(
        "base: { optimizer: { kind: adam, learning_rate: 1e-3, beta1: 0.5 }, train: { steps: 1000, clip_norm: 1 } }",
    );
    for same in [
        // Another spelling of the same numbers.
        "base: { optimizer: { kind: adam, learning_rate: 0.001, beta1: 5.0e-1 }, train: { steps: 1e3, clip_norm: 1.0 } }",
        // Another order of keys, and block style.
        "base:\n  train:\n    clip_norm: 1.0\n    steps: 1_000\n  optimizer:\n    beta1: .5\n    learning_rate: 0.0010\n    kind: adam\n",
        // Defaults that are written out.
        "base: { optimizer: { kind: adam, learning_rate: 1e-3, beta1: 0.5, beta2: 0.999 }, train: { steps: 1000, batch_size: 64 } }",
        // Keys that cannot change a result, and names.
        "name: other\nquestion: Why?\nbase: { optimizer: { kind: adam, beta1: 0.5 }, train: { steps: 1000, checkpoint_seconds: 7 } }",
        // The same by another way.
        "base: { optimizer: { kind: adam } }\narms: { other: { train: { steps: 1000 } } }\ngrid: { optimizer.beta1: [0.5] }",
    ] {
        assert_eq!(ids(same), written, "{same}");
    }
    for other in ["learning_rate: 1.1e-3, beta1: 0.5", "learning_rate: 1e-3, beta1: 0.6"] {
        let text = format!("base: {{ optimizer: {{ kind: adam, {other} }}, train: {{ steps: 1000 }} }}");
        assert!(ids(&text).iter().all(|id| !written.contains(id)), "{other}");
    }
}

#[test]
fn the_order_of_axes_and_arms_does_not_change_an_id() {
    let base = "base: { optimizer: { kind: adam } }\n";
    let one = "arms: { a: {}, b: { train: { ema_decay: 0.9 } } }\ngrid: { train.steps: [10, 20], optimizer.beta1: [0.5, 0.9] }\n";
    let two = "arms: { b: { train: { ema_decay: 0.9 } }, a: {} }\ngrid: { optimizer.beta1: [0.9, 0.5], train.steps: [20, 10] }\n";
    assert_eq!(ids(&format!("{base}{one}")), ids(&format!("{base}{two}")));
    assert_eq!(ids(&format!("{base}{one}")).len(), 2 * 4 * 3);
}

#[test]
fn overrides_reach_every_part_of_a_sweep() {
    let text = "
base: { train: { steps: 10 }, timestep_sampler: { kind: uniform }, optimizer: { kind: adam } }
arms: { baseline: {}, v1.5: { train: { warmup_steps: 5 } } }
grid: { train.batch_size: { linspace: { start: 2, stop: 4, count: 3 } } }
compare: { target: { from: baseline, at: final_median } }
";
    let changed = plan_with(
        text,
        &[
            "name=other",
            "question=Why so?",
            "seeds=[5]",
            "train.steps=20",
            "train.steps=30",
            "base.train.log_every=3",
            "timestep_sampler.kind=curriculum",
            "timestep_sampler.width=0.25",
            "arms.v1.5.train.warmup_steps=7",
            "arms.v1.5.optimizer.beta1=0.5",
            "grid.train.batch_size=[8]",
            "grid.train.clip_norm={ range: { start: 1, stop: 2, step: 1 } }",
            "exclude=[{ arm: v1.5, train.clip_norm: 2 }]",
            "compare.metric=validation_loss",
            "compare.target={ value: 3 }",
        ],
    );
    assert_eq!(
        (changed.name.as_str(), changed.question.as_str(), changed.seeds.as_slice()),
        ("other", "Why so?", [5].as_slice())
    );
    let trials: Vec<&str> = changed.runs.iter().map(|run| run.trial.as_str()).collect();
    assert_eq!(
        trials,
        [
            "baseline train.batch_size=8 train.clip_norm=1",
            "v1.5 train.batch_size=8 train.clip_norm=1",
            "baseline train.batch_size=8 train.clip_norm=2",
        ]
    );
    let spec = arms_of(&changed, "v1.5");
    assert_eq!((spec.train.steps, spec.train.log_every, spec.train.warmup_steps), (30, 3, 7));
    assert_eq!(serde_json::to_value(&spec.optimizer).unwrap()["beta1"], 0.5);
    assert!(matches!(&spec.timestep_sampler, TimestepSampler::Curriculum(clts) if clts.width == 0.25));
    let compare = changed.compare.as_ref().unwrap();
    assert_eq!((compare.metric.name(), &compare.target), ("validation_loss", &Target::Value { value: 3.0 }));
    // An override of a key that no file writes, in a sweep without a base.
    assert_eq!(plan_with("name: x\n", &["train.steps=7"]).runs[0].spec.train.steps, 7);
}

#[test]
fn everything_left_out_has_a_default() {
    let plan = plan("question: What is the default?\n");
    assert_eq!((plan.name.as_str(), plan.arms.as_slice()), ("my", ["baseline".to_owned()].as_slice()));
    assert_eq!((plan.seeds.as_slice(), plan.compare.is_none()), ([0, 1, 2].as_slice(), true));
    assert!(plan.runs.iter().all(|run| run.spec == RunSpec { seed: run.seed, ..RunSpec::default() }));
}

#[test]
fn lines_may_end_as_on_windows_and_begin_with_a_mark() {
    assert_eq!(plan("\u{feff}base:\r\n  train:\r\n    steps: 7\r\n").runs[0].spec.train.steps, 7);
    let message = error_of("\u{feff}base:\r\n  train:\r\n    step: 7\r\n", &[]);
    assert!(message.contains("\n  --> sweeps/my.yaml:3:5\n   |\n 3 |     step: 7\n   |     ^^^^\n"), "{message}");
}

#[test]
fn a_problem_has_fields_for_machines() {
    let error = plan_text(Path::new("sweeps/my.yaml"), "base:\n  train: { step: 1 }\n", &[]).unwrap_err();
    assert_eq!(
        serde_json::to_value(&error).unwrap(),
        json!({"more": 0, "problems": [{
            "message": "unknown key `train.step`",
            "file": "sweeps/my.yaml",
            "line": 2,
            "column": 12,
            "text": "  train: { step: 1 }",
            "width": 4,
            "related": null,
            "note": null,
            "hint": "did you mean `steps`?",
        }]})
    );
}

#[test]
fn sweeps_of_absurd_size_are_refused_at_once() {
    let arms: String = (0..50_000).map(|arm| format!("  a{arm}: {{ extends: a{} }}\n", arm + 1)).collect();
    let message = error_of(&format!("arms:\n{arms}"), &[]);
    assert!(message.starts_with("error: the sweep has 50000 arms, and 1000 is the limit\n"), "{message}");
    let seeds: Vec<String> = (0..200_000).map(|seed: u32| seed.to_string()).collect();
    let message = error_of(&format!("seeds: [{}]", seeds.join(", ")), &[]);
    assert!(message.starts_with("error: `seeds` must list from 1 to 10000 seeds, not 200000\n"), "{message}");
    let message = error_of("grid: { train.steps: { linspace: { start: 1, stop: 9, count: 999_999_999_999 } } }", &[]);
    assert!(message.starts_with("error: the axis `train.steps` would have 999999999999 values"), "{message}");
}

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
        "error: not a text file: byte 0xff at line 2, column 11 is not UTF-8
  --> my.yaml
   = hint: save it as UTF-8, or check that it is the right file"
    );
    assert_eq!(
        file_error("my.yaml", b"\x89PNG\r\n\x1a\n"),
        "error: not a text file: byte 0x89 at line 1, column 1 is not UTF-8
  --> my.yaml
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
  --> big.yaml
   = hint: is this the right file? values at equal distances can be written as `linspace`, `logspace` or `range`"
    );
}

#[cfg(unix)]
#[test]
fn an_endless_device_is_refused() {
    let message = load_sweep(Path::new("/dev/zero"), &[]).unwrap_err().to_string();
    assert!(message.starts_with("error: the file is too large for a sweep: more than 4 MiB"), "{message}");
}

#[test]
fn plans_do_not_depend_on_the_number_of_threads() {
    let text = std::fs::read_to_string(golden().join("everything.yaml")).unwrap();
    let wrong = "grid: { train.steps: { range: { start: -20, stop: 500, step: 1 } } }";
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (plan(&text), error_of(wrong, &[])))
    };
    assert_eq!(with(1), with(7));
}

/// The time is printed, not asserted: the machine may be busy. Run with `--nocapture` to see it.
#[test]
fn a_hundred_thousand_runs_are_planned() {
    let axes = "
base: { optimizer: { kind: adam }, model: { kind: unet }, evaluate: { fid: { ode: { kind: ddim } } } }
grid:
  optimizer.learning_rate: { logspace: { start: 1e-4, stop: 1e-2, count: 100 } }
  optimizer.beta1: { linspace: { start: 0.5, stop: 0.9, count: 50 } }
  train.batch_size: [16, 32, 64, 128]
";
    for (arms_and_seeds, trials) in [
        ("arms: { baseline: {} }\nseeds: 5\n", 20_000),
        (
            "arms: { baseline: {}, clts: { timestep_sampler: { kind: curriculum } }, demon: { momentum: { kind: demon } }, same: { lr_schedule: { kind: linear } }, x: { train: { clip_norm: 0.9 } } }\nseeds: 1\n",
            100_000,
        ),
    ] {
        let started = std::time::Instant::now();
        let plan = plan(&format!("{axes}{arms_and_seeds}compare: {{}}\n"));
        println!("{} runs of {trials} trials were planned in {:.2?}", plan.runs.len(), started.elapsed());
        assert_eq!(plan.runs.len(), 100_000);
        let ids: std::collections::BTreeSet<&RunId> = plan.runs.iter().map(|run| &run.run_id).collect();
        assert_eq!(ids.len(), 100_000);
    }
}
