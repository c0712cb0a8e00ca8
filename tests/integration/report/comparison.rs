//! Who was sooner, by how much and how surely.

use std::fs;
use std::path::Path;

use speedlab::event::RunOutcome;
use speedlab::record::{Row, RunState, StudyRecord};
use speedlab::report::{
    Bracket, Comparison, Estimate, Interval, NoBand, NoFit, NoSpeedup, Pairing, SeedTime, TimeToTarget, Verdict,
    speedup, write,
};
use speedlab::spec::RunSpec;

use super::synthetic::{self, Synthetic, cut};
use super::{folder, found, indices, reaching};

#[test]
fn ratios_and_intervals_are_scipys() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("../../golden/speedup.json")).expect("JSON");
    for (kind, offset) in [("paired", 0), ("welch", 1000)] {
        let cases = golden[kind].as_array().expect("a list");
        assert_eq!(cases.len(), 6);
        for case in cases {
            let times = |key: &str, offset: u64| -> Vec<SeedTime> {
                let times = case[key].as_array().expect("a list").iter().map(|time| time.as_f64().expect("a number"));
                times
                    .enumerate()
                    .map(|(seed, at)| {
                        // Brackets so narrow that they add nothing to the variance.
                        let bracket = Bracket { before: at * (1.0 - 1e-12), at };
                        SeedTime {
                            seed: seed as u64 + offset,
                            time: TimeToTarget::Reached { bracket, interpolated: None },
                        }
                    })
                    .collect()
            };
            let result = speedup(&times("baseline", 0), &times("candidate", offset));
            assert_eq!(matches!(result.pairing, Pairing::Paired { .. }), kind == "paired");
            let Estimate::Measured { speedup, interval: Some(interval), .. } = result.estimate else {
                panic!("{kind}: {result:?}")
            };
            for (value, key) in [(speedup, "ratio"), (interval.low, "low"), (interval.high, "high")] {
                let expected = case[key].as_f64().expect("a number");
                assert!((value / expected - 1.0).abs() < 1e-9, "{kind} {key}: {value} is not {expected}");
            }
        }
    }
}

#[test]
fn a_true_speedup_is_found_and_none_is_found_where_there_is_none() {
    let study = reaching();
    let comparison = Comparison::of(&study);
    for (arm, truth, step_cost, verdict) in [
        ("clts", 1.55, 1.03, Verdict::Faster),
        ("clts+mdlrc", 1.9, 1.03, Verdict::Faster),
        ("same-lr", 1.0, 1.0, Verdict::NotDistinguishable),
    ] {
        for (cost, truth) in [(0, truth), (1, truth / step_cost)] {
            let speedup = found(&comparison, arm, cost).as_ref().expect("it is compared");
            let Estimate::Measured { interval: Some(interval), .. } = speedup.estimate else {
                panic!("{arm}: {speedup:?}")
            };
            assert!(interval.low < truth && truth < interval.high, "{arm}: {truth} is not in {interval:?}");
            assert_eq!(speedup.verdict, verdict, "{arm}");
            assert_eq!(speedup.pairing, Pairing::Paired { n: 3 });
        }
    }
    assert_eq!(*found(&comparison, "baseline", 0), Err(NoSpeedup::IsBaseline));
}

#[test]
fn a_run_that_diverged_is_censored_and_said_and_never_dropped() {
    let mut study = reaching();
    let diverged = indices(&study, "clts")[1];
    let outcome = RunOutcome::Diverged { reason: "the loss is NaN at step 401".into() };
    cut(&mut study.runs[diverged], 400, RunState::Ended(outcome.clone()));
    let comparison = Comparison::of(&study);
    let speedup = found(&comparison, "clts", 0).as_ref().expect("it is compared");
    assert!(matches!(speedup.estimate, Estimate::AtMost(_)), "{speedup:?}");
    // Without even one evaluation there is not even a bound.
    cut(&mut study.runs[diverged], 0, RunState::Ended(outcome));
    let comparison = Comparison::of(&study);
    let speedup = found(&comparison, "clts", 0).as_ref().expect("it is compared");
    assert!(matches!(speedup.estimate, Estimate::Unknown(_)), "{speedup:?}");
    let folder = folder();
    let report = write(&study, folder.path()).expect("a report");
    assert!(report.summary.contains("Runs of clts: 1 of 3 diverged."), "{}", report.summary);
    let page = fs::read_to_string(&report.page).expect("the page");
    assert!(page.contains("diverged: the loss is NaN at step 401"), "the reason is on the page");
}

