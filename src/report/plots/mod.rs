//! The figures: first as plain drawings (pure), then as SVG and PNG (plotters) and as PDF.

mod axis;
mod axis_map;
mod chart;
mod color_scale;
mod consistency;
mod curves;
mod difficulty;
mod drawing;
mod font;
mod forest;
mod heat_map;
mod landscape;
mod loss_by_timestep;
mod matrix;
mod metric_curves;
mod optimizer_paths;
mod pdf;
mod performance_profile;
mod preview;
mod render;
mod seeds;
mod speedup_by_target;
mod strip;
mod style;
mod ticks;
mod timestep_density;

pub use consistency::consistency_figures;
pub use difficulty::{MOST_POINTS as DIFFICULTY_POINTS, difficulty_figures};
pub use drawing::{Drawing, Sheet};
pub use font::{FONT, Font, FontError};
pub use landscape::landscape_drawings;
pub use pdf::pdf;
pub use preview::preview;
pub use render::{RenderError, paper_png, paper_svg, png, svg};

use self::style::{ArmStyle, arm_style, candidate_colors};
use super::comparison::{Comparison, PointComparison};
use super::cost::Cost;
use super::wording::{confidence, metric_words};
use crate::spec::Color;

/// Metrics by their names in the records.
mod names {
    pub const TRAIN_LOSS: &str = "train_loss";
    pub const VALIDATION_LOSS: &str = "validation_loss";
    pub const VALIDATION_LOSS_BIN: &str = "validation_loss/";
    pub const BETA1: &str = "beta1";
    pub const LEARNING_RATE: &str = "learning_rate";
}

/// A figure with its words.
pub struct Figure {
    /// The files' name without extension.
    pub name: String,
    /// The content of the figure, for readers who cannot see it and as the SVG's title.
    pub title: String,
    /// The explanation below the figure.
    pub caption: String,
    pub drawing: Drawing,
    pub place: Place,
}

/// The part of the page that a figure stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A figure of the whole study, beside the answer.
    Study,
    /// A figure of the grid point with this index.
    Point(usize),
    Consistency,
    Difficulty,
}

/// Every arm's look, the same in every figure.
pub struct Palette<'a> {
    arms: &'a [String],
    styles: Vec<ArmStyle>,
}

impl<'a> Palette<'a> {
    pub fn of(comparison: &Comparison<'a>) -> Self {
        let (arms, labels) = (&comparison.study.plan.arms, &comparison.study.plan.labels);
        let baseline = comparison.baseline.and_then(|baseline| arms.iter().position(|arm| arm == baseline));
        let asked_for = |arm: &String| {
            let Color([red, green, blue]) = labels.arms.get(labels.name_of(arm))?.color?;
            Some(drawing::Color(red, green, blue))
        };
        let asked_for: Vec<Option<drawing::Color>> = arms.iter().map(asked_for).collect();
        let mut styles: Vec<ArmStyle> = (0..arms.len()).map(|index| arm_style(index, baseline)).collect();
        // An arm whose usual colour another one asks for takes one that is free.
        let is_free = |color: &drawing::Color, styles: &[ArmStyle]| {
            !asked_for.contains(&Some(*color)) && styles.iter().all(|style| style.color != *color)
        };
        for index in 0..arms.len() {
            styles[index].color = match asked_for[index] {
                Some(color) => color,
                None if !asked_for.contains(&Some(styles[index].color)) => styles[index].color,
                None => candidate_colors().find(|color| is_free(color, &styles)).unwrap_or(styles[index].color),
            };
        }
        Self { arms, styles }
    }

