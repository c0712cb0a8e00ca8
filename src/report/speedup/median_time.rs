//! An arm's median time to the target, where some of its runs never reached it.

use crate::report::time_to_target::TimeToTarget;

/// The time at which half of the runs have reached the target by the estimate of Kaplan and Meier (1958, "Nonparametric estimation
/// from incomplete observations"): a run counts as long as it was watched. `None` where it is above a half to the end, or 0.
pub(super) fn median_time(times: &[TimeToTarget]) -> Option<f64> {
    let mut seen: Vec<(f64, bool)> = times
        .iter()
        .map(|time| match time {
            TimeToTarget::Reached { bracket, .. } => (bracket.at, true),
            TimeToTarget::NotReached { until } => (*until, false),
        })
        .collect();
    // At one time those that reached it come first: the others were watched so far.
    seen.sort_by(|first, second| first.0.total_cmp(&second.0).then(second.1.cmp(&first.1)));
    let (mut left, mut share) = (seen.len(), 1.0);
    let mut rest = seen.as_slice();
    while let Some(&(time, _)) = rest.first() {
        let here = rest.iter().take_while(|(other, _)| *other == time);
        let reached = here.clone().filter(|(_, reached)| *reached).count();
        share *= 1.0 - reached as f64 / left as f64;
        if reached > 0 && share <= 0.5 + 1e-12 {
            return (time > 0.0).then_some(time);
        }
        let count = here.count();
        left -= count;
        rest = &rest[count..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tests::{close, not_reached, reached};
    use super::super::{Estimate, Unknown, speedup};
    use super::*;
    use crate::report::time_to_target::Bracket;

    #[test]
    fn medians_are_those_of_lifelines() {
        let golden = include_str!("../../../tests/golden/kaplan_meier.json");
        let golden: serde_json::Value = serde_json::from_str(golden).expect("the file is whole");
        let cases = golden["medians"].as_array().expect("a list");
        assert_eq!(cases.len(), 28);
        for case in cases {
            let list = |key: &str| case[key].as_array().expect("a list").clone();
            let times: Vec<TimeToTarget> = list("times")
                .iter()
                .zip(list("reached"))
                .map(|(time, reached)| {
                    let time = time.as_f64().expect("a number");
                    match reached.as_bool().expect("true or false") {
                        true => {
                            let bracket = Bracket { before: time - 100.0, at: time };
                            TimeToTarget::Reached { bracket, interpolated: None }
                        }
                        false => TimeToTarget::NotReached { until: time },
                    }
                })
                .collect();
            assert_eq!(median_time(&times), case["median"].as_f64(), "{case}");
        }
    }

    #[test]
    fn the_ratio_of_medians_survives_a_minority_that_never_reached() {
        let baseline = [reached(1, 900.0, 100.0), reached(2, 1000.0, 100.0), not_reached(3, 1000.0)];
        let candidate = [reached(1, 400.0, 100.0), not_reached(2, 1000.0), reached(3, 500.0, 100.0)];
        let result = speedup(&baseline, &candidate);
        assert_eq!(result.estimate, Estimate::Unknown(Unknown::BothCensored));
        close(result.median_ratio.unwrap(), 2.0);
        // One that was stopped early counts as long as it was watched.
        let stopped_early = [reached(1, 400.0, 100.0), not_reached(2, 300.0), reached(3, 500.0, 100.0)];
        close(speedup(&baseline, &stopped_early).median_ratio.unwrap(), 2.5);
        let mostly_never = [reached(1, 400.0, 100.0), not_reached(2, 1000.0), not_reached(3, 1000.0)];
        assert_eq!(speedup(&baseline, &mostly_never).median_ratio, None);
    }
}
