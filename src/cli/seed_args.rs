//! `--until-decided`: seeds that are added.

use std::num::NonZeroUsize;

use clap::Args;

use super::SweepArgs;
use crate::plan::load_sweep;
use crate::record::SweepFolder;
use crate::spec::Plan;
use crate::study::{FEWEST_SEEDS, StudyError, with_rule};

const DEFAULT_MOST_SEEDS: usize = 20;

/// Whether seeds are added until a study is decided.
#[derive(Debug, Args)]
pub(super) struct SeedArgs {
    /// Add seeds to the undecided arms until each is faster, slower or equally fast. The first look is after the sweep's seeds
    /// (3 at least), and one look follows each further seed. The plan announces the looks before the first run. All looks at
    /// all arms together err in at most 5 % of studies. A study that was begun with this option goes on with it
    #[arg(long)]
    until_decided: bool,
    /// The number of seeds after which --until-decided gives up [default: 20]
    #[arg(long, value_name = "N", requires = "until_decided")]
    max_seeds: Option<NonZeroUsize>,
    /// A speedup nearer to 1 than this factor counts as none: short for `--set compare.practical=FACTOR`
    #[arg(long, value_name = "FACTOR", requires = "until_decided")]
    practical: Option<f64>,
}

impl SeedArgs {
    /// The sweep's plan, with the runs that its rule for seeds has asked for so far; and where it is kept.
    pub fn plan(&self, sweep: &SweepArgs) -> anyhow::Result<(Plan, SweepFolder)> {
        let mut overrides = sweep.overrides.clone();
        overrides.extend(self.practical.map(|factor| format!("compare.practical={factor}")));
        let plan = load_sweep(&sweep.sweep, &overrides)?;
        let folder = SweepFolder::new(&sweep.results, &plan.name);
        let written = plan.seeds.len();
        let plan = with_rule(plan, &folder, self.most_seeds()).map_err(|error| self.explained(error))?;
        if let (Some(rule), None) = (&plan.until_decided, self.most_seeds()) {
            let first = rule.looks[0];
            let differs = if written.max(FEWEST_SEEDS) == first {
                String::new()
            } else {
                format!("; the sweep's {written} seeds count for nothing here")
            };
            eprintln!(
                "note: `{}` was begun with --until-decided and goes on so, from {first} to {} seeds{differs}. `--set name=..` begins another",
                plan.name,
                rule.seeds.len()
            );
        }
        Ok((plan, folder))
    }

    /// The error, which says where the rule comes from if the flag was not given now.
    fn explained(&self, error: StudyError) -> anyhow::Error {
        match error.is_about_seeds() && !self.until_decided {
            true => anyhow::Error::from(error).context(
                "the study was begun with --until-decided, which its plan.json keeps; `--set name=..` begins another",
            ),
            false => error.into(),
        }
    }

    /// The same options as on a command line, to give again.
    pub fn as_written(&self, sweep: &SweepArgs) -> String {
        let mut written = sweep.as_written();
        if self.until_decided {
            written.push_str(" --until-decided");
        }
        if let Some(most) = self.max_seeds {
            written.push_str(&format!(" --max-seeds {most}"));
        }
        if let Some(factor) = self.practical {
            written.push_str(&format!(" --practical {factor}"));
        }
        written
    }

    fn most_seeds(&self) -> Option<usize> {
        self.until_decided.then(|| self.max_seeds.map_or(DEFAULT_MOST_SEEDS, NonZeroUsize::get))
    }
}
