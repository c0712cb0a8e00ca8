//! The command line: clap's types here, one small file for each command.

/// Prints a line on stdout, from a function that may fail. Whoever reads it may stop reading: that is no error.
macro_rules! out {
    ($($argument:tt)*) => { $crate::cli::print_line(format_args!($($argument)*))? };
}

mod averages;
mod bench_data;
mod bench_features;
mod bench_kernels;
mod bench_report;
mod bench_schedule;
mod bench_step;
mod bundle;
mod cell;
mod compare;
mod data;
mod data_progress;
mod device_args;
mod devices;
mod evaluate;
mod exec;
mod exit;
mod export;
mod fault;
mod fid;
mod fid_side;
mod import;
mod keys;
mod landscape;
mod logs;
mod merge;
mod plan;
mod preview;
mod print;
pub mod progress;
mod report;
mod reproduce;
mod run;
mod run_network;
mod sample;
mod seed_args;
mod serve;
mod status;
mod submit;
mod table;
mod task;
mod train_features;
mod trainer;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use exit::Exit;
pub use print::print_error;

use self::print::{print_bytes, print_line, print_text, without_controls};
use crate::data::{DataError, DataFolder};
use crate::plan::load_sweep;
use crate::record::{DEFAULT_RESULTS, PlanFile, RecordError, SweepFolder, quoted};
use crate::spec::Plan;
use crate::study::with_rule_of;

/// How many times sooner does a diffusion model reach the same quality?
#[derive(Debug, Parser)]
#[command(name = "speedlab", version, after_help = EXAMPLES, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// When to colour the output on a terminal; the variable NO_COLOR turns colours off too
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
}

const EXAMPLES: &str = "\
Examples:
  speedlab run sweeps/quickstart.yaml          train the missing runs, then report; goes on where it was stopped
  speedlab plan sweeps/quickstart.yaml         the runs, and their time, memory and disk
  speedlab keys optimizer                      the keys of a sweep: type, range, default, meaning and source
  speedlab preview sweeps/quickstart.yaml      the densities over t, loss weights, beta1 and learning rates of the arms
  speedlab status sweeps/quickstart.yaml       each run: waiting and why, running, or how it ended; --watch redraws the table
  speedlab serve sweeps/quickstart.yaml        the report as a page that lives while the sweep runs
  speedlab submit sweeps/quickstart.yaml       hand the missing runs to a cluster; `cancel` ends them
  speedlab logs 0123 -f                        the log of the run whose id begins with 0123, and its events, as they grow
  speedlab report sweeps/quickstart.yaml       write the report again, from the records alone
  speedlab cell k3f9qa sweeps/quickstart.yaml  one number of a report: its runs, values and formula; --rerun trains these runs again
  speedlab merge a/mine b/mine --into all      results of one sweep from two machines; see also export, bundle, verify, compare
  speedlab reproduce                           the paper's claims, the sweeps that test them, and our answers so far
  speedlab fid samples/ cifar10                the Fréchet distance between a folder of images and a data set
  speedlab devices                             the devices that can train runs, and why others cannot

