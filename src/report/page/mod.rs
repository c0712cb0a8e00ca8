//! One self-contained page: opens from disk, needs no network, prints well.

mod answers;
mod consistency;
mod difficulty;
mod figures;
mod measures;
mod open_fields;
mod protocol;
mod runs;
mod samples;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::comparison::Comparison;
use super::consistency::Consistency;
use super::difficulty::PointDifficulty;
use super::grid::Grid;
use super::plots::{Drawn, FONT, Figure};
use super::summary::progress;

const STYLE: &str = include_str!("page.css");

/// The page; `svgs` are the figures' drawings in the same order.
pub fn page(
    comparison: &Comparison,
    grid: &Grid,
    consistency: Option<&Consistency>,
    difficulty: &[PointDifficulty],
    figures: &[Figure],
    svgs: &[String],
    drawn: Drawn,
) -> String {
    let plan = &comparison.study.plan;
    let question = if plan.question.trim().is_empty() { plan.name.as_str() } else { plan.question.trim() };
    let mut sections: Vec<(&str, &str, Markup)> = vec![
        (
            "speedups",
            if comparison.baseline.is_some() { "Speedups" } else { "Final values" },
            html! {
                // Of a grid people look at the figures of its axes first.
                @if comparison.has_grid() { (figures::of_study(comparison, figures, svgs, drawn)) }
                (answers::table(comparison))
                @if !comparison.has_grid() { (figures::of_study(comparison, figures, svgs, drawn)) }
                (answers::ranking(comparison, grid))
                (answers::notes(comparison))
            },
        ),
        ("figures", "Curves", figures::of_points(comparison, figures, svgs, drawn)),
        ("samples", "Samples", samples::samples(comparison, drawn)),
    ];
    if let Some(consistency) = consistency {
        sections.push(("consistency", "Consistency", consistency::consistency(consistency, figures, svgs)));
    }
    if !difficulty.is_empty() {
        sections.push(("difficulty", "Learning difficulty", difficulty::difficulty(difficulty, figures, svgs)));
    }
    sections.extend([
        ("protocol", "Protocol", protocol::protocol(comparison)),
        ("open", "Fields that the paper leaves open", open_fields::open_fields(comparison)),
        ("runs", "Runs", runs::runs(comparison)),
        ("provenance", "Provenance", runs::provenance(comparison)),
    ]);
    if let Some(measures) = measures::measures(comparison) {
        sections.insert(1, ("measures", "Every measure at the end", measures));
    }
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light";
                title { (plan.name) ": " (question) }
                style {
                    (PreEscaped(format!(
                        "@font-face{{font-family:Inter;font-weight:400 650;src:url(data:font/ttf;base64,{})}}\n{STYLE}",
                        STANDARD.encode(FONT)
                    )))
                }
            }
            body {
                header {
                    p.name { (plan.name) }
                    h1 { (question) }
                    (answers::answers(comparison, grid))
                    p.state { (progress(comparison.study)) }
                    nav {
                        @for (id, title, _) in &sections { a href={ "#" (id) } { (title) } }
                    }
                }
                main {
                    @for (id, title, body) in &sections {
                        section id=(id) {
                            h2 { (title) }
                            (body)
                        }
                    }
                }
            }
        }
    };
    page.into_string()
}
