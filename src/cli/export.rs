//! `speedlab export`: a sweep's curves for other programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::data_progress::DataProgress;
use super::report::warn_of_damage;
use super::{Exit, SweepArgs, say_if_changed};
use crate::export::{write_csv, write_tensorboard};
use crate::record::{RecordError, RunState, StudyRecord, refuse_outputs, write_curves};
use crate::report::number::grouped;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab export sweeps/quickstart.yaml --csv curves.csv
  speedlab export results/quickstart --parquet curves.parquet --tensorboard runs/     then: tensorboard --logdir runs

CSV and Parquet have the columns of results/<sweep>/curves.parquet: a row for each number. In CSV a text that begins with = + - @, a
tab or a carriage return has a ' before it, so that no spreadsheet takes it for a formula; numbers stay numbers. TensorBoard gets a
folder for each run, TRIAL/seedN, and keeps values in 32 bits. Offline files of Weights & Biases are not written: its package cannot
read them back, so that nothing could check them. Each is written beside its place and renamed when it is whole. A CSV comes
back by
  speedlab import curves.csv --baseline baseline --only metric=fid --map arm=trial seed=seed step=step images=images_seen \\
    seconds=train_seconds fid=value")]
pub struct ExportArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    #[command(flatten)]
    to: Destinations,
    /// No progress on stderr
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Destinations {
    /// Write the table as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the table as Parquet
    #[arg(long, value_name = "FILE")]
    parquet: Option<PathBuf>,
    /// Write event files of TensorBoard into a new folder
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
}

pub fn export(args: &ExportArgs) -> anyhow::Result<Exit> {
    let (plan, folder, frozen) = args.sweep.begun_and_frozen()?;
    let frozen = frozen.ok_or_else(|| RecordError::Nothing { path: folder.path.clone() })?;
    let Destinations { csv, parquet, tensorboard } = &args.to;
    let outputs: Vec<&Path> = [csv, parquet, tensorboard].into_iter().flatten().map(PathBuf::as_path).collect();
    refuse_outputs(&outputs, &folder, &args.sweep.sweep)?;
    say_if_changed(&plan, &folder, &frozen, "the curves are those of the frozen one");
    let study = StudyRecord::of(&folder, frozen)?;
    warn_of_damage(&study);
    let values = grouped(study.runs.iter().map(|run| (run.rows.len() + run.later.len()) as u64).sum());
    let runs = study.runs.iter().filter(|run| !run.rows.is_empty()).count();
    if let Some(words) = without_values(&study) {
        eprintln!("note: {words}");
    }
    let mut shown = DataProgress::new(args.quiet);
    if let Some(path) = csv {
        write_csv(&study, path, &mut |done, of| shown.count("writing CSV", done, of, "runs"))?;
        shown.clear();
        out!("{}: {values} values of {runs} runs", path.display());
    }
    if let Some(path) = parquet {
        write_curves(path, study.runs.iter().map(|run| (&run.planned, &run.rows)))?;
        out!("{}: {values} values of {runs} runs", path.display());
    }
    if let Some(path) = tensorboard {
        let runs = write_tensorboard(&study, path, &mut |done, of| shown.count("writing events", done, of, "runs"))?;
        shown.clear();
        out!("{}: {values} values of {runs} runs; tensorboard --logdir {}", path.display(), path.display());
    }
    Ok(Exit::AllDone)
}

/// How many runs have recorded no value, and why; `None` if every run has.
fn without_values(study: &StudyRecord) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for run in study.runs.iter().filter(|run| run.rows.is_empty()) {
        let words = match &run.state {
            RunState::Waiting => "not started",
            RunState::Unfinished => "unfinished",
            RunState::Ended(outcome) => outcome.word(),
            RunState::Damaged(_) => "damaged",
        };
        *counts.entry(words).or_default() += 1;
    }
    let empty: usize = counts.values().sum();
    let words: Vec<String> = counts.iter().map(|(words, count)| format!("{count} {words}")).collect();
    (empty > 0)
        .then(|| format!("{empty} of {} planned runs have recorded no values: {}", study.runs.len(), words.join(", ")))
}
