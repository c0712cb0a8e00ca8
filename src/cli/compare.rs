//! `speedlab compare`: several studies in one report.

use std::path::{Path, PathBuf};

use clap::Args;

use super::report::warn_of_damage;
use super::{DEFAULT_RESULTS, Exit, SweepArgs, say_if_changed};
use crate::checksum::sha256;
use crate::compare::compare as join;
use crate::record::{RecordError, StudyRecord, quoted, refuse_folder};
use crate::report::{self, Drawn};
use crate::study::training_flops;

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
        let (plan, folder, frozen) = sweep.begun_and_frozen()?;
        let file = frozen.ok_or_else(|| RecordError::Nothing { path: folder.path.clone() })?;
        say_if_changed(&plan, &folder, &file, "the frozen one is compared");
        let study = StudyRecord::of(&folder, file)?;
        warn_of_damage(&study);
        let given = study.plan.name.clone();
        let is_taken = |name: &String| studies.iter().any(|(other, _)| other == name);
        let names = (1..).map(|number| if number == 1 { given.clone() } else { format!("{given}-{number}") });
        let name = names.into_iter().find(|name| !is_taken(name)).expect("there is always a next number");
        eprintln!("note: {} is called `{name}`", path.display());
        studies.push((name, study));
    }
    let words: Vec<String> = args.studies.iter().map(|path| quoted(&path.display().to_string())).collect();
    let command = format!("(compared: speedlab compare {} --baseline {})", words.join(" "), quoted(&args.baseline));
    let compared = join(&studies, &args.baseline, &command)?;
    compared.notes.iter().for_each(|note| eprintln!("note: {note}"));
    let default = || args.results.join("comparisons").join(folder_name(&compared.study.plan.name));
    let out = args.out.clone().unwrap_or_else(default);
    refuse_folder(&out)?;
    let written = report::write_drawn(&compared.study, &out, &Drawn::Few.into(), training_flops)?;
    compared.study.write_curves_to(&out.join("curves.parquet"))?;
    if args.json {
        out!("{}", std::fs::read_to_string(Path::new(&out).join("speedups.json"))?.trim_end());
    } else {
        out!("{}", written.summary);
        out!("report: {}", written.page.display());
    }
    Ok(Exit::AllDone)
}

/// The most characters that the names of all studies may have together before the folder's name is cut.
const LONGEST: usize = 80;

/// The names of studies as that of a folder, which no file system takes at any length.
fn folder_name(names: &str) -> String {
    match names.chars().count() > LONGEST {
        true => format!("{}-{}", names.chars().take(48).collect::<String>(), &sha256(names.as_bytes())[..8]),
        false => names.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_make_a_short_one() {
        assert_eq!(folder_name("ema+methods"), "ema+methods");
        let long = vec!["a-study-of-many"; 40];
        let name = folder_name(&long.join("+"));
        assert!(name.starts_with("a-study-of-many+a-study-of-many+") && name.len() == 48 + 1 + 8, "{name}");
        assert_ne!(name, folder_name(&long[1..].join("+")));
    }
}
