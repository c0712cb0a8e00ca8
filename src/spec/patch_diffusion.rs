//! Crops of images that a network is trained on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `patch_diffusion`: some steps train on a random square crop of each image, the same size for the whole batch, and not on whole images (Patch
/// Diffusion; Wang et al. 2023, arXiv 2304.12526). The network is told where each pixel lies in its image: it has `model.coordinates`,
/// which this needs. Each image has its own place, each step its own size. Images are generated, and losses on held-out
/// images measured, whole. A step has as many crops as images: the authors' code has more of smaller crops, so that all steps cost about the
/// same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PatchDiffusion {
    /// Sides of crops as shares of the images' side, such as `[0.25, 0.5]` (the paper's). Each is a whole number of pixels. Default []: all
    /// images are whole.
    pub sizes: Vec<f64>,
    /// The share of each of `sizes` in the steps that have crops, adding up to 1: the authors' code has `[0.4, 0.6]`. Default []: they are
    /// alike.
    pub shares: Vec<f64>,
    /// The share of the steps that have whole images. Default 0.5 (the paper's).
    pub full_share: f64,
    /// Which step has which size. Default `stochastic`.
    pub schedule: PatchSchedule,
}

/// Which step has crops of which size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatchSchedule {
    /// Each step draws its size. The default.
    #[default]
    Stochastic,
    /// The sizes one after the other, as they are listed, and whole images at the end.
    Progressive,
}

impl Default for PatchDiffusion {
    fn default() -> Self {
        Self { sizes: Vec::new(), shares: Vec::new(), full_share: 0.5, schedule: PatchSchedule::default() }
    }
}

impl PatchDiffusion {
    /// Whether some steps have crops.
    pub fn is_on(&self) -> bool {
        !self.sizes.is_empty()
    }

    /// Whether the settings are the defaults; runs that were recorded before this key existed have them.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// (side as a share of the images' side, share of the steps) of each size, and of whole images last.
    pub fn parts(&self) -> Vec<(f64, f64)> {
        let alike = 1.0 / self.sizes.len().max(1) as f64;
        let of_crops = |index: usize| self.shares.get(index).copied().unwrap_or(alike) * (1.0 - self.full_share);
        let crops = self.sizes.iter().enumerate().map(|(index, &size)| (size, of_crops(index)));
        let whole = (1.0, if self.is_on() { self.full_share } else { 1.0 });
        crops.chain([whole]).filter(|(_, share)| *share > 0.0).collect()
    }

    /// The size at `place` in [0, 1) of the shares laid end to end.
    pub fn size_at(&self, place: f64) -> f64 {
        let parts = self.parts();
        let mut end = 0.0;
        let found = parts.iter().find(|(_, share)| {
            end += share;
            place < end
        });
        // Shares add up to 1 but for rounding.
        found.or(parts.last()).map_or(1.0, |(size, _)| *size)
    }

    /// The same run with images of one of its sizes alone.
    pub fn of_size(size: f64) -> Self {
        match size {
            1.0 => Self::default(),
            size => Self { sizes: vec![size], full_share: 0.0, ..Self::default() },
        }
    }

    /// The steps of `steps` with which a size is over, where one follows the other.
    pub fn ends(&self, steps: u64) -> Vec<u64> {
        if !self.is_on() || self.schedule == PatchSchedule::Stochastic {
            return Vec::new();
        }
        let is_over = |step: u64, end: f64| step as f64 / steps as f64 >= end;
        let mut end = 0.0;
        let mut ends = Vec::new();
        for (_, share) in self.parts() {
            end += share;
            let near = (end * steps as f64).floor() as u64;
            ends.extend((near..near + 2).find(|step| is_over(*step, end)));
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_their_shares_of_the_steps() {
        let patches = PatchDiffusion {
            sizes: vec![0.25, 0.5],
            shares: vec![0.4, 0.6],
            full_share: 0.5,
            schedule: PatchSchedule::Progressive,
        };
        assert_eq!(
            [0.0, 0.19, 0.21, 0.49, 0.5, 0.999].map(|place| patches.size_at(place)),
            [0.25, 0.25, 0.5, 0.5, 1.0, 1.0]
        );
        assert_eq!(patches.ends(10), [2, 5, 10]);
        let alike = PatchDiffusion { shares: vec![], full_share: 0.0, ..patches };
        assert_eq!(alike.parts(), [(0.25, 0.5), (0.5, 0.5)]);
        assert_eq!((PatchDiffusion::default().size_at(0.3), PatchDiffusion::of_size(0.5).size_at(0.9)), (1.0, 0.5));
    }
}
