//! The overlap of two sets of images, by nearest neighbours: precision, recall, density and coverage.

use super::nearest_neighbours::Tiling;
use super::{FeatureRows, MeasureError, NeighbourDistances};
use rayon::prelude::*;

/// The neighbour whose distance is an image's radius for precision and recall: the k of that paper.
pub const PRECISION_NEIGHBOURS: usize = 3;
/// The same for density and coverage: the k of that paper.
pub const DENSITY_NEIGHBOURS: usize = 5;

/// Shares of images that lie within the balls around other images; a ball reaches to the k-th nearest neighbour of its centre
/// in its own set, and its surface belongs to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overlap {
    /// The share of generated images within a ball of the reference (Kynkäänniemi et al. 2019, arXiv 1904.06991,
    /// equations 1 and 2).
    pub precision: f64,
    /// The share of reference images within a ball of the generated ones.
    pub recall: f64,
    /// In how many balls of the reference a generated image lies, divided by k (Naeem et al. 2020, arXiv 2002.09797):
    /// above 1 where generated images crowd where the reference does.
    pub density: f64,
    /// The share of balls of the reference with a generated image in them.
    pub coverage: f64,
}

/// A set and how far its images are from their neighbours, at least [`DENSITY_NEIGHBOURS`] of them.
#[derive(Clone, Copy)]
pub struct Neighbourhoods<'a> {
    pub rows: FeatureRows<'a>,
    pub distances: &'a NeighbourDistances,
}

/// One pass over all pairs of a reference and a generated image.
///
/// # Errors
/// If the feature vectors differ in length.
pub fn overlap(
    reference: Neighbourhoods,
    generated: Neighbourhoods,
    precision_neighbours: usize,
    density_neighbours: usize,
) -> Result<Overlap, MeasureError> {
    tiled_overlap(reference, generated, (precision_neighbours, density_neighbours), Tiling::USUAL)
}

fn tiled_overlap(
    reference: Neighbourhoods,
    generated: Neighbourhoods,
    (precision_neighbours, density_neighbours): (usize, usize),
    tiling: Tiling,
) -> Result<Overlap, MeasureError> {
    reference.rows.same_dimension(generated.rows)?;
    let radii = |set: Neighbourhoods, k| (0..set.rows.count()).map(|index| set.distances.square(index, k)).collect();
    let reference_precision: Vec<f64> = radii(reference, precision_neighbours);
    let reference_density: Vec<f64> = radii(reference, density_neighbours);
    let generated_precision: Vec<f64> = radii(generated, precision_neighbours);
    let none = || Counts {
        precise: 0,
        balls: 0,
        nearest: vec![f64::INFINITY; reference.rows.count()],
        recalled: vec![false; reference.rows.count()],
    };
    let counted = tiling.blocks(generated.rows.count()).map(|block| {
        let mut counts = none();
        let mut precise = vec![false; block.len()];
        tiling.squared_distances(generated.rows, block.clone(), reference.rows, |index, start, squares| {
            let own_radius = generated_precision[block.start + index];
            for (place, &square) in squares.iter().enumerate() {
                let other = start + place;
                precise[index] |= square <= reference_precision[other];
                counts.balls += usize::from(square <= reference_density[other]);
                counts.recalled[other] |= square <= own_radius;
                counts.nearest[other] = counts.nearest[other].min(square);
            }
        });
        counts.precise = precise.into_iter().filter(|&precise| precise).count();
        counts
    });
    // Counts, minima and "or" are exact: in whatever order, the result is the same.
    let counts = counted.reduce(none, Counts::with);
    let (generated, reference) = (generated.rows.count() as f64, reference.rows.count() as f64);
    let covered = counts.nearest.iter().zip(&reference_density).filter(|(nearest, radius)| nearest <= radius).count();
    Ok(Overlap {
        precision: counts.precise as f64 / generated,
        recall: counts.recalled.iter().filter(|&&recalled| recalled).count() as f64 / reference,
        density: counts.balls as f64 / (density_neighbours as f64 * generated),
        coverage: covered as f64 / reference,
    })
}

/// The counts for some of the generated images.
struct Counts {
    /// Within a ball of the reference.
    precise: usize,
    /// Balls of the reference that they lie in, summed over them.
    balls: usize,
    /// For each reference image, the square of the distance to the nearest of these generated images.
    nearest: Vec<f64>,
    /// Of each reference image, whether it lies within a ball of theirs.
    recalled: Vec<bool>,
}

