//! The table with everything behind it, versioned.

use crate::report::json_text::with_points;
use serde_json::{Value, json};

use super::measures::measures_json;
use crate::report::band::Profile;
use crate::report::comparison::{ArmComparison, Comparison, Contrast, NoSpeedup, PairComparison, PointComparison};
use crate::report::cost::Cost;
use crate::report::grid::{Chosen, Grid, Of};
use crate::report::interval::{Interval, wilson};
use crate::report::speedup::{Estimate, Pairing, Speedup};
use crate::report::target::TargetOrigin;
use crate::report::wording::{
    answer, effect_words, interaction_words, look_words, pair_answer, revisions, state, tuned_words, verdict,
};

/// The version of `speedups.json`.
pub const SPEEDUPS_VERSION: u32 = 2;

/// One JSON value; a number that is not finite is null.
pub fn json(comparison: &Comparison, grid: &Grid) -> String {
    let plan = &comparison.study.plan;
    let head = json!({
        "version": SPEEDUPS_VERSION,
        "sweep": plan.name,
        "question": plan.question,
        "baseline": comparison.baseline,
        "metric": comparison.metric.name(),
        "plan_revisions": revisions(comparison.study),
        "until_decided": until_decided_json(comparison),
        "grid": grid_json(comparison, grid),
    });
    with_points(&head, &comparison.points, |point| point_json(comparison, point))
}

/// The answers of the whole grid, or of arms that combine other arms.
fn grid_json(comparison: &Comparison, grid: &Grid) -> Value {
    let tuned = grid.tuned.iter().map(|tuned| {
        let chosen = |chosen: &Chosen| {
            let settings = chosen.settings.iter().map(|(setting, seeds)| json!({ "setting": setting, "seeds": seeds }));
            json!({ "arm": chosen.arm, "settings": settings.collect::<Vec<_>>(), "at_edge": chosen.is_at_edge })
        };
        let arms = tuned.arms.iter().map(|arm| {
            let mut value = chosen(&arm.chosen);
            value["images_seen"] = speedup_json(&arm.speedup.clone().map_err(NoSpeedup::NoBand));
            value["words"] = tuned_words(comparison, tuned, arm).into();
            value
        });
        json!({ "point": tuned.label, "settings_each": tuned.settings, "baseline": chosen(&tuned.baseline),
                "arms": arms.collect::<Vec<_>>() })
    });
    let tuned: Vec<Value> = tuned.collect();
    let effects = grid.effects.iter().map(|effect| {
        json!({ "arm": effect.arm, "points": effect.measured, "points_tried": effect.tried,
                "images_seen": speedup_json(&Ok(effect.speedup.clone())), "words": effect_words(comparison, effect) })
    });
    let interactions = grid.interactions.iter().map(|interaction| {
        let mut value = match &interaction.of {
            Of::Axis { arm, axis, value, reference } => {
                json!({ "arm": arm, "axis": axis, "value": value, "reference": reference })
            }
            Of::Arms { first, second, both } => json!({ "arms": [first, second], "both": both }),
        };
        value["images_seen"] = speedup_json(&Ok(interaction.ratio.clone()));
        value["words"] = interaction_words(comparison, interaction).into();
        value
    });
    let ranking = grid.ranking.iter().map(|ranked| {
        json!({ "arm": ranked.arm, "wins": ranked.wins, "contests": ranked.contests, "algoperf_score": ranked.score })
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

fn point_json(comparison: &Comparison, point: &PointComparison) -> Value {
    let target = match &point.target {
        Some(Ok(target)) => {
            let origin = match &target.origin {
                TargetOrigin::Stated => json!({ "kind": "stated" }),
                TargetOrigin::Final { from, at, completed, planned } => {
                    json!({ "kind": at, "from": from, "runs_completed": completed, "runs_planned": planned })
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
        "arms": point.arms.iter().map(|arm| arm_json(comparison, point, arm)).collect::<Vec<_>>(),
        "pairs": point.pairs.iter().map(|pair| pair_json(comparison, point, pair)).collect::<Vec<_>>(),
    });
    if let Some(measures) = measures_json(comparison, point) {
        value["measures"] = measures;
    }
    value
}

fn arm_json(comparison: &Comparison, point: &PointComparison, arm: &ArmComparison) -> Value {
    let runs = arm.runs.iter().map(|run| {
        json!({ "run_id": run.record.planned.run_id, "seed": run.record.planned.seed, "state": state(run.record),
                "last_value": run.curve.last().map(|evaluation| evaluation.value) })
    });
    json!({
        "arm": arm.arm,
        "is_baseline": arm.is_baseline,
        "answer": if arm.is_baseline { Value::Null } else { answer(comparison, point, arm).into() },
        "runs": { "planned": arm.runs.len(), "completed": arm.count(|run| run.completed()), "diverged": arm.count(|run| run.diverged()),
                  "reached": arm.reached, "reached_share": reached_share(arm), "each": runs.collect::<Vec<_>>() },
        "final": arm.final_values.map(|spread| json!({ "median": spread.median, "low": spread.low, "high": spread.high, "n": spread.n })),
        "speedups": contrast_json(&arm.contrast),
    })
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

fn pair_json(comparison: &Comparison, point: &PointComparison, pair: &PairComparison) -> Value {
    json!({
        "arm": pair.arm,
        "against": pair.against,
        "answer": pair_answer(comparison, point, pair),
        "speedups": contrast_json(&pair.contrast),
    })
}

/// By axis.
fn contrast_json(contrast: &Contrast) -> Value {
    let costs = Cost::ALL.iter().zip(&contrast.speedups).enumerate();
    let by_cost: serde_json::Map<String, Value> = costs
        .map(|(index, (cost, result))| {
            let mut value = speedup_json(result);
            if let Some(profile) = &contrast.profiles[index] {
                value["profile"] = profile_json(profile);
            }
            if let Some(first) = contrast.first_crossings.get(index) {
                value["first_crossing"] = first_crossing_json(first);
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
        "whole_curve": profile.whole_curve.map(|measured| estimate_json(&measured.estimate)),
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
