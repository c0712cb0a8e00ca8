//! Optimizers, momentum and learning rates.

use super::rules::{
    Bound::{Above, AtLeast, AtMost, Below},
    MOST_STEPS, Rules, show,
};
use crate::spec::{LrSchedule, MomentumSchedule, Optimizer, RunSpec, Trainer, WsdLr};

impl Rules {
    pub fn optimizer(&mut self, spec: &RunSpec) {
        self.fraction("optimizer.learning_rate", spec.optimizer.learning_rate(), &[Above(0.0), AtMost(1e12)]);
        self.fraction("optimizer.beta1", spec.optimizer.beta1(), &[AtLeast(0.0), Below(1.0)]);
        let decay = [AtLeast(0.0), AtMost(1e6)];
        match &spec.optimizer {
            Optimizer::Adam(adam) => {
                self.fraction("optimizer.beta2", adam.beta2, &[AtLeast(0.0), Below(1.0)]);
                self.fraction("optimizer.epsilon", adam.epsilon, &[Above(0.0), AtMost(1.0)]);
            }
            Optimizer::Adamw(adamw) => {
                self.fraction("optimizer.beta2", adamw.beta2, &[AtLeast(0.0), Below(1.0)]);
                self.fraction("optimizer.epsilon", adamw.epsilon, &[Above(0.0), AtMost(1.0)]);
                self.fraction("optimizer.weight_decay", adamw.weight_decay, &decay);
            }
            Optimizer::ScheduleFreeAdamw(adamw) => {
                self.fraction("optimizer.beta2", adamw.beta2, &[AtLeast(0.0), Below(1.0)]);
                self.fraction("optimizer.epsilon", adamw.epsilon, &[Above(0.0), AtMost(1.0)]);
                self.fraction("optimizer.weight_decay", adamw.weight_decay, &decay);
                self.without_schedules(spec);
            }
            Optimizer::Soap(soap) => {
                self.fraction("optimizer.beta2", soap.beta2, &[AtLeast(0.0), Below(1.0)]);
                self.fraction("optimizer.epsilon", soap.epsilon, &[Above(0.0), AtMost(1.0)]);
                self.fraction("optimizer.weight_decay", soap.weight_decay, &decay);
                self.size("optimizer.refresh_every", soap.refresh_every, 1, MOST_STEPS);
                self.size("optimizer.largest_side", soap.largest_side as u64, 1, 65_536);
                self.not_of_torch(spec, "soap");
            }
            Optimizer::Muon(muon) => {
                self.fraction("optimizer.weight_decay", muon.weight_decay, &decay);
                self.size("optimizer.newton_schulz_steps", muon.newton_schulz_steps as u64, 1, 99);
                let others = &muon.others;
                self.fraction("optimizer.others.learning_rate", others.learning_rate, &[Above(0.0), AtMost(1e12)]);
                self.fraction("optimizer.others.beta1", others.beta1, &[AtLeast(0.0), Below(1.0)]);
                self.fraction("optimizer.others.beta2", others.beta2, &[AtLeast(0.0), Below(1.0)]);
                self.fraction("optimizer.others.epsilon", others.epsilon, &[Above(0.0), AtMost(1.0)]);
                self.fraction("optimizer.others.weight_decay", others.weight_decay, &decay);
            }
        }
        self.decay_of_a_step(spec);
    }

    /// Its average takes the place of schedules.
    fn without_schedules(&mut self, spec: &RunSpec) {
        if !matches!(spec.lr_schedule, LrSchedule::Constant(_)) {
            let message = format!(
                "`optimizer` of kind `schedule_free_adamw` has no schedule of the learning rate, and `lr_schedule` is `{}`",
                spec.lr_schedule.kind()
            );
            let hint = "write `lr_schedule: { kind: constant }` beside it; a warm-up is `train.warmup_steps`";
            self.breaks(&["lr_schedule", "optimizer"], message, Some(hint));
        }
        if !matches!(spec.momentum, MomentumSchedule::Constant(_)) {
            let message = format!(
                "the `beta1` of `schedule_free_adamw` is no momentum that could change, and `momentum` is `{}`",
                spec.momentum.kind()
            );
            self.breaks(&["momentum", "optimizer"], message, Some("write `momentum: { kind: constant }` beside it"));
        }
        self.not_of_torch(spec, "schedule_free_adamw");
    }

    /// The twin has not every optimizer.
    fn not_of_torch(&mut self, spec: &RunSpec, kind: &str) {
        if spec.trainer.as_ref().is_some_and(Trainer::is_torch) {
            let message = format!("`trainer: torch` has no `{kind}`");
            self.breaks(&["optimizer", "trainer"], message, Some("leave `trainer` out: Speedlab's own trainer has it"));
        }
    }

