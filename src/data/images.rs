/// Square images of one size, in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    pub channels: usize,
    /// Width and height in pixels.
    pub side: usize,
    /// `[n, channels, side, side]`, each value in [-1, 1].
    pub pixels: Vec<f32>,
    /// The class of each image.
    pub labels: Vec<u8>,
}

/// The images of one source: what is trained on and what is held out. Neither is empty, and no image is in both.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    pub train: Images,
    pub test: Images,
    /// Of the source's bytes, in lower-case hexadecimal: provenance.
    pub sha256: String,
}

impl Images {
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

    /// `[channels, side, side]` of one image.
    pub fn image(&self, index: usize) -> &[f32] {
        &self.pixels[index * self.image_values()..][..self.image_values()]
    }
}
