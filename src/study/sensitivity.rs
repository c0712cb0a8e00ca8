//! The smallest speedup that a plan's seeds can show.

use std::fs;
use std::path::Path;

use crate::record::{PlanFile, StudyRecord, SweepFolder};
use crate::report::number::significant;
use crate::report::{Comparison, detectable, level};
use crate::spec::{Plan, RunSpec};

/// The usual standard deviation of a seed's ln speedup over the band, where nothing like it was measured: of digits and MNIST.
const USUAL: (f64, f64) = (0.02, 0.06);
/// Larger studies are not read for this.
const MOST_RUNS: usize = 500;

/// The least speedup that the plan's seeds decide in 4 of 5 studies, in a sentence; `None` where nothing is compared.
pub fn sensitivity(plan: &Plan, study: Option<&StudyRecord>, results: &Path) -> Option<String> {
    let comparisons = super::until_decided::comparisons(plan)?;
    let rule = plan.until_decided.as_ref();
    let seeds = rule.map_or(plan.seeds.len(), |rule| rule.seeds.len());
    let level = level(rule, comparisons);
    if seeds < 2 {
        return Some("one seed decides nothing: there is no interval".to_owned());
    }
    let known = study.and_then(deviation).map(|deviation| (deviation, "this study's runs".to_owned()));
    let known = known.or_else(|| alike(plan, results));
    let of = |deviation: f64| detectable(seeds, deviation, level);
    Some(match known {
        Some((deviation, source)) => format!(
            "{seeds} seeds decide a speedup of {} or more 4 times in 5, by the spread of ln speedup in {source} ({})",
            factor(of(deviation)),
            significant(deviation, 2)
        ),
        None => format!(
            "{seeds} seeds decide a speedup of {} to {} or more 4 times in 5, by the usual spread of ln speedup ({} to {}); \
             nothing like it was measured here yet",
            factor(of(USUAL.0)),
            factor(of(USUAL.1)),
            USUAL.0,
            USUAL.1
        ),
    })
}

/// `1.07×`, `1.004×`.
fn factor(factor: f64) -> String {
    if factor < 1.01 { format!("{factor:.3}×") } else { format!("{factor:.2}×") }
}

/// Of a seed's ln speedup.
fn deviation(study: &StudyRecord) -> Option<f64> {
    Comparison::of(study).deviation()
}

/// Another study here on the same images with the same kind of network, and its name.
fn alike(plan: &Plan, results: &Path) -> Option<(f64, String)> {
    let first = &plan.runs.first()?.spec;
    let kinds = |spec: &RunSpec| (spec.data.kind().to_owned(), spec.model.kind().to_owned());
    let mut names: Vec<String> = fs::read_dir(results)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| *name != plan.name)
        .collect();
    names.sort_unstable();
    names.into_iter().find_map(|name| {
        let folder = SweepFolder::new(results, &name);
        // A study that cannot be read is no source; whoever asks for it is told why.
        let file = PlanFile::read(&folder).ok()??;
        let is_alike = file.plan.runs.first().is_some_and(|run| kinds(&run.spec) == kinds(first))
            && file.plan.compare.as_ref().map(|compare| compare.metric)
                == plan.compare.as_ref().map(|compare| compare.metric)
            && file.plan.runs.len() <= MOST_RUNS;
        let study = if is_alike { StudyRecord::of(&folder, file).ok()? } else { return None };
        deviation(&study).map(|deviation| (deviation, format!("the runs of `{name}`")))
    })
}
