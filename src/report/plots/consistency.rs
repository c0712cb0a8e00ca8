//! The figures of the consistency section.

use super::curves::{ArmCurve, Axes, curves};
use super::matrix::{MOST_RUNS, matrix};
use super::seeds::SeedPoint;
use super::strip::strip;
use super::style::{ArmStyle, arm_style};
use super::{Drawing, Figure, Place, Sheet};
use crate::report::consistency::{Comparable, Consistency, Group, Similarity};

/// Groups of pairs with a curve each.
const MOST_CURVES: usize = 6;

/// The figures that have something to show, protocol by protocol.
pub fn consistency_figures(consistency: &Consistency, sheet: Sheet) -> Vec<Figure> {
    let several = consistency.comparable.len() > 1;
    let mut figures = vec![];
    for (index, group) in consistency.comparable.iter().enumerate() {
        let suffix = if several { format!("-protocol{}", index + 1) } else { String::new() };
        let at = if several { format!(", protocol {}", index + 1) } else { String::new() };
        let mut add = |name: &str, title: String, caption: String, drawing: Option<Drawing>| {
            if let Some(drawing) = drawing {
                let name = format!("{name}{suffix}");
                figures.push(Figure {
                    name,
                    title: format!("{title}{at}"),
                    caption,
                    drawing,
                    place: Place::Consistency,
                });
            }
        };
        add(
            "consistency_strip",
            "What every run makes of the same noises".to_owned(),
            "The same column is the same noise, the same row the same run, after its last step.".to_owned(),
            strip(group, sheet),
        );
        let cut = match group.runs.len() > MOST_RUNS {
            true => format!(" The first {MOST_RUNS} of {} runs.", group.runs.len()),
            false => String::new(),
        };
        for (index, similarity) in Similarity::ALL.into_iter().enumerate() {
            let words = similarity.words();
            add(
                &format!("consistency_{}", similarity.name()),
                format!("{words} of the images of every two runs"),
                format!(
                    "{words} of the images of every two runs after their last step, mean over {} noises: from the same noise (below the \
                     diagonal), and from different ones (above), which says how alike images are without it.{cut}",
                    group.noises
                ),
                matrix(group, index, sheet),
            );
        }
        for (index, similarity) in Similarity::ALL.into_iter().enumerate() {
            let words = similarity.words();
            add(
                &format!("consistency_{}_by_step", similarity.name()),
                format!("{words} of pairs of runs along training"),
                format!(
                    "{words} from the same noise at equal steps: median and range over the pairs that differ in what is named and nothing else; dashed \
                     grey, the median of all pairs from different noises. Networks that have learned little return much of the noise itself, \
                     and are alike in that."
                ),
                by_step(group, index, sheet),
            );
        }
    }
    figures
}

fn by_step(group: &Comparable, similarity: usize, sheet: Sheet) -> Option<Drawing> {
    let mut arms = vec![];
    let along = |pairs: &[usize], shuffled: bool| -> Vec<SeedPoint> {
        let mut steps: Vec<u64> = group.by_step.iter().map(|step| step.step).collect();
        steps.dedup();
        let point = |step: u64| {
            let here = group.by_step.iter().filter(|found| found.step == step && pairs.contains(&found.pair));
            let mut values: Vec<f64> =
                here.map(|found| if shuffled { found.shuffled } else { found.same }[similarity]).collect();
            values.sort_by(f64::total_cmp);
            Some(SeedPoint {
                x: step as f64,
                median: crate::report::target::median(&values)?,
                low: *values.first()?,
                high: *values.last()?,
            })
        };
        steps.into_iter().filter_map(point).collect()
    };
    // One thing at a time: with another seed beside it, it is much the same.
    let is_one_thing = |group: &Group| {
        let methods = group.difference.methods();
        methods == 0 || (methods == 1 && !group.difference.seed)
    };
    for (index, group) in group.groups().into_iter().filter(is_one_thing).take(MOST_CURVES).enumerate() {
        let points = along(&group.pairs, false);
        arms.push(ArmCurve { name: group.name, style: arm_style(index, None), points, has_markers: true });
    }
    let all: Vec<usize> = (0..group.pairs.len()).collect();
    let mut shuffled = along(&all, true);
    shuffled.iter_mut().for_each(|point| (point.low, point.high) = (point.median, point.median));
    let grey = ArmStyle { color: super::style::AXIS, dash: super::style::TARGET_DASH, ..arm_style(0, Some(0)) };
    arms.push(ArmCurve { name: "different noises".to_owned(), style: grey, points: shuffled, has_markers: false });
    if group.by_step.is_empty() {
        return None;
    }
    let y_label = format!("{}, same noise", Similarity::ALL[similarity].words());
    let axes = Axes { x_label: "training steps", y_label: &y_label, x_log: false, y_log: false, target: None };
    curves(&arms, &axes, sheet)
}
