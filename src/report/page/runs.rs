//! Every run, and its provenance.

use maud::{Markup, html};

use crate::record::{RunRecord, RunState, SpentTime, StudyRecord};
use crate::report::comparison::Comparison;
use crate::report::explore::MOST_LISTED;
use crate::report::number::{duration, grouped, percent};
use crate::report::plots::Palette;
use crate::report::wording::{metric_value, metric_words, revisions, shared_words, spent_words, state};

/// The table of runs, in the plan's order; those that did not end as planned are named first.
pub fn runs(comparison: &Comparison) -> Markup {
    let palette = Palette::of(comparison);
    let study = comparison.study;
    let ended = |run: &&RunRecord| matches!(&run.state, RunState::Ended(outcome) if outcome.is_final());
    let failed: Vec<&RunRecord> = study
        .runs
        .iter()
        .filter(|run| !ended(run) && run.state != RunState::Waiting || state(run).starts_with("diverged"))
        .collect();
    let waiting = study.runs.iter().filter(|run| run.state == RunState::Waiting).count();
    let has_utilization = study.runs.iter().any(|run| run.device_utilization.is_some());
    let torn: usize = study.runs.iter().map(|run| run.torn_lines).sum();
    let metric = comparison.metric.name();
    let protocols = comparison.protocols();
    // The number of a protocol, where there are several.
    let number = |protocol: &str| {
        let position = protocols.iter().position(|other| *other == protocol).filter(|_| protocols.len() > 1);
        position.map(|index| index + 1)
    };
    html! {
        @if !failed.is_empty() {
            p { "Runs that did not end as planned:" }
            ul {
                @for run in failed.iter().take(MOST_LISTED) {
                    @let reason = state(run);
                    @let (how, last_words) = reason.split_once('\n').unwrap_or((reason.as_str(), ""));
                    li {
                        (run.planned.trial) ", seed " (run.planned.seed) " (" code { (run.planned.run_id) } "): " (how)
                        @if !last_words.is_empty() { pre { (last_words) } }
                    }
                }
            }
        }
        @if failed.len() > MOST_LISTED { p { "And " (failed.len() - MOST_LISTED) " more." } }
        @if waiting > 0 { p { (waiting) " of " (study.runs.len()) " runs have not started." } }
        @if torn > 0 { p.note { (torn) " torn journal lines (of killed writers) were skipped." } }
        div.wide {
            table.sortable {
                thead {
                    tr {
                        th { "Run" } th { "Trial" } th.number { "Seed" } th { "Outcome" } th.number { "Attempts" } th.number { "Last step" }
                        th.number { "Training" } th.number { "Waited for images" }
                        @if has_utilization { th.number { "Device busy" } }
                        th.number { "Last " (metric_words(comparison)) } th { "Device" }
                    }
                }
                tbody {
                    @for (index, run) in study.runs.iter().enumerate().take(MOST_LISTED) {
                        @let last = run.rows.last();
                        @let seconds = run.rows.iter().map(|row| row.train_seconds).fold(f64::NAN, f64::max);
                        // By the first protocol that arms are compared by, where the run has measured by one.
                        @let last_by = |protocol: &str| run.rows.series(metric, protocol).next_back();
                        @let measured = protocols.iter().find_map(|protocol| last_by(protocol));
                        @let reason = state(run);
                        tr.first data-run=(index) {
                            td { code { (run.planned.run_id) } }
                            td style=(format!("--arm:{}", palette.css(&run.planned.arm))) { span.nowrap { span.swatch {} (run.planned.trial) } }
                            td.number { (run.planned.seed) }
                            td { (reason.lines().next().unwrap_or_default()) }
                            td.number { (run.attempts.len()) }
                            td.number data-sort=[last.map(|row| row.step)] { @match last { Some(row) => (grouped(row.step)), None => "–" } }
                            td.number data-sort=[seconds.is_finite().then_some(seconds)] { @if seconds.is_finite() { (duration(seconds)) } @else { "–" } }
                            td.number data-sort=[run.waiting.map(|waiting| waiting.share())] { @match run.waiting { Some(waiting) => (percent(waiting.share())), None => "–" } }
                            @if has_utilization {
                                td.number data-sort=[run.device_utilization] { @match run.device_utilization { Some(share) => (percent(share)), None => "–" } }
                            }
                            td.number data-sort=[measured.map(|row| row.value)] { @match measured {
                                Some(row) => { (metric_value(row.value)) @if let Some(number) = number(row.protocol) { sup { (number) } } }
                                None => "–",
                            } }
                            td { (unique(run.attempts.iter().map(|attempt| attempt.device.as_str())).join("; ")) }
                        }
                    }
                }
            }
        }
        @if study.runs.len() > MOST_LISTED {
            p.note {
                "The first " (MOST_LISTED) " of " (grouped(study.runs.len() as u64)) " runs. Every run is in " code { "curves.parquet" } " and in " code { "speedups.json" }
                ", and " code { "speedlab status " span data-reads { (study.reading_arguments()) } } " lists them all."
            }
        }
        @if has_utilization {
            p.note {
                "Device busy: the share of training in which at least one kernel ran on the device, by its driver's counter and whoever started the kernel. It does not say how \
                 full the device was."
            }
        }
        @if protocols.len() > 1 {
            p.note { "Values with different numbers were measured by different protocols (see Protocol) and are not comparable." }
        }
    }
}

