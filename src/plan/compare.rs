//! Checks `compare` against the planned runs: the baseline must run wherever something is compared with it.

use super::arms::{ResolvedArm, unknown_arm};
use super::finding::Finding;
use super::points::{Cell, Layout};
use crate::spec::{
    Compare, CompareSpec, Metric, Pair, PairSpec, Placed, RunSpec, SweepSpec, Target, TargetSpec, Weights, nearest,
};

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
    let target = compare.target.as_ref().map(|target| match target {
        TargetSpec::Value(value) => Target::Value { value: value.value },
        TargetSpec::Final { from, at } => {
            if from.value != compare.baseline.value {
                known(from);
            }
            Target::Final { from: from.value.clone(), at: *at }
        }
    });
    for PairSpec { arm, against } in &compare.pairs {
        known(arm);
        known(against);
    }
    findings.extend(tuned_axes(sweep, compare));
    if findings.is_empty() {
        findings = needless_pairs(compare);
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    let pair = |PairSpec { arm, against }: &PairSpec| Pair { arm: arm.value.clone(), against: against.value.clone() };
    let pairs = compare.pairs.iter().map(pair).collect();
    Ok(Some(Compare {
        baseline: compare.baseline.value.clone(),
        metric: compare.metric.value,
        band: compare.band,
        target,
        practical: compare.practical,
        tune: compare.tune.iter().map(|path| path.value.clone()).collect(),
        pairs,
    }))
}

/// Each name in `compare.tune` must be an axis, and there must be seeds to choose on and seeds to measure on.
fn tuned_axes(sweep: &SweepSpec, compare: &CompareSpec) -> Vec<Finding> {
    let axes: Vec<&str> =
        sweep.grid.iter().chain(sweep.zip.iter().flatten()).map(|axis| axis.path.value.as_str()).collect();
    let mut findings = Vec::new();
    for (index, path) in compare.tune.iter().enumerate() {
        if compare.tune[..index].iter().any(|other| other.value == path.value) {
            findings.push(Finding::new(path.at, format!("`compare.tune` names `{}` twice", path.value)));
        }
        if !axes.contains(&path.value.as_str()) {
            let finding = Finding::new(path.at, format!("`compare.tune` names `{}`, which is no axis", path.value));
            findings.push(match nearest(&path.value, axes.iter().copied()) {
                Some(axis) => finding.hint(format!("did you mean `{axis}`?")),
                None => finding.hint("give its values under `grid`"),
            });
        }
    }
    for path in &compare.tune {
        let axis = sweep.grid.iter().chain(sweep.zip.iter().flatten()).find(|axis| axis.path.value == path.value);
        if axis.is_some_and(|axis| !axis.arms.is_empty()) {
            let message = format!("`compare.tune` names `{}`, which is an axis of some arms alone", path.value);
            findings
                .push(Finding::new(path.at, message).hint("what is tuned is tuned for every arm: leave out `arms`"));
        }
    }
    if let (Some(path), true) = (compare.tune.first(), sweep.seeds.len() < 2) {
        let message = "`compare.tune` needs two seeds or more: one to choose on and one to measure on";
        findings.push(Finding::new(path.at, message).hint("set `seeds`"));
    }
    findings
}

/// Pairs of an arm with itself, of one that is compared anyway, and those that are there already.
fn needless_pairs(compare: &CompareSpec) -> Vec<Finding> {
    let baseline = &compare.baseline.value;
    let mut findings = Vec::new();
    for (index, PairSpec { arm, against }) in compare.pairs.iter().enumerate() {
        let is_same = |other: &&PairSpec| {
            let (first, second) = (&other.arm.value, &other.against.value);
            (first == &arm.value && second == &against.value) || (first == &against.value && second == &arm.value)
        };
        if arm.value == against.value {
            findings.push(Finding::new(against.at, format!("`{}` is compared with itself", arm.value)));
        } else if [&arm.value, &against.value].contains(&baseline) {
            let other = if &arm.value == baseline { against } else { arm };
            let message = format!("`{}` is compared with `{baseline}` already: every arm is", other.value);
            findings.push(Finding::new(arm.at, message).hint("leave the pair out"));
        } else if let Some(first) = compare.pairs[..index].iter().find(is_same) {
            let message = format!("`{}` and `{}` are compared twice", arm.value, against.value);
            let mut finding = Finding::new(arm.at, message);
            finding.related = Some(Box::new((first.arm.at, "first written here".to_owned())));
            findings.push(finding);
        }
    }
    findings
}

