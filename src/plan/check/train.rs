//! Length, batch and averaging.

use super::rules::{
    Bound::{Above, AtLeast, AtMost, Below},
    LARGEST_BATCH, MOST_STEPS, Rules,
};
use crate::spec::{Ema, PowerEma, RunSpec};

/// A half-life above this is a slip.
const MOST_IMAGES: u64 = 1 << 50;

impl Rules {
    pub fn train(&mut self, spec: &RunSpec) {
        let train = &spec.train;
        self.size("train.steps", train.steps, 1, MOST_STEPS);
        self.size("train.batch_size", train.batch_size as u64, 1, LARGEST_BATCH);
        if train.warmup_steps > train.steps {
            let message =
                format!("`train.warmup_steps`, {}, is more than `train.steps`, {}", train.warmup_steps, train.steps);
            self.breaks(&["train.warmup_steps", "train.steps"], message, None);
        }
        self.fraction("train.clip_norm", train.clip_norm, &[AtLeast(0.0)]);
        self.fraction("train.ema_decay", train.ema_decay, &[AtLeast(0.0), Below(1.0)]);
        match &train.ema {
            Ema::Exponential(_) => {}
            Ema::HalfLife(half_life) => {
                self.size("train.ema.images", half_life.images, 1, MOST_IMAGES);
                self.fraction("train.ema.ramp_up", half_life.ramp_up, &[AtLeast(0.0), AtMost(1e3)]);
            }
            Ema::Power(power) => {
                let (least, most) = PowerEma::SIGMA_RELS.into_inner();
                self.fraction("train.ema.sigma_rel", power.sigma_rel, &[AtLeast(least), AtMost(most)]);
            }
        }
        self.size("train.post_hoc.every", train.post_hoc.every, 0, MOST_STEPS);
        if train.post_hoc.every > 0 && spec.trainer.is_some() {
            let message = "`train.post_hoc` is kept by Speedlab's own trainer alone".to_owned();
            self.breaks(&["train.post_hoc", "trainer"], message, Some("leave `trainer` out, or `train.post_hoc`"));
        }
        self.size("train.log_every", train.log_every, 1, MOST_STEPS);
        self.fraction("train.checkpoint_seconds", train.checkpoint_seconds, &[Above(0.0)]);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::plan::check::assert_broken;

    #[test]
    fn every_number_has_its_range() {
        let train = |key: &str, value: Json| json!({"train": {key: value}});
        assert_broken([
            (train("steps", json!(0)), "`train.steps` must be at least 1, not 0"),
            (train("batch_size", json!(0)), "`train.batch_size` must be at least 1, not 0"),
            (train("warmup_steps", json!(2001)), "`train.warmup_steps`, 2001, is more than `train.steps`, 2000"),
            (train("clip_norm", json!(-1)), "`train.clip_norm` must be at least 0, not -1"),
            (train("ema_decay", json!(1)), "`train.ema_decay` must be at least 0 and below 1, not 1"),
            (train("ema", json!({"kind": "half_life", "images": 0})), "`train.ema.images` must be at least 1, not 0"),
            (
                train("ema", json!({"kind": "half_life", "ramp_up": -0.05})),
                "`train.ema.ramp_up` must be at least 0 and at most 1000, not -0.05",
            ),
            (
                train("ema", json!({"kind": "power", "sigma_rel": 0.2887})),
                "`train.ema.sigma_rel` must be at least 0.0001 and at most 0.28, not 0.2887",
            ),
            (train("ema", json!({"kind": "power", "sigma_rel": 0.28})), ""),
            (
                json!({"train": {"post_hoc": {"every": 5}}, "trainer": "torch"}),
                "`train.post_hoc` is kept by Speedlab's own trainer alone",
            ),
            (train("log_every", json!(0)), "`train.log_every` must be at least 1, not 0"),
            (train("checkpoint_seconds", json!(0)), "`train.checkpoint_seconds` must be above 0, not 0"),
        ]);
    }
}
