//! A run behind a number, and whether the number is made of it.

use serde::Serialize;

use super::detail::SeedRatio;
use crate::report::comparison::{ArmComparison, ArmRun, Comparison, NoSpeedup};
use crate::report::speedup::Speedup;
use crate::report::wording::state;
use crate::spec::Trainer;

/// A run behind a number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellRun {
    pub arm: String,
    pub trial: String,
    pub seed: u64,
    pub run_id: String,
    /// Those whose time is on its clock.
    pub devices: Vec<String>,
    /// The program that trained it last, with its version.
    pub program: String,
    pub state: String,
    /// What it adds to the number: a cost, or its last value.
    pub value: Option<f64>,
    /// Whether the number is made of it, too: not, where its seed is left out or it has not ended as it must.
    pub counts: bool,
    /// Whether another program trained it, which nothing here can start.
    pub is_imported: bool,
}

/// Whether a speedup is made of the run, too: its seed has a ratio, or, of a bound and of runs that are not paired, it was compared.
pub(super) fn counts(
    comparison: &Comparison,
    result: &Result<Speedup, NoSpeedup>,
    by_seed: &[SeedRatio],
    arm: &ArmComparison,
    run: &ArmRun,
) -> bool {
    let seed = run.record.planned.seed;
    let Ok(speedup) = result else { return false };
    if !by_seed.is_empty() {
        return by_seed.iter().any(|ratio| ratio.seed == seed);
    }
    let is_looked_at = comparison.counted_seeds().is_none_or(|seeds| seeds.contains(&seed));
    is_looked_at && !speedup.left_out.contains(&seed) && arm.fitted.iter().any(|fitted| fitted.seed == seed)
}

/// `value`: what it adds to the number.
pub(super) fn cell_run(run: &ArmRun, value: Option<f64>, counts: bool) -> CellRun {
    let planned = &run.record.planned;
    CellRun {
        arm: planned.arm.clone(),
        trial: planned.trial.clone(),
        seed: planned.seed,
        run_id: planned.run_id.to_string(),
        devices: run.devices().into_iter().map(str::to_owned).collect(),
        program: run.record.attempts.last().map_or_else(String::new, |attempt| attempt.program.clone()),
        state: state(run.record),
        value: value.filter(|value| value.is_finite()),
        counts,
        is_imported: planned.spec.trainer.as_ref().is_some_and(Trainer::is_import),
    }
}
