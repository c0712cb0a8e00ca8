use super::BATCH_IMAGES;
use super::encoder::encoder_design;
use crate::kernels::frozen::IMAGES_AT_ONCE;
use crate::model::vit::{Vit, VitDesign};
use crate::model::{CnnDesign, DIGITS_CNN, MNIST_CNN};
use crate::spec::{Features, Fid};

/// The cost of the feature network; it is known without its weights, and of an encoder from the shapes of these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureCost {
    /// Floating-point operations of one image: two for a multiplication and an addition.
    pub flops: f64,
    /// The bytes of the weights in memory.
    pub weight_bytes: f64,
    /// The most bytes of the activations of the images that pass through the network together.
    pub activation_bytes: f64,
}

/// Inception's convolutions for one image of 299 x 299 pixels, as far as each kind of features needs them; and its weights
/// with what Winograd's tiles make of some. Counted from its layers, which a test does again; Szegedy et al. 2015 (arXiv
/// 1512.00567, abstract) say 5 billion multiply-adds.
const INCEPTION: [(Features, f64); 4] = [
    (Features::InceptionV3At64, 1.233e9),
    (Features::InceptionV3At192, 2.682e9),
    (Features::InceptionV3At768, 9.418e9),
    (Features::InceptionV3, 11.422e9),
];
const INCEPTION_WEIGHT_BYTES: f64 = 121.87e6;
/// The activations of sixteen images: 32 and 64 planes of 147 x 147 pixels, and the images.
const INCEPTION_ACTIVATION_BYTES: f64 = 149.93e6;

/// The same of EfficientNet-Lite0 and images of 224 x 224 pixels.
const EFFICIENTNET: FeatureCost = FeatureCost { flops: 0.7678e9, weight_bytes: 18.524e6, activation_bytes: 133.27e6 };

/// The cost of the features that a protocol asks for, of images of shape (channels, side).
pub fn feature_cost(fid: &Fid, (channels, side): (usize, usize)) -> FeatureCost {
    let features = fid.features;
    match features {
        Features::Dinov2 | Features::Clip => {
            let design = encoder_design(fid);
            vit_feature_cost(&design, design.customary_side())
        }
        Features::DigitsCnn => of_cnn(&DIGITS_CNN),
        Features::MnistCnn => of_cnn(&MNIST_CNN),
        Features::Pixels8 => {
            // Each row of pixels has a share in each of eight squares: `CoarsePixels`.
            let flops = (16 * channels * side * side) as f64;
            FeatureCost { flops, weight_bytes: (8 * side * size_of::<f32>()) as f64, activation_bytes: 0.0 }
        }
        Features::EfficientnetLite0 => EFFICIENTNET,
        Features::InceptionV3 | Features::InceptionV3At768 | Features::InceptionV3At192 | Features::InceptionV3At64 => {
            let found = INCEPTION.iter().find(|(layer, _)| *layer == features);
            let (_, flops) = found.expect("all of Inception's layers are listed");
            FeatureCost {
                flops: *flops,
                weight_bytes: INCEPTION_WEIGHT_BYTES,
                activation_bytes: INCEPTION_ACTIVATION_BYTES,
            }
        }
    }
}

/// The same of an encoder that sees images of `side` pixels.
pub fn vit_feature_cost(design: &VitDesign, side: usize) -> FeatureCost {
    let cost = Vit::cost(design, side);
    FeatureCost {
        flops: cost.flops,
        weight_bytes: (cost.parameters * size_of::<f32>()) as f64,
        activation_bytes: (IMAGES_AT_ONCE * cost.live_bytes) as f64,
    }
}