    /// The arm's colour as `#rrggbb`.
    pub fn css(&self, arm: &str) -> String {
        let drawing::Color(red, green, blue) = self.arm(arm).color;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    fn arm(&self, arm: &str) -> ArmStyle {
        let place = self.arms.iter().position(|other| other == arm);
        place.map_or_else(|| arm_style(self.arms.len(), None), |place| self.styles[place])
    }
}

/// Up to so many grid points, each has all its figures; beyond, the two that answer the question.
const FULL_POINTS: usize = 6;
/// Beyond so many nobody looks at them one by one: the axes have figures of their own.
pub const MOST_POINTS: usize = 24;

/// Which figures of a large grid are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drawn {
    /// The figures that a reader looks at: beyond 24 grid points none of a single point, and no list of speedups that
    /// is too long.
    #[default]
    Few,
    /// Every point's.
    All,
}

impl Drawn {
    /// The number of grid points, from the first on, that have figures of their own.
    pub fn points(self, comparison: &Comparison) -> usize {
        match comparison.points.len() {
            points if self == Self::Few && points > MOST_POINTS => 0,
            points => points,
        }
    }

    /// Whether the speedups of all arms at all points are too many for one figure.
    pub fn has_no_forest(self, comparison: &Comparison) -> bool {
        comparison.baseline.is_some() && forest::shown(comparison, self) == forest::Shown::Nothing
    }
}

/// The figures that have something to show, those of the whole study first, on `sheet`.
pub fn figures(comparison: &Comparison, drawn: Drawn, sheet: Sheet) -> Vec<Figure> {
    let palette = Palette::of(comparison);
    let mut figures = Vec::new();
    for (index, axis) in comparison.study.plan.axes.iter().enumerate() {
        let shown = comparison.study.plan.labels.axis(&axis.path);
        let Some(drawing) = axis::axis_curves(comparison, axis, &palette, sheet) else { continue };
        figures.push(Figure {
            name: format!("axis{}", index + 1),
            title: format!("Speedup and final {} of each arm against {}", metric_words(comparison), shown),
            caption: format!(
                "Against {}: the speedup over the baseline at the same value with its {} interval over seeds, and the median of the \
                 final {} with its range over seeds. One row for each combination of the other axes, up to {}.",
                shown,
                confidence(comparison),
                metric_words(comparison),
                axis::MOST_ROWS
            ),
            drawing,
            place: Place::Study,
        });
    }
    if let Some(drawing) = axis_map::axis_map(comparison, sheet) {
        figures.push(Figure {
            name: "axes".to_owned(),
            title: "Speedup of each arm over both axes of the grid".to_owned(),
            caption: "The speedup in training images over the baseline at the same grid point, darker where it is larger; a grey cell has no \
                number. The intervals stand in the figures of each axis."
                .to_owned(),
            drawing,
            place: Place::Study,
        });
    }
    if let Some(drawing) = performance_profile::performance_profile(comparison, &palette, sheet) {
        figures.push(Figure {
            name: "performance_profile".to_owned(),
            title: "How often each arm is near the fastest".to_owned(),
            caption: "Performance profiles over the points of the grid: the share of points at which an arm needs at most so many times the training \
                images of the fastest arm there. At 1: how often it is the fastest. An arm without a number at a point is never near there."
                .to_owned(),
            drawing,
            place: Place::Study,
        });
    }
    let shown = forest::shown(comparison, drawn);
    if let Some(drawing) = forest::forest(comparison, &palette, shown, sheet) {
        figures.push(Figure {
            name: "speedups".to_owned(),
            title: format!("Speedup of every arm with its {} interval", confidence(comparison)),
            caption: format!(
                "Speedup of each arm over the band of qualities, with {} intervals over seeds. {} An arrow is a bound: not of every run \
                 is it seen when it came there. An interval that holds 1 does not tell an arm from the baseline.",
                confidence(comparison),
                match shown {
                    forest::Shown::Images => "In training images alone: the table has the other lines.",
                    _ => "Hollow: to the last quality that both arms reach.",
                }
            ),
            drawing,
            place: Place::Study,
        });
    }
    let has_all = comparison.points.len() <= FULL_POINTS;
    let points = comparison.points.iter().take(drawn.points(comparison));
    for (index, point) in points.enumerate() {
        for (name, title, caption, drawing) in point_figures(comparison, point, (&palette, sheet), has_all) {
            let Some(drawing) = drawing else { continue };
            let (suffix, at) = match comparison.has_grid() {
                true => (format!("-point{}", index + 1), format!(" at {}", point.label)),
                false => (String::new(), String::new()),
            };
            figures.push(Figure {
                name: format!("{name}{suffix}"),
                title: format!("{title}{at}"),
                caption,
                drawing,
                place: Place::Point(index),
            });
        }
    }
    figures
}

