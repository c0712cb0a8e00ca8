//! What `auxiliary_losses.alignment` compares tokens with, and how.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use burn::tensor::Tensor;

use crate::data::{Batch, ImageFeatures, LatentPictures};
use crate::kernels::TokenChoice;

/// Features that are kept take no more bytes than this.
pub const KEPT_FEATURE_BYTES: usize = 1 << 30;

/// Pictures of latents that are held at a time.
const PICTURES_AT_ONCE: usize = 16;

/// A norm below this counts as this, as in PyTorch's `normalize`.
const LEAST_NORM: f64 = 1e-12;

/// What a frozen network sees in each patch of images, as vectors of length 1. Those of an image are kept and used again while there is room: what
/// they are does not depend on it.
pub struct PatchFeatures {
    encoder: Arc<dyn ImageFeatures>,
    /// What the encoder sees where the images of a batch are latents.
    pictures: Option<LatentPictures>,
    /// Patches of each side of an image.
    side: usize,
    /// `[patches, channels]` by (training image, whether it is mirrored).
    kept: HashMap<(u32, bool), Arc<[f32]>>,
    /// How many images may be kept.
    room: usize,
}

impl PatchFeatures {
    /// Of images of `side * side` patches.
    pub fn new(encoder: Arc<dyn ImageFeatures>, side: usize) -> Self {
        let image_bytes = side * side * encoder.shape().0 * size_of::<f32>();
        Self { encoder, pictures: None, side, kept: HashMap::new(), room: KEPT_FEATURE_BYTES / image_bytes }
    }

    /// The same, but that the encoder sees these where there are some, not the images of a batch.
    pub fn of_pictures(self, pictures: Option<LatentPictures>) -> Self {
        Self { pictures, ..self }
    }

    /// `[batch, patches, channels]` of the images of a batch.
    pub fn of_batch(&mut self, batch: &Batch) -> Vec<f32> {
        let values = batch.pixels.len() / batch.indices.len();
        let names = || batch.indices.iter().copied().zip(batch.mirrored.iter().copied());
        let (mut fresh, mut is_fresh) = (Vec::new(), HashSet::new());
        let mut images = Vec::new();
        for (name, image) in names().zip(batch.pixels.chunks_exact(values)) {
            if !self.kept.contains_key(&name) && is_fresh.insert(name) {
                fresh.push(name);
                images.push(image);
            }
        }
        let found = match &self.pictures {
            _ if fresh.is_empty() => Vec::new(),
            Some(pictures) => {
                let parts = fresh.chunks(PICTURES_AT_ONCE);
                parts.flat_map(|names| self.encoder.features(&pictures.pixels(names))).collect()
            }
            None => self.encoder.features(&images.concat()),
        };
        let (channels, encoder_side) = self.encoder.shape();
        let of_image = |planes: &[f32]| Arc::from(of_patches(planes, channels, encoder_side, self.side));
        let found = found.chunks_exact(encoder_side * encoder_side * channels).map(of_image);
        let found: HashMap<(u32, bool), Arc<[f32]>> = fresh.iter().copied().zip(found).collect();
        let of_name =
            |name| self.kept.get(&name).or_else(|| found.get(&name)).expect("it was kept or has been computed");
        let result = names().flat_map(|name| of_name(name).iter().copied()).collect();
        for name in fresh.into_iter().take(self.room - self.kept.len()) {
            self.kept.insert(name, Arc::clone(&found[&name]));
        }
        result
    }
}

