//! The kernel distance of two sets of images (KID: Bińkowski, Sutherland, Arbel and Gretton 2018, arXiv 1801.01401).

use faer::{Mat, MatRef};
use rayon::prelude::*;

use super::products::multiply;
use super::{FeatureRows, MeasureError};
use crate::random::{Draws, Stream};

/// Images of either set in a subset, where there are so many: torch-fidelity's custom.
const SUBSET_IMAGES: usize = 1000;
/// Most subsets: torch-fidelity's custom.
const MOST_SUBSETS: usize = 100;
/// Subsets that are as large as a set or nearly so repeat each other: no image is drawn more often than so, on average.
const DRAWS_OF_AN_IMAGE: usize = 10;
/// Every run's subsets are the same, whatever its seed.
const SEED: u64 = 0;

/// Rows of the generated images and as many of the reference, which are compared with each other.
#[derive(Clone, Debug, PartialEq)]
pub struct KidSubset {
    pub generated: Vec<u32>,
    pub reference: Vec<u32>,
}

/// An estimate of the squared maximum mean discrepancy. It has no bias, so that of equal sets it may be below zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kid {
    /// The mean over subsets.
    pub mean: f64,
    /// How far it would scatter if generated images, reference images and subsets were all drawn anew. (What is often
    /// printed beside a KID is the deviation between subsets, which says how much *subsets* scatter.)
    pub standard_error: f64,
}

/// (how many subsets, how many images of each set in one) for sets of these sizes: 100 of 1,000, all images of the smaller set
/// where it has fewer, and fewer subsets where each image would be drawn more than ten times.
pub fn kid_subset_counts(generated: usize, reference: usize) -> (usize, usize) {
    let images = SUBSET_IMAGES.min(generated).min(reference);
    let subsets = (DRAWS_OF_AN_IMAGE * generated.max(reference)).div_ceil(images.max(1));
    // Where a subset is both sets whole, there is but one.
    let subsets = if images == generated.max(reference) { 1 } else { subsets.min(MOST_SUBSETS) };
    (subsets, images)
}

/// The subsets that two sets of these sizes are compared by.
pub fn kid_subsets(generated: usize, reference: usize) -> Vec<KidSubset> {
    let (subsets, images) = kid_subset_counts(generated, reference);
    let subset = |index: usize| {
        let draw =
            |side: u64, count| Draws::new(SEED, Stream::KidSubsets, 2 * index as u64 + side).subset(count, images);
        KidSubset { generated: draw(0, generated), reference: draw(1, reference) }
    };
    (0..subsets).map(subset).collect()
}

/// The mean over `subsets` of the unbiased estimate of the squared maximum mean discrepancy (Gretton et al. 2012, JMLR 13,
/// equation 3) with the kernel (x.y / dimension + 1)^3.
///
/// # Errors
/// If the feature vectors differ in length, or a subset has fewer than two images.
pub fn kid(generated: FeatureRows, reference: FeatureRows, subsets: &[KidSubset]) -> Result<Kid, MeasureError> {
    generated.same_dimension(reference)?;
    let images = subsets.iter().map(|subset| subset.generated.len().min(subset.reference.len())).min().unwrap_or(0);
    if images < 2 {
        return Err(MeasureError::TooFew { measure: "a KID", least: 2, images });
    }
    let estimates: Vec<Estimate> =
        subsets.par_iter().map(|subset| Estimate::of(generated, reference, subset)).collect();
    let count = estimates.len() as f64;
    let mean_of = |value: fn(&Estimate) -> f64| estimates.iter().map(value).sum::<f64>() / count;
    let mean = mean_of(|estimate| estimate.distance);
    // To first order the estimate is a sum over images of what each contributes (Hoeffding's decomposition of a U-statistic:
    // Serfling 1980, section 5.3), twice for either argument of the kernel. Subsets add what they scatter themselves.
    let of_images = 4.0 * mean_of(|estimate| estimate.generated_variance) / generated.count() as f64
        + 4.0 * mean_of(|estimate| estimate.reference_variance) / reference.count() as f64;
    let distances: Vec<f64> = estimates.iter().map(|estimate| estimate.distance).collect();
    let of_subsets = if distances.len() > 1 { variance(&distances) / count } else { 0.0 };
    Ok(Kid { mean, standard_error: (of_images + of_subsets).sqrt() })
}

/// One subset's.
struct Estimate {
    distance: f64,
    /// Between generated images: of how much nearer each is to its own set than to the other.
    generated_variance: f64,
    /// The same between reference images.
    reference_variance: f64,
}

impl Estimate {
    fn of(generated: FeatureRows, reference: FeatureRows, subset: &KidSubset) -> Self {
        let dimension = generated.dimension();
        let (x, y) = (generated.gathered(&subset.generated), reference.gathered(&subset.reference));
        let x = MatRef::from_row_major_slice(&x, subset.generated.len(), dimension);
        let y = MatRef::from_row_major_slice(&y, subset.reference.len(), dimension);
        let (xx, yy, xy) = (kernel(x, x), kernel(y, y), kernel(x, y));
        let (n, m) = (x.nrows(), y.nrows());
        // Of each image, the mean kernel with the others of its set, and with those of the other set.
        let own = |kernel: &Mat<f64>, index: usize| {
            (kernel.col(index).iter().sum::<f64>() - kernel[(index, index)]) / (kernel.nrows() - 1) as f64
        };
        let x_own: Vec<f64> = (0..n).map(|index| own(&xx, index)).collect();
        let y_own: Vec<f64> = (0..m).map(|index| own(&yy, index)).collect();
        let mut x_other = vec![0.0; n];
        let mut y_other = vec![0.0; m];
        for (column, y_other) in y_other.iter_mut().enumerate() {
            for (row, x_other) in x_other.iter_mut().enumerate() {
                *y_other += xy[(row, column)] / n as f64;
                *x_other += xy[(row, column)] / m as f64;
            }
        }
        let nearer =
            |own: &[f64], other: &[f64]| own.iter().zip(other).map(|(own, other)| own - other).collect::<Vec<_>>();
        Self {
            distance: mean(&x_own) + mean(&y_own) - 2.0 * mean(&x_other),
            generated_variance: variance(&nearer(&x_own, &x_other)),
            reference_variance: variance(&nearer(&y_own, &y_other)),
        }
    }
}

