use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::cost::{FeatureCost, feature_cost};
use super::efficientnet::EfficientNetLite0;
use super::resize::resized;
use super::tensors::TensorFile;
use super::{DIGITS_CNN_WEIGHTS, EvaluateError, MNIST_CNN_WEIGHTS, TensorSource, small_cnn};
use crate::data::{DataFolder, ImageFeatures, RgbImage};
use crate::kernels::Kernels;
use crate::kernels::frozen::{FusedFrozen, IMAGES_AT_ONCE, PlainFrozen};
use crate::model::{DIGITS_CNN, MNIST_CNN, SmallCnn};
use crate::spec::{EfficientnetEncoder, Encoder, Features, Fid, Resize, RunSpec};

/// The most by which the planes of a device may differ from the CPU's, over the largest value.
const TOLERANCE: f32 = 1e-4;

/// A frozen network whose planes are what tokens are aligned with. It runs on the CPU, unless [`Self::compute_on`] says otherwise.
#[derive(Debug)]
pub struct SpatialEncoder {
    encoder: Encoder,
    network: Network,
    /// (channels, side) of the images.
    image_shape: (usize, usize),
    /// What computes a large network, where that is not the CPU. The network's weights stay there.
    device: Option<PlainFrozen>,
}

enum Network {
    EfficientNet(Box<EfficientNetLite0>, EfficientnetEncoder),
    Cnn(Box<SmallCnn>),
}

impl std::fmt::Debug for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::EfficientNet(..) => "EfficientNetLite0",
            Self::Cnn(_) => "SmallCnn",
        })
    }
}

/// What [`SpatialEncoder::features`] costs for one image, and its weights.
pub fn encoder_cost(encoder: Encoder) -> FeatureCost {
    let of = |features, image_shape| feature_cost(&Fid { features, ..Fid::default() }, image_shape);
    match encoder {
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
        let features = alignment.encoder.features();
        let of_file = |name: &'static str| {
            let path = folder.weights(features).expect("a network that is fetched has a file");
            TensorFile::read(&path, name)
        };
        let file = features.weights().map(of_file).transpose()?;
        let source = |name: &str, shape: &[usize]| file.as_ref().expect("only large networks ask").get(name, shape);
        Self::new(alignment.encoder, spec.data.image_shape(), &source).map(Some)
    }

    /// With the weights of a large network from anywhere. `image_shape` is (channels, side) of the images.
    pub fn new(encoder: Encoder, image_shape: (usize, usize), source: TensorSource<'_>) -> Result<Self, EvaluateError> {
        let features = encoder.features();
        if !features.fits(image_shape) {
            let (channels, side) = image_shape;
            return Err(EvaluateError::ImageShape { features, channels, side });
        }
        let network = match encoder {
            Encoder::EfficientnetLite0(settings) => {
                Network::EfficientNet(Box::new(EfficientNetLite0::new(source)?), settings)
            }
            Encoder::DigitsCnn => Network::Cnn(Box::new(small_cnn(&DIGITS_CNN, DIGITS_CNN_WEIGHTS)?)),
            Encoder::MnistCnn => Network::Cnn(Box::new(small_cnn(&MNIST_CNN, MNIST_CNN_WEIGHTS)?)),
        };
        Ok(Self { encoder, network, image_shape, device: None })
    }

    /// Has `device` compute a large network from now on, if it is not the CPU and its planes of `images`, `[n, channels, side, side]`, are the CPU's.
    /// How far they differ, over the largest value; none where the CPU computes it anyway.
    pub fn compute_on(&mut self, device: &Device, images: &[f32]) -> Option<f32> {
        if matches!(Kernels::for_device(device), Kernels::Fused(_)) || matches!(self.network, Network::Cnn(_)) {
            return None;
        }
        let cpu = self.features(images);
        self.device = Some(PlainFrozen::new(device));
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
                    Some(device) => network.planes(device, &inputs, *settings),
                    None => network.planes(&FusedFrozen, &inputs, *settings),
                }
            }
            Network::Cnn(cnn) => {
                let data = TensorData::new(images.concat(), [images.len(), 1, side, side]);
                let planes = cnn.last_planes(Tensor::from_data(data, &Device::flex()));
                planes.permute([0, 2, 3, 1]).into_data().try_into_vec::<f32>().expect("flex computes in f32")
            }
        }
    }
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
        self.encoder.planes()
    }
}
