//! The speedup to the last quality that both arms reach, where it is known and where nothing can be said.

use speedlab::report::{Cost, Estimate, Evaluation, FittedCurve, Run, Unknown, to_last_quality};

/// Three runs of 20 evaluations, whose values are a function of images in thousands, each seed 1 % better than the one before.
fn arm(value: impl Fn(f64) -> f64) -> Vec<Run> {
    let of_seed = |seed: u64| {
        let evaluations = (1..=20u32).map(|index| Evaluation {
            step: u64::from(index),
            images_seen: u64::from(index) * 1000,
            train_seconds: f64::from(index),
            value: value(f64::from(index)) * 0.99f64.powi(seed as i32),
        });
        let curve = FittedCurve::of(&evaluations.collect::<Vec<_>>());
        Run { seed, curve, diverged: false, ended: true }
    };
    (0..3).map(of_seed).collect()
}

fn to_last(baseline: &[Run], candidate: &[Run]) -> Option<Estimate> {
    to_last_quality(baseline, candidate, Cost::ImagesSeen, 0.0).map(|(_, estimate)| estimate)
}

fn falling(images: f64) -> f64 {
    100.0 / images
}

#[test]
fn a_faster_and_a_slower_arm_have_their_factor() {
    for factor in [2.0, 0.5] {
        let found = to_last(&arm(falling), &arm(|images| falling(factor * images)));
        let Some(Estimate::Measured { speedup, interval: Some(interval), .. }) = found else { panic!("{found:?}") };
        assert!((speedup / factor - 1.0).abs() < 0.01, "{speedup}");
        assert!(interval.low <= speedup && speedup <= interval.high);
    }
    let found = to_last(&arm(falling)[..1], &arm(falling)[..1]);
    assert!(matches!(found, Some(Estimate::Measured { interval: None, .. })), "{found:?}");
}

#[test]
fn of_an_arm_that_levels_off_nothing_is_said() {
    let levelled: [fn(f64) -> f64; 3] = [
        |_| 30.0,
        |images| falling(images.min(8.0)),
        // With noise around its floor.
        |images| falling(images.min(8.0)) * (1.0 + 0.02 * (images * 2.4).sin()),
    ];
    for value in levelled {
        for (baseline, candidate) in [(arm(falling), arm(value)), (arm(value), arm(falling))] {
            let found = to_last(&baseline, &candidate);
            assert_eq!(found, Some(Estimate::Unknown(Unknown::LevelsOff)));
        }
    }
}

#[test]
fn an_arm_that_was_there_from_its_first_evaluation_on_has_a_bound() {
    // 100 at first, where the other ends with 105.
    let worse = || arm(|images| 105.0 * (20.0 / images).sqrt());
    let found = to_last(&worse(), &arm(falling));
    let Some(Estimate::AtLeast(bound)) = found else { panic!("{found:?}") };
    assert!((bound / 20.0 - 1.0).abs() < 0.05, "{bound}");
    let found = to_last(&arm(falling), &worse());
    assert!(matches!(found, Some(Estimate::AtMost(bound)) if (bound * 20.0 - 1.0).abs() < 0.05), "{found:?}");
}

#[test]
fn before_all_runs_have_ended_with_a_value_there_is_none() {
    let mut unfinished = arm(falling);
    unfinished[1].ended = false;
    assert_eq!(to_last(&arm(falling), &unfinished), None);
    let mut diverged = arm(falling);
    diverged[2].diverged = true;
    assert_eq!(to_last(&diverged, &arm(falling)), None);
    assert_eq!(to_last(&arm(falling), &[]), None);
    // The source of the numbers has no clock.
    let timeless = || {
        let mut runs = arm(falling);
        for run in &mut runs {
            let evaluations: Vec<Evaluation> = (1..=20)
                .map(|step| Evaluation {
                    step,
                    images_seen: step * 1000,
                    train_seconds: 0.0,
                    value: 100.0 / step as f64,
                })
                .collect();
            run.curve = FittedCurve::of(&evaluations);
        }
        runs
    };
    assert_eq!(to_last_quality(&timeless(), &timeless(), Cost::TrainSeconds, 0.0), None);
}
