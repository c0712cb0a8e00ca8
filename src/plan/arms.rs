//! Each arm's patches, in the order of application, and the base with the patches merged.

use super::also::decode_run;
use super::finding::{Finding, MOST_PROBLEMS};
use super::merge::merge;
use super::preset;
use crate::spec::{ArmSpec, Location, Node, Placed, RunSpec, SweepSpec, Value};

/// An arm with nothing left to look up.
pub struct ResolvedArm<'s> {
    pub name: &'s Placed<String>,
    /// Its own patch and those of the arms it extends.
    pub patches: Vec<&'s Node>,
    /// The base with all patches merged and presets spelled out.
    pub tree: Node,
    /// The settings of the tree; the seed is still open.
    pub spec: RunSpec,
}

pub fn resolve(sweep: &SweepSpec) -> Result<Vec<ResolvedArm<'_>>, Vec<Finding>> {
    let mut findings = Vec::new();
    // Arms of a circle that was reported already; every one of them would report it again.
    let mut circular = Vec::new();
    let lineages: Vec<_> = sweep
        .arms
        .iter()
        .map(|arm| {
            let (mut open, mut lineage) = (Vec::new(), Vec::new());
            if let Err(finding) = lineage_of(sweep, arm, &mut open, &mut lineage)
                && !open.iter().any(|name| circular.contains(name))
            {
                circular.append(&mut open);
                findings.push(finding);
            }
            lineage
        })
        .collect();
    // The base too: what it says may be wrong even where every arm replaces it.
    let mut base = sweep.base.clone();
    findings.extend(preset::spell_out(&mut base).err());
    findings.extend(decode_all(&base).err().unwrap_or_default());
    let mut arms = Vec::new();
    for (arm, lineage) in sweep.arms.iter().zip(lineages) {
        let patches: Vec<&Node> = lineage.iter().map(|arm| &arm.patch).collect();
        let mut tree = base.clone();
        for patch in &patches {
            merge(&mut tree, patch);
            findings.extend(preset::spell_out(&mut tree).err());
        }
        match decode_all(&tree) {
            Ok(spec) => arms.push(ResolvedArm { name: &arm.name, patches, tree, spec }),
            Err(errors) => findings.extend(errors),
        }
    }
    if findings.is_empty() { Ok(arms) } else { Err(findings) }
}

/// The arms whose patches make `arm`, itself last. An arm that is reached twice applies once, where it comes first.
fn lineage_of<'s>(
    sweep: &'s SweepSpec,
    arm: &'s ArmSpec,
    open: &mut Vec<&'s str>,
    lineage: &mut Vec<&'s ArmSpec>,
) -> Result<(), Finding> {
    open.push(&arm.name.value);
    for extended in &arm.extends {
        if let Some(start) = open.iter().position(|name| *name == extended.value) {
            let circle: Vec<&str> = open[start..].iter().copied().chain([extended.value.as_str()]).collect();
            return Err(Finding::new(
                extended.at,
                format!("arm `{}` extends itself: {}", extended.value, circle.join(" -> ")),
            ));
        }
        let Some(other) = sweep.arms.iter().find(|other| other.name.value == extended.value) else {
            return Err(unknown_arm(sweep, extended));
        };
        lineage_of(sweep, other, open, lineage)?;
    }
    open.pop();
    if !lineage.iter().any(|known| std::ptr::eq(*known, arm)) {
        lineage.push(arm);
    }
    Ok(())
}

/// The finding that there is no such arm.
pub fn unknown_arm(sweep: &SweepSpec, name: &Placed<String>) -> Finding {
    let names = sweep.arms.iter().map(|arm| arm.name.value.as_str());
    Finding::new(name.at, format!("unknown arm `{}`", name.value)).suggest(&name.value, "arms", names)
}

/// Decodes a tree; on failure, every failure: what does not fit is cut out and the rest is tried again.
fn decode_all(tree: &Node) -> Result<RunSpec, Vec<Finding>> {
    let mut findings = Vec::new();
    let mut tree = tree.clone();
    loop {
        match decode_run(&tree) {
            Ok(spec) if findings.is_empty() => return Ok(spec),
            Ok(_) => return Err(findings),
            Err(error) => {
                let at = error.at;
                findings.push(error.into());
                if findings.len() > MOST_PROBLEMS || !cut(&mut tree, at) {
                    return Err(findings);
                }
            }
        }
    }
}

/// Removes the entry or item at a place; whether there was one.
fn cut(tree: &mut Node, at: Location) -> bool {
    match &mut tree.value {
        Value::Map(entries) => {
            let before = entries.len();
            // A wrong or missing `kind` takes its map with it: the settings mean nothing without.
            entries.retain(|entry| {
                let kind_at = entry.value.get("kind").map(|kind| kind.at);
                entry.key_at != at && entry.value.at != at && kind_at != Some(at)
            });
            entries.len() < before || entries.iter_mut().any(|entry| cut(&mut entry.value, at))
        }
        Value::List(items) => {
            let before = items.len();
            items.retain(|item| item.at != at);
            items.len() < before || items.iter_mut().any(|item| cut(item, at))
        }
        _ => false,
    }
}
