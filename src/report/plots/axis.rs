//! The effect of an axis of the grid: speedup and final quality against it, a line for each arm.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Palette;
use super::chart::{Chart, EndLabel, Scale, end_labels, label_room};
use super::drawing::{Anchor, Drawing, Sheet};
use super::style::*;
use super::ticks::Tick;
use crate::report::comparison::{ArmComparison, Comparison, PointComparison};
use crate::report::speedup::Estimate;
use crate::report::wording::metric_words;
use crate::spec::{Axis, Labels};

/// Rows of small multiples: what else the grid has.
pub const MOST_ROWS: usize = 8;
const ROW_HEIGHT: f64 = 238.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 46.0;
/// Between two lines of names below a panel.
const SECOND_LINE: f64 = 15.0;
/// Between neighbouring arms at one value, so that their intervals do not lie on each other.
const DODGE: f64 = 5.0;
/// What a name may take beside its panel, where the next panel's numbers do not stand.
const BESIDE_PANEL: f64 = 20.0;
/// Between two names beside each other.
const GAP: f64 = 8.0;
/// Beyond the extreme values by this factor, intervals are cut.
const WIDEST: f64 = 1.5;

/// One arm at one value of the axis.
struct Mark {
    x: f64,
    y: f64,
    range: Option<(f64, f64)>,
}

/// Left the speedups with their 95 % intervals, right the final values with their range over seeds; a row for each combination of
/// the other axes, up to [`MOST_ROWS`]. `None` where the axis has one value or nothing is measured.
pub fn axis_curves(comparison: &Comparison, axis: &Axis, palette: &Palette, sheet: Sheet) -> Option<Drawing> {
    let width = sheet.width;
    if axis.values.len() < 2 {
        return None;
    }
    let rest = |point: &PointComparison| point.without(|path| path == axis.path);
    let mut rows: Vec<BTreeMap<String, Value>> = Vec::new();
    for point in comparison.points.iter().filter(|point| point.point.contains_key(&axis.path)) {
        if !rows.contains(&rest(point)) {
            rows.push(rest(point));
        }
    }
    rows.truncate(MOST_ROWS);
    let labels = &comparison.study.plan.labels;
    let places = places(axis, labels);
    let x = places.scale;
    let names = || comparison.study.plan.arms.iter().map(String::as_str);
    let marks = |row: &BTreeMap<String, Value>, arm: &str, of: &Measure| {
        let mut marks: Vec<Mark> = comparison
            .points
            .iter()
            .filter(|point| rest(point) == *row)
            .filter_map(|point| {
                let x = places.at(axis, point.point.get(&axis.path)?)?;
                let (y, range) = of(point.arm(arm)?)?;
                Some(Mark { x, y, range })
            })
            .collect();
        marks.sort_by(|first, second| first.x.total_cmp(&second.x));
        marks
    };
    let panels: [(String, Measure, Option<f64>); 2] = [
        ("speedup in training images".to_owned(), speedup, Some(1.0)),
        (format!("final {}", metric_words(comparison)), final_value, None),
    ];
    let has_speedups = comparison.baseline.is_some();
    let shown: Vec<_> = panels.into_iter().skip(usize::from(!has_speedups)).collect();
    let room = label_room(sheet, names());
    let (gap, left) = (62.0, 54.0);
    let columns = beside_each_other(shown.len(), width);
    // Panels that stand below each other are rows of their own.
    let lines = shown.len() / columns;
    let panel_width = (width - left - room - gap * (columns - 1) as f64) / columns as f64;
    let second_line = if places.is_number { 0.0 } else { SECOND_LINE };
    let row_height = ROW_HEIGHT + second_line;
    let mut drawing = sheet.drawing(row_height * (rows.len() * lines) as f64);
    let mut is_empty = true;
    for (panel, (title, of, line)) in shown.iter().enumerate() {
        let column = panel % columns;
        let all: Vec<Mark> = rows.iter().flat_map(|row| names().flat_map(|arm| marks(row, arm, of))).collect();
        let values = || all.iter().map(|mark| mark.y).chain(*line);
        let Some(extent) = Scale::covering(values(), true) else { continue };
        let ends = all.iter().filter_map(|mark| mark.range).flat_map(|(low, high)| [low, high]);
        let ends = ends.map(|end| end.clamp(extent.low / WIDEST, extent.high * WIDEST));
        let y = Scale::covering(values().chain(ends), true)?.padded(0.06);
        is_empty = false;
        for (row_index, row) in rows.iter().enumerate() {
            let panel_left = left + (panel_width + gap) * column as f64;
            let offset = row_height * (row_index * lines + panel / columns) as f64;
            let (top, bottom) = (offset + TOP, offset + ROW_HEIGHT - BOTTOM);
            let chart = Chart { x: x.onto(panel_left + 8.0, panel_left + panel_width - 8.0), y: y.onto(bottom, top) };
            let name = sheet.font.shortened(labels.axis(&axis.path), (panel_width + BESIDE_PANEL) / LABEL_SIZE);
            let chart = frame(&mut drawing, chart, &places, &name, title);
            if let Some(line) = line {
                let at = chart.y.at(*line);
                drawing.line(vec![(panel_left, at), (panel_left + panel_width, at)], 1.2, AXIS, &[]);
            }
            if panel == 0 && !row.is_empty() {
                let others = labels.point(&comparison.study.plan.axes, row);
                let others = sheet.font.shortened(&others, (width - 8.0) / TICK_SIZE);
                drawing.text((4.0, offset + 14.0), others, TICK_SIZE, FAINT_INK, Anchor::Start);
            }
            let drawn: Vec<(&str, Vec<Mark>)> =
                names().map(|arm| (arm, marks(row, arm, of))).filter(|(_, marks)| !marks.is_empty()).collect();
            let mut ends = Vec::new();
            for (index, (arm, marks)) in drawn.iter().enumerate() {
                let style = palette.arm(arm);
                let dodge = (index as f64 - (drawn.len() - 1) as f64 / 2.0)
                    * if places.is_number { DODGE } else { 4.0 * DODGE };
                if let Some(end) = one_arm(&mut drawing, &chart, marks, dodge, &style, places.is_number) {
                    ends.push(EndLabel { text: (*arm).to_owned(), end, style, has_marker: true });
                }
            }
            if column + 1 == columns {
                end_labels(&mut drawing, ends, panel_left + panel_width, top, bottom);
            }
        }
    }
    (!is_empty).then_some(drawing)
}

