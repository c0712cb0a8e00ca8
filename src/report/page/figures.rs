//! The figures, inline.

use maud::{Markup, PreEscaped, html};

use super::Delivery;
use crate::report::comparison::Comparison;
use crate::report::plots::{Drawn, Figure, MOST_POINTS, Place};

/// The figures of a page.
pub struct Shown<'f> {
    pub figures: &'f [Figure],
    /// Their drawings in the same order.
    pub svgs: &'f [String],
    pub drawn: Drawn,
    pub delivery: Delivery,
}

impl Shown<'_> {
    /// The figures of one place, inline.
    pub fn at(&self, place: Place) -> Markup {
        html! {
            @for (figure, svg) in self.figures.iter().zip(self.svgs).filter(|(figure, _)| figure.place == place) {
                figure id=(figure.name) {
                    (PreEscaped(svg))
                    figcaption {
                        (figure.caption)
                        @if self.delivery == Delivery::File { " " a href={ (figure.name) ".svg" } { "SVG" } ", " a href={ (figure.name) ".png" } { "PNG" } }
                    }
                }
            }
        }
    }
}

/// The figures of the whole study.
pub fn of_study(comparison: &Comparison, shown: &Shown) -> Markup {
    html! {
        (shown.at(Place::Study))
        @if shown.drawn.has_no_forest(comparison) {
            p.note { "The speedups of all arms at all grid points are too many for one figure: the table has them. " (draw_all(comparison)) }
        }
    }
}

/// The figures of each grid point.
pub fn of_points(comparison: &Comparison, shown: &Shown) -> Markup {
    let is_of_study = |figure: &Figure| matches!(figure.place, Place::Point(_) | Place::Study);
    let drawn_points = shown.drawn.points(comparison);
    html! {
        @if !shown.figures.iter().any(is_of_study) { p { "Nothing is recorded yet that could be drawn." } }
        @for (index, point) in comparison.points.iter().enumerate() {
            @if comparison.has_grid() && index < drawn_points { h3 { (point.label) } }
            (shown.at(Place::Point(index)))
        }
        @if drawn_points < comparison.points.len() {
            p.note { "With more than " (MOST_POINTS) " grid points, none has figures of its own: the figures above show what the axes do. " (draw_all(comparison)) }
        }
    }
}

/// How to have what was left out.
pub fn draw_all(comparison: &Comparison) -> Markup {
    html! { code { "speedlab report " span data-reads { (comparison.study.reading_arguments()) } " --all-figures" } " draws everything." }
}
