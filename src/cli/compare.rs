//! `speedlab compare`: several studies in one report.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{DEFAULT_RESULTS, Exit, SweepArgs};
use crate::compare::compare as join;
use crate::record::{PlanFile, RecordError, StudyRecord, write_curves};
use crate::report::{self, Drawn};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab compare results/ema results/methods --baseline ema/baseline
  speedlab compare sweeps/a.yaml sweeps/b.yaml --baseline a/baseline --out comparison

The studies must have the same data, metric, grid and protocol; what differs is said. Runs of two studies are paired by seed where
Speedlab drew the same for both (its own trainers, the same data, batches and networks); elsewhere arms are compared by Welch's t. The
page says that it is of several studies. No record is changed; DIR gets the report and curves.parquet of all.")]
pub struct CompareArgs {
    /// Studies: YAML files, or folders of results
    #[arg(value_name = "STUDY", required = true, num_args = 2..)]
    studies: Vec<PathBuf>,
    /// The arm that speedups are relative to
    #[arg(long, value_name = "STUDY/ARM")]
    baseline: String,
    /// Where the report is written [default: comparisons/STUDIES below the folder of results]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where results are kept
    #[arg(long, value_name = "DIR", default_value = DEFAULT_RESULTS)]
    results: PathBuf,
    /// Print the table of speedups as one JSON value
    #[arg(long)]
    json: bool,
}

pub fn compare(args: &CompareArgs) -> anyhow::Result<Exit> {
    let mut studies: Vec<(String, StudyRecord)> = Vec::new();
    for path in &args.studies {
        let sweep = SweepArgs { sweep: path.clone(), results: args.results.clone(), overrides: vec![] };
        let (_, folder) = sweep.begun()?;
        let file = PlanFile::read(&folder)?.ok_or_else(|| RecordError::Nothing { path: folder.path.clone() })?;
        let study = StudyRecord::of(&folder, file)?;
        for (run, damage) in study.damaged() {
            eprintln!(
                "warning: run {} of {} is left out, because its record is damaged: {}",
                run.planned.run_id,
                path.display(),
                damage.join("; ")
            );
        }
        let given = study.plan.name.clone();
        let is_taken = |name: &String| studies.iter().any(|(other, _)| other == name);
        let names = (1..).map(|number| if number == 1 { given.clone() } else { format!("{given}-{number}") });
        let name = names.into_iter().find(|name| !is_taken(name)).expect("there is always a next number");
        eprintln!("note: {} is called `{name}`", path.display());
        studies.push((name, study));
    }
    let words: Vec<String> = args.studies.iter().map(|path| path.display().to_string()).collect();
    let command = format!("(compared: speedlab compare {} --baseline {})", words.join(" "), args.baseline);
    let compared = join(&studies, &args.baseline, &command)?;
    compared.notes.iter().for_each(|note| eprintln!("note: {note}"));
    let default = || args.results.join("comparisons").join(&compared.study.plan.name);
    let out = args.out.clone().unwrap_or_else(default);
    let written = report::write_drawn(&compared.study, &out, Drawn::Few)?;
    let runs = compared.study.runs.iter().map(|run| (&run.planned, &run.rows));
    write_curves(&out.join("curves.parquet"), runs)?;
    if args.json {
        out!("{}", std::fs::read_to_string(Path::new(&out).join("speedups.json"))?.trim_end());
    } else {
        out!("{}", written.summary);
        out!("report: {}", written.page.display());
    }
    Ok(Exit::AllDone)
}