#[test]
fn an_arm_that_reaches_half_of_the_band_is_compared_on_that_and_one_that_reaches_less_is_bounded() {
    let mut study = reaching();
    let slow = indices(&study, "same-lr");
    let reached = |study: &StudyRecord| {
        let comparison = Comparison::of(study);
        let speedup = found(&comparison, "same-lr", 0).as_ref().expect("it is compared");
        (speedup.estimate, speedup.reached.expect("of a band"))
    };
    // As fast as the baseline, which is at the band's end after 75 % of its 2000 steps.
    cut(&mut study.runs[slow[0]], 1100, RunState::Ended(RunOutcome::Completed));
    let (estimate, count) = reached(&study);
    assert!(matches!(estimate, Estimate::Measured { .. }) && (6..12).contains(&count), "{estimate:?} of {count}");
    let folder = folder();
    let summary = write(&study, folder.path()).expect("a report").summary;
    assert!(summary.contains(&format!("on the {count} of 12 qualities that every run reached")), "{summary}");
    cut(&mut study.runs[slow[0]], 700, RunState::Ended(RunOutcome::Completed));
    let (estimate, count) = reached(&study);
    let Estimate::AtMost(bound) = estimate else { panic!("{estimate:?}") };
    assert!(count < 6 && (1.0..2.0).contains(&bound), "{bound} of {count}");
}

#[test]
fn a_baseline_that_is_not_there_yet_or_cannot_be_fitted_says_so() {
    let mut study = reaching();
    for index in indices(&study, "baseline") {
        cut(&mut study.runs[index], 1000, RunState::Unfinished);
    }
    let no_band = |study: &StudyRecord| match found(&Comparison::of(study), "clts", 0) {
        Err(NoSpeedup::NoBand(no_band)) => *no_band,
        other => panic!("{other:?}"),
    };
    assert_eq!(no_band(&study), NoBand::NotThereYet);
    let coarse = Synthetic { every: 1000, ..Synthetic::default() }.study(Path::new("results/synthetic"));
    assert_eq!(no_band(&coarse), NoBand::NoFit(NoFit::TooFew));
    let mut flat = reaching();
    for run in &mut flat.runs {
        let value = |row: &Row| if row.metric == "fid" { 20.0 + row.step as f64 } else { row.value };
        run.rows = run.rows.iter().map(|row| Row { value: value(&row), ..row }).collect();
    }
    assert_eq!(no_band(&flat), NoBand::NoProgress);
    for run in &mut flat.runs {
        let value = |row: &Row| if row.metric == "fid" { -1.0 } else { row.value };
        run.rows = run.rows.iter().map(|row| Row { value: value(&row), ..row }).collect();
    }
    assert_eq!(no_band(&flat), NoBand::NoFit(NoFit::NotPositive));
}

/// A study of two arms with the golden file's values.
fn golden_study(golden: &serde_json::Value, paired: bool) -> StudyRecord {
    let list = |value: &serde_json::Value| value.as_array().expect("a list").clone();
    let images: Vec<u64> =
        list(&golden["images"]).iter().map(|images| images.as_f64().expect("a number") as u64).collect();
    let seeds = list(&golden["baseline"]).len() as u64;
    let batch = RunSpec::default().train.batch_size as u64;
    let steps = images.last().expect("evaluations").div_ceil(batch);
    let arms = || synthetic::arms().into_iter().take(2).collect();
    let mut study = Synthetic { arms: arms(), seeds: 2 * seeds, steps, every: 1, ..Synthetic::default() }
        .study(Path::new("results/synthetic"));
    study.plan.compare.as_mut().expect("it compares").target = None;
    study.plan.compare.as_mut().expect("it compares").pairs.clear();
    study.runs.retain(|run| match (run.planned.arm.as_str(), paired) {
        ("baseline", _) | (_, true) => run.planned.seed < seeds,
        (_, false) => run.planned.seed >= seeds,
    });
    for run in &mut study.runs {
        let arm = if run.planned.arm == "baseline" { "baseline" } else { "candidate" };
        let values = list(&golden[arm][(run.planned.seed % seeds) as usize]);
        let template = run.rows.iter().find(|row| row.metric == "fid").expect("it is measured");
        run.rows = images
            .iter()
            .zip(values)
            .enumerate()
            .map(|(index, (&images_seen, value))| Row {
                step: index as u64 + 1,
                images_seen,
                train_seconds: images_seen as f64 * 1e-3,
                value: value.as_f64().expect("a number"),
                ..template
            })
            .collect();
        // The last evaluation is the run's end to the image.
        run.planned.spec.train.steps = *images.last().expect("evaluations");
        run.planned.spec.train.batch_size = 1;
    }
    study
}

