//! The answer in one table: a row an arm.

use maud::{Markup, html};

use crate::report::comparison::{Comparison, NoSpeedup, PointComparison};
use crate::report::grid::{ArmEffect, Grid};
use crate::report::plots::Palette;
use crate::report::speedup::Speedup;
use crate::report::tables::{Estimator, Row, groups};
use crate::report::wording::{confidence, interval_cell, metric_words, seeds_cell, speedup_cell, verdict};

/// Up to so many grid points have a column each.
const COLUMNS: usize = 4;

/// Whether there is such a table: not without a baseline, nor while nothing of a grid is measured.
pub fn has_overview(comparison: &Comparison, grid: &Grid) -> bool {
    comparison.baseline.is_some()
        && !comparison.points.is_empty()
        && (!comparison.has_grid() || !grid.effects.is_empty())
}

pub fn overview(comparison: &Comparison, grid: &Grid) -> Markup {
    html! {
        @if has_overview(comparison, grid) {
            div.wide.overview {
                @if comparison.has_grid() { (of_grid(comparison, grid)) } @else { (of_point(comparison, &comparison.points[0])) }
            }
        }
    }
}

fn of_point(comparison: &Comparison, point: &PointComparison) -> Markup {
    let palette = Palette::of(comparison);
    let groups = groups(point);
    html! {
        table.sortable {
            thead {
                tr {
                    th { "Arm" } th.number { "Speedup in images" } th { (confidence(comparison)) " interval" } th { "Verdict" }
                    th.number { "In training time" } th.number { "To the last quality" } th { "Seeds" }
                    th.number { "Final " (metric_words(comparison)) }
                }
            }
            tbody {
                @for (place, rows) in groups.iter().enumerate() { (line(&palette, place, rows)) }
            }
        }
    }
}

/// `rows`: of one arm or pair, the band's estimate on each axis first.
fn line(palette: &Palette, place: usize, rows: &[Row]) -> Markup {
    let first = &rows[0];
    let is_baseline = matches!(first.result, Err(NoSpeedup::IsBaseline));
    let last = rows.iter().find(|row| matches!(row.estimator, Estimator::LastQuality(_)));
    html! {
        tr.first {
            th { span.swatch style=(format!("--arm:{}", palette.css(first.arm.arm))) {} (first.name()) }
            @if is_baseline {
                td.number { "1" } td {} td { "baseline" } td.number { "1" } td.number { "1" } td {}
            } @else {
                td.number { (number(0, place, 0, &first.result)) }
                td.nowrap { (interval_cell(&first.result)) }
                td.verdict { (verdict(&first.result)) }
                td.number { @if let Some(second) = rows.get(1) { (number(0, place, 1, &second.result)) } }
                td.number { @if let Some(last) = last { (speedup_cell(&last.result)) small { (interval_cell(&last.result)) } } }
                td.nowrap { (seeds_cell(&first.result)) }
            }
            td.number data-sort=[first.arm.final_values.map(|spread| spread.median)] {
                (first.final_cell().split_once(" (").map_or(first.final_cell(), |(median, _)| median.to_owned()))
            }
        }
    }
}

fn of_grid(comparison: &Comparison, grid: &Grid) -> Markup {
    let palette = Palette::of(comparison);
    let points = if comparison.points.len() <= COLUMNS { &comparison.points[..] } else { &[] };
    html! {
        table.sortable {
            thead {
                tr {
                    th { "Arm" } th.number { "Speedup in images," br; "over the whole grid" } th { (confidence(comparison)) " interval" } th { "Verdict" }
                    @for point in points { th.number { "at " (point.label) } }
                    @if points.is_empty() { th.number { "at its least" } th.number { "at its most" } }
                }
            }
            tbody {
                @for (index, effect) in grid.effects.iter().enumerate() { (effect_line(comparison, &palette, points, index, effect)) }
            }
        }
    }
}

fn effect_line(
    comparison: &Comparison,
    palette: &Palette,
    points: &[PointComparison],
    index: usize,
    effect: &ArmEffect,
) -> Markup {
    let result = Ok(effect.speedup.clone());
    let at = |place: usize| {
        let arms = &comparison.points[place].arms;
        let group = arms.iter().position(|arm| arm.arm == effect.arm)?;
        Some(number(place, group, 0, arms[group].contrast.speedups.first()?))
    };
    let places = if points.is_empty() { vec![effect.least, effect.most] } else { (0..points.len()).collect() };
    html! {
        tr.first {
            th { span.swatch style=(format!("--arm:{}", palette.css(effect.arm))) {} (effect.arm) }
            td.number {
                span data-effect=(index) { (speedup_cell(&result)) }
                @if effect.measured < effect.tried { small { "at " (effect.measured) " of " (effect.tried) " points" } }
            }
            td.nowrap { (interval_cell(&result)) }
            td.verdict { (verdict(&result)) }
            @for place in places { td.number { @match at(place) { Some(number) => (number), None => "–" } } }
        }
    }
}

/// A speedup of the grid point, arm or pair, and axis with these places, for a script to show what is behind it.
pub fn number(point: usize, group: usize, cost: usize, result: &Result<Speedup, NoSpeedup>) -> Markup {
    html! { span data-number=(format!("{point},{group},{cost}")) { (speedup_cell(result)) } }
}
