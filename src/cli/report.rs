//! `speedlab report`: writes the report again, from the records alone.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Exit, SweepArgs, say_if_changed};
use crate::record::{PlanFile, StudyRecord, SweepFolder, first_and_count, refuse_folder};
use crate::report::{Drawn, PaperFormat, PaperWidth};
use crate::spec::PlannedRun;
use crate::study::{write_paper_figures, write_report, write_report_of};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab report sweeps/quickstart.yaml
  speedlab report results/quickstart             without the sweep's file, from the records
  speedlab report sweeps/quickstart.yaml --figures paper/figures --width one-column      each figure as PDF, 3.35 inches wide
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
    /// Also draw each figure for a paper into this folder: at the width of a column, with letters of 7 to 8 points
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// The width of those figures: one-column (3.35 inches), two-column (6.9 inches), or a number of inches
    #[arg(long, value_name = "WIDTH", requires = "figures", default_value = "one-column")]
    width: PaperWidth,
    /// Their formats, with commas between them. The font is in a PDF; a PNG has 337 pixels to the inch
    #[arg(long = "format", value_name = "FORMAT", requires = "figures", value_delimiter = ',', default_value = "pdf")]
    formats: Vec<Format>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Pdf,
    Svg,
    Png,
}

impl From<Format> for PaperFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Pdf => Self::Pdf,
            Format::Svg => Self::Svg,
            Format::Png => Self::Png,
        }
    }
}

impl ReportArgs {
    fn drawn(&self) -> Drawn {
        if self.all_figures { Drawn::All } else { Drawn::Few }
    }
}

pub fn report(args: &ReportArgs) -> anyhow::Result<Exit> {
    if let Some(figures) = &args.figures {
        refuse_folder(figures)?;
    }
    let (plan, folder, frozen) = args.sweep.begun_and_frozen()?;
    if let Some(file) = &frozen {
        say_if_changed(&plan, &folder, file, "the report shows the frozen one");
    }
    let study = write_and_print(&folder, frozen, args.json, args.drawn())?;
    if let Some(figures) = &args.figures {
        let mut formats: Vec<PaperFormat> = Vec::new();
        for format in args.formats.iter().map(|&format| format.into()) {
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        let written = write_paper_figures(&study, figures, args.drawn(), args.width, &formats)?;
        if !args.json {
            out!("figures: {} files in {}", written.len(), figures.display());
        }
    }
    Ok(Exit::AllDone)
}

/// Writes the sweep's table and its report, and prints the answer on stdout; gives the records. `frozen`: the plan, if it has been read already.
pub(super) fn write_and_print(
    folder: &SweepFolder,
    frozen: Option<PlanFile>,
    json: bool,
    drawn: Drawn,
) -> anyhow::Result<StudyRecord> {
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
    Ok(study)
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
