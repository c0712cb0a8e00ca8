//! Which noise each image of a batch gets.

use pathfinding::prelude::{Matrix, kuhn_munkres_min};
use rayon::prelude::*;

use crate::spec::NoiseAssignment;

/// Distances are rounded to this share of 1, so that they are whole numbers: an assignment of fractions could go round in
/// circles. A batch of images is some tens apart from its noise, and the rounding of f32 pixels is larger.
const STEPS_OF_DISTANCE: f64 = (1u64 << 20) as f64;
const LANES: usize = 8;

/// What a squared distance costs.
type Cost = fn(f64) -> f64;

/// The noise of each image: `noise`, of the images' shape `[batch, values]`, or its rows in another order.
///
/// `immiscible` (Li, Jiang, Kodaira, Tomizuka, Keutzer and Xu 2024, arXiv 2406.12303): the order in which the sum of the
/// distances |image - noise| (Euclidean, not squared, as in the authors' code) over the batch is least, by the Kuhn-Munkres
/// algorithm in whole numbers of 2^-20. Of several such orders it is always the same one. The authors compute distances in
/// f16 to save time on large batches.
///
/// `optimal_transport` (Pooladian et al. 2023, arXiv 2304.14772): the same with squared distances, the coupling of a batch whose transport
/// from noise to images costs least.
///
/// CPU time of one thread of an Intel Xeon with AVX-512 (the distances are shared by all threads, the assignment is not), ms at a batch of
/// 64, 128, 256: images of 8x8x1 0.5, 3, 12; of 32x32x3 6, 21, 95. It grows with the square of the batch, and worse.
pub fn assigned_noise(assignment: &NoiseAssignment, images: &[f32], noise: Vec<f32>, batch_size: usize) -> Vec<f32> {
    match assignment {
        NoiseAssignment::Independent(_) => noise,
        NoiseAssignment::Immiscible(_) => nearest_noise(images, &noise, batch_size, f64::sqrt),
        NoiseAssignment::OptimalTransport(_) => nearest_noise(images, &noise, batch_size, |squared| squared),
    }
}

/// The noises in the order in which the sum of `cost` of their squared distances from the images is least.
fn nearest_noise(images: &[f32], noise: &[f32], batch_size: usize, cost: Cost) -> Vec<f32> {
    assert_eq!(images.len(), noise.len(), "a noise for each image");
    let values = images.len() / batch_size;
    let order = nearest(images, noise, values, cost);
    order.into_iter().flat_map(|row| &noise[row * values..][..values]).copied().collect()
}

/// For each image the row of its noise.
fn nearest(images: &[f32], noise: &[f32], values: usize, cost: Cost) -> Vec<usize> {
    // Each distance is on its own, so the number of threads cannot change a bit.
    let rows: Vec<Vec<i64>> = images
        .par_chunks_exact(values)
        .map(|image| noise.chunks_exact(values).map(|noise| whole(cost(squared_distance(image, noise)))).collect())
        .collect();
    let distances = Matrix::from_rows(rows).expect("as many noises for every image");
    kuhn_munkres_min(&distances).1
}

/// In whole numbers of 2^-20.
fn whole(cost: f64) -> i64 {
    (cost * STEPS_OF_DISTANCE).round() as i64
}

