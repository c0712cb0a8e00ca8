//! Which images make the batch of a step, and how they are augmented: pure functions of (seed, step).

use rayon::prelude::*;

use super::Images;
use super::images::BatchPlace;
use crate::random::{Draws, Stream};

/// Batches of more values than this are made by all threads.
const VALUES_FOR_ONE_THREAD: usize = 1 << 20;

/// Which images make each batch.
///
/// Epochs are laid end to end, each a fresh random order of all images, and cut into batches; so a last batch that is
/// partial is filled from the next epoch, and every epoch holds every image once. The order of an epoch is a function
/// of (seed, epoch); the last one is kept, because the next batch is most likely from the same.
#[derive(Clone, Debug)]
pub struct BatchOrder {
    image_count: usize,
    seed: u64,
    /// (epoch, its order).
    kept: Option<(u64, Vec<u32>)>,
}

impl BatchOrder {
    pub fn new(image_count: usize, seed: u64) -> Self {
        assert!(image_count > 0, "a batch needs images");
        Self { image_count, seed, kept: None }
    }

    /// The images of a batch of `batch_size` after `first` images: so many indices below `image_count`.
    pub fn indices(&mut self, first: u64, batch_size: usize) -> Vec<u32> {
        let mut indices = Vec::with_capacity(batch_size);
        let mut epoch = first / self.image_count as u64;
        let mut offset = (first % self.image_count as u64) as usize;
        while indices.len() < batch_size {
            let end = (offset + batch_size - indices.len()).min(self.image_count);
            indices.extend_from_slice(&self.epoch(epoch)[offset..end]);
            epoch += 1;
            offset = 0;
        }
        indices
    }

    fn epoch(&mut self, epoch: u64) -> &[u32] {
        if self.kept.as_ref().is_none_or(|(kept, _)| *kept != epoch) {
            let order = Draws::new(self.seed, Stream::BatchOrder, epoch).permutation(self.image_count);
            self.kept = Some((epoch, order));
        }
        &self.kept.as_ref().expect("it was just made").1
    }
}

/// [`BatchOrder::indices`] of the batch at `step` (from 0), where all batches have one size.
pub fn batch_indices(image_count: usize, batch_size: usize, seed: u64, step: u64) -> Vec<u32> {
    BatchOrder::new(image_count, seed).indices(step * batch_size as u64, batch_size)
}

/// Which images of a batch are mirrored left to right: with `flips` each with probability one half.
pub fn mirrored(count: usize, flips: bool, seed: u64, step: u64) -> Vec<bool> {
    let mut draws = Draws::new(seed, Stream::Flips, step);
    (0..count).map(|_| flips && draws.next_u32() >> 31 == 1).collect()
}

/// `[batch, channels, side, side]` of the images at `indices`; with `flips`, each is mirrored left to right with
/// probability one half. A latent whose files have its moments is drawn for its place in the batch.
pub fn batch_pixels(images: &Images, indices: &[u32], flips: bool, seed: u64, step: u64) -> Vec<f32> {
    let mirrored = mirrored(indices.len(), flips, seed, step);
    let mut pixels = vec![0.0; indices.len() * images.image_values()];
    let write = |(place, (pixels, (&index, &mirrored))): (usize, (&mut [f32], (&u32, &bool)))| {
        images.write_in_batch(index as usize, mirrored, BatchPlace { seed, step, place }, pixels);
    };
    if pixels.len() > VALUES_FOR_ONE_THREAD {
        let images = pixels.par_chunks_exact_mut(images.image_values()).zip(indices.par_iter().zip(&mirrored));
        images.enumerate().for_each(write);
    } else {
        let images = pixels.chunks_exact_mut(images.image_values()).zip(indices.iter().zip(&mirrored));
        images.enumerate().for_each(write);
    }
    pixels
}

