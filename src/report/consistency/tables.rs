//! The comparison of runs as tables for other programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::likeness::{GroupLikeness, Likeness};
use super::similarity::Similarity;
use super::study::{Comparable, Consistency, Group, PairLikeness};
use crate::report::interval::{Interval, mean_interval};
use crate::report::labelled::recorded_trial;
use crate::spec::Plan;

/// The version of `consistency.json`.
const VERSION: u32 = 1;

/// `consistency.json`, of the labelled plan. Intervals are at 95 %, by Student's t over noises.
pub fn json(consistency: &Consistency, plan: &Plan) -> Value {
    json!({
        "version": VERSION,
        "interval": "95 % by Student's t over noises, for these runs",
        "unfinished": consistency.unfinished,
        "unread": consistency.unread.iter().map(|unread| json!({ "run": unread.run, "reason": unread.reason })).collect::<Vec<_>>(),
        "comparable": consistency.comparable.iter().map(|group| comparable(group, plan)).collect::<Vec<_>>(),
    })
}

fn comparable(group: &Comparable, plan: &Plan) -> Value {
    let runs = group.runs.iter().map(|run| {
        let planned = &run.record.planned;
        json!({
            "run_id": planned.run_id, "arm": plan.labels.name_of(&planned.arm), "trial": recorded_trial(plan, planned), "seed": planned.seed,
            "label": run.label, "model": planned.spec.model.kind(), "parameterization": planned.spec.parameterization.name(),
            "step": run.last.step,
        })
    });
    let groups = group.groups().into_iter().map(|Group { name, pairs, .. }| {
        json!({
            "differ": name, "pairs": pairs.len(),
            "similarities": of_group(&group.likeness_of(&pairs)),
        })
    });
    let pairs = group.pairs.iter().map(|pair| {
        json!({
            "first": pair.first, "second": pair.second, "differ": pair.difference.words(),
            "parameterizations": pair.parameterizations, "similarities": of_pair(pair),
        })
    });
    let by_step = group.by_step.iter().map(|step| {
        let both = |index: usize| json!({ "same": step.same[index], "shuffled": step.shuffled[index] });
        let values: serde_json::Map<String, Value> = Similarity::ALL
            .iter()
            .enumerate()
            .map(|(index, similarity)| (similarity.name().to_owned(), both(index)))
            .collect();
        json!({ "step": step.step, "pair": step.pair, "similarities": values })
    });
    json!({
        "protocol": group.protocol, "noises": group.noises, "ssim_window": group.window,
        "runs": runs.collect::<Vec<_>>(), "groups": groups.collect::<Vec<_>>(), "pairs": pairs.collect::<Vec<_>>(),
        "along_training": by_step.collect::<Vec<_>>(),
    })
}

fn interval(interval: Option<Interval>) -> Value {
    interval.map_or(Value::Null, |interval| json!([interval.low, interval.high]))
}

fn of_group(likeness: &[GroupLikeness]) -> serde_json::Map<String, Value> {
    let value = |group: &GroupLikeness| {
        json!({
            "same": group.same, "same_interval": interval(group.same_interval),
            "shuffled": group.shuffled, "shuffled_interval": interval(group.shuffled_interval),
            "gain": group.gain, "gain_interval": interval(group.gain_interval),
            "share": group.share(), "lowest_pair": group.pairs.low, "highest_pair": group.pairs.high,
        })
    };
    likeness.iter().map(|group| (group.similarity.name().to_owned(), value(group))).collect()
}

fn of_pair(pair: &PairLikeness) -> serde_json::Map<String, Value> {
    let value = |likeness: &Likeness| {
        json!({
            "same": likeness.same_mean(), "same_interval": interval(mean_interval(&likeness.same)),
            "shuffled": likeness.shuffled_mean(), "shuffled_interval": interval(mean_interval(&likeness.shuffled)),
        })
    };
    let named = Similarity::ALL.iter().zip(&pair.likeness);
    named.map(|(similarity, likeness)| (similarity.name().to_owned(), value(likeness))).collect()
}

/// `consistency.csv`: one row for each pair, step and similarity.
pub fn csv(consistency: &Consistency, plan: &Plan) -> String {
    let mut text = String::from(
        "protocol,first,second,first_trial,first_seed,second_trial,second_seed,differ,step,similarity,same,shuffled\n",
    );
    for (number, group) in consistency.comparable.iter().enumerate() {
        let mut row = |pair: &PairLikeness, step: String, index: usize, same: f64, shuffled: f64| {
            let [one, other] = [pair.first, pair.second].map(|run| &group.runs[run].record.planned);
            let similarity = Similarity::ALL[index].name();
            writeln!(
                text,
                "{},{},{},{},{},{},{},{},{step},{similarity},{same},{shuffled}",
                number + 1,
                one.run_id,
                other.run_id,
                quoted(&recorded_trial(plan, one)),
                one.seed,
                quoted(&recorded_trial(plan, other)),
                other.seed,
                quoted(&pair.difference.words()),
            )
            .expect("a String takes any text");
        };
        for pair in &group.pairs {
            for (index, likeness) in pair.likeness.iter().enumerate() {
                row(pair, "last".to_owned(), index, likeness.same_mean(), likeness.shuffled_mean());
            }
        }
        for step in &group.by_step {
            for index in 0..Similarity::ALL.len() {
                row(&group.pairs[step.pair], step.step.to_string(), index, step.same[index], step.shuffled[index]);
            }
        }
    }
    text
}

/// The text quoted as RFC 4180 has it, where it needs quotes.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
