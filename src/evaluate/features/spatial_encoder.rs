use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::cost::{FeatureCost, feature_cost, vit_feature_cost};
use super::efficientnet::EfficientNetLite0;
use super::encoder::{aligned_design, aligned_weights, seen_side};
use super::resize::resized;
use super::tensors::{TensorFile, WeightsError};
use super::{DIGITS_CNN_WEIGHTS, EvaluateError, MNIST_CNN_WEIGHTS, TensorSource, small_cnn};
use crate::checksum::file_digest;
use crate::data::{DataFolder, ImageFeatures, RgbImage};
use crate::kernels::Kernels;
use crate::kernels::frozen::{FusedFrozen, IMAGES_AT_ONCE, PlainFrozen};
use crate::model::vit::{Resampling, Vit, VitError, VitWeights};
use crate::model::{DIGITS_CNN, MNIST_CNN, SmallCnn};
use crate::spec::{AlignmentLoss, Dinov2Encoder, EfficientnetEncoder, Encoder, Features, Fid, Resize, RunSpec};

/// The most by which the planes of a device may differ from the CPU's, over the largest value.
const TOLERANCE: f32 = 1e-4;

/// A frozen network whose planes are what tokens are aligned with. It runs on the CPU, unless [`Self::compute_on`] says otherwise.
#[derive(Debug)]
pub struct SpatialEncoder {
    network: Network,
    /// (channels, side) of the images.
    image_shape: (usize, usize),
    /// The same of its planes.
    shape: (usize, usize),
    /// What computes a large network, where that is not the CPU. The network's weights stay there.
    device: Option<OnDevice>,
}

#[derive(Debug)]
enum OnDevice {
    Layers(PlainFrozen),
    Encoder(SeenBy),
}

enum Network {
    EfficientNet(Box<EfficientNetLite0>, EfficientnetEncoder),
    Cnn(Box<SmallCnn>),
    Encoder(SeenBy),
}

/// An encoder whose name is enough to show it.
struct SeenBy(Box<Vit>);

impl std::fmt::Debug for SeenBy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0.design().name())
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::EfficientNet(..) => formatter.write_str("EfficientNetLite0"),
            Self::Cnn(_) => formatter.write_str("SmallCnn"),
            Self::Encoder(seen_by) => seen_by.fmt(formatter),
        }
    }
}

/// What [`SpatialEncoder::features`] costs for one image beside a network of `tokens` in a row, and its weights.
pub fn encoder_cost(alignment: &AlignmentLoss, tokens: usize) -> FeatureCost {
    if let Some((design, side)) = aligned_design(alignment, tokens) {
        return vit_feature_cost(&design, side);
    }
    let of = |features, image_shape| feature_cost(&Fid { features, ..Fid::default() }, image_shape);
    match alignment.encoder {
        Encoder::EfficientnetLite0(EfficientnetEncoder { side, stride }) => {
            let FeatureCost { weight_bytes, activation_bytes, .. } = of(Features::EfficientnetLite0, (3, side));
            // Every layer has planes whose sides are those of the image over a power of two.
            let share = (side as f64 / EfficientNetLite0::SIDE as f64).powi(2);
            let of_stride = EFFICIENTNET_FLOPS.into_iter().find(|(known, _)| *known == stride);
            let (_, flops) = of_stride.expect("runs are checked to name a stride that there is");
            FeatureCost { flops: share * flops, weight_bytes, activation_bytes: share * activation_bytes }
        }
        Encoder::DigitsCnn => of(Features::DigitsCnn, (1, DIGITS_CNN.side)),
        Encoder::MnistCnn => of(Features::MnistCnn, (1, MNIST_CNN.side)),
        Encoder::Dinov2(_) => unreachable!("its file has a design"),
    }
}

/// Operations up to the last block of each stride, for an image of 224 x 224 pixels: counted from its layers, which a test does again.
const EFFICIENTNET_FLOPS: [(usize, f64); 3] = [(8, 0.2275e9), (16, 0.4865e9), (32, 0.7277e9)];

