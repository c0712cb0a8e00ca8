//! The ranges of a run's numbers, and the combinations that are impossible: a file for each section of the YAML.

mod adm;
mod alignment;
mod also;
mod auxiliary_losses;
mod data;
mod diffusion;
mod evaluate;
mod latents;
mod model;
mod mup;
mod observe;
mod optim;
mod patch_diffusion;
mod rules;
mod schedules;
mod token_masking;
mod token_routing;
mod train;
mod trainer;
mod transformers;

use crate::spec::RunSpec;
pub use rules::Range;
use rules::Rules;

/// A rule that a run breaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// The keys involved; the place of the first one that is written is where the problem is shown.
    pub paths: Vec<&'static str>,
    pub message: String,
    pub hint: Option<String>,
}

/// Every rule that the run breaks.
pub fn check(spec: &RunSpec) -> Vec<Violation> {
    apply(spec, Rules::default()).broken
}

/// The range of every number that the rules ask about in a run, by its path: those of the kinds that the run is of.
pub fn ranges(spec: &RunSpec) -> Vec<(&'static str, Range)> {
    apply(spec, Rules { ranges: Some(Vec::new()), ..Rules::default() }).ranges.unwrap_or_default()
}

fn apply(spec: &RunSpec, mut rules: Rules) -> Rules {
    rules.data(spec);
    rules.noise_schedule(spec);
    rules.parameterization(spec);
    rules.model(spec);
    rules.timestep_sampler(spec);
    rules.loss_weighting(spec);
    rules.auxiliary_losses(spec);
    rules.alignment(spec);
    rules.token_routing(spec);
    rules.token_masking(spec);
    rules.patch_diffusion(spec);
    rules.optimizer(spec);
    rules.mup(spec);
    rules.momentum(spec);
    rules.lr_schedule(spec);
    rules.train(spec);
    rules.schedules(spec);
    rules.evaluate(spec);
    rules.consistency(spec);
    rules.difficulty(spec);
    rules.trainer(spec);
    rules.also(spec);
    rules
}

/// Checks the default run with one part changed; the messages, a line each.
#[cfg(test)]
fn broken(changes: serde_json::Value) -> String {
    let spec: RunSpec = crate::spec::decode_json(&changes).unwrap();
    check(&spec).into_iter().map(|violation| violation.message).collect::<Vec<_>>().join("\n")
}

/// (changes, the messages that they bring).
#[cfg(test)]
#[track_caller]
fn assert_broken<const N: usize>(cases: [(serde_json::Value, &str); N]) {
    for (changes, messages) in cases {
        assert_eq!(broken(changes.clone()), messages, "{changes}");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_default_run_breaks_no_rule() {
        assert_eq!(broken(json!({})), "");
    }

    #[test]
    fn all_broken_rules_are_found_at_once() {
        let changes = json!({"train": {"steps": 0, "batch_size": 0, "ema_decay": 2}, "evaluate": {"every": 0}});
        assert_eq!(broken(changes).lines().count(), 4);
    }

    #[test]
    fn numbers_that_are_not_finite_break_their_range() {
        for value in [f64::NAN, f64::INFINITY] {
            let mut spec = RunSpec::default();
            spec.train.clip_norm = value;
            assert_eq!(check(&spec).len(), 1);
        }
    }
}
