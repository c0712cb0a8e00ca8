//! A panel for each arm: t upwards, training rightwards, a colour for each bin at each evaluation.

use super::chart::Scale;
use super::color_scale::ColorScale;
use super::drawing::{Anchor, Drawing, Sheet};
use super::style::*;
use super::ticks::linear;
use crate::report::difficulty::Surface;

const COLUMNS: usize = 3;
const PANEL_HEIGHT: f64 = 132.0;
/// Above each row of panels their names, below it the axis.
const ABOVE: f64 = 24.0;
const BELOW: f64 = 30.0;
const LEFT: f64 = 46.0;
const GAP: f64 = 16.0;
/// More columns than these are not told apart: some evaluations are left out.
const MOST_STEPS: usize = 80;

/// All panels share their colours, which are logarithmic. `None` where nothing is above zero.
pub fn heat_map(panels: &[(String, &Surface)], title: &str, sheet: Sheet) -> Option<Drawing> {
    let width = sheet.width;
    let values = panels.iter().flat_map(|(_, surface)| &surface.values).flatten().flatten().copied();
    let colors = ColorScale::viridis(Scale::covering(values, true)?);
    let columns = panels.len().min(beside_each_other(COLUMNS, width));
    let panel_width = (width - LEFT - ColorScale::bar_room(sheet) - 14.0 - GAP * (columns - 1) as f64) / columns as f64;
    let top = 26.0;
    let row_height = ABOVE + PANEL_HEIGHT + BELOW;
    let rows = panels.len().div_ceil(columns);
    let mut drawing = sheet.drawing(top + row_height * rows as f64 + 18.0);
    drawing.text((2.0, 15.0), title, LABEL_SIZE, INK, Anchor::Start);
    for (index, (name, surface)) in panels.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let left = LEFT + (panel_width + GAP) * column as f64;
        let panel_top = top + row_height * row as f64 + ABOVE;
        let bounds = [left, panel_top, left + panel_width, panel_top + PANEL_HEIGHT];
        let name = sheet.font.shortened(name, (panel_width + GAP - 6.0) / LABEL_SIZE);
        drawing.text((left, panel_top - 7.0), name, LABEL_SIZE, INK, Anchor::Start);
        panel(&mut drawing, surface, &colors, bounds, column == 0);
    }
    let right = LEFT + (panel_width + GAP) * columns as f64 - GAP;
    let bottom = top + row_height * rows as f64 - BELOW;
    drawing.text((right, bottom + 40.0), "training steps", LABEL_SIZE, INK, Anchor::End);
    colors.bar(&mut drawing, right + 14.0, top + ABOVE, top + ABOVE + PANEL_HEIGHT);
    Some(drawing)
}

fn panel(
    drawing: &mut Drawing,
    surface: &Surface,
    colors: &ColorScale,
    [left, top, right, bottom]: [f64; 4],
    is_first: bool,
) {
    let shown: Vec<usize> = match surface.steps.len() {
        count if count <= MOST_STEPS => (0..count).collect(),
        count => (0..MOST_STEPS).map(|index| index * (count - 1) / (MOST_STEPS - 1)).collect(),
    };
    let last = *surface.steps.last().expect("a surface has steps") as f64;
    let x = Scale { low: 0.0, high: last, is_log: false, from: left, to: right };
    let height = (bottom - top) / surface.bins as f64;
    // A column ends at its evaluation and begins at the one before, the first as wide as the second.
    let start = |place: usize| match place {
        0 if shown.len() > 1 => {
            let (first, second) = (surface.steps[shown[0]] as f64, surface.steps[shown[1]] as f64);
            (2.0 * first - second).max(0.0)
        }
        0 => 0.0,
        _ => surface.steps[shown[place - 1]] as f64,
    };
    for (place, &step) in shown.iter().enumerate() {
        let (from, to) = (x.at(start(place)), x.at(surface.steps[step] as f64));
        for (bin, value) in surface.values[step].iter().enumerate() {
            let Some(value) = value.filter(|value| *value > 0.0) else { continue };
            let low = bottom - height * bin as f64;
            // Cells overlap the next ones, which are drawn over them, so that no seam shows.
            let cell = [from, (low - height - 0.5).max(top), (to + 0.5).min(right), low];
            drawing.rectangle(cell, colors.color(value));
        }
    }
    drawing.line(vec![(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], 0.8, AXIS, &[]);
    for tick in linear(0.0, last, (((right - left) / 60.0) as usize).max(2)) {
        let at = x.at(tick.value);
        drawing.line(vec![(at, bottom), (at, bottom + 4.0)], 1.0, AXIS, &[]);
        drawing.text((at, bottom + 17.0), tick.text, TICK_SIZE, FAINT_INK, Anchor::Middle);
    }
    for (share, text) in [(0.0, "0"), (0.5, "0.5"), (1.0, "1")] {
        let at = bottom - (bottom - top) * share;
        drawing.line(vec![(left - 4.0, at), (left, at)], 1.0, AXIS, &[]);
        if is_first {
            drawing.text((left - 7.0, at + 0.36 * TICK_SIZE), text, TICK_SIZE, FAINT_INK, Anchor::End);
        }
    }
    if is_first {
        drawing.text((2.0, (top + bottom) / 2.0 - 14.0), "t / T", TICK_SIZE, INK, Anchor::Start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plots::drawing::Element;

    #[test]
    fn every_cell_lies_inside_its_panel_and_empty_ones_are_left_out() {
        let surface = Surface {
            steps: vec![40, 80, 120],
            bins: 2,
            values: vec![vec![Some(1.0), None], vec![Some(0.5), Some(0.0)], vec![Some(0.1), Some(0.2)]],
        };
        let drawing =
            heat_map(&[("one".to_owned(), &surface), ("two".to_owned(), &surface)], "loss", Sheet::of_page()).unwrap();
        let colors = ColorScale::viridis(Scale { low: 0.1, high: 1.0, is_log: true, from: 0.0, to: 1.0 });
        let areas = drawing.elements.iter().filter_map(|element| match element {
            Element::Area { points, color, .. } => Some((points, *color)),
            _ => None,
        });
        let areas: Vec<_> = areas.collect();
        // Four cells in each panel, and the bar's pieces.
        assert_eq!(areas.len(), 2 * 4 + 64);
        assert_eq!(areas[0].1, colors.color(1.0));
        assert!(
            areas.iter().all(|(points, _)| points.iter().all(|(x, y)| *x <= drawing.width && *y <= drawing.height))
        );
        let nothing = Surface { steps: vec![1], bins: 1, values: vec![vec![Some(f64::NAN)]] };
        assert!(heat_map(&[("none".to_owned(), &nothing)], "loss", Sheet::of_page()).is_none());
    }
}