Exit codes: 0 all done; 1 some runs failed; 2 usage or an invalid sweep; 3 incomplete but resumable;
130 and 143 stopped by Ctrl-C or a termination signal (run the same command again to go on).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Plan the sweep, train the missing runs, write the report. Goes on where it was stopped
    Run(run::RunArgs),
    /// Show the runs of a sweep, their time, memory and disk, and which are done; changes nothing
    Plan(plan::PlanArgs),
    /// Print the keys of a sweep: type, range, default, meaning and source of each
    Keys(keys::KeysArgs),
    /// Print the JSON Schema of a sweep, for editors that complete keys and underline mistakes
    Schema(keys::SchemaArgs),
    /// Print what a trainer of your own needs: a file for Python, or the JSON Schema of the lines that it may write
    Trainer(trainer::TrainerArgs),
    /// Read other programs' curves as a sweep, from a table or from event files of TensorBoard, and write the report
    Import(import::ImportArgs),
    /// Join results of one sweep from several machines; a run that they record differently is refused
    Merge(merge::MergeArgs),
    /// Write a sweep's curves for other programs: CSV, Parquet, event files of TensorBoard
    Export(export::ExportArgs),
    /// Put a sweep's results into one archive, with sums and RO-Crate metadata
    Bundle(bundle::BundleArgs),
    /// Check every sum and record of a bundle, or of the folder it was unpacked to
    Verify(bundle::VerifyArgs),
    /// Report on several studies at once, where they measured the same thing in the same way
    Compare(compare::CompareArgs),
    /// Draw what every arm will do: the density over t, loss weights, beta1 and learning rate; trains nothing
    Preview(preview::PreviewArgs),
    /// Serve the report as a page that lives while the sweep runs, to this machine alone; `run --serve` does both
    Serve(serve::ServeArgs),
    /// Show the state of each run: waiting and why, running, unfinished, or how it ended
    Status(status::StatusArgs),
    /// Hand the missing runs to a cluster: Slurm, Kubernetes, or any engine that starts a command for each index
    Submit(submit::SubmitArgs),
    /// End a sweep's jobs on the cluster. Running runs write a checkpoint where the cluster lets them
    Cancel(submit::CancelArgs),
    /// Show what a run wrote to its log; -f follows the log as it grows
    Logs(logs::LogsArgs),
    /// Write the report again, from the records alone; --check compares its numbers with kept ones
    Report(report::ReportArgs),
    /// Show one number of a report by its id: what it is, its runs, values and formula; --rerun trains its runs again
    Cell(cell::CellArgs),
    /// List the paper's claims beside our sweeps, what each costs on this machine and our answers so far; run a sweep by name
    Reproduce(reproduce::ReproduceArgs),
    /// Generate images from a run's averaged weights
    Sample(sample::SampleArgs),
    /// Measure averages of a run's weights of other lengths than it was trained with, made of those that it kept
    Averages(averages::AveragesArgs),
    /// Measure the kept weights of finished runs in other ways, and add the values to their records
    Evaluate(evaluate::EvaluateArgs),
    /// Measure the Fréchet distance of two sets of images: folders, stored statistics, data sets or runs
    Fid(fid::FidArgs),
    /// Measure the loss around runs' weights, on the CPU: lines, planes, the Hessian's eigenvalues and trace
    Landscape(landscape::LandscapeArgs),
    /// List the devices that can train runs, and why others cannot; --probe compares each with the CPU
    Devices(devices::DevicesArgs),
    /// List, fetch and verify sets of images, and the weights of feature networks
    Data(data::DataCommandArgs),
    /// Train a small classifier whose activations are features: `digits-cnn` or `mnist-cnn`
    TrainFeatures(train_features::TrainFeaturesArgs),
    /// Print the completion script of a shell
    #[command(
        after_help = "Example:\n  speedlab completions bash > ~/.local/share/bash-completion/completions/speedlab"
    )]
    Completions { shell: clap_complete::Shell },
    /// Do one run, or one task of a submission. `run` starts it for each run, and a cluster for each task
    #[command(hide = true)]
    Exec(exec::ExecArgs),
    /// Kill a process group once the process that started this one is gone. `exec` starts it beside a trainer
    #[command(hide = true)]
    Guard,
    /// List the devices of a kind. `devices` starts it for each kind, since a driver may end the process
    #[command(hide = true)]
    ListDevices(devices::ListDevicesArgs),
    /// Train a few steps on a device and on the CPU. `devices --probe` starts it
    #[command(hide = true)]
    ProbeDevice(devices::ProbeDeviceArgs),
    /// Time steps of small networks on the CPU. `plan` starts it where no speed is known
    #[command(hide = true)]
    ProbeCpu,
    /// Time how fast batches are made. `scripts/bench-data.sh` runs it
    #[command(hide = true)]
    BenchData(bench_data::BenchDataArgs),
    /// Time a large feature network on the CPU and on a device. `scripts/gpu/measure.sh` runs it
    #[command(hide = true)]
    BenchFeatures(bench_features::BenchFeaturesArgs),
    /// Compare a device's kernels of ours with the host, and time them beside burn's operations. `scripts/gpu/measure.sh` runs it
    #[command(hide = true)]
    BenchKernels(bench_kernels::BenchKernelsArgs),
    /// Make up the records of a sweep whose runs have all ended. `scripts/bench-report.sh` times their report
    #[command(hide = true)]
    BenchReport(bench_report::BenchReportArgs),
    /// Time how fast runs are scheduled and started. `scripts/bench-schedule.sh` runs it
    #[command(hide = true)]
    BenchSchedule(bench_schedule::BenchScheduleArgs),
    /// End at once, as a run that is done. `bench-schedule` starts it
    #[command(hide = true)]
    NoRun,
    /// Time steps of a model on made-up images. `scripts/bench-cpu.sh` runs it
    #[command(hide = true)]
    BenchStep(bench_step::BenchStepArgs),
}

