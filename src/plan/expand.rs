//! Expands a sweep as written to the ordered, checked list of runs.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rayon::prelude::*;
use serde_json::Value as Json;

use super::also::decode_run;
use super::arms::{self, ResolvedArm};
use super::axes::{self, ResolvedAxes, ResolvedAxis};
use super::check::{Violation, check};
use super::compare;
use super::finding::{Finding, MOST_PROBLEMS};
use super::labels;
use super::merge::{merge, patch_of};
use super::params;
use super::points::{self, Cell, Layout};
use super::preset;
use super::reference_files;
use crate::checksum::input_digest;
use crate::spec::{
    Axis, DecodeError, Labels, Location, Node, PLAN_VERSION, Plan, PlannedRun, RunId, RunSpec, Source, SweepSpec, Value,
};
use crate::twin;

/// Every run of the sweep, or everything that is wrong with it. `override_count` is how many `--set` were applied.
pub fn expand(sweep: &SweepSpec, override_count: usize) -> Result<Plan, Vec<Finding>> {
    let compared = compare::resolve(sweep);
    let labels = labels::resolve(sweep);
    let (arms, labels) = match (arms::resolve(sweep), &compared, labels) {
        (Ok(arms), Ok(_), Ok(labels)) => (arms, labels),
        (arms, compared, labels) => {
            let all = [arms.err(), compared.as_ref().err().cloned(), labels.err()];
            return Err(all.into_iter().flatten().flatten().collect());
        }
    };
    let undeclared = params::check(sweep);
    if !undeclared.is_empty() {
        return Err(undeclared);
    }
    points::require_size(sweep).map_err(|finding| vec![finding])?;
    let mut axes = axes::resolve(sweep, &arms)?;
    let layout = points::lay_out(sweep, &arms, &mut axes)?;
    let planned: Vec<Axis> = axes.axes.iter().map(ResolvedAxis::planned).collect();
    let labels = labels::resolve_axes(sweep, labels, &planned)?;
    let grid = Grid { arms: &arms, axes: &axes, planned: &planned, cells: &layout.cells };

    let mut specs = resolve_cells(sweep, &grid)?;
    find_digests(&mut specs, &grid)?;
    reference_files::find_digests(&mut specs, &|cell, path| {
        let tree = grid.tree(&grid.cells[cell]);
        tree.entry_at(path).map(|entry| entry.value.at)
    })?;
    let mut findings = unused_overrides(override_count, sweep, &grid);
    if let Some(compare) = &sweep.compare {
        findings.extend(compare::check(compare, &arms, &layout, &specs, &|cell| grid.trial(cell)));
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    let runs = planned_runs(&grid, &layout, &specs);
    same_runs(&grid, &layout, &runs)?;
    Ok(Plan {
        version: PLAN_VERSION,
        name: sweep.name.value.clone(),
        question: sweep.question.clone(),
        arms: arms.iter().map(|arm| arm.name.value.clone()).collect(),
        axes: planned.clone(),
        seeds: sweep.seeds.clone(),
        compare: compared.expect("checked above"),
        until_decided: None,
        exclusive: sweep.exclusive,
        labels,
        runs,
    })
}

/// The arms and axes that cells point into.
struct Grid<'g> {
    arms: &'g [ResolvedArm<'g>],
    axes: &'g ResolvedAxes<'g>,
    /// The axes as the plan has them.
    planned: &'g [Axis],
    cells: &'g [Cell],
}

impl Grid<'_> {
    /// The tree of a cell: its arm's, with the values of its point.
    fn tree(&self, cell: &Cell) -> Node {
        let mut tree = self.arms[cell.arm].tree.clone();
        for (axis, value) in self.axes.axes.iter().zip(&cell.point) {
            if let Some(value) = *value {
                set(&mut tree, &axis.path.value, axis.path.at, &axis.values[value].node);
            }
        }
        preset::spell_out(&mut tree).expect("every value of an axis was spelled out once, when it was computed");
        tree
    }

    /// The name of a cell's trial: `arm` followed by ` key=value` for each axis.
    fn trial(&self, cell: usize) -> String {
        let cell = &self.cells[cell];
        Labels::default().trial(&self.arms[cell.arm].name.value, self.planned, &self.point(cell))
    }

    fn point(&self, cell: &Cell) -> BTreeMap<String, Json> {
        let values = self.axes.axes.iter().zip(&cell.point);
        let given = values.filter_map(|(axis, value)| Some((axis, &axis.values[(*value)?])));
        given.map(|(axis, value)| (axis.path.value.clone(), value.json.clone())).collect()
    }
}

