//! The axes of `grid` and `zip` with their computed values. Each axis is checked to name a field of every arm that has it.

use serde_json::Value as Json;

use super::also::decode_run;
use super::arms::{ResolvedArm, unknown_arm};
use super::finding::Finding;
use super::merge::{merge, patch_of};
use super::preset;
use crate::spec::{Axis, AxisSpec, AxisValues, Location, Node, Placed, SweepSpec, Value, nearest};

/// More values on one axis than this are a slip.
const MOST_VALUES: usize = 1_000_000;

/// An axis and its values.
pub struct ResolvedAxis<'s> {
    pub path: &'s Placed<String>,
    /// The indices of the arms that it is an axis of.
    pub arms: Vec<usize>,
    pub values: Vec<AxisValue>,
}

impl ResolvedAxis<'_> {
    pub fn planned(&self) -> Axis {
        Axis { path: self.path.value.clone(), values: self.values.iter().map(|value| value.json.clone()).collect() }
    }
}

pub struct AxisValue {
    /// The value as it is merged into an arm.
    pub node: Node,
    /// In one spelling: 16.0 on an axis of whole numbers is 16.
    pub json: Json,
}

/// Every axis of `grid`, then every axis of `zip`; and which of them move together, slowest first.
pub struct ResolvedAxes<'s> {
    pub axes: Vec<ResolvedAxis<'s>>,
    /// Indices of axes that move together; all their axes have the same number of values.
    pub dimensions: Vec<Vec<usize>>,
}

pub fn resolve<'s>(sweep: &'s SweepSpec, arms: &[ResolvedArm<'_>]) -> Result<ResolvedAxes<'s>, Vec<Finding>> {
    let mut findings = Vec::new();
    let mut resolved = ResolvedAxes { axes: Vec::new(), dimensions: Vec::new() };
    let groups = sweep.grid.iter().map(std::slice::from_ref).chain(sweep.zip.iter().map(Vec::as_slice));
    for group in groups {
        let mut dimension = Vec::new();
        for axis in group {
            let overlap = resolved.axes.iter().find(|other| overlaps(&other.path.value, &axis.path.value));
            match resolve_axis(axis, sweep, arms, overlap.map(|other| other.path)) {
                Ok(axis) => {
                    dimension.push(resolved.axes.len());
                    resolved.axes.push(axis);
                }
                Err(found) => findings.extend(found),
            }
        }
        findings.extend(unequal_lengths(&resolved.axes, &dimension));
        resolved.dimensions.push(dimension);
    }
    if findings.is_empty() { Ok(resolved) } else { Err(findings) }
}

/// Whether two paths are the same or one holds the other.
fn overlaps(a: &str, b: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    within(a, b) || within(b, a)
}

fn unequal_lengths(axes: &[ResolvedAxis], dimension: &[usize]) -> Option<Finding> {
    let first = &axes[*dimension.first()?];
    let other = dimension.iter().map(|index| &axes[*index]).find(|axis| axis.values.len() != first.values.len())?;
    let (a, b) = (other.values.len(), first.values.len());
    let message =
        format!("`{}` has {a} values, but `{}`, which moves with it, has {b}", other.path.value, first.path.value);
    Some(Finding::new(other.path.at, message).hint("give both the same number of values, or move one to `grid`"))
}

fn resolve_axis<'s>(
    axis: &'s AxisSpec,
    sweep: &SweepSpec,
    arms: &[ResolvedArm<'_>],
    overlap: Option<&Placed<String>>,
) -> Result<ResolvedAxis<'s>, Vec<Finding>> {
    let path = &axis.path;
    if let Some(other) = overlap {
        let mut finding = if other.value == path.value {
            Finding::new(path.at, format!("`{}` is an axis already", path.value))
        } else {
            Finding::new(path.at, format!("the axes `{}` and `{}` set the same field", path.value, other.value))
        };
        finding.related = Some(Box::new((other.at, "the other axis".to_owned())));
        return Err(vec![finding]);
    }
    let find = |name: &Placed<String>| {
        let index = arms.iter().position(|arm| arm.name.value == name.value);
        index.ok_or_else(|| unknown_arm(sweep, name))
    };
    let named = axis.arms.iter().map(find).collect::<Result<Vec<usize>, _>>().map_err(|finding| vec![finding])?;
    let of = if named.is_empty() { (0..arms.len()).collect() } else { named };
    for &arm in &of {
        check_path(path, &arms[arm], arms).map_err(|finding| vec![finding])?;
    }
    let (at, nodes) = values_of(&axis.values, &path.value).map_err(|finding| vec![finding])?;
    if nodes.is_empty() {
        let finding = Finding::new(at, format!("the axis `{}` has no values", path.value));
        return Err(vec![finding.hint("give it at least one, or remove the axis")]);
    }
    let mut findings = Vec::new();
    let mut values: Vec<AxisValue> = Vec::with_capacity(nodes.len());
    let mut first_places = std::collections::BTreeMap::new();
    for node in nodes {
        match canonical(path, &node, &arms[of[0]]) {
            Ok((json, exact)) => {
                if let Some(first) = first_places.insert(exact.to_string(), node.at) {
                    let mut finding =
                        Finding::new(node.at, format!("the axis `{}` has the value {json} twice", path.value));
                    finding.related = Some(Box::new((first, "first written here".to_owned())));
                    findings.push(finding);
                }
                values.push(AxisValue { node, json });
            }
            Err(finding) => findings.push(finding),
        }
    }
    if findings.is_empty() { Ok(ResolvedAxis { path, arms: of, values }) } else { Err(findings) }
}

