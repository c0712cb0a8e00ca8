//! `speedlab reproduce`: the paper's claims beside our sweeps, what each costs here, and our answers so far.

mod claims;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Parser as _};
use serde_json::json;

use self::claims::{Asked, CLAIMS, SHIPPED, Shipped, What};
use super::device_args::DeviceArgs;
use super::table::new_table;
use super::{Cli, DEFAULT_RESULTS, DataArgs, Exit};
use crate::plan::plan_text;
use crate::record::{PlanFile, StudyRecord, SweepFolder};
use crate::report::number::{duration, times};
use crate::report::{Comparison, answer_cell, likeness_cell};
use crate::spec::{Plan, nearest};
use crate::study::{Calibration, Estimator};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab reproduce                                 the claims, and the sweeps that test them
  speedlab reproduce quickstart --until-decided      run one; options after its name are those of `speedlab run`
  speedlab reproduce --table > claims.md             the same as Markdown

The paper's settings and tables could not be obtained. Every sweep is therefore a re-implementation, and every report lists the
settings that the paper leaves open and the values that were taken.")]
pub struct ReproduceArgs {
    /// The sweep to run: a name from the list, such as `quickstart` or `cifar10-speedup`
    #[arg(value_name = "STUDY")]
    study: Option<String>,
    /// Options of `speedlab run`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS", requires = "study")]
    options: Vec<String>,
    /// The folder that results are kept in
    #[arg(long, value_name = "DIR", default_value = DEFAULT_RESULTS)]
    results: PathBuf,
    #[command(flatten)]
    devices: DeviceArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Print a table in Markdown
    #[arg(long, conflicts_with = "json")]
    table: bool,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

/// The version of `reproduce --json`.
const REPRODUCE_JSON_VERSION: u32 = 1;

pub fn reproduce(args: &ReproduceArgs) -> anyhow::Result<Exit> {
    match &args.study {
        Some(study) => run(args, study),
        None => list(args),
    }
}

/// A shipped sweep on this machine.
struct Here {
    plan: Plan,
    /// Seconds of all its runs, as many at once as there is room for.
    seconds: f64,
    /// Its records.
    study: Option<StudyRecord>,
}

fn list(args: &ReproduceArgs) -> anyhow::Result<Exit> {
    let here = here(args)?;
    let ours: Vec<Vec<String>> = CLAIMS
        .iter()
        .map(|claim| claim.asked.iter().map(|asked| ours(asked, here[asked.sweep].study.as_ref())).collect())
        .collect();
    if args.json {
        let claims = CLAIMS.iter().zip(&ours).map(|(claim, ours)| {
            let asked = claim.asked.iter().zip(ours).map(|(asked, ours)| {
                let (arm, against) = match asked.what {
                    What::Speedup { arm, against } => (Some(arm), against),
                    What::Likeness => (None, None),
                };
                json!({ "sweep": asked.sweep, "arm": arm, "against": against, "runs": here[asked.sweep].plan.runs.len(),
                        "seconds_here": here[asked.sweep].seconds, "ours": ours })
            });
            json!({ "claim": claim.claim, "source": claim.source, "claimed": claim.claimed, "asked": asked.collect::<Vec<_>>() })
        });
        out!("{}", json!({ "version": REPRODUCE_JSON_VERSION, "claims": claims.collect::<Vec<_>>() }));
        return Ok(Exit::AllDone);
    }
    let rows = CLAIMS.iter().zip(&ours).flat_map(|(claim, ours)| {
        claim.asked.iter().zip(ours).enumerate().map(|(index, (asked, ours))| {
            let first = |text: String| if index == 0 { text } else { String::new() };
            let what = match asked.what {
                What::Speedup { arm, against: Some(against) } => format!("{arm} against {against}"),
                What::Speedup { arm, against: None } => arm.to_owned(),
                What::Likeness => "images alike".to_owned(),
            };
            [
                first(format!("{} ({})", claim.claim, claim.source)),
                first(claim.claimed.map_or_else(String::new, times)),
                asked.sweep.to_owned(),
                what,
                duration(here[asked.sweep].seconds),
                ours.clone(),
            ]
        })
    });
    let header = ["arXiv 2404.07946", "paper", "sweep", "of it", "cost here", "ours"];
    if args.table {
        out!("| {} |\n|{}", header.join(" | "), " --- |".repeat(header.len()));
        for row in rows {
            out!("| {} |", row.join(" | "));
        }
        return Ok(Exit::AllDone);
    }
    let mut table = new_table(header);
    for row in rows {
        table.add_row(row);
    }
    out!("{table}");
    out!("\nTo run one: speedlab reproduce quickstart --until-decided");
    Ok(Exit::AllDone)
}

/// Every sweep that a claim names, by its path.
fn here(args: &ReproduceArgs) -> anyhow::Result<BTreeMap<&'static str, Here>> {
    let data_folder = args.data.folder()?;
    let mut here = BTreeMap::new();
    for asked in CLAIMS.iter().flat_map(|claim| claim.asked) {
        if here.contains_key(asked.sweep) {
            continue;
        }
        let shipped = SHIPPED.iter().find(|shipped| shipped.path == asked.sweep).expect("claims name shipped sweeps");
        let plan = plan_text(Path::new(asked.sweep), shipped.text, &[])?;
        let folder = SweepFolder::new(&args.results, &plan.name);
        let study = PlanFile::read(&folder)?.map(|file| StudyRecord::of(&folder, file)).transpose()?;
        let chosen = args.devices.choose(None, &plan)?;
        let device = chosen.devices.first().expect("there is at least the CPU");
        let slots: usize = chosen.devices.iter().map(|device| device.slots).sum();
        let calibration = (device.name == "cpu").then(|| Calibration::of_cpu(device, &data_folder)).flatten();
        let estimator = Estimator::new(study.as_ref(), calibration, device.threads);
        let costs = plan.runs.iter().map(|run| estimator.cost(&run.spec));
        let seconds = costs.map(|cost| cost.train_seconds + cost.eval_seconds).sum::<f64>() / slots as f64;
        here.insert(asked.sweep, Here { plan, seconds, study });
    }
    Ok(here)
}

