//! Checks `labels` against the arms, the axes and their values: each must be one, and no two may be called alike.

use std::collections::BTreeMap;

use super::arms::unknown_arm;
use super::finding::Finding;
use crate::spec::{Axis, AxisLabel, AxisLabelSpec, Labels, Placed, SweepSpec};

/// The labels by the arms' names; those of axes are [`resolve_axes`]'.
pub fn resolve(sweep: &SweepSpec) -> Result<Labels, Vec<Finding>> {
    let spec = &sweep.labels;
    let names: Vec<String> = sweep.arms.iter().map(|arm| arm.name.value.clone()).collect();
    let named = spec.arms.iter().map(|(arm, _)| arm).chain(&spec.order);
    let is_unknown = |arm: &&Placed<String>| !names.contains(&arm.value);
    let mut findings: Vec<Finding> = named.filter(is_unknown).map(|arm| unknown_arm(sweep, arm)).collect();
    for (index, arm) in spec.order.iter().enumerate() {
        if spec.order[..index].iter().any(|other| other.value == arm.value) {
            findings.push(Finding::new(arm.at, format!("`labels.order` names `{}` twice", arm.value)));
        }
    }
    let arms = spec.arms.iter().map(|(arm, label)| (arm.value.clone(), label.clone())).collect();
    let labels = Labels { arms, order: spec.order.iter().map(|arm| arm.value.clone()).collect(), ..Labels::default() };
    if let Some((arm, shown)) = labels.clash(&names) {
        // An arm without a label has its own name, which another has taken.
        let written = |(name, label): &&(Placed<String>, _)| name.value == arm || labels_are(label, shown);
        let at = spec.arms.iter().rev().find(written).map_or(sweep.name.at, |(name, _)| name.at);
        let message = format!("two arms would be called `{shown}`");
        findings
            .push(Finding::new(at, message).hint("a label differs from every other label and every other arm's name"));
    }
    if findings.is_empty() { Ok(labels) } else { Err(findings) }
}

/// The labels with those of the grid's axes, by their dotted keys, and of their values as the plan calls these.
pub fn resolve_axes(sweep: &SweepSpec, labels: Labels, axes: &[Axis]) -> Result<Labels, Vec<Finding>> {
    let mut findings = Vec::new();
    let mut labels = labels;
    for written in &sweep.labels.axes {
        let path = &written.axis.value;
        let Some(axis) = axes.iter().find(|axis| axis.path == *path) else {
            let finding = Finding::new(written.axis.at, format!("`{path}` in `labels.axes` is no axis of the grid"));
            findings.push(match axes.is_empty() {
                true => finding.hint("there is no `grid`"),
                false => finding.suggest(path, "axes", axes.iter().map(|axis| axis.path.as_str())),
            });
            continue;
        };
        let mut values = BTreeMap::new();
        for (spelled, label) in &written.values {
            match name_of_value(axis, &spelled.value) {
                None => {
                    let names: Vec<String> = axis.values.iter().map(|value| axis.label(value)).collect();
                    let message =
                        format!("`{}` in `labels.axes.{path}.values` is no value of this axis", spelled.value);
                    let finding = Finding::new(spelled.at, message);
                    findings.push(finding.suggest(&spelled.value, "values", names.iter().map(String::as_str)));
                }
                Some(name) => {
                    if values.insert(name, label.clone()).is_some() {
                        let message = format!("`labels.axes.{path}.values` gives `{}` a second label", spelled.value);
                        findings.push(Finding::new(spelled.at, message).hint("keep one of the two"));
                    }
                }
            }
        }
        let label = written.label.as_ref().map(|label| label.value.clone());
        labels.axes.insert(path.clone(), AxisLabel { label, values });
    }
    if let Some(clash) = labels.axis_clash(axes).filter(|_| findings.is_empty()) {
        let is_own = |written: &&AxisLabelSpec| written.axis.value == clash.axis;
        let written = sweep.labels.axes.iter().find(is_own).or(sweep.labels.axes.first());
        let at = written.map_or(sweep.name.at, |written| written.axis.at);
        let what = if clash.value.is_some() { format!("values of `{}`", clash.axis) } else { "axes".to_owned() };
        findings.push(
            Finding::new(at, format!("two {what} would be called `{}`", clash.shown))
                .hint("a label differs from every other and from what others are called without one"),
        );
    }
    if findings.is_empty() { Ok(labels) } else { Err(findings) }
}

/// What the plan calls the value that is spelled so: numbers may be spelled in any way.
fn name_of_value(axis: &Axis, spelled: &str) -> Option<String> {
    let names = || axis.values.iter().map(|value| (value, axis.label(value)));
    let number: Option<f64> = spelled.parse().ok();
    let is_number = |value: &serde_json::Value| number.is_some() && value.as_f64() == number;
    let mut found = names().filter(|(_, name)| name == spelled).chain(names().filter(|(value, _)| is_number(value)));
    found.next().map(|(_, name)| name)
}

fn labels_are(label: &crate::spec::ArmLabel, shown: &str) -> bool {
    label.label.as_deref() == Some(shown)
}