fn of_cnn(design: &CnnDesign) -> FeatureCost {
    FeatureCost {
        flops: design.forward_flops(),
        weight_bytes: (design.parameter_count() * size_of::<f32>()) as f64,
        activation_bytes: (BATCH_IMAGES * design.activation_bytes()) as f64,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::efficientnet::EfficientNetLite0;
    use super::super::inception::{Inception, InceptionLayer};
    use super::super::{DIGITS_CNN_WEIGHTS, FeatureNetwork, WeightsError, encoder_cost, small_cnn};
    use super::*;
    use crate::data::public_set;
    use crate::kernels::Products;
    use crate::kernels::frozen::counted::CountedFrozen;
    use crate::spec::{AlignmentLoss, EfficientnetEncoder, Encoder, FidPrecision, Resize};

    fn of(features: Features) -> Fid {
        Fid { features, ..Fid::default() }
    }

    /// transformers' Dinov2Model of ViT-L/14 has 304,368,640 parameters and its CLIPVisionModelWithProjection at 336 pixels 304,293,888.
    /// Here positions are those of 224 pixels, the token of masks is left out, scales of branches are part of weights, and the patches of
    /// CLIP have a bias, which is zero.
    #[test]
    fn encoders_cost_what_their_layers_come_to() {
        let [dinov2, clip] = [Features::Dinov2, Features::Clip].map(|features| feature_cost(&of(features), (3, 32)));
        let parameters = 304_368_640 - (1370 - 257) * 1024 - 1024 - 2 * 24 * 1024;
        assert_eq!(dinov2.weight_bytes, f64::from(4 * parameters));
        assert_eq!(clip.weight_bytes, f64::from(4 * (304_293_888 + 1024)));
        let products = 24 * (12 * 1024 * 1024 * 257 + 2 * 257 * 257 * 1024) + 3 * 14 * 14 * 1024 * 256u64;
        assert_eq!(dinov2.flops, 2.0 * products as f64);
        // Sixteen images of 577 tokens: one, and a hidden layer of four before and after its activation.
        assert_eq!(clip.activation_bytes, (16 * 577 * 9 * 1024 * 4) as f64);
    }

    #[track_caller]
    fn assert_counted(features: Features, side: usize, counted: &CountedFrozen, class_values: usize) {
        let cost = feature_cost(&of(features), (3, 32));
        // The images themselves are held too, each as `[side, side, 3]`.
        let values = counted.most_live() + 3 * side * side;
        for (estimate, count) in
            [(cost.flops, counted.flops()), (cost.activation_bytes, IMAGES_AT_ONCE * values * size_of::<f32>())]
        {
            assert!((estimate / count as f64 - 1.0).abs() < 1e-3, "{features:?}: {estimate}, counted {count}");
        }
        if class_values > 0 {
            let count = (counted.weights() + class_values) * size_of::<f32>();
            assert!((cost.weight_bytes / count as f64 - 1.0).abs() < 1e-3, "{features:?}: {cost:?}, counted {count}");
        }
    }

    #[test]
    fn large_networks_cost_what_their_layers_come_to() {
        let values = Cell::new(0usize);
        let source = |_: &str, shape: &[usize]| -> Result<Vec<f32>, WeightsError> {
            let count: usize = shape.iter().product();
            values.set(values.get() + count);
            Ok(vec![0.0; count])
        };
        let image = [Vec::<f32>::new()];
        let inception = Inception::new(Products::F32, &source).unwrap();
        // The file has biases of the classes, which nothing uses.
        let file_bytes = (values.get() + Inception::CLASSES) * size_of::<f32>();
        let megabytes = public_set("inception-v3").unwrap().megabytes();
        assert_eq!(megabytes, (file_bytes as u64).div_ceil(1_000_000));
        for (features, layer, class_values) in [
            (Features::InceptionV3At64, InceptionLayer::Features64, 0),
            (Features::InceptionV3At192, InceptionLayer::Features192, 0),
            (Features::InceptionV3At768, InceptionLayer::Features768, 0),
            (Features::InceptionV3, InceptionLayer::Features2048, inception.class_weights.len()),
        ] {
            let counted = CountedFrozen::default();
            assert_eq!(inception.activations(&counted, &image, layer, false).features.len(), features.dimension(3));
            assert_counted(features, Inception::SIDE, &counted, class_values);
        }
        let (network, counted) = (EfficientNetLite0::new(&source).unwrap(), CountedFrozen::default());
        assert_eq!(network.features(&counted, &image).len(), Features::EfficientnetLite0.dimension(3));
        let class_values = network.class_weights.len() + network.class_bias.len();
        assert_counted(Features::EfficientnetLite0, EfficientNetLite0::SIDE, &counted, class_values);
        for (stride, _, channels) in EfficientnetEncoder::STRIDES {
            let (settings, counted) = (EfficientnetEncoder { side: 96, stride }, CountedFrozen::default());
            assert_eq!(network.planes(&counted, &image, settings).len(), (96 / stride) * (96 / stride) * channels);
            let alignment = AlignmentLoss { encoder: Encoder::EfficientnetLite0(settings), ..Default::default() };
            let estimate = encoder_cost(&alignment, 8).flops;
            let count = counted.flops() as f64;
            assert!((estimate / count - 1.0).abs() < 1e-3, "stride {stride}: {estimate}, counted {count}");
        }
    }

    #[test]
    fn small_networks_cost_what_their_layers_come_to() {
        let cost = feature_cost(&of(Features::DigitsCnn), (1, 8));
        // Three convolutions of 3x3 and the classes.
        let products = 64 * 32 * 9 + 16 * 64 * 32 * 9 + 16 * 64 * 64 * 9 + 64 * 10;
        assert_eq!(cost.flops, f64::from(2 * products));
        let cnn = small_cnn(&DIGITS_CNN, DIGITS_CNN_WEIGHTS).unwrap();
        let values: usize = cnn.layout().iter().map(|parameter| parameter.size()).sum();
        assert_eq!(cost.weight_bytes, (4 * values) as f64);
        for (features, shape) in [
            (Features::DigitsCnn, (1, 8)),
            (Features::MnistCnn, (1, 28)),
            (Features::Pixels8, (1, 28)),
            (Features::Pixels8, (3, 32)),
        ] {
            let network = FeatureNetwork::load(features, Resize::Customary, FidPrecision::F32, shape, None).unwrap();
            assert_eq!(network.dimension(), features.dimension(shape.0), "{features:?}");
            assert!(feature_cost(&of(features), shape).flops > 0.0);
        }
    }
}
