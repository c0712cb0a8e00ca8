//! `speedlab cell`: one number of a report, with everything behind it, and whether it holds when its runs are trained again.

mod error;
mod rerun;
mod words;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

pub use error::CellError;

use self::rerun::RerunArgs;
use super::report::warn_of_damage;
use super::{Color, DataArgs, Exit, SweepArgs, say_if_changed};
use crate::record::{DEFAULT_RESULTS, PlanFile, RecordError, StudyRecord, SweepFolder, quoted};
use crate::report::{Cell, CellDetail, Cells, Comparison, Grid, detail, labelled, normal_cell_id};

/// The version of the JSON value.
const CELL_JSON_VERSION: u32 = 1;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab cell k3f9qa                             the number with this id, of any study in results/
  speedlab cell k3f9qa sweeps/quickstart.yaml      the same of one study; results/quickstart will do as well
  speedlab cell --list sweeps/quickstart.yaml      every number of the study with its id
  speedlab cell k3f9qa --rerun --device cuda:0     trains its runs again in results/reruns/k3f9qa, and says whether the number holds

An id says what a number is: study, kind, arm, grid point. It stays when the report is written again, when seeds are added and when arms
get labels. Ids stand in speedups.csv, .json, .tex and .typ, and on the page behind each number. With --rerun the exit code is 0 where the
number holds and 1 where it does not: by equal bits on the same kind of device with the same build, else by its interval.")]
pub struct CellArgs {
    /// The number's id, or its first four digits or more
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// The study: its YAML file, or the folder of its results [default: the one in the folder of results whose report has the id]
    #[arg(value_name = "SWEEP")]
    study: Option<PathBuf>,
    /// List every number of a study with its id
    #[arg(long)]
    list: bool,
    /// Where results are kept
    #[arg(long, value_name = "DIR", default_value = DEFAULT_RESULTS)]
    results: PathBuf,
    /// Override a key of the study, as for `speedlab run` (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    #[command(flatten)]
    rerun: RerunArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

pub fn cell(args: &CellArgs, color: Color) -> anyhow::Result<Exit> {
    if args.list {
        return list(args);
    }
    let given = args.id.as_deref().ok_or(CellError::NoId)?;
    let id = normal_cell_id(given);
    let (folder, frozen) = match &args.study {
        Some(study) => args.study(study)?,
        None => args.study(&with_id(&args.results, given, &id)?)?,
    };
    let study = StudyRecord::of(&folder, frozen.clone())?;
    warn_of_damage(&study);
    let found = found(&study, given, &id)?;
    if args.rerun.is_asked_for() {
        return rerun::rerun(&args.rerun, &args.data, args.json, color, &folder, frozen, &study, &found);
    }
    let command = rerun_command(&found, &folder);
    match args.json {
        true => {
            let mut value = serde_json::to_value(&found)?;
            value["version"] = CELL_JSON_VERSION.into();
            value["rerun"] = json!(command);
            out!("{}", serde_json::to_string_pretty(&value)?);
        }
        false => out!("{}", words::shown(&found, command.as_deref())),
    }
    Ok(Exit::AllDone)
}

impl CellArgs {
    /// The study's folder, and the plan that is frozen there.
    fn study(&self, path: &Path) -> anyhow::Result<(SweepFolder, PlanFile)> {
        let sweep =
            SweepArgs { sweep: path.to_owned(), results: self.results.clone(), overrides: self.overrides.clone() };
        let (plan, folder, frozen) = sweep.begun_and_frozen()?;
        let frozen = frozen.ok_or_else(|| RecordError::Nothing { path: folder.path.clone() })?;
        say_if_changed(&plan, &folder, &frozen, "the numbers are those of the frozen one");
        Ok((folder, frozen))
    }
}

/// The number with this id; `given` as on the command line.
fn found(study: &StudyRecord, given: &str, id: &str) -> Result<CellDetail, CellError> {
    let shown = labelled(study);
    let comparison = Comparison::of(&shown);
    let grid = Grid::of(&comparison);
    let cells = Cells::of(&comparison, &grid);
    let cell = cells.find(id).map_err(|near| {
        let near = near.iter().map(|cell| format!("{} ({})", cell.id, detail(&comparison, &grid, cell).what)).collect();
        CellError::Unknown {
            given: given.to_owned(),
            study: study.plan.name.clone(),
            folder: study.folder.clone(),
            near,
        }
    })?;
    Ok(detail(&comparison, &grid, cell))
}

/// The folder of the only study below `results` whose report has the id; `given` as on the command line.
fn with_id(results: &Path, given: &str, id: &str) -> Result<PathBuf, CellError> {
    let entries = match std::fs::read_dir(results) {
        Ok(entries) => entries.filter_map(Result::ok).map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => vec![],
        Err(source) => return Err(CellError::Io { path: results.to_owned(), source }),
    };
    let begins = format!("\"cell\": \"{id}");
    let mut found = Vec::new();
    for folder in entries {
        let table = SweepFolder { path: folder.clone() }.report().join("speedups.json");
        match std::fs::read_to_string(&table) {
            Ok(text) if text.contains(&begins) => found.push(folder),
            Ok(_) => {}
            // A folder without a report has no ids to offer, nor has a file.
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {}
            Err(source) => return Err(CellError::Io { path: table, source }),
        }
    }
    found.sort();
    match &found[..] {
        [only] => Ok(only.clone()),
        _ => Err(CellError::WhichStudy { id: given.to_owned(), results: results.to_owned(), found }),
    }
}

/// What trains the number's runs again; `None` where nothing can.
fn rerun_command(cell: &CellDetail, folder: &SweepFolder) -> Option<String> {
    let has_none = cell.is_measured_later || cell.runs.iter().any(|run| run.is_imported);
    let path = quoted(&folder.path.display().to_string());
    (!has_none).then(|| format!("speedlab cell {} {path} --rerun", cell.id))
}

/// Whether it can be meant as an id, and not as the path of a study.
fn is_id(given: &str) -> bool {
    given.len() >= 4 && given.chars().all(|letter| letter.is_ascii_alphanumeric())
}

fn list(args: &CellArgs) -> anyhow::Result<Exit> {
    match (&args.id, &args.study) {
        (Some(first), Some(second)) => {
            let second = second.display().to_string();
            // A number and its study, in whichever order they were given.
            let is_study = |word: &str| Path::new(word).exists() || !is_id(word);
            let (id, study) = if is_study(first) && !is_study(&second) { (&second, first) } else { (first, &second) };
            return Err(CellError::OneOrAll { id: quoted(id), study: quoted(study) }.into());
        }
        (Some(given), None) if is_id(given) && !Path::new(given).exists() => {
            return Err(CellError::NoSuchStudy { given: given.clone() }.into());
        }
        _ => {}
    }
    let path =
        args.study.as_ref().cloned().or_else(|| args.id.as_ref().map(PathBuf::from)).ok_or(CellError::NoStudy)?;
    let (folder, frozen) = args.study(&path)?;
    let study = StudyRecord::of(&folder, frozen)?;
    warn_of_damage(&study);
    let shown = labelled(&study);
    let comparison = Comparison::of(&shown);
    let grid = Grid::of(&comparison);
    let cells = Cells::of(&comparison, &grid);
    let details: Vec<CellDetail> = cells.all.iter().map(|cell: &Cell| detail(&comparison, &grid, cell)).collect();
    match args.json {
        true => {
            let list = details.iter().map(|cell| {
                json!({ "id": cell.id, "kind": cell.kind, "what": cell.what, "number": cell.number, "verdict": cell.verdict })
            });
            let value =
                json!({ "version": CELL_JSON_VERSION, "study": study.plan.name, "cells": list.collect::<Vec<_>>() });
            out!("{}", serde_json::to_string_pretty(&value)?);
        }
        false => out!("{}", words::list(&details)),
    }
    Ok(Exit::AllDone)
}
