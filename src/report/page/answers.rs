//! The answers of the study, in words and in one table.

use maud::{Markup, html};

use super::folded;
use super::overview::{has_overview, number};
use crate::report::comparison::{Comparison, NoSpeedup, PointComparison};
use crate::report::explore::MOST_POINTS;
use crate::report::grid::Grid;
use crate::report::number::{percent, significant, times};
use crate::report::plots::Palette;
use crate::report::tables::{Estimator, Row, groups};
use crate::report::wording::{
    answer, confidence, interval_cell, look_words, metric_words, pair_answer, resolution_cell, rule_words, seeds_cell,
    speedup_cell, target, troubles, yardstick,
};

/// Beyond so many grid points, what holds at each is folded away: the whole grid's answer comes first.
const OPEN_POINTS: usize = 2;

/// The answers of the whole grid, then a sentence for each arm at each grid point; folded where the table before it says the same.
pub fn in_words(comparison: &Comparison, grid: &Grid) -> Markup {
    let words = sentences(comparison, grid);
    html! {
        @if comparison.baseline.is_none() {
            p { "This sweep has no " code { "compare" } " section, so it asks for no speedup: below are its curves." }
        }
        @if comparison.points.is_empty() { p { "The plan has no runs." } }
        @if has_overview(comparison, grid) { (folded("In words", words)) } @else { (words) }
    }
}

fn sentences(comparison: &Comparison, grid: &Grid) -> Markup {
    let palette = Palette::of(comparison);
    let answers = grid.answers(comparison);
    let remarks = grid.remarks(comparison);
    html! {
        @if !answers.is_empty() {
            ul.answers {
                @for (arm, sentence) in &answers {
                    li style=(format!("--arm:{}", palette.css(arm))) { (with_bold_name(sentence, arm)) }
                }
            }
        }
        @if comparison.has_grid() { (remarks_of(&remarks)) }
        @if comparison.points.len() > OPEN_POINTS {
            details { summary { "Each of the " (comparison.points.len()) " grid points" } (of_points(comparison)) }
        } @else {
            (of_points(comparison))
        }
        @if !comparison.has_grid() { (remarks_of(&remarks)) }
    }
}

fn remarks_of(remarks: &[String]) -> Markup {
    html! { @if !remarks.is_empty() { ul.answers { @for remark in remarks { li { (remark) } } } } }
}

fn of_points(comparison: &Comparison) -> Markup {
    let palette = Palette::of(comparison);
    let baseline_troubles = |point: &PointComparison| {
        point.arms.iter().filter(|arm| arm.is_baseline).map(troubles).find(|troubles| !troubles.is_empty())
    };
    html! {
        @for point in comparison.points.iter().take(MOST_POINTS) {
            @if comparison.has_grid() && comparison.baseline.is_some() { p.point { "At " (point.label) } }
            @if let Some(troubles) = baseline_troubles(point) { p.note { (troubles) } }
            @if comparison.baseline.is_some() {
                @if let Some(found) = &point.band { p.note { (yardstick(comparison, found)) } }
                ul.answers {
                    @for arm in point.arms.iter().filter(|arm| !arm.is_baseline) {
                        li style=(format!("--arm:{}", palette.css(arm.arm))) { (with_bold_name(&answer(comparison, point, arm), arm.arm)) }
                    }
                    @for pair in &point.pairs {
                        li style=(format!("--arm:{}", palette.css(pair.arm))) { (with_bold_name(&pair_answer(comparison, point, pair), pair.arm)) }
                    }
                }
            }
        }
        (cut_short(comparison))
    }
}

fn with_bold_name(answer: &str, name: &str) -> Markup {
    match answer.strip_prefix(name) {
        Some(rest) => html! { strong { (name) } (rest) },
        None => html! { (answer) },
    }
}

/// The headline table of every grid point.
pub fn table(comparison: &Comparison) -> Markup {
    let palette = Palette::of(comparison);
    let metric = metric_words(comparison);
    html! {
        @for (place, point) in comparison.points.iter().enumerate().take(MOST_POINTS) {
            @if comparison.has_grid() { h3 { (point.label) } }
            @if let Some(resolved) = &point.target { p { "Target of the first crossing: " (target(comparison, resolved)) "." } }
            div.wide {
                table {
                    thead {
                        tr {
                            th { "Arm" }
                            th { "Final " (metric) br; "median (range)" }
                            th { "Runs that" br; "reached it" }
                            @if comparison.baseline.is_some() {
                                th { "Measured in" }
                                th.number { "Speedup" }
                                th { (confidence(comparison)) br; "interval" }
                                th { "Seeds" }
                                th { "Verdict" }
                            }
                        }
                    }
                    tbody {
                        @for (index, group) in groups(point).iter().enumerate() { (lines(comparison, (place, index), group, &palette)) }
                    }
                }
            }
        }
        (cut_short(comparison))
    }
}

/// Where the grid points are that the page leaves out.
fn cut_short(comparison: &Comparison) -> Markup {
    html! {
        @if comparison.points.len() > MOST_POINTS {
            p.note { "The other " (comparison.points.len() - MOST_POINTS) " grid points are in " code { "speedups.csv" } " and " code { "speedups.json" } " beside this page." }
        }
    }
}

