//! The table with everything behind it, versioned.

use crate::report::json_text::with_points;
use serde_json::{Value, json};

use super::measures::measures_json;
use crate::report::band::Profile;
use crate::report::cell::{Cells, Kind};
use crate::report::comparison::{ArmComparison, Comparison, Contrast, NoSpeedup, PairComparison, PointComparison};
use crate::report::cost::Cost;
use crate::report::grid::{Chosen, Grid, Of};
use crate::report::interval::{Interval, wilson};
use crate::report::speedup::{Estimate, Pairing, Speedup};
use crate::report::target::TargetOrigin;
use crate::report::wording::{
    answer, effect_words, interaction_words, look_words, pair_answer, revisions, setting_words, state, tuned_words,
    verdict,
};
use crate::spec::Labels;

/// The version of `speedups.json`.
pub const SPEEDUPS_VERSION: u32 = 2;

/// One JSON value; a number that is not finite is null.
pub fn json(comparison: &Comparison, grid: &Grid, cells: &Cells) -> String {
    let plan = &comparison.study.plan;
    let labels = &plan.labels;
    let head = json!({
        "version": SPEEDUPS_VERSION,
        "sweep": plan.name,
        "question": plan.question,
        "baseline": comparison.baseline.map(|baseline| labels.name_of(baseline)),
        "metric": comparison.metric.name(),
        "plan_revisions": revisions(comparison.study),
        "until_decided": until_decided_json(comparison),
        "grid": grid_json(comparison, grid, cells),
    });
    with_points(&head, &comparison.points, |point| point_json(comparison, cells, point))
}

/// The answers of the whole grid, or of arms that combine other arms.
fn grid_json(comparison: &Comparison, grid: &Grid, cells: &Cells) -> Value {
    let name = |arm: &str| comparison.study.plan.labels.name_of(arm).to_owned();
    let tuned = grid.tuned.iter().map(|tuned| {
        let chosen = |chosen: &Chosen| {
            let named = |setting| setting_words(comparison, &Labels::default(), setting);
            let settings =
                chosen.settings.iter().map(|(setting, seeds)| json!({ "setting": named(setting), "seeds": seeds }));
            json!({ "arm": name(chosen.arm), "settings": settings.collect::<Vec<_>>(), "at_edge": chosen.is_at_edge })
        };
        let arms = tuned.arms.iter().map(|arm| {
            let mut value = chosen(&arm.chosen);
            value["images_seen"] = speedup_json(&arm.speedup.clone().map_err(NoSpeedup::NoBand));
            value["images_seen"]["cell"] = cells.tuned(tuned, arm.chosen.arm).into();
            value["words"] = tuned_words(comparison, tuned, arm).into();
            value
        });
        let point = Labels::default().point(&comparison.study.plan.axes, &tuned.point);
        json!({ "point": point, "settings_each": tuned.settings, "baseline": chosen(&tuned.baseline),
                "arms": arms.collect::<Vec<_>>() })
    });
    let tuned: Vec<Value> = tuned.collect();
    let effects = grid.effects.iter().map(|effect| {
        let mut value = json!({ "arm": name(effect.arm), "points": effect.measured, "points_tried": effect.tried,
                "images_seen": speedup_json(&Ok(effect.speedup.clone())), "words": effect_words(comparison, effect) });
        value["images_seen"]["cell"] = cells.effect(effect.arm).into();
        value
    });
    let interactions = grid.interactions.iter().map(|interaction| {
        let mut value = match &interaction.of {
            Of::Axis { arm, axis, value, reference } => {
                let [value, reference] = [value, reference].map(|value| axis.label(value));
                json!({ "arm": name(arm), "axis": axis.path, "value": value, "reference": reference })
            }
            Of::Arms { first, second, both } => {
                let mut arms = [name(first), name(second)];
                arms.sort();
                json!({ "arms": arms, "both": name(both) })
            }
        };
        value["images_seen"] = speedup_json(&Ok(interaction.ratio.clone()));
        value["images_seen"]["cell"] = cells.interaction(&interaction.of).into();
        value["words"] = interaction_words(comparison, interaction).into();
        value
    });
    let ranking = grid.ranking.iter().map(|ranked| {
        json!({ "arm": name(ranked.arm), "wins": ranked.wins, "contests": ranked.contests, "algoperf_score": ranked.score })
    });
    let ranking: Vec<Value> = ranking.collect();
    json!({ "ranking": ranking, "tuned": tuned, "effects": effects.collect::<Vec<_>>(), "interactions": interactions.collect::<Vec<_>>() })
}

