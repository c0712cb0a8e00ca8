//! `compare` against the runs that are planned: the yardstick must run wherever something is compared with it.

use super::arms::{ResolvedArm, unknown_arm};
use super::finding::Finding;
use super::points::Layout;
use crate::spec::{Compare, CompareSpec, Metric, Placed, RunSpec, SweepSpec, Target, TargetSpec};

/// Names every arm that `compare` needs, before anything is laid out.
pub fn resolve(sweep: &SweepSpec) -> Result<Option<Compare>, Vec<Finding>> {
    let Some(compare) = &sweep.compare else { return Ok(None) };
    let mut findings = Vec::new();
    let mut known = |arm: &Placed<String>| {
        if sweep.arms.iter().any(|known| known.name.value == arm.value) {
            return;
        }
        let is_default = arm.at == compare.at;
        let finding = unknown_arm(sweep, arm);
        findings.push(match is_default {
            true => Finding { message: "no arm is called `baseline`".to_owned(), ..finding }
                .hint("name the arm to compare with, as in `compare: { baseline: .. }`"),
            false => finding,
        });
    };
    known(&compare.baseline);
    let target = match &compare.target {
        TargetSpec::Value(value) => Target::Value { value: value.value },
        TargetSpec::Final { from, at } => {
            if from.value != compare.baseline.value {
                known(from);
            }
            Target::Final { from: from.value.clone(), at: *at }
        }
    };
    if !findings.is_empty() {
        return Err(findings);
    }
    Ok(Some(Compare { baseline: compare.baseline.value.clone(), metric: compare.metric, target }))
}

/// Refuses a layout in which a comparison could not be made; `name_of` names a cell's point.
pub fn check(
    compare: &CompareSpec,
    arms: &[ResolvedArm],
    layout: &Layout,
    specs: &[RunSpec],
    name_of: &dyn Fn(usize) -> String,
) -> Vec<Finding> {
    let index_of = |name: &Placed<String>| arms.iter().position(|arm| arm.name.value == name.value);
    let yardsticks = match &compare.target {
        TargetSpec::Final { from, .. } if from.value != compare.baseline.value => vec![&compare.baseline, from],
        _ => vec![&compare.baseline],
    };
    let mut findings = Vec::new();
    for yardstick in yardsticks {
        let arm = index_of(yardstick).expect("`resolve` found it");
        let at_point: std::collections::BTreeMap<&[usize], usize> = layout
            .cells
            .iter()
            .enumerate()
            .filter(|(_, cell)| cell.arm == arm)
            .map(|(index, cell)| (cell.point.as_slice(), index))
            .collect();
        for (index, cell) in layout.cells.iter().enumerate() {
            let Some(&base) = at_point.get(cell.point.as_slice()) else {
                let message = format!("`{}` has no `{}` to be compared with", name_of(index), yardstick.value);
                findings.push(Finding::new(yardstick.at, message).hint("exclude both, or neither"));
                return findings;
            };
            let (base, spec) = (&specs[base], &specs[index]);
            // What a value's protocol names: rows of different protocols are never compared.
            let differs = match compare.metric {
                _ if base.train.ema_decay != spec.train.ema_decay => Some("train.ema_decay"),
                Metric::Fid => (base.evaluate.fid != spec.evaluate.fid).then_some("evaluate.fid"),
                Metric::ValidationLoss if base.evaluate.validation != spec.evaluate.validation => {
                    Some("evaluate.validation")
                }
                // The loss is the error of what is predicted.
                Metric::ValidationLoss => {
                    (base.parameterization != spec.parameterization).then_some("parameterization")
                }
            };
            if let Some(section) = differs {
                let name = &arms[cell.arm].name.value;
                let arm = &arms[cell.arm];
                let at = arm
                    .patches
                    .iter()
                    .find_map(|patch| patch.entry_at(section))
                    .map_or(arm.name.at, |entry| entry.key_at);
                let message =
                    format!("arm `{name}` is measured in another way than `{}`: `{section}` differs", yardstick.value);
                findings.push(Finding::new(at, message).hint(match section {
                    "parameterization" => "compare `metric: fid`, or set it in `base`, for every arm alike",
                    _ => "set it in `base`, for every arm alike",
                }));
                return findings;
            }
        }
    }
    findings
}
