//! The figures of the learning-difficulty section.

use super::curves::{ArmCurve, Axes, curves};
use super::heat_map::heat_map;
use super::seeds::SeedPoint;
use super::{Drawing, Figure, Palette, Place, Sheet};
use crate::report::comparison::Comparison;
use crate::report::cost::Cost;
use crate::report::difficulty::{ArmDifficulty, PointDifficulty, SHARES, Surface};

/// Grid points that are drawn; the numbers of all are in `difficulty.json`.
pub const MOST_POINTS: usize = 4;

pub fn difficulty_figures(comparison: &Comparison, points: &[PointDifficulty], sheet: Sheet) -> Vec<Figure> {
    let (palette, weights) = (Palette::of(comparison), comparison.weights());
    let mut figures = vec![];
    for (index, point) in points.iter().take(MOST_POINTS).enumerate() {
        let (suffix, at) = match points.len() > 1 {
            true => (format!("-point{}", index + 1), format!(" at {}", point.label)),
            false => (String::new(), String::new()),
        };
        let mut add = |name: &str, title: &str, caption: String, drawing: Option<Drawing>| {
            if let Some(drawing) = drawing {
                let (name, title) = (format!("{name}{suffix}"), format!("{title}{at}"));
                figures.push(Figure { name, title, caption, drawing, place: Place::Difficulty });
            }
        };
        add(
            "loss_by_timestep_and_step",
            "Validation loss by timestep along training",
            format!(
                "Loss on held-out images in each bin of t (0: least noise) at each evaluation, with the {weights} weights: median over seeds{at}."
            ),
            heat_map(&panels(point, |arm| Some(&arm.loss)), "validation loss (mean squared error)", sheet),
        );
        add(
            "gradient_by_timestep_and_step",
            "Norm of the gradient of the validation loss by timestep along training",
            format!(
                "Norm of the gradient of each bin's loss on held-out images with respect to all parameters, at the {weights} weights: median over seeds{at}."
            ),
            heat_map(&panels(point, |arm| arm.gradient.as_ref()), "norm of the gradient of the validation loss", sheet),
        );
        add(
            "time_to_learn_by_timestep",
            "Images until each timestep's loss had fallen by most of its fall",
            format!(
                "Images seen at the first evaluation at which a bin's loss had fallen by {:.0} % of its fall from the first evaluation to the \
                 last: median and range over seeds{at}. The first evaluation comes after {} steps; what was learned by then does not count.",
                100.0 * SHARES[1],
                point.arms[0].loss.steps[0]
            ),
            time_to_learn(point, &palette, sheet),
        );
    }
    figures
}

fn panels<'p>(
    point: &'p PointDifficulty,
    surface: for<'s, 'd> fn(&'s ArmDifficulty<'d>) -> Option<&'s Surface>,
) -> Vec<(String, &'p Surface)> {
    point.arms.iter().filter_map(|arm| Some((arm.arm.to_owned(), surface(arm)?))).collect()
}

fn time_to_learn(point: &PointDifficulty, palette: &Palette, sheet: Sheet) -> Option<Drawing> {
    let curve = |arm: &ArmDifficulty| {
        let bins = arm.loss.bins as f64;
        let reached = arm.reached[1].iter().enumerate();
        let points = reached.filter_map(|(bin, reached)| {
            let reached = (*reached)?;
            Some(SeedPoint {
                x: (bin as f64 + 0.5) / bins,
                median: reached.images_seen,
                low: reached.lowest_images_seen,
                high: reached.highest_images_seen,
            })
        });
        ArmCurve { name: arm.arm.to_owned(), style: palette.arm(arm.arm), points: points.collect(), has_markers: true }
    };
    let arms: Vec<ArmCurve> = point.arms.iter().map(curve).collect();
    let y_label = format!("{} until {:.0} % of the fall", Cost::ImagesSeen.label(), 100.0 * SHARES[1]);
    let axes = Axes {
        x_label: "timestep t / T (0: least noise)",
        y_label: &y_label,
        x_log: false,
        y_log: false,
        target: None,
    };
    curves(&arms, &axes, sheet)
}
