//! The images that the arms generate from the same noise, side by side.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::figures::draw_all;
use super::protocol::is_own;
use crate::record::RunRecord;
use crate::report::comparison::{Comparison, PointComparison};
use crate::report::number::grouped;
use crate::report::plots::Drawn;

/// Steps shown of each arm; with many grid points only the last.
const COLUMNS: usize = 5;
const FULL_POINTS: usize = 3;

pub fn samples(comparison: &Comparison, drawn: Drawn) -> Markup {
    let columns = if comparison.points.len() > FULL_POINTS { 1 } else { COLUMNS };
    let shown = drawn.points(comparison).max(FULL_POINTS.min(comparison.points.len()));
    html! {
        p.note {
            @if is_own(&comparison.study.plan) { "Every grid starts from the same noise and uses the " (comparison.weights()) " weights; one seed of each arm." }
            @else { "One seed of each arm. Its trainer decides how images are generated." }
        }
        @for point in &comparison.points[..shown] {
            @if comparison.has_grid() { h3 { (point.label) } }
            (of_point(&comparison.study.folder, point, columns))
        }
        @if shown < comparison.points.len() {
            p.note { "Those of the other " (comparison.points.len() - shown) " grid points are in the runs' folders. " (draw_all(comparison)) }
        }
    }
}

fn of_point(folder: &Path, point: &PointComparison, columns: usize) -> Markup {
    // A seed that has samples in every arm that has any; otherwise each arm's first.
    let arms: Vec<(&str, Vec<&RunRecord>)> = point
        .arms
        .iter()
        .map(|arm| (arm.arm, arm.runs.iter().map(|run| run.record).filter(|run| !run.samples.is_empty()).collect()))
        .filter(|(_, runs): &(_, Vec<&RunRecord>)| !runs.is_empty())
        .collect();
    let Some((_, first)) = arms.first() else { return html! { p { "No samples are recorded yet." } } };
    let last_step = |runs: &[&RunRecord], seed: u64| {
        runs.iter().find(|run| run.planned.seed == seed).and_then(|run| run.samples.last()).map(|sample| sample.0)
    };
    let shared = first.iter().map(|run| run.planned.seed).filter_map(|seed| {
        let last_steps: Option<Vec<u64>> = arms.iter().map(|(_, runs)| last_step(runs, seed)).collect();
        Some((seed, last_steps?.into_iter().min()?))
    });
    // The first of those that went furthest.
    let shared = shared.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(seed, _)| seed);
    let chosen: Vec<(&str, &RunRecord)> = arms
        .iter()
        .map(|(arm, runs)| (*arm, *runs.iter().find(|run| Some(run.planned.seed) == shared).unwrap_or(&runs[0])))
        .collect();
    let mut steps: Vec<u64> = chosen.iter().flat_map(|(_, run)| run.samples.iter().map(|sample| sample.0)).collect();
    steps.sort_unstable();
    steps.dedup();
    let steps = spaced(&steps, columns);
    html! {
        div.wide {
            table.grids {
                thead { tr { th {} @for step in &steps { th { "step " (grouped(*step)) } } } }
                tbody {
                    @for (arm, run) in &chosen {
                        tr {
                            th { (arm) br; span.note { "seed " (run.planned.seed) } }
                            @for step in &steps {
                                td data-run=(run.planned.run_id) data-step=(step) {
                                    @if let Some((_, path)) = run.samples.iter().find(|sample| sample.0 == *step) {
                                        (image(folder, run, path, &format!("{arm} after {step} steps: a grid of generated images")))
                                    } @else { span.note { "–" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn image(folder: &Path, run: &RunRecord, path: &PathBuf, alt: &str) -> Markup {
    // A relative path is meant from the run's folder.
    let path = if path.is_absolute() || path.exists() {
        path.clone()
    } else {
        folder.join("runs").join(run.planned.run_id.as_str()).join(path)
    };
    match fs::read(&path) {
        Ok(bytes) => html! { img alt=(alt) src={ "data:image/png;base64," (STANDARD.encode(bytes)) }; },
        Err(error) => {
            html! { span.note { "cannot read " (path.file_name().unwrap_or_default().to_string_lossy()) ": " (error) } }
        }
    }
}

/// `count` of the sorted steps, evenly spaced in order, the last always among them.
fn spaced(steps: &[u64], count: usize) -> Vec<u64> {
    if steps.len() <= count {
        return steps.to_vec();
    }
    if count == 1 {
        return steps.last().copied().into_iter().collect();
    }
    (0..count).map(|index| steps[index * (steps.len() - 1) / (count - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::spaced;

    #[test]
    fn the_last_step_is_always_shown() {
        let steps: Vec<u64> = (1..=10).map(|step| step * 200).collect();
        assert_eq!(spaced(&steps, 5), [200, 600, 1000, 1400, 2000]);
        assert_eq!(spaced(&steps, 1), [2000]);
        assert_eq!(spaced(&steps[..2], 5), [200, 400]);
        assert_eq!(spaced(&[], 1), [0; 0]);
    }
}
