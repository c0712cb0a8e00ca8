use super::layers::{Normalised, TensorSource};
use super::tensors::WeightsError;
use crate::kernels::Products;
use crate::kernels::frozen::{
    Activation, Edges, FrozenConvolution, FrozenDepthwise, FrozenKernels, Operation, Part, Window,
};
use crate::spec::EfficientnetEncoder;

/// EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946, without squeeze-and-excitation and with ReLU6, as TensorFlow's
/// "lite" models of 2020 are), trained on ImageNet: a feature space for machines that only reach package registries.
pub struct EfficientNetLite0 {
    stem: FrozenConvolution,
    blocks: Vec<Block>,
    head: FrozenConvolution,
    /// `[1000, 1280]` and `[1000]`.
    pub class_weights: Vec<f32>,
    pub class_bias: Vec<f32>,
}

/// An inverted bottleneck (Sandler et al. 2018, arXiv 1801.04381).
struct Block {
    expand: Option<FrozenConvolution>,
    depthwise: FrozenDepthwise,
    project: FrozenConvolution,
    residual: bool,
}

/// (how often, kernel, stride of the first, expansion, inputs, outputs)
const STAGES: [(usize, usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
];

const POINT: Window = Window { height: 1, width: 1, stride: 1, edges: Edges::Padding(0, 0) };

impl EfficientNetLite0 {
    /// Pixels of each side of the images it sees.
    pub const SIDE: usize = 224;
    pub const CLASSES: usize = 1000;
    /// Length of [`EfficientNetLite0::features`].
    pub const DIMENSION: usize = 1280;

    /// In f32.
    pub fn new(source: TensorSource<'_>) -> Result<Self, WeightsError> {
        Self::multiplying(Products::F32, source)
    }

    pub fn multiplying(products: Products, source: TensorSource<'_>) -> Result<Self, WeightsError> {
        let layer = |convolution: &str, norm: &str, window, activation| Normalised {
            source,
            products,
            convolution: convolution.to_owned(),
            norm: norm.to_owned(),
            window,
            activation,
        };
        let same = |side, stride| Window { height: side, width: side, stride, edges: Edges::Same };
        let stem = layer("_conv_stem", "_bn0", same(3, 2), Activation::Relu6).convolution(3, 32)?;
        let mut blocks = Vec::new();
        for (repeats, kernel, stride, expansion, inputs, outputs) in STAGES {
            for repeat in 0..repeats {
                let (inputs, stride) = if repeat == 0 { (inputs, stride) } else { (outputs, 1) };
                let of_block = |convolution: &str, norm: usize, window, activation| {
                    let name = format!("_blocks.{}", blocks.len());
                    layer(&format!("{name}.{convolution}"), &format!("{name}._bn{norm}"), window, activation)
                };
                let inner = inputs * expansion;
                let expand = match expansion {
                    1 => None,
                    _ => Some(of_block("_expand_conv", 0, POINT, Activation::Relu6).convolution(inputs, inner)?),
                };
                let depthwise =
                    of_block("_depthwise_conv", 1, same(kernel, stride), Activation::Relu6).depthwise(inner)?;
                let project = of_block("_project_conv", 2, POINT, Activation::None).convolution(inner, outputs)?;
                blocks.push(Block { expand, depthwise, project, residual: stride == 1 && inputs == outputs });
            }
        }
        let head = layer("_conv_head", "_bn1", POINT, Activation::Relu6).convolution(320, Self::DIMENSION)?;
        Ok(Self {
            stem,
            blocks,
            head,
            class_weights: source("_fc.weight", &[Self::CLASSES, Self::DIMENSION])?,
            class_bias: source("_fc.bias", &[Self::CLASSES])?,
        })
    }

    /// What it sees for a value from 0 to 255.
    pub fn input(value: f32) -> f32 {
        (value - 127.0) / 128.0
    }

    /// `[images, 1280]` of up to sixteen images, `[224, 224, 3]` each: [`Self::input`] of values from 0 to 255.
    pub fn features<K: FrozenKernels>(&self, kernels: &K, images: &[Vec<f32>]) -> Vec<f32> {
        let planes = self.after(kernels, images, Self::SIDE, self.blocks.len());
        let planes = kernels.apply(Operation::Convolution(&self.head), &planes);
        kernels.means(&planes, images.len())
    }

    /// `[images, side / stride, side / stride, channels]`: the last planes of a stride, of up to sixteen images `[side, side, 3]`, values as in
    /// [`Self::features`].
    pub fn planes<K: FrozenKernels>(
        &self,
        kernels: &K,
        images: &[Vec<f32>],
        settings: EfficientnetEncoder,
    ) -> Vec<f32> {
        let (blocks, channels) = settings.planes();
        kernels.values(&self.after(kernels, images, settings.side, blocks), images.len(), channels)
    }

    /// What the first `blocks` blocks make of images `[side, side, 3]`.
    fn after<K: FrozenKernels>(&self, kernels: &K, images: &[Vec<f32>], side: usize, blocks: usize) -> K::Planes {
        let input = kernels.enter(images, [side, side, 3]);
        let stem = kernels.apply(Operation::Convolution(&self.stem), &input);
        self.blocks[..blocks].iter().fold(stem, |planes, block| block.forward(kernels, planes))
    }
}

impl Block {
    fn forward<K: FrozenKernels>(&self, kernels: &K, input: K::Planes) -> K::Planes {
        let expanded = self.expand.as_ref().map(|expand| kernels.apply(Operation::Convolution(expand), &input));
        let filtered = kernels.apply(Operation::Depthwise(&self.depthwise), expanded.as_ref().unwrap_or(&input));
        let operation = Operation::Convolution(&self.project);
        kernels.join(&[Part { operation, input: &filtered, added: self.residual.then_some(&input) }])
    }
}
