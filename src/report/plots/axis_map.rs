//! Two axes of a grid at once: the speedup of each arm as the colour and the number of a cell.

use serde_json::Value;

use super::chart::Scale;
use super::color_scale::ColorScale;
use super::drawing::{Anchor, Drawing, Sheet};
use super::style::*;
use crate::report::comparison::{Comparison, PointComparison};
use crate::report::number::times;
use crate::report::speedup::Estimate;
use crate::spec::Axis;

const COLUMNS: usize = 2;
const ROW: f64 = 26.0;
const ABOVE: f64 = 26.0;
const BELOW: f64 = 48.0;
const GAP: f64 = 22.0;
/// Between two lines of names below a panel.
const SECOND_LINE: f64 = 13.0;
/// The share of a panel that the names of rows have at most; longer ones are cut.
const MOST_ROW_NAMES: f64 = 0.4;
/// A cell is at least this wide; more cells are not drawn but left to the table.
const LEAST_CELL: f64 = 34.0;

/// The first two axes that points have together and without a third.
fn pair<'a>(comparison: &Comparison<'a>) -> Option<[&'a Axis; 2]> {
    let axes = &comparison.study.plan.axes;
    let of = |point: &PointComparison| -> Vec<&'a Axis> {
        axes.iter().filter(|axis| point.point.contains_key(&axis.path)).collect()
    };
    let points = || comparison.points.iter().map(of);
    let pair: [&Axis; 2] = points().find(|axes| axes.len() == 2)?.try_into().expect("it has two");
    let holds = |axes: &[&Axis]| pair.iter().all(|axis| axes.iter().any(|other| other.path == axis.path));
    points().all(|axes| axes.len() == 2 || !holds(&axes)).then_some(pair)
}

/// A panel for each arm that has a number; cells without one stay empty. `None` unless points have exactly two axes and the cells fit.
pub fn axis_map(comparison: &Comparison, sheet: Sheet) -> Option<Drawing> {
    let Sheet { width, font } = sheet;
    let [down, across] = pair(comparison)?;
    let baseline = comparison.baseline?;
    let arms: Vec<&str> =
        comparison.study.plan.arms.iter().map(String::as_str).filter(|arm| *arm != baseline).collect();
    let at = |arm: &str, first: &Value, second: &Value| -> Option<f64> {
        let is_here = |point: &&PointComparison| {
            point.point.get(&down.path) == Some(first) && point.point.get(&across.path) == Some(second)
        };
        match comparison.points.iter().find(is_here)?.arm(arm)?.contrast.images()?.estimate {
            Estimate::Measured { speedup, .. } => Some(speedup),
            _ => None,
        }
    };
    let has_cells = |arm: &&str| {
        down.values.iter().any(|first| across.values.iter().any(|second| at(arm, first, second).is_some()))
    };
    let arms: Vec<&str> = arms.iter().copied().filter(has_cells).collect();
    let cells = || {
        arms.iter().flat_map(|arm| {
            down.values
                .iter()
                .flat_map(move |first| across.values.iter().filter_map(move |second| at(arm, first, second)))
        })
    };
    let colors = ColorScale::blues(Scale::covering(cells(), true)?.padded(0.02));
    let labels = &comparison.study.plan.labels;
    let values = |axis: &Axis| axis.values.iter().map(|value| labels.value(axis, value)).collect::<Vec<String>>();
    let (rows, columns) = (values(down), values(across));
    let columns_of_panels = beside_each_other(COLUMNS, width);
    let panels_across = arms.len().min(columns_of_panels);
    let room = width - ColorScale::bar_room(sheet) - 14.0 - GAP * (panels_across - 1) as f64;
    let panel_width = room / panels_across as f64;
    let row_names = rows.iter().map(|label| font.width(label) * TICK_SIZE).fold(0.0, f64::max);
    let left = (row_names + 14.0).min(MOST_ROW_NAMES * panel_width);
    let cell = (panel_width - left) / columns.len() as f64;
    if cell < LEAST_CELL {
        return None;
    }
    let fitted = |text: &str, room: f64, size: f64| font.shortened(text, room / size);
    // Names that are wider than their cells stand in two lines by turns.
    let lines = if columns.iter().any(|label| font.width(label) * TICK_SIZE > cell - 3.0) { 2 } else { 1 };
    let below = BELOW + SECOND_LINE * (lines - 1) as f64;
    let panel_height = ABOVE + ROW * rows.len() as f64 + below;
    let mut drawing = sheet.drawing(22.0 + panel_height * arms.len().div_ceil(columns_of_panels) as f64);
    drawing.text(
        (2.0, 14.0),
        fitted(&format!("speedup in training images; down: {}", labels.axis(&down.path)), width - 4.0, LABEL_SIZE),
        LABEL_SIZE,
        INK,
        Anchor::Start,
    );
    for (index, arm) in arms.iter().enumerate() {
        let x = left + (panel_width + GAP) * (index % columns_of_panels) as f64;
        let y = 22.0 + panel_height * (index / columns_of_panels) as f64 + ABOVE;
        drawing.text((x, y - 8.0), fitted(arm, panel_width - left, LABEL_SIZE), LABEL_SIZE, INK, Anchor::Start);
        for (row, (label, first)) in rows.iter().zip(&down.values).enumerate() {
            let top = y + ROW * row as f64;
            let label = fitted(label, left - 8.0, TICK_SIZE);
            drawing.text((x - 7.0, top + ROW / 2.0 + 4.0), label, TICK_SIZE, FAINT_INK, Anchor::End);
            for (column, second) in across.values.iter().enumerate() {
                let from = x + cell * column as f64;
                let bounds = [from, top, from + cell - 1.5, top + ROW - 1.5];
                let Some(speedup) = at(arm, first, second) else {
                    drawing.rectangle(bounds, GRID);
                    continue;
                };
                let color = colors.color(speedup);
                drawing.rectangle(bounds, color);
                let ink = if is_dark(color) { WHITE } else { INK };
                let middle = (from + (cell - 1.5) / 2.0, top + ROW / 2.0 + 3.5);
                drawing.text(middle, times(speedup), TICK_SIZE, ink, Anchor::Middle);
            }
        }
        let bottom = y + ROW * rows.len() as f64;
        for (column, label) in columns.iter().enumerate() {
            let middle = x + cell * (column as f64 + 0.5);
            let label = fitted(label, cell * lines as f64 - 3.0, TICK_SIZE);
            let at = (middle, bottom + 14.0 + SECOND_LINE * (column % lines) as f64);
            drawing.text(at, label, TICK_SIZE, FAINT_INK, Anchor::Middle);
        }
        let right = x + cell * columns.len() as f64;
        let name = fitted(labels.axis(&across.path), panel_width, LABEL_SIZE);
        drawing.text((right, bottom + below - 16.0), name, LABEL_SIZE, INK, Anchor::End);
    }
    let bar_left = width - ColorScale::bar_room(sheet);
    colors.bar(&mut drawing, bar_left, 22.0 + ABOVE, 22.0 + ABOVE + (ROW * rows.len() as f64).max(60.0));
    Some(drawing)
}

fn is_dark(super::drawing::Color(red, green, blue): super::drawing::Color) -> bool {
    0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue) < 140.0
}
