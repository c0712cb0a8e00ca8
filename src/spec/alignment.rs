//! Alignment of a transformer's tokens with what a frozen network sees in the images.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::spec::schema::{kind, one_of_kinds, serialize_kind, word};
use crate::spec::{Data, Features, LatentsData};

/// `auxiliary_losses.alignment`: REPA (Yu et al. 2024, arXiv 2410.06940): minus `weight` times the mean, over images and patches, of the
/// cosine between what a small network makes of a patch's token after a block and what a frozen encoder sees in that patch of the image
/// without noise. For transformers, and images of one size: not with `train.resolution_schedule`, nor with `patch_diffusion`, which has none for
/// transformers. The small network (linear, SiLU, linear, SiLU, linear, as in the authors' code) is trained with the
/// network, is part of its weights and of their average, and is used in training alone. The encoder sees the training image as the batch has it, or the
/// picture of a latent (`pictures`). Its features are averaged over the pixels of each patch (PyTorch's `adaptive_avg_pool2d`). They are computed in
/// the step that needs them, so that training time counts them, and up to 1 GiB of them are kept and used again. Training FLOPs count the encoder
/// for every image of every aligned step. The paper's speedup is one in steps, and counts neither.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlignmentLoss {
    /// lambda. 0 leaves the term out. The paper's is 0.5. Default 0.
    pub weight: f64,
    pub encoder: Encoder,
    /// The file of the encoder's weights, with `encoder: dinov2`: as for `evaluate.fid.weights`. A relative path starts at the folder where the program
    /// is started. The content is part of a run's id, and the path is not. Empty otherwise.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub weights: String,
    /// The SHA-256 of `weights`, found when the sweep is planned.
    #[schemars(skip)]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub weights_sha256: String,
    /// With `data: { kind: latents }` the folder of pictures that `data.path` was encoded from, all of them and no others, since the encoder sees no
    /// latents. As `speedlab data encode` does, they are taken in the order of names, cropped and resized to 8 times the side of a latent; a mirrored
    /// latent's picture is mirrored. Number and classes are compared with those of the latents, and each picture with the sum that `data encode` wrote
    /// beside its latent. They are decoded once, into a file of 3 bytes a pixel in the folder for data. A relative path starts at the folder where the
    /// program is started. Empty: the encoder sees the images of `data`. Default empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pictures: String,
    /// The block after which tokens are aligned, 1 the first. The authors' command for 28 blocks takes 8. Default 2.
    pub block: usize,
    /// The width of the small network's two hidden layers. The authors' is 2048, about twice the width of their tokens. Default 256.
    pub hidden: usize,
    /// The share of the steps after which the term ends, and its cost with it (HASTE's termination: Wang et al. 2025, arXiv 2505.16792; its
    /// alignment of attention maps is not here). Default 1: the whole of training.
    pub until: f64,
}

impl Default for AlignmentLoss {
    fn default() -> Self {
        Self {
            weight: 0.0,
            encoder: Encoder::default(),
            weights: String::new(),
            weights_sha256: String::new(),
            pictures: String::new(),
            block: 2,
            hidden: 256,
            until: 1.0,
        }
    }
}

impl AlignmentLoss {
    /// How many of the first of `steps` steps are aligned.
    pub fn steps(&self, steps: u64) -> u64 {
        if self.weight > 0.0 { ((self.until * steps as f64).ceil() as u64).min(steps) } else { 0 }
    }

    /// (channels, side) of the images that the encoder is given: those of `data`, or the pictures of latents.
    pub fn image_shape(&self, data: &Data) -> (usize, usize) {
        let latents = data.latents().filter(|_| !self.pictures.is_empty());
        latents.map_or_else(|| data.image_shape(), LatentsData::picture_shape)
    }

    /// Whether the settings are the defaults; runs that were recorded before this key existed have them.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `auxiliary_losses.alignment.encoder`: the frozen network whose features tokens are aligned with. It is a word, or a map with a `kind`. An arm that is
/// aligned with the network of `evaluate.fid.features` is trained towards its own measure. Default `efficientnet-lite0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Encoder {
    /// EfficientNet-Lite0, which was trained on ImageNet. It takes images of any size. Its weights are fetched.
    EfficientnetLite0(EfficientnetEncoder),
    /// The last 64 planes, of 4x4 pixels, of the small classifier of 8x8 digits that comes with the program.
    DigitsCnn,
    /// The last 64 planes, of 7x7 pixels, of the small classifier of MNIST that comes with the program. It takes any grey 28x28 images.
    MnistCnn,
    /// The tokens of patches of DINOv2, REPA's own encoder. It takes images of any size. Its weights are those of `weights`.
    Dinov2(Dinov2Encoder),
}

