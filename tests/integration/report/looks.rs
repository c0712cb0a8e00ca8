//! Studies whose seeds are added until they are decided.

use std::path::Path;

use speedlab::record::{RunState, StudyRecord};
use speedlab::report::{ArmComparison, Comparison, Estimate, Pairing, Verdict, until_decided};

use speedlab::spec::Target;

use super::synthetic::Synthetic;

/// With the rule, looked at after 3 to `most` seeds; runs of more seeds than there are records stay out.
fn study(synthetic: Synthetic, most: u64) -> StudyRecord {
    let seeds = synthetic.seeds;
    let mut study = Synthetic { seeds: most, ..synthetic }.study(Path::new("results/synthetic"));
    study.plan.until_decided = Some(until_decided((0..most).collect(), (3..=most as usize).collect(), 4));
    study.runs.retain(|run| run.planned.seed < seeds);
    study
}

fn arm<'c>(comparison: &'c Comparison, name: &str) -> &'c ArmComparison<'c> {
    comparison.points[0].arms.iter().find(|arm| arm.arm == name).expect("the arm is there")
}

fn images(arm: &ArmComparison) -> (Estimate, Verdict, Pairing) {
    let speedup = arm.contrast.speedups[0].as_ref().expect("it was measured");
    (speedup.estimate, speedup.verdict, speedup.pairing)
}

#[test]
fn what_was_decided_stays_as_it_was_and_what_is_open_goes_on() {
    let wide = || Synthetic { spread: 0.08, ..Synthetic::default() };
    let three = study(Synthetic { seeds: 3, ..wide() }, 12);
    let all = study(Synthetic { seeds: 12, ..wide() }, 12);
    let (first, last) = (Comparison::of(&three), Comparison::of(&all));
    let looks = last.looks.as_ref().expect("there is a rule");
    assert_eq!(looks.iter().map(|look| look.seeds).collect::<Vec<_>>(), (3..=12).collect::<Vec<_>>());
    assert_eq!(first.looks.as_ref().unwrap()[..], looks[..1], "a look is the same, whatever comes after it");
    // The true speedup of clts+mdlrc is 1.9x, that of same-lr 1.0x.
    let (_, verdict, pairing) = images(arm(&last, "clts+mdlrc"));
    assert_eq!(verdict, Verdict::Faster);
    let Pairing::Paired { n } = pairing else { panic!("{pairing:?}") };
    let look = looks.iter().find(|look| look.settled.iter().any(|settled| settled.arm == "clts+mdlrc")).unwrap();
    assert_eq!(n, look.seeds);
    assert!(n < 12 && arm(&last, "clts+mdlrc").runs.len() == 12, "later seeds are shown and do not count");
    let (_, verdict, pairing) = images(arm(&last, "same-lr"));
    assert_eq!((verdict, pairing), (Verdict::NotDistinguishable, Pairing::Paired { n: 12 }));
    // The band stays where the first look found it.
    assert_eq!(first.points[0].band, last.points[0].band);
}

#[test]
fn a_look_asks_more_of_a_difference_than_a_study_of_fixed_seeds() {
    let mut differs = 0;
    for spread in [0.02, 0.03, 0.05, 0.08, 0.12] {
        let sequential = study(Synthetic { seeds: 3, spread, ..Synthetic::default() }, 20);
        let mut fixed = sequential.clone();
        fixed.plan.until_decided = None;
        let (looked, at_once) = (Comparison::of(&sequential), Comparison::of(&fixed));
        for name in ["clts", "mdlrc", "same-lr", "clts+mdlrc"] {
            let (wide, verdict, _) = images(arm(&looked, name));
            let (narrow, of_fixed, _) = images(arm(&at_once, name));
            let (Estimate::Measured { interval: Some(wide), .. }, Estimate::Measured { interval: Some(narrow), .. }) =
                (wide, narrow)
            else {
                panic!("{name} at {spread}")
            };
            assert!(wide.low < narrow.low && narrow.high < wide.high, "{name} at {spread}");
            if verdict == Verdict::Faster {
                assert_eq!(of_fixed, Verdict::Faster, "{name} at {spread}");
            } else if of_fixed == Verdict::Faster {
                differs += 1;
            }
        }
    }
    assert!(differs > 0, "in none of these studies the looks cost anything");
}

#[test]
fn nothing_is_decided_before_the_first_look_or_between_looks() {
    let mut record = study(Synthetic { seeds: 4, spread: 0.01, ..Synthetic::default() }, 6);
    for run in record.runs.iter_mut().filter(|run| run.planned.seed == 2) {
        run.state = RunState::Unfinished;
        run.last_outcome = None;
    }
    let comparison = Comparison::of(&record);
    assert_eq!(comparison.looks.as_deref(), Some(&[][..]));
    let (_, verdict, _) = images(arm(&comparison, "clts+mdlrc"));
    assert!(!matches!(verdict, Verdict::Faster | Verdict::Slower | Verdict::Equivalent), "{verdict:?}");
    // The third seed has ended, the fourth has not: the first look counts.
    for run in &mut record.runs {
        run.state = match run.planned.seed {
            3 => RunState::Waiting,
            _ => RunState::Ended(speedlab::event::RunOutcome::Completed),
        };
    }
    let comparison = Comparison::of(&record);
    assert_eq!(comparison.looks.as_ref().unwrap().len(), 1);
    assert_eq!(images(arm(&comparison, "clts+mdlrc")).1, Verdict::Faster);
}