/// Which arm is the fastest, how often.
pub fn ranking(comparison: &Comparison, grid: &Grid) -> Markup {
    let palette = Palette::of(comparison);
    let ranking = &grid.ranking;
    let has_score = ranking.iter().any(|ranked| ranked.score.is_some());
    html! {
        @if !ranking.is_empty() {
            h3 { "Which arm is the fastest" }
            div.wide {
            table.ranking {
                thead { tr { th { "Arm" } th.number { "Fastest in" } th.number { "of seeds" br; "and grid points" } @if has_score { th.number { "AlgoPerf's" br; "score" } } } }
                tbody {
                    @for ranked in ranking {
                        tr.first {
                            th.nowrap style=(format!("--arm:{}", palette.css(ranked.arm))) { span.swatch {} (ranked.arm) }
                            td.number { (percent(ranked.wins / ranked.contests as f64)) }
                            td.number { (ranked.contests) }
                            @if has_score { td.number { (ranked.score.map_or("–".to_owned(), |score| significant(score, 3))) } }
                        }
                    }
                }
            }
            }
            p.note {
                "Over the band, in training images: one seed at one grid point is one contest, and the baseline takes part."
                @if has_score { " AlgoPerf's score (arXiv 2306.07179) is the share of grid points at which an arm takes at most r times as long as the fastest there, averaged over r from 1 to 4." }
            }
        }
    }
}

/// How to read the table.
pub fn notes(comparison: &Comparison) -> Markup {
    if comparison.baseline.is_none() {
        return html! {};
    }
    html! {
        @if let Some(rule) = rule_words(comparison) {
            p.note { (rule) }
            ul.note { @for look in look_words(comparison) { li { (look) } } }
        }
        @for point in comparison.points.iter().take(MOST_POINTS) { (secondary(point)) }
        p.note {
            "Speedup = baseline ÷ arm, so above 1 is faster; on the line of an arm against another, that other ÷ arm. A smooth curve \
             that never rises is fitted to each run's metric, over the logarithm of images. A run reaches each of 12 qualities of the band \
             where its curve comes down to it. A seed's speedup is the geometric mean over these qualities, and the arm's is that over \
             seeds. The interval is Student's t on logarithms, over pairs of runs with one seed where the arms share seeds, and Welch's \
             otherwise. A run that reached less than half of the band gives a bound, never a number. Verdicts hold together for all \
             arms and grid points of the study (Holm); each interval stands for itself. With the missing seeds four of five studies would decide, by the spread seen here. “Last”: to the last quality that both arms reach, of each pair of runs its own where seeds are paired. \
             “First at or below”: by the first single evaluation, as AlgoPerf counts; noise makes it too early."
        }
    }
}

/// The lines of one arm, or of one pair.
/// `place`: of the grid point, and of the arm or pair.
fn lines(comparison: &Comparison, place: (usize, usize), rows: &[Row], palette: &Palette) -> Markup {
    html! {
        @for (index, row) in rows.iter().enumerate() {
            tr.first[index == 0] {
                @if index == 0 {
                    th.nowrap rowspan=(rows.len()) style=(format!("--arm:{}", palette.css(row.arm.arm))) { span.swatch {} (row.name()) }
                    // Where a script shows the final value that a link asks for; a pair has none.
                    td rowspan=(rows.len()) data-final=[row.against.is_none().then(|| format!("{},{}", place.0, place.1))] {
                        @match row.final_cell().split_once(" (") {
                            Some((median, range)) => { (median) br; span.note.nowrap { "(" (range) } }
                            None => (row.final_cell()),
                        }
                    }
                    td rowspan=(rows.len()) { (row.reached_cell()) br; span.note.nowrap { (row.reached_interval()) } }
                }
                @if matches!(row.result, Err(NoSpeedup::IsBaseline)) {
                    td {} td.number { "1" } td {} td {} td.verdict { "baseline" }
                } @else if comparison.baseline.is_some() {
                    @match row.estimator {
                        Estimator::Band => td.nowrap { (row.measured_in(comparison)) },
                        _ => td { span.note { (row.measured_in(comparison)) } },
                    }
                    td.number {
                        // The first lines are the band's, an axis each.
                        @match row.estimator {
                            Estimator::Band => (number(place.0, place.1, index, &row.result)),
                            _ => (speedup_cell(&row.result)),
                        }
                    }
                    td.nowrap { (interval_cell(&row.result)) }
                    td.nowrap { (seeds_cell(&row.result)) }
                    td.verdict { (row.verdict_cell()) }
                }
            }
        }
    }
}

/// The named secondary estimators, where there are any.
fn secondary(point: &PointComparison) -> Markup {
    let lines = point.arms.iter().filter_map(|arm| {
        let speedup = arm.contrast.first_crossings.first()?.as_ref().ok()?;
        let interpolated = speedup.interpolated.map(|(ratio, interval)| {
            let interval = interval
                .map_or(String::new(), |interval| format!(" ({} to {})", times(interval.low), times(interval.high)));
            format!("{}{interval} interpolated", times(ratio))
        });
        let median = speedup.median_ratio.map(|ratio| format!("{} between the median runs", times(ratio)));
        let resolution = resolution_cell(arm.contrast.first_crossings.first()?);
        let resolution = (resolution != "–").then(|| format!("{resolution} left open by the evaluations' spacing"));
        let parts: Vec<String> = interpolated.into_iter().chain(median).chain(resolution).collect();
        (!parts.is_empty()).then(|| format!("{}: {}", arm.arm, parts.join(", ")))
    });
    let lines: Vec<String> = lines.collect();
    html! {
        @if !lines.is_empty() {
            p.note {
                "The first crossing in images, by other estimates" @if !point.label.is_empty() { " at " (point.label) } ": " (lines.join("; ")) ". Interpolated: each time is read off the straight line between the two \
                 evaluations around the target, on a logarithmic axis. Median runs: the time at which half of an arm's runs have reached it, by Kaplan and Meier."
            }
        }
    }
}
