//! Sizes of a step that change while a run trains.

use super::rules::{LARGEST_BATCH, Rules, show};
use crate::spec::{Model, RunSpec, stage_end};

const BATCH: &str = "train.batch_schedule";
const RESOLUTION: &str = "train.resolution_schedule";
/// More stages than these are a slip.
const MOST_STAGES: usize = 64;

impl Rules {
    pub fn schedules(&mut self, spec: &RunSpec) {
        let train = &spec.train;
        let ends: Vec<f64> = train.batch_schedule.iter().map(|stage| stage.until).collect();
        self.stages(BATCH, &ends, spec);
        for (entry, stage) in train.batch_schedule.iter().enumerate() {
            let size = stage.batch_size as u64;
            if !(1..=LARGEST_BATCH).contains(&size) {
                let message =
                    format!("entry {entry} of `{BATCH}`: `batch_size` must be from 1 to {LARGEST_BATCH}, not {size}");
                self.breaks(&[BATCH], message, None);
            }
        }
        let ends: Vec<f64> = train.resolution_schedule.iter().map(|stage| stage.until).collect();
        self.stages(RESOLUTION, &ends, spec);
        if !train.resolution_schedule.is_empty() && matches!(spec.model, Model::Uvit(_)) {
            let message = format!(
                "`{RESOLUTION}` needs positions at every size, and a `uvit` learns those of its own patches alone"
            );
            self.breaks(
                &[RESOLUTION, "model"],
                message,
                Some("a `dit` has fixed positions; `unet` and `adm` need none"),
            );
            return;
        }
        for (entry, stage) in train.resolution_schedule.iter().enumerate() {
            self.smaller_side(entry, stage.side, spec);
        }
    }

    /// The shares of the steps after which stages end.
    fn stages(&mut self, path: &'static str, ends: &[f64], spec: &RunSpec) {
        if ends.is_empty() {
            return;
        }
        if ends.len() > MOST_STAGES {
            let message = format!("`{path}` must have at most {MOST_STAGES} entries, not {}", ends.len());
            return self.breaks(&[path], message, None);
        }
        let mut before = 0.0;
        for (entry, &until) in ends.iter().enumerate() {
            // Stated so that NaN breaks it.
            if !(until > 0.0 && until < 1.0) {
                let message =
                    format!("entry {entry} of `{path}`: `until` must be above 0 and below 1, not {}", show(until));
                self.breaks(&[path], message, Some("after the last entry the rest of the steps is as without it"));
            } else if until <= before {
                let message =
                    format!("entry {entry} of `{path}` ends at {until}, not after the one before it, at {before}");
                self.breaks(&[path], message, Some("entries stand in the order of time"));
            } else if stage_end(until, spec.train.steps) == stage_end(before, spec.train.steps) {
                let message = format!("entry {entry} of `{path}` has none of the {} steps", spec.train.steps);
                self.breaks(&[path, "train.steps"], message, Some("a larger `until`, or more `train.steps`"));
            }
            before = until;
        }
        if spec.trainer.as_ref().is_some_and(|trainer| !trainer.is_torch()) {
            let message = format!("`{path}` is kept by Speedlab's own trainers alone");
            self.breaks(&[path, "trainer"], message, Some("leave it out, or `trainer`"));
        }
    }

