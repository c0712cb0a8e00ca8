//! The images a run learns from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DataShape, empty_settings, kinds};

kinds! {
    /// `data`: the images that a run is trained and measured on.
    pub enum Data {
        /// 1,797 grey 8x8 handwritten digits (UCI, Alpaydin and Kaynak 1998), shipped with the program. The default.
        Digits(DigitsData) = "digits",
        /// 70,000 grey 28x28 handwritten digits (LeCun, Cortes and Burges 1998): `speedlab data fetch mnist`.
        Mnist(MnistData) = "mnist",
        /// 70,000 grey 28x28 articles of clothing (Xiao et al. 2017): `speedlab data fetch fashion_mnist`.
        FashionMnist(FashionMnistData) = "fashion_mnist",
        /// 60,000 colour 32x32 images of ten classes (Krizhevsky 2009): `speedlab data fetch cifar10`.
        Cifar10(Cifar10Data) = "cifar10",
        /// Image files (PNG, JPEG, WebP, TIFF, BMP, PPM, PGM) of any size in a folder of yours.
        ImageFolder(ImageFolderData) = "image_folder",
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DigitsData {
    /// Always false, because a mirrored digit is not a digit. Default false.
    pub horizontal_flips: bool,
}

empty_settings! {
    /// Images are never mirrored, because a mirrored digit is not a digit.
    MnistData;
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FashionMnistData {
    /// Mirror each training image with probability one half. Default false.
    pub horizontal_flips: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cifar10Data {
    /// Mirror each training image with probability one half, as is usual for this set. Default false.
    pub horizontal_flips: bool,
}

/// Every image is cropped to its central square and resized with antialiasing (see `data::decode`). Transparent pixels become
/// white.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImageFolderData {
    /// The folder that holds the files. Its subfolders are searched too. A relative path starts at the folder where the program
    /// is started. No default.
    pub path: String,
    /// The width and height, in pixels, that every image is resized to. Default 64.
    pub side: usize,
    /// Channels of every image: 3 for colour, 1 for grey. Default 3.
    pub channels: usize,
    /// The number of class folders in `path`. Each folder is a class; classes are in the order of the folders' names. The
    /// number stands here so that a run's network is known before any file is read. It is checked against the folder. Default
    /// 0: images have no classes.
    pub classes: usize,
    /// The number of images that are not trained on. They are spread evenly over the files in the order of their names. Default
    /// 256.
    pub held_out: usize,
    /// Mirror each training image with probability one half. Default false.
    pub horizontal_flips: bool,
}

impl Default for Data {
    fn default() -> Self {
        Self::Digits(DigitsData::default())
    }
}

impl Default for ImageFolderData {
    fn default() -> Self {
        Self { path: String::new(), side: 64, channels: 3, classes: 0, held_out: 256, horizontal_flips: false }
    }
}

impl Data {
    /// What a model must know about the images.
    pub fn shape(&self) -> DataShape {
        let (channels, side) = self.image_shape();
        DataShape { channels, side, classes: self.classes() }
    }

    /// (channels, side in pixels) of an image.
    pub fn image_shape(&self) -> (usize, usize) {
        match self {
            Self::Digits(_) => (1, 8),
            Self::Mnist(_) | Self::FashionMnist(_) => (1, 28),
            Self::Cifar10(_) => (3, 32),
            Self::ImageFolder(folder) => (folder.channels, folder.side),
        }
    }

    /// Number of classes, where the images have one each.
    pub fn classes(&self) -> Option<usize> {
        match self {
            Self::Digits(_) | Self::Mnist(_) | Self::FashionMnist(_) | Self::Cifar10(_) => Some(10),
            Self::ImageFolder(folder) => (folder.classes > 0).then_some(folder.classes),
        }
    }

    /// Images of the training split; `None` for a folder, where the number is not known beforehand.
    pub fn training_images(&self) -> Option<usize> {
        match self {
            Self::Digits(_) => Some(1442),
            Self::Mnist(_) | Self::FashionMnist(_) => Some(60_000),
            Self::Cifar10(_) => Some(50_000),
            Self::ImageFolder(_) => None,
        }
    }

    /// Images of the held-out split.
    pub fn held_out_images(&self) -> usize {
        match self {
            Self::Digits(_) => 355,
            Self::Mnist(_) | Self::FashionMnist(_) | Self::Cifar10(_) => 10_000,
            Self::ImageFolder(folder) => folder.held_out,
        }
    }

    pub fn horizontal_flips(&self) -> bool {
        match self {
            Self::Digits(digits) => digits.horizontal_flips,
            Self::Mnist(_) => false,
            Self::FashionMnist(fashion) => fashion.horizontal_flips,
            Self::Cifar10(cifar) => cifar.horizontal_flips,
            Self::ImageFolder(folder) => folder.horizontal_flips,
        }
    }
}
