//! `speedlab keys` and `speedlab schema`: what may be written in a sweep.

use clap::Args;

use super::{Exit, print_text};
use crate::plan::{reference, reference_page, sweep_schema};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab keys                              every key, with its type, range, default, meaning and source
  speedlab keys timestep_sampler             every timestep sampler, and its settings
  speedlab keys optimizer.learning_rate      one key
  speedlab keys compare

Paths are written as in axes and --set: the keys of `base` without that word.")]
pub struct KeysArgs {
    /// Only this key and those below it
    path: Option<String>,
    /// Print all keys as a page of Markdown, which is sweeps/README.md
    #[arg(long, hide = true, conflicts_with = "path")]
    markdown: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab schema > sweeps/schema.json

An editor with the YAML language server completes keys and underlines mistakes in a sweep whose first line is
  # yaml-language-server: $schema=schema.json")]
pub struct SchemaArgs {}

pub fn keys(args: &KeysArgs) -> anyhow::Result<Exit> {
    if args.markdown {
        print_text(&reference_page())?;
    } else {
        out!("{}", reference(args.path.as_deref())?);
    }
    Ok(Exit::AllDone)
}

pub fn schema(_: &SchemaArgs) -> anyhow::Result<Exit> {
    out!("{}", serde_json::to_string_pretty(&sweep_schema())?);
    Ok(Exit::AllDone)
}
