//! What is observed beside quality: consistency and learning difficulty.

use super::rules::{MOST_STEPS, Rules};
use crate::spec::{OdeSampler, RunSpec};

impl Rules {
    pub fn consistency(&mut self, spec: &RunSpec) {
        let consistency = &spec.evaluate.consistency;
        if consistency.images == 0 {
            if consistency.every > 0 {
                let message = "`evaluate.consistency.every` says when images are kept, but `images` is 0".to_owned();
                let hint = "say how many, as in `consistency: { images: 128 }`";
                self.breaks(&["evaluate.consistency.every", "evaluate.consistency.images"], message, Some(hint));
            }
            return;
        }
        // Alike is more alike than from another noise, so that there must be another.
        self.size("evaluate.consistency.images", consistency.images as u64, 2, 1 << 16);
        self.multiple_of_evaluations("evaluate.consistency.every", consistency.every, spec);
        if !spec.evaluate.fid.ode.is_deterministic() {
            let path = match &spec.evaluate.fid.ode {
                OdeSampler::Ddim(_) => "evaluate.fid.ode.eta",
                _ => "evaluate.fid.ode",
            };
            let message =
                "`evaluate.consistency` compares what runs make of one noise, and this sampler adds more on the way"
                    .to_owned();
            let hint = "`ode: { kind: ddim }` with `eta: 0`, `euler`, `heun` and `dpm_solver_pp` add none";
            self.breaks(&[path, "evaluate.consistency.images"], message, Some(hint));
        }
    }

    pub fn difficulty(&mut self, spec: &RunSpec) {
        let difficulty = &spec.evaluate.difficulty;
        if difficulty.images == 0 {
            if difficulty.every > 0 {
                let message =
                    "`evaluate.difficulty.every` says when gradients are measured, but `images` is 0".to_owned();
                let hint = "say of how many, as in `difficulty: { images: 16 }`";
                self.breaks(&["evaluate.difficulty.every", "evaluate.difficulty.images"], message, Some(hint));
            }
            return;
        }
        let held_out = spec.evaluate.validation.images;
        if difficulty.images > held_out {
            let message = format!(
                "`evaluate.difficulty.images`, {}, is more than `evaluate.validation.images`, {held_out}",
                difficulty.images
            );
            self.breaks(&["evaluate.difficulty.images", "evaluate.validation.images"], message, None);
        }
        self.multiple_of_evaluations("evaluate.difficulty.every", difficulty.every, spec);
    }

    /// Whatever is measured is measured at evaluations alone.
    fn multiple_of_evaluations(&mut self, path: &'static str, every: u64, spec: &RunSpec) {
        self.size(path, every, 0, MOST_STEPS);
        let evaluations = spec.evaluate.every;
        if evaluations > 0 && !every.is_multiple_of(evaluations) {
            let message = format!("`{path}`, {every}, is no multiple of `evaluate.every`, {evaluations}");
            self.breaks(&[path, "evaluate.every"], message, Some("it is done at evaluations alone"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::assert_broken;

    #[test]
    fn consistency_needs_two_images_a_deterministic_sampler_and_evaluations() {
        let with = |consistency: serde_json::Value, ode: serde_json::Value| json!({"evaluate": {"every": 40, "consistency": consistency, "fid": {"ode": ode}}});
        let adds = "`evaluate.consistency` compares what runs make of one noise, and this sampler adds more on the way";
        assert_broken([
            (with(json!({"images": 64, "every": 80}), json!({"kind": "heun"})), ""),
            (
                with(json!({"images": 1}), json!({"kind": "ddim"})),
                "`evaluate.consistency.images` must be at least 2, not 1",
            ),
            (with(json!({"images": 8}), json!({"kind": "ddpm"})), adds),
            (with(json!({"images": 8}), json!({"kind": "ddim", "eta": 0.5})), adds),
            (with(json!({}), json!({"kind": "ddpm"})), ""),
            (
                with(json!({"images": 8, "every": 60}), json!({"kind": "ddim"})),
                "`evaluate.consistency.every`, 60, is no multiple of `evaluate.every`, 40",
            ),
            (
                with(json!({"every": 40}), json!({"kind": "ddim"})),
                "`evaluate.consistency.every` says when images are kept, but `images` is 0",
            ),
        ]);
    }

    #[test]
    fn difficulty_is_measured_on_validation_images_at_evaluations() {
        let with = |difficulty: serde_json::Value| json!({"evaluate": {"every": 40, "difficulty": difficulty}});
        assert_broken([
            (with(json!({"images": 64, "every": 80})), ""),
            (
                with(json!({"images": 65})),
                "`evaluate.difficulty.images`, 65, is more than `evaluate.validation.images`, 64",
            ),
            (
                with(json!({"images": 8, "every": 50})),
                "`evaluate.difficulty.every`, 50, is no multiple of `evaluate.every`, 40",
            ),
            (
                with(json!({"every": 40})),
                "`evaluate.difficulty.every` says when gradients are measured, but `images` is 0",
            ),
        ]);
    }
}
