//! The loss along lines, over planes, and the eigenvalues of its Hessian.

use super::chart::Scale;
use super::color_scale::ColorScale;
use super::curves::{ArmCurve, Axes, curves};
use super::drawing::{Anchor, Drawing, Sheet};
use super::seeds::{SeedPoint, over_seeds};
use super::style::*;
use super::ticks::linear;
use crate::report::landscape::{BetweenRuns, LossPlane, RunLandscape};

/// Planes beside each other.
const COLUMNS: usize = 3;
const LOSS: &str = "validation loss (mean squared error)";

/// (file's name, title, drawing) of every figure that has something to show.
pub fn landscape_drawings(
    runs: &[RunLandscape],
    between: &[BetweenRuns],
) -> Vec<(&'static str, &'static str, Drawing)> {
    let from_initial = |run: &RunLandscape| (run.name.clone(), single(&run.from_initial));
    let random = |run: &RunLandscape| {
        let seeds: Vec<Vec<(u64, f64, f64)>> = run
            .slices
            .iter()
            .map(|slice| slice.iter().enumerate().map(|(index, &(at, loss))| (index as u64, at, loss)).collect())
            .collect();
        (run.name.clone(), over_seeds(&seeds))
    };
    let eigenvalues = |run: &RunLandscape| {
        let values = run.eigenvalues.iter().enumerate();
        (run.name.clone(), single(&values.map(|(index, &value)| ((index + 1) as f64, value)).collect::<Vec<_>>()))
    };
    let planes: Vec<(&str, &LossPlane)> =
        runs.iter().filter_map(|run| Some((run.name.as_str(), run.plane.as_ref()?))).collect();
    let figures = [
        (
            "from_initial",
            "Loss on the straight line from the initial weights to the trained ones",
            lines(
                runs.iter().map(from_initial),
                "share of the way from the initial weights (0) to the trained ones (1)",
                LOSS,
                true,
            ),
        ),
        (
            "between_runs",
            "Loss on the straight line between the weights of two runs",
            lines(
                between.iter().map(|between| (between.name.clone(), single(&between.points))),
                "share of the way from the first run's weights (0) to the second's (1)",
                LOSS,
                true,
            ),
        ),
        (
            "random_lines",
            "Loss along random filter-normalised directions: median and range over directions",
            lines(runs.iter().map(random), "distance from the trained weights, filter-normalised", LOSS, true),
        ),
        ("random_plane", "Loss over the plane of two random filter-normalised directions", plane(&planes)),
        (
            "eigenvalues",
            "The largest eigenvalues of the Hessian of the loss",
            lines(runs.iter().map(eigenvalues), "rank", "eigenvalue of the Hessian", false),
        ),
    ];
    figures.into_iter().filter_map(|(name, title, drawing)| Some((name, title, drawing?))).collect()
}

fn single(points: &[(f64, f64)]) -> Vec<SeedPoint> {
    let finite = points.iter().filter(|(_, value)| value.is_finite());
    finite.map(|&(x, value)| SeedPoint { x, median: value, low: value, high: value }).collect()
}

fn lines(
    named: impl Iterator<Item = (String, Vec<SeedPoint>)>,
    x_label: &str,
    y_label: &str,
    y_log: bool,
) -> Option<Drawing> {
    let arms = named.enumerate().map(|(index, (name, points))| ArmCurve {
        name,
        style: arm_style(index, None),
        points,
        has_markers: true,
    });
    let axes = Axes { x_label, y_label, x_log: false, y_log, target: None };
    curves(&arms.collect::<Vec<_>>(), &axes, Sheet::of_page())
}

/// A square panel a run; all share their colours, which are logarithmic.
fn plane(planes: &[(&str, &LossPlane)]) -> Option<Drawing> {
    let losses = planes.iter().flat_map(|(_, plane)| &plane.losses).flatten().copied();
    let colors = ColorScale::viridis(Scale::covering(losses, true)?);
    let columns = planes.len().clamp(2, COLUMNS);
    let (left, gap, above, below) = (46.0, 22.0, 24.0, 34.0);
    let side =
        (WIDTH - left - ColorScale::bar_room(Sheet::of_page()) - 18.0 - gap * (columns - 1) as f64) / columns as f64;
    let rows = planes.len().div_ceil(columns);
    let top = 26.0;
    let mut drawing = Drawing::new(WIDTH, top + (above + side + below) * rows as f64 + 18.0);
    drawing.text((2.0, 15.0), LOSS, LABEL_SIZE, INK, Anchor::Start);
    for (index, (name, plane)) in planes.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let (x, y) = (left + (side + gap) * column as f64, top + (above + side + below) * row as f64 + above);
        drawing.text((x, y - 7.0), *name, LABEL_SIZE, INK, Anchor::Start);
        let cell = side / plane.at.len() as f64;
        for (up, losses) in plane.losses.iter().enumerate() {
            for (across, &loss) in losses.iter().enumerate().filter(|(_, loss)| loss.is_finite() && **loss > 0.0) {
                let (from, low) = (x + cell * across as f64, y + side - cell * up as f64);
                // Cells overlap the next ones, which are drawn over them, so that no seam shows.
                let cell = [from, (low - cell - 0.5).max(y), (from + cell + 0.5).min(x + side), low];
                drawing.rectangle(cell, colors.color(loss));
            }
        }
        let (first, last) = (plane.at[0], plane.at[plane.at.len() - 1]);
        let half = (last - first) / (2.0 * (plane.at.len() - 1).max(1) as f64);
        let scale = Scale { low: first - half, high: last + half, is_log: false, from: x, to: x + side };
        for tick in linear(first, last, 4) {
            let at = scale.at(tick.value);
            drawing.line(vec![(at, y + side), (at, y + side + 4.0)], 1.0, AXIS, &[]);
            drawing.text((at, y + side + 17.0), tick.text.clone(), TICK_SIZE, FAINT_INK, Anchor::Middle);
            let up = scale.onto(y + side, y).at(tick.value);
            drawing.line(vec![(x - 4.0, up), (x, up)], 1.0, AXIS, &[]);
            if column == 0 {
                drawing.text((x - 7.0, up + 0.36 * TICK_SIZE), tick.text, TICK_SIZE, FAINT_INK, Anchor::End);
            }
        }
        drawing.line(vec![(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)], 0.8, AXIS, &[]);
        let center = (scale.at(0.0), scale.onto(y + side, y).at(0.0));
        drawing.circle(center, 3.4, WHITE);
        drawing.circle(center, 2.2, INK);
    }
    let right = left + (side + gap) * columns as f64 - gap;
    let bottom = top + (above + side + below) * rows as f64 - below;
    drawing.text(
        (right, bottom + 38.0),
        "distance along each direction, filter-normalised",
        LABEL_SIZE,
        INK,
        Anchor::End,
    );
    colors.bar(&mut drawing, right + 16.0, top + above, top + above + side);
    Some(drawing)
}
