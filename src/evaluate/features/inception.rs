use super::Activations;
use super::layers::{Normalised, TensorSource};
use super::tensors::WeightsError;
use crate::kernels::Products;
use crate::kernels::frozen::{Activation, Edges, FrozenConvolution, FrozenKernels, Operation, Part, Window};

/// The network of the Fréchet inception distance: InceptionV3 (Szegedy et al. 2015, arXiv 1512.00567) as TensorFlow
/// published it on 2015-12-05, with pytorch-fid's names of weights.
///
/// It differs from the network that PyTorch ships: pooled branches leave the padding out of their means, the last block
/// pools by maxima, and there are 1008 classes.
pub struct Inception {
    stem: Vec<FrozenConvolution>,
    blocks: Vec<Block>,
    /// `[1008, 2048]`, without bias.
    pub class_weights: Vec<f32>,
}

/// Which activations are the features. All are means over the planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InceptionLayer {
    /// After the first pooling.
    Features64,
    /// After the second pooling.
    Features192,
    /// Before the last three blocks.
    Features768,
    /// Before the classes: what papers compare.
    Features2048,
}

impl InceptionLayer {
    pub fn dimension(self) -> usize {
        match self {
            Self::Features64 => 64,
            Self::Features192 => 192,
            Self::Features768 => 768,
            Self::Features2048 => 2048,
        }
    }
}

/// The block whose planes hold the spatial features, from 0: `Mixed_6d`. TensorFlow calls it `mixed_6`; so does torch-fidelity's table
/// of both names (`convert_inception_weights.py`: `mixed_6/conv` is `Mixed_6d.branch1x1`).
const SPATIAL_BLOCK: usize = 6;
/// The channels of it that are kept, the first of its first branch `mixed_6/conv`, as in ADM's evaluator (Dhariwal and Nichol 2021).
const SPATIAL_CHANNELS: usize = 7;
/// Pixels of each side of its planes.
const SPATIAL_SIDE: usize = 17;

/// Branches whose results are concatenated.
struct Block {
    branches: Vec<Branch>,
}

/// Convolutions one after the other, and what comes before or after them.
struct Branch {
    pool: Option<Operation<'static>>,
    /// All but the last.
    convolutions: Vec<FrozenConvolution>,
    /// Each is applied to what the others gave: one or two. None where the branch only pools.
    last: Vec<FrozenConvolution>,
}

/// Means of 3x3 pixels, and their largest.
const AVERAGE: Operation<'static> = Operation::AveragePool(Window { edges: Edges::Padding(1, 1), ..SQUARE_3 });
const LARGEST: Operation<'static> = Operation::MaxPool(Window { edges: Edges::Padding(1, 1), ..SQUARE_3 });
const HALVE: Operation<'static> = Operation::MaxPool(Window { stride: 2, ..SQUARE_3 });
const SQUARE_3: Window = Window { height: 3, width: 3, stride: 1, edges: Edges::Padding(0, 0) };

impl Inception {
    /// Pixels of each side of the images it sees.
    pub const SIDE: usize = 299;
    pub const CLASSES: usize = 1008;
    /// Values in the spatial features of an image.
    pub const SPATIAL_DIMENSION: usize = SPATIAL_SIDE * SPATIAL_SIDE * SPATIAL_CHANNELS;

    pub fn new(products: Products, source: TensorSource<'_>) -> Result<Self, WeightsError> {
        let layers = Layers { products, source };
        let stem = vec![
            layers.at("Conv2d_1a_3x3", Window::square(3, 2), 3, 32)?,
            layers.at("Conv2d_2a_3x3", Window::square(3, 1), 32, 32)?,
            layers.at("Conv2d_2b_3x3", Window::keeping(3, 3), 32, 64)?,
            layers.at("Conv2d_3b_1x1", Window::square(1, 1), 64, 80)?,
            layers.at("Conv2d_4a_3x3", Window::square(3, 1), 80, 192)?,
        ];
        let blocks = vec![
            layers.of_5x5("Mixed_5b", 192, 32)?,
            layers.of_5x5("Mixed_5c", 256, 64)?,
            layers.of_5x5("Mixed_5d", 288, 64)?,
            layers.halving_6a()?,
            layers.of_7x7("Mixed_6b", 128)?,
            layers.of_7x7("Mixed_6c", 160)?,
            layers.of_7x7("Mixed_6d", 160)?,
            layers.of_7x7("Mixed_6e", 192)?,
            layers.halving_7a()?,
            layers.expanded("Mixed_7b", 1280, AVERAGE)?,
            layers.expanded("Mixed_7c", 2048, LARGEST)?,
        ];
        Ok(Self { stem, blocks, class_weights: source("fc.weight", &[Self::CLASSES, 2048])? })
    }

