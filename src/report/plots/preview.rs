//! What every trial of a sweep will do, as rows of small panels.

use super::chart::{Chart, Scale};
use super::curves::shades;
use super::drawing::{Anchor, Drawing, Point};
use super::font::Font;
use super::style::*;
use crate::report::preview::TrialPreview;

/// Wider than a figure of a report: it is one page of its own.
const PAGE_WIDTH: f64 = 980.0;
/// Above the first row: the columns' names and what the shades mean.
const HEADER: f64 = 58.0;
const ROW: f64 = 134.0;
/// Below the last row: what the horizontal axes are.
const FOOTER: f64 = 26.0;
/// The places of the panels in a row.
const PANEL_TOP: f64 = 26.0;
const PANEL_BOTTOM: f64 = 104.0;
/// Left and right ends of the panels.
const COLUMNS: [(f64, f64); 4] = [(42.0, 290.0), (352.0, 540.0), (592.0, 746.0), (800.0, 966.0)];
const NAMES: [&str; 4] = ["how often t is trained on (× uniform)", "loss weight λ(t)", "β₁", "learning rate"];
/// Densities stand side by side up to here; a higher one has an axis of its own.
const SHARED_DENSITY: f64 = 2.0;

/// Four panels a trial: its densities over t at several times, its loss weights over t, its beta1 and its learning rate.
pub fn preview(trials: &[TrialPreview], baseline: Option<usize>) -> Drawing {
    let mut drawing = Drawing::new(PAGE_WIDTH, HEADER + ROW * trials.len() as f64 + FOOTER);
    for (&(left, _), name) in COLUMNS.iter().zip(NAMES) {
        drawing.text((left - 36.0, 20.0), name, LABEL_SIZE, INK, Anchor::Start);
    }
    legend(&mut drawing, trials);
    // One axis for all: rates are there to be compared.
    let largest_rate = trials.iter().flat_map(|trial| &trial.learning_rate).map(|&(_, rate)| rate).fold(0.0, f64::max);
    for (index, trial) in trials.iter().enumerate() {
        let top = HEADER + ROW * index as f64;
        let style = ArmStyle { dash: &[], ..arm_style(trial.arm, baseline) };
        row_name(&mut drawing, trial, &style, top + 13.0);
        let is_last = index + 1 == trials.len();
        densities(&mut drawing, trial, &style, top, is_last);
        weights(&mut drawing, trial, &style, top, is_last);
        path(&mut drawing, 2, &trial.beta1, 1.0, &style, top, is_last);
        path(&mut drawing, 3, &trial.learning_rate, largest_rate, &style, top, is_last);
    }
    drawing
}

/// The trial and, where they fit, the words that go with it.
fn row_name(drawing: &mut Drawing, trial: &TrialPreview, style: &ArmStyle, baseline: f64) {
    let left = COLUMNS[0].0 - 36.0;
    let right = COLUMNS[3].1;
    let width = |text: &str| Font::inter().width(text) * LABEL_SIZE;
    let mut name = trial.name.clone();
    if left + width(&name) > right {
        while left + width(&name) + width("…") > right && name.pop().is_some() {}
        name.push('…');
    }
    let after = left + width(&name) + 12.0;
    drawing.text((left, baseline), name, LABEL_SIZE, style.text_color(), Anchor::Start);
    if after + Font::inter().width(&trial.words) * TICK_SIZE <= right {
        drawing.text((after, baseline), trial.words.clone(), TICK_SIZE, FAINT_INK, Anchor::Start);
    }
}

/// Which shade is which time.
fn legend(drawing: &mut Drawing, trials: &[TrialPreview]) {
    let Some(most) = trials.iter().map(|trial| &trial.densities).max_by_key(|densities| densities.len()) else {
        return;
    };
    let mut left = COLUMNS[0].0 - 36.0;
    for (density, color) in most.iter().zip(shades(INK, most.len())) {
        drawing.line(vec![(left, 38.0), (left + 16.0, 38.0)], 2.0 * LINE, color, &[]);
        let text = format!("{} %", density.percent);
        left += 21.0;
        drawing.text((left, 42.0), text.clone(), TICK_SIZE, FAINT_INK, Anchor::Start);
        left += Font::inter().width(&text) * TICK_SIZE + 12.0;
    }
    drawing.text((left, 42.0), "of training", TICK_SIZE, FAINT_INK, Anchor::Start);
}

fn densities(drawing: &mut Drawing, trial: &TrialPreview, style: &ArmStyle, top: f64, is_last: bool) {
    let values = trial.densities.iter().flat_map(|density| &density.relative).map(|&(_, value)| value);
    let most = values.fold(SHARED_DENSITY, f64::max);
    let x_label = if is_last { "t / T (0: least noise)" } else { "" };
    let chart = panel(drawing, 0, (0.0, 1.0), linear_to(most), top, x_label);
    let uniform = chart.y.at(1.0);
    drawing.line(vec![(chart.x.from, uniform), (chart.x.to, uniform)], 1.0, AXIS, TARGET_DASH);
    let colors = if trial.adaptive { vec![style.color] } else { shades(style.color, trial.densities.len()) };
    for (density, color) in trial.densities.iter().zip(colors) {
        chart.curve(drawing, &density.relative, &ArmStyle { color, ..*style }, LINE);
    }
    if trial.adaptive {
        let at = (chart.x.to - 4.0, chart.y.from - 6.0);
        drawing.text(at, "later it follows the losses", TICK_SIZE, FAINT_INK, Anchor::End);
    }
}

