//! Why a number cannot be shown or trained again.

use std::io;
use std::path::PathBuf;

/// What was asked for does not fit the study.
#[derive(Debug, thiserror::Error)]
pub enum CellError {
    #[error("no id was given\nhint: `speedlab cell --list SWEEP` lists the numbers of a study with their ids")]
    NoId,
    #[error("no study was given\nhint: `speedlab cell --list sweeps/quickstart.yaml` lists its numbers")]
    NoStudy,
    #[error(
        "`{id}` asks for one number, and --list for all\nhint: `speedlab cell {id} {study}` shows the one, `speedlab cell --list {study}` lists all"
    )]
    OneOrAll { id: String, study: String },
    #[error(
        "there is no study `{given}`\nhint: `speedlab cell --list SWEEP` takes the YAML file of a study or the folder of its results; if `{given}` is an id, \
         `speedlab cell {given}` shows its number"
    )]
    NoSuchStudy { given: String },
    #[error("`{study}` has no number with the id `{given}`{}\nhint: `speedlab cell --list {}` lists all of them", near_words(near), folder.display())]
    Unknown { given: String, study: String, folder: PathBuf, near: Vec<String> },
    #[error(
        "{}\nhint: name the study, as in `speedlab cell {id} sweeps/quickstart.yaml`; `--list` lists its numbers",
        which_words(id, results, found)
    )]
    WhichStudy { id: String, results: PathBuf, found: Vec<PathBuf> },
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "the number cannot be trained again: run {run_id} of {arm} was imported, and what trained it is not known here\nhint: `speedlab import` reads a newer table as another study"
    )]
    Imported { run_id: String, arm: String },
    #[error(
        "{what}, was measured after its runs had ended, which training them does not do again\nhint: `speedlab evaluate RUN --set ..` measures runs that were trained again"
    )]
    MeasuredLater { what: String },
    #[error("there is no number yet that could hold: {what}\nhint: `speedlab run` trains the runs that are missing")]
    NothingToHold { what: String },
    #[error("the runs would be trained in {}, which holds the records that they are compared with\nhint: name another folder with --into", path.display())]
    InPlace { path: PathBuf },
    #[error("{} holds a damaged record of a run that is to be trained again: {reason}\nhint: move that folder away, or name another one with --into", path.display())]
    DamagedRerun { path: PathBuf, reason: String },
    #[error("{} holds another plan of this name\nhint: name another folder with --into, or move that one away", path.display())]
    OtherPlan { path: PathBuf },
}

fn near_words(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!("; near it are:\n  {}", near.join("\n  ")),
    }
}

fn which_words(id: &str, results: &std::path::Path, found: &[PathBuf]) -> String {
    match found {
        [] if id.len() < 4 => format!("`{id}` is too short for an id: four digits or more are needed"),
        [] => format!("no report in {} has a number with the id `{id}`", results.display()),
        found => {
            let names: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
            format!("several reports have a number with the id `{id}`: {}", names.join(", "))
        }
    }
}