#[test]
fn the_band_is_scipys() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("../../golden/band.json")).expect("JSON");
    let studies = golden["studies"].as_array().expect("a list");
    assert_eq!(studies.len(), 5);
    for golden in studies {
        for kind in ["paired", "welch"] {
            let study = golden_study(golden, kind == "paired");
            let comparison = Comparison::of(&study);
            let band = comparison.points[0].band.as_ref().expect("compared").as_ref().expect("a band");
            let targets = golden["targets"].as_array().expect("a list");
            for (target, expected) in band.targets.iter().zip(targets) {
                assert!((target.exp() / expected.as_f64().expect("a number") - 1.0).abs() < 1e-9);
            }
            for cost in [0, 1] {
                let speedup = found(&comparison, "clts", cost).as_ref().expect("it is compared");
                let Estimate::Measured { speedup: ratio, interval: Some(interval), .. } = speedup.estimate else {
                    panic!("{speedup:?}")
                };
                let p = speedup.mean.and_then(|mean| mean.p_value()).expect("several seeds");
                for (value, key) in [(ratio, "speedup"), (interval.low, "low"), (interval.high, "high"), (p, "p")] {
                    let expected = golden[kind][key].as_f64().expect("a number");
                    assert!((value / expected - 1.0).abs() < 1e-7, "{kind} {key}: {value} is not {expected}");
                }
            }
            let arm = comparison.points[0].arms.iter().find(|arm| arm.arm == "clts").expect("planned");
            let hard = arm.contrast.profiles[0].as_ref().and_then(|profile| profile.hard).expect("all runs have ended");
            let (value, Estimate::Measured { speedup, interval: Some(interval), .. }) = hard else {
                panic!("{hard:?}")
            };
            let expected = &golden[&format!("last_{kind}")];
            for (value, key) in [(value, "value"), (speedup, "speedup"), (interval.low, "low"), (interval.high, "high")]
            {
                let expected = expected[key].as_f64().expect("a number");
                assert!((value / expected - 1.0).abs() < 1e-7, "{kind} last {key}: {value} is not {expected}");
            }
        }
    }
}

#[test]
fn different_protocols_and_devices_are_never_compared_silently() {
    let mut study = reaching();
    for index in indices(&study, "mdlrc") {
        let run = &mut study.runs[index];
        let fewer = |protocol: &str| protocol.replace("nfe=20", "nfe=50");
        let rows: Vec<(Row, String)> = run.rows.iter().map(|row| (row, fewer(row.protocol))).collect();
        let changed = rows.iter().map(|(row, protocol)| match row.metric {
            "fid" => Row { protocol, ..*row },
            _ => *row,
        });
        run.rows = changed.collect();
    }
    let other = indices(&study, "clts")[2];
    study.runs[other].attempts[0].device = "cuda:0: NVIDIA H100".into();
    let comparison = Comparison::of(&study);
    assert!(matches!(found(&comparison, "mdlrc", 0), Err(NoSpeedup::ProtocolsDiffer { .. })));
    assert!(found(&comparison, "clts", 0).is_ok());
    let Err(NoSpeedup::DevicesDiffer { devices }) = found(&comparison, "clts", 1) else { panic!("devices differ") };
    assert_eq!(*devices, [synthetic::DEVICE, "cuda:0: NVIDIA H100"]);
    let folder = folder();
    let summary = write(&study, folder.path()).expect("a report").summary;
    assert!(summary.contains("mdlrc: not compared: measured by different protocols"), "{summary}");
    assert!(
        summary.contains("timed on different devices (cpu: AMD EPYC 9R14, 1 thread; cuda:0: NVIDIA H100)"),
        "{summary}"
    );
    // Both protocols are written out, and every value says which is its own.
    let page = std::fs::read_to_string(folder.path().join("index.html")).expect("a page");
    for expected in ["fid protocol 1</dt>", "fid protocol 2</dt>", "nfe=50", "by another protocol", "<sup>2</sup>"] {
        assert!(page.contains(expected), "{expected}");
    }
    // A pair on another device is as good as any: seed 2's baseline on the same one.
    let baseline = indices(&study, "baseline")[2];
    study.runs[baseline].attempts[0].device = "cuda:0: NVIDIA H100".into();
    assert!(found(&Comparison::of(&study), "clts", 1).is_ok());
}

