//! One self-contained page: opens from disk, needs no network, can be questioned, prints well.

mod answers;
mod consistency;
mod difficulty;
mod figures;
mod measures;
mod open_fields;
mod overview;
mod protocol;
mod runs;
mod samples;
mod script;
mod vendor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::comparison::Comparison;
use super::consistency::Consistency;
use super::difficulty::PointDifficulty;
use super::explore::{Explore, FlopsOfRun};
use super::grid::Grid;
use super::plots::FONT;
use super::summary::progress;
use crate::spec::Trainer;

pub use self::figures::Shown;
use self::script::Scripts;
use self::vendor::UPLOT_STYLE;

const STYLES: [&str; 3] = [include_str!("page.css"), include_str!("explore.css"), include_str!("print.css")];
/// Of what a live page alone has.
const LIVE_STYLE: &str = include_str!("live.css");

/// How the page comes to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// From disk, beside its figures and the runs' images: it asks nothing of anybody.
    File,
    /// From a server that tells it how the sweep goes on at `state.json`, and that has nothing else. `version` counts its pages.
    Live { version: u64 },
}

/// A page with a notice alone, which looks every second whether there is another in its place.
pub fn notice_page(words: &str) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            meta charset="utf-8";
            meta http-equiv="refresh" content="1";
            link rel="icon" href="data:,";
            title { "speedlab" }
            p { (words) }
        }
    };
    page.into_string()
}

/// The page.
pub fn page(
    comparison: &Comparison,
    grid: &Grid,
    consistency: Option<&Consistency>,
    difficulty: &[PointDifficulty],
    shown: &Shown,
    flops_of_run: FlopsOfRun,
) -> String {
    let plan = &comparison.study.plan;
    let question = if plan.question.trim().is_empty() { plan.name.as_str() } else { plan.question.trim() };
    let scripts = Scripts::new(shown.delivery);
    let mut explore = Explore::with_flops(comparison, grid, flops_of_run);
    let version = match shown.delivery {
        Delivery::File => None,
        Delivery::Live { version } => {
            explore.forget_files();
            Some(version)
        }
    };
    let mut sections: Vec<Section> = vec![
        Section {
            id: "speedups",
            title: if comparison.baseline.is_some() { "Speedups" } else { "Final values" },
            is_long: false,
            body: html! {
                // Of a grid people look at the figures of its axes first.
                @if comparison.has_grid() { (figures::of_study(comparison, shown)) }
                (folded("Every line of the table", answers::table(comparison)))
                @if !comparison.has_grid() { (figures::of_study(comparison, shown)) }
                (answers::ranking(comparison, grid))
                (folded("How the numbers are made", answers::notes(comparison)))
            },
        },
        Section::long("figures", "Figures for papers", figures::of_points(comparison, shown)),
        Section { id: "samples", title: "Samples", is_long: false, body: samples::samples(comparison, shown.drawn) },
    ];
    if let Some(consistency) = consistency {
        sections.push(Section::long("consistency", "Consistency", consistency::consistency(consistency, shown)));
    }
    if !difficulty.is_empty() {
        sections.push(Section::long("difficulty", "Learning difficulty", difficulty::difficulty(difficulty, shown)));
    }
    sections.push(Section::long("protocol", "Protocol", protocol::protocol(comparison)));
    // The methods of programs of the user's own are not known.
    if plan.runs.iter().any(|run| run.spec.trainer.as_ref().is_none_or(Trainer::is_torch)) {
        let open = open_fields::open_fields(comparison);
        sections.push(Section::long("open", "Fields that the paper leaves open", open));
    }
    sections.extend([
        Section::long("runs", "Runs", runs::runs(comparison)),
        Section::long("provenance", "Provenance", runs::provenance(comparison)),
    ]);
    if let Some(measures) = measures::measures(comparison) {
        sections.insert(1, Section::long("measures", "Every measure at the end", measures));
    }
    let page = html! {
        (DOCTYPE)
        html lang="en" data-version=[version] {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(scripts.policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Else a browser asks the server for one.
                @if version.is_some() { link rel="icon" href="data:,"; }
                title { (plan.name) ": " (question) }
                style {
                    (PreEscaped(format!(
                        "@font-face{{font-family:Inter;font-weight:400 650;src:url(data:font/ttf;base64,{})}}\n{UPLOT_STYLE}\n{}",
                        STANDARD.encode(FONT),
                        STYLES.join("\n")
                    )))
                    @if version.is_some() { (PreEscaped(LIVE_STYLE)) }
                }
            }
            body {
                @if version.is_some() { aside #live hidden {} }
                header {
                    p.name { (plan.name) }
                    h1 { (question) }
                    (overview::overview(comparison, grid))
                    (answers::in_words(comparison, grid))
                    p.state { (progress(comparison.study)) }
                    nav {
                        @for section in &sections { a href={ "#" (section.id) } { (section.title) } }
                    }
                }
                main {
                    (script::place(&explore))
                    @for section in &sections { (section.markup()) }
                }
                (scripts.elements(&explore))
            }
        }
    };
    page.into_string()
}

/// A part of the page under a title of its own.
struct Section {
    id: &'static str,
    title: &'static str,
    /// Folded away at first, where a script can open it again.
    is_long: bool,
    body: Markup,
}

impl Section {
    fn long(id: &'static str, title: &'static str, body: Markup) -> Self {
        Self { id, title, is_long: true, body }
    }

    fn markup(&self) -> Markup {
        let Self { id, title, is_long, body } = self;
        html! {
            section id=(id) {
                @if *is_long {
                    details open data-fold { summary { h2 { (title) } } (body) }
                } @else {
                    h2 { (title) }
                    (body)
                }
            }
        }
    }
}

/// Open where no script runs, and on paper.
fn folded(words: &str, body: Markup) -> Markup {
    html! { details.fold open data-fold { summary { (words) } (body) } }
}
