//! Presets against what was published of them.

use std::path::Path;

use serde_json::json;
use speedlab::model::parameter_count;
use speedlab::plan::{PRESETS, plan_text};
use speedlab::spec::{DataShape, DitModel, Model, RunSpec};

use super::parity::read_golden;

#[track_caller]
fn model(name: &str) -> Model {
    (PRESETS.iter().find(|preset| preset.name == name).unwrap().model)()
}

/// Of images of 3 channels, this side and 1000 classes.
#[track_caller]
fn has_parameters(name: &str, side: usize, published: usize) {
    let shape = DataShape { channels: 3, side, classes: Some(1000) };
    assert_eq!(parameter_count(&model(name), shape), published, "{name}");
}

#[test]
fn parameter_counts_are_the_published_ones() {
    // 35.7 million (Ho et al. 2020, appendix B); to the digit, their code's.
    has_parameters("ddpm-cifar10", 32, 35_746_307);
    // 50, 296, 422 and 554 million in their authors' tables and names of files; to the digit, as another library counts them
    // (tests/golden/adm.json).
    has_parameters("iddpm-cifar10", 32, 52_546_438);
    has_parameters("adm-imagenet64", 64, 295_904_454);
    has_parameters("adm-imagenet128", 128, 421_529_606);
    has_parameters("adm-imagenet256", 256, 553_838_086);
    // 44 million (Bao et al. 2023, table 1); to the digit, their code's.
    has_parameters("uvit-s/2", 32, 44_255_328);
}

/// The authors' code counts the fixed positions and knows 1000 classes: 33, 130, 458 and 675 million (Peebles and Xie 2023, table 1).
#[test]
fn parameter_counts_of_dit_are_those_of_the_published_networks() {
    let golden = read_golden("dit");
    for (size, patch, published) in [
        ("s", 2, 32_963_360),
        ("s", 4, 32_945_024),
        ("s", 8, 33_148_160),
        ("b", 2, 130_512_416),
        ("b", 4, 130_475_648),
        ("b", 8, 130_881_536),
        ("l", 2, 458_102_816),
        ("l", 4, 458_053_760),
        ("l", 8, 458_594_816),
        ("xl", 2, 675_129_632),
        ("xl", 4, 675_074_432),
        ("xl", 8, 675_683_072),
    ] {
        let Model::Dit(dit) = model(&format!("dit-{size}/{patch}")) else { panic!("a DiT") };
        assert_eq!(dit.patch, patch);
        let positions = (32 / patch).pow(2) * dit.dim;
        let latents = DataShape { channels: 4, side: 32, classes: Some(1000) };
        // As PyTorch counts them too (scripts/golden/networks.py).
        assert_eq!(golden["published_sizes"][format!("dit-{size}/{patch}")]["with_positions"], published);
        let count = parameter_count(&Model::Dit(dit.clone()), latents);
        assert_eq!(count + positions, published, "dit-{size}/{patch}");
    }
}

/// SiT's networks are DiT's (Ma et al. 2024), in the same millions; what a DiT says of the variance is left out.
#[test]
fn parameter_counts_of_sit_are_those_of_dit_without_the_variance() {
    for (size, millions) in [("s", 33), ("b", 130), ("l", 458), ("xl", 675)] {
        let (Model::Dit(dit), Model::Dit(sit)) = (model(&format!("dit-{size}/2")), model(&format!("sit-{size}/2")))
        else {
            panic!("both are a DiT")
        };
        let latents = DataShape { channels: 4, side: 32, classes: Some(1000) };
        let count = |model: &DitModel| parameter_count(&Model::Dit(model.clone()), latents) + 256 * model.dim;
        assert_eq!(count(&sit) + (sit.dim + 1) * 2 * 2 * 4, count(&dit), "{size}");
        let difference = count(&sit) as f64 / 1e6 - f64::from(millions);
        assert!((-0.5..1.0).contains(&difference), "{size}: {} parameters", count(&sit));
    }
}

#[track_caller]
fn specs(text: &str, overrides: &[&str]) -> Vec<RunSpec> {
    let overrides: Vec<String> = overrides.iter().map(|text| text.to_string()).collect();
    let plan = plan_text(Path::new("my.yaml"), text, &overrides).unwrap_or_else(|error| panic!("{error}"));
    plan.runs.into_iter().map(|run| run.spec).collect()
}

/// A preset for 32x32 images, made to fit the digits' 8x8.
const SMALL: &str = "preset: ddpm-cifar10, attention_resolutions: [4], channel_multipliers: [1, 2]";

fn spelled_out(channels: usize, dropout: f64) -> String {
    format!(
        "kind: unet, channels: {channels}, channel_multipliers: [1, 2], blocks_per_level: 2, attention_resolutions: [4], \
         attention_heads: 1, dropout: {dropout}, norm_groups: 32"
    )
}

#[test]
fn a_preset_with_changes_is_the_run_of_its_keys() {
    let of = |model: &str, rest: &str| specs(&format!("base: {{ model: {{ {model} }} }}\nseeds: 1\n{rest}"), &[]);
    let written = |channels, dropout| of(&spelled_out(channels, dropout), "");
    assert_eq!(of(SMALL, ""), written(128, 0.1));
    // Beside the name, before or after it; in an arm; on an axis; from the command line.
    assert_eq!(of(&format!("dropout: 0.3, {SMALL}"), ""), written(128, 0.3));
    assert_eq!(of(&format!("{SMALL}, dropout: 0.3, kind: unet"), ""), written(128, 0.3));
    assert_eq!(of(SMALL, "arms: { baseline: { model: { dropout: 0.3 } } }"), written(128, 0.3));
    assert_eq!(of(SMALL, "arms: { baseline: { model: { kind: unet, dropout: 0.3 } } }"), written(128, 0.3));
    assert_eq!(of(SMALL, "grid: { model.channels: [64] }"), written(64, 0.1));
    assert_eq!(of("kind: unet", &format!("grid: {{ model: [{{ {SMALL} }}] }}")), written(128, 0.1));
    let set = [
        "model.preset=ddpm-cifar10",
        "model.attention_resolutions=[4]",
        "model.channel_multipliers=[1, 2]",
        "model.dropout=0.3",
    ];
    assert_eq!(specs("base: { model: { kind: unet, norm_groups: 4 } }\nseeds: 1", &set), written(128, 0.3));
    // In an arm that another extends, a preset takes nothing from the base.
    let arms = format!(
        "arms: {{ a: {{ model: {{ {SMALL} }} }}, baseline: {{ extends: a, model: {{ dropout: 0.3 }} }} }}\nexclude: [{{ arm: a }}]"
    );
    assert_eq!(of("kind: unet, norm_groups: 4, dropout: 0.9", &arms), written(128, 0.3));
}

#[test]
fn a_trial_on_an_axis_of_presets_is_named_as_it_is_written() {
    let text = format!("grid: {{ model: [{{ {SMALL} }}, {{ kind: unet }}] }}\nseeds: 1");
    let plan = plan_text(Path::new("my.yaml"), &text, &[]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(plan.runs[0].point["model"]["preset"], json!("ddpm-cifar10"));
    assert_eq!(plan.runs[0].point["model"].as_object().unwrap().len(), 3);
}