impl Counts {
    fn with(mut self, other: Self) -> Self {
        self.precise += other.precise;
        self.balls += other.balls;
        self.nearest.iter_mut().zip(other.nearest).for_each(|(one, other)| *one = one.min(other));
        self.recalled.iter_mut().zip(other.recalled).for_each(|(one, other)| *one |= other);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Draws, Stream};

    fn of(reference: &[f32], generated: &[f32], dimension: usize) -> Overlap {
        let rows = |values| FeatureRows::new(values, dimension).unwrap();
        let (reference, generated) = (rows(reference), rows(generated));
        let distances = [reference, generated].map(|rows| NeighbourDistances::of(rows, DENSITY_NEIGHBOURS).unwrap());
        let reference = Neighbourhoods { rows: reference, distances: &distances[0] };
        let generated = Neighbourhoods { rows: generated, distances: &distances[1] };
        overlap(reference, generated, PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS).unwrap()
    }

    fn normal(seed: u64, count: usize, shift: f32, spread: f32) -> Vec<f32> {
        let mut values = vec![0.0; 4 * count];
        Draws::new(seed, Stream::Noise, 0).fill_normal(&mut values);
        values.iter().map(|value| value * spread + shift).collect()
    }

    #[test]
    fn sets_far_apart_share_nothing_and_a_set_shares_all_with_itself() {
        let near = normal(1, 300, 0.0, 1.0);
        let same = of(&near, &near, 4);
        assert_eq!((same.precision, same.recall, same.coverage), (1.0, 1.0, 1.0));
        // An image and those of its k nearest neighbours whose ball reaches it: k + 1 balls on average.
        assert!((same.density - 1.2).abs() < 1e-12, "{same:?}");
        let apart = of(&near, &normal(2, 400, 100.0, 1.0), 4);
        assert_eq!(apart, Overlap { precision: 0.0, recall: 0.0, density: 0.0, coverage: 0.0 });
    }

    #[test]
    fn narrow_images_are_precise_and_recall_little() {
        let reference = normal(1, 600, 0.0, 1.0);
        let (alike, narrow, wide) = (
            of(&reference, &normal(2, 500, 0.0, 1.0), 4),
            of(&reference, &normal(2, 500, 0.0, 0.3), 4),
            of(&reference, &normal(2, 500, 0.0, 3.0), 4),
        );
        assert!(narrow.precision > alike.precision && alike.precision > wide.precision + 0.3, "{alike:?} {wide:?}");
        assert!(narrow.recall < alike.recall - 0.3 && narrow.coverage < alike.coverage - 0.3, "{alike:?} {narrow:?}");
        assert!((alike.density - 1.0).abs() < 0.15 && narrow.density > 1.1, "{alike:?} {narrow:?}");
    }

    #[test]
    fn the_size_of_blocks_changes_at_most_the_last_bits() {
        let (reference, generated) = (normal(1, 700, 0.0, 1.0), normal(2, 900, 0.4, 1.1));
        let rows = [&reference, &generated].map(|values| FeatureRows::new(values, 4).unwrap());
        let with = |block_rows, tile_rows| {
            let tiling = Tiling { block_rows, tile_rows };
            let distances = rows.map(|rows| NeighbourDistances::tiled(rows, DENSITY_NEIGHBOURS, tiling).unwrap());
            let reference = Neighbourhoods { rows: rows[0], distances: &distances[0] };
            let generated = Neighbourhoods { rows: rows[1], distances: &distances[1] };
            let neighbours = (PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS);
            let found = tiled_overlap(reference, generated, neighbours, tiling).unwrap();
            (distances, found)
        };
        let (expected, overlap) = with(Tiling::USUAL.block_rows, Tiling::USUAL.tile_rows);
        // All at once, a row at a time, and blocks and tiles that do not end together.
        for (block_rows, tile_rows) in [(900, 900), (1, 50), (50, 1), (97, 31), (300, 101)] {
            let (distances, found) = with(block_rows, tile_rows);
            assert_eq!(found, overlap, "{block_rows}, {tile_rows}");
            for (side, images) in [700, 900].into_iter().enumerate() {
                for (index, k) in (0..images).flat_map(|index| (1..=DENSITY_NEIGHBOURS).map(move |k| (index, k))) {
                    let (found, expected) = (distances[side].square(index, k), expected[side].square(index, k));
                    assert!((found - expected).abs() < 1e-12, "{block_rows}, {tile_rows}: {found}, {expected}");
                }
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (reference, generated) = (normal(1, 700, 0.0, 1.0), normal(2, 900, 0.4, 1.1));
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| of(&reference, &generated, 4))
        };
        assert_eq!(with(1), with(3));
    }
}