/// Program, devices, dates, formats, and the commands that make it again.
pub fn provenance(comparison: &Comparison) -> Markup {
    let study = comparison.study;
    let attempts = || study.runs.iter().flat_map(|run| &run.attempts);
    let dates: Vec<&str> = unique(attempts().map(|attempt| attempt.started_at.as_str()));
    let versions: Vec<String> = unique(attempts().map(|attempt| attempt.version)).iter().map(u32::to_string).collect();
    let builds: Vec<&str> = unique(attempts().map(|attempt| attempt.build.as_str()).filter(|build| !build.is_empty()));
    let in_pieces =
        study.runs.iter().filter(|run| run.attempts.iter().any(|attempt| attempt.micro_batches > 1)).count();
    let or_none = |texts: Vec<&str>| if texts.is_empty() { "no run has started".to_owned() } else { texts.join("; ") };
    html! {
        dl {
            dt { "Program" } dd { (or_none(unique(attempts().map(|attempt| attempt.program.as_str())))) }
            @match builds.len() {
                0 => {},
                1 => { dt { "Build" } dd { (builds[0]) } },
                _ => { dt { "Builds" } dd { "runs were made by different builds of the program: " (builds.join(", ")) } },
            }
            @if in_pieces > 0 {
                dt { "Memory" } dd { (in_pieces) " runs took their batches in pieces where memory had run out: the same mathematics, other last bits" }
            }
            dt { "Devices" } dd { (or_none(unique(attempts().map(|attempt| attempt.device.as_str())))) }
            @if let Some(times) = times(study) { dt { "Time" } dd { (times) } }
            @if let Some(words) = shared_words(study) { dt { "Shared steps" } dd { (words) } }
            dt { "Runs started" } dd {
                @match (dates.first(), dates.last()) {
                    (Some(first), Some(last)) if first != last => { (first) " to " (last) }
                    (Some(first), _) => (first),
                    _ => "no run has started",
                }
            }
            dt { "Formats" } dd { "plan " (study.plan.version) @if !versions.is_empty() { ", events " (versions.join(", ")) } }
            @for revision in revisions(study) { dt { "Plan changed" } dd { (revision) } }
            dt { "Run ids" } dd { "each is the start of the SHA-256 of the run's resolved settings: the same run asked for again has the same id" }
        }
        p { "To make it again:" }
        pre { code { "speedlab run " span data-sweep { (study.running_arguments()) } "      # runs what is missing\nspeedlab report " span data-reads { (study.reading_arguments()) } "   # redraws this page from the records" } }
    }
}

/// Where the time went, as a bar and in words; `None` before any was spent.
fn times(study: &StudyRecord) -> Option<Markup> {
    let spent = SpentTime::of(study.runs.iter(), study.held);
    let parts = spent.parts();
    let all: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
    (!parts.is_empty()).then(|| {
        html! {
            div.spent aria-hidden="true" {
                @for (name, seconds) in &parts { span class=(name) style=(format!("flex-grow:{:.4}", seconds / all)) title=(name) {} }
            }
            (spent_words(&spent)) "."
        }
    })
}

fn unique<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.dedup();
    items
}
