//! `speedlab trainer`: what a trainer of the user's own needs.

use clap::Args;

use super::{Exit, print_text};
use crate::external::{PYTHON_HELPER, SCHEMA};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab trainer --python > speedlab_run.py    the file that a Python program imports; it needs nothing else
  speedlab trainer --schema                      the JSON Schema of a line that a program in any language may write

A sweep names the program: `base: { trainer: { command: [python3, train.py], inputs: [train.py] }, params: { width: 64 } }`.
sweeps/examples has a program to start from. results/README.md lists what a program is given and what it may write.")]
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