/// |image - noise|^2.
fn squared_distance(image: &[f32], noise: &[f32]) -> f64 {
    let mut lanes = [0f64; LANES];
    let mut add = |image: &[f32], noise: &[f32]| {
        for ((lane, image), noise) in lanes.iter_mut().zip(image).zip(noise) {
            let difference = f64::from(image - noise);
            *lane += difference * difference;
        }
    };
    let (image, image_rest) = image.as_chunks::<LANES>();
    let (noise, noise_rest) = noise.as_chunks::<LANES>();
    image.iter().zip(noise).for_each(|(image, noise)| add(image, noise));
    add(image_rest, noise_rest);
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Draws, Stream};
    use crate::spec::{ImmiscibleNoise, IndependentNoise, OptimalTransportNoise};

    const IMMISCIBLE: NoiseAssignment = NoiseAssignment::Immiscible(ImmiscibleNoise {});
    const TRANSPORT: NoiseAssignment = NoiseAssignment::OptimalTransport(OptimalTransportNoise {});

    fn normals(count: usize, seed: u64) -> Vec<f32> {
        let mut values = vec![0.0; count];
        Draws::new(seed, Stream::Noise, 0).fill_normal(&mut values);
        values
    }

    fn total(images: &[f32], noise: &[f32], values: usize, cost: Cost) -> f64 {
        let pairs = images.chunks(values).zip(noise.chunks(values));
        let distance = |(image, noise): (&[f32], &[f32])| {
            image.iter().zip(noise).map(|(image, noise)| f64::from(image - noise).powi(2)).sum::<f64>()
        };
        pairs.map(distance).map(cost).sum()
    }

    /// Every order of `rows`.
    fn orders(rows: usize) -> Vec<Vec<usize>> {
        if rows == 0 {
            return vec![Vec::new()];
        }
        let insert = |order: Vec<usize>| {
            (0..rows).map(move |place| {
                let mut order = order.clone();
                order.insert(place, rows - 1);
                order
            })
        };
        orders(rows - 1).into_iter().flat_map(insert).collect()
    }

    #[test]
    fn independent_noise_is_left_as_it_is() {
        let noise = normals(12, 1);
        assert_eq!(assigned_noise(&NoiseAssignment::Independent(IndependentNoise {}), &[], noise.clone(), 3), noise);
    }

    #[test]
    fn no_order_of_the_noises_has_a_smaller_sum_of_distances_or_of_their_squares() {
        const VALUES: usize = 11;
        let kinds: [(NoiseAssignment, Cost); 2] = [(IMMISCIBLE, f64::sqrt), (TRANSPORT, |squared| squared)];
        let mut others = 0;
        for (seed, (kind, cost)) in (0..5).flat_map(|seed| kinds.clone().map(|kind| (seed, kind))) {
            let (images, noise) = (normals(6 * VALUES, 2 * seed), normals(6 * VALUES, 2 * seed + 1));
            let assigned = assigned_noise(&kind, &images, noise.clone(), 6);
            others += usize::from(assigned != assigned_noise(&IMMISCIBLE, &images, noise.clone(), 6));
            let least = orders(6).into_iter().map(|order| {
                let ordered: Vec<f32> =
                    order.iter().flat_map(|row| &noise[row * VALUES..][..VALUES]).copied().collect();
                total(&images, &ordered, VALUES, cost)
            });
            let least = least.fold(f64::INFINITY, f64::min);
            assert!((total(&images, &assigned, VALUES, cost) - least).abs() < 1e-5);
        }
        assert!(others > 0, "no test tells the two kinds apart");
    }

    #[test]
    fn every_noise_is_given_to_one_image_whole() {
        let (images, noise) = (normals(64 * 20, 3), normals(64 * 20, 4));
        let assigned = assigned_noise(&IMMISCIBLE, &images, noise.clone(), 64);
        assert_ne!(assigned, noise);
        let sorted = |noise: &[f32]| {
            let mut rows: Vec<Vec<u32>> =
                noise.chunks(20).map(|row| row.iter().map(|value| value.to_bits()).collect()).collect();
            rows.sort();
            rows
        };
        assert_eq!(sorted(&assigned), sorted(&noise));
        assert!(total(&images, &assigned, 20, f64::sqrt) < total(&images, &noise, 20, f64::sqrt));
    }

    #[test]
    fn neither_threads_nor_ties_leave_a_choice() {
        // Images of two kinds, so that most orders have equals.
        let images: Vec<f32> = (0..64 * 8).map(|index| if index / 8 % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let noise = normals(64 * 8, 5);
        let assign = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| assigned_noise(&IMMISCIBLE, &images, noise.clone(), 64))
        };
        assert_eq!(assign(1), assign(3));
        assert_eq!(assign(1), assign(1));
    }
}
