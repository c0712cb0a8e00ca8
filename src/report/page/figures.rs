//! The figures, inline.

use maud::{Markup, PreEscaped, html};

use crate::report::comparison::Comparison;
use crate::report::plots::{Drawn, Figure, MOST_POINTS, Place};

/// The figures of the whole study.
pub fn of_study(comparison: &Comparison, figures: &[Figure], svgs: &[String], drawn: Drawn) -> Markup {
    html! {
        (in_place(figures, svgs, Place::Study))
        @if drawn.has_no_forest(comparison) {
            p.note { "The speedups of all arms at all grid points are too many for one figure: the table has them. " (draw_all(comparison)) }
        }
    }
}

/// The figures of one place.
pub fn in_place(figures: &[Figure], svgs: &[String], place: Place) -> Markup {
    html! {
        @for (figure, svg) in figures.iter().zip(svgs).filter(|(figure, _)| figure.place == place) { (one(figure, svg)) }
    }
}

/// The figures of each grid point.
pub fn of_points(comparison: &Comparison, figures: &[Figure], svgs: &[String], drawn: Drawn) -> Markup {
    let of_point =
        |point: usize| figures.iter().zip(svgs).filter(move |(figure, _)| figure.place == Place::Point(point));
    html! {
        @if !figures.iter().any(|figure| matches!(figure.place, Place::Point(_) | Place::Study)) { p { "Nothing is recorded yet that could be drawn." } }
        @for (index, point) in comparison.points.iter().enumerate() {
            @if comparison.has_grid() && index < drawn.points(comparison) { h3 { (point.label) } }
            @for (figure, svg) in of_point(index) { (one(figure, svg)) }
        }
        @if drawn.points(comparison) < comparison.points.len() {
            p.note { "With more than " (MOST_POINTS) " grid points, none has figures of its own: the figures above show what the axes do. " (draw_all(comparison)) }
        }
    }
}

/// How to have what was left out.
pub fn draw_all(comparison: &Comparison) -> Markup {
    html! { code { "speedlab report " (comparison.study.reading_arguments()) " --all-figures" } " draws everything." }
}

fn one(figure: &Figure, svg: &str) -> Markup {
    html! {
        figure id=(figure.name) {
            (PreEscaped(svg))
            figcaption { (figure.caption) " " a href={ (figure.name) ".svg" } { "SVG" } ", " a href={ (figure.name) ".png" } { "PNG" } }
        }
    }
}
