//! Terms that are added to the loss.

use super::rules::{
    Bound::{Above, AtLeast, AtMost, Below},
    Rules,
};
use crate::spec::{DispersiveLoss, Model, RunSpec};

impl Rules {
    pub fn auxiliary_losses(&mut self, spec: &RunSpec) {
        let losses = &spec.auxiliary_losses;
        // At 1 nothing of the loss is left.
        self.fraction("auxiliary_losses.contrastive", losses.contrastive, &[AtLeast(0.0), Below(1.0)]);
        if losses.contrastive > 0.0 {
            self.several_images("auxiliary_losses.contrastive", "auxiliary_losses.contrastive", spec);
        }
        let dispersive = &losses.dispersive;
        self.fraction("auxiliary_losses.dispersive.weight", dispersive.weight, &[AtLeast(0.0), AtMost(1e3)]);
        self.fraction("auxiliary_losses.dispersive.temperature", dispersive.temperature, &[Above(0.0), AtMost(1e6)]);
        self.size("auxiliary_losses.dispersive.block", dispersive.block as u64, 1, 1 << 16);
        if dispersive.weight == 0.0 {
            if *dispersive != DispersiveLoss::default() {
                let message = "`auxiliary_losses.dispersive` does nothing without a `weight`".to_owned();
                let paths = ["auxiliary_losses.dispersive.block", "auxiliary_losses.dispersive.temperature"];
                self.breaks(&paths, message, Some("the paper's is `weight: 0.5`"));
            }
            return;
        }
        self.several_images("auxiliary_losses.dispersive", "auxiliary_losses.dispersive.weight", spec);
        let paths = ["auxiliary_losses.dispersive.block", "auxiliary_losses.dispersive.weight", "model.depth"];
        match &spec.model {
            Model::Dit(_) | Model::Uvit(_) => {
                let depth = spec.model.blocks();
                if dispersive.block > depth {
                    let message = format!(
                        "`auxiliary_losses.dispersive.block`, {}, is more than the {depth} blocks of the network",
                        dispersive.block
                    );
                    self.breaks(&paths, message, None);
                }
            }
            Model::Unet(_) | Model::Adm(_) => {
                let message = format!(
                    "`auxiliary_losses.dispersive` compares tokens, and a network of kind `{}` has none",
                    spec.model.kind()
                );
                let hint = "`model: { kind: dit }` and `uvit` have tokens";
                self.breaks(&["auxiliary_losses.dispersive.weight", "model"], message, Some(hint));
            }
        }
    }

    /// Every batch has images to compare.
    fn several_images(&mut self, loss: &str, path: &'static str, spec: &RunSpec) {
        if spec.train.batch_size < 2 {
            let message = format!("`{loss}` compares images of a batch, and `train.batch_size` is 1");
            self.breaks(&[path, "train.batch_size"], message, None);
        } else if spec.train.batch_range().0 < 2 {
            let message = format!("`{loss}` compares images of a batch, and `train.batch_schedule` has a batch of 1");
            self.breaks(&[path, "train.batch_schedule"], message, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::plan::check::assert_broken;

    #[test]
    fn every_number_has_its_range_and_a_dispersion_needs_tokens() {
        let contrastive = |value: f64| json!({"auxiliary_losses": {"contrastive": value}});
        let dispersive = |model: &str, settings: Json| json!({"model": {"kind": model}, "auxiliary_losses": {"dispersive": settings}});
        assert_broken([
            (contrastive(0.05), ""),
            (contrastive(1.0), "`auxiliary_losses.contrastive` must be at least 0 and below 1, not 1"),
            (
                json!({"auxiliary_losses": {"contrastive": 0.05}, "train": {"batch_size": 1}}),
                "`auxiliary_losses.contrastive` compares images of a batch, and `train.batch_size` is 1",
            ),
            (
                dispersive("dit", json!({"weight": -1.0})),
                "`auxiliary_losses.dispersive.weight` must be at least 0 and at most 1000, not -1",
            ),
            (
                dispersive("dit", json!({"weight": 0.5, "temperature": 0.0})),
                "`auxiliary_losses.dispersive.temperature` must be above 0 and at most 1000000, not 0",
            ),
            (dispersive("dit", json!({"weight": 0.5, "block": 4})), ""),
            (dispersive("dit", json!({"block": 2})), "`auxiliary_losses.dispersive` does nothing without a `weight`"),
            (
                json!({
                    "model": {"kind": "dit"}, "auxiliary_losses": {"dispersive": {"weight": 0.5}},
                    "train": {"batch_size": 1},
                }),
                "`auxiliary_losses.dispersive` compares images of a batch, and `train.batch_size` is 1",
            ),
            (
                dispersive("dit", json!({"weight": 0.5, "block": 5})),
                "`auxiliary_losses.dispersive.block`, 5, is more than the 4 blocks of the network",
            ),
            (dispersive("uvit", json!({"weight": 0.5, "block": 5})), ""),
            (
                dispersive("unet", json!({"weight": 0.5})),
                "`auxiliary_losses.dispersive` compares tokens, and a network of kind `unet` has none",
            ),
        ]);
    }
}