/// Refuses an axis that is no field of an arm, or that the arm's patch sets as well.
fn check_path(path: &Placed<String>, arm: &ResolvedArm, arms: &[ResolvedArm]) -> Result<(), Finding> {
    let name = &path.value;
    if name == "seed" {
        return Err(Finding::new(path.at, "`seed` is no axis").hint("write `seeds: [..]` beside `base`"));
    }
    let json =
        |arm: &ResolvedArm| serde_json::to_value(&arm.spec).expect("a RunSpec is plain data, which JSON can hold");
    let spec = json(arm);
    if field(&spec, name).is_none() {
        let mut paths = Vec::new();
        list_paths(&spec, "", &mut paths);
        let known: Vec<&str> = paths.iter().map(String::as_str).filter(|path| *path != "seed").collect();
        // The last key alone, as in `channels`, names a field too if it is the only one.
        let by_key: Vec<&&str> = known.iter().filter(|path| path.rsplit('.').next() == Some(name)).collect();
        let meant = if let [only] = by_key[..] { Some(*only) } else { nearest(name, known) };
        let finding = Finding::new(path.at, format!("the axis `{name}` names no field of arm `{}`", arm.name.value));
        return Err(match meant {
            _ if name == "model.preset" => {
                finding.hint("a preset is a value of the whole model: write `model: [{ preset: .. }, ..]`")
            }
            _ if arms.iter().any(|other| field(&json(other), name).is_some()) => {
                finding.hint(format!("name the arms that have it, as in `{name}: {{ arms: [..], values: [..] }}`"))
            }
            Some(meant) => finding.hint(format!("did you mean `{meant}`?")),
            None => finding.hint("an axis is a field that every arm has, as in `model.channels`"),
        });
    }
    if let Some(entry) = arm.patches.iter().find_map(|patch| patch.entry_at(name)) {
        let message = format!("the axis `{name}` is set by arm `{}` too", arm.name.value);
        let mut finding = Finding::new(path.at, message).hint("leave it to one of the two");
        finding.related = Some(Box::new((entry.key_at, "set here".to_owned())));
        return Err(finding);
    }
    Ok(())
}

