//! The images that a plan's runs need: whether they are there, and decoded before the first run starts.

use super::data_progress::DataProgress;
use crate::data::{self, DataError, DataFolder};
use crate::record::SweepFolder;
use crate::spec::{Plan, RunSpec};

/// Whether every run that is not done could start now; the error says what to fetch.
pub(super) fn check(plan: &Plan, folder: &SweepFolder, data_folder: &DataFolder) -> anyhow::Result<()> {
    each_kind(plan, folder, &mut |spec| data::check_present(spec, data_folder))
}

/// Decodes what was not decoded before, so that runs that start together need not wait for each other.
pub(super) fn decode(plan: &Plan, folder: &SweepFolder, data_folder: &DataFolder, quiet: bool) -> anyhow::Result<()> {
    let mut progress = DataProgress::new(quiet);
    each_kind(plan, folder, &mut |spec| data::load_for(spec, data_folder, &mut |step| progress.show(step)).map(drop))
}

/// Runs that differ in their images; a plan has few of these, however many runs.
fn each_kind(
    plan: &Plan,
    folder: &SweepFolder,
    visit: &mut dyn FnMut(&RunSpec) -> Result<(), DataError>,
) -> anyhow::Result<()> {
    let mut seen: Vec<&RunSpec> = Vec::new();
    for run in &plan.runs {
        let same = |other: &&RunSpec| {
            let (one, other) = (&run.spec, *other);
            let reference = |spec: &RunSpec| (spec.evaluate.fid.reference, spec.evaluate.fid.reference_folder.clone());
            one.data == other.data && reference(one) == reference(other)
        };
        if !seen.iter().any(same) && folder.run(&run.run_id).read_done()?.is_none() {
            visit(&run.spec)?;
            seen.push(&run.spec);
        }
    }
    Ok(())
}
