//! What was measured: as a table, and as JSON.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::measure::{Evaluated, OfRun};
use super::settings::{AVERAGE_LENGTH, Combination, short};
use crate::cli::table::new_table;
use crate::spec::Fid;

/// Whether the FIDs of two combinations say which is better: of as many images, compared with the same in the same features.
fn are_comparable(one: &Fid, other: &Fid) -> bool {
    one.compares_like(other) && one.samples == other.samples
}

fn fid(evaluated: &Evaluated) -> Option<f64> {
    let measures = evaluated.of_weights.first()?;
    measures.iter().find(|measure| measure.metric == "fid").map(|measure| measure.value)
}

/// The combinations whose FID is the lowest of those that are comparable with it, where there are several.
fn best_of(fids: &[Option<f64>], specs: &[&Fid]) -> BTreeSet<usize> {
    let is_best = |&index: &usize| {
        let Some(own) = fids[index] else { return false };
        let others = (0..fids.len()).filter(|&other| other != index && are_comparable(specs[index], specs[other]));
        let others: Vec<(usize, f64)> = others.filter_map(|other| Some((other, fids[other]?))).collect();
        // Of two alike, the first.
        !others.is_empty() && others.iter().all(|&(other, value)| own < value || (own == value && index < other))
    };
    (0..fids.len()).filter(is_best).collect()
}

impl OfRun {
    fn best(&self) -> BTreeSet<usize> {
        let fids: Vec<Option<f64>> = self.evaluations.iter().map(fid).collect();
        best_of(&fids, &self.fids())
    }

    fn fids(&self) -> Vec<&Fid> {
        self.evaluations.iter().map(|evaluated| &evaluated.spec.evaluate.fid).collect()
    }

    fn name(&self, studies: &BTreeSet<&PathBuf>) -> String {
        format!("{}, seed {}", with_study(&self.study, &self.planned.trial, studies), self.planned.seed)
    }
}

/// A trial's name, behind its study where there are several: behind the study's path where two have one name.
fn with_study(study: &Path, trial: &str, studies: &BTreeSet<&PathBuf>) -> String {
    let same = studies.iter().filter(|other| other.file_name() == study.file_name()).count();
    match study.file_name() {
        _ if studies.len() < 2 => trial.to_owned(),
        Some(name) if same == 1 => format!("{}/{trial}", name.display()),
        _ => format!("{}/{trial}", study.display()),
    }
}

/// An arm of which several runs were measured, and the medians of their FIDs by each combination.
struct OfArm<'r> {
    study: &'r Path,
    arm: &'r str,
    runs: usize,
    /// Only of combinations that all runs have values of.
    medians: Vec<Option<f64>>,
    best: BTreeSet<usize>,
}

/// By study and trial, where several runs of it were measured.
fn of_arms(runs: &[OfRun]) -> Vec<OfArm<'_>> {
    let name = |run: &'_ OfRun| (run.study.clone(), run.planned.trial.clone());
    let mut first_of_each: Vec<&OfRun> = Vec::new();
    for run in runs {
        if !first_of_each.iter().any(|other| name(other) == name(run)) {
            first_of_each.push(run);
        }
    }
    let of_arm = |first: &'_ OfRun| {
        let own: Vec<&OfRun> = runs.iter().filter(|run| name(run) == name(first)).collect();
        let median = |index: usize| {
            let values: Option<Vec<f64>> = own.iter().map(|run| fid(&run.evaluations[index])).collect();
            values.map(median)
        };
        let medians: Vec<Option<f64>> = (0..own[0].evaluations.len()).map(median).collect();
        let best = best_of(&medians, &own[0].fids());
        (own.len(), medians, best)
    };
    let mut found = Vec::new();
    for first in first_of_each {
        let (runs, medians, best) = of_arm(first);
        if runs > 1 {
            found.push(OfArm { study: &first.study, arm: &first.planned.trial, runs, medians, best });
        }
    }
    found
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { 0.5 * (values[middle - 1] + values[middle]) }
}