/// The rule and what the looks decided; null for a study of fixed seeds.
fn until_decided_json(comparison: &Comparison) -> Value {
    let (Some(rule), Some(looks)) = (&comparison.study.plan.until_decided, &comparison.looks) else {
        return Value::Null;
    };
    let words = look_words(comparison);
    let looks = looks.iter().zip(words).map(|(look, words)| {
        json!({ "seeds": look.seeds, "settled": look.settled.len(), "open": look.open, "words": words })
    });
    json!({ "rule": rule, "looks": looks.collect::<Vec<_>>() })
}

fn point_json(comparison: &Comparison, cells: &Cells, point: &PointComparison) -> Value {
    let labels = &comparison.study.plan.labels;
    let target = match &point.target {
        Some(Ok(target)) => {
            let origin = match &target.origin {
                TargetOrigin::Stated => json!({ "kind": "stated" }),
                TargetOrigin::Final { from, at, completed, planned } => {
                    json!({ "kind": at, "from": labels.name_of(from), "runs_completed": completed, "runs_planned": planned })
                }
            };
            json!({ "value": target.value, "origin": origin })
        }
        Some(Err(_)) | None => Value::Null,
    };
    let band = match &point.band {
        Some(Ok(band)) => {
            let (easy, hard) = band.values();
            let targets: Vec<f64> = band.targets.iter().map(|target| target.exp()).collect();
            json!({ "from": easy, "to": hard, "shares": band.shares, "targets": targets, "last": band.last.map(f64::exp) })
        }
        Some(Err(_)) | None => Value::Null,
    };
    let mut value = json!({
        "point": point.point,
        "protocol": point.protocol,
        "band": band,
        "target": target,
        "arms": point.arms.iter().map(|arm| arm_json(comparison, cells, point, arm)).collect::<Vec<_>>(),
        "pairs": point.pairs.iter().map(|pair| pair_json(comparison, cells, point, pair)).collect::<Vec<_>>(),
    });
    if let Some(measures) = measures_json(comparison, cells, point) {
        value["measures"] = measures;
    }
    value
}

fn arm_json(comparison: &Comparison, cells: &Cells, point: &PointComparison, arm: &ArmComparison) -> Value {
    let name = comparison.study.plan.labels.name_of(arm.arm);
    let runs = arm.runs.iter().map(|run| {
        json!({ "run_id": run.record.planned.run_id, "seed": run.record.planned.seed, "state": state(run.record),
                "last_value": run.curve.last().map(|evaluation| evaluation.value) })
    });
    let mut value = json!({
        "arm": name,
        "is_baseline": arm.is_baseline,
        "answer": if arm.is_baseline { Value::Null } else { answer(comparison, point, arm).into() },
        "runs": { "planned": arm.runs.len(), "completed": arm.count(|run| run.completed()), "diverged": arm.count(|run| run.diverged()),
                  "reached": arm.reached, "reached_share": reached_share(arm), "each": runs.collect::<Vec<_>>() },
        "final": arm.final_values.map(|spread| json!({
            "median": spread.median, "low": spread.low, "high": spread.high, "n": spread.n, "cell": cells.final_value(point, arm.arm),
        })),
        "speedups": contrast_json(&arm.contrast, &|kind, cost| cells.speedup(point, arm.arm, None, kind, cost)),
    });
    if name != arm.arm {
        value["label"] = arm.arm.into();
    }
    value
}

/// The share of runs that reached it, with a 95 % interval.
fn reached_share(arm: &ArmComparison) -> Value {
    match (arm.reached, arm.runs.len()) {
        (Some(reached), runs) if runs > 0 => {
            let interval = wilson(reached, runs);
            json!({ "share": reached as f64 / runs as f64, "low": interval.low, "high": interval.high })
        }
        _ => Value::Null,
    }
}

