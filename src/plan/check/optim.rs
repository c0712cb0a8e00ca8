//! Optimizers, momentum and learning rates.

use super::rules::{
    Bound::{Above, AtLeast, AtMost, Below},
    Rules, show,
};
use crate::spec::{LrSchedule, MomentumSchedule, Optimizer, RunSpec};

impl Rules {
    pub fn optimizer(&mut self, spec: &RunSpec) {
        let Optimizer::Adam(adam) = &spec.optimizer;
        self.fraction("optimizer.learning_rate", adam.learning_rate, &[Above(0.0), AtMost(1e12)]);
        self.fraction("optimizer.beta1", adam.beta1, &[AtLeast(0.0), Below(1.0)]);
        self.fraction("optimizer.beta2", adam.beta2, &[AtLeast(0.0), Below(1.0)]);
        self.fraction("optimizer.epsilon", adam.epsilon, &[Above(0.0), AtMost(1.0)]);
    }

    pub fn momentum(&mut self, spec: &RunSpec) {
        let Optimizer::Adam(adam) = &spec.optimizer;
        match &spec.momentum {
            MomentumSchedule::Constant(_) | MomentumSchedule::Demon(_) => {}
            MomentumSchedule::Linear(linear) => self.fraction("momentum.end", linear.end, &[AtLeast(0.0), Below(1.0)]),
            MomentumSchedule::Exponential(exponential) => {
                self.fraction("momentum.decay", exponential.decay, &[Above(0.0), AtMost(1.0)]);
                self.fraction("momentum.floor", exponential.floor, &[AtLeast(0.0), Below(1.0)]);
                if exponential.floor > adam.beta1 {
                    let (floor, beta1) = (show(exponential.floor), show(adam.beta1));
                    let message =
                        format!("`momentum.floor`, {floor}, is above `optimizer.beta1`, {beta1}, where it starts");
                    self.breaks(&["momentum.floor", "optimizer.beta1", "momentum"], message, None);
                }
            }
        }
        if adam.beta1 == 0.0 && matches!(spec.momentum, MomentumSchedule::Demon(_) | MomentumSchedule::Exponential(_)) {
            let message =
                format!("`momentum` of kind `{}` has nothing to decay: `optimizer.beta1` is 0", spec.momentum.kind());
            self.breaks(&["momentum", "optimizer.beta1"], message, Some("set `optimizer.beta1`, 0.9 for example"));
        }
    }

    pub fn lr_schedule(&mut self, spec: &RunSpec) {
        match &spec.lr_schedule {
            LrSchedule::Constant(_) => {}
            LrSchedule::Linear(linear) => self.fraction("lr_schedule.end", linear.end, &[AtLeast(0.0), AtMost(1e3)]),
            LrSchedule::Cosine(cosine) => self.fraction("lr_schedule.end", cosine.end, &[AtLeast(0.0), AtMost(1e3)]),
            LrSchedule::MomentumCompensated(_) => {
                if matches!(spec.momentum, MomentumSchedule::Constant(_)) {
                    let message =
                        "`lr_schedule` of kind `momentum_compensated` does nothing while `momentum` is constant"
                            .to_owned();
                    let hint = "set `momentum: { kind: demon }`, or take `lr_schedule: { kind: constant }`";
                    self.breaks(&["lr_schedule", "momentum"], message, Some(hint));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::plan::check::assert_broken;

    #[test]
    fn every_number_has_its_range() {
        let adam = |key: &str, value: f64| json!({"optimizer": {"kind": "adam", key: value}});
        let exponential = |key: &str, value: f64| json!({"momentum": {"kind": "exponential", key: value}});
        assert_broken([
            (adam("learning_rate", 0.0), "`optimizer.learning_rate` must be above 0 and at most 1000000000000, not 0"),
            (adam("beta1", 1.0), "`optimizer.beta1` must be at least 0 and below 1, not 1"),
            (adam("beta2", -1e-9), "`optimizer.beta2` must be at least 0 and below 1, not -1e-9"),
            (adam("epsilon", 0.0), "`optimizer.epsilon` must be above 0 and at most 1, not 0"),
            (
                json!({"momentum": {"kind": "linear", "end": 1.0}}),
                "`momentum.end` must be at least 0 and below 1, not 1",
            ),
            (exponential("decay", 1.5), "`momentum.decay` must be above 0 and at most 1, not 1.5"),
            (exponential("floor", -0.5), "`momentum.floor` must be at least 0 and below 1, not -0.5"),
            (exponential("floor", 0.95), "`momentum.floor`, 0.95, is above `optimizer.beta1`, 0.9, where it starts"),
            (
                json!({"optimizer": {"kind": "adam", "beta1": 0}, "momentum": {"kind": "demon"}}),
                "`momentum` of kind `demon` has nothing to decay: `optimizer.beta1` is 0",
            ),
            (
                json!({"lr_schedule": {"kind": "linear", "end": -1}}),
                "`lr_schedule.end` must be at least 0 and at most 1000, not -1",
            ),
            (
                json!({"lr_schedule": {"kind": "cosine", "end": -1}}),
                "`lr_schedule.end` must be at least 0 and at most 1000, not -1",
            ),
            (
                json!({"lr_schedule": {"kind": "momentum_compensated"}}),
                "`lr_schedule` of kind `momentum_compensated` does nothing while `momentum` is constant",
            ),
        ]);
    }
}
