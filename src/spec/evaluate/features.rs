//! The features in which images are compared.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `evaluate.fid.features`: the features in which images are compared, mostly activations of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// A small classifier of 8x8 digits, shipped with the program. The default.
    #[default]
    DigitsCnn,
    /// A small classifier of MNIST, shipped with the program. It takes any grey 28x28 images, but it knows only strokes.
    MnistCnn,
    /// No network: each image as 8x8 squares of mean colour. It takes any images of at least 8x8 pixels, and sees colours and
    /// places but nothing finer.
    #[serde(rename = "pixels-8x8")]
    Pixels8,
    /// The 2048 values that papers compare, from InceptionV3 of 2015-12-05. It takes images of any size. Its weights are
    /// fetched.
    #[serde(rename = "inception-v3")]
    InceptionV3,
    /// InceptionV3's 768 values before the last blocks.
    #[serde(rename = "inception-v3-768")]
    InceptionV3At768,
    /// InceptionV3's 192 values after the second pooling.
    #[serde(rename = "inception-v3-192")]
    InceptionV3At192,
    /// InceptionV3's 64 values after the first pooling.
    #[serde(rename = "inception-v3-64")]
    InceptionV3At64,
    /// The 1280 values of EfficientNet-Lite0, which was trained on ImageNet. It takes images of any size. Its weights are
    /// fetched, also where only package registries can be reached.
    #[serde(rename = "efficientnet-lite0")]
    EfficientnetLite0,
    /// The class token of DINOv2 (Oquab et al. 2023, arXiv 2304.07193) after its last norm: the Fréchet distance of these features is
    /// FD-DINOv2 (Stein et al. 2023, arXiv 2306.04675), with its ViT-L/14. It takes images of any size. Its weights are those of
    /// `weights`: ViT-S/14, B/14 or L/14, with registers (Darcet et al. 2023, arXiv 2309.16588) or without.
    Dinov2,
    /// The embeddings of images of CLIP (Radford et al. 2021, arXiv 2103.00020), not normalised, which `cmmd` is made of. It takes images
    /// of any size, and sees the square in their middle. Its weights are those of `weights`: for `cmmd` as it is published OpenAI's
    /// ViT-L/14 at 336 pixels.
    Clip,
}

impl Features {
    /// All features; those made for few images come first.
    pub const ALL: [Self; 10] = [
        Self::DigitsCnn,
        Self::MnistCnn,
        Self::Pixels8,
        Self::EfficientnetLite0,
        Self::InceptionV3,
        Self::InceptionV3At768,
        Self::InceptionV3At192,
        Self::InceptionV3At64,
        Self::Dinov2,
        Self::Clip,
    ];

    /// As it is written in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::DigitsCnn => "digits-cnn",
            Self::MnistCnn => "mnist-cnn",
            Self::Pixels8 => "pixels-8x8",
            Self::InceptionV3 => "inception-v3",
            Self::InceptionV3At768 => "inception-v3-768",
            Self::InceptionV3At192 => "inception-v3-192",
            Self::InceptionV3At64 => "inception-v3-64",
            Self::EfficientnetLite0 => "efficientnet-lite0",
            Self::Dinov2 => "dinov2",
            Self::Clip => "clip",
        }
    }

    /// Whether they are those of the network that papers mean by "FID": Inception.
    pub fn is_inception(self) -> bool {
        self.weights() == Some("inception-v3")
    }

    /// Whether the weights of their network are in a file that the user names, which also says of what size it is.
    pub fn are_of_file(self) -> bool {
        matches!(self, Self::Dinov2 | Self::Clip)
    }

    /// Whether a large network gives them, which sees images of one size.
    pub fn are_of_large_network(self) -> bool {
        self.weights().is_some() || self.are_of_file()
    }

    /// The fetched weights that they need; `None` where they come with the program, or are named by the user.
    pub fn weights(self) -> Option<&'static str> {
        match self {
            Self::DigitsCnn | Self::MnistCnn | Self::Pixels8 | Self::Dinov2 | Self::Clip => None,
            Self::InceptionV3 | Self::InceptionV3At768 | Self::InceptionV3At192 | Self::InceptionV3At64 => {
                Some("inception-v3")
            }
            Self::EfficientnetLite0 => Some("efficientnet-lite0"),
        }
    }

    /// The side, in pixels, of the images that its network is shown, of a file's that of its usual size; `None` where that is an image's
    /// own size.
    pub fn network_side(self) -> Option<usize> {
        match self {
            Self::Clip => Some(336),
            Self::Dinov2 | Self::EfficientnetLite0 => Some(224),
            _ if self.is_inception() => Some(299),
            _ => None,
        }
    }

    /// Values in a feature vector of images with this number of channels; of a file's network those of the largest that is read.
    pub fn dimension(self, channels: usize) -> usize {
        match self {
            Self::DigitsCnn | Self::MnistCnn => 64,
            Self::Pixels8 => 64 * channels,
            Self::InceptionV3 => 2048,
            Self::InceptionV3At768 => 768,
            Self::InceptionV3At192 => 192,
            Self::InceptionV3At64 => 64,
            Self::EfficientnetLite0 => 1280,
            Self::Dinov2 => 1024,
            Self::Clip => 768,
        }
    }

    /// Whether it sees images of this shape: (channels, side in pixels).
    pub fn fits(self, (channels, side): (usize, usize)) -> bool {
        match self {
            Self::DigitsCnn => (channels, side) == (1, 8),
            Self::MnistCnn => (channels, side) == (1, 28),
            Self::Pixels8 => side >= 8,
            _ => true,
        }
    }

    /// Whether an Inception score can be computed: that needs Inception up to its last layer.
    pub fn has_inception_score(self) -> bool {
        self == Self::InceptionV3
    }

    /// Values in the spatial features of an image: InceptionV3's planes `mixed_6/conv`, 17x17 pixels of 7 channels. `None` of features that
    /// have none.
    pub fn spatial_dimension(self) -> Option<usize> {
        (self == Self::InceptionV3).then_some(17 * 17 * 7)
    }

    /// The images it sees, in words.
    pub fn images(self) -> &'static str {
        match self {
            Self::DigitsCnn => "grey 8x8 images",
            Self::MnistCnn => "grey 28x28 images",
            Self::Pixels8 => "images at least 8 pixels wide",
            _ => "any images",
        }
    }
}
