//! The figures, inline.

use maud::{Markup, PreEscaped, html};

use crate::report::comparison::Comparison;
use crate::report::plots::Figure;

/// Up to so many grid points, each shows all its figures; beyond, the two that answer the question.
const FULL_POINTS: usize = 6;

pub fn figures(comparison: &Comparison, figures: &[Figure], svgs: &[String]) -> Markup {
    let short = comparison.points.len() > FULL_POINTS;
    let metric = comparison.metric.name();
    let shown = |figure: &Figure| {
        !short
            || figure.point.is_none()
            || figure.name.starts_with(&format!("{metric}_images_seen"))
            || figure.name.starts_with("speedup_by_target_images_seen")
    };
    let of_point = |point: Option<usize>| {
        figures.iter().zip(svgs).filter(move |(figure, _)| figure.point == point && shown(figure)).collect::<Vec<_>>()
    };
    html! {
        @if figures.is_empty() { p { "Nothing is recorded yet that could be drawn." } }
        @for (figure, svg) in of_point(None) { (one(figure, svg)) }
        @for (index, point) in comparison.points.iter().enumerate() {
            @if comparison.has_grid() { h3 { (point.label) } }
            @for (figure, svg) in of_point(Some(index)) { (one(figure, svg)) }
        }
        @if short { p.note { "The other figures of each grid point lie beside this page as SVG and PNG." } }
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
