//! `speedlab trainer`: what a program of one's own needs to train runs.

use clap::Args;

use super::{Exit, print_text};
use crate::external::{PYTHON_HELPER, SCHEMA};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab trainer --python > speedlab_run.py    the file that a Python program imports; it needs nothing else
  speedlab trainer --schema                      what a program in any language may say, a JSON Schema of one line

A sweep names the program: `base: { trainer: { command: [python3, train.py], inputs: [train.py] }, params: { width: 64 } }`.
sweeps/examples has one to start from; results/README.md says what is asked and what may be said.")]
#[group(required = true)]
pub struct TrainerArgs {
    /// Print the file for Python programs
    #[arg(long)]
    python: bool,
    /// Print the JSON Schema of the lines that a program writes
    #[arg(long, conflicts_with = "python")]
    schema: bool,
}

pub fn trainer(args: &TrainerArgs) -> anyhow::Result<Exit> {
    print_text(if args.python { PYTHON_HELPER } else { SCHEMA })?;
    Ok(Exit::AllDone)
}
