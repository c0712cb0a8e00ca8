//! Whether runs that are to be measured alike were.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::json;

use super::MergeError;
use super::runs::Gathered;

/// What was measured how, and the first file that says so.
type Measured<'g> = BTreeMap<&'g str, (BTreeSet<&'g str>, PathBuf)>;

/// Refuses runs whose settings ask for one way to measure and whose values were measured in two: with other images, for one.
pub(super) fn check(runs: &[Gathered]) -> Result<(), MergeError> {
    let mut groups: BTreeMap<String, Measured> = BTreeMap::new();
    for run in runs {
        let group = groups.entry(measured_as(run)).or_default();
        let mut of_run: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (metric, protocol) in &run.protocols {
            of_run.entry(metric).or_default().insert(protocol);
        }
        for (metric, protocols) in of_run {
            let (known, one) = group.entry(metric).or_insert_with(|| (protocols.clone(), run.folder.journal()));
            if *known != protocols {
                let only = |some: &BTreeSet<&str>, others: &BTreeSet<&str>| {
                    some.difference(others).next().copied().unwrap_or("none").to_owned()
                };
                return Err(MergeError::OtherProtocol {
                    one: one.clone(),
                    other: run.folder.journal(),
                    metric: metric.to_owned(),
                    what: format!("`{}` and `{}`", only(known, &protocols), only(&protocols, known)),
                });
            }
        }
    }
    Ok(())
}

/// The settings that decide how values are measured. A trainer of the user's own may measure each trial in its own way.
fn measured_as(run: &Gathered) -> String {
    let spec = &run.planned.spec;
    let trial = spec.trainer.as_ref().map(|_| &run.planned.trial);
    // The loss on held-out images is the error of what is predicted, at the noise levels of the schedule.
    let predicted = json!([spec.parameterization, spec.noise_schedule]);
    json!([spec.data, spec.evaluate, spec.train.average(), spec.told_classes(), predicted, trial]).to_string()
}
