//! `speedlab report`: the report again, from the records alone.

use clap::Args;

use super::{Exit, SweepArgs};
use crate::record::{PlanFile, SweepFolder};
use crate::spec::PlannedRun;
use crate::study::write_report;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab report sweeps/quickstart.yaml
  speedlab report sweeps/quickstart.yaml --json | jq '.points[].arms[] | {arm, speedups}'")]
pub struct ReportArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    /// Print the table of speedups as one JSON value
    #[arg(long)]
    json: bool,
}

pub fn report(args: &ReportArgs) -> anyhow::Result<Exit> {
    let (plan, folder) = args.sweep.begun()?;
    if PlanFile::read(&folder)?.is_some_and(|file| !file.is_of(&plan)) {
        eprintln!(
            "note: the sweep is no longer the one that was frozen in {}; the report shows the frozen one.",
            folder.plan_file().display()
        );
        eprintln!("hint: `speedlab run` takes the changes in, and keeps what was recorded");
    }
    write_and_print(&folder, args.json)?;
    Ok(Exit::AllDone)
}

/// Writes the sweep's table and its report, and prints the answer on stdout.
pub(super) fn write_and_print(folder: &SweepFolder, json: bool) -> anyhow::Result<()> {
    let (study, report) = write_report(folder)?;
    for (run, damage) in study.damaged() {
        let PlannedRun { run_id, trial, seed, .. } = &run.planned;
        eprintln!("warning: run {run_id} ({trial}, seed {seed}) is left out, because its record is damaged:");
        damage.iter().for_each(|words| eprintln!("  {words}"));
        eprintln!(
            "hint: put back a copy of {}, or move it away and `speedlab run` trains the run again",
            folder.run(run_id).path.display()
        );
    }
    if json {
        out!("{}", std::fs::read_to_string(folder.report().join("speedups.json"))?.trim_end());
    } else {
        out!("{}", report.summary);
        out!("report: {}", report.page.display());
    }
    Ok(())
}
