use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::latents::LatentSplit;
use super::{ImageFeatures, LatentPictures};
use crate::checksum::{RunningSha256, sha256};
use crate::random::{Draws, Stream};
use memmap2::Mmap;

/// Square images of one size, in memory or mapped from files: pixels of a byte each, or latents. Clones share what is stored.
#[derive(Clone, Debug)]
pub struct Images {
    pub channels: usize,
    /// Width and height in pixels.
    pub side: usize,
    /// The class of each image; all 0 where there are none.
    pub labels: Arc<[u16]>,
    /// Of the bytes of all images, in lower-case hexadecimal: what these images are, wherever they came from.
    pub sha256: String,
    stored: Stored,
}

#[derive(Clone, Debug)]
enum Stored {
    Pixels {
        bytes: Arc<Bytes>,
        /// Where in `bytes` the first image begins.
        start: usize,
        /// A byte b stands for b / half - 1.
        half: f32,
    },
    Latents(Arc<LatentSplit>),
}

/// The random draws of an image of a batch: its run's seed, the step, and its place in the batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchPlace {
    pub seed: u64,
    pub step: u64,
    pub place: usize,
}

/// The images of one source: what is trained on and what is held out. Neither is empty, and no image is in both.
#[derive(Clone, Debug)]
pub struct Dataset {
    pub train: Images,
    pub test: Images,
    /// The images that generated ones are compared with, where these are neither of the two splits: by the folder that they are in.
    pub references: BTreeMap<String, Images>,
    /// Of the source's bytes, in lower-case hexadecimal: provenance.
    pub sha256: String,
    /// The frozen network of `auxiliary_losses.alignment`, which sees the training images; none of a run without it.
    pub encoder: Option<Arc<dyn ImageFeatures>>,
    /// What that network sees instead of latents, which are no pictures.
    pub pictures: Option<LatentPictures>,
}

impl Dataset {
    /// `[images, channels, side, side]` of the first `count` training images, as `auxiliary_losses.alignment` sees them.
    pub fn seen_by_encoder(&self, count: usize) -> Vec<f32> {
        let count = self.train.len().min(count);
        match &self.pictures {
            Some(pictures) => pictures.pixels(&(0..count as u32).map(|index| (index, false)).collect::<Vec<_>>()),
            None => self.train.pixels(0..count),
        }
    }

    /// The SHA-256 of all images and labels of both splits, and of the pictures that tokens are aligned by, in lower-case hexadecimal: equal where
    /// training sees the same.
    pub fn content_sha256(&self) -> String {
        let mut hash = RunningSha256::default();
        for Images { sha256, labels, .. } in [&self.train, &self.test] {
            hash.update(format!("{sha256} {}\n", labels.len()).as_bytes());
            let labels: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
            hash.update(&labels);
        }
        if let Some(pictures) = &self.pictures {
            hash.update(format!("pictures {}\n", pictures.sha256()).as_bytes());
        }
        hash.finish()
    }
}

#[derive(Debug)]
enum Bytes {
    Memory(Vec<u8>),
    Mapped(Mmap),
}

/// The value that stands for white (or ink) in bytes of the usual range.
pub(super) const WHITE: u8 = 255;

impl Images {
    /// `bytes` is `[n, channels, side, side]`; `largest` is the byte that stands for 1, as 0 stands for -1.
    ///
    /// # Panics
    /// If there are not as many bytes as the labels and the shape ask for.
    pub fn in_memory(channels: usize, side: usize, bytes: Vec<u8>, labels: Vec<u16>, largest: u8) -> Self {
        assert_eq!(bytes.len(), labels.len() * channels * side * side, "a label for each whole image");
        let sha256 = sha256(&bytes);
        let half = f32::from(largest) / 2.0;
        let stored = Stored::Pixels { bytes: Arc::new(Bytes::Memory(bytes)), start: 0, half };
        Self { channels, side, labels: labels.into(), sha256, stored }
    }

    /// `[labels.len(), channels, side, side]` from `start` on in a mapped file.
    pub(super) fn mapped(
        (channels, side): (usize, usize),
        map: &MappedFile,
        start: usize,
        labels: Vec<u16>,
        sha256: String,
    ) -> Self {
        let images = Self {
            channels,
            side,
            labels: labels.into(),
            sha256,
            stored: Stored::Pixels { bytes: map.0.clone(), start, half: f32::from(WHITE) / 2.0 },
        };
        assert!(map.bytes().len() >= start + images.len() * images.image_values(), "the file was measured");
        images
    }

    /// Latents of files; `sha256` is their sum.
    pub(super) fn latents(split: Arc<LatentSplit>, sha256: String) -> Self {
        let (channels, side, labels) = (split.channels, split.side, split.labels().into());
        Self { channels, side, labels, sha256, stored: Stored::Latents(split) }
    }

