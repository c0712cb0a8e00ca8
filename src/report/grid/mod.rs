//! The answers of a study with a grid, or with arms that combine other arms: over all grid points, along each axis, and for two
//! changes together.

mod effects;
mod interactions;
mod ranking;
mod tuned;

pub use self::effects::ArmEffect;
pub use self::interactions::{Interaction, Of};
pub use self::ranking::{HOPELESS, Ranked, share_within};
pub use self::tuned::{Chosen, Tuned, TunedArm};

use self::effects::effects;
use self::interactions::interactions;
use self::ranking::ranking;
use self::tuned::tuned;
use super::comparison::{Comparison, PointComparison, decide_together};
use super::interval::holm_rejects;
use super::speedup::{Decision, Speedup};
use super::wording::{edge_words, effect_words, interaction_words, tuned_words};

/// All of it.
pub struct Grid<'a> {
    pub tuned: Vec<Tuned<'a>>,
    pub effects: Vec<ArmEffect<'a>>,
    pub interactions: Vec<Interaction<'a>>,
    /// The ranking of every arm, the fastest first.
    pub ranking: Vec<Ranked<'a>>,
}

impl<'a> Grid<'a> {
    pub fn of(comparison: &Comparison<'a>) -> Self {
        Self {
            tuned: tuned(comparison),
            effects: effects(comparison),
            interactions: interactions(comparison),
            ranking: ranking(comparison),
        }
    }

    /// Arms over the whole grid, a sentence each with the arm that it begins with.
    pub fn answers(&self, comparison: &Comparison) -> Vec<(&'a str, String)> {
        let tuned = self
            .tuned
            .iter()
            .flat_map(|tuned| tuned.arms.iter().map(|arm| (arm.chosen.arm, tuned_words(comparison, tuned, arm))));
        let effects = self.effects.iter().map(|effect| (effect.arm, effect_words(comparison, effect)));
        tuned.chain(effects).collect()
    }

    /// Further remarks, a sentence each: best values that may lie beyond the grid, and whether two changes multiply.
    pub fn remarks(&self, comparison: &Comparison) -> Vec<String> {
        let edges = self.tuned.iter().filter_map(|tuned| edge_words(comparison, tuned));
        let interactions = self.interactions.iter().map(|interaction| interaction_words(comparison, interaction));
        edges.chain(interactions).collect()
    }
}

/// Gives speedups of one family their verdicts.
fn decide(comparison: &Comparison, speedups: &mut [&mut Speedup]) {
    let Some(looks) = &comparison.looks else {
        return decide_together(speedups.iter_mut().map(|speedup| &mut **speedup), comparison.practical());
    };
    let p_values: Vec<Option<f64>> = speedups.iter().map(|speedup| speedup.p_value()).collect();
    let count = p_values.iter().flatten().count();
    let rejected = holm_rejects(&p_values, count, |undecided| comparison.level(undecided));
    let is_looked_at = !looks.is_empty();
    for (speedup, is_rejected) in speedups.iter_mut().zip(rejected) {
        let is_rejected = is_rejected && is_looked_at;
        let decision = Decision { is_looked_at, is_rejected, adjusted_p: None, interval_level: comparison.level(1) };
        speedup.decide(&decision, comparison.practical());
    }
}

/// The arm's ln speedups at a grid point in training images, by seed.
fn by_seed<'c>(point: &'c PointComparison, arm: &str) -> Option<&'c [(u64, f64)]> {
    let speedup = point.arm(arm)?.contrast.images()?;
    (!speedup.by_seed.is_empty()).then_some(&speedup.by_seed)
}

fn ratio_of(contrast: &[(u64, f64)], seed: u64) -> Option<f64> {
    contrast.iter().find(|(other, _)| *other == seed).map(|(_, ratio)| *ratio)
}

/// The mean over several contrasts of each seed that all of them have.
fn mean_by_seed(contrasts: &[&[(u64, f64)]]) -> Vec<(u64, f64)> {
    let Some((first, rest)) = contrasts.split_first() else { return vec![] };
    let seed = |&(seed, ratio): &(u64, f64)| {
        let others = rest.iter().map(|contrast| ratio_of(contrast, seed)).collect::<Option<Vec<f64>>>()?;
        Some((seed, (ratio + others.iter().sum::<f64>()) / contrasts.len() as f64))
    };
    first.iter().filter_map(seed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_counts_where_every_contrast_has_it() {
        let contrasts: [&[(u64, f64)]; 2] = [&[(1, 0.25), (2, 0.5), (3, 1.0)], &[(3, 2.0), (1, 0.75)]];
        assert_eq!(mean_by_seed(&contrasts), [(1, 0.5), (3, 1.5)]);
        assert_eq!(mean_by_seed(&[]), []);
    }
}
