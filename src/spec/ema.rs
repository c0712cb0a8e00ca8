//! How weights are averaged over time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Train, empty_settings, kinds};

kinds! {
    /// `train.ema`: how the averaged weights decay. After each step they become decay x averaged weights + (1 - decay) x weights.
    pub enum Ema {
        /// A constant decay, `train.ema_decay`. The average begins with the initial weights. The default.
        Exponential(ExponentialEma) = "exponential",
        /// A half-life in images: a decay of 2^(-batch_size / images) per step, as in EDM's code (Karras et al. 2022, arXiv
        /// 2206.00364). The average is as long under every batch size. `train.ema_decay` is not used.
        HalfLife(HalfLifeEma) = "half_life",
        /// A power function of time (Karras et al. 2024, arXiv 2312.02696, section 3): after step k, a decay of (1 - 1/k)^(gamma
        /// + 1). Weights count in proportion to k^gamma, so that the average is as wide a share of a short run as of a long one.
        /// `train.ema_decay` is not used.
        Power(PowerEma) = "power",
    }
}

empty_settings! {
    /// No settings.
    ExponentialEma;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HalfLifeEma {
    /// The number of images after which weights count half as much. Default 500000 (EDM's code).
    pub images: u64,
    /// The largest half-life as a share of the images seen, so that the average does not hold on to the first weights. 0: no
    /// such limit. Default 0 (EDM's code has 0.05).
    pub ramp_up: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PowerEma {
    /// The standard deviation of the times that are averaged, as a share of the time trained: sigma_rel = sqrt(gamma + 1) /
    /// ((gamma + 2) sqrt(gamma + 3)) (Karras et al. 2024, equation 123). 0.05 has gamma 16.97, 0.1 has gamma 6.94; the plain mean
    /// of all weights would have 0.289. Default 0.1.
    pub sigma_rel: f64,
}

/// `train.post_hoc`: averages that are kept so that averages of other lengths can be made of them after training, by `speedlab
/// evaluate RUN --set train.ema.sigma_rel=0.05,0.1` (Karras et al. 2024, arXiv 2312.02696, section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PostHoc {
    /// The number of steps between two that keep averages; the last step keeps them too. Averages by power functions of sigma_rel
    /// 0.05 and 0.1 are kept (the paper's): twice the weights, in a file of the run's folder. 0: none are kept. Default 0.
    pub every: u64,
}

impl PostHoc {
    /// Whether `step` keeps averages, of a run of `steps`.
    pub fn is_kept_at(self, step: u64, steps: u64) -> bool {
        self.every > 0 && step > 0 && (step.is_multiple_of(self.every) || step == steps)
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// An average by a power function of time that was made of kept ones, as `train.ema: { kind: power }` would have kept it up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostHocAverage {
    /// [`PowerEma::sigma_rel`].
    pub sigma_rel: f64,
    /// How far what it is made of is from it, as functions of time: the norm of the difference over that of the average.
    pub missed: f64,
}

impl PostHocAverage {
    /// A protocol that names such an average has this before its length.
    const IN_PROTOCOL: &str = "post-hoc-power(";
    /// From here on an average is not what it is called.
    const MUCH_MISSED: f64 = 0.2;

    /// What is missed of it in whole per cent, where that is much.
    pub fn much_missed(&self) -> Option<u32> {
        (self.missed > Self::MUCH_MISSED).then(|| (100.0 * self.missed).round() as u32)
    }

    /// As a protocol names it after `ema=`: `post-hoc-power(0.1)`, `post-hoc-power(0.01,missed=34%)`.
    pub fn name(&self) -> String {
        let missed = self.much_missed().map_or(String::new(), |percent| format!(",missed={percent}%"));
        format!("{}{}{missed})", Self::IN_PROTOCOL, self.sigma_rel)
    }

    /// What a protocol says between the parentheses of [`Self::name`], and what stands before and behind them.
    pub fn in_protocol(protocol: &str) -> Option<(&str, [&str; 2])> {
        let (before, rest) = protocol.split_once(Self::IN_PROTOCOL)?;
        let (average, behind) = rest.split_once(')')?;
        Some((average, [before, behind]))
    }
}

impl Default for Ema {
    fn default() -> Self {
        Self::Exponential(ExponentialEma {})
    }
}

impl Default for HalfLifeEma {
    fn default() -> Self {
        Self { images: 500_000, ramp_up: 0.0 }
    }
}

impl PowerEma {
    /// The range of `sigma_rel`. Nothing is wider than the plain mean of all weights.
    pub const SIGMA_RELS: std::ops::RangeInclusive<f64> = 1e-4..=0.28;
}

impl Default for PowerEma {
    fn default() -> Self {
        Self { sigma_rel: 0.1 }
    }
}

impl Ema {
    /// Whether `train.ema_decay` is the decay.
    pub fn is_exponential(&self) -> bool {
        matches!(self, Self::Exponential(_))
    }
}

impl Train {
    /// How weights are averaged, as a protocol names it after `ema=`: `0.999`, `half_life(500000)`, `power(0.1)`.
    pub fn average(&self) -> String {
        match &self.ema {
            Ema::Exponential(_) => self.ema_decay.to_string(),
            Ema::HalfLife(HalfLifeEma { images, ramp_up }) if *ramp_up == 0.0 => format!("half_life({images})"),
            Ema::HalfLife(HalfLifeEma { images, ramp_up }) => format!("half_life({images},ramp_up={ramp_up})"),
            Ema::Power(PowerEma { sigma_rel }) => format!("power({sigma_rel})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_kept_at_intervals_and_at_the_end() {
        let kept = |every| (0..=10).filter(|&step| PostHoc { every }.is_kept_at(step, 10)).collect::<Vec<_>>();
        assert_eq!((kept(0), kept(4), kept(5), kept(11)), (vec![], vec![4, 8, 10], vec![5, 10], vec![10]));
    }

    #[test]
    fn an_average_is_named_by_what_decides_it() {
        let named = |ema| Train { ema, ..Train::default() }.average();
        assert_eq!(named(Ema::default()), "0.999");
        assert_eq!(named(Ema::HalfLife(HalfLifeEma::default())), "half_life(500000)");
        assert_eq!(named(Ema::HalfLife(HalfLifeEma { images: 64, ramp_up: 0.05 })), "half_life(64,ramp_up=0.05)");
        assert_eq!(named(Ema::Power(PowerEma::default())), "power(0.1)");
    }

    #[test]
    fn an_average_that_was_made_after_training_has_another_name_which_says_what_is_missed() {
        let near = PostHocAverage { sigma_rel: 0.15, missed: 0.2 };
        let far = PostHocAverage { sigma_rel: 0.01, missed: 0.344 };
        assert_eq!([near.name(), far.name()], ["post-hoc-power(0.15)", "post-hoc-power(0.01,missed=34%)"]);
        let protocol = format!("digits-cnn n=80 ema={} guidance=2", far.name());
        let found = PostHocAverage::in_protocol(&protocol);
        assert_eq!(found, Some(("0.01,missed=34%", ["digits-cnn n=80 ema=", " guidance=2"])));
        assert_eq!(PostHocAverage::in_protocol("digits-cnn n=80 ema=power(0.1)"), None);
    }
}
