//! `speedlab bundle` and `speedlab verify`: results in one archive, and whether they are what was bundled.

use std::path::PathBuf;

use clap::Args;

use super::data_progress::DataProgress;
use super::table::bytes;
use super::{Exit, SweepArgs, say_if_changed, without_controls};
use crate::bundle::{self, Wanted};
use crate::record::{RecordError, refuse_outputs};
use crate::report::Drawn;
use crate::report::number::grouped;
use crate::study::write_report_of;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab bundle sweeps/quickstart.yaml                         writes quickstart.zip
  speedlab bundle results/quickstart --out archive/quickstart.zip --license https://creativecommons.org/licenses/by/4.0/
  speedlab verify quickstart.zip && unzip quickstart.zip -d quickstart && speedlab report quickstart

It holds the plan, every run's settings, journal, curves, log and images, the report (drawn again first), SHA256SUMS, and
ro-crate-metadata.json, which says what they are by RO-Crate 1.1. Left out: checkpoints and what a trainer of your own keeps, unless
--checkpoints asks for them; runs that are no longer planned; what was handed to a cluster; links. Equal results give
equal bytes, if they are named in the same way: by the folder, or by the sweep's file.")]
pub struct BundleArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    /// The archive [default: the sweep's name and .zip]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also the weights of last checkpoints, and what a trainer of your own keeps in output/
    #[arg(long)]
    checkpoints: bool,
    /// The terms under which others may use the results: an address, or words
    #[arg(long, value_name = "TERMS")]
    license: Option<String>,
    /// Who answers for the study, by name
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// No progress on stderr
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab verify quickstart.zip
  speedlab verify quickstart/          the folder that a bundle was unpacked to

Exit codes: 0 all is as it was bundled; 1 a file was changed, is missing or was added, or a record does not fit the plan: each is named;
2 it is no bundle. Sums tell damage, not fraud: who changes a file on purpose can change its sum.")]
pub struct VerifyArgs {
    /// What `speedlab bundle` wrote, or the folder it was unpacked to
    bundle: PathBuf,
    /// No progress on stderr
    #[arg(long, short)]
    quiet: bool,
}

pub fn bundle(args: &BundleArgs) -> anyhow::Result<Exit> {
    let (planned, folder, frozen) = args.sweep.begun_and_frozen()?;
    let plan = frozen.ok_or_else(|| RecordError::Nothing { path: folder.path.clone() })?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.zip", plan.plan.name)));
    refuse_outputs(&[&out], &folder, &args.sweep.sweep)?;
    let is_frozen =
        say_if_changed(&planned, &folder, &plan, "the bundle holds the frozen one, without the sweep's file");
    let (study, _) = write_report_of(&folder, plan.clone(), &Drawn::Few.into())?;
    let wanted = Wanted {
        sweep: (is_frozen && args.sweep.sweep.is_file()).then_some(args.sweep.sweep.as_path()),
        checkpoints: args.checkpoints,
        license: args.license.as_deref(),
        author: args.author.as_deref(),
        out: &out,
    };
    let mut shown = DataProgress::new(args.quiet);
    let bundled = bundle::bundle(&study, &plan, &wanted, &mut |doing, done, of| shown.count(doing, done, of, "files"))?;
    shown.clear();
    if bundled.ended < bundled.planned {
        eprintln!("note: {} of {} planned runs have ended", bundled.ended, bundled.planned);
    }
    if bundled.left_out > 0 {
        eprintln!(
            "note: {} links and files with a dot before their names are left out",
            grouped(bundled.left_out as u64)
        );
    }
    if args.license.is_none() {
        eprintln!("note: no terms of use are stated; --license states them");
    }
    out!("{}: {} files, {}", out.display(), grouped(bundled.files as u64), bytes(bundled.bytes as f64));
    Ok(Exit::AllDone)
}

pub fn verify(args: &VerifyArgs) -> anyhow::Result<Exit> {
    let mut shown = DataProgress::new(args.quiet);
    let verified = bundle::verify(&args.bundle, &mut |doing, done, of| shown.count(doing, done, of, "files"))?;
    shown.clear();
    let path = args.bundle.display();
    for words in &verified.mistakes {
        out!("{}", without_controls(words));
    }
    if !verified.mistakes.is_empty() {
        out!("{path}: {} mistakes in {} files", verified.mistakes.len(), grouped(verified.files as u64));
        return Ok(Exit::SomeFailed);
    }
    let (ended, planned) = (verified.ended, verified.planned);
    out!(
        "{path}: {} files are as they were bundled; {ended} of {planned} planned runs have ended, and every record is whole",
        grouped(verified.files as u64)
    );
    Ok(Exit::AllDone)
}
