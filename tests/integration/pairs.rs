//! Any two settings together either train or are refused with a reason. What kinds there are is read off the schema, so that a new
//! kind takes part by itself.

use std::path::Path;

use burn::tensor::Device;
use serde_json::{Map, Value as Json, json};
use speedlab::plan::{plan_text, sweep_schema};
use speedlab::spec::RunSpec;
use speedlab::train::Trainer;

use super::alignment::digits_for;

const STEPS: u64 = 10;

/// Settings that a kind needs in a run of ten steps, on images of 8x8.
fn fitting(section: &str, kind: &str) -> Json {
    match (section, kind) {
        ("model", "unet") => json!({"channels": 8}),
        ("model", "adm") => json!({"channels": 8, "norm_groups": 4}),
        ("model", "dit" | "uvit") => json!({"patch": 2, "dim": 16, "depth": 2, "heads": 2}),
        ("timestep_sampler", "task_difficulty") => json!({"clusters": 2, "patience": 2}),
        ("loss_weighting", "fdm") => json!({"warm_up": 5}),
        _ => json!({}),
    }
}

/// A part of a run: its name for messages, and what it sets.
type Choice = (String, Json);

/// Every kind of every section that has kinds and says how a run trains.
fn sections() -> Vec<(String, Vec<Choice>)> {
    let schema = sweep_schema();
    let run = schema["$defs"]["run"]["properties"].as_object().expect("the keys of a run");
    // Where images come from and who trains is not what is combined here.
    let kinds = run.iter().filter(|(section, _)| !["data", "trainer"].contains(&section.as_str()));
    let mut sections: Vec<(String, Vec<Choice>)> = kinds
        .filter_map(|(section, schema)| {
            let mut kinds: Vec<&str> = Vec::new();
            for kind in schema["oneOf"].as_array()? {
                let name = kind["const"].as_str().or_else(|| kind["properties"]["kind"]["const"].as_str());
                kinds.extend(name.filter(|name| !kinds.contains(name)));
            }
            let choice = |kind: &str| {
                let mut settings = fitting(section, kind);
                settings["kind"] = json!(kind);
                (format!("{section}: {kind}"), json!({ section: settings }))
            };
            Some((section.clone(), kinds.into_iter().map(choice).collect()))
        })
        .collect();
    let other = |name: &str, settings: Json| (name.to_owned(), vec![(name.to_owned(), settings)]);
    sections.push(other("contrastive", json!({"auxiliary_losses": {"contrastive": 0.05}})));
    let weights = format!("{}/tests/golden/weights/dinov2.pth", env!("CARGO_MANIFEST_DIR"));
    let aligned = |encoder: &str, settings: Json| {
        let mut alignment = json!({"weight": 0.5, "block": 1, "hidden": 8, "until": 0.6});
        merge(&mut alignment, &settings);
        (format!("alignment: {encoder}"), json!({"auxiliary_losses": {"alignment": alignment}}))
    };
    let encoders = vec![
        aligned("digits-cnn", json!({"encoder": "digits-cnn"})),
        aligned("dinov2", json!({"weights": weights, "encoder": {"kind": "dinov2", "channels": 64}})),
    ];
    sections.push(("alignment".to_owned(), encoders));
    sections.push(other("dispersive", json!({"auxiliary_losses": {"dispersive": {"weight": 0.5}}})));
    let routed = |kind: &str, block: usize| {
        json!({
            "model": {"kind": kind, "patch": 2, "dim": 16, "depth": 2, "heads": 2},
            "token_routing": {"share": 0.5, "first_block": block, "last_block": block},
        })
    };
    sections.push(other(
        "masked",
        json!({
            "model": {"kind": "dit", "patch": 2, "dim": 16, "depth": 2, "heads": 2, "mask_token": true},
            "token_masking": {"share": 0.5, "reconstruction": 0.0, "until": 0.5},
        }),
    ));
    let stages = json!([{"until": 0.3, "batch_size": 2}, {"until": 0.6, "batch_size": 7}]);
    sections.push(other("batches", json!({"train": {"batch_schedule": stages}})));
    sections.push(other("resolutions", json!({"train": {"resolution_schedule": [{"until": 0.5, "side": 4}]}})));
    let patches = json!({"sizes": [0.5], "full_share": 0.25});
    let crops = |kind: &str, groups: usize| {
        json!({
            "model": {"kind": kind, "channels": 8, "norm_groups": groups, "coordinates": true},
            "patch_diffusion": patches.clone(),
        })
    };
    sections.push(other("crops unet", crops("unet", 8)));
    sections.push(other("crops adm", crops("adm", 4)));
    let mup = json!({"base_width": 8, "base_heads": 1});
    sections.push(other("mup", json!({"optimizer": {"kind": "adam", "mup": mup.clone()}})));
    sections.push(other("mup adamw", json!({"optimizer": {"kind": "adamw", "mup": mup}})));
    sections.push(other("half-life average", json!({"train": {"ema": {"kind": "half_life", "images": 20}}})));
    sections.push(other("power average", json!({"train": {"ema": {"kind": "power", "sigma_rel": 0.1}}})));
    sections.push(other("kept averages", json!({"train": {"post_hoc": {"every": 2}}})));
    let classes = json!({"class_conditional": true, "class_dropout": 0.3});
    for (name, model) in [
        ("classes of a unet", json!({"kind": "unet", "channels": 8})),
        ("classes of a dit", json!({"kind": "dit", "patch": 2, "dim": 16, "depth": 2, "heads": 2})),
    ] {
        let mut model = model;
        merge(&mut model, &classes);
        sections.push(other(name, json!({ "model": model })));
    }
    sections.push(other("routed dit", routed("dit", 1)));
    sections.push(other("routed uvit", routed("uvit", 2)));
    sections.push(other(
        "learned sigma",
        json!({"model": {"kind": "dit", "patch": 2, "dim": 16, "depth": 2, "heads": 2, "learned_sigma": true}}),
    ));
    sections
}

