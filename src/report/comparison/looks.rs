//! The looks of a study whose seeds are added until it is decided. The same records give the same looks.

use super::{Comparison, Contrast, Family, NoSpeedup};
use crate::event::RunOutcome;
use crate::record::{RunRecord, RunState, StudyRecord};
use crate::report::band::{Band, NoBand};
use crate::report::cost::Cost;
use crate::report::interval::holm_rejects;
use crate::report::speedup::{Decision, Estimate, Speedup, Unknown, Verdict};
use crate::spec::UntilDecided;

/// The result of the study after this number of seeds of every arm that was still open.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    pub seeds: usize,
    /// The comparisons that need no more seeds from here on.
    pub settled: Vec<Settled>,
    /// Comparisons that do.
    pub open: usize,
    /// The arms with an open comparison, and the arms that they are compared with: (index of the grid point, arm).
    pub open_arms: Vec<(usize, String)>,
}

/// A comparison that needs no more seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// The grid point's label; empty without a grid.
    pub point: String,
    pub arm: String,
    /// The other arm, where it is not the baseline.
    pub against: Option<String>,
    /// In training images. `None` where there is no speedup at all.
    pub verdict: Option<Verdict>,
}

/// A comparison on its way through the looks.
struct Open {
    family: Family,
    point: usize,
    arm: String,
    against: Option<String>,
    /// The contrast at the last look that counts for it.
    contrast: Option<Contrast>,
    is_settled: bool,
}

