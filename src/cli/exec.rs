//! `speedlab exec`: one run in a process of its own.

use std::path::PathBuf;

use anyhow::Context as _;
use burn::tensor::Device;
use clap::Args;

use super::{DataArgs, Exit};
use crate::event::RunOutcome;
use crate::record::SweepFolder;
use crate::run;
use crate::schedule::{Leash, cpu_label};
use crate::spec::RunId;

/// Reads a line `stop`, or the end of its standard input, as the wish to write a checkpoint and stop.
#[derive(Debug, Args)]
pub struct ExecArgs {
    results: PathBuf,
    sweep: String,
    run_id: String,
    /// How many runs share the machine.
    runs_at_once: usize,
    #[command(flatten)]
    data: DataArgs,
}

pub fn exec(args: &ExecArgs) -> anyhow::Result<Exit> {
    let run_id = RunId::parse(&args.run_id).with_context(|| format!("`{}` is no run id", args.run_id))?;
    let folder = SweepFolder::new(&args.results, &args.sweep).run(&run_id);
    let leash = Leash::listen()?;
    let device_name = cpu_label(rayon::current_num_threads(), args.runs_at_once);
    let data_folder = args.data.folder()?;
    let outcome =
        run::execute(&folder, &Device::flex(), &device_name, &data_folder, &|| leash.says_stop(), &|event| {
            leash.tell(event)
        })?;
    Ok(match outcome {
        RunOutcome::Completed | RunOutcome::ReachedTarget => Exit::AllDone,
        RunOutcome::Interrupted { .. } => Exit::Incomplete,
        RunOutcome::Diverged { .. } | RunOutcome::OutOfMemory { .. } | RunOutcome::Crashed { .. } => Exit::SomeFailed,
    })
}
