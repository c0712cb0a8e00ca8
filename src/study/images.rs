//! The decoded images and the reference statistics that a plan's runs need before the first starts.

use super::StudyError;
use crate::data::{self, DataError, DataFolder, DataSums, OnProgress};
use crate::evaluate::{
    AutoencoderFileError, CheckedDecoder, check_decoder, check_encoders, check_reference_files, prepare_reference,
};
use crate::event::Started;
use crate::record::{SweepFolder, read_journal};
use crate::run::recorded_sums;
use crate::spec::{Data, Encoder, Plan, PlannedRun, RunSpec};

/// Whether every run that is not done could start now, and notes on its images; the error says what to fetch.
pub(super) fn check<'r>(
    runs: impl Iterator<Item = &'r PlannedRun>,
    folder: &SweepFolder,
    data_folder: &DataFolder,
) -> Result<Vec<String>, StudyError> {
    let mut notes = Vec::new();
    each_kind(runs, folder, &mut |spec| {
        notes.extend(data::check_present(spec, data_folder)?);
        notes.extend(decoder_of(spec)?.notes);
        check_encoders(spec)?;
        Ok(check_reference_files(spec)?)
    })?;
    notes.dedup();
    Ok(notes)
}

fn decoder_of(spec: &RunSpec) -> Result<CheckedDecoder, DataError> {
    check_decoder(spec).map_err(|AutoencoderFileError { problem, hint }| DataError::Latents {
        key: "data.decoder",
        problem,
        hint,
    })
}

/// Of a plan, which needs no images: what would keep its runs from starting is a note.
pub fn image_notes(plan: &Plan, folder: &SweepFolder, data_folder: &DataFolder) -> Vec<String> {
    check(plan.runs.iter(), folder, data_folder)
        .unwrap_or_else(|error| vec![format!("no run can start yet: {error}").replace("\nhint: ", "; ")])
}

/// Decodes images and computes features of a large network that were not kept from before, so that runs that start
/// together need not wait for each other. Where runs were recorded on other images by the same settings, or with
/// another decoder, that is an error.
pub(super) fn prepare<'r>(
    runs: impl Iterator<Item = &'r PlannedRun>,
    folder: &SweepFolder,
    data_folder: &DataFolder,
    progress: OnProgress<'_>,
) -> Result<(), StudyError> {
    let runs: Vec<&PlannedRun> = runs.collect();
    each_kind(runs.iter().copied(), folder, &mut |spec| {
        let mut dataset = data::load_for(spec, data_folder, progress)?;
        dataset.pictures = data::load_pictures(spec, data_folder, progress)?;
        let found = DataSums { data: dataset.content_sha256(), decoder: decoder_of(spec)?.sha256 };
        // Files of other sets are checked as they are read.
        let is_of_user = matches!(spec.data, Data::ImageFolder(_) | Data::Latents(_));
        let is_same = |other: &RunSpec| other.data == spec.data && pictures_of(other) == pictures_of(spec);
        for run in runs.iter().filter(|run| is_of_user && is_same(&run.spec)) {
            let run_folder = folder.run(&run.run_id);
            // It starts anew.
            if !run_folder.has_ended() && !run_folder.checkpoint().is_file() {
                continue;
            }
            let recorded = read_journal(&run_folder.journal())?;
            if let Some(before) = Started::of_known_data(&recorded.events) {
                found.check_same(&recorded_sums(before), spec, &run_folder.path)?;
            }
        }
        Ok(prepare_reference(spec, &dataset, data_folder, progress)?)
    })
}

/// The frozen network that a run's tokens are aligned with, and the user's file of it.
fn encoder_of(spec: &RunSpec) -> Option<(Encoder, &str)> {
    let alignment = &spec.auxiliary_losses.alignment;
    (alignment.weight > 0.0).then_some((alignment.encoder, &*alignment.weights))
}

/// The folder of the pictures of a run's latents.
fn pictures_of(spec: &RunSpec) -> &str {
    &spec.auxiliary_losses.alignment.pictures
}

/// Runs that differ in their images, in what these are compared by or in what their tokens are aligned with; a plan has few of these, however many runs.
fn each_kind<'r>(
    runs: impl Iterator<Item = &'r PlannedRun>,
    folder: &SweepFolder,
    visit: &mut dyn FnMut(&RunSpec) -> Result<(), StudyError>,
) -> Result<(), StudyError> {
    let mut seen: Vec<&RunSpec> = Vec::new();
    for run in runs {
        let same = |other: &&RunSpec| {
            let (one, other) = (&run.spec, *other);
            one.data == other.data
                && encoder_of(one) == encoder_of(other)
                && pictures_of(one) == pictures_of(other)
                && one.evaluate.measures == other.evaluate.measures
                && one.evaluate.also.len() == other.evaluate.also.len()
                && one.evaluate.fids().zip(other.evaluate.fids()).all(|(one, other)| one.compares_like(other))
        };
        if !seen.iter().any(same) && !folder.run(&run.run_id).has_ended() {
            visit(&run.spec)?;
            seen.push(&run.spec);
        }
    }
    Ok(())
}
