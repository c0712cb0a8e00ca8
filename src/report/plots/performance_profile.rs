//! How often each arm is near the fastest, over the points of a grid.

use super::Palette;
use super::chart::{Chart, EndLabel, Scale, end_labels, label_room};
use super::drawing::{Drawing, Sheet};
use super::style::*;
use crate::report::comparison::Comparison;
use crate::report::grid::{Grid, HOPELESS, share_within};

const HEIGHT: f64 = 270.0;
/// Beyond the largest factor that is measured by this, nothing changes any more.
const MARGIN: f64 = 1.05;

/// Performance profiles (Dolan and More 2002, equation 1.1): against r, the share of grid points at which an arm takes at most r times as long as the
/// fastest arm there. `None` without a score (see [`crate::report::grid::Ranked`]).
pub fn performance_profile(comparison: &Comparison, palette: &Palette, sheet: Sheet) -> Option<Drawing> {
    let width = sheet.width;
    let ranking = Grid::of(comparison).ranking;
    let profiles: Vec<(&str, Vec<f64>)> = ranking
        .iter()
        .filter(|ranked| ranked.score.is_some())
        .map(|ranked| {
            let mut ratios: Vec<f64> = ranked.ratios.iter().map(|ratio| ratio.max(1.0)).collect();
            ratios.sort_by(f64::total_cmp);
            (ranked.arm, ratios)
        })
        .collect();
    let largest = profiles.iter().flat_map(|(_, ratios)| ratios).copied().filter(|ratio| ratio.is_finite());
    let last = (largest.fold(f64::NAN, f64::max) * MARGIN).min(HOPELESS);
    if last.is_nan() || profiles.len() < 2 {
        return None;
    }
    let mut drawing = sheet.drawing(HEIGHT);
    let (left, right) = (54.0, width - label_room(sheet, profiles.iter().map(|(arm, _)| *arm)));
    let (top, bottom) = (44.0, HEIGHT - 46.0);
    let x = Scale { low: 1.0, high: last, is_log: true, from: 0.0, to: 1.0 };
    let y = Scale { low: 0.0, high: 1.02, is_log: false, from: 0.0, to: 1.0 };
    let chart = Chart::frame(
        &mut drawing,
        x,
        y,
        [left, top, right, bottom],
        "training images, as a multiple of the fastest arm's",
        "share of grid points",
    );
    let mut labels = Vec::new();
    for (arm, ratios) in &profiles {
        let style = palette.arm(arm);
        let curve = steps(ratios, last);
        let end = curve.last().map(|&(x, y)| chart.point(x, y)).expect("a profile begins at 1");
        chart.curve(&mut drawing, &curve, &style, LINE);
        labels.push(EndLabel { text: (*arm).to_owned(), end, style, has_marker: false });
    }
    end_labels(&mut drawing, labels, right, top, bottom);
    Some(drawing)
}

/// The corners of the share of sorted ratios at or below r, from 1 to `last`.
fn steps(ratios: &[f64], last: f64) -> Vec<(f64, f64)> {
    let mut corners = vec![(1.0, 0.0)];
    let mut reached = 0.0;
    for &ratio in ratios.iter().take_while(|ratio| **ratio <= last) {
        let before = std::mem::replace(&mut reached, share_within(ratios, ratio));
        corners.extend([(ratio, before), (ratio, reached)]);
    }
    corners.push((last, reached));
    corners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_rises_by_a_step_at_each_ratio() {
        let corners = steps(&[1.0, 1.5, f64::INFINITY, f64::INFINITY], 2.0);
        assert_eq!(corners, [(1.0, 0.0), (1.0, 0.0), (1.0, 0.25), (1.5, 0.25), (1.5, 0.5), (2.0, 0.5)]);
    }
}
