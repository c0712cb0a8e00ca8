//! `speedlab merge`: results of one sweep from several machines, in one folder.

use std::path::PathBuf;

use clap::Args;

use super::data_progress::DataProgress;
use super::{Exit, report};
use crate::merge::Merge;
use crate::report::Drawn;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  seeds 0 to 4 were trained on one machine (--set seeds=[0,1,2,3,4]), 5 to 9 on another:
    speedlab merge lab1/quickstart lab2/quickstart --into results/quickstart
  what a laptop has trained, added to what is there; first look whether they fit:
    speedlab merge laptop/quickstart --into results/quickstart --dry-run

Folders are those with a plan.json, as results/quickstart. Their plans must be one study's: the same question, arms' settings, grid
and comparison; seeds and runs may differ. Every record is copied as it is, checkpoints too; the folders that are read stay untouched.
Of a run that one machine began and another ended the end counts, and the beginning is kept below attempts/. Two ends with different
values are refused. A merge that was interrupted is done again by the same command.")]
pub struct MergeArgs {
    /// Folders with results of one sweep
    #[arg(value_name = "FOLDER", required = true)]
    folders: Vec<PathBuf>,
    /// The folder that holds everything afterwards; what it has already is kept
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Look for conflicts and change nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// No progress on stderr
    #[arg(long, short)]
    quiet: bool,
    /// Print the table of speedups as one JSON value
    #[arg(long)]
    json: bool,
}

pub fn merge(args: &MergeArgs) -> anyhow::Result<Exit> {
    let merge = match args.dry_run {
        true => Merge::of(&args.folders, &args.into)?,
        false => Merge::locked(&args.folders, &args.into)?,
    };
    for note in merge.notes() {
        eprintln!("note: {note}");
    }
    let (runs, planned) = (merge.runs(), merge.plan().plan.runs.len());
    if args.dry_run {
        out!("no conflict: {runs} runs of {planned} would be in {}", args.into.display());
        return Ok(Exit::AllDone);
    }
    let mut shown = DataProgress::new(args.quiet);
    merge.carry_out(&mut |done, of| shown.count("merging", done, of, "runs"))?;
    shown.clear();
    if !args.quiet {
        eprintln!("{:>10}  {runs} runs of {planned} into {}", "merged", args.into.display());
    }
    report::write_and_print(merge.folder(), Some(merge.plan().clone()), args.json, &Drawn::Few.into())?;
    Ok(Exit::AllDone)
}