/// `[side * side, channels]` of planes `[from, from, channels]`: the mean over the pixels of each patch, made 1 long. The pixels of the i-th of n
/// patches in a row of m are floor(i m / n) to below ceil((i + 1) m / n), as in PyTorch's `adaptive_avg_pool2d`; neighbours share pixels where n does
/// not divide m, and have the same ones where there are more patches than pixels.
fn of_patches(planes: &[f32], channels: usize, from: usize, side: usize) -> Vec<f32> {
    let pixels_of = |patch: usize| patch * from / side..((patch + 1) * from).div_ceil(side);
    let mut found = Vec::with_capacity(side * side * channels);
    for (row, column) in (0..side * side).map(|patch| (patch / side, patch % side)) {
        let mut sums = vec![0f64; channels];
        for (y, x) in pixels_of(row).flat_map(|y| pixels_of(column).map(move |x| (y, x))) {
            let pixel = &planes[(y * from + x) * channels..][..channels];
            sums.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        // The mean's direction is that of the sum.
        let area = (pixels_of(row).len() * pixels_of(column).len()) as f64;
        let norm = (sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt() / area).max(LEAST_NORM);
        found.extend(sums.into_iter().map(|sum| (sum / area / norm) as f32));
    }
    found
}

/// `[images, kept, channels]`: of `[images, patches, channels]` those of the patches that `shown` chooses.
pub fn of_shown(features: &[f32], shown: &TokenChoice) -> Vec<f32> {
    let patches = shown.tokens();
    let channels = features.len() / (shown.images() * patches);
    let places = shown.places().iter().enumerate();
    let starts = places.map(|(index, &place)| (index / shown.count() * patches + place as usize) * channels);
    starts.flat_map(|start| &features[start..start + channels]).copied().collect()
}

/// Minus the mean over images and patches of the cosine between what is made of a patch's token, `projected` `[batch, channels, 1, patches]`, and its
/// features, of the same shape and of length 1 (Yu et al. 2024, arXiv 2410.06940; `proj_loss` of the authors' code).
pub fn misalignment(projected: Tensor<4>, features: Tensor<4>) -> Tensor<1> {
    let squares = projected.clone().square().sum_dim(1);
    let norms = squares.clamp_min(LEAST_NORM * LEAST_NORM).sqrt();
    let cosines = (projected * features).sum_dim(1) / norms;
    -cosines.mean()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Planes of 2x2 pixels of two channels, told by the first value of an image; it counts the images that it is asked about.
    #[derive(Debug, Default)]
    struct Counting(Mutex<usize>);

    impl ImageFeatures for Counting {
        fn features(&self, pixels: &[f32]) -> Vec<f32> {
            let images = pixels.chunks_exact(4);
            *self.0.lock().unwrap() += images.len();
            images.flat_map(|image| (0..8).map(move |index| image[0] + index as f32)).collect()
        }

        fn shape(&self) -> (usize, usize) {
            (2, 2)
        }
    }

    fn batch(indices: &[u32], mirrored: &[bool]) -> Batch {
        let names = indices.iter().zip(mirrored);
        let pixels =
            names.flat_map(|(&index, &mirrored)| [index as f32 + if mirrored { 0.5 } else { 0.0 }; 4]).collect();
        Batch { indices: indices.to_vec(), pixels, labels: vec![0; indices.len()], mirrored: mirrored.to_vec() }
    }

    #[test]
    fn features_are_computed_once_while_there_is_room_and_are_the_same_without() {
        let batches = [
            batch(&[3, 1, 3, 3], &[false, false, true, false]),
            batch(&[1, 2, 1, 3], &[true, false, false, true]),
            batch(&[2, 3, 3, 1], &[false, false, true, true]),
        ];
        let run = |room: usize| {
            let encoder = Arc::new(Counting::default());
            let mut features = PatchFeatures { room, ..PatchFeatures::new(encoder.clone(), 2) };
            let found: Vec<Vec<f32>> = batches.iter().map(|batch| features.of_batch(batch)).collect();
            let asked = *encoder.0.lock().unwrap();
            (found, asked)
        };
        let (all, few) = (run(1000), run(2));
        assert_eq!((all.1, few.1), (5, 3 + 3 + 3));
        assert!(all.0 == few.0 && all.0 == run(0).0);
        // The image of the first place: 3 and 4, of length 5.
        assert_eq!(all.0[0][..2], [0.6, 0.8]);
        assert_eq!(all.0[0].len(), 4 * 4 * 2);
    }

    #[test]
    fn shown_patches_keep_their_features() {
        let features: Vec<f32> = (0..16).map(|value| value as f32).collect();
        let shown = TokenChoice::new(4, 2, &[0, 3, 1, 2]);
        assert_eq!(of_shown(&features, &shown), [0.0, 1.0, 6.0, 7.0, 10.0, 11.0, 12.0, 13.0]);
    }
}
