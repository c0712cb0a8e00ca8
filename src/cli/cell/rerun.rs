//! Trains the runs behind a number again, elsewhere, and says whether the number holds.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::{CELL_JSON_VERSION, CellError, words};
use crate::cli::device_args::DeviceArgs;
use crate::cli::run::{Shown, exit_of};
use crate::cli::{Color, DataArgs, Exit};
use crate::record::{PlanFile, RunRecord, RunState, StudyRecord, SweepFolder, first_and_count, lies_in};
use crate::report::{CellDetail, compare_rerun, has_result};
use crate::schedule::{Policy, Stop};
use crate::spec::RunId;
use crate::study::Study;

#[derive(Debug, Args)]
pub(super) struct RerunArgs {
    /// Train the number's runs again in another folder, and say whether the number holds
    #[arg(long, requires = "id")]
    rerun: bool,
    /// With --rerun: the folder that gets the new records, as DIR/STUDY [default: reruns/ID beside the study]
    #[arg(long, value_name = "DIR", requires = "rerun")]
    into: Option<PathBuf>,
    #[command(flatten)]
    devices: DeviceArgs,
    /// With --rerun: kill a run that says nothing for this long, and start it again
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..))]
    patience: u64,
    /// With --rerun: no progress on stderr
    #[arg(long, short)]
    quiet: bool,
}

impl RerunArgs {
    pub(super) fn is_asked_for(&self) -> bool {
        self.rerun
    }
}

/// `study`: the records that `cell` is of, in `folder`; `frozen`: their plan.
#[expect(clippy::too_many_arguments, reason = "what was given, and what is known of it")]
pub(super) fn rerun(
    args: &RerunArgs,
    data: &DataArgs,
    json: bool,
    color: Color,
    folder: &SweepFolder,
    frozen: PlanFile,
    study: &StudyRecord,
    cell: &CellDetail,
) -> anyhow::Result<Exit> {
    if let Some(run) = cell.runs.iter().find(|run| run.is_imported) {
        return Err(CellError::Imported { run_id: run.run_id.clone(), arm: run.arm.clone() }.into());
    }
    if cell.is_measured_later {
        return Err(CellError::MeasuredLater { what: cell.what.clone() }.into());
    }
    if cell.number.is_none() {
        return Err(CellError::NothingToHold { what: format!("{}, {}", cell.what, cell.verdict) }.into());
    }
    let plan = frozen.plan;
    let beside = || folder.path.parent().map_or_else(PathBuf::new, PathBuf::from).join("reruns").join(&cell.id);
    let results = args.into.clone().unwrap_or_else(beside);
    let into = SweepFolder::new(&results, &plan.name);
    if lies_in(&into.path, &folder.path) || lies_in(&folder.path, &into.path) {
        return Err(CellError::InPlace { path: into.path }.into());
    }
    if PlanFile::read(&into)?.is_some_and(|earlier| !earlier.is_of(&plan)) {
        return Err(CellError::OtherPlan { path: into.path }.into());
    }
    let is_behind = |run_id: &RunId| cell.runs.iter().any(|run| run.counts && run.run_id == run_id.as_str());
    let behind = study.runs.iter().filter(|run| is_behind(&run.planned.run_id));
    let (recorded, others): (Vec<&RunRecord>, Vec<&RunRecord>) = behind.partition(|run| has_result(run));
    let only: BTreeSet<RunId> = recorded.into_iter().map(|run| run.planned.run_id.clone()).collect();
    if only.is_empty() {
        return Err(CellError::NothingToHold { what: "none of its runs is recorded to its end".to_owned() }.into());
    }
    if !others.is_empty() {
        let ids = others.iter().map(|run| run.planned.run_id.to_string()).collect::<Vec<_>>().join(", ");
        eprintln!("note: without {ids}, of which no whole record is there to compare with");
    }
    for run_id in &only {
        let run = plan.runs.iter().find(|run| run.run_id == *run_id).expect("runs of the study are in its plan");
        if let RunState::Damaged(damage) = RunRecord::read(&into, run)?.state {
            return Err(
                CellError::DamagedRerun { path: into.run(run_id).path, reason: first_and_count(&damage) }.into()
            );
        }
    }
    let chosen = args.devices.choose(None, &plan)?;
    if !args.quiet {
        eprintln!("{:>10}  {}", "device", chosen.words);
        eprintln!("{:>10}  {} of {} runs, in {}", "again", only.len(), plan.runs.len(), into.path.display());
    }
    let mut shown = Shown::new(&plan.name, args.quiet, color);
    let again = Study {
        plan,
        only: Some(only),
        // Each is to be trained from its start, as if there were no other.
        shares: false,
        results,
        data_folder: data.folder()?,
        devices: chosen,
        sweep_arguments: frozen.sweep_arguments,
    };
    let mut again = again.open(&mut shown)?;
    let stop = Stop::on_signals().context("cannot listen to signals")?;
    let queue = again.begin()?;
    if !queue.has_work() && !args.quiet {
        eprintln!("nothing is trained: these runs are done in {}; --into names another folder", into.path.display());
    }
    let mut executor = again.executor(&queue, Duration::from_secs(args.patience))?;
    let summary = again.train(queue, Policy::default(), &mut executor, &mut shown, &stop)?;
    drop(executor);
    if !summary.all_done() {
        let exit = exit_of(&summary, &stop);
        eprintln!("stopped; the same command goes on with what is recorded in {}", into.path.display());
        return Ok(exit);
    }
    drop(stop);
    let fresh = StudyRecord::read(&into)?;
    let found = compare_rerun(study, &fresh, &cell.id).expect("the study has the number");
    match json {
        true => {
            let mut value = serde_json::to_value(&found)?;
            value["version"] = CELL_JSON_VERSION.into();
            value["folder"] = into.path.display().to_string().into();
            out!("{}", serde_json::to_string_pretty(&value)?);
        }
        false => out!("{}", words::rerun(&found)),
    }
    Ok(if found.holds { Exit::AllDone } else { Exit::SomeFailed })
}
