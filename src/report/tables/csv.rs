//! The table for other programs: a row for each grid point, arm (and pair of arms) and axis; nothing rounded (RFC 4180).

use crate::report::comparison::{ArmComparison, Comparison, Contrast, NoSpeedup, PointComparison};
use crate::report::cost::Cost;
use crate::report::speedup::{Estimate, Pairing};
use crate::report::wording::verdict;

const HEADER: &str = "point,arm,against,is_baseline,measured_in,metric,protocol,target,runs_planned,runs_completed,runs_diverged,runs_reached,\
final_median,final_low,final_high,speedup,interval_low,interval_high,resolution_low,resolution_high,at_least,at_most,\
interpolated_speedup,interpolated_low,interpolated_high,median_ratio,pairing,n_baseline,n_candidate,seeds_left_out,common_target,common_speedup,common_low,common_high,verdict";

pub fn csv(comparison: &Comparison) -> String {
    let mut text = format!("{HEADER}\n");
    for point in &comparison.points {
        for arm in &point.arms {
            let against = comparison.baseline.filter(|_| !arm.is_baseline);
            lines(comparison, point, arm, against, &arm.contrast, &mut text);
        }
        for pair in &point.pairs {
            let arm = point.arms.iter().find(|arm| arm.arm == pair.arm).expect("a pair is made of the point's arms");
            lines(comparison, point, arm, Some(pair.against), &pair.contrast, &mut text);
        }
    }
    text
}

/// A line for each axis.
fn lines(
    comparison: &Comparison,
    point: &PointComparison,
    arm: &ArmComparison,
    against: Option<&str>,
    contrast: &Contrast,
    text: &mut String,
) {
    for (index, (cost, result)) in Cost::ALL.iter().zip(&contrast.speedups).enumerate() {
        let common = contrast.common.as_ref().and_then(|(_, speedups)| match speedups[index].as_ref().ok()?.estimate {
            Estimate::Measured { speedup, interval, .. } => Some((speedup, interval)),
            _ => None,
        });
        let speedup = result.as_ref().ok();
        let estimate = speedup.map(|speedup| speedup.estimate);
        let (ratio, interval, resolution) = match estimate {
            Some(Estimate::Measured { speedup, interval, resolution }) => (Some(speedup), interval, Some(resolution)),
            _ => (None, None, None),
        };
        let interpolated = speedup.and_then(|speedup| speedup.interpolated);
        let (pairing, n_baseline, n_candidate) = match speedup.map(|speedup| speedup.pairing) {
            Some(Pairing::Paired { n }) => ("paired", Some(n), Some(n)),
            Some(Pairing::Unpaired { baseline, candidate }) => ("unpaired", Some(baseline), Some(candidate)),
            None => ("", None, None),
        };
        let left_out = speedup.map_or(&[][..], |speedup| &speedup.left_out);
        let count = |count: Option<usize>| count.map_or(String::new(), |count| count.to_string());
        let target = point.target.as_ref().and_then(|target| target.as_ref().ok());
        let is_compared = !matches!(result, Err(NoSpeedup::IsBaseline));
        let cells = [
            quoted(&point.label),
            quoted(arm.arm),
            quoted(against.unwrap_or("")),
            arm.is_baseline.to_string(),
            cost.name().to_owned(),
            comparison.metric.name().to_owned(),
            quoted(&point.protocol),
            number(target.map(|target| target.value)),
            arm.runs.len().to_string(),
            arm.count(|run| run.completed()).to_string(),
            arm.count(|run| run.diverged()).to_string(),
            count(arm.reached),
            number(arm.final_values.map(|spread| spread.median)),
            number(arm.final_values.map(|spread| spread.low)),
            number(arm.final_values.map(|spread| spread.high)),
            number(ratio),
            number(interval.map(|interval| interval.low)),
            number(interval.map(|interval| interval.high)),
            number(resolution.map(|resolution| resolution.low)),
            number(resolution.map(|resolution| resolution.high)),
            number(
                estimate.and_then(|estimate| if let Estimate::AtLeast(bound) = estimate { Some(bound) } else { None }),
            ),
            number(
                estimate.and_then(|estimate| if let Estimate::AtMost(bound) = estimate { Some(bound) } else { None }),
            ),
            number(interpolated.map(|(ratio, _)| ratio)),
            number(interpolated.and_then(|(_, interval)| interval).map(|interval| interval.low)),
            number(interpolated.and_then(|(_, interval)| interval).map(|interval| interval.high)),
            number(speedup.and_then(|speedup| speedup.median_ratio)),
            pairing.to_owned(),
            count(n_baseline),
            count(n_candidate),
            left_out.iter().map(u64::to_string).collect::<Vec<_>>().join(" "),
            number(contrast.common.as_ref().filter(|_| is_compared).map(|(target, _)| *target)),
            number(common.map(|(ratio, _)| ratio)),
            number(common.and_then(|(_, interval)| interval).map(|interval| interval.low)),
            number(common.and_then(|(_, interval)| interval).map(|interval| interval.high)),
            quoted(&verdict(result)),
        ];
        text.push_str(&cells.join(","));
        text.push('\n');
    }
}

/// Shortest text that reads back as the same number; infinity as `inf`, nothing as nothing.
pub(super) fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

pub(super) fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
