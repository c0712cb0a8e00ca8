//! Sizes of a step that change while a run trains.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RunSpec, Train};

/// An entry of `train.batch_schedule`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchStage {
    /// The share of the run's steps after which the stage ends.
    pub until: f64,
    /// Images per step.
    pub batch_size: usize,
}

/// An entry of `train.resolution_schedule`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolutionStage {
    /// The share of the run's steps after which the stage ends.
    pub until: f64,
    /// The side of the images, in pixels; of latents, in latent pixels. It divides that of the data.
    pub side: usize,
}

/// The step with which a stage is over: its share of `steps`, rounded. The last step is of no stage.
pub fn stage_end(until: f64, steps: u64) -> u64 {
    ((until * steps as f64).round() as u64).min(steps.saturating_sub(1))
}

/// The number of images of each step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSizes {
    /// (the step with which a stage is over, images of each of its steps), in order.
    stages: Vec<(u64, usize)>,
    last: usize,
}

/// The same in every step.
impl From<usize> for BatchSizes {
    fn from(batch_size: usize) -> Self {
        Self { stages: Vec::new(), last: batch_size }
    }
}

impl BatchSizes {
    /// Images of the step after `step` steps.
    pub fn at(&self, step: u64) -> usize {
        self.stages.iter().find(|(end, _)| step < *end).map_or(self.last, |(_, size)| *size)
    }

    /// Images of the first `steps` steps together.
    pub fn before(&self, steps: u64) -> u64 {
        let (mut images, mut start) = (0, 0);
        for &(end, size) in self.stages.iter().chain([&(u64::MAX, self.last)]) {
            images += (end.min(steps).max(start) - start) * size as u64;
            start = end.min(steps).max(start);
        }
        images
    }
}

impl Train {
    /// Images of each step, as `batch_schedule` and `batch_size` say.
    pub fn batch_sizes(&self) -> BatchSizes {
        let end = |stage: &BatchStage| (stage_end(stage.until, self.steps), stage.batch_size);
        BatchSizes { stages: self.batch_schedule.iter().map(end).collect(), last: self.batch_size }
    }

    /// Images that the first `steps` steps see together.
    pub fn images_after(&self, steps: u64) -> u64 {
        self.batch_sizes().before(steps)
    }

    /// (the fewest, the most) images of a step.
    pub fn batch_range(&self) -> (usize, usize) {
        let sizes = || self.batch_schedule.iter().map(|stage| stage.batch_size).chain([self.batch_size]);
        (sizes().min().expect("there is one"), sizes().max().expect("there is one"))
    }

    /// The images of a step in words: `64 images`, `32 to 64 images`.
    pub fn batch_words(&self) -> String {
        match self.batch_range() {
            (least, most) if least == most => format!("{most} images"),
            (least, most) => format!("{least} to {most} images"),
        }
    }
}

impl RunSpec {
    /// The side of the images that the step after `step` steps trains on.
    pub fn side_at(&self, step: u64) -> usize {
        let mut stages = self.train.resolution_schedule.iter();
        let stage = stages.find(|stage| step < stage_end(stage.until, self.train.steps));
        stage.map_or(self.data.image_shape().1, |stage| stage.side)
    }

    /// The steps, from 0 in order, from which on a step is of another size than the one before: by schedules, and by masks, alignment and crops that end. Crops
    /// whose size each step draws are not told apart.
    pub fn phases(&self) -> Vec<u64> {
        let train = &self.train;
        let batches = train.batch_schedule.iter().map(|stage| stage_end(stage.until, train.steps));
        let sides = train.resolution_schedule.iter().map(|stage| stage_end(stage.until, train.steps));
        let aligned = self.auxiliary_losses.alignment.steps(train.steps);
        let ends = [0, self.token_masking.steps(train.steps), aligned];
        let mut starts: Vec<u64> = batches.chain(sides).chain(ends).collect();
        starts.extend(self.patch_diffusion.ends(train.steps));
        starts.retain(|start| *start < train.steps.max(1));
        starts.sort_unstable();
        starts.dedup();
        starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> RunSpec {
        let mut spec = RunSpec::default();
        spec.train.steps = 10;
        spec.train.batch_size = 8;
        spec.train.batch_schedule =
            vec![BatchStage { until: 0.2, batch_size: 2 }, BatchStage { until: 0.5, batch_size: 3 }];
        spec.train.resolution_schedule = vec![ResolutionStage { until: 0.4, side: 4 }];
        spec
    }

    #[test]
    fn images_are_those_of_the_steps_one_by_one() {
        let spec = spec();
        let sizes = spec.train.batch_sizes();
        let each: Vec<usize> = (0..12).map(|step| sizes.at(step)).collect();
        assert_eq!(each, [2, 2, 3, 3, 3, 8, 8, 8, 8, 8, 8, 8]);
        for steps in 0..12 {
            let sum: usize = each[..steps].iter().sum();
            assert_eq!(spec.train.images_after(steps as u64), sum as u64, "{steps}");
        }
        assert_eq!((spec.train.batch_range(), spec.train.batch_words()), ((2, 8), "2 to 8 images".to_owned()));
        assert_eq!(BatchSizes::from(64).before(1 << 40), 64 << 40);
    }

    #[test]
    fn the_last_step_is_of_full_size_however_late_a_stage_ends() {
        let mut spec = spec();
        assert_eq!((0..10).map(|step| spec.side_at(step)).collect::<Vec<_>>(), [[4; 4].as_slice(), &[8; 6]].concat());
        assert_eq!(spec.phases(), [0, 2, 4, 5]);
        spec.train.resolution_schedule[0].until = 0.99;
        assert_eq!((spec.side_at(8), spec.side_at(9), spec.phases()), (4, 8, vec![0, 2, 5, 9]));
        spec.train.steps = 1;
        assert_eq!((spec.side_at(0), spec.train.images_after(1), spec.phases()), (8, 8, vec![0]));
    }
}