/// Sets a path. What is there already is replaced in place; otherwise a patch is merged.
fn set(tree: &mut Node, path: &str, at: Location, value: &Node) {
    let is_plain = !matches!(value.value, Value::Map(_)) && !path.ends_with("kind");
    match slot(tree, path) {
        Some(place) if is_plain => *place = value.clone(),
        _ => merge(tree, &patch_of(path, at, value.clone())),
    }
}

fn slot<'t>(tree: &'t mut Node, path: &str) -> Option<&'t mut Node> {
    let Value::Map(entries) = &mut tree.value else { return None };
    let (key, rest) = path.split_once('.').unwrap_or((path, ""));
    let value = &mut entries.iter_mut().find(|entry| entry.key == key)?.value;
    if rest.is_empty() { Some(value) } else { slot(value, rest) }
}

/// Why a cell is no run.
enum Rejection {
    Unreadable(DecodeError),
    Broken(Vec<Violation>),
}

/// The spec of each cell, the seed still open.
fn resolve_cells(sweep: &SweepSpec, grid: &Grid) -> Result<Vec<RunSpec>, Vec<Finding>> {
    let resolved: Vec<Result<RunSpec, Rejection>> = grid
        .cells
        .par_iter()
        .map(|cell| {
            let spec = decode_run(&grid.tree(cell)).map_err(Rejection::Unreadable)?;
            let broken = check(&spec);
            if broken.is_empty() { Ok(spec) } else { Err(Rejection::Broken(broken)) }
        })
        .collect();
    if resolved.iter().all(Result::is_ok) {
        return Ok(resolved.into_iter().filter_map(Result::ok).collect());
    }
    // Cells share most of their text: each problem once, with the first cell that has it.
    let mut findings: Vec<(Finding, usize, usize)> = Vec::new();
    let mut index_of: HashMap<(Location, String), usize> = HashMap::new();
    for (cell, resolved) in resolved.into_iter().enumerate() {
        let Err(rejection) = resolved else { continue };
        for finding in located(rejection, sweep, grid, cell) {
            let index = *index_of.entry((finding.at, finding.message.clone())).or_insert_with(|| {
                findings.push((finding, cell, 0));
                findings.len() - 1
            });
            findings[index].2 += 1;
        }
        // Enough to show; the rest is likely more of the same.
        if findings.len() > 10 * MOST_PROBLEMS {
            break;
        }
    }
    let cell_count = grid.cells.len();
    let with_note = |(finding, cell, count): (Finding, usize, usize)| match count == cell_count {
        true => finding,
        false => Finding { note: Some(format!("in `{}`", grid.trial(cell))), ..finding },
    };
    Err(findings.into_iter().map(with_note).collect())
}

/// Fills in the sums of the trainers' inputs, and keeps `params` from runs that have no trainer of their own.
fn find_digests(specs: &mut [RunSpec], grid: &Grid) -> Result<(), Vec<Finding>> {
    if specs.iter().all(|spec| spec.trainer.is_none())
        && let Some(index) = specs.iter().position(|spec| !spec.params.is_empty())
    {
        let tree = grid.tree(&grid.cells[index]);
        let at = tree.entry_at("params").map_or_else(Location::default, |entry| entry.key_at);
        let hint = "write `trainer: { command: [python3, train.py] }`, or remove `params`";
        return Err(vec![
            Finding::new(at, "`params` are given to nobody: no arm has a `trainer` of its own").hint(hint),
        ]);
    }
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for (spec, cell) in specs.iter_mut().zip(grid.cells) {
        let Some(trainer) = &mut spec.trainer else {
            // Another arm's trainer is given these; they change nothing here.
            spec.params.clear();
            continue;
        };
        if !trainer.digests.is_empty() {
            let at = grid.tree(cell).entry_at("trainer.digests").map_or_else(Location::default, |entry| entry.key_at);
            return Err(vec![Finding::new(at, "`trainer.digests` is found, not written").hint("remove it")]);
        }
        for input in &trainer.inputs {
            if !known.contains_key(input) {
                let digest = input_digest(Path::new(input)).map_err(|error| {
                    let tree = grid.tree(cell);
                    let at = tree.entry_at("trainer.inputs").map_or_else(Location::default, |entry| entry.value.at);
                    let message = error.to_string();
                    let (message, hint) = message.split_once("\nhint: ").unwrap_or((
                        &message,
                        "paths are seen from the folder where `speedlab` is started; what is recorded already is shown \
                             without them by `speedlab report results/NAME`",
                    ));
                    vec![Finding::new(at, format!("`trainer.inputs`: {message}")).hint(hint)]
                })?;
                known.insert(input.clone(), digest);
            }
        }
        if trainer.is_torch() {
            trainer.digests = [(twin::NAME.to_owned(), twin::digest())].into();
            continue;
        }
        trainer.digests = trainer.inputs.iter().map(|input| (input.clone(), known[input].clone())).collect();
    }
    Ok(())
}