/// Which sweep, and where its results are.
#[derive(Debug, Args)]
struct SweepArgs {
    /// The study, a YAML file. Commands that only read records also take the folder of its results, such as results/quickstart
    #[arg(value_name = "SWEEP.yaml")]
    sweep: PathBuf,
    /// The folder that results are kept in
    #[arg(long, value_name = "DIR", default_value = DEFAULT_RESULTS)]
    results: PathBuf,
    /// Override a key, such as `train.steps=100` or `seeds=1` (repeatable). Give another `name=..` to keep the results apart
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

impl SweepArgs {
    /// The sweep's plan, with the runs that the frozen plan's rule for seeds has asked for so far; and where it is kept.
    fn begun(&self) -> anyhow::Result<(Plan, SweepFolder)> {
        let (plan, folder, _) = self.begun_and_frozen()?;
        Ok((plan, folder))
    }

    /// The same, and the plan that is frozen there.
    ///
    /// The folder of a sweep's results stands for the frozen plan: neither the YAML file nor a trainer's programs are needed.
    fn begun_and_frozen(&self) -> anyhow::Result<(Plan, SweepFolder, Option<PlanFile>)> {
        if let Some(folder) = self.results_folder()? {
            let file = PlanFile::read(&folder)?.ok_or_else(|| RecordError::Nothing { path: folder.path.clone() })?;
            return Ok((file.plan.clone(), folder, Some(file)));
        }
        let plan = load_sweep(&self.sweep, &self.overrides)?;
        let folder = SweepFolder::new(&self.results, &plan.name);
        let mut frozen = PlanFile::read(&folder)?;
        if let Some(frozen) = &mut frozen {
            // They are no part of what was frozen, and the file has the newest; [`say_if_changed`] names those that do not fit.
            (frozen.plan.labels, _) = plan.labels.fitting(&frozen.plan.arms, &frozen.plan.axes);
        }
        let plan = match (with_rule_of(plan, &folder, frozen.as_ref(), None), &frozen) {
            // Records are shown even if the sweep has changed since.
            (Err(error), Some(frozen)) if error.is_about_seeds() => frozen.plan.clone(),
            (plan, _) => plan?,
        };
        Ok((plan, folder, frozen))
    }

    /// The folder of results that was named in place of a study.
    fn results_folder(&self) -> anyhow::Result<Option<SweepFolder>> {
        if !self.sweep.is_dir() {
            return Ok(None);
        }
        if let Some(given) = self.overrides.first() {
            anyhow::bail!(
                "--set {given} changes a study, and {} is a folder of results\nhint: name the study's YAML file",
                self.sweep.display()
            );
        }
        Ok(Some(SweepFolder { path: self.sweep.clone() }))
    }

