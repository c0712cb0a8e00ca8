//! Every speedup with its interval, one under the other.

use super::chart::{Chart, Scale};
use super::drawing::{Anchor, Drawing, Marker, Sheet};
use super::font::Font;
use super::style::*;
use super::{Drawn, Palette};
use crate::report::comparison::{Comparison, NoSpeedup};
use crate::report::cost::Cost;
use crate::report::number::significant;
use crate::report::speedup::Estimate;
use crate::report::tables::{Estimator, Row, groups};
use crate::report::wording::{interval_cell, speedup_cell, verdict};

/// Intervals are cut here, with an arrow.
const WIDEST: (f64, f64) = (0.125, 8.0);
const ROW: f64 = 24.0;
/// The most lines of a figure. With more it would be longer than ten screens, and its bitmap would take gigabytes while
/// it is drawn.
const MOST_LINES: usize = 200;
/// For a speedup and its interval, right of the axes.
const TEXT_ROOM: f64 = 196.0;
/// The share of the width that an arm's name has at most; a longer one is cut.
const MOST_NAME_ROOM: f64 = 0.27;
/// For a speedup alone.
const SPEEDUP_ROOM: f64 = 70.0;

struct Line<'a> {
    /// The grid point's name above its arms.
    heading: Option<String>,
    row: Row<'a>,
}

/// The lines that a figure has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Both axes, and the other estimators that have an interval or a bound.
    Everything,
    /// The headline of each arm alone: with everything there would be more than [`MOST_LINES`].
    Images,
    /// Nothing is drawn: even these lines alone would make a figure that is longer than anybody looks at.
    Nothing,
}

pub fn shown(comparison: &Comparison, drawn: Drawn) -> Shown {
    let few = |shown: &Shown| drawn == Drawn::All || lines(comparison, *shown).len() <= MOST_LINES;
    [Shown::Everything, Shown::Images].into_iter().find(few).unwrap_or(Shown::Nothing)
}

fn lines<'a>(comparison: &'a Comparison, shown: Shown) -> Vec<Line<'a>> {
    let is_shown = |row: &Row| match shown {
        Shown::Everything => !matches!(row.estimator, Estimator::WholeCurve { .. } | Estimator::FirstCrossing(_)),
        Shown::Images => (row.estimator, row.cost) == (Estimator::Band, Cost::ImagesSeen),
        Shown::Nothing => false,
    };
    let mut lines = Vec::new();
    for point in &comparison.points {
        let mut heading = comparison.has_grid().then(|| point.label.clone());
        let rows = groups(point).into_iter().flatten();
        for row in rows.filter(|row| is_shown(row) && !matches!(row.result, Err(NoSpeedup::IsBaseline))) {
            lines.push(Line { heading: heading.take(), row });
        }
    }
    lines
}

/// `None` where no arm is compared, or nothing is shown.
pub fn forest(comparison: &Comparison, palette: &Palette, shown: Shown, sheet: Sheet) -> Option<Drawing> {
    let Sheet { width, font } = sheet;
    let lines = lines(comparison, shown);
    let estimates = || lines.iter().filter_map(|line| line.row.result.as_ref().ok()).map(|speedup| speedup.estimate);
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
    if lines.is_empty() || comparison.baseline.is_none() {
        return None;
    }

    // In a narrow figure arms have lines of their own, and intervals are drawn and not written: so there is room to draw them.
    let is_narrow = beside_each_other(2, width) == 1;
    let most = MOST_NAME_ROOM * width / LABEL_SIZE;
    let names: Vec<String> = lines.iter().map(|line| font.shortened(&line.row.name(), most)).collect();
    let is_first: Vec<bool> = (0..lines.len())
        .map(|index| index == 0 || lines[index].heading.is_some() || names[index] != names[index - 1])
        .collect();
    let headings = lines.iter().filter(|line| line.heading.is_some()).count();
    let name_lines = if is_narrow { is_first.iter().filter(|is_first| **is_first).count() } else { 0 };
    let name_room = names.iter().map(|name| font.width(name) * LABEL_SIZE).fold(50.0, f64::max);
    let name_room = if is_narrow { 0.0 } else { name_room };
    let whats: Vec<String> = lines.iter().map(|line| what(&line.row)).collect();
    let what_room = whats.iter().map(|what| font.width(what) * TICK_SIZE).fold(0.0, f64::max);
    let (top, left) = (12.0, 2.0 + name_room + 22.0 + what_room + 14.0);
    let height = top + ROW * (lines.len() + headings + name_lines) as f64 + 52.0;
    let (right, bottom) = (width - if is_narrow { SPEEDUP_ROOM } else { TEXT_ROOM }, height - 44.0);
    let mut drawing = sheet.drawing(height);
    let mut y = top + ROW / 2.0 + 2.0;
    let mut places = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if let Some(heading) = &line.heading {
            let heading = font.shortened(heading, (width - 4.0) / TICK_SIZE);
            drawing.text((2.0, y + 4.0), heading, TICK_SIZE, FAINT_INK, Anchor::Start);
            y += ROW;
        } else if index > 0 && is_first[index] {
            drawing.line(vec![(2.0, y - ROW / 2.0), (width - 2.0, y - ROW / 2.0)], 1.0, GRID, &[]);
        }
        if is_first[index] {
            let color = palette.arm(line.row.arm.arm).text_color();
            drawing.text((2.0, y + 0.36 * LABEL_SIZE), names[index].clone(), LABEL_SIZE, color, Anchor::Start);
            if is_narrow {
                y += ROW;
            }
        }
        places.push(y);
        y += ROW;
    }
    let label = match comparison.points.iter().all(|point| point.pairs.is_empty()) {
        true => "speedup = baseline ÷ arm (right of 1 is faster)",
        false => "speedup = baseline (or the arm named) ÷ arm (right of 1 is faster)",
    };
    let chart = Chart::axis(&mut drawing, x.onto(left, right), top, bottom, label);
    drawing.line(vec![(chart.x.at(1.0), top), (chart.x.at(1.0), bottom)], 1.3, AXIS, &[]);
    for ((line, what), y) in lines.iter().zip(whats).zip(places) {
        drawing.text((left - 14.0, y + 0.36 * TICK_SIZE), what, TICK_SIZE, FAINT_INK, Anchor::End);
        estimate(&mut drawing, &chart, &line.row, &palette.arm(line.row.arm.arm), y);
        let interval = interval_cell(&line.row.result);
        let has_number = matches!(&line.row.result, Ok(speedup) if !matches!(speedup.estimate, Estimate::Unknown(_)));
        let text = match has_number {
            true if interval != "–" && !is_narrow => format!("{}  ({interval})", speedup_cell(&line.row.result)),
            true => speedup_cell(&line.row.result),
            false if is_narrow => "–".to_owned(),
            false => short(drawing.font, &verdict(&line.row.result)),
        };
        drawing.text((right + 16.0, y + 0.36 * TICK_SIZE), text, TICK_SIZE, INK, Anchor::Start);
    }
    Some(drawing)
}

