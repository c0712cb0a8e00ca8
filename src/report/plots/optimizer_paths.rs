//! beta1 and the learning rate over a run.

use super::chart::{Chart, EndLabel, MARGINS, Scale, end_labels, label_room};
use super::drawing::{Drawing, Point, Sheet};
use super::seeds::rows;
use super::style::*;
use super::{Palette, join_names, names};
use crate::report::comparison::PointComparison;

const PANEL_HEIGHT: f64 = 210.0;

/// Two panels; arms on one path share a line. `None` where nothing is recorded.
pub fn optimizer_paths(point: &PointComparison, palette: &Palette, sheet: Sheet) -> Option<Drawing> {
    let width = sheet.width;
    let panels = [("β₁ of Adam", names::BETA1, false), ("learning rate", names::LEARNING_RATE, false)];
    let mut drawing = sheet.drawing(PANEL_HEIGHT * panels.len() as f64);
    let mut drawn = false;
    for (index, (label, metric, is_log)) in panels.into_iter().enumerate() {
        let paths = paths(point, metric);
        let values = || paths.iter().flat_map(|(_, path)| path);
        let Some(x) = Scale::covering(values().map(|value| value.0).chain([0.0]), false) else { continue };
        let Some(y) = Scale::covering(values().map(|value| value.1).chain((!is_log).then_some(0.0)), is_log) else {
            continue;
        };
        if values().next().is_none() || x.high <= x.low {
            continue;
        }
        drawn = true;
        let y = Scale { high: if y.high > y.low { y.high * 1.06 } else { 1.0 }, ..y };
        let names: Vec<String> = paths.iter().map(|(arms, _)| join_names(arms)).collect();
        let right = width - label_room(sheet, names.iter().map(String::as_str));
        let offset = PANEL_HEIGHT * index as f64;
        let (top, bottom) = (offset + MARGINS.top, offset + PANEL_HEIGHT - MARGINS.bottom);
        let chart = Chart::frame(&mut drawing, x, y, [MARGINS.left, top, right, bottom], "optimizer step", label);
        let mut labels = Vec::new();
        for ((arms, path), text) in paths.iter().zip(names) {
            let style = palette.arm(arms[0]);
            chart.curve(&mut drawing, path, &style, LINE);
            if let Some(&(x, y)) = path.last() {
                labels.push(EndLabel { text, end: chart.point(x, y), style, has_marker: false });
            }
        }
        end_labels(&mut drawing, labels, right, top, bottom);
    }
    drawn.then_some(drawing)
}

/// Each different path with the arms that took it: every arm's longest run stands for the arm.
fn paths<'a>(point: &PointComparison<'a>, metric: &str) -> Vec<(Vec<&'a str>, Vec<Point>)> {
    let mut paths: Vec<(Vec<&str>, Vec<Point>)> = Vec::new();
    for arm in &point.arms {
        let path = |run: &crate::report::comparison::ArmRun| -> Vec<Point> {
            let shown = rows(run.record, metric).filter(|row| row.value.is_finite());
            shown.map(|row| (row.step as f64, row.value)).collect()
        };
        let longest =
            arm.runs.iter().map(path).reduce(|first, second| if second.len() > first.len() { second } else { first });
        let Some(path) = longest.filter(|path| !path.is_empty()) else { continue };
        match paths.iter_mut().find(|(_, other)| *other == path) {
            Some((arms, _)) => arms.push(arm.arm),
            None => paths.push((vec![arm.arm], path)),
        }
    }
    paths
}