/// `1.07× (1.04× to 1.10×), faster`, or how far it is.
fn ours(asked: &Asked, study: Option<&StudyRecord>) -> String {
    let Some(study) = study else { return "not run".to_owned() };
    match asked.what {
        What::Speedup { arm, against } => answer_cell(&Comparison::of(study), arm, against),
        What::Likeness => likeness_cell(study),
    }
}

fn run(args: &ReproduceArgs, name: &str) -> anyhow::Result<Exit> {
    let is_meant = |shipped: &&Shipped| shipped.path == name || shipped.name() == name;
    let Some(shipped) = SHIPPED.iter().find(is_meant) else {
        let names = SHIPPED.iter().map(Shipped::name);
        let hint = nearest(name, names.clone()).map_or_else(
            || format!("they are {}", names.collect::<Vec<_>>().join(", ")),
            |nearest| format!("did you mean `{nearest}`?"),
        );
        eprintln!("error: no shipped sweep is called `{name}`\nhint: {hint}");
        return Ok(Exit::Invalid);
    };
    let file = format!("{}.yaml", shipped.name());
    let path = match Path::new("sweeps").join(format!("{}.yaml", shipped.path)) {
        own if own.is_file() => own,
        _ => written(&args.results.join("sweeps"), &file, shipped.text)?,
    };
    eprintln!("{:>10}  {}", "sweep", path.display());
    let mut words: Vec<String> = vec!["speedlab".into(), "run".into(), path.display().to_string()];
    if args.results != Path::new(DEFAULT_RESULTS) {
        words.extend(["--results".into(), args.results.display().to_string()]);
    }
    words.extend(args.options.iter().cloned());
    super::dispatch(Cli::try_parse_from(words).unwrap_or_else(|error| error.exit()))
}

/// The sweep's file. It is written unless it is there, so that a user's changes are kept.
fn written(folder: &Path, file: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(file);
    if !path.exists() {
        let action = || format!("cannot write {}", path.display());
        fs::create_dir_all(folder).with_context(action)?;
        fs::write(&path, text).with_context(action)?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_claim_names_a_shipped_sweep_and_arms_that_it_compares() {
        for asked in CLAIMS.iter().flat_map(|claim| claim.asked) {
            let shipped = SHIPPED.iter().find(|shipped| shipped.path == asked.sweep).expect(asked.sweep);
            let plan = plan_text(Path::new(asked.sweep), shipped.text, &[]).unwrap();
            let What::Speedup { arm, against } = asked.what else {
                assert!(plan.runs.iter().all(|run| run.spec.evaluate.consistency.images > 0), "{}", asked.sweep);
                continue;
            };
            let compare = plan.compare.as_ref().unwrap();
            assert!(plan.arms.iter().any(|other| other == arm), "{}: {arm}", asked.sweep);
            let is_pair = |against: &str| compare.pairs.iter().any(|pair| pair.arm == arm && pair.against == against);
            assert!(against.is_none_or(is_pair), "{}: {arm} against {against:?}", asked.sweep);
        }
    }

    #[test]
    fn a_sweep_that_was_changed_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), "quickstart.yaml", "name: one\n").unwrap();
        fs::write(&path, "name: two\n").unwrap();
        assert_eq!(written(folder.path(), "quickstart.yaml", "name: one\n").unwrap(), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), "name: two\n");
    }
}
