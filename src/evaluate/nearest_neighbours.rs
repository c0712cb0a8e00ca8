//! Distances between all images of two sets, block by block: never all of them at once.

use std::ops::Range;

use faer::{Accum, Mat, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;

use super::{FeatureRows, MeasureError};

/// How far each image of a set is from its nearest neighbours in the same set.
#[derive(Clone, Debug, PartialEq)]
pub struct NeighbourDistances {
    neighbours: usize,
    /// `[images, neighbours]`, nearest first; squared.
    squares: Vec<f64>,
}

impl NeighbourDistances {
    /// # Errors
    /// If there are not that many neighbours.
    pub fn of(rows: FeatureRows, neighbours: usize) -> Result<Self, MeasureError> {
        Self::tiled(rows, neighbours, Tiling::USUAL)
    }

    pub(super) fn tiled(rows: FeatureRows, neighbours: usize, tiling: Tiling) -> Result<Self, MeasureError> {
        if rows.count() <= neighbours {
            let least = neighbours + 1;
            return Err(MeasureError::TooFew {
                measure: "a distance to nearest neighbours",
                least,
                images: rows.count(),
            });
        }
        let squares = tiling.blocks(rows.count()).map(|block| {
            let mut nearest = vec![f64::INFINITY; block.len() * neighbours];
            tiling.squared_distances(rows, block.clone(), rows, |index, start, squares| {
                let nearest = &mut nearest[index * neighbours..][..neighbours];
                for (other, &square) in squares.iter().enumerate() {
                    if square < nearest[neighbours - 1] && start + other != block.start + index {
                        let place = nearest.partition_point(|&known| known <= square);
                        nearest[place..].rotate_right(1);
                        nearest[place] = square;
                    }
                }
            });
            nearest
        });
        Ok(Self { neighbours, squares: squares.collect::<Vec<_>>().concat() })
    }

    /// The square of the distance of image `index` to its `k`-th nearest neighbour.
    pub fn square(&self, index: usize, k: usize) -> f64 {
        assert!((1..=self.neighbours).contains(&k), "there are {} neighbours", self.neighbours);
        self.squares[index * self.neighbours + k - 1]
    }
}

/// How many images are compared at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    /// Rows of one set that a thread compares with the other set.
    pub block_rows: usize,
    /// Rows of the other set that it compares them with at a time.
    pub tile_rows: usize,
}

impl Tiling {
    /// A tile is 2 MiB of distances. It is fixed, so that no distance is rounded otherwise on another machine.
    pub const USUAL: Self = Self { block_rows: 256, tile_rows: 1024 };

    /// `0..count` in blocks, each for one thread.
    pub fn blocks(self, count: usize) -> impl IndexedParallelIterator<Item = Range<usize>> {
        (0..count.div_ceil(self.block_rows)).into_par_iter().map(move |block| {
            let start = block * self.block_rows;
            start..count.min(start + self.block_rows)
        })
    }

    /// Tells `visit` (index within `block`, first row of `others`, squared distances to it and those after it), tile by tile,
    /// for every row of `rows` in `block`. |x - y|^2 = |x|^2 + |y|^2 - 2 x.y, in f64, not below zero.
    pub fn squared_distances(
        self,
        rows: FeatureRows,
        block: Range<usize>,
        others: FeatureRows,
        mut visit: impl FnMut(usize, usize, &[f64]),
    ) {
        let dimension = rows.dimension();
        let own = rows.widened(block.clone());
        let own_squares = squares(&own, dimension);
        let own = MatRef::from_row_major_slice(&own, block.len(), dimension);
        let mut distances = vec![];
        for start in (0..others.count()).step_by(self.tile_rows) {
            let end = others.count().min(start + self.tile_rows);
            let other = others.widened(start..end);
            let other_squares = squares(&other, dimension);
            let other = MatRef::from_row_major_slice(&other, end - start, dimension);
            // Column by column: one of `block`, against all of the tile.
            let mut products: Mat<f64> = Mat::zeros(end - start, block.len());
            matmul(products.as_mut(), Accum::Replace, other, own.transpose(), 1.0, Par::Seq);
            for (index, own_square) in own_squares.iter().enumerate() {
                let products = products.col(index).iter().zip(&other_squares);
                distances.clear();
                distances.extend(products.map(|(product, square)| (own_square + square - 2.0 * product).max(0.0)));
                visit(index, start, &distances);
            }
        }
    }
}

fn squares(values: &[f64], dimension: usize) -> Vec<f64> {
    values.chunks_exact(dimension).map(|row| row.iter().map(|value| value * value).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Draws, Stream};

    #[test]
    fn they_are_those_of_the_definition_also_across_blocks_and_tiles() {
        let mut values = vec![0.0; 3 * 1300];
        Draws::new(1, Stream::Noise, 0).fill_normal(&mut values);
        let rows = FeatureRows::new(&values, 3).unwrap();
        let found = NeighbourDistances::of(rows, 4).unwrap();
        for index in [0, 255, 256, 1023, 1024, 1299] {
            let to = |other: usize| {
                let pairs = rows.row(index).iter().zip(rows.row(other));
                pairs.map(|(one, other)| (f64::from(*one) - f64::from(*other)).powi(2)).sum::<f64>()
            };
            let mut expected: Vec<f64> = (0..1300).filter(|&other| other != index).map(to).collect();
            expected.sort_by(f64::total_cmp);
            for k in 1..=4 {
                let square = found.square(index, k);
                assert!((square / expected[k - 1] - 1.0).abs() < 1e-9, "image {index}, neighbour {k}: {square}");
            }
        }
    }

    #[test]
    fn a_copy_is_a_neighbour_at_distance_zero_and_an_image_is_not_its_own() {
        let values = [1.0, 1.0, 5.0, 9.0];
        let found = NeighbourDistances::of(FeatureRows::new(&values, 1).unwrap(), 2).unwrap();
        assert_eq!([found.square(0, 1), found.square(0, 2), found.square(3, 1)], [0.0, 16.0, 16.0]);
        let error = NeighbourDistances::of(FeatureRows::new(&values, 1).unwrap(), 4).unwrap_err().to_string();
        assert_eq!(error, "a distance to nearest neighbours needs at least 5 images in each set, not 4");
    }
}