/// The panel. Values that are no numbers have long names: every other one stands in a second line. Names longer than their room are cut.
fn frame(drawing: &mut Drawing, chart: Chart, places: &Places, axis: &str, title: &str) -> Chart {
    let font = drawing.font;
    let width = (chart.x.to - chart.x.from).abs();
    let each = width / places.ticks.len() as f64;
    let fitted = |room: f64| {
        let fitted = |tick: &Tick| Tick { text: font.shortened(&tick.text, room / TICK_SIZE), ..tick.clone() };
        places.ticks.iter().map(fitted).collect::<Vec<Tick>>()
    };
    if places.is_number {
        // A number that is cut is another number: where there is no room it is left out.
        let is_number = |tick: &Tick| tick.text.parse::<f64>().is_ok();
        let names = fitted(each - GAP).into_iter().zip(&places.ticks);
        let ticks = names.map(|(name, tick)| if is_number(tick) { tick.clone() } else { name }).collect();
        return Chart::frame_with(drawing, chart, Some(ticks), axis, title);
    }
    let marks = places.ticks.iter().map(|tick| Tick { text: String::new(), ..tick.clone() }).collect();
    let chart = Chart::frame_with(drawing, chart, Some(marks), "", title);
    for (index, tick) in fitted(each + each.min(2.0 * BESIDE_PANEL) - 6.0).into_iter().enumerate() {
        let below = 17.0 + SECOND_LINE * (index % 2) as f64;
        let at = (chart.x.at(tick.value), chart.y.from + below);
        drawing.text(at, tick.text, TICK_SIZE, FAINT_INK, Anchor::Middle);
    }
    let end = (chart.x.from.max(chart.x.to), chart.y.from + 36.0 + SECOND_LINE);
    drawing.text(end, axis, LABEL_SIZE, INK, Anchor::End);
    chart
}

/// A value, and what it may range over.
type Measure = fn(&ArmComparison) -> Option<(f64, Option<(f64, f64)>)>;

fn speedup(arm: &ArmComparison) -> Option<(f64, Option<(f64, f64)>)> {
    match arm.contrast.images()?.estimate {
        Estimate::Measured { speedup, interval, .. } => {
            Some((speedup, interval.map(|interval| (interval.low, interval.high))))
        }
        _ => None,
    }
}

fn final_value(arm: &ArmComparison) -> Option<(f64, Option<(f64, f64)>)> {
    arm.final_values.map(|spread| (spread.median, Some((spread.low, spread.high))))
}

/// The positions of the axis' values.
struct Places {
    scale: Scale,
    ticks: Vec<Tick>,
    is_number: bool,
}

