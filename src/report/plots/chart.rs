//! Axes, grid and labels: the frame that curves are drawn in.

use super::drawing::{Anchor, Color, Drawing, Point, Sheet};
use super::style::*;
use super::ticks::{Tick, linear, logarithmic};

/// How values become pixels along one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
    pub is_log: bool,
    /// Pixels of `low` and of `high`.
    pub from: f64,
    pub to: f64,
}

impl Scale {
    /// Covers `values`; `None` where nothing can be shown: no values, or none above zero on a logarithmic scale.
    pub fn covering(values: impl Iterator<Item = f64>, is_log: bool) -> Option<Self> {
        let shown = values.filter(|value| value.is_finite() && (!is_log || *value > 0.0));
        let (low, high) =
            shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        (low <= high).then_some(Self { low, high, is_log, from: 0.0, to: 1.0 })
    }

    /// Makes room around the values: `share` of the extent on both sides, and some extent where there is none.
    pub fn padded(mut self, share: f64) -> Self {
        if self.is_log {
            let extent = (self.high / self.low).max(1.05);
            let factor = if self.high > self.low { extent.powf(share) } else { 1.2 };
            (self.low, self.high) = (self.low / factor, self.high * factor);
        } else {
            let extent = self.high - self.low;
            let margin = if extent > 0.0 { extent * share } else { self.high.abs().max(1.0) * 0.1 };
            (self.low, self.high) = (self.low - margin, self.high + margin);
        }
        self
    }

    pub fn onto(self, from: f64, to: f64) -> Self {
        Self { from, to, ..self }
    }

    /// The pixel of `value`.
    pub fn at(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + (self.to - self.from) * share
    }

    pub fn shows(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    fn ticks(&self, wanted: usize) -> Vec<Tick> {
        if self.is_log { logarithmic(self.low, self.high, wanted) } else { linear(self.low, self.high, wanted) }
    }
}

/// A rectangle with two scales.
#[derive(Clone, Copy, Debug)]
pub struct Chart {
    pub x: Scale,
    pub y: Scale,
}

/// Pixels between the figure's edges and a chart's.
#[derive(Clone, Copy, Debug)]
pub struct Margins {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

/// Room for tick texts, the axis' names above and below, and nothing at the right.
pub const MARGINS: Margins = Margins { left: 52.0, right: 14.0, top: 30.0, bottom: 44.0 };

impl Chart {
    /// Draws grid, ticks and the axes' names: the vertical one's above it, level, where it is read first.
    pub fn frame(drawing: &mut Drawing, x: Scale, y: Scale, bounds: [f64; 4], x_label: &str, y_label: &str) -> Self {
        let [left, top, right, bottom] = bounds;
        Self::frame_between(drawing, x.onto(left, right), y.onto(bottom, top), x_label, y_label)
    }

    /// The same between the pixels that the scales already have; the horizontal one may fall from left to right.
    pub fn frame_between(drawing: &mut Drawing, x: Scale, y: Scale, x_label: &str, y_label: &str) -> Self {
        Self::frame_with(drawing, Self { x, y }, None, x_label, y_label)
    }

    /// The same with `x_ticks` in place of round numbers.
    pub fn frame_with(
        drawing: &mut Drawing,
        chart: Self,
        x_ticks: Option<Vec<Tick>>,
        x_label: &str,
        y_label: &str,
    ) -> Self {
        let Self { x, y } = chart;
        let (left, right, top, bottom) = (x.from.min(x.to), x.from.max(x.to), y.to, y.from);
        for tick in chart.y.ticks((((bottom - top) / 26.0) as usize).clamp(3, 9)) {
            let at = chart.y.at(tick.value);
            drawing.line(vec![(left, at), (right, at)], 1.0, GRID, &[]);
            drawing.text((left - 7.0, at + 0.36 * TICK_SIZE), tick.text, TICK_SIZE, FAINT_INK, Anchor::End);
        }
        chart.x_axis(drawing, x_ticks.unwrap_or_else(|| chart.x_ticks()), x_label);
        if !y_label.is_empty() {
            drawing.text((left - 50.0, top - 14.0), y_label, LABEL_SIZE, INK, Anchor::Start);
        }
        chart
    }

