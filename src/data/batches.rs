//! Which images make the batch of a step, and how they are augmented: pure functions of (seed, step).

use super::Images;
use crate::random::{Draws, Stream};

/// The images of the batch at `step` (from 0): `batch_size` indices below `image_count`.
///
/// Epochs are laid end to end, each a fresh random order of all images, and cut into batches; so a last batch that is
/// partial is filled from the next epoch, and every epoch holds every image once.
pub fn batch_indices(image_count: usize, batch_size: usize, seed: u64, step: u64) -> Vec<u32> {
    assert!(image_count > 0, "a batch needs images");
    let mut indices = Vec::with_capacity(batch_size);
    let first = u128::from(step) * batch_size as u128;
    let mut epoch = u64::try_from(first / image_count as u128).expect("fewer than 2^64 epochs");
    let mut offset = (first % image_count as u128) as usize;
    while indices.len() < batch_size {
        let order = Draws::new(seed, Stream::BatchOrder, epoch).permutation(image_count);
        let end = (offset + batch_size - indices.len()).min(image_count);
        indices.extend_from_slice(&order[offset..end]);
        epoch += 1;
        offset = 0;
    }
    indices
}

/// `[batch, channels, side, side]` of the images at `indices`; with `flips`, each is mirrored left to right with
/// probability one half.
pub fn batch_pixels(images: &Images, indices: &[u32], flips: bool, seed: u64, step: u64) -> Vec<f32> {
    let mut pixels = Vec::with_capacity(indices.len() * images.image_values());
    let mut draws = Draws::new(seed, Stream::Flips, step);
    for &index in indices {
        let start = pixels.len();
        pixels.extend_from_slice(images.image(index as usize));
        if flips && draws.next_u32() >> 31 == 1 {
            pixels[start..].chunks_exact_mut(images.side).for_each(<[f32]>::reverse);
        }
    }
    pixels
}

/// The class of each image at `indices`; each is `none` instead with probability `dropout`.
pub fn batch_classes(images: &Images, indices: &[u32], dropout: f64, none: u32, seed: u64, step: u64) -> Vec<u32> {
    let mut draws = Draws::new(seed, Stream::ClassDropout, step);
    let mut class = |&index: &u32| {
        // Drawn whatever `dropout` is, so that a larger one drops what a smaller one drops, and more.
        if draws.uniform() < dropout { none } else { u32::from(images.labels[index as usize]) }
    };
    indices.iter().map(&mut class).collect()
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
    fn flips_mirror_about_half_of_the_images_and_nothing_else() {
        // Two channels of 2 x 2, so that a flip across rows or channels would be seen.
        let images =
            Images { channels: 2, side: 2, pixels: vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], labels: vec![0] };
        let mirrored = [1.0, 0.0, 3.0, 2.0, 5.0, 4.0, 7.0, 6.0];
        let indices = vec![0; 1000];
        assert_eq!(batch_pixels(&images, &indices, false, 3, 0), images.pixels.repeat(1000));

        let flipped = batch_pixels(&images, &indices, true, 3, 0);
        let mut mirrored_count = 0;
        for image in flipped.chunks(8) {
            assert!(image == images.pixels || image == mirrored, "{image:?}");
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
        let images = Images { channels: 1, side: 1, pixels: vec![0.0; 3], labels: vec![4, 0, 2] };
        let indices: Vec<u32> = (0..3000).map(|index| index % 3).collect();
        let classes = |dropout, step| batch_classes(&images, &indices, dropout, 5, 9, step);
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