#[test]
fn an_arm_that_diverges_needs_no_more_seeds() {
    let mut record = study(Synthetic { seeds: 3, spread: 0.01, ..Synthetic::default() }, 6);
    for run in record.runs.iter_mut().filter(|run| run.planned.arm == "mdlrc") {
        let diverged = speedlab::event::RunOutcome::Diverged { reason: "loss is NaN".into() };
        super::synthetic::cut(run, 200, RunState::Ended(diverged));
    }
    let comparison = Comparison::of(&record);
    let look = &comparison.looks.as_ref().unwrap()[0];
    assert!(look.settled.iter().any(|settled| settled.arm == "mdlrc" && settled.against.is_none()), "{look:?}");
    assert!(!look.open_arms.iter().any(|(_, arm)| arm == "mdlrc"), "{look:?}");
}

#[test]
fn a_run_that_crashed_at_a_look_is_missing_there_and_settles_nothing() {
    let mut record = study(Synthetic { seeds: 3, spread: 0.01, ..Synthetic::default() }, 6);
    // One run of same-lr crashed after 200 of 2000 steps, all of mdlrc's did before anything was measured.
    for run in &mut record.runs {
        let crashed = speedlab::event::RunOutcome::Crashed { reason: "killed".into() };
        match (run.planned.arm.as_str(), run.planned.seed) {
            ("same-lr", 1) => super::synthetic::cut(run, 200, RunState::Unfinished),
            ("mdlrc", _) => super::synthetic::cut(run, 0, RunState::Unfinished),
            _ => continue,
        }
        run.last_outcome = Some(crashed);
    }
    let comparison = Comparison::of(&record);
    let [look] = comparison.looks.as_deref().unwrap() else { panic!("the first look was taken") };
    let names: Vec<&str> = look.settled.iter().map(|settled| settled.arm.as_str()).collect();
    assert!(!names.contains(&"mdlrc"), "{look:?}");
    assert!(look.open_arms.iter().any(|(_, arm)| arm == "mdlrc"), "{look:?}");
    let (estimate, _, pairing) = images(arm(&comparison, "same-lr"));
    assert!(matches!(estimate, Estimate::Measured { .. }), "{estimate:?}");
    assert_eq!(pairing, Pairing::Paired { n: 2 });
    let left_out = &arm(&comparison, "same-lr").contrast.speedups[0].as_ref().unwrap().left_out;
    assert_eq!(left_out, &[1]);
}

#[test]
fn a_grid_says_nothing_as_decided_before_the_first_look() {
    let synthetic = Synthetic { channels: vec![16, 32], seeds: 2, spread: 0.01, ..Synthetic::default() };
    let comparison_of = |seeds: u64| {
        let record = study(Synthetic { seeds, arms: super::synthetic::arms(), channels: vec![16, 32], ..synthetic }, 5);
        let comparison = Comparison::of(&record);
        let grid = speedlab::report::Grid::of(&comparison);
        grid.effects.iter().map(|effect| effect.speedup.verdict).collect::<Vec<_>>()
    };
    let is_decided = |verdict: &Verdict| matches!(verdict, Verdict::Faster | Verdict::Slower | Verdict::Equivalent);
    assert!(!comparison_of(2).iter().any(is_decided));
    assert!(comparison_of(3).iter().any(is_decided));
}

#[test]
fn every_interval_beside_a_look_is_of_the_looks_level_and_says_so() {
    let mut sequential = study(Synthetic { seeds: 3, spread: 0.03, every: 20, ..Synthetic::default() }, 20);
    sequential.plan.compare.as_mut().expect("it compares").target = Some(Target::Value { value: 25.0 });
    let mut fixed = sequential.clone();
    fixed.plan.until_decided = None;
    let widths = |study: &StudyRecord| {
        let comparison = Comparison::of(study);
        let profile = arm(&comparison, "clts+mdlrc").contrast.profiles[0].clone().expect("it is compared");
        let last = profile.hard.expect("all runs have ended").1;
        let whole = profile.whole_curve.expect("seeds are paired").estimate;
        let first =
            arm(&comparison, "clts+mdlrc").contrast.first_crossings[0].as_ref().expect("it is compared").estimate;
        [last, whole, first].map(|estimate| match estimate {
            Estimate::Measured { interval: Some(interval), .. } => (interval.high / interval.low).ln(),
            other => panic!("{other:?}"),
        })
    };
    for (looked, at_once) in widths(&sequential).into_iter().zip(widths(&fixed)) {
        assert!(looked > at_once, "{looked} {at_once}");
    }
    let folder = super::folder();
    let summary = speedlab::report::write(&sequential, folder.path()).expect("a report").summary;
    let page = std::fs::read_to_string(folder.path().join("index.html")).expect("a page");
    let tables = std::fs::read_to_string(folder.path().join("speedups.md")).expect("a table");
    assert!(summary.contains("99 % interval") && tables.contains("99 % interval"), "{summary}");
    assert!(!summary.contains("95 %") && !tables.contains("95 %") && page.contains("99 % interval"), "{summary}");
}