/// A row for each run, combination and kind of weights; and the best of arms of which several runs were measured.
pub fn table(combinations: &[Combination], runs: &[OfRun]) -> String {
    let keys = combinations[0].values.iter().map(|(key, _)| key.as_str());
    let changes_loss =
        |key: &str| key.starts_with("evaluate.validation") || key == "evaluate.weights" || key == AVERAGE_LENGTH;
    let shows_loss = keys.clone().any(changes_loss);
    let mut metrics: Vec<&str> = Vec::new();
    let measures = runs.iter().flat_map(|run| &run.evaluations).flat_map(|evaluated| &evaluated.of_weights).flatten();
    for measure in measures {
        let metric = measure.metric.as_str();
        if !metrics.contains(&metric) && (shows_loss || metric != "validation_loss") {
            metrics.push(metric);
        }
    }
    let studies: BTreeSet<&PathBuf> = runs.iter().map(|run| &run.study).collect();
    let several_weights = runs.iter().flat_map(|run| &run.evaluations).any(|evaluated| evaluated.of_weights.len() > 1);
    let mut header: Vec<&str> = vec!["run"];
    header.extend(keys.map(short));
    header.extend(several_weights.then_some("weights"));
    header.extend(&metrics);
    header.push("");
    let mut table = new_table(header);
    for run in runs {
        let best = run.best();
        for (index, (evaluated, combination)) in run.evaluations.iter().zip(combinations).enumerate() {
            let begins = || -> Vec<String> {
                let values = combination.values.iter().map(|(_, value)| value.clone());
                std::iter::once(run.name(&studies)).chain(values).collect()
            };
            if let Some(failed) = &evaluated.failed {
                let mut row = begins();
                row.resize(row.len() + metrics.len() + usize::from(several_weights), "–".to_owned());
                row.push(failed.clone());
                table.add_row(row);
            }
            for (place, measures) in evaluated.of_weights.iter().enumerate() {
                let mut row = begins();
                if several_weights {
                    let weights = evaluated.spec.evaluate.weights.each();
                    row.push(weights.get(place).map_or(String::new(), |weights| weights.name().to_owned()));
                }
                for metric in &metrics {
                    let found = measures.iter().find(|measure| measure.metric == *metric);
                    row.push(found.map_or("–".to_owned(), |measure| format!("{:.6}", measure.value)));
                }
                let missed = evaluated.average.filter(|_| place == 0).and_then(|average| average.much_missed());
                let notes = [
                    (place == 0 && best.contains(&index)).then(|| "lowest FID".to_owned()),
                    (!evaluated.is_new).then(|| "recorded before".to_owned()),
                    missed.map(|percent| format!("{percent} % of the average are missed")),
                ];
                row.push(notes.into_iter().flatten().collect::<Vec<_>>().join(", "));
                table.add_row(row);
            }
        }
    }
    let mut text = table.to_string();
    for OfArm { study, arm, runs, medians, best } in of_arms(runs) {
        let arm = with_study(study, arm, &studies);
        for index in best {
            let median = medians[index].expect("the best has a value");
            let at = combinations[index].words();
            text.push_str(&format!("\n{arm}: the lowest median FID of {runs} runs is {median:.6}, at {at}"));
        }
    }
    text
}

pub fn json(version: u32, combinations: &[Combination], runs: &[OfRun]) -> Value {
    let set = |combination: &Combination| -> Value {
        let values = combination.values.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str())));
        Value::Object(values.collect())
    };
    let of_run = |run: &OfRun| {
        let best = run.best();
        let of_combination = |(index, (evaluated, combination)): (usize, (&Evaluated, &Combination))| {
            json!({
                "set": set(combination),
                "new": evaluated.is_new,
                "lowest_fid": best.contains(&index),
                "measures": evaluated.of_weights.concat(),
                "missed": evaluated.average.map(|average| average.missed),
                "failed": evaluated.failed,
            })
        };
        let evaluations = run.evaluations.iter().zip(combinations).enumerate().map(of_combination);
        json!({
            "study": run.study,
            "run_id": run.planned.run_id,
            "trial": run.planned.trial,
            "arm": run.planned.arm,
            "seed": run.planned.seed,
            "step": run.step,
            "evaluations": evaluations.collect::<Vec<_>>(),
        })
    };
    let of_arm = |of_arm: &OfArm| {
        let by = of_arm.medians.iter().zip(combinations).enumerate().map(|(index, (median, combination))| {
            json!({ "set": set(combination), "median_fid": median, "lowest_fid": of_arm.best.contains(&index) })
        });
        json!({ "study": of_arm.study, "trial": of_arm.arm, "runs": of_arm.runs, "evaluations": by.collect::<Vec<_>>() })
    };
    json!({
        "version": version,
        "runs": runs.iter().map(of_run).collect::<Vec<_>>(),
        "trials": of_arms(runs).iter().map(of_arm).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_is_among_comparable_ones_and_needs_another() {
        let (fid, guided) = (Fid::default(), Fid { guidance: 2.0, ..Fid::default() });
        let fewer = Fid { samples: 300, ..Fid::default() };
        let best = |fids: &[Option<f64>], specs: &[&Fid]| best_of(fids, specs).into_iter().collect::<Vec<_>>();
        assert_eq!(best(&[Some(3.0), Some(2.0), Some(1.0)], &[&fid, &guided, &fewer]), [1]);
        assert_eq!(best(&[Some(3.0), Some(3.0)], &[&fid, &guided]), [0]);
        assert_eq!(best(&[Some(3.0), None], &[&fid, &guided]), [0; 0]);
    }

    #[test]
    fn arms_of_two_studies_with_one_name_are_two() {
        let run = |study: &str, seed| {
            let spec = crate::spec::RunSpec { seed, ..Default::default() };
            let planned = crate::spec::PlannedRun::of_baseline(spec.clone());
            let measure =
                crate::event::Measure { metric: "fid".into(), protocol: "n=20".into(), value: 1.0 + seed as f64 };
            let evaluated =
                Evaluated { spec, is_new: true, of_weights: vec![vec![measure]], average: None, failed: None };
            OfRun { study: study.into(), planned, step: 60, evaluations: vec![evaluated] }
        };
        let runs = [run("a/x", 0), run("a/x", 1), run("b/x", 7), run("a/y", 7), run("a/y", 8)];
        let found: Vec<(&Path, usize, Option<f64>)> =
            of_arms(&runs).iter().map(|arm| (arm.study, arm.runs, arm.medians[0])).collect();
        assert_eq!(found, [(Path::new("a/x"), 2, Some(1.5)), (Path::new("a/y"), 2, Some(8.5))]);
        let studies: BTreeSet<&PathBuf> = runs.iter().map(|run| &run.study).collect();
        let names = ["a/x", "b/x", "a/y"].map(|study| with_study(study.as_ref(), "ema", &studies));
        assert_eq!(names, ["a/x/ema", "b/x/ema", "y/ema"]);
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0])), (2.0, 2.5));
    }
}