/// `changes` over `base`, map by map.
fn merge(base: &mut Json, changes: &Json) {
    match (base, changes) {
        (Json::Object(base), Json::Object(changes)) if !changes.contains_key("kind") => {
            for (key, value) in changes {
                merge(base.entry(key).or_insert_with(|| Json::Object(Map::new())), value);
            }
        }
        (base, changes) => *base = changes.clone(),
    }
}

/// Ten steps; the loss of each.
fn losses(spec: &RunSpec) -> Result<Vec<f64>, String> {
    let (device, dataset) = (Device::flex(), digits_for(spec));
    let mut trainer = Trainer::new(spec, &dataset, &device, None, 1).map_err(|error| error.to_string())?;
    (0..STEPS).map(|_| trainer.train_step().map_err(|diverged| diverged.0)).collect()
}

#[test]
fn any_two_settings_train_ten_steps_or_are_refused_with_a_reason() {
    let sections = sections();
    let names: Vec<&str> = sections.iter().map(|(name, _)| name.as_str()).collect();
    for needed in [
        "noise_schedule",
        "parameterization",
        "model",
        "timestep_sampler",
        "noise",
        "loss_weighting",
        "optimizer",
        "momentum",
        "lr_schedule",
    ] {
        assert!(names.contains(&needed), "the schema has no kinds of {needed}: {names:?}");
    }
    let (mut trained, mut refused, mut faults) = (0, Vec::new(), Vec::new());
    for (index, (_, of_one)) in sections.iter().enumerate() {
        for (_, of_other) in &sections[index + 1..] {
            for ((one, first), (other, second)) in
                of_one.iter().flat_map(|one| of_other.iter().map(move |other| (one, other)))
            {
                let mut run = json!({
                    "model": {"kind": "dit", "patch": 4, "dim": 16, "depth": 1, "heads": 2},
                    "train": {"steps": STEPS, "batch_size": 4, "log_every": 1},
                });
                merge(&mut run, first);
                merge(&mut run, second);
                // It follows a momentum that changes.
                if run["lr_schedule"]["kind"] == "momentum_compensated" && run.get("momentum").is_none() {
                    run["momentum"] = json!({"kind": "demon"});
                }
                let pair = format!("{one}, {other}");
                // JSON is YAML.
                let sweep = json!({"base": run, "seeds": 1}).to_string();
                let plan = match plan_text(Path::new("pair.yaml"), &sweep, &[]) {
                    Ok(plan) => plan,
                    Err(reason) => {
                        let reason = reason.to_string();
                        // A sentence that names a key.
                        if !reason.contains('`') {
                            faults.push(format!("{pair}: refused without a reason: {reason}"));
                        }
                        refused.push(format!("{pair}: {}", reason.lines().next().unwrap_or_default()));
                        continue;
                    }
                };
                trained += 1;
                match losses(&plan.runs[0].spec) {
                    Ok(losses) if losses.iter().all(|loss| loss.is_finite()) => {}
                    Ok(losses) => faults.push(format!("{pair}: {losses:?}")),
                    Err(error) => faults.push(format!("{pair}: {error}")),
                }
            }
        }
    }
    println!("{trained} pairs train, {} are refused:\n{}", refused.len(), refused.join("\n"));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(trained > 300 && refused.len() > 5, "{trained} trained, {} were refused", refused.len());
}
