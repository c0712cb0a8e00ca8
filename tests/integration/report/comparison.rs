//! Who was sooner, by how much and how surely.

use std::fs;
use std::path::Path;

use speedlab::event::RunOutcome;
use speedlab::record::RunState;
use speedlab::report::{
    Bracket, Comparison, Cost, Estimate, NoSpeedup, Pairing, SeedTime, TimeToTarget, Verdict, speedup, write,
};

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
    let outcome = RunOutcome::Diverged { reason: "the loss is NaN at step 41".into() };
    cut(&mut study.runs[diverged], 40, RunState::Ended(outcome.clone()));
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
    assert!(page.contains("diverged: the loss is NaN at step 41"), "the reason is on the page");
}

#[test]
fn a_target_that_some_runs_never_reach_gives_bounds_and_a_common_target() {
    let study = Synthetic { every: 20, spread: 0.03, ..Synthetic::default() }.study(Path::new("results/synthetic"));
    let comparison = Comparison::of(&study);
    let arm = comparison.points[0].arms.iter().find(|arm| arm.arm == "clts").expect("planned");
    let speedup = arm.contrast.speedups[0].as_ref().expect("it is compared");
    match speedup.estimate {
        Estimate::AtLeast(bound) => assert!((1.2..1.6).contains(&bound), "{bound}"),
        other => panic!("{other:?}"),
    }
    let (target, speedups) = arm.contrast.common.as_ref().expect("every run has values");
    let final_target = comparison.points[0].target.as_ref().expect("compared").as_ref().expect("completed").value;
    assert!(*target >= final_target);
    let common = speedups[0].as_ref().expect("it is compared");
    let Estimate::Measured { interval: Some(interval), .. } = common.estimate else { panic!("{common:?}") };
    assert!(interval.low < 1.55 && 1.55 < interval.high, "{interval:?}");
}

#[test]
fn different_protocols_and_devices_are_never_compared_silently() {
    let mut study = reaching();
    for index in indices(&study, "mdlrc") {
        for row in study.runs[index].rows.iter_mut().filter(|row| row.metric == "fid") {
            row.protocol = row.protocol.replace("nfe=20", "nfe=50");
        }
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
fn the_speedup_at_every_target_holds_the_studys_own() {
    let study = reaching();
    let comparison = Comparison::of(&study);
    let arm = comparison.points[0].arms.iter().find(|arm| arm.arm == "clts").expect("planned");
    for (index, _) in Cost::ALL.iter().enumerate() {
        let curve = &arm.target_curves[index];
        assert_eq!(curve.len(), 64);
        assert!(curve.windows(2).all(|pair| pair[1].0 < pair[0].0), "from easy to hard");
        let (low, high) = (curve[63].0, curve[0].0);
        assert!(low < 25.0 && 25.0 < high);
    }
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
    for (cost, result) in paired.iter().enumerate() {
        assert_eq!(found(&with_other_baseline, "mdlrc", cost), result);
    }
}