    fn smaller_side(&mut self, entry: usize, side: usize, spec: &RunSpec) {
        let full = spec.data.image_shape().1;
        let of_entry = format!("entry {entry} of `{RESOLUTION}`");
        if side == 0 || side >= full || !full.is_multiple_of(side) {
            let message = format!(
                "{of_entry}: each pixel is the mean of a square of pixels, and images {full} pixels wide have no such squares for a `side` of {side}"
            );
            let sides: Vec<String> =
                (1..full).filter(|side| full.is_multiple_of(*side)).map(|side| side.to_string()).collect();
            let hint = format!("the sides are {}", sides.join(", "));
            return self.breaks(&[RESOLUTION, "data"], message, (!sides.is_empty()).then_some(hint.as_str()));
        }
        match &spec.model {
            Model::Unet(_) | Model::Adm(_) => {
                let levels = spec.model.levels();
                if levels > 1 && side.trailing_zeros() + 1 < levels as u32 {
                    let message = format!(
                        "{of_entry}: `model.channel_multipliers` asks for {levels} levels, but images {side} pixels wide can be halved {} times",
                        side.trailing_zeros()
                    );
                    let hint = "a larger `side`, or fewer levels";
                    self.breaks(&[RESOLUTION, "model.channel_multipliers"], message, Some(hint));
                }
            }
            Model::Dit(dit) if dit.patch > 0 && !side.is_multiple_of(dit.patch) => {
                let message =
                    format!("{of_entry}: patches of {} pixels do not divide images of side {side}", dit.patch);
                self.breaks(&[RESOLUTION, "model.patch"], message, None);
            }
            Model::Dit(_) | Model::Uvit(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::plan::check::assert_broken;

    fn with(stages: Json, more: Json) -> Json {
        let mut run = json!({ "train": { "resolution_schedule": stages } });
        for (key, value) in more.as_object().expect("a map") {
            run[key] = value.clone();
        }
        run
    }

    #[test]
    fn stages_stand_in_order_and_each_has_steps() {
        let batch = |stages: Json| json!({ "train": { "batch_schedule": stages } });
        let stage = |until: f64, batch_size: u64| json!({ "until": until, "batch_size": batch_size });
        assert_broken([
            (batch(json!([stage(0.3, 32), stage(0.5, 512)])), ""),
            (
                batch(json!([stage(1.0, 32)])),
                "entry 0 of `train.batch_schedule`: `until` must be above 0 and below 1, not 1",
            ),
            (
                batch(json!([stage(0.5, 32), stage(0.5, 48)])),
                "entry 1 of `train.batch_schedule` ends at 0.5, not after the one before it, at 0.5",
            ),
            (batch(json!([stage(0.0001, 32)])), "entry 0 of `train.batch_schedule` has none of the 2000 steps"),
            (
                batch(json!([stage(0.3, 0)])),
                "entry 0 of `train.batch_schedule`: `batch_size` must be from 1 to 32768, not 0",
            ),
            (
                json!({"train": {"batch_schedule": [stage(0.3, 8)]}, "trainer": {"command": ["a"]}}),
                "`train.batch_schedule` is kept by Speedlab's own trainers alone",
            ),
            (
                json!({"train": {"batch_schedule": [stage(0.3, 1)]}, "auxiliary_losses": {"contrastive": 0.05}}),
                "`auxiliary_losses.contrastive` compares images of a batch, and `train.batch_schedule` has a batch of 1",
            ),
        ]);
    }

    #[test]
    fn a_smaller_side_divides_that_of_the_data_and_fits_the_network() {
        let to = |side: u64| json!([{ "until": 0.25, "side": side }]);
        assert_broken([
            (with(to(4), json!({})), ""),
            (with(to(4), json!({"model": {"kind": "dit"}})), ""),
            (
                with(to(3), json!({})),
                "entry 0 of `train.resolution_schedule`: each pixel is the mean of a square of pixels, and images 8 pixels wide have no such squares \
                 for a `side` of 3",
            ),
            (
                with(to(8), json!({})),
                "entry 0 of `train.resolution_schedule`: each pixel is the mean of a square of pixels, and images 8 pixels wide have no such squares \
                 for a `side` of 8",
            ),
            (
                with(to(1), json!({})),
                "entry 0 of `train.resolution_schedule`: `model.channel_multipliers` asks for 2 levels, but images 1 pixels wide can be halved 0 times",
            ),
            (
                with(to(2), json!({"model": {"kind": "dit", "patch": 4}})),
                "entry 0 of `train.resolution_schedule`: patches of 4 pixels do not divide images of side 2",
            ),
            (
                with(to(4), json!({"model": {"kind": "uvit"}})),
                "`train.resolution_schedule` needs positions at every size, and a `uvit` learns those of its own patches alone",
            ),
            (
                with(to(4), json!({"model": {"kind": "dit", "depth": 4}, "token_routing": {"share": 0.1}})),
                "`token_routing.share`, 0.1, is none of the 4 patches of an image 4 pixels wide",
            ),
        ]);
    }
}
