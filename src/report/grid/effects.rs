//! An arm over all grid points.

use super::{by_seed, decide, mean_by_seed};
use crate::report::comparison::Comparison;
use crate::report::speedup::{Estimate, Speedup};

/// How much sooner an arm is than the baseline over the whole grid, in training images: the geometric mean over grid points of
/// equal weight, which says little where the speedup depends on the point.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmEffect<'a> {
    pub arm: &'a str,
    /// Over those grid points where the arm has a number; of each seed that all of them have.
    pub speedup: Speedup,
    /// Grid points where it has a number, of those where it was tried.
    pub measured: usize,
    pub tried: usize,
    /// The index of the grid point with the smallest and with the largest speedup.
    pub least: usize,
    pub most: usize,
}

/// The effects of every arm that has a number somewhere; empty without a grid.
pub fn effects<'a>(comparison: &Comparison<'a>) -> Vec<ArmEffect<'a>> {
    if !comparison.has_grid() {
        return vec![];
    }
    let arms = comparison.study.plan.arms.iter().map(String::as_str).filter(|arm| Some(*arm) != comparison.baseline);
    let mut effects: Vec<ArmEffect> = arms.filter_map(|arm| effect(comparison, arm)).collect();
    decide(comparison, &mut effects.iter_mut().map(|effect| &mut effect.speedup).collect::<Vec<_>>());
    effects
}

/// An arm's number at a grid point.
struct AtPoint<'c> {
    index: usize,
    speedup: f64,
    by_seed: &'c [(u64, f64)],
}

fn effect<'a>(comparison: &Comparison<'a>, arm: &'a str) -> Option<ArmEffect<'a>> {
    let mut tried = 0;
    let mut found: Vec<AtPoint> = Vec::new();
    for (index, point) in comparison.points.iter().enumerate() {
        let Some(at_point) = point.arm(arm) else { continue };
        tried += 1;
        if let Some(Speedup { estimate: Estimate::Measured { speedup, .. }, .. }) = at_point.contrast.images()
            && let Some(by_seed) = by_seed(point, arm)
        {
            found.push(AtPoint { index, speedup: *speedup, by_seed });
        }
    }
    let by_size = |first: &&AtPoint, second: &&AtPoint| first.speedup.total_cmp(&second.speedup);
    let (least, most) = (found.iter().min_by(by_size)?.index, found.iter().max_by(by_size)?.index);
    let contrasts: Vec<&[(u64, f64)]> = found.iter().map(|at| at.by_seed).collect();
    let by_seed = mean_by_seed(&contrasts);
    if by_seed.is_empty() {
        return None;
    }
    let speedup = Speedup::of_seeds(by_seed);
    Some(ArmEffect { arm, speedup, measured: found.len(), tried, least, most })
}