/// The class of each image of a batch, whose labels are given; each is `none` instead with probability `dropout`.
pub fn batch_classes(labels: &[u16], dropout: f64, none: u32, seed: u64, step: u64) -> Vec<u32> {
    let mut draws = Draws::new(seed, Stream::ClassDropout, step);
    let mut class = |&label: &u16| {
        // Drawn whatever `dropout` is, so that a larger one drops what a smaller one drops, and more.
        if draws.uniform() < dropout { none } else { u32::from(label) }
    };
    labels.iter().map(&mut class).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(mut indices: Vec<u32>) -> Vec<u32> {
        indices.sort_unstable();
        indices
    }

    #[test]
    fn every_epoch_holds_every_image_once() {
        // 100 images in batches of 32: epochs end inside batches; 25 batches are exactly 8 epochs.
        let seen: Vec<u32> = (0..25).flat_map(|step| batch_indices(100, 32, 5, step)).collect();
        assert_eq!(seen.len(), 800);
        let all: Vec<u32> = (0..100).collect();
        for epoch in seen.chunks(100) {
            assert_eq!(sorted(epoch.to_vec()), all);
        }
        assert_ne!(seen[..100], seen[100..200], "each epoch has its own order");
        assert_ne!(seen[..100], all);
    }

    #[test]
    fn batches_of_changing_sizes_leave_no_image_out() {
        let mut order = BatchOrder::new(100, 5);
        let (mut seen, mut first) = (Vec::new(), 0);
        for batch_size in [32, 7, 64, 1, 96] {
            seen.extend(order.indices(first, batch_size));
            first += batch_size as u64;
        }
        assert_eq!(seen, batch_indices(100, 200, 5, 0));
    }

    #[test]
    fn a_batch_may_be_larger_than_the_data() {
        let batch = batch_indices(3, 10, 0, 1);
        // Places 10..20 of epochs of 3: the last two of epoch 3, epochs 4 and 5 whole, the first two of epoch 6.
        assert_eq!(sorted(batch[2..5].to_vec()), [0, 1, 2]);
        assert_eq!(sorted(batch[5..8].to_vec()), [0, 1, 2]);
        assert_eq!(batch.len(), 10);
    }

    #[test]
    fn batches_are_a_function_of_seed_and_step() {
        assert_eq!(batch_indices(1442, 64, 1, 77), batch_indices(1442, 64, 1, 77));
        assert_ne!(batch_indices(1442, 64, 1, 77), batch_indices(1442, 64, 2, 77));
        assert_ne!(batch_indices(1442, 64, 1, 77), batch_indices(1442, 64, 1, 78));
    }

    #[test]
    fn an_order_that_goes_on_gives_what_a_fresh_one_gives() {
        let mut order = BatchOrder::new(100, 5);
        for step in [0, 1, 2, 3, 4, 9, 3, 1 << 40] {
            assert_eq!(order.indices(32 * step, 32), batch_indices(100, 32, 5, step), "step {step}");
        }
    }

    /// Computed by another implementation of Philox and Fisher-Yates, in Python.
    #[test]
    fn the_order_of_the_digits_is_the_recorded_one() {
        assert_eq!(batch_indices(1442, 8, 0, 0), [879, 1162, 67, 357, 671, 1069, 764, 1003]);
        assert_eq!(batch_indices(1442, 8, 3, 1_000_000), [162, 163, 648, 295, 639, 1089, 477, 164]);
    }

    #[test]
    fn many_threads_make_the_same_batch_as_one() {
        let images = Images::in_memory(3, 8, (0..192 * 7).map(|i| (i * 31 % 251) as u8).collect(), vec![0; 7], 255);
        let indices: Vec<u32> = (0..7).cycle().take(6000).collect();
        let large = batch_pixels(&images, &indices, true, 9, 4);
        assert!(large.len() > VALUES_FOR_ONE_THREAD);
        let mut draws = Draws::new(9, Stream::Flips, 4);
        for (index, found) in indices.iter().zip(large.chunks_exact(192)) {
            let mut expected = images.image(*index as usize);
            if draws.next_u32() >> 31 == 1 {
                expected.chunks_exact_mut(8).for_each(<[f32]>::reverse);
            }
            assert!(found == expected);
        }
    }

    #[test]
    fn flips_mirror_about_half_of_the_images_and_nothing_else() {
        // Two channels of 2 x 2, so that a flip across rows or channels would be seen.
        let images = Images::in_memory(2, 2, vec![0, 1, 2, 3, 4, 5, 6, 7], vec![0], 2);
        let plain = images.image(0);
        assert_eq!(plain, [-1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let mirrored = [0.0, -1.0, 2.0, 1.0, 4.0, 3.0, 6.0, 5.0];
        let indices = vec![0; 1000];
        assert_eq!(batch_pixels(&images, &indices, false, 3, 0), plain.repeat(1000));

        let flipped = batch_pixels(&images, &indices, true, 3, 0);
        let mut mirrored_count = 0;
        for image in flipped.chunks(8) {
            assert!(image == plain || image == mirrored, "{image:?}");
            mirrored_count += usize::from(image == mirrored);
        }
        // Five standard deviations of a fair coin thrown 1,000 times are 79.
        assert!((421..=579).contains(&mirrored_count), "{mirrored_count} of 1000");
        assert_eq!(flipped, batch_pixels(&images, &indices, true, 3, 0));
        assert_ne!(flipped, batch_pixels(&images, &indices, true, 3, 1));
        assert_ne!(flipped, batch_pixels(&images, &indices, true, 4, 0));
    }

    #[test]
    fn a_share_of_classes_is_dropped_and_the_others_are_those_of_the_images() {
        let labels = [4, 0, 2].repeat(1000);
        let classes = |dropout, step| batch_classes(&labels, dropout, 5, 9, step);
        assert_eq!(classes(0.0, 1)[..4], [4, 0, 2, 4]);
        let (few, many) = (classes(0.1, 1), classes(0.4, 1));
        for (index, (&few, &many)) in few.iter().zip(&many).enumerate() {
            let class = [4, 0, 2][index % 3];
            assert!((few == 5 || few == class) && (many == 5 || many == class), "{few}, {many} for {class}");
            assert!(few != 5 || many == 5, "what a small share drops, a larger one drops too");
        }
        // Five standard deviations of 3,000 draws at 0.1 are 82, at 0.4 are 134.
        let dropped = |classes: &[u32]| classes.iter().filter(|&&class| class == 5).count();
        assert!(dropped(&few).abs_diff(300) < 82 && dropped(&many).abs_diff(1200) < 134);
        assert_eq!(few, classes(0.1, 1));
        assert_ne!(few, classes(0.1, 2));
    }
}