/// (x.y / dimension + 1)^3 of every row of `x` with every row of `y`: `[x rows, y rows]`.
fn kernel(x: MatRef<'_, f64>, y: MatRef<'_, f64>) -> Mat<f64> {
    let mut products = Mat::zeros(x.nrows(), y.nrows());
    multiply(products.as_mut(), faer::Accum::Replace, x, y.transpose());
    let scale = 1.0 / x.ncols() as f64;
    for column in 0..products.ncols() {
        products.col_mut(column).iter_mut().for_each(|product| *product = (*product * scale + 1.0).powi(3));
    }
    products
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Divided by n - 1.
fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` vectors of 8 normals around `shift`.
    fn normal(seed: u64, count: usize, shift: f32) -> Vec<f32> {
        let mut values = vec![0.0; 8 * count];
        Draws::new(seed, Stream::Noise, 0).fill_normal(&mut values);
        values.iter().map(|value| value + shift).collect()
    }

    fn measured(generated: &[f32], reference: &[f32]) -> Kid {
        let (generated, reference) = (FeatureRows::new(generated, 8).unwrap(), FeatureRows::new(reference, 8).unwrap());
        kid(generated, reference, &kid_subsets(generated.count(), reference.count())).unwrap()
    }

    #[test]
    fn it_has_no_bias_and_its_standard_error_is_how_it_scatters() {
        // (shift, images of either set): near and far, small and unequal sets, subsets of half a set.
        for (shift, generated, reference) in [(0.0, 120, 120), (0.5, 100, 250), (1.0, 60, 60), (0.5, 1500, 1200)] {
            let repeats = if generated > 1000 { 24 } else { 150 };
            let found: Vec<Kid> = (0..repeats)
                .map(|seed| measured(&normal(2 * seed + 1, generated, shift), &normal(2 * seed + 2, reference, 0.0)))
                .collect();
            let means: Vec<f64> = found.iter().map(|kid| kid.mean).collect();
            let scatter = variance(&means).sqrt();
            let claimed = mean(&found.iter().map(|kid| kid.standard_error).collect::<Vec<_>>());
            // E k of standard normals in 8 dimensions: s = x.y / 8 has mean shift_x shift_y and E (s + 1)^3 follows from its
            // moments; of equal distributions the discrepancy is 0.
            let s = f64::from(shift);
            let third = |a: f64, b: f64| {
                // x ~ N(a, 1), y ~ N(b, 1) in each of 8 places: the cumulants of the sum of 8 independent products.
                let (m1, m2) = (a * b, (1.0 + a * a) * (1.0 + b * b));
                let m3 = (a.powi(3) + 3.0 * a) * (b.powi(3) + 3.0 * b);
                let (k2, k3) = (m2 - m1 * m1, m3 - 3.0 * m2 * m1 + 2.0 * m1.powi(3));
                let (mean, variance, skew) = (m1 + 1.0, k2 / 8.0, k3 / 64.0);
                mean.powi(3) + 3.0 * mean * variance + skew
            };
            let truth = third(s, s) + third(0.0, 0.0) - 2.0 * third(s, 0.0);
            let off = (mean(&means) - truth) / (scatter / (repeats as f64).sqrt());
            assert!(off.abs() < 4.0, "shift {shift}: {} is not {truth}", mean(&means));
            // Where the sets are equal the first order vanishes; what is left of it errs to the safe side.
            let most = if shift == 0.0 { 3.0 } else { 1.4 };
            assert!((0.7..most).contains(&(claimed / scatter)), "shift {shift}: claimed {claimed}, found {scatter}");
        }
    }

    #[test]
    fn subsets_are_as_customary_and_fewer_where_they_would_repeat() {
        assert_eq!(kid_subset_counts(50_000, 50_000), (100, 1000));
        assert_eq!(kid_subset_counts(1000, 1442), (15, 1000));
        assert_eq!(kid_subset_counts(500, 1442), (29, 500));
        assert_eq!(kid_subset_counts(500, 500), (1, 500));
        assert_eq!(kid_subset_counts(1000, 60_000), (100, 1000));
        for KidSubset { generated, reference } in kid_subsets(30, 50) {
            for (mut rows, count) in [(generated, 30), (reference, 50)] {
                assert_eq!(rows.len(), 30);
                rows.sort_unstable();
                rows.dedup();
                assert!(rows.len() == 30 && rows[29] < count, "each at most once");
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (generated, reference) = (normal(1, 300, 0.3), normal(2, 400, 0.0));
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| measured(&generated, &reference))
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let values = [1.0, 2.0, 3.0, 4.0];
        let rows = |dimension| FeatureRows::new(&values, dimension).unwrap();
        let error = kid(rows(4), rows(4), &kid_subsets(1, 1)).unwrap_err().to_string();
        assert_eq!(error, "a KID needs at least 2 images in each set, not 1");
        let error = kid(rows(4), rows(2), &kid_subsets(1, 2)).unwrap_err().to_string();
        assert_eq!(error, "feature vectors of 4 and of 2 values cannot be compared");
    }
}
