//! What the study answers, in words and in one table.

use maud::{Markup, html};

use crate::report::comparison::{Comparison, NoSpeedup, PointComparison};
use crate::report::cost::Cost;
use crate::report::number::times;
use crate::report::plots::Palette;
use crate::report::tables::{COMMON_NOTE, Row, groups, has_common_targets};
use crate::report::wording::{
    answer, interval_cell, metric_value, metric_words, pair_answer, resolution_cell, seeds_cell, speedup_cell, target,
    troubles, verdict,
};

/// A sentence for each arm.
pub fn answers(comparison: &Comparison) -> Markup {
    let palette = Palette::of(comparison);
    let baseline_troubles = |point: &PointComparison| {
        point.arms.iter().filter(|arm| arm.is_baseline).map(troubles).find(|troubles| !troubles.is_empty())
    };
    html! {
        @if comparison.baseline.is_none() {
            p { "This sweep has no " code { "compare" } " section, so it asks for no speedup: below are its curves." }
        }
        @if comparison.points.is_empty() { p { "The plan has no runs." } }
        @for point in &comparison.points {
            @if comparison.has_grid() && comparison.baseline.is_some() { p.point { "At " (point.label) } }
            @if let Some(troubles) = baseline_troubles(point) { p.note { (troubles) } }
            @if comparison.baseline.is_some() {
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
        @for point in &comparison.points {
            @if comparison.has_grid() { h3 { (point.label) } }
            @if let Some(resolved) = &point.target { p { "Target: " (target(comparison, resolved)) "." } }
            div.wide {
                table {
                    thead {
                        tr {
                            th { "Arm" }
                            th { "Final " (metric) br; "median (range)" }
                            th { "Runs at" br; "target" }
                            @if comparison.baseline.is_some() {
                                th { "Measured in" }
                                th.number { "Speedup" }
                                th { "95 %" br; "interval" }
                                th { "Evaluations" br; "leave open" }
                                th { "Seeds" }
                                th { "Verdict" }
                            }
                        }
                    }
                    tbody {
                        @for group in groups(point) { (lines(comparison, &group, &palette)) }
                    }
                }
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
        @for point in &comparison.points { (secondary(point)) }
        @if has_common_targets(comparison) {
            p.note { (COMMON_NOTE) }
        }
        p.note {
            "Every interval stands for itself: of twenty that should hold 1, one will not, by chance. "
            "Speedup = baseline ÷ arm, so above 1 is faster; on the line of an arm against another, that other ÷ arm. It is the geometric mean over seeds of what each run had spent at its first \
             evaluation at or below the target; the interval is Student's t on logarithms, over pairs of runs with one seed where the arms \
             share seeds and by Welch otherwise; seeds are taken to vary at least as much as reading times off the evaluations makes them, so that \
             ties do not look like precision. “Evaluations leave open”: each run reached the target somewhere between two \
             evaluations, and these are the ratios that allows. A run that never reached the target gives a bound, never a number. An \
             arm counts as faster or slower only if its interval excludes 1 and the evaluations can resolve the difference. A target that \
             is taken from the baseline's own runs shares their chance."
        }
    }
}

/// The lines of one arm, or of one pair.
fn lines(comparison: &Comparison, rows: &[Row], palette: &Palette) -> Markup {
    html! {
        @for (index, row) in rows.iter().enumerate() {
            tr.first[index == 0] {
                @if index == 0 {
                    th.nowrap rowspan=(rows.len()) style=(format!("--arm:{}", palette.css(row.arm.arm))) { span.swatch {} (row.name()) }
                    td rowspan=(rows.len()) {
                        @match row.final_cell().split_once(" (") {
                            Some((median, range)) => { (median) br; span.note.nowrap { "(" (range) } }
                            None => (row.final_cell()),
                        }
                    }
                    td rowspan=(rows.len()) { (row.reached_cell()) }
                }
                @if matches!(row.result, Err(NoSpeedup::IsBaseline)) {
                    td {} td.number { "1" } td {} td {} td {} td.verdict { "baseline" }
                } @else if comparison.baseline.is_some() {
                    td.nowrap {
                        @match row.cost { Cost::ImagesSeen => "images", Cost::TrainSeconds => "time" }
                        @if let Some(target) = row.common_target { br; span.note { "at " (metric_value(target)) } }
                    }
                    td.number { (speedup_cell(row.result)) }
                    td.nowrap { (interval_cell(row.result)) }
                    td.nowrap { (resolution_cell(row.result)) }
                    td.nowrap { (seeds_cell(row.result)) }
                    td.verdict { (verdict(row.result)) }
                }
            }
        }
    }
}

/// The named secondary estimators, where there are any.
fn secondary(point: &PointComparison) -> Markup {
    let lines = point.arms.iter().filter_map(|arm| {
        let speedup = arm.contrast.speedups.first()?.as_ref().ok()?;
        let interpolated = speedup.interpolated.map(|(ratio, interval)| {
            let interval = interval
                .map_or(String::new(), |interval| format!(" ({} to {})", times(interval.low), times(interval.high)));
            format!("{}{interval} interpolated", times(ratio))
        });
        let median = speedup.median_ratio.map(|ratio| format!("{} between the median runs", times(ratio)));
        let parts: Vec<String> = interpolated.into_iter().chain(median).collect();
        (!parts.is_empty()).then(|| format!("{}: {}", arm.arm, parts.join(", ")))
    });
    let lines: Vec<String> = lines.collect();
    html! {
        @if !lines.is_empty() {
            p.note {
                "Secondary estimators, in images" @if !point.label.is_empty() { " at " (point.label) } ": " (lines.join("; ")) ". Interpolated: each time read off the straight line between the two \
                 evaluations around the target, on a logarithmic axis. Median runs: runs that never reached the target count as slower than those that did."
            }
        }
    }
}
