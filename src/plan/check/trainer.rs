//! A trainer of the user's own.

use super::rules::{
    Bound::{AtLeast, AtMost},
    Rules,
};
use crate::spec::RunSpec;

/// Set by Speedlab, and what its own variables begin with.
const OURS: &str = "SPEEDLAB_";
const LONGEST_GRACE: f64 = 3600.0;

impl Rules {
    pub fn trainer(&mut self, spec: &RunSpec) {
        let Some(trainer) = &spec.trainer else { return };
        if trainer.command.first().is_none_or(|program| program.trim().is_empty()) {
            let hint = "write `command: [python3, train.py]`";
            self.breaks(&["trainer.command", "trainer"], "`trainer` has no `command`".to_owned(), Some(hint));
        }
        if trainer.is_torch() && !trainer.inputs.is_empty() {
            let message = "`trainer.inputs` belongs to a program of your own, and `torch` is Speedlab's".to_owned();
            self.breaks(&["trainer.inputs"], message, Some("write `trainer: torch`"));
        }
        let unfit = |text: &&String| text.contains('\0');
        if let Some(word) = trainer.command.iter().chain(trainer.env.values()).find(unfit) {
            self.breaks(&["trainer"], format!("a word of `trainer` holds a NUL: {word:?}"), None);
        }
        for name in trainer.env.keys() {
            if name.is_empty() || name.contains(['=', '\0']) {
                self.breaks(&["trainer.env"], format!("{name:?} is no name of an environment variable"), None);
            } else if name.starts_with(OURS) {
                let message = format!("`trainer.env` sets `{name}`, which Speedlab sets itself");
                self.breaks(&["trainer.env"], message, Some("give the program's settings in `params`"));
            }
        }
        self.fraction("trainer.stop_grace", trainer.stop_grace, &[AtLeast(0.0), AtMost(LONGEST_GRACE)]);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::plan::check::assert_broken;

    #[test]
    fn a_trainer_has_a_command_and_a_sound_environment() {
        let with = |changes: serde_json::Value| {
            let mut trainer = json!({ "command": ["train"] });
            trainer.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            json!({ "trainer": trainer })
        };
        assert_broken([
            (with(json!({})), ""),
            (json!({ "trainer": {} }), "`trainer` has no `command`"),
            (with(json!({ "command": [" "] })), "`trainer` has no `command`"),
            (with(json!({ "env": { "A=B": "1" } })), "\"A=B\" is no name of an environment variable"),
            (
                with(json!({ "env": { "SPEEDLAB_RUN": "x" } })),
                "`trainer.env` sets `SPEEDLAB_RUN`, which Speedlab sets itself",
            ),
            (with(json!({ "stop_grace": -1 })), "`trainer.stop_grace` must be at least 0 and at most 3600, not -1"),
        ]);
    }
}
