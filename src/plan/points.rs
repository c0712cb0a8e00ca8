//! Which arm runs at which grid point with which seed: the product of the axes, less `exclude`, plus `include`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::arms::{ResolvedArm, unknown_arm};
use super::axes::{self, AxisValue, ResolvedAxes, canonical};
use super::finding::Finding;
use crate::spec::{AxisSpec, Node, Placed, PointSpec, SweepSpec, Value, nearest, quoted_list};

/// More runs than this are a slip.
const MOST_RUNS: usize = 1_000_000;

/// An arm at a grid point.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub arm: usize,
    /// For each axis, the index of its value; `None` where it is no axis of the arm.
    pub point: Vec<Option<usize>>,
}

/// The runs and their points.
pub struct Layout {
    pub cells: Vec<Cell>,
    /// (seed, index of the cell), in the order they should run: seeds outermost, then points, then arms.
    pub runs: Vec<(u64, usize)>,
}

/// Refuses more runs than [`MOST_RUNS`] before any axis is expanded: `grid` and `zip` say how many there would be.
pub fn require_size(sweep: &SweepSpec) -> Result<(), Finding> {
    sweep.grid.iter().chain(sweep.zip.iter().flatten()).try_for_each(axes::require_length)?;
    let groups = || sweep.grid.iter().map(std::slice::from_ref).chain(sweep.zip.iter().map(Vec::as_slice));
    let length = |group: &[AxisSpec]| group.first().map_or(1.0, |axis| axes::length(&axis.values));
    let lengths: Vec<f64> = groups().map(length).collect();
    let points_of = |arm: &str| -> f64 {
        let has = |axis: &AxisSpec| axis.arms.is_empty() || axis.arms.iter().any(|name| name.value == arm);
        groups().filter(|group| group.iter().any(has)).map(length).product()
    };
    let cells: f64 = sweep.arms.iter().map(|arm| points_of(&arm.name.value)).sum();
    let count = cells * sweep.seeds.len() as f64;
    // What is no number or empty is wrong in another way, which is said where values are computed.
    if count.is_nan() || count <= MOST_RUNS as f64 {
        return Ok(());
    }
    let first_axis = sweep.grid.first().or(sweep.zip.iter().flatten().next());
    let at = first_axis.map_or(sweep.arms[0].name.at, |axis| axis.path.at);
    let sizes: Vec<String> = lengths.iter().map(f64::to_string).collect();
    let points = if sizes.is_empty() { String::new() } else { format!(" x {} (points)", sizes.join(" x ")) };
    let message =
        format!("the sweep asks for {count} runs: {} (arms){points} x {} (seeds)", sweep.arms.len(), sweep.seeds.len());
    Err(Finding::new(at, message).hint(format!("{MOST_RUNS} runs are the limit")))
}

