//! Notes on a plan that is valid but may disappoint.

use crate::optim::ema_decay;
use crate::spec::{FinalAt, Optimizer, Plan, PlannedRun, RunSpec, Target, Weights};

/// What the coverage of intervals over the band was measured with (results/reference/band-simulation.md).
const FEW_EVALUATIONS: u64 = 8;

/// A sentence each.
pub fn plan_notes(plan: &Plan) -> Vec<String> {
    [target(plan), evaluations(plan), average(plan), averaged_twice(plan), aligned_with_measure(plan), trainers(plan)]
        .into_iter()
        .flatten()
        .collect()
}

/// The target is one that the baseline's own runs may miss.
fn target(plan: &Plan) -> Option<String> {
    let Some(Target::Final { from, at: FinalAt::FinalMedian }) = &plan.compare.as_ref()?.target else { return None };
    Some(format!(
        "about half of the {} runs of `{from}` will never reach the median of their own last values, and have no time to it; \
         `at: final_worst` is reached by all of them",
        plan.seeds.len()
    ))
}

/// Too few evaluations for a curve, where arms are compared.
fn evaluations(plan: &Plan) -> Option<String> {
    plan.compare.as_ref()?;
    let of = |spec: &RunSpec| spec.train.steps / spec.evaluate.every;
    let least = plan.runs.iter().map(|run| of(&run.spec)).min().filter(|&count| count < FEW_EVALUATIONS)?;
    Some(format!(
        "a run is evaluated only {least} times, and intervals were tried out with {FEW_EVALUATIONS} or more; lower `evaluate.every`"
    ))
}

/// The averaged weights still hold the beginning of the run when it ends.
fn average(plan: &Plan) -> Option<String> {
    // At the end of the run.
    let span = |spec: &RunSpec| 1.0 / (1.0 - ema_decay(spec, spec.train.steps - 1));
    let measures_average = |spec: &RunSpec| match spec.evaluate.weights.compared() {
        Weights::Averaged => true,
        Weights::Raw => false,
        Weights::Own => spec.own_weights() == Weights::Averaged,
    };
    let own = plan.runs.iter().map(|run| &run.spec).filter(|spec| spec.trainer.is_none());
    let mut own = own.filter(|spec| measures_average(spec));
    let slow = own.find(|spec| 4.0 * span(spec) > spec.train.steps as f64)?;
    let key = if slow.train.ema.is_exponential() { "train.ema_decay" } else { "train.ema" };
    Some(format!(
        "`{key}` {} averages over about {:.0} steps of {}: the averaged weights, which are measured, lag behind",
        slow.train.average(),
        span(slow),
        slow.train.steps
    ))
}

/// Schedule-free weights are an average already.
fn averaged_twice(plan: &Plan) -> Option<String> {
    let is_averaged_twice = |spec: &RunSpec| {
        matches!(spec.optimizer, Optimizer::ScheduleFreeAdamw(_))
            && spec.evaluate.weights.compared() == Weights::Averaged
            && spec.trainer.is_none()
    };
    plan.runs.iter().any(|run| is_averaged_twice(&run.spec)).then(|| {
        "weights of `schedule_free_adamw` are averages already, and are measured here as averaged once more by `train.ema`; \
         `evaluate: { weights: own }` in `base` measures them as they are"
            .to_owned()
    })
}

/// What an arm is trained towards is what it is measured by.
fn aligned_with_measure(plan: &Plan) -> Option<String> {
    let follows = |spec: &RunSpec| {
        let alignment = &spec.auxiliary_losses.alignment;
        alignment.weight > 0.0 && alignment.encoder.features() == spec.evaluate.fid.features
    };
    let run = plan.runs.iter().map(|run| &run.spec).find(|spec| follows(spec))?;
    Some(format!(
        "`auxiliary_losses.alignment` trains towards `{}`, by whose features `evaluate.fid` measures: what it gains may be the measure's alone; \
         measure by other features",
        run.evaluate.fid.features.name()
    ))
}

/// The time of the user's own trainer is not known beforehand, nor whether it pairs runs.
fn trainers(plan: &Plan) -> Option<String> {
    let of = |run: &&PlannedRun| run.spec.trainer.as_ref().is_some_and(|trainer| !trainer.is_torch());
    let runs = plan.runs.iter().filter(of).count();
    if runs == 0 && plan.runs.iter().any(|run| run.spec.trainer.is_some()) {
        return Some("the estimate has no memory and disk of the runs that PyTorch trains, and their time only once some have ended".to_owned());
    }
    (runs > 0).then(|| {
        format!(
            "{runs} of {} runs are trained by a program of your own: the estimate has no memory and disk of them, and their time only once \
             some have ended; that program decides whether runs of one seed are paired",
            plan.runs.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plan::plan_text;

    fn notes(text: &str) -> Vec<String> {
        plan_notes(&plan_text(Path::new("sweep.yaml"), text, &[]).unwrap())
    }

    #[test]
    fn schedule_free_weights_that_are_averaged_once_more_are_told() {
        let of = |weights: &str| {
            notes(&format!(
                "base: {{ optimizer: {{ kind: schedule_free_adamw }}, train: {{ ema_decay: 0.9 }}, evaluate: {{ weights: {weights} }} }}"
            ))
        };
        assert!(of("averaged")[0].starts_with("weights of `schedule_free_adamw` are averages already"));
        assert_eq!((of("own"), of("raw")), (vec![], vec![]));
    }

    #[test]
    fn an_alignment_with_the_network_of_the_measure_is_told() {
        let of = |encoder: &str| {
            notes(&format!(
                "base: {{ model: {{ kind: dit }}, train: {{ ema_decay: 0.9 }}, auxiliary_losses: {{ alignment: {{ weight: 0.5, encoder: {encoder} }} }} }}"
            ))
        };
        assert!(
            of("digits-cnn")[0]
                .starts_with("`auxiliary_losses.alignment` trains towards `digits-cnn`, by whose features")
        );
        assert_eq!(of("efficientnet-lite0"), [""; 0]);
    }

    #[test]
    fn a_plan_that_may_disappoint_says_so_and_another_is_silent() {
        let sweep = |train: &str, every: u64, compare: &str| {
            format!(
                "base:\n  train: {train}\n  evaluate: {{ every: {every} }}\ncompare: {compare}\narms: {{ baseline: {{}}, other: {{ noise: {{ kind: immiscible }} }} }}\n"
            )
        };
        assert_eq!(notes(&sweep("{ steps: 1000, ema_decay: 0.99 }", 50, "{ baseline: baseline }")), [""; 0]);
        assert_eq!(
            notes(&sweep("{ steps: 1000, ema: { kind: power, sigma_rel: 0.1 } }", 50, "{ baseline: baseline }")),
            [""; 0]
        );
        let found =
            notes(&sweep("{ steps: 1000, ema: { kind: half_life, images: 32000 } }", 50, "{ baseline: baseline }"));
        assert!(
            found[0].starts_with("`train.ema` half_life(32000) averages over about 722 steps of 1000"),
            "{found:?}"
        );
        let found = notes(&sweep("{ steps: 100 }", 50, "{ target: { at: final_median } }"));
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("about half of the 3 runs of `baseline` will never reach"), "{}", found[0]);
        assert!(found[1].starts_with("a run is evaluated only 2 times"), "{}", found[1]);
        assert!(found[2].starts_with("`train.ema_decay` 0.999 averages over about 1000 steps of 100"), "{}", found[2]);
    }
}