impl SpatialEncoder {
    /// The encoder of a run, its weights those that were fetched into `folder`; none without `auxiliary_losses.alignment`.
    pub fn of_run(spec: &RunSpec, folder: &DataFolder) -> Result<Option<Self>, EvaluateError> {
        let alignment = &spec.auxiliary_losses.alignment;
        if alignment.weight == 0.0 {
            return Ok(None);
        }
        let image_shape = alignment.image_shape(&spec.data);
        if let Encoder::Dinov2(settings) = alignment.encoder {
            let weights = aligned_weights(alignment, settings)?;
            check_planned(alignment)?;
            let tokens = spec.model.patches(spec.data.image_shape().1).isqrt();
            return Self::of_file(settings, &weights, tokens, image_shape).map(Some);
        }
        let features = alignment.encoder.features();
        let of_file = |name: &'static str| {
            let path = folder.weights(features).expect("a network that is fetched has a file");
            TensorFile::read(&path, name)
        };
        let file = features.weights().map(of_file).transpose()?;
        let source = |name: &str, shape: &[usize]| file.as_ref().expect("only large networks ask").get(name, shape);
        Self::new(alignment.encoder, image_shape, &source).map(Some)
    }

    /// DINOv2 with the weights of the user's file, beside a network of `tokens` in a row.
    ///
    /// # Errors
    /// If a weight cannot be read.
    ///
    /// # Panics
    /// If its patches do not fill the images that it is to see.
    pub fn of_file(
        settings: Dinov2Encoder,
        weights: &VitWeights,
        tokens: usize,
        image_shape: (usize, usize),
    ) -> Result<Self, EvaluateError> {
        let side = seen_side(settings, weights.design().patch, tokens);
        // As the authors load it (`load_encoders` of their `utils.py`, timm's `resample_abs_pos_embed`).
        let vit =
            Vit::new(weights, side, Some(Resampling::Antialiased), &Device::flex()).map_err(WeightsError::from)?;
        let shape = (vit.design().dim, side / vit.design().patch);
        Ok(Self { network: Network::Encoder(SeenBy(Box::new(vit))), image_shape, shape, device: None })
    }

    /// With the weights of a large network from anywhere. `image_shape` is (channels, side) of the images.
    ///
    /// # Panics
    /// If the weights are those of a file of the user's.
    pub fn new(encoder: Encoder, image_shape: (usize, usize), source: TensorSource<'_>) -> Result<Self, EvaluateError> {
        let features = encoder.features();
        if !features.fits(image_shape) {
            let (channels, side) = image_shape;
            return Err(EvaluateError::ImageShape { features, channels, side });
        }
        let (network, side) = match encoder {
            Encoder::EfficientnetLite0(settings) => {
                let network = Network::EfficientNet(Box::new(EfficientNetLite0::new(source)?), settings);
                (network, settings.side / settings.stride)
            }
            Encoder::DigitsCnn => (Network::Cnn(Box::new(small_cnn(&DIGITS_CNN, DIGITS_CNN_WEIGHTS)?)), 4),
            Encoder::MnistCnn => (Network::Cnn(Box::new(small_cnn(&MNIST_CNN, MNIST_CNN_WEIGHTS)?)), 7),
            Encoder::Dinov2(_) => panic!("its file tells its size"),
        };
        Ok(Self { network, image_shape, shape: (encoder.channels(), side), device: None })
    }

    /// Has `device` compute a large network from now on, if it is not the CPU and its planes of `images`, `[n, channels, side, side]`, are the CPU's.
    /// How far they differ, over the largest value; none where the CPU computes it anyway.
    pub fn compute_on(&mut self, device: &Device, images: &[f32]) -> Option<f32> {
        if matches!(Kernels::for_device(device), Kernels::Fused(_)) {
            return None;
        }
        let there = match &self.network {
            Network::EfficientNet(..) => OnDevice::Layers(PlainFrozen::new(device)),
            Network::Encoder(SeenBy(vit)) => OnDevice::Encoder(SeenBy(Box::new(vit.on(device)))),
            Network::Cnn(_) => return None,
        };
        let cpu = self.features(images);
        self.device = Some(there);
        let here = self.features(images);
        let scale = cpu.iter().map(|value| value.abs()).fold(f32::MIN_POSITIVE, f32::max);
        let differences = here.iter().zip(&cpu).map(|(here, cpu)| (here - cpu).abs() / scale);
        // A maximum does not see what is not a number.
        let difference = differences.fold(0.0, |most, value| if value > most || value.is_nan() { value } else { most });
        let agrees = difference <= TOLERANCE;
        if !agrees {
            self.device = None;
        }
        Some(difference)
    }

    /// Whether a device that is not the CPU computes it.
    pub fn is_on_device(&self) -> bool {
        self.device.is_some()
    }

    /// Of exactly [`IMAGES_AT_ONCE`] images: kernels of another number might add up in another order.
    fn of_sixteen(&self, images: &[&[f32]]) -> Vec<f32> {
        let (channels, side) = self.image_shape;
        match &self.network {
            Network::EfficientNet(network, settings) => {
                let input = |pixels: &&[f32]| {
                    let image = RgbImage::of_pixels(pixels, channels, side);
                    let resize = Resize::Customary.with(Features::EfficientnetLite0);
                    let mut values = resized(resize, &image, settings.side);
                    values.iter_mut().for_each(|value| *value = EfficientNetLite0::input(*value));
                    values
                };
                let inputs: Vec<Vec<f32>> = images.par_iter().map(input).collect();
                match &self.device {
                    Some(OnDevice::Layers(device)) => network.planes(device, &inputs, *settings),
                    _ => network.planes(&FusedFrozen, &inputs, *settings),
                }
            }
            Network::Encoder(here) => {
                let SeenBy(vit) = match &self.device {
                    Some(OnDevice::Encoder(there)) => there,
                    _ => here,
                };
                let data = TensorData::new(images.concat(), [images.len(), channels, side, side]);
                let pixels = Tensor::<4>::from_data(data, vit.device());
                // Grey is three equal colours.
                let pixels = pixels.expand([images.len(), 3, side, side]);
                vit.patch_tokens(vit.prepared(pixels)).into_data().try_into_vec().expect("it computes in f32")
            }
            Network::Cnn(cnn) => {
                let data = TensorData::new(images.concat(), [images.len(), 1, side, side]);
                let planes = cnn.last_planes(Tensor::from_data(data, &Device::flex()));
                planes.permute([0, 2, 3, 1]).into_data().try_into_vec::<f32>().expect("flex computes in f32")
            }
        }
    }
}