fn pair_json(comparison: &Comparison, cells: &Cells, point: &PointComparison, pair: &PairComparison) -> Value {
    let labels = &comparison.study.plan.labels;
    let id = |kind, cost| cells.speedup(point, pair.arm, Some(pair.against), kind, cost);
    json!({
        "arm": labels.name_of(pair.arm),
        "against": labels.name_of(pair.against),
        "answer": pair_answer(comparison, point, pair),
        "speedups": contrast_json(&pair.contrast, &id),
    })
}

/// By axis; `id`: of a number's cell, empty where it has none.
fn contrast_json<'c>(contrast: &Contrast, id: &dyn Fn(Kind, Cost) -> &'c str) -> Value {
    let costs = Cost::ALL.iter().zip(&contrast.speedups).enumerate();
    let by_cost: serde_json::Map<String, Value> = costs
        .map(|(index, (cost, result))| {
            let mut value = speedup_json(result);
            let with_cell = |value: &mut Value, kind| {
                let id = id(kind, *cost);
                if value.is_object() && !id.is_empty() {
                    value["cell"] = id.into();
                }
            };
            with_cell(&mut value, Kind::Band);
            if let Some(profile) = &contrast.profiles[index] {
                value["profile"] = profile_json(profile);
                with_cell(&mut value["profile"]["last_quality"], Kind::Last);
                with_cell(&mut value["profile"]["whole_curve"], Kind::WholeCurve);
            }
            if let Some(first) = contrast.first_crossings.get(index) {
                value["first_crossing"] = first_crossing_json(first);
                with_cell(&mut value["first_crossing"], Kind::Target);
            }
            (cost.name().to_owned(), value)
        })
        .collect();
    by_cost.into()
}

fn speedup_json(result: &Result<Speedup, NoSpeedup>) -> Value {
    let Ok(speedup) = result else { return json!({ "verdict": verdict(result) }) };
    let mut value = estimate_json(&speedup.estimate);
    value["verdict"] = verdict(result).into();
    value["seeds"] = match speedup.pairing {
        Pairing::Paired { n } => json!({ "kind": "paired", "n": n }),
        Pairing::Unpaired { baseline, candidate } => {
            json!({ "kind": "unpaired", "baseline": baseline, "candidate": candidate })
        }
    };
    value["seeds_left_out"] = json!(speedup.left_out);
    if let Some(reached) = speedup.reached {
        value["targets_reached"] = json!(reached);
        value["p"] = json!(speedup.mean.and_then(|mean| mean.p_value()));
        value["adjusted_p"] = json!(speedup.adjusted_p);
    }
    value
}

fn first_crossing_json(result: &Result<Speedup, NoSpeedup>) -> Value {
    let mut value = speedup_json(result);
    if let Ok(speedup) = result {
        value["interpolated"] = match speedup.interpolated {
            Some((ratio, interval)) => json!({ "speedup": ratio, "interval": interval.map(interval_json) }),
            None => Value::Null,
        };
        value["median_ratio"] = json!(speedup.median_ratio);
    }
    value
}

fn profile_json(profile: &Profile) -> Value {
    let at = |(target, estimate): &(f64, Estimate)| {
        let mut value = estimate_json(estimate);
        value["target"] = json!(target);
        value
    };
    json!({
        "easy": at(&profile.easy),
        "hard": at(&profile.end),
        "last_quality": profile.hard.as_ref().map(at),
        "trend_p": profile.trend,
        "whole_curve": profile.whole_curve.as_ref().map(|measured| estimate_json(&measured.estimate)),
        "by_target": profile.curve.iter().map(at).collect::<Vec<_>>(),
    })
}

fn estimate_json(estimate: &Estimate) -> Value {
    match estimate {
        Estimate::Measured { speedup, interval, resolution } => {
            let mut value = json!({ "kind": "measured", "speedup": speedup, "interval": interval.map(interval_json) });
            if let Some(resolution) = resolution {
                value["resolution"] = interval_json(*resolution);
            }
            value
        }
        Estimate::AtLeast(bound) => json!({ "kind": "at_least", "bound": bound }),
        Estimate::AtMost(bound) => json!({ "kind": "at_most", "bound": bound }),
        Estimate::Unknown(_) => json!({ "kind": "unknown" }),
    }
}

fn interval_json(interval: Interval) -> Value {
    json!({ "low": interval.low, "high": interval.high })
}