/// The comparison with the verdicts of the looks that were taken, and these.
///
/// The band is that of the first look: the qualities at which arms are compared do not move as seeds are added.
pub(super) fn taken<'a>(study: &'a StudyRecord, runs: &[&'a RunRecord], rule: &UntilDecided) -> Comparison<'a> {
    let mut bands: Option<Vec<Option<Band>>> = None;
    let mut open: Vec<Open> = Vec::new();
    let mut looks = Vec::new();
    for (index, &count) in rule.looks.iter().enumerate() {
        let of = |run: &RunRecord, seeds: &[u64]| seeds.contains(&run.planned.seed);
        let at_look: Vec<&RunRecord> = runs.iter().copied().filter(|run| of(run, &rule.seeds[..count])).collect();
        let begun = at_look.iter().any(|run| of(run, rule.new_seeds(index)));
        if !begun || !at_look.iter().all(|run| has_settled(run)) {
            break;
        }
        // What a failed run recorded so far is no curve to its end.
        let mut comparison = Comparison::undecided(study, &at_look, bands.as_deref(), |run| run.ended());
        if bands.is_none() {
            let band = |point: &super::PointComparison| point.band.as_ref().and_then(|band| band.clone().ok());
            bands = Some(comparison.points.iter().map(band).collect());
            open = comparisons(&comparison);
        }
        looks.push(look(&mut comparison, rule, count, &mut open));
    }
    let mut comparison = Comparison::undecided(study, runs, bands.as_deref(), |_| true);
    decide_nothing(&mut comparison, rule);
    for family in Family::ALL {
        let known = open.iter_mut().filter(|open| open.family == family).map(|open| open.contrast.take());
        // The same order: a run of every arm at every point is in the first look.
        for (contrast, known) in comparison.contrasts(family).into_iter().zip(known.collect::<Vec<_>>()) {
            if let Some(known) = known {
                *contrast = known;
            }
        }
    }
    comparison.looks = Some(looks);
    comparison
}

/// Whether a run is known to add nothing more by itself. One that failed for good in its session counts as missing.
fn has_settled(run: &RunRecord) -> bool {
    match run.state {
        RunState::Ended(_) | RunState::Damaged(_) => true,
        RunState::Waiting => false,
        RunState::Unfinished => {
            run.last_outcome.as_ref().is_some_and(|outcome| !matches!(outcome, RunOutcome::Interrupted { .. }))
        }
    }
}

/// Every comparison of the study, in the order of [`Comparison::contrasts`].
fn comparisons(comparison: &Comparison) -> Vec<Open> {
    let open = |family, point, arm: &str, against: Option<&str>| Open {
        family,
        point,
        arm: arm.to_owned(),
        against: against.map(str::to_owned),
        contrast: None,
        is_settled: false,
    };
    let points = || comparison.points.iter().enumerate();
    let arms = points().flat_map(|(index, point)| {
        let arms = point.arms.iter().filter(|arm| !arm.is_baseline);
        arms.map(move |arm| open(Family::Arms, index, arm.arm, None))
    });
    let pairs = points().flat_map(|(index, point)| {
        point.pairs.iter().map(move |pair| open(Family::Pairs, index, pair.arm, Some(pair.against)))
    });
    arms.chain(pairs).collect()
}

fn look(comparison: &mut Comparison, rule: &UntilDecided, seeds: usize, open: &mut [Open]) -> Look {
    for family in Family::ALL {
        let mut of_family: Vec<&mut Open> = open.iter_mut().filter(|open| open.family == family).collect();
        for axis in 0..Cost::ALL.len() {
            decide(comparison, axis, family, rule, &of_family);
        }
        for (open, contrast) in of_family.iter_mut().zip(comparison.contrasts(family)) {
            if !open.is_settled {
                open.contrast = Some(std::mem::replace(contrast, Contrast::none()));
            }
        }
    }
    let mut settled = Vec::new();
    for open in open.iter_mut().filter(|open| !open.is_settled) {
        let Some(images) = open.contrast.as_ref().and_then(|contrast| contrast.speedups.first()) else { continue };
        if needs_more(images) {
            continue;
        }
        let verdict = images.as_ref().ok().map(|speedup| speedup.verdict);
        open.is_settled = true;
        let point = comparison.points[open.point].label.clone();
        settled.push(Settled { point, arm: open.arm.clone(), against: open.against.clone(), verdict });
    }
    let still = || open.iter().filter(|open| !open.is_settled);
    let mut open_arms: Vec<(usize, String)> = Vec::new();
    for open in still() {
        let against = open.against.as_deref().or(comparison.baseline);
        open_arms
            .extend([Some(open.arm.as_str()), against].into_iter().flatten().map(|arm| (open.point, arm.to_owned())));
    }
    open_arms.sort_unstable();
    open_arms.dedup();
    Look { seeds, settled, open: still().count(), open_arms }
}

/// Whether further seeds can change the answer. They only ever take away qualities that every run reached: a bound stays one. Of what
/// is missing they can make up.
fn needs_more(speedup: &Result<Speedup, NoSpeedup>) -> bool {
    match speedup {
        Ok(speedup) => match speedup.estimate {
            Estimate::Measured { .. } => {
                !matches!(speedup.verdict, Verdict::Faster | Verdict::Slower | Verdict::Equivalent)
            }
            Estimate::AtLeast(_) | Estimate::AtMost(_) => false,
            Estimate::Unknown(unknown) => matches!(unknown, Unknown::NoSeeds | Unknown::NotThereYet),
        },
        Err(none) => matches!(none, NoSpeedup::NotMeasured { .. } | NoSpeedup::NoBand(NoBand::NotThereYet)),
    }
}

/// On one axis, those of a family that are not settled yet; those that are keep what they have.
fn decide(comparison: &mut Comparison, axis: usize, family: Family, rule: &UntilDecided, open: &[&mut Open]) {
    let is_rejected = |open: &Open| {
        let speedup = open.contrast.as_ref().and_then(|contrast| contrast.speedups.get(axis)?.as_ref().ok());
        open.is_settled && speedup.is_some_and(|speedup| matches!(speedup.verdict, Verdict::Faster | Verdict::Slower))
    };
    let undecided = open.iter().filter(|open| !is_rejected(open)).count();
    let practical = comparison.practical();
    let mut speedups: Vec<Option<&mut Speedup>> = comparison
        .contrasts(family)
        .into_iter()
        .zip(open)
        .map(|(contrast, open)| contrast.speedups.get_mut(axis)?.as_mut().ok().filter(|_| !open.is_settled))
        .collect();
    let p_values: Vec<Option<f64>> =
        speedups.iter().map(|speedup| speedup.as_ref().and_then(|speedup| speedup.p_value())).collect();
    let rejected = holm_rejects(&p_values, undecided, |undecided| rule.level(undecided));
    for (speedup, is_rejected) in speedups.iter_mut().zip(rejected) {
        if let Some(speedup) = speedup {
            speedup.decide(&decision(rule, is_rejected), practical);
        }
    }
}

fn decision(rule: &UntilDecided, is_rejected: bool) -> Decision {
    Decision { is_looked_at: true, is_rejected, adjusted_p: None, interval_level: rule.level(1) }
}

/// Results before the first look are shown and decide nothing.
fn decide_nothing(comparison: &mut Comparison, rule: &UntilDecided) {
    let practical = comparison.practical();
    for axis in 0..Cost::ALL.len() {
        for family in Family::ALL {
            for speedup in comparison.speedups(axis, family) {
                speedup.decide(&Decision { is_looked_at: false, ..decision(rule, false) }, practical);
            }
        }
    }
}
