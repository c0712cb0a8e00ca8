//! The similarity of images from the same noise and from different noises, with intervals over noises.

use super::similarity::Similarity;
use crate::report::interval::{Interval, mean_interval};

/// One similarity of one pair of runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Likeness {
    /// The similarity for each noise.
    pub same: Vec<f64>,
    /// The mean over its partners, of each noise.
    pub shuffled: Vec<f64>,
}

/// One similarity, averaged over the pairs of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupLikeness {
    pub similarity: Similarity,
    pub same: f64,
    pub same_interval: Option<Interval>,
    pub shuffled: f64,
    pub shuffled_interval: Option<Interval>,
    /// Same less shuffled, paired by noise.
    pub gain: f64,
    pub gain_interval: Option<Interval>,
    /// Lowest and highest mean of a pair, from the same noise.
    pub pairs: Interval,
}

impl Likeness {
    pub fn same_mean(&self) -> f64 {
        mean(&self.same)
    }

    pub fn shuffled_mean(&self) -> f64 {
        mean(&self.shuffled)
    }
}

impl GroupLikeness {
    /// The share of the way from "as alike as from another noise" (0) to "equal" (1).
    pub fn share(&self) -> Option<f64> {
        (self.shuffled < 1.0).then(|| self.gain / (1.0 - self.shuffled))
    }
}

/// Averages the pairs noise by noise; the intervals are then over noises, so that they say what other noises would give with
/// these runs, not what other runs would. `None` without a pair.
pub fn over_pairs(similarity: Similarity, pairs: &[&Likeness]) -> Option<GroupLikeness> {
    let first = pairs.first()?;
    let by_noise = |values: &dyn Fn(&Likeness) -> &[f64]| -> Vec<f64> {
        let of_noise = |noise: usize| pairs.iter().map(|pair| values(pair)[noise]).sum::<f64>() / pairs.len() as f64;
        (0..first.same.len()).map(of_noise).collect()
    };
    let (same, shuffled) = (by_noise(&|pair| &pair.same), by_noise(&|pair| &pair.shuffled));
    let gains: Vec<f64> = same.iter().zip(&shuffled).map(|(same, shuffled)| same - shuffled).collect();
    let means = || pairs.iter().map(|pair| pair.same_mean());
    Some(GroupLikeness {
        similarity,
        same: mean(&same),
        same_interval: mean_interval(&same),
        shuffled: mean(&shuffled),
        shuffled_interval: mean_interval(&shuffled),
        gain: mean(&gains),
        gain_interval: mean_interval(&gains),
        pairs: Interval { low: means().fold(f64::INFINITY, f64::min), high: means().fold(f64::NEG_INFINITY, f64::max) },
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_the_mean_of_its_pairs_noise_by_noise() {
        let first = Likeness { same: vec![1.0, 0.5, 0.75], shuffled: vec![0.5, 0.5, 0.5] };
        let second = Likeness { same: vec![0.5, 0.5, 0.25], shuffled: vec![0.25, 0.0, 0.5] };
        let group = over_pairs(Similarity::Ssim, &[&first, &second]).unwrap();
        // By noise 0.75, 0.5, 0.5 and 0.375, 0.25, 0.5.
        assert!((group.same - 7.0 / 12.0).abs() < 1e-12 && (group.shuffled - 0.375).abs() < 1e-12);
        assert!((group.gain - (group.same - group.shuffled)).abs() < 1e-12);
        assert!((group.share().unwrap() - group.gain / 0.625).abs() < 1e-12);
        assert_eq!((group.pairs.low, group.pairs.high), (1.25 / 3.0, 0.75));
        // t(0.975, 2) = 4.302652729911275, standard deviation 0.25 / sqrt 3, over sqrt 3.
        let interval = group.same_interval.unwrap();
        assert!(((interval.high - interval.low) / 2.0 - 4.302652729911275 * 0.25 / 3.0).abs() < 1e-9, "{interval:?}");
        assert_eq!(over_pairs(Similarity::Ssim, &[]), None);
    }
}
