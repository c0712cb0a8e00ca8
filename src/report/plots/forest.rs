//! Every speedup with its interval, one under the other.

use super::chart::{Chart, Scale};
use super::drawing::{Anchor, Drawing, Marker};
use super::font;
use super::style::*;
use super::Palette;
use crate::report::comparison::{Comparison, NoSpeedup};
use crate::report::cost::Cost;
use crate::report::speedup::{Estimate, Speedup};
use crate::report::wording::{interval_cell, speedup_cell, verdict};

/// Intervals are cut here, with an arrow.
const WIDEST: (f64, f64) = (0.125, 8.0);
const ROW: f64 = 25.0;

struct Row<'a> {
    /// Arm, or the grid point's name above its arms.
    heading: Option<String>,
    arm: &'a str,
    cost: Cost,
    result: &'a Result<Speedup, NoSpeedup>,
}

/// `None` where no arm is compared.
pub fn forest(comparison: &Comparison, palette: &Palette) -> Option<Drawing> {
    let mut rows = Vec::new();
    for point in &comparison.points {
        let mut heading = comparison.has_grid().then(|| point.label.clone());
        for arm in point.arms.iter().filter(|arm| !arm.is_baseline) {
            for (cost, result) in Cost::ALL.into_iter().zip(&arm.speedups) {
                rows.push(Row { heading: heading.take(), arm: arm.arm, cost, result });
            }
        }
    }
    let estimates = || rows.iter().filter_map(|row| row.result.as_ref().ok()).map(|speedup| speedup.estimate);
    let values = estimates().flat_map(|estimate| match estimate {
        Estimate::Measured { speedup, interval, .. } => {
            let (low, high) = interval.map_or((speedup, speedup), |interval| (interval.low, interval.high));
            vec![speedup, low.max(WIDEST.0.min(speedup)), high.min(WIDEST.1.max(speedup))]
        }
        Estimate::AtLeast(bound) => vec![bound, bound * 1.15],
        Estimate::AtMost(bound) => vec![bound, bound / 1.15],
        Estimate::Unknown(_) => vec![],
    });
    let x = Scale::covering(values.chain([0.85, 1.18]), true)?.padded(0.05);
    if rows.is_empty() || comparison.baseline.is_none() {
        return None;
    }

    let headings = rows.iter().filter(|row| row.heading.is_some()).count();
    let (top, left) = (24.0, 24.0 + rows.iter().map(|row| font::width(row.arm) * LABEL_SIZE).fold(60.0, f64::max) + 54.0);
    let height = top + ROW * (rows.len() + headings) as f64 + 50.0;
    let (right, bottom) = (WIDTH - 232.0, height - 44.0);
    let mut drawing = Drawing::new(WIDTH, height);
    let flat = Scale { low: 0.0, high: 1.0, is_log: false, from: bottom, to: top };
    let chart = Chart::frame_between(&mut drawing, x.onto(left, right), flat, "", "");
    drawing.text((right, bottom + 36.0), "speedup, baseline ÷ arm (right of 1 is faster)", LABEL_SIZE, INK, Anchor::End);
    drawing.line(vec![(chart.x.at(1.0), top), (chart.x.at(1.0), bottom)], 1.3, AXIS, &[]);
    let mut y = top + ROW / 2.0;
    let mut last_arm = None;
    for row in &rows {
        if let Some(heading) = &row.heading {
            drawing.text((8.0, y + 4.0), heading.clone(), TICK_SIZE, FAINT_INK, Anchor::Start);
            y += ROW;
            last_arm = None;
        }
        let style = palette.arm(row.arm);
        if last_arm != Some(row.arm) {
            drawing.text((8.0, y + 0.36 * LABEL_SIZE), row.arm, LABEL_SIZE, style.text_color(), Anchor::Start);
        }
        last_arm = Some(row.arm);
        let what = match row.cost {
            Cost::ImagesSeen => "images",
            Cost::TrainSeconds => "time",
        };
        drawing.text((left - 10.0, y + 0.36 * TICK_SIZE), what, TICK_SIZE, FAINT_INK, Anchor::End);
        estimate(&mut drawing, &chart, row, &style, y);
        let mut text = speedup_cell(row.result);
        let interval = interval_cell(row.result);
        if interval != "–" {
            text = format!("{text}  ({interval})");
        } else if row.result.as_ref().map_or(true, |speedup| matches!(speedup.estimate, Estimate::Unknown(_))) {
            text = short(&verdict(row.result));
        }
        drawing.text((right + 14.0, y + 0.36 * TICK_SIZE), text, TICK_SIZE, INK, Anchor::Start);
        y += ROW;
    }
    Some(drawing)
}

fn estimate(drawing: &mut Drawing, chart: &Chart, row: &Row, style: &ArmStyle, y: f64) {
    let Ok(speedup) = row.result else { return };
    let clamped = |value: f64| chart.x.at(value.clamp(chart.x.low, chart.x.high));
    let mut arrow = |from: f64, to: f64| {
        drawing.line(vec![(from, y), (to, y)], LINE, style.color, &[]);
        let back = if to > from { -6.0 } else { 6.0 };
        drawing.area(vec![(to, y), (to + back, y - 4.0), (to + back, y + 4.0)], style.color, 1.0);
    };
    match speedup.estimate {
        Estimate::Measured { speedup, interval, resolution } => {
            if let Some(interval) = interval {
                drawing.line(vec![(clamped(interval.low), y), (clamped(interval.high), y)], LINE, style.color, &[]);
                for (value, direction) in [(interval.low, -1.0), (interval.high, 1.0)] {
                    let at = clamped(value);
                    if chart.x.shows(value) {
                        drawing.line(vec![(at, y - 4.0), (at, y + 4.0)], LINE, style.color, &[]);
                    } else {
                        drawing.area(vec![(at, y), (at - 6.0 * direction, y - 4.0), (at - 6.0 * direction, y + 4.0)], style.color, 1.0);
                    }
                }
            }
            let (low, high) = (clamped(resolution.low), clamped(resolution.high));
            drawing.area(vec![(low, y - 6.0), (high, y - 6.0), (high, y + 6.0), (low, y + 6.0)], style.color, 0.2);
            let marker = if row.cost == Cost::ImagesSeen { Marker::Circle } else { Marker::Square };
            drawing.marker(marker, (clamped(speedup), y), 4.0, style.color);
        }
        Estimate::AtLeast(bound) => arrow(clamped(bound), clamped(bound) + 34.0),
        Estimate::AtMost(bound) => arrow(clamped(bound), clamped(bound) - 34.0),
        Estimate::Unknown(_) => {}
    }
}

/// What fits beside the figure.
fn short(text: &str) -> String {
    const LONGEST: f64 = 210.0;
    if font::width(text) * TICK_SIZE <= LONGEST {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        if (font::width(&kept) + font::width("…")) * TICK_SIZE > LONGEST - 8.0 {
            break;
        }
        kept.push(character);
    }
    format!("{}…", kept.trim_end())
}