impl Places {
    fn at(&self, axis: &Axis, value: &Value) -> Option<f64> {
        match self.is_number {
            true => value.as_f64(),
            false => axis.values.iter().position(|other| other == value).map(|index| index as f64),
        }
    }
}

/// Numbers at their place, logarithmically where they span a factor above 4 and none is 0 or below; anything else one beside the
/// other.
fn places(axis: &Axis, labels: &Labels) -> Places {
    let numbers: Option<Vec<f64>> = axis.values.iter().map(Value::as_f64).collect();
    let is_number = numbers.is_some();
    let values = numbers.unwrap_or_else(|| (0..axis.values.len()).map(|index| index as f64).collect());
    let (low, high) =
        (values.iter().copied().fold(f64::INFINITY, f64::min), values.iter().copied().fold(0.0, f64::max));
    let is_log = is_number && low > 0.0 && high > 4.0 * low;
    let mut ticks: Vec<Tick> = axis
        .values
        .iter()
        .zip(&values)
        .map(|(value, &number)| Tick { value: number, text: labels.value(axis, value) })
        .collect();
    ticks.sort_by(|first, second| first.value.total_cmp(&second.value));
    let scale = match is_number {
        true => Scale::covering(values.into_iter(), is_log).expect("an axis has values").padded(0.05),
        // Arms stand beside each other at every value.
        false => Scale { low: -0.5, high: values.len() as f64 - 0.5, is_log, from: 0.0, to: 1.0 },
    };
    Places { scale, ticks, is_number }
}

/// The line, its intervals and markers; gives where it ends. `has_line`: what has no order has no line either.
fn one_arm(
    drawing: &mut Drawing,
    chart: &Chart,
    marks: &[Mark],
    dodge: f64,
    style: &ArmStyle,
    has_line: bool,
) -> Option<(f64, f64)> {
    let at = |mark: &Mark| {
        let (x, y) = chart.point(mark.x, mark.y);
        (x + dodge, y)
    };
    let light = style.color.mixed(WHITE, 0.45);
    for mark in marks {
        if let Some((low, high)) = mark.range {
            let clamped = |value: f64| chart.y.at(value.clamp(chart.y.low, chart.y.high));
            let (x, _) = at(mark);
            drawing.line(vec![(x, clamped(low)), (x, clamped(high))], LINE, light, &[]);
        }
    }
    if has_line {
        drawing.line(marks.iter().map(at).collect(), LINE, style.color, style.dash);
    }
    for mark in marks {
        drawing.marker(style.marker, at(mark), 3.6, style.color);
    }
    marks.last().map(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plots::drawing::Element;
    use crate::spec::AxisLabel;

    /// Left and right of the texts at each height.
    fn lines(drawing: &Drawing) -> BTreeMap<i64, Vec<(f64, f64)>> {
        let mut lines: BTreeMap<i64, Vec<(f64, f64)>> = BTreeMap::new();
        for element in &drawing.elements {
            let Element::Text { at, text, size, anchor: Anchor::Middle, .. } = element else { continue };
            // Where names are no numbers, each mark has an empty text beside its name.
            if text.is_empty() {
                continue;
            }
            let half = drawing.font.width(text) * size / 2.0;
            lines.entry(at.1.round() as i64).or_default().push((at.0 - half, at.0 + half));
        }
        lines
    }

    #[test]
    fn long_names_of_values_do_not_lie_on_each_other() {
        for values in [serde_json::json!(["a", "b", "c", "d", "e"]), serde_json::json!([0.2, 0.3, 0.4, 0.5, 0.6])] {
            let axis = Axis { path: "key".to_owned(), values: serde_json::from_value(values).unwrap() };
            let long = |value: &Value| (axis.label(value), format!("a name that is much too long for {value}"));
            let label = AxisLabel { label: None, values: axis.values.iter().map(long).collect() };
            let labels = Labels { axes: [(axis.path.clone(), label)].into(), ..Labels::default() };
            let places = places(&axis, &labels);
            let mut drawing = Sheet::of_page().drawing(200.0);
            let y = Scale { low: 0.0, high: 1.0, is_log: false, from: 150.0, to: 40.0 };
            let x = places.scale.onto(60.0, 360.0);
            frame(&mut drawing, Chart { x, y }, &places, "key", "title");
            let lines = lines(&drawing);
            assert_eq!(lines.values().map(Vec::len).sum::<usize>(), 5, "{axis:?}");
            for line in lines.values() {
                assert!(line.windows(2).all(|two| two[0].1 < two[1].0), "{line:?}");
                assert!(line.iter().all(|(left, right)| *left > 30.0 && *right < 390.0), "{line:?}");
            }
        }
    }
}
