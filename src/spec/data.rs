//! The images a run learns from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DataShape, empty_settings, kinds};

kinds! {
    /// `data`: the images.
    pub enum Data {
        /// 1,797 grey 8x8 handwritten digits (UCI, Alpaydin and Kaynak 1998), shipped with the program. The default.
        Digits(DigitsData) = "digits",
        /// 70,000 grey 28x28 handwritten digits (LeCun, Cortes and Burges 1998): `speedlab data fetch mnist`.
        Mnist(MnistData) = "mnist",
        /// 70,000 grey 28x28 articles of clothing (Xiao et al. 2017): `speedlab data fetch fashion_mnist`.
        FashionMnist(FashionMnistData) = "fashion_mnist",
        /// 60,000 colour 32x32 images of ten classes (Krizhevsky 2009): `speedlab data fetch cifar10`.
        Cifar10(Cifar10Data) = "cifar10",
        /// Files of images (PNG, JPEG, WebP, TIFF, BMP, PPM, PGM) of any size in a folder of the user's.
        ImageFolder(ImageFolderData) = "image_folder",
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DigitsData {
    /// Always false: a mirrored digit is no digit. Default false.
    pub horizontal_flips: bool,
}

empty_settings! {
    /// A mirrored digit is no digit: there is nothing to set.
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

/// Every image is cropped to its central square and resized with antialiasing (see `data::decode`). What transparent
/// pixels let through is white.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImageFolderData {
    /// The folder, as seen from where the program is started; folders in it are looked into. No default.
    pub path: String,
    /// Width and height of the images that are made, in pixels. Default 64.
    pub side: usize,
    /// 3 for colour, 1 for grey. Default 3.
    pub channels: usize,
    /// How many class folders `path` holds: each is a class, in the order of their names. Written down so that a run's
    /// network is known before any file is read, and checked against the folder. Default 0: images have no classes.
    pub classes: usize,
    /// Images that are not trained on: as many, evenly spread over the files in the order of their names. Default 256.
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
    /// What a model has to know of the images.
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

    /// Images of the training split; unknown of a folder.
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
