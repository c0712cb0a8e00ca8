//! A run's id: the same for the same run, however it is written.

use speedlab::spec::{RunId, RunSpec, canonical_json};

use super::plan;

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