/// The part of a spec at a dotted path.
pub fn field<'j>(spec: &'j Json, path: &str) -> Option<&'j Json> {
    path.split('.').try_fold(spec, |part, key| part.get(key))
}

fn list_paths(spec: &Json, prefix: &str, paths: &mut Vec<String>) {
    for (key, value) in spec.as_object().into_iter().flatten() {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        list_paths(value, &path, paths);
        paths.push(path);
    }
}

/// A value in one spelling: as it is shown, and with every default filled in.
pub fn canonical(path: &Placed<String>, value: &Node, arm: &ResolvedArm<'_>) -> Result<(Json, Json), Finding> {
    let mut tree = arm.tree.clone();
    merge(&mut tree, &patch_of(&path.value, path.at, value.clone()));
    preset::spell_out(&mut tree)?;
    let spec = decode_run(&tree)?;
    let spec = serde_json::to_value(spec).expect("a RunSpec is plain data, which JSON can hold");
    let exact = field(&spec, &path.value).cloned().unwrap_or_else(|| value.to_json());
    let shown = if matches!(value.value, Value::Map(_)) { value.to_json() } else { exact.clone() };
    Ok((shown, exact))
}

/// How many values an axis will have, before any is computed; what is wrong with an axis is said when they are.
pub fn length(values: &AxisValues) -> f64 {
    match *values {
        AxisValues::List(_, ref nodes) => nodes.len() as f64,
        AxisValues::Linspace { count, .. } | AxisValues::Logspace { count, .. } => count as f64,
        AxisValues::Range { start, stop, step, .. } => range_length(start, stop, step).max(0.0),
    }
}

/// Refuses an axis of more than [`MOST_VALUES`] values.
pub fn require_length(axis: &AxisSpec) -> Result<(), Finding> {
    let count = length(&axis.values);
    match axis.values {
        _ if count.is_nan() || count <= MOST_VALUES as f64 => Ok(()),
        AxisValues::List(at, _)
        | AxisValues::Linspace { at, .. }
        | AxisValues::Logspace { at, .. }
        | AxisValues::Range { at, .. } => Err(too_many(at, &axis.path.value, count)),
    }
}

fn too_many(at: Location, path: &str, count: f64) -> Finding {
    Finding::new(at, format!("the axis `{path}` would have {count} values, and {MOST_VALUES} is the limit"))
}

/// A stop that only rounding keeps from being met is met.
fn range_length(start: f64, stop: f64, step: f64) -> f64 {
    ((stop - start) / step + 1e-9).floor() + 1.0
}

/// The values of an axis, and where they are written.
fn values_of(values: &AxisValues, path: &str) -> Result<(Location, Vec<Node>), Finding> {
    match *values {
        AxisValues::List(at, ref nodes) => Ok((at, nodes.clone())),
        AxisValues::Linspace { at, start, stop, count } | AxisValues::Logspace { at, start, stop, count } => {
            let is_log = matches!(values, AxisValues::Logspace { .. });
            if count < 2 {
                return Err(Finding::new(at, format!("`count` must be at least 2, not {count}"))
                    .hint("a single value is a list: `[0.5]`"));
            }
            if count > MOST_VALUES {
                return Err(too_many(at, path, count as f64));
            }
            if start == stop {
                return Err(Finding::new(at, "`start` and `stop` are equal").hint("a single value is a list: `[0.5]`"));
            }
            if is_log && (start <= 0.0 || stop <= 0.0) {
                return Err(Finding::new(at, "`logspace` needs a `start` and a `stop` above 0")
                    .hint("they are the values themselves, not their exponents"));
            }
            let value = |index: usize| match index {
                0 => start,
                _ if index == count - 1 => stop,
                _ => {
                    let share = index as f64 / (count - 1) as f64;
                    rounded(if is_log { start * (stop / start).powf(share) } else { start + (stop - start) * share })
                }
            };
            Ok((at, (0..count).map(|index| number(at, value(index))).collect()))
        }
        AxisValues::Range { at, start, stop, step } => {
            if step == 0.0 || (stop - start) * step < 0.0 {
                return Err(Finding::new(at, "a `step` that leads from `start` away from `stop`")
                    .hint("`step` must be above 0 where `stop` is above `start`, and below 0 otherwise"));
            }
            let count = range_length(start, stop, step);
            if count > MOST_VALUES as f64 {
                return Err(too_many(at, path, count));
            }
            Ok((at, (0..count as usize).map(|index| number(at, rounded(start + step * index as f64))).collect()))
        }
    }
}