/// `images`, `time`, `to the last 1.21`.
fn what(row: &Row) -> String {
    match (row.estimator, row.cost) {
        (Estimator::LastQuality(value), _) => format!("to the last {}", significant(value, 3)),
        (_, Cost::ImagesSeen) => "images".to_owned(),
        (_, Cost::TrainSeconds) => "time".to_owned(),
    }
}

fn estimate(drawing: &mut Drawing, chart: &Chart, row: &Row, style: &ArmStyle, y: f64) {
    let Ok(speedup) = &row.result else { return };
    let clamped = |value: f64| chart.x.at(value.clamp(chart.x.low, chart.x.high));
    let mut arrow = |from: f64, to: f64| {
        drawing.line(vec![(from, y), (to, y)], LINE, style.color, &[]);
        let back = if to > from { -6.0 } else { 6.0 };
        drawing.area(vec![(to, y), (to + back, y - 4.0), (to + back, y + 4.0)], style.color, 1.0);
    };
    match speedup.estimate {
        Estimate::Measured { interval: Some(interval), .. } if interval.is_too_wide() => {}
        Estimate::Measured { speedup, interval, .. } => {
            if let Some(interval) = interval {
                drawing.line(vec![(clamped(interval.low), y), (clamped(interval.high), y)], LINE, style.color, &[]);
                for (value, direction) in [(interval.low, -1.0), (interval.high, 1.0)] {
                    let at = clamped(value);
                    if chart.x.shows(value) {
                        drawing.line(vec![(at, y - 4.0), (at, y + 4.0)], LINE, style.color, &[]);
                    } else {
                        drawing.area(
                            vec![(at, y), (at - 6.0 * direction, y - 4.0), (at - 6.0 * direction, y + 4.0)],
                            style.color,
                            1.0,
                        );
                    }
                }
            }
            let marker = if row.cost == Cost::ImagesSeen { Marker::Circle } else { Marker::Square };
            drawing.marker(marker, (clamped(speedup), y), 4.2, style.color);
            if row.estimator != Estimator::Band {
                drawing.marker(marker, (clamped(speedup), y), 1.6, WHITE);
            }
        }
        Estimate::AtLeast(bound) => arrow(clamped(bound), clamped(bound) + 34.0),
        Estimate::AtMost(bound) => arrow(clamped(bound), clamped(bound) - 34.0),
        Estimate::Unknown(_) => {}
    }
}

/// The text, cut to the room beside the figure.
fn short(font: &Font, text: &str) -> String {
    const LONGEST: f64 = TEXT_ROOM - 20.0;
    if font.width(text) * TICK_SIZE <= LONGEST {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        if (font.width(&kept) + font.width("…")) * TICK_SIZE > LONGEST - 8.0 {
            break;
        }
        kept.push(character);
    }
    format!("{}…", kept.trim_end())
}