/// The problem of a cell, at the place that causes it.
fn located(rejection: Rejection, sweep: &SweepSpec, grid: &Grid, cell: usize) -> Vec<Finding> {
    let violations = match rejection {
        Rejection::Unreadable(error) => return vec![error.into()],
        Rejection::Broken(violations) => violations,
    };
    let tree = grid.tree(&grid.cells[cell]);
    violations
        .into_iter()
        .map(|violation| {
            // A value on an axis is the likeliest to be the one that does not fit.
            let is_axis = |path: &&&str| grid.axes.axes.iter().any(|axis| axis.path.value == **path);
            let (on_axis, elsewhere): (Vec<&&str>, Vec<&&str>) = violation.paths.iter().partition(is_axis);
            let written = on_axis.into_iter().chain(elsewhere).find_map(|path| tree.entry_at(path));
            let at = written.map_or(sweep.base.at, |entry| entry.value.at);
            Finding { hint: violation.hint, ..Finding::new(at, violation.message) }
        })
        .collect()
}

/// Overrides of `base` that no run has, because the arms or an axis set the same key: they would change nothing.
fn unused_overrides(count: usize, sweep: &SweepSpec, grid: &Grid) -> Vec<Finding> {
    let mut written = vec![None; count];
    overridden(&sweep.base, "", &mut written);
    // An axis has a value at every point, so one cell of each arm tells.
    let mut used = vec![None; count];
    let mut arms_seen = Vec::new();
    for cell in grid.cells.iter().filter(|_| count > 0) {
        if !arms_seen.contains(&cell.arm) {
            arms_seen.push(cell.arm);
            overridden(&grid.tree(cell), "", &mut used);
        }
    }
    let unused = written.into_iter().zip(used).enumerate().filter(|(_, (_, used))| used.is_none());
    unused
        .filter_map(|(index, (path, _))| {
            let path = path?;
            let at = Location { source: Source::Override(index), line: 1, column: 1 };
            let axis = grid.axes.axes.iter().find(|axis| axis.path.value == path);
            Some(match axis {
                Some(_) => Finding::new(at, format!("this changes nothing: `{path}` is an axis"))
                    .hint(format!("set the axis, as in `--set grid.{path}=[..]`")),
                None => Finding::new(at, format!("this changes nothing: every arm sets `{path}` itself"))
                    .hint(format!("set it in an arm, as in `--set arms.{}.{path}=..`", grid.arms[0].name.value)),
            })
        })
        .collect()
}

/// The path of the first value that each override left in a tree.
fn overridden(node: &Node, path: &str, found: &mut [Option<String>]) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                let dot = if path.is_empty() { "" } else { "." };
                overridden(&entry.value, &format!("{path}{dot}{}", entry.key), found);
            }
        }
        _ => {
            if let Source::Override(index) = node.at.source {
                found[index].get_or_insert_with(|| path.to_owned());
            }
        }
    }
}

fn planned_runs(grid: &Grid, layout: &Layout, specs: &[RunSpec]) -> Vec<PlannedRun> {
    layout
        .runs
        .par_iter()
        .map(|&(seed, index)| {
            let cell = &grid.cells[index];
            let spec = RunSpec { seed, ..specs[index].clone() };
            PlannedRun {
                run_id: RunId::of(&spec),
                arm: grid.arms[cell.arm].name.value.clone(),
                trial: grid.trial(index),
                point: grid.point(cell),
                seed,
                spec,
            }
        })
        .collect()
}

/// Refuses two trials that are the same run: one would be counted as evidence for the other.
fn same_runs(grid: &Grid, layout: &Layout, runs: &[PlannedRun]) -> Result<(), Vec<Finding>> {
    let mut findings = Vec::new();
    let mut first_of: HashMap<&RunId, usize> = HashMap::with_capacity(runs.len());
    let mut arms_named = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let Some(&first) = first_of.get(&run.run_id) else {
            first_of.insert(&run.run_id, index);
            continue;
        };
        let arm = |run: usize| grid.cells[layout.runs[run].1].arm;
        let pair = (arm(first), arm(index));
        if arms_named.contains(&pair) {
            continue;
        }
        arms_named.push(pair);
        let name = grid.arms[pair.1].name;
        let message = format!("`{}` and `{}` are the same run", runs[first].trial, run.trial);
        let mut finding = Finding::new(name.at, message).hint("change one of them, or exclude it");
        if pair.0 != pair.1 {
            finding.related = Some(Box::new((grid.arms[pair.0].name.at, "the other arm".to_owned())));
        }
        findings.push(finding);
    }
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}