/// Pairs whose arms stand at no grid point together, since each has axes that the other lacks.
fn pairs_apart(compare: &CompareSpec, arms: &[ResolvedArm], layout: &Layout) -> Vec<Finding> {
    let is_whole = |cell: &Cell| cell.point.iter().all(Option::is_some);
    if layout.cells.iter().all(is_whole) {
        return Vec::new();
    }
    let is_part = |part: &Cell, whole: &Cell| {
        part.point.iter().zip(&whole.point).all(|(part, whole)| part.is_none() || part == whole)
    };
    let of = |name: &Placed<String>| {
        let arm = arms.iter().position(|arm| arm.name.value == name.value);
        layout.cells.iter().filter(move |cell| Some(cell.arm) == arm)
    };
    let meet = |pair: &&PairSpec| {
        of(&pair.arm).any(|arm| {
            let wholes = || layout.cells.iter().filter(|whole| is_part(arm, whole));
            of(&pair.against).any(|against| wholes().any(|whole| is_part(against, whole)))
        })
    };
    let finding = |pair: &PairSpec| {
        let message = format!("`{}` and `{}` stand at no grid point together", pair.arm.value, pair.against.value);
        Finding::new(pair.arm.at, message).hint("give both the same axes, or one of them none")
    };
    compare.pairs.iter().filter(|pair| !meet(pair)).map(finding).collect()
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
        Some(TargetSpec::Final { from, .. }) if from.value != compare.baseline.value => vec![&compare.baseline, from],
        _ => vec![&compare.baseline],
    };
    let mut findings = pairs_apart(compare, arms, layout);
    for yardstick in yardsticks {
        let arm = index_of(yardstick).expect("`resolve` found it");
        let at_point: std::collections::BTreeMap<&[Option<usize>], usize> = layout
            .cells
            .iter()
            .enumerate()
            .filter(|(_, cell)| cell.arm == arm)
            .map(|(index, cell)| (cell.point.as_slice(), index))
            .collect();
        for (index, cell) in layout.cells.iter().enumerate() {
            // One that has not all axes stands at several points.
            let meets =
                |base: &[Option<usize>]| base.iter().zip(&cell.point).all(|(base, own)| base.is_none() || base == own);
            let elsewhere = || at_point.iter().find(|(base, _)| meets(base)).map(|(_, index)| index);
            let Some(&base) = at_point.get(cell.point.as_slice()).or_else(elsewhere) else {
                let message = format!("`{}` has no `{}` to be compared with", name_of(index), yardstick.value);
                findings.push(Finding::new(yardstick.at, message).hint("exclude both, or neither"));
                return findings;
            };
            let (base, spec) = (&specs[base], &specs[index]);
            let metric = compare.metric.value;
            if let Some(needed) = metric.needs().filter(|needed| !spec.evaluate.measures.contains(needed)) {
                let message = format!("`{}` does not measure `{}`", name_of(index), metric.name());
                let hint = format!("add `{}` to `evaluate.measures` in `base`", needed.name());
                findings.push(Finding::new(compare.metric.at, message).hint(hint));
                return findings;
            }
            // What a value's protocol names: rows of different protocols are never compared.
            let weights = spec.evaluate.weights.compared();
            let differs = match metric {
                _ if base.evaluate.weights.compared() != weights => Some("evaluate.weights"),
                _ if weights == Weights::Averaged && base.train.average() != spec.train.average() => {
                    let are_exponential = base.train.ema.is_exponential() && spec.train.ema.is_exponential();
                    Some(if are_exponential { "train.ema_decay" } else { "train.ema" })
                }
                Metric::Fid | Metric::Kid | Metric::FidInfinity | Metric::Sfid | Metric::Cmmd => {
                    (base.evaluate.fid != spec.evaluate.fid).then_some("evaluate.fid")
                }
                Metric::ValidationLoss if base.evaluate.validation != spec.evaluate.validation => {
                    Some("evaluate.validation")
                }
                // The loss is the error of what is predicted.
                Metric::ValidationLoss if base.parameterization != spec.parameterization => Some("parameterization"),
                // Its bins hold other noise levels, and the velocity of another path is another thing.
                Metric::ValidationLoss => (base.noise_schedule != spec.noise_schedule).then_some("noise_schedule"),
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
                    "parameterization" | "noise_schedule" => "compare `metric: fid`, or set it in `base`, for every arm alike",
                    "train.ema" | "train.ema_decay" => {
                        "set it in `base`, for every arm alike; or compare each run's own average, with `evaluate: { weights: own }` in `base`"
                    }
                    _ => "set it in `base`, for every arm alike",
                }));
                return findings;
            }
        }
    }
    findings
}
