use std::ops::Range;
use std::path::PathBuf;

use rayon::prelude::*;

use super::decode::decode_image;
use super::image_folder::{self, FolderFiles};
use super::{DataError, Images};
use crate::spec::ImageFolderData;

/// Colour pictures of one size, one after the other, for an encoder: files that are decoded as they are asked for, or images of a set.
pub struct PictureSource {
    /// Width and height in pixels.
    pub side: usize,
    /// The class of each picture; all 0 where there are none.
    pub labels: Vec<u16>,
    pub has_classes: bool,
    /// A hash of what the pictures are: of names, sizes and times of files, of the pixels of a set.
    pub source: String,
    pictures: Pictures,
}

enum Pictures {
    Files(Vec<PathBuf>),
    Images(Images),
}

const CHANNELS: usize = 3;

impl PictureSource {
    /// All files in a folder, or in `classes` class folders of it, cropped to their central square and resized to `side`.
    pub fn folder(path: &str, side: usize, classes: usize) -> Result<Self, DataError> {
        let data = ImageFolderData {
            path: path.to_owned(),
            side,
            channels: CHANNELS,
            classes,
            held_out: 0,
            ..ImageFolderData::default()
        };
        let FolderFiles { files, source } = image_folder::files(&data)?;
        let (files, labels) = files.into_iter().unzip();
        Ok(Self { side, labels, has_classes: classes > 0, source, pictures: Pictures::Files(files) })
    }

    /// The images of a set, which has classes; grey ones become colour.
    pub fn images(images: Images) -> Self {
        let (side, labels, source) = (images.side, images.labels.to_vec(), images.sha256.clone());
        Self { side, labels, has_classes: true, source, pictures: Pictures::Images(images) }
    }

    /// `[range, 3, side, side]` in [-1, 1].
    pub fn pixels(&self, range: Range<usize>) -> Result<Vec<f32>, DataError> {
        match &self.pictures {
            Pictures::Files(files) => {
                let bytes: Vec<Vec<u8>> = files[range]
                    .par_iter()
                    .map(|path| decode_image(path, CHANNELS, self.side))
                    .collect::<Result<_, _>>()?;
                Ok(bytes.iter().flatten().map(|&byte| f32::from(byte) / 127.5 - 1.0).collect())
            }
            Pictures::Images(images) => {
                let pixels = images.pixels(range);
                if images.channels == CHANNELS {
                    return Ok(pixels);
                }
                Ok(pixels.chunks_exact(images.image_values()).flat_map(|grey| grey.repeat(CHANNELS)).collect())
            }
        }
    }
}
