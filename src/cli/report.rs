//! `speedlab report`: writes the report again, from the records alone.

use clap::Args;

use super::{Exit, SweepArgs, say_if_changed};
use crate::record::{PlanFile, StudyRecord, SweepFolder, first_and_count};
use crate::report::Drawn;
use crate::spec::PlannedRun;
use crate::study::{write_report, write_report_of};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab report sweeps/quickstart.yaml
  speedlab report results/quickstart             without the sweep's file, from the records
  speedlab report sweeps/quickstart.yaml --json | jq '.points[].arms[] | {arm, speedups}'

The page, results/<sweep>/report/index.html, needs no network: open it from disk. A click on a number shows the runs and the formula
behind it, a click on a curve its run; the target of the comparison can be moved. It prints, and reads without scripts.")]
pub struct ReportArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    /// Print the table of speedups as one JSON value
    #[arg(long)]
    json: bool,
    /// Draw the figures and samples of every grid point, however many there are
    #[arg(long)]
    all_figures: bool,
}

impl ReportArgs {
    fn drawn(&self) -> Drawn {
        if self.all_figures { Drawn::All } else { Drawn::Few }
    }
}

pub fn report(args: &ReportArgs) -> anyhow::Result<Exit> {
    let (plan, folder, frozen) = args.sweep.begun_and_frozen()?;
    if let Some(file) = &frozen {
        say_if_changed(&plan, &folder, file, "the report shows the frozen one");
    }
    write_and_print(&folder, frozen, args.json, args.drawn())?;
    Ok(Exit::AllDone)
}

/// Writes the sweep's table and its report, and prints the answer on stdout. `frozen`: the plan, if it has been read already.
pub(super) fn write_and_print(
    folder: &SweepFolder,
    frozen: Option<PlanFile>,
    json: bool,
    drawn: Drawn,
) -> anyhow::Result<()> {
    let (study, report) = match frozen {
        Some(frozen) => write_report_of(folder, frozen, drawn)?,
        None => write_report(folder, drawn)?,
    };
    warn_of_damage(&study);
    if json {
        out!("{}", std::fs::read_to_string(folder.report().join("speedups.json"))?.trim_end());
    } else {
        out!("{}", report.summary);
        out!("report: {}", report.page.display());
    }
    Ok(())
}

/// Names the runs that are left out.
pub(super) fn warn_of_damage(study: &StudyRecord) {
    let folder = SweepFolder { path: study.folder.clone() };
    for (run, damage) in study.damaged() {
        let PlannedRun { run_id, trial, seed, .. } = &run.planned;
        eprintln!(
            "warning: run {run_id} ({trial}, seed {seed}) is left out, because its record is damaged: {}",
            first_and_count(damage)
        );
        eprintln!(
            "hint: put back a copy of {}, or move it away and `speedlab run` trains the run again",
            folder.run(run_id).path.display()
        );
    }
}
