//! The figures, inline.

use maud::{Markup, PreEscaped, html};

use crate::report::comparison::Comparison;
use crate::report::plots::{Figure, MOST_POINTS, Place};

/// Those of the whole study.
pub fn of_study(figures: &[Figure], svgs: &[String]) -> Markup {
    html! {
        (in_place(figures, svgs, Place::Study))
    }
}

/// Those of one place.
pub fn in_place(figures: &[Figure], svgs: &[String], place: Place) -> Markup {
    html! {
        @for (figure, svg) in figures.iter().zip(svgs).filter(|(figure, _)| figure.place == place) { (one(figure, svg)) }
    }
}

/// Those of each grid point.
pub fn of_points(comparison: &Comparison, figures: &[Figure], svgs: &[String]) -> Markup {
    let of_point =
        |point: usize| figures.iter().zip(svgs).filter(move |(figure, _)| figure.place == Place::Point(point));
    html! {
        @if !figures.iter().any(|figure| matches!(figure.place, Place::Point(_) | Place::Study)) { p { "Nothing is recorded yet that could be drawn." } }
        @for (index, point) in comparison.points.iter().enumerate() {
            @if comparison.has_grid() && comparison.points.len() <= MOST_POINTS { h3 { (point.label) } }
            @for (figure, svg) in of_point(index) { (one(figure, svg)) }
        }
        @if comparison.points.len() > MOST_POINTS {
            p.note { "With more than " (MOST_POINTS) " grid points, none has figures of its own: the figures above show what the axes do." }
        }
    }
}

fn one(figure: &Figure, svg: &str) -> Markup {
    html! {
        figure id=(figure.name) {
            (PreEscaped(svg))
            figcaption { (figure.caption) " " a href={ (figure.name) ".svg" } { "SVG" } ", " a href={ (figure.name) ".png" } { "PNG" } }
        }
    }
}