    /// A horizontal axis alone, below `bottom`; rows in between carry their own names.
    pub fn axis(drawing: &mut Drawing, x: Scale, top: f64, bottom: f64, x_label: &str) -> Self {
        let chart = Self { x, y: Scale { low: 0.0, high: 1.0, is_log: false, from: bottom, to: top } };
        for tick in chart.x_ticks() {
            let at = chart.x.at(tick.value);
            drawing.line(vec![(at, top), (at, bottom)], 1.0, GRID, &[]);
        }
        chart.x_axis(drawing, chart.x_ticks(), x_label);
        chart
    }

    /// The ticks of the x axis, from left to right.
    fn x_ticks(&self) -> Vec<Tick> {
        let width = (self.x.to - self.x.from).abs();
        let mut ticks = self.x.ticks(((width / 62.0) as usize).clamp(3, 10));
        ticks.sort_by(|first, second| self.x.at(first.value).total_cmp(&self.x.at(second.value)));
        ticks
    }

    fn x_axis(&self, drawing: &mut Drawing, ticks: Vec<Tick>, x_label: &str) {
        let (left, right, bottom) = (self.x.from.min(self.x.to), self.x.from.max(self.x.to), self.y.from);
        let mut last_end = f64::NEG_INFINITY;
        drawing.line(vec![(left, bottom), (right, bottom)], 1.0, AXIS, &[]);
        for tick in ticks {
            let at = self.x.at(tick.value);
            drawing.line(vec![(at, bottom), (at, bottom + 4.0)], 1.0, AXIS, &[]);
            let half = drawing.font.width(&tick.text) * TICK_SIZE / 2.0;
            if at - half > last_end + 5.0 {
                last_end = at + half;
                drawing.text((at, bottom + 17.0), tick.text, TICK_SIZE, FAINT_INK, Anchor::Middle);
            }
        }
        if !x_label.is_empty() {
            drawing.text((right, bottom + 36.0), x_label, LABEL_SIZE, INK, Anchor::End);
        }
    }

    pub fn point(&self, x: f64, y: f64) -> Point {
        (self.x.at(x), self.y.at(y))
    }

