//! The speedup at every quality, so that no one can choose the flattering one afterwards.

use super::Palette;
use super::chart::{Chart, MARGINS, Scale};
use super::drawing::{Anchor, Drawing, Marker, Sheet};
use super::style::*;
use crate::report::band::{Band, Profile};
use crate::report::comparison::{ArmComparison, Comparison, PointComparison};
use crate::report::cost::Cost;
use crate::report::speedup::Estimate;
use crate::report::wording::metric_words;

/// Beyond the extreme speedups by this factor, bands are cut: an interval that wide says only that it is wide.
const WIDEST: f64 = 1.7;

/// A panel for each candidate; `None` where no arm is compared.
pub fn speedup_by_target(
    comparison: &Comparison,
    point: &PointComparison,
    palette: &Palette,
    cost: Cost,
    sheet: Sheet,
) -> Option<Drawing> {
    let width = sheet.width;
    let index = Cost::ALL.iter().position(|other| *other == cost).expect("ALL has every cost");
    let arms: Vec<&ArmComparison> = point.arms.iter().filter(|arm| arm.contrast.profiles[index].is_some()).collect();
    let curves =
        || arms.iter().filter_map(|arm| arm.contrast.profiles[index].as_ref()).flat_map(|profile| &profile.curve);
    let shown = |estimate: &Estimate| match *estimate {
        Estimate::Measured { speedup, .. } => Some(speedup),
        Estimate::AtLeast(bound) | Estimate::AtMost(bound) => Some(bound),
        Estimate::Unknown(_) => None,
    };
    let targets = Scale::covering(curves().map(|(target, _)| *target), true)?;
    // Better is to the right.
    let x = Scale { low: targets.low, high: targets.high, ..targets };
    let y = Scale::covering(curves().filter_map(|(_, estimate)| shown(estimate)).chain([1.0]), true)?;
    let y = Scale { low: y.low / WIDEST, high: y.high * WIDEST, ..y };
    let band = point.band.as_ref().and_then(|band| band.as_ref().ok()).map(Band::values);

    let columns = arms.len().min(beside_each_other(2, width));
    let panel_height = 220.0;
    let mut drawing = sheet.drawing(panel_height * arms.len().div_ceil(columns) as f64);
    for (position, arm) in arms.iter().enumerate() {
        let panel_width = width / columns as f64;
        let left = panel_width * (position % columns) as f64 + MARGINS.left;
        let right = panel_width * (position % columns + 1) as f64 - MARGINS.right - 6.0;
        let offset = panel_height * (position / columns) as f64;
        let (top, bottom) = (offset + MARGINS.top, offset + panel_height - MARGINS.bottom);
        let x_label = format!("target {} (better →)", metric_words(comparison));
        let flipped = [right, top, left, bottom];
        let chart = panel(&mut drawing, x, y, flipped, &x_label);
        let style = palette.arm(arm.arm);
        drawing.text((left - 50.0, top - 14.0), arm.arm, LABEL_SIZE, style.text_color(), Anchor::Start);
        let words = format!("speedup in {}", cost.words());
        drawing.text((right, top - 14.0), words, TICK_SIZE, FAINT_INK, Anchor::End);
        drawing.line(vec![(left, chart.y.at(1.0)), (right, chart.y.at(1.0))], 1.2, AXIS, &[]);
        for end in band.into_iter().flat_map(|(easy, hard)| [easy, hard]).filter(|end| chart.x.shows(*end)) {
            let at = chart.x.at(end);
            drawing.line(vec![(at, top), (at, bottom)], 1.2, FAINT_INK, TARGET_DASH);
        }
        one_arm(&mut drawing, &chart, arm, index, &style);
    }
    Some(drawing)
}

/// A frame whose horizontal axis falls from left to right.
fn panel(drawing: &mut Drawing, x: Scale, y: Scale, [right, top, left, bottom]: [f64; 4], x_label: &str) -> Chart {
    let chart = Chart::frame_between(drawing, x.onto(right, left), y.onto(bottom, top), "", "");
    drawing.text((right, bottom + 36.0), x_label, LABEL_SIZE, INK, Anchor::End);
    chart
}

fn one_arm(drawing: &mut Drawing, chart: &Chart, arm: &ArmComparison, index: usize, style: &ArmStyle) {
    let Some(Profile { curve, .. }) = &arm.contrast.profiles[index] else { return };
    let mut stretch: Vec<(f64, f64, f64, f64)> = Vec::new();
    let mut stretches = Vec::new();
    let mut bounds = 0;
    for (target, estimate) in curve {
        match *estimate {
            Estimate::Measured { speedup, interval, .. } => {
                let (low, high) = interval.map_or((speedup, speedup), |interval| (interval.low, interval.high));
                stretch.push((*target, speedup, low, high));
                continue;
            }
            // Bounds are single triangles that point to where the truth is.
            Estimate::AtLeast(bound) | Estimate::AtMost(bound) => {
                if bounds % 3 == 0 && chart.y.shows(bound) {
                    let upward = matches!(estimate, Estimate::AtLeast(_));
                    let marker = if upward { Marker::TriangleUp } else { Marker::TriangleDown };
                    drawing.marker(marker, chart.point(*target, bound), 2.6, style.color);
                }
                bounds += 1;
            }
            Estimate::Unknown(_) => {}
        }
        stretches.push(std::mem::take(&mut stretch));
    }
    stretches.push(stretch);
    for stretch in stretches {
        let band: Vec<(f64, f64, f64)> = stretch.iter().map(|&(target, _, low, high)| (target, low, high)).collect();
        let line: Vec<(f64, f64)> = stretch.iter().map(|&(target, speedup, ..)| (target, speedup)).collect();
        chart.band(drawing, &band, style.color, band_opacity(1));
        chart.curve(drawing, &line, &ArmStyle { dash: &[], ..*style }, LINE);
    }
}
