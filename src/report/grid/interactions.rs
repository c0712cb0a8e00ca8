//! Whether two changes multiply: an arm and an axis of the grid, or two arms and the arm that is both.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{by_seed, decide, mean_by_seed, ratio_of};
use crate::report::comparison::{Comparison, PointComparison};
use crate::report::settings::flattened;
use crate::report::speedup::Speedup;
use crate::spec::Axis;

/// How many times larger one speedup is than another: 1 if the two changes multiply. A difference of differences
/// of logarithms, seed by seed, averaged over what else the grid has.
#[derive(Clone, Debug, PartialEq)]
pub struct Interaction<'a> {
    pub of: Of<'a>,
    pub ratio: Speedup,
}

/// Which two changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Of<'a> {
    /// The arm's speedup where the axis has `value` over that where it has `reference`.
    Axis { arm: &'a str, axis: &'a Axis, value: &'a Value, reference: &'a Value },
    /// The speedup of `both` over the product of those of the two.
    Arms { first: &'a str, second: &'a str, both: &'a str },
}

/// Every one that can be asked of the study: for each arm and axis, the last of rising numbers against the first, or each other
/// value against the first; and for each arm that changes exactly what two others change, these three.
pub fn interactions<'a>(comparison: &Comparison<'a>) -> Vec<Interaction<'a>> {
    if comparison.baseline.is_none() {
        return vec![];
    }
    let plan = &comparison.study.plan;
    let arms = || plan.arms.iter().map(String::as_str).filter(|arm| Some(*arm) != comparison.baseline);
    let of_axes = plan.axes.iter().flat_map(|axis| {
        arms().flat_map(move |arm| {
            contrasted_values(axis)
                .into_iter()
                .filter_map(move |(value, reference)| of_axis(comparison, arm, axis, value, reference))
        })
    });
    let of_arms = combined(comparison).into_iter().filter_map(|names| of_arms(comparison, names));
    let mut found: Vec<Interaction> = of_axes.chain(of_arms).collect();
    decide(comparison, &mut found.iter_mut().map(|interaction| &mut interaction.ratio).collect::<Vec<_>>());
    found
}

/// (value, reference) of an axis.
fn contrasted_values(axis: &Axis) -> Vec<(&Value, &Value)> {
    let number = |value: &Value| value.as_f64();
    let by_number = |first: &&Value, second: &&Value| number(first).partial_cmp(&number(second)).expect("numbers");
    match axis.values.iter().all(Value::is_number) {
        true => {
            let (least, most) = (axis.values.iter().min_by(by_number), axis.values.iter().max_by(by_number));
            most.zip(least).filter(|(most, least)| most != least).into_iter().collect()
        }
        false => axis.values.iter().skip(1).map(|value| (value, &axis.values[0])).collect(),
    }
}

/// `plus` less every one of `minus`, of each seed that all have.
fn difference(plus: &[(u64, f64)], minus: &[&[(u64, f64)]]) -> Vec<(u64, f64)> {
    let seed = |&(seed, ratio): &(u64, f64)| {
        let others = minus.iter().map(|contrast| ratio_of(contrast, seed)).collect::<Option<Vec<f64>>>()?;
        Some((seed, ratio - others.iter().sum::<f64>()))
    };
    plus.iter().filter_map(seed).collect()
}

fn mean_of(differences: &[Vec<(u64, f64)>]) -> Option<Speedup> {
    let slices: Vec<&[(u64, f64)]> = differences.iter().map(Vec::as_slice).collect();
    let mean = mean_by_seed(&slices);
    (mean.len() > 1).then(|| Speedup::of_seeds(mean))
}

fn of_axis<'a>(
    comparison: &Comparison<'a>,
    arm: &'a str,
    axis: &'a Axis,
    value: &'a Value,
    reference: &'a Value,
) -> Option<Interaction<'a>> {
    let rest = |point: &PointComparison| point.without(|path| path == axis.path);
    let with = |wanted: &Value| {
        let wanted = wanted.clone();
        comparison.points.iter().filter(move |point| point.point.get(&axis.path) == Some(&wanted))
    };
    let mut differences = Vec::new();
    for point in with(value) {
        let other = with(reference).find(|other| rest(other) == rest(point));
        if let Some(other) = other
            && let (Some(here), Some(there)) = (by_seed(point, arm), by_seed(other, arm))
        {
            differences.push(difference(here, &[there]));
        }
    }
    let of = Of::Axis { arm, axis, value, reference };
    Some(Interaction { of, ratio: mean_of(&differences)? })
}

fn of_arms<'a>(comparison: &Comparison<'a>, [first, second, both]: [&'a str; 3]) -> Option<Interaction<'a>> {
    let at = |point: &PointComparison| {
        let (alone, other) = (by_seed(point, first)?, by_seed(point, second)?);
        Some(difference(by_seed(point, both)?, &[alone, other]))
    };
    let differences: Vec<Vec<(u64, f64)>> = comparison.points.iter().filter_map(at).collect();
    Some(Interaction { of: Of::Arms { first, second, both }, ratio: mean_of(&differences)? })
}

/// (two arms, the arm that changes of the baseline what both of them change and nothing else), by their settings.
fn combined<'a>(comparison: &Comparison<'a>) -> Vec<[&'a str; 3]> {
    let plan = &comparison.study.plan;
    let settings = |arm: &str| {
        let run = plan.runs.iter().find(|run| run.arm == arm)?;
        let mut settings = flattened(&run.spec);
        settings.remove("seed");
        Some(settings)
    };
    let Some(baseline) = comparison.baseline.and_then(settings) else { return vec![] };
    type Changes = BTreeSet<(String, Option<String>)>;
    let changes = |arm: &'a str| -> Option<(&'a str, Changes)> {
        let own = settings(arm)?;
        let keys: BTreeSet<&String> = own.keys().chain(baseline.keys()).collect();
        let changed = keys.into_iter().filter(|key| own.get(*key) != baseline.get(*key));
        let changes: Changes = changed.map(|key| (key.clone(), own.get(key).map(Value::to_string))).collect();
        (!changes.is_empty()).then_some((arm, changes))
    };
    let arms: Vec<(&str, Changes)> = plan.arms.iter().filter_map(|arm| changes(arm)).collect();
    // The study of an arm that comes from several: settings of two studies that are alike need not mean the same.
    let study = |arm: &'a str| plan.labels.name_of(arm).rsplit_once('/').map(|(study, _)| study);
    let mut found = Vec::new();
    for (index, (first, of_first)) in arms.iter().enumerate() {
        for (second, of_second) in &arms[index + 1..] {
            let keys = |changes: &Changes| changes.iter().map(|(key, _)| key.clone()).collect::<BTreeSet<_>>();
            if !keys(of_first).is_disjoint(&keys(of_second)) {
                continue;
            }
            let union: Changes = of_first.union(of_second).cloned().collect();
            if study(first) != study(second) {
                continue;
            }
            let is_both = |(arm, changes): &&(&'a str, Changes)| *changes == union && study(arm) == study(first);
            found.extend(arms.iter().find(is_both).map(|(both, _)| [*first, *second, *both]));
        }
    }
    found
}
