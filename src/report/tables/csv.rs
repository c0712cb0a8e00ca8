//! The table for other programs: a row for each grid point, arm (and pair of arms) and axis; nothing rounded (RFC 4180).

use crate::report::band::Band;
use crate::report::cell::{Cells, Kind};
use crate::report::comparison::{ArmComparison, Comparison, Contrast, PointComparison};
use crate::report::cost::Cost;
use crate::report::speedup::{Estimate, Pairing};
use crate::report::wording::verdict;

const HEADER: &str = "point,arm,against,is_baseline,measured_in,metric,protocol,band_from,band_to,band_reached,target,runs_planned,runs_completed,\
runs_diverged,runs_reached,final_median,final_low,final_high,speedup,interval_low,interval_high,at_least,at_most,adjusted_p,verdict,\
last_quality,last_speedup,last_low,last_high,last_at_least,last_at_most,trend_p,whole_curve_speedup,whole_curve_low,whole_curve_high,\
first_crossing_speedup,first_crossing_low,first_crossing_high,first_crossing_at_least,first_crossing_at_most,resolution_low,resolution_high,\
interpolated_speedup,interpolated_low,interpolated_high,median_ratio,pairing,n_baseline,n_candidate,seeds_left_out,\
label,final_cell,band_cell,last_cell,whole_curve_cell,first_crossing_cell";

pub fn csv(comparison: &Comparison, cells: &Cells) -> String {
    let mut text = format!("{HEADER}\n");
    for point in &comparison.points {
        for arm in &point.arms {
            let against = comparison.baseline.filter(|_| !arm.is_baseline);
            lines(comparison, (cells, point), arm, against, &arm.contrast, &mut text);
        }
        for pair in &point.pairs {
            let arm = point.arms.iter().find(|arm| arm.arm == pair.arm).expect("a pair is made of the point's arms");
            lines(comparison, (cells, point), arm, Some(pair.against), &pair.contrast, &mut text);
        }
    }
    text
}

/// A line for each axis.
fn lines(
    comparison: &Comparison,
    (cells, point): (&Cells, &PointComparison),
    arm: &ArmComparison,
    against: Option<&str>,
    contrast: &Contrast,
    text: &mut String,
) {
    let labels = &comparison.study.plan.labels;
    let id =
        |kind, cost| against.map_or("", |against| cells.speedup(point, arm.arm, Some(against), kind, cost)).to_owned();
    for (index, (cost, result)) in Cost::ALL.iter().zip(&contrast.speedups).enumerate() {
        let speedup = result.as_ref().ok();
        let profile = contrast.profiles[index].as_ref();
        let first = contrast.first_crossings.get(index).and_then(|result| result.as_ref().ok());
        let (pairing, n_baseline, n_candidate) = match speedup.map(|speedup| speedup.pairing) {
            Some(Pairing::Paired { n }) => ("paired", Some(n), Some(n)),
            Some(Pairing::Unpaired { baseline, candidate }) => ("unpaired", Some(baseline), Some(candidate)),
            None => ("", None, None),
        };
        let left_out = speedup.map_or(&[][..], |speedup| &speedup.left_out);
        let count = |count: Option<usize>| count.map_or(String::new(), |count| count.to_string());
        let band = point.band.as_ref().and_then(|band| band.as_ref().ok()).map(Band::values);
        let target = point.target.as_ref().and_then(|target| target.as_ref().ok());
        let whole_curve = profile.and_then(|profile| profile.whole_curve.as_ref()).map(|measured| measured.estimate);
        let hard = profile.and_then(|profile| profile.hard);
        let resolution = match first.map(|first| first.estimate) {
            Some(Estimate::Measured { resolution, .. }) => resolution,
            _ => None,
        };
        let interpolated = first.and_then(|first| first.interpolated);
        let about = [
            quoted(&point.name),
            quoted(labels.name_of(arm.arm)),
            quoted(labels.name_of(against.unwrap_or(""))),
            arm.is_baseline.to_string(),
            cost.name().to_owned(),
            comparison.metric.name().to_owned(),
            quoted(&point.protocol),
            number(band.map(|band| band.0)),
            number(band.map(|band| band.1)),
            count(speedup.and_then(|speedup| speedup.reached)),
            number(target.map(|target| target.value)),
            arm.runs.len().to_string(),
            arm.count(|run| run.completed()).to_string(),
            arm.count(|run| run.diverged()).to_string(),
            count(arm.reached),
            number(arm.final_values.map(|spread| spread.median)),
            number(arm.final_values.map(|spread| spread.low)),
            number(arm.final_values.map(|spread| spread.high)),
        ];
        let [whole, whole_low, whole_high, ..] = estimate(whole_curve);
        let cells = [
            about.to_vec(),
            estimate(speedup.map(|speedup| speedup.estimate)).to_vec(),
            vec![
                number(speedup.and_then(|speedup| speedup.adjusted_p)),
                quoted(&verdict(result)),
                number(hard.map(|hard| hard.0)),
            ],
            estimate(hard.map(|hard| hard.1)).to_vec(),
            vec![number(profile.and_then(|profile| profile.trend)), whole, whole_low, whole_high],
            estimate(first.map(|first| first.estimate)).to_vec(),
            vec![
                number(resolution.map(|resolution| resolution.low)),
                number(resolution.map(|resolution| resolution.high)),
                number(interpolated.map(|(ratio, _)| ratio)),
                number(interpolated.and_then(|(_, interval)| interval).map(|interval| interval.low)),
                number(interpolated.and_then(|(_, interval)| interval).map(|interval| interval.high)),
                number(first.and_then(|first| first.median_ratio)),
                pairing.to_owned(),
                count(n_baseline),
                count(n_candidate),
                left_out.iter().map(u64::to_string).collect::<Vec<_>>().join(" "),
                quoted(arm.arm),
                cells.final_value(point, arm.arm).to_owned(),
                id(Kind::Band, *cost),
                id(Kind::Last, *cost),
                id(Kind::WholeCurve, *cost),
                id(Kind::Target, *cost),
            ],
        ];
        text.push_str(&cells.concat().join(","));
        text.push('\n');
    }
}

/// Speedup, low and high end of its interval, lower bound, upper bound; each empty where there is none.
fn estimate(estimate: Option<Estimate>) -> [String; 5] {
    let (ratio, interval, at_least, at_most) = match estimate {
        Some(Estimate::Measured { speedup, interval, .. }) => (Some(speedup), interval, None, None),
        Some(Estimate::AtLeast(bound)) => (None, None, Some(bound), None),
        Some(Estimate::AtMost(bound)) => (None, None, None, Some(bound)),
        Some(Estimate::Unknown(_)) | None => (None, None, None, None),
    };
    [ratio, interval.map(|interval| interval.low), interval.map(|interval| interval.high), at_least, at_most]
        .map(number)
}

/// Shortest text that reads back as the same number; infinity as `inf`, nothing as nothing.
pub(super) fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// A text as a cell: quoted where it must be, and no formula to a spreadsheet, which reads a `'` as "a text follows".
pub(super) fn quoted(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_cell_is_one_cell_and_no_formula() {
        assert_eq!(
            ["clts", "a,b", "=1+1", "-x, \"y\"", "@a", "a=b"].map(quoted),
            ["clts", "\"a,b\"", "'=1+1", "\"'-x, \"\"y\"\"\"", "'@a", "a=b"]
        );
    }
}