pub fn lay_out(sweep: &SweepSpec, arms: &[ResolvedArm], axes: &mut ResolvedAxes) -> Result<Layout, Vec<Finding>> {
    let lengths: Vec<usize> = axes.dimensions.iter().map(|axes_of| axes.axes[axes_of[0]].values.len()).collect();
    let mut findings = Vec::new();
    let mut filters: Vec<Filter> = Vec::new();
    for point in &sweep.exclude {
        match Filter::of(point, sweep, arms, axes) {
            Ok(filter) => filters.push(filter),
            Err(found) => findings.extend(found),
        }
    }
    let mut included = Vec::new();
    for point in &sweep.include {
        match include(point, sweep, arms, axes) {
            Ok(cells) => included.push((point, cells)),
            Err(found) => findings.extend(found),
        }
    }
    if !findings.is_empty() {
        return Err(findings);
    }

    let mut cells: Vec<Cell> = Vec::new();
    // (index of the seed, index of the cell): sorted, it is the order in which they should run.
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (_, arm, point) in in_order(arms.len(), &lengths, axes) {
        let cell = Cell { arm, point };
        let before = runs.len();
        for (seed_index, &seed) in sweep.seeds.iter().enumerate() {
            // Every filter is asked, because one that never matches is a mistake.
            if filters.iter_mut().filter_map(|filter| filter.matches(&cell, seed).then_some(())).count() == 0 {
                runs.push((seed_index, cells.len()));
            }
        }
        if runs.len() > before {
            cells.push(cell);
        }
    }
    for filter in filters.iter().filter(|filter| filter.matched == 0) {
        findings.push(
            Finding::new(filter.at, "this `exclude` matches no run").hint("is one of its values not in the grid?"),
        );
    }
    if !included.is_empty() {
        let mut index_of: BTreeMap<Cell, usize> =
            cells.iter().cloned().enumerate().map(|(index, cell)| (cell, index)).collect();
        let mut known: BTreeSet<(usize, usize)> = runs.iter().copied().collect();
        for (point, added) in included {
            for (cell, seed) in added {
                let index = *index_of.entry(cell).or_insert_with_key(|cell| {
                    cells.push(cell.clone());
                    cells.len() - 1
                });
                let seed_index =
                    sweep.seeds.iter().position(|known| *known == seed).expect("`include` checked its seeds");
                if !known.insert((seed_index, index)) {
                    findings.push(Finding::new(point.at, "this `include` adds a run that is in the sweep already"));
                    break;
                }
                runs.push((seed_index, index));
            }
        }
    }
    if runs.is_empty() && findings.is_empty() {
        findings.push(Finding::new(sweep.exclude[0].at, "`exclude` leaves nothing to run"));
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    runs.sort_unstable();
    Ok(Layout { runs: runs.into_iter().map(|(seed, cell)| (sweep.seeds[seed], cell)).collect(), cells })
}

/// (place, arm, point) of every cell, points as in the product of all axes, the last changing fastest. What is no axis of an arm multiplies
/// it by one: it stands where the others begin.
fn in_order(arms: usize, lengths: &[usize], axes: &ResolvedAxes) -> Vec<(u128, usize, Vec<Option<usize>>)> {
    let mut strides = vec![1u128; lengths.len()];
    for index in (1..lengths.len()).rev() {
        strides[index - 1] = strides[index].saturating_mul(lengths[index] as u128);
    }
    let mut cells = Vec::new();
    for arm in 0..arms {
        let has = |axis: &usize| axes.axes[*axis].arms.contains(&arm);
        let own: Vec<usize> =
            (0..lengths.len()).filter(|&dimension| axes.dimensions[dimension].iter().any(has)).collect();
        for mut index in 0..own.iter().map(|&dimension| lengths[dimension]).product() {
            let (mut place, mut point) = (0u128, vec![None; axes.axes.len()]);
            for &dimension in own.iter().rev() {
                let value = index % lengths[dimension];
                index /= lengths[dimension];
                place = place.saturating_add(strides[dimension].saturating_mul(value as u128));
                axes.dimensions[dimension].iter().filter(|axis| has(axis)).for_each(|&axis| point[axis] = Some(value));
            }
            cells.push((place, arm, point));
        }
    }
    cells.sort_unstable();
    cells
}

/// An entry of `exclude`, looked up.
struct Filter {
    at: crate::spec::Location,
    /// Empty: every one.
    arms: Vec<usize>,
    /// Empty: every one.
    seeds: Vec<u64>,
    /// For each axis that is named: its index, and which of its values are meant.
    values: Vec<(usize, Vec<usize>)>,
    /// How many runs it matched so far.
    matched: usize,
}

impl Filter {
    fn of(
        point: &PointSpec,
        sweep: &SweepSpec,
        arms: &[ResolvedArm],
        axes: &ResolvedAxes,
    ) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let (arm_indices, seeds) = arms_and_seeds(point, sweep, arms, &mut findings);
        let mut values = Vec::new();
        for (path, node) in &point.values {
            match axis_index(path, axes, "exclude") {
                Ok(index) => match Self::values_of(node, &axes.axes[index].values) {
                    Ok(meant) => values.push((index, meant)),
                    Err(finding) => findings.push(finding),
                },
                Err(finding) => findings.push(finding),
            }
        }
        if point.arms.is_empty() && point.seeds.is_empty() && point.values.is_empty() {
            findings.push(Finding::new(point.at, "this `exclude` is empty, which would leave nothing to run"));
        }
        let filter = Self { at: point.at, arms: arm_indices, seeds, values, matched: 0 };
        if findings.is_empty() { Ok(filter) } else { Err(findings) }
    }

    /// The values that one written value, or any of a list, stands for.
    fn values_of(node: &Node, values: &[AxisValue]) -> Result<Vec<usize>, Finding> {
        let find = |node: &Node| values.iter().position(|value| same(&value.json, &node.to_json()));
        if let Some(index) = find(node) {
            return Ok(vec![index]);
        }
        let nodes = match &node.value {
            Value::List(items) if !items.is_empty() => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        nodes
            .iter()
            .map(|node| {
                find(node).ok_or_else(|| {
                    let known: Vec<String> = values.iter().take(12).map(|value| value.json.to_string()).collect();
                    let more = if values.len() > 12 { ", .." } else { "" };
                    Finding::new(node.at, format!("no point of the grid has the value {}", node.to_json()))
                        .hint(format!("the values of this axis are {}{more}", known.join(", ")))
                })
            })
            .collect()
    }

    fn matches(&mut self, cell: &Cell, seed: u64) -> bool {
        let is_match = (self.arms.is_empty() || self.arms.contains(&cell.arm))
            && (self.seeds.is_empty() || self.seeds.contains(&seed))
            && self.values.iter().all(|(axis, meant)| cell.point[*axis].is_some_and(|value| meant.contains(&value)));
        self.matched += usize::from(is_match);
        is_match
    }
}

/// The runs that an entry of `include` adds; values that are new to an axis are appended to it.
fn include(
    point: &PointSpec,
    sweep: &SweepSpec,
    arms: &[ResolvedArm],
    axes: &mut ResolvedAxes,
) -> Result<Vec<(Cell, u64)>, Vec<Finding>> {
    let mut findings = Vec::new();
    let (arm_indices, seeds) = arms_and_seeds(point, sweep, arms, &mut findings);
    let mut indices: Vec<Option<usize>> = vec![None; axes.axes.len()];
    for (path, node) in &point.values {
        let index = match axis_index(path, axes, "include") {
            Ok(index) => index,
            Err(finding) => {
                findings.push(finding);
                continue;
            }
        };
        let axis = &mut axes.axes[index];
        match canonical(path, node, &arms[axis.arms[0]]) {
            Ok((json, _)) => {
                let known = axis.values.iter().position(|value| same(&value.json, &json));
                indices[index] = Some(known.unwrap_or_else(|| {
                    axis.values.push(AxisValue { node: node.clone(), json });
                    axis.values.len() - 1
                }));
            }
            Err(finding) => findings.push(finding),
        }
    }
    let considered: Vec<usize> = if arm_indices.is_empty() { (0..arms.len()).collect() } else { arm_indices.clone() };
    let named = |path: &str| point.values.iter().any(|(named, _)| named.value == path);
    let missing: Vec<&str> = axes
        .axes
        .iter()
        .filter(|axis| axis.arms.iter().any(|arm| considered.contains(arm)))
        .map(|axis| axis.path.value.as_str())
        .filter(|path| !named(path))
        .collect();
    for (path, _) in &point.values {
        let axis = axes.axes.iter().find(|axis| axis.path.value == path.value);
        if axis.is_some_and(|axis| !axis.arms.iter().any(|arm| considered.contains(arm))) {
            let message = format!("`{}` is no axis of the arms of this `include`", path.value);
            findings.push(Finding::new(path.at, message).hint("leave it out, or name an arm that has it"));
        }
    }
    if axes.axes.is_empty() && point.values.is_empty() {
        findings.push(Finding::new(point.at, "this `include` adds a point to a grid, but there is no grid"));
    } else if !missing.is_empty() {
        let message = format!("this `include` gives no value to {}", quoted_list(missing));
        findings.push(Finding::new(point.at, message).hint("a point has a value on every axis"));
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    let of_arm = |arm: usize| -> Vec<Option<usize>> {
        let own = |(axis, value): (usize, &Option<usize>)| value.filter(|_| axes.axes[axis].arms.contains(&arm));
        indices.iter().enumerate().map(own).collect()
    };
    // An arm without these axes has no further point.
    let has_some = |arm: &usize| axes.axes.iter().any(|axis| axis.arms.contains(arm));
    let arm_indices: Vec<usize> = match arm_indices.is_empty() {
        true => considered.into_iter().filter(has_some).collect(),
        false => arm_indices,
    };
    let seeds = if seeds.is_empty() { sweep.seeds.clone() } else { seeds };
    Ok(arm_indices
        .into_iter()
        .flat_map(|arm| {
            let point = of_arm(arm);
            seeds.iter().map(move |seed| (Cell { arm, point: point.clone() }, *seed)).collect::<Vec<_>>()
        })
        .collect())
}

fn arms_and_seeds(
    point: &PointSpec,
    sweep: &SweepSpec,
    arms: &[ResolvedArm],
    findings: &mut Vec<Finding>,
) -> (Vec<usize>, Vec<u64>) {
    let mut indices = Vec::new();
    for name in &point.arms {
        match arms.iter().position(|arm| arm.name.value == name.value) {
            Some(index) => indices.push(index),
            None => findings.push(unknown_arm(sweep, name)),
        }
    }
    let mut seeds = Vec::new();
    for seed in &point.seeds {
        if !sweep.seeds.contains(&seed.value) {
            findings.push(Finding::new(seed.at, format!("seed {} is not one of the sweep's `seeds`", seed.value)));
        }
        seeds.push(seed.value);
    }
    (indices, seeds)
}

fn axis_index(path: &Placed<String>, axes: &ResolvedAxes, section: &str) -> Result<usize, Finding> {
    let names = || axes.axes.iter().map(|axis| axis.path.value.as_str());
    names().position(|name| name == path.value).ok_or_else(|| {
        let finding = Finding::new(path.at, format!("`{}` in `{section}` is not an axis", path.value));
        match nearest(&path.value, names().chain(["arm", "seed"])) {
            Some(meant) => finding.hint(format!("did you mean `{meant}`?")),
            None if axes.axes.is_empty() => finding.hint("there is no `grid`; the keys here are `arm` and `seed`"),
            None => finding.hint(format!("the keys here are `arm`, `seed`, {}", quoted_list(names()))),
        }
    })
}

/// Whether two values are equal, numbers by what they mean.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}