/// `has_all`: whether those are drawn that do not answer the question.
fn point_figures(
    comparison: &Comparison,
    point: &PointComparison,
    (palette, sheet): (&Palette, Sheet),
    has_all: bool,
) -> Vec<(String, String, String, Option<Drawing>)> {
    let metric = metric_words(comparison);
    let metric_name = comparison.metric.name();
    let weights = comparison.weights();
    let costs = if has_all { &Cost::ALL[..] } else { &Cost::ALL[..1] };
    let mut figures = Vec::new();
    for cost in costs.iter().copied() {
        figures.push((
            format!("{metric_name}_{}", cost.name()),
            format!("{metric} of each arm against {}", cost.label()),
            format!("{metric} against {}: median over seeds, with the range of seeds as a band.", cost.label()),
            metric_curves::metric(comparison, point, palette, cost, sheet),
        ));
    }
    for cost in costs.iter().copied() {
        figures.push((
            format!("speedup_by_target_{}", cost.name()),
            format!("Speedup in {} of each arm at every quality", cost.words()),
            format!(
                "Speedup in {} at every {metric} that the baseline passes, with a band that holds at all of them at once with 95 %; between \
                 the dashed lines is the band of the headline. Triangles are bounds: up for at least, down for at most.",
                cost.words()
            ),
            speedup_by_target::speedup_by_target(comparison, point, palette, cost, sheet),
        ));
    }
    if !has_all {
        return figures;
    }
    figures.push((
        "train_loss".to_owned(),
        "Training loss of each arm against images seen".to_owned(),
        "Training loss: means over stretches of the axis, median and range over seeds. Arms that draw timesteps differently \
         average it over different timesteps, and those with `auxiliary_losses` or `token_masking` add terms of theirs: compare \
         their validation losses instead."
            .to_owned(),
        metric_curves::train_loss(point, palette, sheet),
    ));
    // Where it is the compared metric it has been drawn already.
    if comparison.metric.name() != names::VALIDATION_LOSS {
        figures.push((
            "validation_loss".to_owned(),
            "Validation loss of each arm against images seen".to_owned(),
            format!("Loss on held-out images, every timestep equally often, with the {weights} weights: median and range over seeds."),
            metric_curves::validation_loss(point, palette, sheet),
        ));
    }
    figures.push((
        "validation_loss_by_timestep".to_owned(),
        "Last validation loss of each arm by timestep".to_owned(),
        "Where along the noise an arm's loss ends up: the last evaluation, median and range over seeds.".to_owned(),
        loss_by_timestep::loss_by_timestep(point, palette, sheet),
    ));
    figures.push((
        "timestep_density".to_owned(),
        "How often each timestep is trained on, at five times of the run".to_owned(),
        "Timesteps trained on, relative to uniform sampling, from the first step (0 %) to the last (100 %); arms that sample \
         uniformly are left out."
            .to_owned(),
        timestep_density::timestep_density(point, palette, sheet),
    ));
    figures.push((
        "optimizer_paths".to_owned(),
        "beta1 and learning rate of each arm over the run".to_owned(),
        "Adam's β₁ and the learning rate as they were used; arms on one path share a line.".to_owned(),
        optimizer_paths::optimizer_paths(point, palette, sheet),
    ));
    figures
}

/// `a, b and c`, or `a, b and 3 more`.
fn join_names(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [name] => (*name).to_owned(),
        [first, second, rest @ ..] if rest.len() > 1 => format!("{first}, {second} and {} more", rest.len()),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