#[test]
fn a_profile_goes_from_the_easy_qualities_to_the_last() {
    let study = reaching();
    let comparison = Comparison::of(&study);
    let arm = comparison.points[0].arms.iter().find(|arm| arm.arm == "clts").expect("planned");
    let band = comparison.points[0].band.as_ref().expect("compared").as_ref().expect("a band");
    for profile in &arm.contrast.profiles {
        let profile = profile.as_ref().expect("it is compared");
        assert!(profile.curve.windows(2).all(|pair| pair[1].0 < pair[0].0), "from easy to hard");
        let (easy, hard) = band.values();
        assert!(profile.curve[0].0 > easy && profile.curve[32].0 < hard);
        // At all qualities at once is wider than at one.
        let Estimate::Measured { interval: Some(at_one), .. } = profile.easy.1 else { panic!("{profile:?}") };
        let width = |interval: Interval| (interval.high / interval.low).ln();
        let beside =
            profile.curve.iter().min_by(|first, second| (first.0 - easy).abs().total_cmp(&(second.0 - easy).abs()));
        let Some((_, Estimate::Measured { interval: Some(at_all), .. })) = beside else { panic!("{profile:?}") };
        assert!(width(*at_all) > width(at_one), "{at_all:?} {at_one:?}");
    }
    let profile = arm.contrast.profiles[0].as_ref().expect("it is compared");
    let Some((_, Estimate::Measured { interval: Some(interval), .. })) = profile.hard else { panic!("{profile:?}") };
    assert!(interval.low < 1.55 && 1.55 < interval.high, "{interval:?}");
    let Some(whole) = &profile.whole_curve else { panic!("{profile:?}") };
    let Estimate::Measured { interval: Some(interval), .. } = whole.estimate else { panic!("{whole:?}") };
    assert!(interval.low < 1.55 && 1.55 < interval.high, "{interval:?}");
}

#[test]
fn a_pair_is_compared_as_an_arm_with_the_baseline_and_stands_in_every_table() {
    let mut study = reaching();
    let comparison = Comparison::of(&study);
    let pair = &comparison.points[0].pairs[0];
    assert_eq!((pair.arm, pair.against), ("mdlrc", "same-lr"));
    let paired: Vec<_> = pair.contrast.speedups.to_vec();
    let estimate = paired[0].as_ref().expect("it is compared").estimate;
    assert!(matches!(estimate, Estimate::Measured { interval: Some(_), .. }), "{estimate:?}");
    // Its last quality is that which it and the arm it is compared with both reach; the baseline has no part in it.
    let ends = |name: &str| -> Vec<f64> {
        let arm = comparison.points[0].arms.iter().find(|arm| arm.arm == name).expect("planned");
        let last = |run: &speedlab::report::Run| run.curve.as_ref().expect("a curve").last_quality().exp();
        arm.fitted.iter().map(last).collect()
    };
    let mut lasts: Vec<f64> =
        ends("mdlrc").into_iter().zip(ends("same-lr")).map(|(first, second)| first.max(second)).collect();
    lasts.sort_unstable_by(f64::total_cmp);
    let hard = pair.contrast.profiles[0].as_ref().expect("it is compared").hard.expect("all runs have ended");
    assert!((hard.0 / lasts[1] - 1.0).abs() < 1e-12, "{hard:?} {lasts:?}");

    let folder = folder();
    let report = write(&study, folder.path()).expect("a report");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("it is written");
    assert!(report.summary.contains("\n  mdlrc against same-lr  "), "{}", report.summary);
    for name in ["speedups.md", "speedups.tex", "index.html", "speedups.svg"] {
        assert!(read(name).contains("mdlrc against same-lr"), "{name}");
    }
    assert!(read("speedups.csv").contains("\n,mdlrc,same-lr,false,images_seen,"));
    let json: serde_json::Value = serde_json::from_str(&read("speedups.json")).expect("JSON");
    let in_json = &json["points"][0]["pairs"][0];
    assert_eq!((&in_json["arm"], &in_json["against"]), (&"mdlrc".into(), &"same-lr".into()));
    assert!(in_json["speedups"]["images_seen"]["interval"]["low"].is_f64());

    let compare = study.plan.compare.as_mut().expect("it compares");
    (compare.baseline, compare.pairs) = ("same-lr".to_owned(), vec![]);
    let with_other_baseline = Comparison::of(&study);
    assert!(with_other_baseline.points[0].pairs.is_empty());
    // The same at the first crossing, whose target is the same number; the band is the other baseline's.
    let target = with_other_baseline.points[0].arms.iter().find(|arm| arm.arm == "mdlrc").expect("planned");
    assert!(target.contrast.speedups[0].is_ok() && paired[0].is_ok());
}