    /// A step that takes away a weight's whole size and more throws it to the other side of zero.
    fn decay_of_a_step(&mut self, spec: &RunSpec) {
        let mut within = |rate_path, rate: f64, decay_path, decay: f64| {
            if rate * decay >= 1.0 {
                let (rate, decay) = (show(rate), show(decay));
                let message = format!("`{decay_path}`, {decay}, times `{rate_path}`, {rate}, must be below 1");
                let hint = "a step multiplies the weights by 1 - learning_rate x weight_decay";
                self.breaks(&[decay_path, rate_path], message, Some(hint));
            }
        };
        match &spec.optimizer {
            Optimizer::Adam(_) => {}
            Optimizer::Adamw(adamw) => {
                within("optimizer.learning_rate", adamw.learning_rate, "optimizer.weight_decay", adamw.weight_decay);
            }
            Optimizer::ScheduleFreeAdamw(adamw) => {
                within("optimizer.learning_rate", adamw.learning_rate, "optimizer.weight_decay", adamw.weight_decay);
            }
            Optimizer::Soap(soap) => {
                within("optimizer.learning_rate", soap.learning_rate, "optimizer.weight_decay", soap.weight_decay);
            }
            Optimizer::Muon(muon) => {
                let others = &muon.others;
                within("optimizer.learning_rate", muon.learning_rate, "optimizer.weight_decay", muon.weight_decay);
                let paths = ("optimizer.others.learning_rate", "optimizer.others.weight_decay");
                within(paths.0, others.learning_rate, paths.1, others.weight_decay);
            }
        }
    }

    pub fn momentum(&mut self, spec: &RunSpec) {
        match &spec.momentum {
            MomentumSchedule::Constant(_) | MomentumSchedule::Demon(_) => {}
            MomentumSchedule::Linear(linear) => self.fraction("momentum.end", linear.end, &[AtLeast(0.0), Below(1.0)]),
            MomentumSchedule::Exponential(exponential) => {
                self.fraction("momentum.decay", exponential.decay, &[Above(0.0), AtMost(1.0)]);
                self.fraction("momentum.floor", exponential.floor, &[AtLeast(0.0), Below(1.0)]);
            }
        }
        self.momentum_from("optimizer.beta1", spec.optimizer.beta1(), &spec.momentum);
        if let Optimizer::Muon(muon) = &spec.optimizer {
            self.momentum_from("optimizer.others.beta1", muon.others.beta1, &spec.momentum);
        }
    }

    /// Whether the schedule can start at `beta1`.
    fn momentum_from(&mut self, path: &'static str, beta1: f64, momentum: &MomentumSchedule) {
        if let MomentumSchedule::Exponential(exponential) = momentum
            && exponential.floor > beta1
        {
            let (floor, beta1) = (show(exponential.floor), show(beta1));
            let message = format!("`momentum.floor`, {floor}, is above `{path}`, {beta1}, where it starts");
            self.breaks(&["momentum.floor", path, "momentum"], message, None);
        }
        if beta1 == 0.0 && matches!(momentum, MomentumSchedule::Demon(_) | MomentumSchedule::Exponential(_)) {
            let message = format!("`momentum` of kind `{}` has nothing to decay: `{path}` is 0", momentum.kind());
            let hint = format!("set `{path}`, 0.9 for example");
            self.breaks(&["momentum", path], message, Some(&hint));
        }
    }

    fn decay_after_warmup(&mut self, wsd: &WsdLr, spec: &RunSpec) {
        let stable = (1.0 - wsd.decay) * spec.train.steps as f64;
        if wsd.decay <= 1.0 && spec.train.warmup_steps as f64 > stable.max(0.0) {
            let message = format!(
                "the decay of `lr_schedule`, over the last {} of {} steps, begins before `train.warmup_steps`, {}, are over",
                show(wsd.decay),
                spec.train.steps,
                spec.train.warmup_steps
            );
            self.breaks(&["lr_schedule.decay", "train.warmup_steps", "lr_schedule"], message, None);
        }
    }