    /// The curve's pixels, cut where it leaves what the scales can show.
    pub fn pieces(&self, curve: &[Point]) -> Vec<Vec<Point>> {
        let mut pieces = vec![vec![]];
        for &(x, y) in curve {
            if self.x.shows(x) && self.y.shows(y) {
                pieces.last_mut().expect("there is always a last piece").push(self.point(x, y));
            } else {
                pieces.push(vec![]);
            }
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    pub fn curve(&self, drawing: &mut Drawing, curve: &[Point], style: &ArmStyle, width: f64) {
        for piece in self.pieces(curve) {
            drawing.line(piece, width, style.color, style.dash);
        }
    }

    /// The area between (x, low, high).
    pub fn band(&self, drawing: &mut Drawing, band: &[(f64, f64, f64)], color: Color, opacity: f64) {
        let clamped = |y: f64| self.y.at(y.clamp(self.y.low, self.y.high));
        let shown = || band.iter().filter(|(x, low, high)| self.x.shows(*x) && low <= high);
        let upper = shown().map(|&(x, _, high)| (self.x.at(x), clamped(high)));
        let lower = shown().rev().map(|&(x, low, _)| (self.x.at(x), clamped(low)));
        let outline: Vec<Point> = upper.chain(lower).collect();
        if outline.len() > 3 {
            drawing.area(outline, color, opacity);
        }
    }
}

/// The name of a curve, beside its end.
#[derive(Clone, Debug, PartialEq)]
pub struct EndLabel {
    pub text: String,
    /// The end of the curve, in pixels.
    pub end: Point,
    pub style: ArmStyle,
    pub has_marker: bool,
}

/// The share of a figure's width that labels have at most; longer ones are cut.
const MOST_LABEL_ROOM: f64 = 0.34;
/// Pixels beside a label's text.
const BESIDE_LABEL: f64 = 34.0;

/// Pixels that labels of these texts need at the right of a figure on `sheet`.
pub fn label_room<'a>(sheet: Sheet, texts: impl Iterator<Item = &'a str>) -> f64 {
    let longest = texts.map(|text| sheet.font.width(text) * LABEL_SIZE).fold(0.0, f64::max);
    (longest + BESIDE_LABEL).min(MOST_LABEL_ROOM * sheet.width)
}

/// Writes every label right of `right`, as near to its curve's end as the others let it, with a leader to the end.
pub fn end_labels(drawing: &mut Drawing, mut labels: Vec<EndLabel>, right: f64, top: f64, bottom: f64) {
    labels.sort_by(|first, second| first.end.1.total_cmp(&second.end.1));
    let wanted: Vec<f64> = labels.iter().map(|label| label.end.1).collect();
    let places = spread(&wanted, 1.32 * LABEL_SIZE, top, bottom);
    let most = (MOST_LABEL_ROOM * drawing.width - BESIDE_LABEL + 1.0) / LABEL_SIZE;
    for (label, y) in labels.iter().zip(places) {
        let elbow = right + 6.0;
        drawing.line(
            vec![label.end, (right, label.end.1), (elbow + 4.0, y), (elbow + 8.0, y)],
            THIN,
            label.style.color.mixed(WHITE, 0.35),
            &[],
        );
        if label.has_marker {
            drawing.marker(label.style.marker, (elbow + 12.0, y), 3.6, label.style.color);
        }
        drawing.text(
            (elbow + 20.0, y + 0.36 * LABEL_SIZE),
            drawing.font.shortened(&label.text, most),
            LABEL_SIZE,
            label.style.text_color(),
            Anchor::Start,
        );
    }
}

/// Moves sorted positions apart to at least `gap`, within `low..=high` where they fit, each group as near to where it
/// wants to be as can be.
fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    // Pool adjacent violators on wanted[i] - i gap: a group's first position is the mean of what its members want.
    let mut groups: Vec<(f64, usize)> = Vec::new();
    for (index, &position) in wanted.iter().enumerate() {
        let mut group = (position - index as f64 * gap, 1);
        while let Some(&(mean, count)) = groups.last() {
            if mean < group.0 {
                break;
            }
            group = ((mean * count as f64 + group.0 * group.1 as f64) / (count + group.1) as f64, count + group.1);
            groups.pop();
        }
        groups.push(group);
    }
    let lowest_last = high - gap * wanted.len().saturating_sub(1) as f64;
    let firsts = groups.iter().flat_map(|&(mean, count)| std::iter::repeat_n(mean.min(lowest_last).max(low), count));
    firsts.enumerate().map(|(index, first)| first + index as f64 * gap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_apart_and_near() {
        assert_eq!(spread(&[10.0, 50.0], 10.0, 0.0, 100.0), [10.0, 50.0]);
        assert_eq!(spread(&[50.0, 50.0, 50.0], 10.0, 0.0, 100.0), [40.0, 50.0, 60.0]);
        assert_eq!(spread(&[98.0, 99.0], 10.0, 0.0, 100.0), [90.0, 100.0]);
        assert_eq!(spread(&[1.0, 1.0], 10.0, 0.0, 100.0), [0.0, 10.0]);
        assert_eq!(spread(&[], 10.0, 0.0, 100.0), [0.0; 0]);
    }

    #[test]
    fn a_scale_needs_something_to_show() {
        assert_eq!(Scale::covering([f64::NAN, -1.0, 0.0].into_iter(), true), None);
        assert_eq!(Scale::covering(std::iter::empty(), false), None);
        let scale = Scale::covering([1.0, f64::INFINITY, 100.0].into_iter(), true).unwrap().onto(0.0, 10.0);
        assert_eq!((scale.at(1.0), scale.at(10.0), scale.at(100.0)), (0.0, 5.0, 10.0));
        let single = Scale::covering([5.0].into_iter(), false).unwrap().padded(0.05).onto(0.0, 1.0);
        assert_eq!(single.at(5.0), 0.5);
    }

    #[test]
    fn a_curve_is_cut_where_it_cannot_be_shown() {
        let chart = Chart {
            x: Scale { low: 0.0, high: 4.0, is_log: false, from: 0.0, to: 4.0 },
            y: Scale { low: 1.0, high: 10.0, is_log: true, from: 1.0, to: 0.0 },
        };
        let pieces = chart.pieces(&[(0.0, 10.0), (1.0, 1.0), (2.0, f64::NAN), (3.0, 10.0)]);
        assert_eq!(pieces, [vec![(0.0, 0.0), (1.0, 1.0)], vec![(3.0, 0.0)]]);
    }
}