fn weights(drawing: &mut Drawing, trial: &TrialPreview, style: &ArmStyle, top: f64, is_last: bool) {
    let values = || trial.loss_weight.iter().map(|&(_, weight)| weight);
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    // Over more than one and a half decades only a logarithmic axis shows all of it.
    let y = if least > 0.0 && most > 30.0 * least {
        Scale { low: least, high: most, is_log: true, from: 0.0, to: 1.0 }.padded(0.05)
    } else {
        linear_to(most)
    };
    let x_label = if is_last { "t / T" } else { "" };
    let chart = panel(drawing, 1, (0.0, 1.0), y, top, x_label);
    chart.curve(drawing, &trial.loss_weight, style, LINE);
    if y.is_log {
        drawing.text((chart.x.to, chart.y.to - 4.0), "log", TICK_SIZE, FAINT_INK, Anchor::End);
    }
}

/// A value of the optimizer over the steps.
fn path(drawing: &mut Drawing, column: usize, values: &[Point], most: f64, style: &ArmStyle, top: f64, is_last: bool) {
    let last_step = values.last().map_or(1.0, |&(step, _)| step.max(1.0));
    let x_label = if is_last { "step" } else { "" };
    let chart = panel(drawing, column, (0.0, last_step), linear_to(most), top, x_label);
    chart.curve(drawing, values, style, LINE);
}

fn panel(drawing: &mut Drawing, column: usize, (low, high): (f64, f64), y: Scale, top: f64, x_label: &str) -> Chart {
    let (left, right) = COLUMNS[column];
    let x = Scale { low, high, is_log: false, from: 0.0, to: 1.0 };
    Chart::frame(drawing, x, y, [left, top + PANEL_TOP, right, top + PANEL_BOTTOM], x_label, "")
}

/// A scale from 0 to a little above `most`.
fn linear_to(most: f64) -> Scale {
    let high = if most > 0.0 { 1.08 * most } else { 1.0 };
    Scale { low: 0.0, high, is_log: false, from: 0.0, to: 1.0 }
}

#[cfg(test)]
mod tests {
    use super::super::drawing::Element;
    use super::*;
    use crate::report::preview::DensityPreview;

    fn trial(name: &str, high: f64) -> TrialPreview {
        let density =
            |percent| DensityPreview { percent, relative: vec![(0.0, high), (0.5, 1.0), (1.0, 2.0 - high.min(2.0))] };
        TrialPreview {
            name: name.to_owned(),
            words: "predicts epsilon".to_owned(),
            arm: 0,
            densities: [0, 25, 50, 75, 100].map(density).to_vec(),
            adaptive: false,
            loss_weight: vec![(0.0, 1e-3), (1.0, 1.0)],
            beta1: vec![(0.0, 0.9), (99.0, 0.0)],
            learning_rate: vec![(0.0, 1e-3), (99.0, 1e-4)],
        }
    }

    #[test]
    fn every_trial_has_its_row_and_stays_inside_the_page() {
        let drawing = preview(&[trial("baseline", 1.0), trial("steep", 40.0)], Some(0));
        let texts: Vec<&str> = drawing
            .elements
            .iter()
            .filter_map(|element| match element {
                Element::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        for expected in ["baseline", "steep", "0 %", "100 %", "40", "0.001"] {
            assert!(texts.contains(&expected), "no {expected} in {texts:?}");
        }
        for element in &drawing.elements {
            if let Element::Line { points, .. } = element {
                let inside =
                    |&(x, y): &Point| (0.0..=drawing.width).contains(&x) && (0.0..=drawing.height).contains(&y);
                assert!(points.iter().all(inside), "{points:?}");
            }
        }
    }

    #[test]
    fn a_name_too_long_for_the_page_ends_in_dots() {
        let long = TrialPreview { name: "x".repeat(400), ..trial("", 1.0) };
        let drawing = preview(&[long], None);
        let cut = drawing.elements.iter().find_map(|element| match element {
            Element::Text { text, .. } if text.starts_with("xx") => Some(text.clone()),
            _ => None,
        });
        let cut = cut.unwrap();
        assert!(cut.ends_with("x…") && cut.len() > 100 && Font::inter().width(&cut) * LABEL_SIZE < PAGE_WIDTH, "{cut}");
    }

    #[test]
    fn a_sweep_of_nothing_is_an_empty_page() {
        assert_eq!(preview(&[], None).elements.len(), NAMES.len());
    }
}