    /// The same options as on a command line, to give again.
    fn as_written(&self) -> String {
        let mut words = vec![self.sweep.display().to_string()];
        words.extend(self.overrides.iter().flat_map(|given| ["--set".to_owned(), given.clone()]));
        if self.results != Path::new(DEFAULT_RESULTS) {
            words.extend(["--results".to_owned(), self.results.display().to_string()]);
        }
        words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// Says so if a sweep is no longer the one that is frozen in its folder, and what that means; whether it still is.
fn say_if_changed(plan: &Plan, folder: &SweepFolder, frozen: &PlanFile, so: &str) -> bool {
    let is_frozen = frozen.is_of(plan);
    if !is_frozen {
        let path = folder.plan_file();
        eprintln!("note: the sweep is no longer the one that was frozen in {}; {so}.", path.display());
        let (_, labels) = plan.labels.fitting(&frozen.plan.arms, &frozen.plan.axes);
        if !labels.is_empty() {
            eprintln!("note: labels that do not fit the frozen plan are left out: {}.", labels.join("; "));
        }
        eprintln!("hint: `speedlab run` takes the changes in, and keeps what was recorded");
    }
    is_frozen
}

/// The folder of images.
#[derive(Debug, Args)]
struct DataArgs {
    /// The folder that fetched and decoded images are kept in [default: SPEEDLAB_DATA, else the user's folder for caches]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl DataArgs {
    fn folder(&self) -> Result<DataFolder, DataError> {
        DataFolder::find(self.data_dir.as_deref())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Whether to colour what goes to stderr.
    fn on_stderr(self) -> bool {
        self.on(std::io::stderr().is_terminal())
    }

    /// Whether to colour what goes to stdout.
    fn on_stdout(self) -> bool {
        self.on(std::io::stdout().is_terminal())
    }

    fn on(self, is_terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }
}

/// Does what the command line asks for.
pub fn dispatch(cli: Cli) -> anyhow::Result<Exit> {
    match cli.command {
        Command::Run(args) => run::run(&args, cli.color),
        Command::Plan(args) => plan::plan(&args),
        Command::Keys(args) => keys::keys(&args),
        Command::Schema(args) => keys::schema(&args),
        Command::Preview(args) => preview::preview(&args),
        Command::Serve(args) => serve::serve(&args),
        Command::Status(args) => status::status(&args, cli.color),
        Command::Submit(args) => submit::submit(&args),
        Command::Cancel(args) => submit::cancel(&args),
        Command::Logs(args) => logs::logs(&args),
        Command::Report(args) => report::report(&args),
        Command::Cell(args) => cell::cell(&args, cli.color),
        Command::Reproduce(args) => reproduce::reproduce(&args),
        Command::Sample(args) => sample::sample(&args),
        Command::Averages(args) => averages::averages(&args),
        Command::Evaluate(args) => evaluate::evaluate(&args),
        Command::Fid(args) => fid::fid(&args),
        Command::Landscape(args) => landscape::landscape(&args),
        Command::Devices(args) => devices::devices(&args),
        Command::ListDevices(args) => devices::list_devices(&args),
        Command::ProbeDevice(args) => devices::probe_device(&args),
        Command::ProbeCpu => devices::probe_cpu(),
        Command::Guard => {
            crate::external::guard()?;
            Ok(Exit::AllDone)
        }
        Command::Trainer(args) => trainer::trainer(&args),
        Command::Import(args) => import::import(&args),
        Command::Merge(args) => merge::merge(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Export(args) => export::export(&args),
        Command::Bundle(args) => bundle::bundle(&args),
        Command::Verify(args) => bundle::verify(&args),
        Command::Data(args) => data::data(&args),
        Command::TrainFeatures(args) => train_features::train_features(&args),
        Command::Completions { shell } => {
            let mut command = <Cli as clap::CommandFactory>::command();
            clap_complete::generate(shell, &mut command, "speedlab", &mut std::io::stdout());
            Ok(Exit::AllDone)
        }
        Command::Exec(args) => exec::exec(&args, cli.color),
        Command::BenchData(args) => bench_data::bench_data(&args),
        Command::BenchFeatures(args) => bench_features::bench_features(&args),
        Command::BenchKernels(args) => bench_kernels::bench_kernels(&args),
        Command::BenchReport(args) => bench_report::bench_report(&args),
        Command::BenchSchedule(args) => bench_schedule::bench_schedule(&args),
        Command::NoRun => bench_schedule::no_run(),
        Command::BenchStep(args) => bench_step::bench_step(&args),
    }
}
