//! Runs that can be measured: those that have ended, with what is to be measured of them.

use std::path::Path;

use super::EvaluateCommandError as Error;
use super::kept_averages::check_kept;
use super::settings::Combination;
use crate::event::RunOutcome;
use crate::record::RunFolder;
use crate::spec::PlannedRun;

/// A run that has ended as planned, with its weights.
pub struct Finished {
    pub folder: RunFolder,
    pub planned: PlannedRun,
}

/// The run in a folder, if it has ended as planned and what the combinations measure is there.
pub fn finished(path: &Path, combinations: &[Combination]) -> Result<Finished, Error> {
    let (path, folder) = (path.to_owned(), RunFolder { path: path.to_owned() });
    let no_run = |reason| Error::NoRun { path: path.clone(), reason };
    let planned = folder.read_spec().map_err(no_run)?;
    if let Some(trainer) = &planned.spec.trainer {
        return Err(Error::OfTrainer { path, trainer: trainer.in_words() });
    }
    let not_finished = |state: String, hint| Error::NotFinished { path: path.clone(), state, hint };
    match folder.read_done().map_err(no_run)? {
        Some(RunOutcome::Completed | RunOutcome::ReachedTarget) => {}
        None => return Err(not_finished("has not ended".to_owned(), "`speedlab run` goes on with it")),
        Some(other) => {
            let hint = "only the weights of runs that were completed are measured";
            return Err(not_finished(format!("has ended: {}", other.in_words()), hint));
        }
    }
    if !folder.checkpoint().is_file() {
        return Err(Error::NoWeights { checkpoint: folder.checkpoint(), path });
    }
    if combinations.iter().any(Combination::names_average) {
        check_kept(&folder, &planned.spec)?;
    }
    Ok(Finished { folder, planned })
}
