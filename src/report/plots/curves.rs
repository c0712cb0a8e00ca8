//! One curve for each arm: the median over seeds, and the range of seeds as a band.

use super::chart::{Chart, EndLabel, MARGINS, Scale, end_labels, label_room};
use super::drawing::{Color, Drawing, Point, Sheet};
use super::seeds::SeedPoint;
use super::style::*;

/// An arm's curve.
pub struct ArmCurve {
    pub name: String,
    pub style: ArmStyle,
    pub points: Vec<SeedPoint>,
    /// Several points far enough apart carry the arm's marker.
    pub has_markers: bool,
}

/// The quantities on the axes.
pub struct Axes<'a> {
    pub x_label: &'a str,
    pub y_label: &'a str,
    pub x_log: bool,
    pub y_log: bool,
    /// A horizontal line with its name.
    pub target: Option<(f64, String)>,
}

/// `None` where no arm has anything to show.
pub fn curves(arms: &[ArmCurve], axes: &Axes, sheet: Sheet) -> Option<Drawing> {
    let width = sheet.width;
    let arms: Vec<&ArmCurve> = arms.iter().filter(|arm| !arm.points.is_empty()).collect();
    let points = || arms.iter().flat_map(|arm| &arm.points);
    let xs = points().map(|point| point.x).chain((!axes.x_log).then_some(0.0));
    let ys = points().flat_map(|point| [point.low, point.high]).chain(axes.target.as_ref().map(|target| target.0));
    let x = Scale::covering(xs, axes.x_log)?;
    let x = if x.high > x.low { x } else { x.padded(0.1) };
    let y = Scale::covering(ys, axes.y_log)?.padded(0.04);
    points().next()?;

    let height = height(width);
    let mut drawing = sheet.drawing(height);
    let names = arms.iter().map(|arm| arm.name.as_str()).chain(axes.target.as_ref().map(|target| target.1.as_str()));
    let right = width - label_room(sheet, names);
    let (top, bottom) = (MARGINS.top, height - MARGINS.bottom);
    let chart = Chart::frame(&mut drawing, x, y, [MARGINS.left, top, right, bottom], axes.x_label, axes.y_label);
    let mut labels = Vec::new();
    if let Some((value, name)) = axes.target.as_ref().filter(|(value, _)| chart.y.shows(*value)) {
        let at = chart.y.at(*value);
        drawing.line(vec![(MARGINS.left, at), (right, at)], 1.2, FAINT_INK, TARGET_DASH);
        let style = ArmStyle { color: FAINT_INK, dash: TARGET_DASH, marker: super::drawing::Marker::Circle };
        labels.push(EndLabel { text: name.clone(), end: (right, at), style, has_marker: false });
    }
    for arm in &arms {
        let band: Vec<(f64, f64, f64)> = arm.points.iter().map(|point| (point.x, point.low, point.high)).collect();
        chart.band(&mut drawing, &band, arm.style.color, band_opacity(arms.len()));
    }
    // The first arm is drawn last: the baseline is never hidden.
    for arm in arms.iter().rev() {
        let line: Vec<Point> = arm.points.iter().map(|point| (point.x, point.median)).collect();
        chart.curve(&mut drawing, &line, &arm.style, LINE);
        let shown: Vec<Point> = chart.pieces(&line).concat();
        if arm.has_markers {
            markers(&mut drawing, &shown, &arm.style);
        }
        if let Some(&end) = shown.last() {
            labels.push(EndLabel { text: arm.name.clone(), end, style: arm.style, has_marker: true });
        }
    }
    end_labels(&mut drawing, labels, right, top, bottom);
    Some(drawing)
}

/// Markers on points at least 42 pixels apart.
fn markers(drawing: &mut Drawing, points: &[Point], style: &ArmStyle) {
    let mut last: Option<Point> = None;
    for &(x, y) in points {
        if last.is_none_or(|(last_x, last_y)| (x - last_x).hypot(y - last_y) >= 42.0) {
            drawing.marker(style.marker, (x, y), 3.2, style.color);
            last = Some((x, y));
        }
    }
}

/// Shades from light to full, for lines of one arm at several times.
pub fn shades(color: Color, count: usize) -> Vec<Color> {
    (0..count).map(|index| color.mixed(WHITE, 0.72 * (1.0 - (index + 1) as f64 / count as f64))).collect()
}