    /// Whether these are latents: of any sign and size, and seen by people once they are decoded.
    pub fn are_latents(&self) -> bool {
        matches!(self.stored, Stored::Latents(_))
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Values in one image: `channels * side * side`.
    pub fn image_values(&self) -> usize {
        self.channels * self.side * self.side
    }

    /// `[channels, side, side]` of one image, each pixel in [-1, 1].
    pub fn image(&self, index: usize) -> Vec<f32> {
        self.pixels(index..index + 1)
    }

    /// `[range, channels, side, side]` of neighbouring images, each pixel in [-1, 1].
    pub fn pixels(&self, range: Range<usize>) -> Vec<f32> {
        let mut pixels = vec![0.0; range.len() * self.image_values()];
        for (index, pixels) in range.zip(pixels.chunks_exact_mut(self.image_values())) {
            self.write_image(index, pixels);
        }
        pixels
    }

    /// Writes an image's values to `pixels`, `[channels, side, side]`: always the same.
    pub fn write_image(&self, index: usize, pixels: &mut [f32]) {
        match &self.stored {
            Stored::Pixels { half, .. } => normalise(self.bytes(index..index + 1), *half, pixels),
            Stored::Latents(latents) => latents.write(index, pixels),
        }
    }

    /// Writes an image, or its mirror image, as it is in a batch: a latent is drawn for that place if several are as good.
    pub(super) fn write_in_batch(&self, index: usize, mirrored: bool, at: BatchPlace, pixels: &mut [f32]) {
        match &self.stored {
            Stored::Pixels { .. } => {
                self.write_image(index, pixels);
                if mirrored {
                    pixels.chunks_exact_mut(self.side).for_each(<[f32]>::reverse);
                }
            }
            Stored::Latents(latents) => {
                let BatchPlace { seed, step, place } = at;
                // A batch has at most 2^15 images.
                let mut draws = Draws::new(seed, Stream::Posterior, (step << 20) | place as u64);
                latents.draw(index, mirrored, &mut draws, pixels);
            }
        }
    }

    /// The stored bytes of neighbouring images.
    ///
    /// # Panics
    /// If these are latents, whose bytes lie in several files.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        let Stored::Pixels { bytes, start, .. } = &self.stored else { panic!("latents have no bytes in a row") };
        let bytes = match &**bytes {
            Bytes::Memory(bytes) => bytes,
            Bytes::Mapped(map) => &map[..],
        };
        &bytes[*start..][range.start * self.image_values()..range.end * self.image_values()]
    }
}

fn normalise(bytes: &[u8], half: f32, pixels: &mut [f32]) {
    assert_eq!(bytes.len(), pixels.len(), "a value for each byte");
    // A division, not a product with the inverse: 0 and the largest byte are -1 and 1 exactly.
    for (pixel, &byte) in pixels.iter_mut().zip(bytes) {
        *pixel = f32::from(byte) / half - 1.0;
    }
}

/// A file in memory that several sets of images are cut from.
pub(super) struct MappedFile(Arc<Bytes>);

impl MappedFile {
    pub fn new(map: Mmap) -> Self {
        Self(Arc::new(Bytes::Mapped(map)))
    }

    pub fn bytes(&self) -> &[u8] {
        match &*self.0 {
            Bytes::Memory(bytes) => bytes,
            Bytes::Mapped(map) => map,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_values_between_minus_one_and_one() {
        let images = Images::in_memory(1, 2, vec![0, 51, 204, 255, 1, 2, 3, 4], vec![7, 8], 255);
        assert_eq!((images.len(), images.image_values()), (2, 4));
        assert_eq!(images.image(0), [-1.0, 51.0 / 127.5 - 1.0, 204.0 / 127.5 - 1.0, 1.0]);
        assert_eq!(images.pixels(0..2)[4..], images.image(1));
        assert_eq!(images.sha256, sha256(&[0, 51, 204, 255, 1, 2, 3, 4]));
        let digits = Images::in_memory(1, 1, vec![0, 4, 16], vec![0; 3], 16);
        assert_eq!(digits.pixels(0..3), [-1.0, -0.5, 1.0]);
    }

    #[test]
    fn all_bytes_keep_their_order_and_mirror_around_the_middle() {
        let images = Images::in_memory(1, 16, (0..=255).collect(), vec![0], 255);
        let values = images.image(0);
        assert!(values.is_sorted_by(|one, other| one < other));
        for (value, opposite) in values.iter().zip(values.iter().rev()) {
            assert!((value + opposite).abs() < 1e-6);
        }
    }
}