    /// Features `[images, layer.dimension()]` of up to sixteen images, `[299, 299, 3]` each in [-1, 1]; and the spatial ones, `[images,
    /// SPATIAL_DIMENSION]`, where they are asked for: pixel by pixel, as ADM's evaluator has them.
    ///
    /// # Panics
    /// If spatial features are asked for with a layer before theirs.
    pub fn activations<K: FrozenKernels>(
        &self,
        kernels: &K,
        images: &[Vec<f32>],
        layer: InceptionLayer,
        with_spatial: bool,
    ) -> Activations {
        let (count, mut spatial) = (images.len(), Vec::new());
        let mut planes = kernels.enter(images, [Self::SIDE, Self::SIDE, 3]);
        let (first, second) = self.stem.split_at(3);
        for (convolutions, pooled) in [(first, InceptionLayer::Features64), (second, InceptionLayer::Features192)] {
            for convolution in convolutions {
                planes = kernels.apply(Operation::Convolution(convolution), &planes);
            }
            planes = kernels.apply(HALVE, &planes);
            if layer == pooled {
                assert!(!with_spatial, "spatial features come after {layer:?}");
                return Activations { features: kernels.means(&planes, count), spatial };
            }
        }
        let blocks = match layer {
            InceptionLayer::Features768 => &self.blocks[..8],
            _ => &self.blocks[..],
        };
        for (index, block) in blocks.iter().enumerate() {
            planes = block.forward(kernels, &planes);
            if with_spatial && index == SPATIAL_BLOCK {
                spatial = kernels.values(&planes, count, SPATIAL_CHANNELS);
            }
        }
        Activations { features: kernels.means(&planes, count), spatial }
    }
}

impl Block {
    fn forward<K: FrozenKernels>(&self, kernels: &K, input: &K::Planes) -> K::Planes {
        let inner: Vec<Option<K::Planes>> = self.branches.iter().map(|branch| branch.inner(kernels, input)).collect();
        let mut parts = Vec::new();
        for (branch, inner) in self.branches.iter().zip(&inner) {
            let input = inner.as_ref().unwrap_or(input);
            match branch.pool {
                Some(operation) if branch.last.is_empty() => parts.push(Part { operation, input, added: None }),
                _ => parts.extend(branch.last.iter().map(|convolution| Part {
                    operation: Operation::Convolution(convolution),
                    input,
                    added: None,
                })),
            }
        }
        kernels.join(&parts)
    }
}

impl Branch {
    fn convolutions(mut all: Vec<FrozenConvolution>) -> Self {
        let last = all.pop().expect("a branch has convolutions");
        Self { pool: None, convolutions: all, last: vec![last] }
    }

    /// All but the last operation; `None` where it is the only one.
    fn inner<K: FrozenKernels>(&self, kernels: &K, input: &K::Planes) -> Option<K::Planes> {
        let pooled = self.pool.filter(|_| !self.last.is_empty()).map(|pool| kernels.apply(pool, input));
        self.convolutions.iter().fold(pooled, |planes, convolution| {
            Some(kernels.apply(Operation::Convolution(convolution), planes.as_ref().unwrap_or(input)))
        })
    }
}

struct Layers<'s> {
    products: Products,
    source: TensorSource<'s>,
}

