//! How often each arm is the fastest, and how far the others are from the fastest.

use super::by_seed;
use crate::report::comparison::Comparison;
use crate::report::speedup::Estimate;

/// Beyond this factor an arm is as good as hopeless: AlgoPerf's r_max (Dahl et al. 2023, arXiv 2306.07179).
pub const HOPELESS: f64 = 4.0;
/// Grid points from which on a profile over them says something.
const FEWEST_POINTS: usize = 3;

/// An arm among all arms, the baseline too.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked<'a> {
    pub arm: &'a str,
    /// The contests of one seed at one grid point in which it is the fastest over the band; equals share a contest.
    pub wins: f64,
    /// Contests in which it could be.
    pub contests: usize,
    /// AlgoPerf's score: the share of grid points at which it takes at most a factor r as long as the fastest arm there, averaged over r
    /// from 1 to 4. 1 is the fastest everywhere. `None` with fewer than three grid points, or where it is not known
    /// of every arm at each of them.
    pub score: Option<f64>,
    /// At each grid point, how many times as long it takes as the fastest arm there; infinite where it has no number. Empty where there is no
    /// score.
    pub ratios: Vec<f64>,
}

/// The arms with most wins first; empty with fewer than three arms, or where nothing is measured.
pub fn ranking<'a>(comparison: &Comparison<'a>) -> Vec<Ranked<'a>> {
    let arms: Vec<&str> = comparison.study.plan.arms.iter().map(String::as_str).collect();
    let Some(baseline) = comparison.baseline.filter(|_| arms.len() > 2) else { return vec![] };
    let mut ranked: Vec<Ranked> =
        arms.iter().map(|arm| Ranked { arm, wins: 0.0, contests: 0, score: None, ratios: vec![] }).collect();
    let mut ratios: Vec<Vec<f64>> = vec![vec![]; arms.len()];
    // Whether every arm has a number at every point, or is known to have got nowhere.
    let mut is_known = true;
    for point in &comparison.points {
        let by_seed: Vec<Option<&[(u64, f64)]>> = arms.iter().map(|arm| by_seed(point, arm)).collect();
        let known: Vec<&[(u64, f64)]> = by_seed.iter().flatten().copied().collect();
        let Some(first) = known.first() else {
            is_known = false;
            continue;
        };
        // Of seeds that some arms have and others lack, the others could win none.
        let is_everywhere = |seed: &u64| known.iter().all(|by_seed| by_seed.iter().any(|(other, _)| other == seed));
        for seed in first.iter().map(|(seed, _)| seed).filter(|seed| is_everywhere(seed)) {
            let of = |index: usize| match arms[index] == baseline {
                true => Some(0.0),
                false => by_seed[index]?.iter().find(|(other, _)| other == seed).map(|(_, ratio)| *ratio),
            };
            let speeds: Vec<Option<f64>> = (0..arms.len()).map(of).collect();
            let best = speeds.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
            let equals = speeds.iter().flatten().filter(|speed| **speed == best).count();
            for (ranked, speed) in ranked.iter_mut().zip(speeds) {
                ranked.contests += usize::from(speed.is_some());
                if speed == Some(best) {
                    ranked.wins += 1.0 / equals as f64;
                }
            }
        }
        let means: Vec<Option<f64>> = arms
            .iter()
            .map(|arm| match &point.arm(arm)?.contrast.images().map(|speedup| speedup.estimate) {
                _ if *arm == baseline => Some(0.0),
                Some(Estimate::Measured { speedup, .. }) => Some(speedup.ln()),
                // It did not get there.
                Some(Estimate::AtMost(_)) => Some(f64::NEG_INFINITY),
                // It may be the fastest, or is not known yet.
                Some(Estimate::AtLeast(_) | Estimate::Unknown(_)) | None => None,
            })
            .collect();
        is_known &= means.iter().all(Option::is_some);
        let best = means.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        for (ratios, mean) in ratios.iter_mut().zip(means) {
            ratios.extend(mean.map(|mean| (best - mean).exp()));
        }
    }
    if is_known && comparison.points.len() >= FEWEST_POINTS {
        for (ranked, ratios) in ranked.iter_mut().zip(ratios) {
            ranked.score = Some(score(&ratios));
            ranked.ratios = ratios;
        }
    }
    ranked.retain(|ranked| ranked.contests > 0);
    let share = |ranked: &Ranked| ranked.wins / ranked.contests as f64;
    ranked.sort_by(|first, second| share(second).total_cmp(&share(first)));
    ranked
}

/// The share of `ratios` at or below `factor`: a performance profile (Dolan and More 2002, equation 1.1).
pub fn share_within(ratios: &[f64], factor: f64) -> f64 {
    ratios.iter().filter(|ratio| **ratio <= factor).count() as f64 / ratios.len() as f64
}

/// The integral over r from 1 to [`HOPELESS`] of the share of ratios within r, over its length.
fn score(ratios: &[f64]) -> f64 {
    let shares = ratios.iter().map(|ratio| (HOPELESS - ratio.max(1.0)).max(0.0));
    shares.sum::<f64>() / (HOPELESS - 1.0) / ratios.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden values: scripts/golden/performance_profile.py, by rliable.
    #[test]
    fn profiles_and_their_integrals_are_rliables() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/golden/performance_profile.json")).unwrap();
        let numbers = |value: &serde_json::Value| -> Vec<f64> {
            value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap_or(f64::INFINITY)).collect()
        };
        let factors = numbers(&golden["factors"]);
        let arms = golden["arms"].as_array().unwrap();
        assert_eq!((arms.len(), factors.len()), (4, 25));
        for arm in arms {
            let ratios = numbers(&arm["ratios"]);
            let shares: Vec<f64> = factors.iter().map(|&factor| share_within(&ratios, factor)).collect();
            for (share, expected) in shares.iter().zip(numbers(&arm["shares"])) {
                assert!((share - expected).abs() < 1e-12, "{share} is not {expected}: {arm}");
            }
            let expected = arm["score"].as_f64().unwrap();
            assert!((score(&ratios) - expected).abs() < 1e-9, "{} is not {expected}: {arm}", score(&ratios));
        }
    }

    #[test]
    fn the_score_is_algoperfs() {
        // rho(r) of ratios 1 and 2 is 1/2 up to 2 and 1 from there: (1/2 + 2) / 3.
        assert!((score(&[1.0, 2.0]) - 2.5 / 3.0).abs() < 1e-12);
        assert_eq!(score(&[1.0, 1.0, 1.0]), 1.0);
        assert_eq!(score(&[f64::INFINITY, 5.0]), 0.0);
    }
}
