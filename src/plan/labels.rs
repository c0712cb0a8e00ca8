//! Checks `labels` against the arms: each must be one, and no two may be called alike.

use super::arms::unknown_arm;
use super::finding::Finding;
use crate::spec::{Labels, Placed, SweepSpec};

/// The labels by the arms' names.
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
    let labels = Labels { arms, order: spec.order.iter().map(|arm| arm.value.clone()).collect() };
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

fn labels_are(label: &crate::spec::ArmLabel, shown: &str) -> bool {
    label.label.as_deref() == Some(shown)
}
