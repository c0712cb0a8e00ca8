//! Exit codes.

use std::process::ExitCode;

use super::cell::CellError;
use super::evaluate::EvaluateCommandError;
use super::report::KeptError;
use crate::bundle::BundleError;
use crate::cluster::ClusterError;
use crate::compare::CompareError;
use crate::data::DataError;
use crate::device::DeviceError;
use crate::evaluate::EvaluateError;
use crate::export::ExportError;
use crate::import::ImportError;
use crate::merge::MergeError;
use crate::plan::PlanError;
use crate::record::RecordError;
use crate::report::FontError;
use crate::serve::ServeError;
use crate::study::StudyError;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: everything asked for is done.
    AllDone,
    /// 1: some runs failed, or the program could not do its work.
    SomeFailed,
    /// 2: wrong usage or an invalid sweep.
    Invalid,
    /// 3: incomplete, and the same command goes on.
    Incomplete,
    /// 130 and 143: stopped by a signal.
    Code(u8),
}

impl Exit {
    /// The code that fits an error.
    pub fn of_error(error: &anyhow::Error) -> Self {
        let invalid = error.downcast_ref::<PlanError>().is_some();
        // Data that is not there is like a sweep that cannot be run: nothing has started.
        let (of_data, of_device) = match error.downcast_ref::<StudyError>() {
            Some(StudyError::Data(error)) => (Some(error), None),
            Some(StudyError::Device(error)) => (None, Some(error)),
            _ => (error.downcast_ref::<DataError>(), error.downcast_ref::<DeviceError>()),
        };
        let no_data = of_data.is_some_and(DataError::is_absence);
        let no_device = of_device.is_some();
        let no_rule = error.downcast_ref::<StudyError>().is_some_and(StudyError::is_about_seeds);
        let no_volume = matches!(
            error.downcast_ref::<StudyError>(),
            Some(StudyError::Cluster(ClusterError::Volume { .. } | ClusterError::NotOnVolume { .. }))
        );
        // What is wrong with a table is like what is wrong with a sweep.
        let no_import = error.downcast_ref::<ImportError>().is_some();
        let no_trainer = matches!(
            error.downcast_ref::<StudyError>(),
            Some(
                StudyError::NoTrainer { .. }
                    | StudyError::NoTorch { .. }
                    | StudyError::EvaluatedByTrainer
                    | StudyError::EvaluatesWhereOthersTrain { .. }
                    | StudyError::Imported
                    | StudyError::NoSuchRun { .. }
            )
        );
        // Neither do results that are of no one sweep fit together.
        let no_merge = error.downcast_ref::<MergeError>().is_some_and(MergeError::is_conflict);
        let no_bundle = matches!(error.downcast_ref::<BundleError>(), Some(BundleError::NoBundle { .. }));
        let no_export = matches!(error.downcast_ref::<ExportError>(), Some(ExportError::NotEmpty { .. }));
        let no_server = error.downcast_ref::<ServeError>().is_some_and(ServeError::is_usage);
        let no_compare =
            error.downcast_ref::<CompareError>().is_some_and(|error| !matches!(error, CompareError::Record(_)));
        // What is measured does not fit what measures it.
        let no_evaluation = error.downcast_ref::<EvaluateCommandError>().is_some()
            || match error.downcast_ref::<StudyError>() {
                Some(StudyError::Evaluate(error)) => error.is_usage(),
                _ => error.downcast_ref::<EvaluateError>().is_some_and(EvaluateError::is_usage),
            };
        let no_font = error.downcast_ref::<FontError>().is_some();
        let of_usage = of_record(error).is_some_and(RecordError::is_usage);
        // Nor does a table that was kept of something else, or an id that no number has.
        let no_check = error.downcast_ref::<KeptError>().is_some() || error.downcast_ref::<CellError>().is_some();
        if invalid
            || no_check
            || no_evaluation
            || no_font
            || of_usage
            || no_compare
            || no_bundle
            || no_export
            || no_merge
            || no_import
            || no_trainer
            || no_volume
            || no_data
            || no_device
            || no_rule
            || no_server
        {
            Self::Invalid
        } else {
            Self::SomeFailed
        }
    }
}

/// What an error says of records, whichever command met it.
fn of_record(error: &anyhow::Error) -> Option<&RecordError> {
    if let Some(StudyError::Record(error)) = error.downcast_ref() {
        return Some(error);
    }
    if let Some(BundleError::Record(error)) = error.downcast_ref() {
        return Some(error);
    }
    if let Some(MergeError::Record(error)) = error.downcast_ref() {
        return Some(error);
    }
    if let Some(ExportError::Record(error)) = error.downcast_ref() {
        return Some(error);
    }
    error.downcast_ref()
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::AllDone => 0,
            Exit::SomeFailed => 1,
            Exit::Invalid => 2,
            Exit::Incomplete => 3,
            Exit::Code(code) => code,
        })
    }
}
