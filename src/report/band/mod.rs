//! How many times sooner the same quality was reached, over a band of qualities that both arms pass through: the headline.
//!
//! With a single target, the answer depends on the noise around it and on the person who chose it. The band lies between the
//! qualities that the baseline has after two shares of its training. Within it, every run's fitted curve is crossed at equally
//! spaced ln(metric). The mean of a seed's log ratios is its speedup.

mod end_fit;
mod estimate;
mod fit;
mod profile;
mod time_scale;

pub use self::estimate::{Run, Spent, over_band, spent_over_band};
pub use self::fit::{Crossing, FEWEST, FittedCurve, NoFit};
pub use self::profile::{Profile, WholeCurve, profile, spent_to_last_quality, to_last_quality};

use super::target::median;
use crate::spec::BandShares;

/// Qualities in a band.
const TARGETS: usize = 12;

/// The qualities at which arms are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    pub shares: BandShares,
    /// ln(metric), from the easiest to the hardest.
    pub targets: Vec<f64>,
    /// ln(metric): the median of the baseline's fitted values at 15 % of its training, where a profile begins.
    pub early: f64,
    /// ln(metric): the median of the fitted values at the ends of the baseline's completed runs.
    pub last: Option<f64>,
}

/// Why there is no band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBand {
    /// No run of the baseline is as far as the band's end.
    NotThereYet,
    NoFit(NoFit),
    /// The baseline is not better at the end of the band than at its beginning.
    NoProgress,
}

impl Band {
    /// The band of the baseline's runs, which are planned to see `images` each.
    pub fn of(baseline: &[Run], images: f64, shares: BandShares) -> Result<Self, NoBand> {
        let at = |share: f64| (share * images).ln();
        // An evaluation may fall short of a share by less than a step.
        let is_there = |curve: &&FittedCurve, share: f64| curve.end() >= at(share) - 1e-3;
        let curves: Vec<&FittedCurve> = baseline.iter().filter_map(|run| run.curve.as_ref().ok()).collect();
        let far: Vec<&&FittedCurve> = curves.iter().filter(|curve| is_there(curve, shares.to)).collect();
        if far.is_empty() {
            let reason =
                baseline.iter().filter(|run| run.ended && !run.diverged).find_map(|run| run.curve.as_ref().err());
            return Err(reason.map_or(NoBand::NotThereYet, |reason| NoBand::NoFit(*reason)));
        }
        let value = |share: f64| median(&far.iter().map(|curve| curve.at(at(share))).collect::<Vec<_>>());
        let (Some(easy), Some(hard), Some(early)) = (value(shares.from), value(shares.to), value(0.15)) else {
            return Err(NoBand::NotThereYet);
        };
        if easy <= hard {
            return Err(NoBand::NoProgress);
        }
        let share = |index: usize| index as f64 / (TARGETS - 1) as f64;
        let ends: Vec<f64> =
            curves.iter().filter(|curve| is_there(curve, 1.0)).map(|curve| curve.final_value()).collect();
        Ok(Self {
            shares,
            targets: (0..TARGETS).map(|index| easy + (hard - easy) * share(index)).collect(),
            early,
            last: median(&ends),
        })
    }

    /// Whether the run is known to have come down to the band's hardest quality.
    pub fn is_passed_by(&self, run: &Run) -> bool {
        let hardest = self.targets[TARGETS - 1];
        run.curve.as_ref().is_ok_and(|curve| !matches!(curve.crossing(hardest), Crossing::After(_)))
    }

    /// The easiest and the hardest value of the metric.
    pub fn values(&self) -> (f64, f64) {
        (self.targets[0].exp(), self.targets[TARGETS - 1].exp())
    }
}