impl Layers<'_> {
    fn at(&self, name: &str, window: Window, inputs: usize, outputs: usize) -> Result<FrozenConvolution, WeightsError> {
        let (convolution, norm) = (format!("{name}.conv"), format!("{name}.bn"));
        let (source, products) = (self.source, self.products);
        let layer = Normalised { source, products, convolution, norm, window, activation: Activation::Relu };
        layer.convolution(inputs, outputs)
    }

    /// Convolutions `{block}.{name}` one after the other: (name, window, outputs).
    fn chain(
        &self,
        block: &str,
        inputs: usize,
        layers: &[(&str, Window, usize)],
    ) -> Result<Vec<FrozenConvolution>, WeightsError> {
        let mut channels = inputs;
        let layers = layers.iter().map(|&(name, window, outputs)| {
            let layer = self.at(&format!("{block}.{name}"), window, channels, outputs);
            channels = outputs;
            layer
        });
        layers.collect()
    }

    fn pooled(
        &self,
        block: &str,
        pool: Operation<'static>,
        inputs: usize,
        outputs: usize,
    ) -> Result<Branch, WeightsError> {
        let last = self.chain(block, inputs, &[("branch_pool", POINT, outputs)])?;
        Ok(Branch { pool: Some(pool), convolutions: vec![], last })
    }

    fn of_5x5(&self, block: &str, inputs: usize, pool_outputs: usize) -> Result<Block, WeightsError> {
        let chain = |layers: &[_]| self.chain(block, inputs, layers).map(Branch::convolutions);
        let (three, five) = (Window::keeping(3, 3), Window::keeping(5, 5));
        let branches = vec![
            chain(&[("branch1x1", POINT, 64)])?,
            chain(&[("branch5x5_1", POINT, 48), ("branch5x5_2", five, 64)])?,
            chain(&[("branch3x3dbl_1", POINT, 64), ("branch3x3dbl_2", three, 96), ("branch3x3dbl_3", three, 96)])?,
            self.pooled(block, AVERAGE, inputs, pool_outputs)?,
        ];
        Ok(Block { branches })
    }

    fn halving_6a(&self) -> Result<Block, WeightsError> {
        let chain = |layers: &[_]| self.chain("Mixed_6a", 288, layers).map(Branch::convolutions);
        let (three, half) = (Window::keeping(3, 3), Window::square(3, 2));
        let branches = vec![
            chain(&[("branch3x3", half, 384)])?,
            chain(&[("branch3x3dbl_1", POINT, 64), ("branch3x3dbl_2", three, 96), ("branch3x3dbl_3", half, 96)])?,
            Branch { pool: Some(HALVE), convolutions: vec![], last: vec![] },
        ];
        Ok(Block { branches })
    }

    fn of_7x7(&self, block: &str, inner: usize) -> Result<Block, WeightsError> {
        let chain = |layers: &[_]| self.chain(block, 768, layers).map(Branch::convolutions);
        let (across, down) = (Window::keeping(1, 7), Window::keeping(7, 1));
        let branches = vec![
            chain(&[("branch1x1", POINT, 192)])?,
            chain(&[("branch7x7_1", POINT, inner), ("branch7x7_2", across, inner), ("branch7x7_3", down, 192)])?,
            chain(&[
                ("branch7x7dbl_1", POINT, inner),
                ("branch7x7dbl_2", down, inner),
                ("branch7x7dbl_3", across, inner),
                ("branch7x7dbl_4", down, inner),
                ("branch7x7dbl_5", across, 192),
            ])?,
            self.pooled(block, AVERAGE, 768, 192)?,
        ];
        Ok(Block { branches })
    }

    fn halving_7a(&self) -> Result<Block, WeightsError> {
        let chain = |layers: &[_]| self.chain("Mixed_7a", 768, layers).map(Branch::convolutions);
        let half = Window::square(3, 2);
        let branches = vec![
            chain(&[("branch3x3_1", POINT, 192), ("branch3x3_2", half, 320)])?,
            chain(&[
                ("branch7x7x3_1", POINT, 192),
                ("branch7x7x3_2", Window::keeping(1, 7), 192),
                ("branch7x7x3_3", Window::keeping(7, 1), 192),
                ("branch7x7x3_4", half, 192),
            ])?,
            Branch { pool: Some(HALVE), convolutions: vec![], last: vec![] },
        ];
        Ok(Block { branches })
    }

    fn expanded(&self, block: &str, inputs: usize, pool: Operation<'static>) -> Result<Block, WeightsError> {
        let (across, down) = (Window::keeping(1, 3), Window::keeping(3, 1));
        let ends = |name: &str| {
            let across = self.chain(block, 384, &[(&format!("{name}a"), across, 384)])?;
            let down = self.chain(block, 384, &[(&format!("{name}b"), down, 384)])?;
            Ok::<_, WeightsError>(across.into_iter().chain(down).collect())
        };
        let double = [("branch3x3dbl_1", POINT, 448), ("branch3x3dbl_2", Window::keeping(3, 3), 384)];
        let branches = vec![
            Branch::convolutions(self.chain(block, inputs, &[("branch1x1", POINT, 320)])?),
            Branch {
                pool: None,
                convolutions: self.chain(block, inputs, &[("branch3x3_1", POINT, 384)])?,
                last: ends("branch3x3_2")?,
            },
            Branch { pool: None, convolutions: self.chain(block, inputs, &double)?, last: ends("branch3x3dbl_3")? },
            self.pooled(block, pool, inputs, 192)?,
        ];
        Ok(Block { branches })
    }
}

const POINT: Window = Window { height: 1, width: 1, stride: 1, edges: Edges::Padding(0, 0) };
