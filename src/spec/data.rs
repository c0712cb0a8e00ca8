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
        /// Latents of images, computed once by the encoder of a fixed autoencoder (latent diffusion, Rombach et al. 2022, arXiv
        /// 2112.10752): `speedlab data encode`, or files of your own.
        Latents(LatentsData) = "latents",
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

/// Files with latents [n, channels, side, side] and a class for each. `speedlab data encode --help` says how they are made. With
/// them the samplers' `clip` must be false, because latents have no range; `learned_sigma` counts the first timestep's term of the
/// bound as if values were pixels, as DiT's code does. `parameterization: edm` assumes the deviation `sigma_data`: set it to 1, or
/// choose `scale` so that latents have 0.5.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LatentsData {
    /// A file of latents, or the folder of such files: `.safetensors` with tensors `latents` and `labels`, or `NAME.npy` with
    /// `NAME.labels.npy` beside it. Numbers are f32, f16 or bf16; labels are whole numbers from 0 on. They are read where they lie.
    /// A relative path starts at the folder where the program is started. No default.
    pub path: String,
    /// The width and height of a latent: an eighth of the image's for Stable Diffusion's autoencoder. Default 32.
    pub side: usize,
    /// Channels of a latent. Default 4.
    pub channels: usize,
    /// The number of classes of the labels. Default 0: labels are not read.
    pub classes: usize,
    /// The factor by which latents are multiplied, so that their deviation is about 1. Write 1 where files hold scaled
    /// latents. Default 0.18215, Stable Diffusion's (Rombach et al. 2022, appendix G).
    pub scale: f64,
    /// Whether files hold the moments of each latent, [n, 2 channels, side, side]: means, then log-variances (tensor
    /// `moments`). A latent is then drawn each time it is trained on. Default false.
    pub moments: bool,
    /// The number of latents that are not trained on. They are spread evenly over the files, or are the first of
    /// `held_out_path`. Default 256.
    pub held_out: usize,
    /// A file or folder of held-out latents, as `path`. Empty: some of `path` are held out. Default empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub held_out_path: String,
    /// Mirror each training image with probability one half. A latent cannot be mirrored itself: files must hold the latents
    /// of the mirrored images (tensor `latents_flip`, or `NAME.flip.npy`), as `speedlab data encode --flips` makes them.
    /// Default false.
    pub horizontal_flips: bool,
    /// The weights of the autoencoder: diffusers' `diffusion_pytorch_model.safetensors`, or the folder that holds it and its
    /// `config.json`. Generated latents are decoded before they are shown and measured, and so are those that they are compared
    /// with. Images are 8 times as wide as latents. Empty: latents are measured as they are, which `features: pixels-8x8` alone
    /// can. Default empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub decoder: String,
}

/// How many times as wide as their latents images of Stable Diffusion's autoencoder are.
pub const LATENT_FACTOR: usize = 8;

impl LatentsData {
    /// (channels, side in pixels) of the pictures that latents are of.
    pub fn picture_shape(&self) -> (usize, usize) {
        (3, LATENT_FACTOR * self.side)
    }
}

impl Default for LatentsData {
    fn default() -> Self {
        Self {
            path: String::new(),
            side: 32,
            channels: 4,
            classes: 0,
            scale: 0.18215,
            moments: false,
            held_out: 256,
            held_out_path: String::new(),
            horizontal_flips: false,
            decoder: String::new(),
        }
    }
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

    /// The settings of latents.
    pub fn latents(&self) -> Option<&LatentsData> {
        match self {
            Self::Latents(latents) => Some(latents),
            _ => None,
        }
    }

    /// (channels, side in pixels) of what is shown and measured: of decoded images where latents have a decoder, else of what
    /// the network sees.
    pub fn picture_shape(&self) -> (usize, usize) {
        match self {
            Self::Latents(latents) if !latents.decoder.is_empty() => latents.picture_shape(),
            _ => self.image_shape(),
        }
    }

    /// (channels, side in pixels) of an image as the network sees it.
    pub fn image_shape(&self) -> (usize, usize) {
        match self {
            Self::Digits(_) => (1, 8),
            Self::Mnist(_) | Self::FashionMnist(_) => (1, 28),
            Self::Cifar10(_) => (3, 32),
            Self::ImageFolder(folder) => (folder.channels, folder.side),
            Self::Latents(latents) => (latents.channels, latents.side),
        }
    }

    /// Number of classes, where the images have one each.
    pub fn classes(&self) -> Option<usize> {
        match self {
            Self::Digits(_) | Self::Mnist(_) | Self::FashionMnist(_) | Self::Cifar10(_) => Some(10),
            Self::ImageFolder(ImageFolderData { classes, .. }) | Self::Latents(LatentsData { classes, .. }) => {
                (*classes > 0).then_some(*classes)
            }
        }
    }

    /// Images of the training split; `None` for files of the user's, where the number is not known beforehand.
    pub fn training_images(&self) -> Option<usize> {
        match self {
            Self::Digits(_) => Some(1442),
            Self::Mnist(_) | Self::FashionMnist(_) => Some(60_000),
            Self::Cifar10(_) => Some(50_000),
            Self::ImageFolder(_) | Self::Latents(_) => None,
        }
    }

    /// Images of the held-out split.
    pub fn held_out_images(&self) -> usize {
        match self {
            Self::Digits(_) => 355,
            Self::Mnist(_) | Self::FashionMnist(_) | Self::Cifar10(_) => 10_000,
            Self::ImageFolder(folder) => folder.held_out,
            Self::Latents(latents) => latents.held_out,
        }
    }

    pub fn horizontal_flips(&self) -> bool {
        match self {
            Self::Digits(digits) => digits.horizontal_flips,
            Self::Mnist(_) => false,
            Self::FashionMnist(fashion) => fashion.horizontal_flips,
            Self::Cifar10(cifar) => cifar.horizontal_flips,
            Self::ImageFolder(folder) => folder.horizontal_flips,
            Self::Latents(latents) => latents.horizontal_flips,
        }
    }
}
