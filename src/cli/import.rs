//! `speedlab import`: other programs' curves, reported like our own.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use super::{DEFAULT_RESULTS, Exit, report, without_controls};
use crate::import::{Mapping, NamePattern, Wanted, import as write, read_points};
use crate::report::Drawn;
use crate::run::PROGRAM;
use crate::spec::{Metric, decode_json};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  a table with a row for each value:
    speedlab import curves.csv --baseline adam --map arm=method seed=seed step=step images=images seconds=time fid=fid50k
  a table with a row for each number and a column for its name, as `speedlab export --csv` writes it:
    speedlab import curves.csv --baseline base --only metric=fid --map arm=trial seed=seed step=step fid=value
  a table with a column for each run, as Weights & Biases exports a chart:
    speedlab import wandb.csv --baseline base --map step=Step 'fid=* - val/fid' --names '{arm}-seed{seed}' --batch-size 128
  event files of TensorBoard, a folder for each run:
    speedlab import runs/ --baseline base --map fid=eval/fid --names '{arm}/seed{seed}' --batch-size 128

Reads .csv, .tsv, .parquet, .jsonl and folders of event files. The result is a sweep like any other, with recorded runs:
`speedlab report results/NAME/sweep.yaml` writes its report again. Metrics that can be compared are fid, kid, fid_infinity,
sfid, cmmd and validation_loss; lower is better.")]
pub struct ImportArgs {
    /// A table, or a folder with event files of TensorBoard
    table: PathBuf,
    /// The name of the sweep [default: that of the table]
    #[arg(long)]
    name: Option<String>,
    /// What the study asks; the report shows it
    #[arg(long, default_value = "")]
    question: String,
    /// The arm that speedups are relative to
    #[arg(long, value_name = "ARM")]
    baseline: String,
    /// The column of each thing: arm, seed, step, images, seconds, and metrics such as fid
    #[arg(long, value_name = "KEY=COLUMN", num_args = 1.., required = true)]
    map: Vec<String>,
    /// Read only the rows in which a column holds a text, such as metric=fid
    #[arg(long, value_name = "COLUMN=TEXT", num_args = 1..)]
    only: Vec<String>,
    /// How the names of runs contain arm and seed, such as `{arm}-seed{seed}`
    #[arg(long, value_name = "PATTERN")]
    names: Option<String>,
    /// The metric that is compared [default: the first that is mapped]
    #[arg(long)]
    metric: Option<String>,
    /// The number of images of a step, where the table does not say how many were seen
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1 << 15))]
    batch_size: u64,
    /// How the values were measured; the report shows it
    #[arg(long, value_name = "TEXT", default_value = "")]
    protocol: String,
    /// The hardware that trained the runs; the report shows it
    #[arg(long, value_name = "TEXT", default_value = "hardware that the source does not name")]
    device: String,
    /// The folder that results are kept in
    #[arg(long, value_name = "DIR", default_value = DEFAULT_RESULTS)]
    results: PathBuf,
    /// Print the table of speedups as one JSON value
    #[arg(long)]
    json: bool,
}

pub fn import(args: &ImportArgs) -> anyhow::Result<Exit> {
    let mapping = Mapping::parse(&args.map)?.only(&args.only)?;
    let names = args.names.as_deref().map(NamePattern::parse).transpose()?;
    let compared = args.metric.as_ref().unwrap_or(&mapping.metrics[0].0);
    if !mapping.metrics.iter().any(|(metric, _)| metric == compared) {
        bail!("--metric {compared} is not mapped\nhint: name its column, as in `--map {compared}=COLUMN`");
    }
    let Ok(metric) = decode_json::<Metric>(&serde_json::Value::from(compared.as_str())) else {
        bail!(
            "`{compared}` cannot be compared\nhint: map the column to fid, kid, fid_infinity, sfid, cmmd or validation_loss, whichever it is; lower is better"
        );
    };
    let points = read_points(&args.table, &mapping, names.as_ref())?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => args.table.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
    };
    let wanted = Wanted {
        table: Path::new(&args.table),
        name: &name,
        question: &args.question,
        baseline: &args.baseline,
        metric,
        protocol: &args.protocol,
        device: &args.device,
        batch_size: args.batch_size,
        program: PROGRAM,
    };
    let imported = write(&points, &wanted, &args.results)?;
    eprintln!("imported  {} values of {} runs into {}", imported.values, imported.runs, imported.folder.path.display());
    for note in &imported.notes {
        eprintln!("note: {}", without_controls(note));
    }
    report::write_and_print(&imported.folder, None, args.json, &Drawn::Few.into())?;
    Ok(Exit::AllDone)
}
