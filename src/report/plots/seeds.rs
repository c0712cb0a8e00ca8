//! Curves of an arm's seeds as one line and a band.

use std::collections::BTreeMap;

use crate::record::{Row, RunRecord};
use crate::report::curve::protocols;
use crate::report::target::median;

/// Median and range over seeds at one place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeedPoint {
    pub x: f64,
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

/// One value for each step at which at least half of the seeds that ever measured have one; `curves` holds (step, x,
/// value) of each seed. Values that are not finite are left out.
pub fn over_seeds(curves: &[Vec<(u64, f64, f64)>]) -> Vec<SeedPoint> {
    let mut steps: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
    for &(step, x, value) in curves.iter().flatten().filter(|(_, _, value)| value.is_finite()) {
        steps.entry(step).or_default().push((x, value));
    }
    let measured = curves.iter().filter(|curve| !curve.is_empty()).count();
    let points = steps.into_values().filter(|points| 2 * points.len() >= measured).filter_map(|points| {
        let values: Vec<f64> = points.iter().map(|point| point.1).collect();
        let x: Vec<f64> = points.iter().map(|point| point.0).collect();
        Some(SeedPoint {
            x: median(&x)?,
            median: median(&values)?,
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    });
    points.collect()
}

/// The run's rows of one metric, by step; where it was measured by several protocols, by the first: that of the weights that
/// are compared.
pub fn rows<'a>(run: &'a RunRecord, metric: &str) -> impl Iterator<Item = Row<'a>> + use<'a> {
    let protocol = protocols(run, metric).first().copied().unwrap_or_default();
    run.rows.series(metric, protocol)
}

/// (step, images seen, value) with each stretch of about `1 / stretches` of the logarithmic axis replaced by its mean.
pub fn stretched(run: &RunRecord, metric: &str, stretches: usize) -> Vec<(u64, f64, f64)> {
    let rows: Vec<Row> = rows(run, metric).filter(|row| row.images_seen > 0).collect();
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return vec![] };
    let extent = (last.images_seen as f64 / first.images_seen as f64).ln().max(1e-9);
    let stretch = |row: &Row| {
        let share = (row.images_seen as f64 / first.images_seen as f64).ln() / extent;
        ((share * stretches as f64) as usize).min(stretches - 1)
    };
    let same = |first: &Row, second: &Row| stretch(first) == stretch(second);
    let mean = |chunk: &[Row]| {
        let count = chunk.len() as f64;
        let images = chunk.iter().map(|row| row.images_seen as f64).sum::<f64>() / count;
        (chunk[chunk.len() - 1].step, images, chunk.iter().map(|row| row.value).sum::<f64>() / count)
    };
    rows.chunk_by(same).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_band_is_the_range_and_the_line_the_median() {
        let curves =
            [vec![(1, 10.0, 3.0), (2, 20.0, 1.0)], vec![(1, 12.0, 5.0), (2, 22.0, f64::NAN)], vec![(1, 11.0, 4.0)]];
        let points = over_seeds(&curves);
        // At step 2 one of three seeds has a number: that is no longer the arm.
        assert_eq!(points, [SeedPoint { x: 11.0, median: 4.0, low: 3.0, high: 5.0 }]);
        assert_eq!(over_seeds(&[]), []);
    }
}
