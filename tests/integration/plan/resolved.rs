//! What a sweep stands for: patches, axes, overrides and defaults.

use serde_json::json;
use speedlab::spec::{BandShares, Plan, RunId, RunSpec, Target, TimestepSampler};

use super::{arms_of, error_of, golden, plan, plan_with};

/// What a run is, in a line.
fn lines_of(plan: &Plan) -> String {
    plan.runs.iter().map(|run| format!("{} seed={} {}\n", run.run_id, run.seed, run.trial)).collect()
}

#[test]
fn further_protocols_take_over_what_arms_and_axes_say() {
    let plan = plan(
        "\
base:
  evaluate: { also: [{ ode: { steps: 50 } }, { samples: 70 }] }
arms:
  baseline: {}
  heun: { evaluate: { fid: { ode: { kind: heun } } } }
grid: { evaluate.fid.samples: [80, 90] }
seeds: 1
",
    );
    let found: Vec<String> = plan
        .runs
        .iter()
        .map(|run| {
            let fid = |fid: &speedlab::spec::Fid| format!("{} {} {}", fid.ode.kind(), fid.ode.steps(), fid.samples);
            let of_run: Vec<String> = run.spec.by_each_fid().map(|by| fid(&by.evaluate.fid)).collect();
            of_run.join(", ")
        })
        .collect();
    let expected = [
        "ddim 20 80, ddim 50 80, ddim 20 70",
        "ddim 20 90, ddim 50 90, ddim 20 70",
        "heun 18 80, heun 50 80, heun 18 70",
        "heun 18 90, heun 50 90, heun 18 70",
    ];
    let mut found = found;
    found.sort();
    assert_eq!(found, expected);
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
fn an_axis_of_some_arms_multiplies_no_other() {
    let plan = plan(
        "arms:
  baseline: {}
  clts: { timestep_sampler: { kind: curriculum } }
  mdlrc: { lr_schedule: { kind: momentum_compensated } }
  decay: {}
grid:
  timestep_sampler.center: { arms: clts, values: [0.1, 0.5] }
  timestep_sampler.width: { arms: [clts], linspace: { start: 0.25, stop: 0.75, count: 3 } }
  momentum: { arms: [mdlrc, decay], values: [{ kind: demon }, { kind: linear }] }
exclude: [{ timestep_sampler.width: 0.75 }]
seeds: 2
compare: { baseline: baseline, pairs: [[mdlrc, decay]] }
",
    );
    let trials: Vec<&str> = plan.runs.iter().filter(|run| run.seed == 0).map(|run| run.trial.as_str()).collect();
    assert_eq!(
        trials,
        [
            "baseline",
            "clts timestep_sampler.center=0.1 timestep_sampler.width=0.25",
            "mdlrc momentum=demon",
            "decay momentum=demon",
            "mdlrc momentum=linear",
            "decay momentum=linear",
            "clts timestep_sampler.center=0.1 timestep_sampler.width=0.5",
            "clts timestep_sampler.center=0.5 timestep_sampler.width=0.25",
            "clts timestep_sampler.center=0.5 timestep_sampler.width=0.5",
        ]
    );
    assert_eq!(json!(plan.runs[0].point), json!({}));
    assert_eq!(json!(plan.runs[2].point), json!({"momentum": {"kind": "demon"}}));
    let centers = plan.runs.iter().filter_map(|run| match &run.spec.timestep_sampler {
        TimestepSampler::Curriculum(settings) => Some(settings.center),
        _ => None,
    });
    assert_eq!(centers.collect::<Vec<_>>(), [0.1, 0.1, 0.5, 0.5, 0.1, 0.1, 0.5, 0.5]);
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
            "compare.band.to=0.9",
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
    assert_eq!((compare.metric.name(), &compare.target), ("validation_loss", &Some(Target::Value { value: 3.0 })));
    assert_eq!(compare.band, BandShares { from: 0.3, to: 0.9 });
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

#[test]
fn arms_that_average_in_their_own_way_are_compared_by_their_own_average_alone() {
    let sweep = |weights: &str| {
        format!(
            "base: {{ evaluate: {{ weights: {weights} }} }}\narms:\n  baseline: {{ train: {{ ema_decay: 0.99 }} }}\n  \
             power: {{ train: {{ ema: {{ kind: power }} }} }}\n  free: {{ optimizer: {{ kind: schedule_free_adamw }} }}\n\
             compare: {{ baseline: baseline }}\n"
        )
    };
    for weights in ["own", "raw"] {
        assert_eq!(plan(&sweep(weights)).arms, ["baseline", "power", "free"]);
    }
    assert!(error_of(&sweep("averaged"), &[]).contains("measured in another way than `baseline`: `train.ema` differs"));
}