/// Whether the user's file is the one that the sweep was planned with.
fn check_planned(alignment: &AlignmentLoss) -> Result<(), EvaluateError> {
    let path = Path::new(&alignment.weights);
    let found = file_digest(path).map_err(|source| WeightsError::Read { path: path.to_owned(), source })?;
    if found == alignment.weights_sha256 {
        return Ok(());
    }
    let problem = format!("{} is not the file that the sweep was planned with: its sha256 is another", path.display());
    let hint = "put the file back; the same command plans anew with the file that is there";
    Err(WeightsError::from(VitError { problem, hint }).into())
}

impl ImageFeatures for SpatialEncoder {
    fn features(&self, pixels: &[f32]) -> Vec<f32> {
        let (channels, side) = self.image_shape;
        let (planes, plane_side) = self.shape();
        let images: Vec<&[f32]> = pixels.chunks_exact(channels * side * side).collect();
        let of_chunk = |images: &[&[f32]]| {
            let mut sixteen = images.to_vec();
            sixteen.resize(IMAGES_AT_ONCE, images[images.len() - 1]);
            let mut found = self.of_sixteen(&sixteen);
            found.truncate(images.len() * plane_side * plane_side * planes);
            found
        };
        images.chunks(IMAGES_AT_ONCE).flat_map(of_chunk).collect()
    }

    fn shape(&self) -> (usize, usize) {
        self.shape
    }
}
