//! Which timesteps an arm trained on, and how that changed.

use super::chart::{Chart, EndLabel, MARGINS, Scale, end_labels, label_room};
use super::curves::shades;
use super::drawing::{Anchor, Drawing, Sheet};
use super::style::*;
use super::{Palette, join_names};
use crate::record::{RunRecord, TimestepDensity};
use crate::report::comparison::PointComparison;

const SHARES: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// A panel for each density that is not uniform all along; `None` where every arm's is.
pub fn timestep_density(point: &PointComparison, palette: &Palette, sheet: Sheet) -> Option<Drawing> {
    let width = sheet.width;
    let mut panels: Vec<(Vec<&str>, Vec<&TimestepDensity>)> = Vec::new();
    for arm in &point.arms {
        let Some(run) = arm.runs.iter().map(|run| run.record).find(|run| !run.densities.is_empty()) else { continue };
        let densities = at_shares(run);
        let is_uniform = |density: &&TimestepDensity| {
            let uniform = 1.0 / density.density.len() as f64;
            density.density.iter().all(|share| (share - uniform).abs() < 1e-3 * uniform)
        };
        if densities.iter().all(is_uniform) {
            continue;
        }
        match panels.iter_mut().find(|(_, other)| *other == densities) {
            Some((arms, _)) => arms.push(arm.arm),
            None => panels.push((vec![arm.arm], densities)),
        }
    }
    if panels.is_empty() {
        return None;
    }
    let relative = |density: &TimestepDensity| -> Vec<f64> {
        density.density.iter().map(|share| share * density.density.len() as f64).collect()
    };
    let all = panels.iter().flat_map(|(_, densities)| densities).flat_map(|density| relative(density));
    let y = Scale::covering(all.chain([0.0, 1.0]), false)?;
    let y = Scale { high: y.high * 1.08, ..y };
    let x = Scale { low: 0.0, high: 1.0, is_log: false, from: 0.0, to: 1.0 };
    let columns = panels.len().min(beside_each_other(2, width));
    let panel_height = 250.0;
    let mut drawing = sheet.drawing(panel_height * panels.len().div_ceil(columns) as f64);
    for (index, (arms, densities)) in panels.iter().enumerate() {
        let panel_width = width / columns as f64;
        let left = panel_width * (index % columns) as f64 + MARGINS.left;
        let offset = panel_height * (index / columns) as f64;
        let texts: Vec<String> = SHARES.iter().map(|share| format!("{:.0} %", share * 100.0)).collect();
        let right = panel_width * (index % columns + 1) as f64 - label_room(sheet, ["50–100 %"].into_iter());
        let (top, bottom) = (offset + MARGINS.top + 16.0, offset + panel_height - MARGINS.bottom);
        let y_label = "times as often as uniformly";
        let chart =
            Chart::frame(&mut drawing, x, y, [left, top, right, bottom], "timestep t / T (0: least noise)", y_label);
        let style = palette.arm(arms[0]);
        drawing.text((left - 50.0, top - 31.0), join_names(arms), LABEL_SIZE, style.text_color(), Anchor::Start);
        let mut labels: Vec<EndLabel> = Vec::new();
        for (position, (density, color)) in densities.iter().zip(shades(style.color, SHARES.len())).enumerate() {
            // Where it no longer changes, one label says from when to when.
            let from = densities.iter().position(|other| same(other, density)).unwrap_or(position);
            if densities.get(position + 1).is_some_and(|next| same(next, density)) {
                continue;
            }
            let text = if from == position {
                texts[position].clone()
            } else {
                format!("{:.0}–{}", SHARES[from] * 100.0, texts[position])
            };
            let bins = density.density.len() as f64;
            let line: Vec<(f64, f64)> =
                relative(density).iter().enumerate().map(|(bin, &value)| ((bin as f64 + 0.5) / bins, value)).collect();
            let line_style = ArmStyle { color, dash: &[], ..style };
            chart.curve(&mut drawing, &line, &line_style, LINE);
            if let Some(&(x, y)) = line.last() {
                labels.push(EndLabel { text, end: chart.point(x, y), style: line_style, has_marker: false });
            }
        }
        end_labels(&mut drawing, labels, right, top, bottom);
    }
    Some(drawing)
}

fn same(first: &TimestepDensity, second: &TimestepDensity) -> bool {
    let close = |(first, second): (&f64, &f64)| (first - second).abs() <= 1e-6 * first.abs();
    first.density.len() == second.density.len() && first.density.iter().zip(&second.density).all(close)
}

/// The recorded densities nearest to each share of the planned steps.
fn at_shares(run: &RunRecord) -> Vec<&TimestepDensity> {
    let steps = run.planned.spec.train.steps as f64;
    let nearest = |share: &f64| {
        let distance = |density: &&TimestepDensity| (density.step as f64 - share * steps).abs();
        run.densities.iter().min_by(|first, second| distance(first).total_cmp(&distance(second)))
    };
    SHARES.iter().filter_map(nearest).filter(|density| !density.density.is_empty()).collect()
}