/// ViT-S/14, B/14 or L/14, with registers or without, in the file of `weights`. What tokens are aligned with are its patches' tokens after its last
/// norm, without class token and registers. Images are resized as in the authors' code: bicubically, without antialiasing; positions
/// of patches are antialiased.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dinov2Encoder {
    /// Numbers of a token, which are those of the file: 384 of ViT-S, 768 of ViT-B, 1024 of ViT-L. Default 768 (the authors').
    pub channels: usize,
    /// Pixels of each side of the images that it sees; a multiple of its patches' 14. 0: 14 for each of the tokens that the network has in a
    /// row, so that each has one of the encoder's; of the authors' 16 x 16 tokens that is their 224. Cost grows with its square. Default 0.
    pub side: usize,
}

impl Default for Dinov2Encoder {
    fn default() -> Self {
        Self { channels: 768, side: 0 }
    }
}

/// Images are resized to `side` (antialiased bicubic, as clean-fid does).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EfficientnetEncoder {
    /// Pixels of each side of the images that it sees; a multiple of 32. Cost grows with its square. Default 224 (what it was trained on).
    pub side: usize,
    /// Pixels of that image from one feature to the next: 8, 16 or 32, after which there are 40, 112 or 320 channels. The planes are those of the
    /// last block of that stride. Default 16.
    pub stride: usize,
}

impl Default for EfficientnetEncoder {
    fn default() -> Self {
        Self { side: 224, stride: 16 }
    }
}

impl EfficientnetEncoder {
    /// (stride, blocks up to the last one of it, its channels).
    pub const STRIDES: [(usize, usize, usize); 3] = [(8, 5, 40), (16, 11, 112), (32, 16, 320)];

    /// (blocks, channels) of the planes.
    ///
    /// # Panics
    /// If there is no such stride.
    pub fn planes(self) -> (usize, usize) {
        let found = Self::STRIDES.into_iter().find(|(stride, ..)| *stride == self.stride);
        let (_, blocks, channels) = found.expect("runs are checked to name a stride that there is");
        (blocks, channels)
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::EfficientnetLite0(EfficientnetEncoder::default())
    }
}

impl Encoder {
    /// As it is written in YAML.
    pub fn name(self) -> &'static str {
        self.features().name()
    }

    /// The features that `evaluate.fid` takes of the same network.
    pub fn features(self) -> Features {
        match self {
            Self::EfficientnetLite0(_) => Features::EfficientnetLite0,
            Self::DigitsCnn => Features::DigitsCnn,
            Self::MnistCnn => Features::MnistCnn,
            Self::Dinov2(_) => Features::Dinov2,
        }
    }

    /// Values for each pixel of its planes.
    pub fn channels(self) -> usize {
        match self {
            Self::EfficientnetLite0(settings) => settings.planes().1,
            Self::DigitsCnn | Self::MnistCnn => 64,
            Self::Dinov2(settings) => settings.channels,
        }
    }
}

/// As [`Encoder`] is read.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WordOrKind {
    EfficientnetLite0(EfficientnetEncoder),
    DigitsCnn,
    MnistCnn,
    Dinov2(Dinov2Encoder),
}

impl Serialize for Encoder {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::EfficientnetLite0(settings) => serialize_kind(self.name(), settings, serializer),
            Self::Dinov2(settings) => serialize_kind(self.name(), settings, serializer),
            Self::DigitsCnn | Self::MnistCnn => serializer.serialize_str(self.name()),
        }
    }
}

impl<'de> Deserialize<'de> for Encoder {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match WordOrKind::deserialize(deserializer)? {
            WordOrKind::EfficientnetLite0(settings) => Self::EfficientnetLite0(settings),
            WordOrKind::DigitsCnn => Self::DigitsCnn,
            WordOrKind::MnistCnn => Self::MnistCnn,
            WordOrKind::Dinov2(settings) => Self::Dinov2(settings),
        })
    }
}

impl JsonSchema for Encoder {
    fn schema_name() -> Cow<'static, str> {
        "Encoder".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds = vec![
            kind::<EfficientnetEncoder>(
                generator,
                "efficientnet-lite0",
                "EfficientNet-Lite0, which was trained on ImageNet. It takes images of any size. Its weights are fetched. The default.",
            ),
            word("efficientnet-lite0", "`{ kind: efficientnet-lite0 }` with its defaults."),
            kind::<Dinov2Encoder>(
                generator,
                "dinov2",
                "DINOv2 (Oquab et al. 2023, arXiv 2304.07193), REPA's own encoder. It takes images of any size. Its weights are those of `weights`.",
            ),
            word("dinov2", "`{ kind: dinov2 }` with its defaults."),
            word(
                "digits-cnn",
                "The last 64 planes, of 4x4 pixels, of the small classifier of 8x8 digits that comes with the program.",
            ),
            word(
                "mnist-cnn",
                "The last 64 planes, of 7x7 pixels, of the small classifier of MNIST that comes with the program. It takes any grey 28x28 \
                 images.",
            ),
        ];
        one_of_kinds(
            "`auxiliary_losses.alignment.encoder`: the frozen network whose features tokens are aligned with. It is a word, or a map with a \
             `kind`. An arm that is aligned with the network of `evaluate.fid.features` is trained towards its own measure.",
            kinds,
        )
    }
}
