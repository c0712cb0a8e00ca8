//! `speedlab export`: a sweep's curves for other programs.

use std::path::PathBuf;

use clap::Args;

use super::data_progress::DataProgress;
use super::{Exit, SweepArgs};
use crate::export::{write_csv, write_tensorboard};
use crate::record::{PlanFile, RecordError, StudyRecord, write_curves};
use crate::report::number::grouped;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab export sweeps/quickstart.yaml --csv curves.csv
  speedlab export results/quickstart --parquet curves.parquet --tensorboard runs/     then: tensorboard --logdir runs

CSV and Parquet have the columns of results/<sweep>/curves.parquet: a row for each number. In CSV a text that begins with = + - @, a
tab or a carriage return has a ' before it, so that no spreadsheet takes it for a formula; numbers stay numbers. TensorBoard gets a
folder for each run, TRIAL/seedN, and keeps values in 32 bits. Each is written beside its place and renamed when it is whole. A CSV comes
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
    let (_, folder) = args.sweep.begun()?;
    let frozen = PlanFile::read(&folder)?.ok_or_else(|| RecordError::Nothing { path: folder.path.clone() })?;
    let study = StudyRecord::of(&folder, frozen)?;
    for (run, damage) in study.damaged() {
        eprintln!(
            "warning: run {} is left out, because its record is damaged: {}",
            run.planned.run_id,
            damage.join("; ")
        );
    }
    let values = grouped(study.runs.iter().map(|run| run.rows.len() as u64).sum());
    let runs = study.runs.iter().filter(|run| !run.rows.is_empty()).count();
    let mut shown = DataProgress::new(args.quiet);
    let Destinations { csv, parquet, tensorboard } = &args.to;
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