/// Rounds to 12 significant digits, which hides the last bits of decimal fractions.
fn rounded(value: f64) -> f64 {
    format!("{value:.11e}").parse().expect("a formatted f64 is a number")
}

fn number(at: Location, value: f64) -> Node {
    let is_whole = value.fract() == 0.0 && value.abs() < 1e15;
    Node { at, value: if is_whole { Value::Integer(value as i64) } else { Value::Float(value) } }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn gives(values: AxisValues, expected: Json) {
        let (_, nodes) = values_of(&values, "x").unwrap();
        assert_eq!(Json::from(nodes.iter().map(Node::to_json).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn computed_values_are_the_decimal_numbers_one_would_write() {
        let at = Location::default();
        gives(AxisValues::Linspace { at, start: 0.0, stop: 1.0, count: 5 }, json!([0, 0.25, 0.5, 0.75, 1]));
        gives(AxisValues::Linspace { at, start: 0.1, stop: 0.4, count: 4 }, json!([0.1, 0.2, 0.3, 0.4]));
        gives(AxisValues::Linspace { at, start: 3.0, stop: 1.0, count: 3 }, json!([3, 2, 1]));
        gives(AxisValues::Logspace { at, start: 1e-4, stop: 1e-2, count: 3 }, json!([0.0001, 0.001, 0.01]));
        gives(AxisValues::Logspace { at, start: 1.0, stop: 1000.0, count: 4 }, json!([1, 10, 100, 1000]));
        gives(AxisValues::Range { at, start: 0.1, stop: 0.5, step: 0.1 }, json!([0.1, 0.2, 0.3, 0.4, 0.5]));
        gives(AxisValues::Range { at, start: 8.0, stop: 30.0, step: 8.0 }, json!([8, 16, 24]));
        gives(AxisValues::Range { at, start: 3.0, stop: 1.0, step: -1.0 }, json!([3, 2, 1]));
        gives(AxisValues::Range { at, start: 3.0, stop: 3.0, step: 1.0 }, json!([3]));
    }

    #[test]
    fn values_that_make_no_axis_are_refused() {
        let at = Location::default();
        let refused = |values: AxisValues| values_of(&values, "x").unwrap_err().message;
        let linspace = |start, stop, count| AxisValues::Linspace { at, start, stop, count };
        let range = |start, stop, step| AxisValues::Range { at, start, stop, step };
        assert_eq!(refused(linspace(0.0, 1.0, 1)), "`count` must be at least 2, not 1");
        assert_eq!(refused(linspace(1.0, 1.0, 2)), "`start` and `stop` are equal");
        assert_eq!(
            refused(linspace(0.0, 1.0, usize::MAX)),
            "the axis `x` would have 18446744073709552000 values, and 1000000 is the limit"
        );
        assert_eq!(
            refused(AxisValues::Logspace { at, start: 0.0, stop: 1.0, count: 3 }),
            "`logspace` needs a `start` and a `stop` above 0"
        );
        for (start, stop, step) in [(0.0, 1.0, 0.0), (0.0, 1.0, -0.1), (1.0, 0.0, 0.1)] {
            assert_eq!(refused(range(start, stop, step)), "a `step` that leads from `start` away from `stop`");
        }
        assert!(refused(range(0.0, 1e300, 1e-300)).contains("values, and 1000000 is the limit"));
    }
}