    pub fn lr_schedule(&mut self, spec: &RunSpec) {
        match &spec.lr_schedule {
            LrSchedule::Constant(_) => {}
            LrSchedule::Linear(linear) => self.fraction("lr_schedule.end", linear.end, &[AtLeast(0.0), AtMost(1e3)]),
            LrSchedule::Cosine(cosine) => self.fraction("lr_schedule.end", cosine.end, &[AtLeast(0.0), AtMost(1e3)]),
            LrSchedule::Wsd(wsd) => {
                self.fraction("lr_schedule.decay", wsd.decay, &[Above(0.0), AtMost(1.0)]);
                self.fraction("lr_schedule.end", wsd.end, &[AtLeast(0.0), AtMost(1e3)]);
                self.decay_after_warmup(wsd, spec);
            }
            LrSchedule::InverseSqrt(inverse) => {
                self.size("lr_schedule.reference_steps", inverse.reference_steps, 1, MOST_STEPS);
                if inverse.reference_steps >= spec.train.steps {
                    let message = format!(
                        "`lr_schedule.reference_steps`, {}, is not below `train.steps`, {}: the learning rate never falls",
                        inverse.reference_steps, spec.train.steps
                    );
                    let hint = "the steps after which it begins to fall: fewer than `train.steps`";
                    self.breaks(&["lr_schedule.reference_steps", "lr_schedule", "train.steps"], message, Some(hint));
                }
            }
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
    use serde_json::{Value as Json, json};

    use crate::plan::check::assert_broken;

    #[test]
    fn every_number_has_its_range() {
        let adam = |key: &str, value: f64| json!({"optimizer": {"kind": "adam", key: value}});
        let adamw = |key: &str, value: f64| json!({"optimizer": {"kind": "adamw", key: value}});
        let muon = |key: &str, value: Json| json!({"optimizer": {"kind": "muon", key: value}});
        let wsd = |key: &str, value: f64| json!({"lr_schedule": {"kind": "wsd", key: value}});
        let exponential = |key: &str, value: f64| json!({"momentum": {"kind": "exponential", key: value}});
        assert_broken([
            (adam("learning_rate", 0.0), "`optimizer.learning_rate` must be above 0 and at most 1000000000000, not 0"),
            (adam("beta1", 1.0), "`optimizer.beta1` must be at least 0 and below 1, not 1"),
            (adam("beta2", -1e-9), "`optimizer.beta2` must be at least 0 and below 1, not -1e-9"),
            (adam("epsilon", 0.0), "`optimizer.epsilon` must be above 0 and at most 1, not 0"),
            (adamw("weight_decay", -1.0), "`optimizer.weight_decay` must be at least 0 and at most 1000000, not -1"),
            (adamw("beta2", 1.0), "`optimizer.beta2` must be at least 0 and below 1, not 1"),
            (
                adamw("weight_decay", 1e3),
                "`optimizer.weight_decay`, 1000, times `optimizer.learning_rate`, 0.001, must be below 1",
            ),
            (
                json!({"optimizer": {"kind": "schedule_free_adamw", "beta2": 1.0, "weight_decay": 400.0}}),
                "`optimizer.beta2` must be at least 0 and below 1, not 1\n`optimizer.weight_decay`, 400, times \
                 `optimizer.learning_rate`, 0.0025, must be below 1",
            ),
            (
                json!({"optimizer": {"kind": "schedule_free_adamw"}, "lr_schedule": {"kind": "cosine"}, "momentum": {"kind": "demon"}}),
                "`optimizer` of kind `schedule_free_adamw` has no schedule of the learning rate, and `lr_schedule` is `cosine`\n\
                 the `beta1` of `schedule_free_adamw` is no momentum that could change, and `momentum` is `demon`",
            ),
            (json!({"optimizer": {"kind": "schedule_free_adamw"}, "train": {"warmup_steps": 9}}), ""),
            (
                json!({"optimizer": {"kind": "schedule_free_adamw"}, "trainer": "torch"}),
                "`trainer: torch` has no `schedule_free_adamw`",
            ),
            (muon("newton_schulz_steps", json!(0)), "`optimizer.newton_schulz_steps` must be at least 1, not 0"),
            (muon("beta1", json!(1.0)), "`optimizer.beta1` must be at least 0 and below 1, not 1"),
            (
                muon("weight_decay", json!(-0.1)),
                "`optimizer.weight_decay` must be at least 0 and at most 1000000, not -0.1",
            ),
            (muon("others", json!({"epsilon": 0})), "`optimizer.others.epsilon` must be above 0 and at most 1, not 0"),
            (
                muon("others", json!({"learning_rate": 0.5, "weight_decay": 2})),
                "`optimizer.others.weight_decay`, 2, times `optimizer.others.learning_rate`, 0.5, must be below 1",
            ),
            (
                json!({"optimizer": {"kind": "muon", "others": {"beta1": 0}}, "momentum": {"kind": "demon"}}),
                "`momentum` of kind `demon` has nothing to decay: `optimizer.others.beta1` is 0",
            ),
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
            (wsd("decay", 0.0), "`lr_schedule.decay` must be above 0 and at most 1, not 0"),
            (wsd("end", -0.5), "`lr_schedule.end` must be at least 0 and at most 1000, not -0.5"),
            (
                json!({"lr_schedule": {"kind": "wsd", "decay": 0.9}, "train": {"warmup_steps": 201}}),
                "the decay of `lr_schedule`, over the last 0.9 of 2000 steps, begins before `train.warmup_steps`, 201, are over",
            ),
            (json!({"lr_schedule": {"kind": "wsd", "decay": 0.5}, "train": {"warmup_steps": 1000}}), ""),
            (
                json!({"lr_schedule": {"kind": "inverse_sqrt", "reference_steps": 0}}),
                "`lr_schedule.reference_steps` must be at least 1, not 0",
            ),
            (
                json!({"lr_schedule": {"kind": "inverse_sqrt", "reference_steps": 2000}}),
                "`lr_schedule.reference_steps`, 2000, is not below `train.steps`, 2000: the learning rate never falls",
            ),
            (json!({"lr_schedule": {"kind": "inverse_sqrt", "reference_steps": 1999}}), ""),
            (
                json!({"lr_schedule": {"kind": "momentum_compensated"}}),
                "`lr_schedule` of kind `momentum_compensated` does nothing while `momentum` is constant",
            ),
        ]);
    }
}
