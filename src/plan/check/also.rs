//! The further protocols of `evaluate.also`.

use super::rules::Rules;
use crate::spec::{Fid, FidProtocol, RunSpec};

/// More entries than these are a slip.
const MOST_ENTRIES: usize = 64;
const KEY: &str = "evaluate.also";

impl Rules {
    /// The rules of `evaluate.fid`, for each entry in its place.
    pub fn also(&mut self, spec: &RunSpec) {
        let entries = spec.evaluate.also.len();
        if entries == 0 {
            return;
        }
        if entries > MOST_ENTRIES {
            self.breaks(&[KEY], format!("`{KEY}` must have at most {MOST_ENTRIES} entries, not {entries}"), None);
            return;
        }
        if let Some(trainer) = &spec.trainer {
            let message = format!(
                "`{KEY}` needs Speedlab's own trainer, and `{}` generates images by `evaluate.fid` alone",
                trainer.in_words()
            );
            self.breaks(&[KEY, "trainer"], message, Some("leave it out, or `trainer`"));
        }
        // Values of one protocol would be recorded twice.
        let protocol = |by: &RunSpec| {
            let Fid { reference_folder, reference_file, weights, .. } = by.evaluate.fid.clone();
            (FidProtocol::of(by, None, "").to_string(), reference_folder, reference_file, weights)
        };
        let mut known = Vec::new();
        for (entry, by) in spec.by_each_fid().enumerate() {
            let (own, of_entry) = (protocol(&by), format!("entry {entry} of `{KEY}`"));
            if let Some(same) = known.iter().position(|other| *other == own) {
                let same = if same == 0 { "`evaluate.fid`".to_owned() } else { format!("entry {same}") };
                let message = format!("{of_entry} measures as {same} does");
                self.breaks(&[KEY], message, Some("change something in it, or leave it out"));
            }
            known.push(own);
            if entry == 0 {
                continue;
            }
            let mut rules = Self::default();
            rules.protocol(&by);
            for broken in rules.broken {
                // The same is wrong with what the entry takes over, which is said already.
                if !self.broken.contains(&broken) {
                    let plain = |text: &str| text.replace("`evaluate.fid.", "`");
                    let message = format!("{of_entry}: {}", plain(&broken.message));
                    self.breaks(&[KEY], message, broken.hint.as_deref().map(plain).as_deref());
                }
            }
        }
    }

    /// How images are generated and what they are compared with.
    fn protocol(&mut self, spec: &RunSpec) {
        if let Some(latents) = spec.data.latents() {
            self.protocol_of_latents(latents, spec);
        }
        self.reference(spec);
        self.features(spec);
        self.guidance(spec);
        self.fid(spec);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::plan::check::assert_broken;

    #[test]
    fn an_entry_keeps_the_rules_of_what_it_stands_for_and_measures_something_else() {
        let also = |fid: serde_json::Value, also: serde_json::Value| json!({"evaluate": {"fid": fid, "also": also}});
        let ode = |steps: usize| json!({"ode": {"kind": "ddim", "steps": steps}});
        let fine = json!({"samples": 300});
        assert_broken([
            (also(fine.clone(), json!([ode(5), {"samples": 301}])), ""),
            (
                also(fine.clone(), json!([ode(1001)])),
                "entry 1 of `evaluate.also`: `ode.steps`, 1001, is more than `noise_schedule.timesteps`, 1000",
            ),
            (
                also(fine.clone(), json!([ode(5), {"samples": 1}])),
                "entry 2 of `evaluate.also`: `samples` must be at least 2, not 1",
            ),
            (
                also(fine.clone(), json!([{"guidance": 2}])),
                "entry 1 of `evaluate.also`: `guidance` needs a model that is told classes",
            ),
            (
                also(fine.clone(), json!([{"features": "mnist-cnn"}])),
                "entry 1 of `evaluate.also`: features `mnist-cnn` are of grey 28x28 images, those of `data` are grey 8x8",
            ),
            (
                also(fine.clone(), json!([{"samples": 300}])),
                "entry 1 of `evaluate.also` measures as `evaluate.fid` does",
            ),
            (also(fine.clone(), json!([ode(5), ode(5)])), "entry 2 of `evaluate.also` measures as entry 1 does"),
            // What is wrong in both is said once.
            (
                also(json!({"samples": 1}), json!([{"samples": 1, "resize": "none", "ode": {"kind": "heun"}}])),
                "`evaluate.fid.samples` must be at least 2, not 1",
            ),
            (
                json!({"trainer": {"command": ["train"]}, "evaluate": {"also": [ode(5)]}}),
                "`evaluate.also` needs Speedlab's own trainer, and `train` generates images by `evaluate.fid` alone",
            ),
            (json!({"evaluate": {"also": vec![ode(5); 65]}}), "`evaluate.also` must have at most 64 entries, not 65"),
        ]);
    }
}
