//! The autoencoder of latent diffusion (Rombach et al. 2022, arXiv 2112.10752), as diffusers' `AutoencoderKL` computes it. Its weights
//! are frozen: nothing here is trained.

mod blocks;
mod design;
mod weights;

use burn::tensor::{Device, Tensor};

use super::architecture::{Architecture, ConvolutionLayer, NormLayer, Pass};
use crate::kernels::{Convolution, Kernels, Products, Resample};
use blocks::{EPSILON, Level, Middle};

pub use design::AutoencoderDesign;
pub use weights::{AutoencoderError, AutoencoderWeights};

/// The most bytes of the activations of the sixteen images that the fused operations compute at once. Larger images pass one
/// by one through burn's own operations.
const FUSED_BYTES: usize = 8 << 30;
/// The most bytes of the activations of a batch on another device than the CPU.
const BATCH_BYTES: usize = 4 << 30;
const FUSED_IMAGES: usize = 16;

/// One of the two halves of an autoencoder, with its weights on a device.
pub struct AutoencoderHalf {
    layers: Layers,
    parameters: Vec<Tensor<1>>,
    kernels: Kernels,
    device: Device,
    batch_images: usize,
}

/// What one half computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Images to the moments of their latents.
    Encode,
    /// Latents to images.
    Decode,
}

/// The cost of a half for one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HalfCost {
    /// Floating-point operations: two for a multiplication and an addition.
    pub flops: f64,
    pub parameters: usize,
    /// The most bytes of activations that are alive at a time, of the images that the CPU computes together.
    pub batch_bytes: usize,
}

impl AutoencoderHalf {
    /// For images whose latents have `latent_side` pixels, with the weights of a file, in f32.
    ///
    /// # Errors
    /// If the file lacks a tensor of this half, or has it in another shape.
    pub fn new(
        weights: &AutoencoderWeights,
        direction: Direction,
        latent_side: usize,
        device: &Device,
    ) -> Result<Self, AutoencoderError> {
        let design = weights.design();
        let mut architecture = Architecture::default();
        let layers = Layers::describe(&mut architecture, design, direction, latent_side);
        let device = device.clone().without_autodiff();
        let parameters = architecture.layout.iter().map(|parameter| {
            let values = weights.parameter(parameter)?;
            Ok(Tensor::from_data(burn::tensor::TensorData::new(values, [parameter.size()]), &device))
        });
        let parameters = parameters.collect::<Result<_, AutoencoderError>>()?;
        let live_bytes = design.live_bytes(latent_side);
        let (kernels, batch_images) = match Kernels::for_device(&device) {
            Kernels::Fused(_) if !fits_fused(live_bytes) => (Kernels::Plain(Products::F32), 1),
            fused @ Kernels::Fused(_) => (fused, FUSED_IMAGES),
            plain => (plain, (BATCH_BYTES / live_bytes).clamp(1, 64)),
        };
        Ok(Self { layers, parameters, kernels, device, batch_images })
    }

    /// The same with other operations, to compare them.
    pub fn with_kernels(self, kernels: Kernels) -> Self {
        Self { kernels, ..self }
    }

    /// Its cost for one image whose latent has `latent_side` pixels, known without any weights.
    pub fn cost(design: &AutoencoderDesign, direction: Direction, latent_side: usize) -> HalfCost {
        let mut architecture = Architecture::default();
        Layers::describe(&mut architecture, design, direction, latent_side);
        let live_bytes = design.live_bytes(latent_side);
        let batch_bytes = if fits_fused(live_bytes) { FUSED_IMAGES * live_bytes } else { live_bytes };
        HalfCost { flops: architecture.flops, parameters: architecture.parameter_count(), batch_bytes }
    }

    /// The most images that pass through it together.
    pub fn batch_images(&self) -> usize {
        self.batch_images
    }

    /// The output for a batch, `[n, channels, side, side]`: of an encoder means and log-variances of latents, `[n, 2 * latent
    /// channels, side / 8, side / 8]` with four levels, of a decoder images, not clipped to [-1, 1].
    pub fn forward(&self, input: &[f32], [channels, side]: [usize; 2]) -> Vec<f32> {
        let count = input.len() / (channels * side * side);
        let data = burn::tensor::TensorData::new(input.to_vec(), [count, channels, side, side]);
        let pass = Pass { kernels: self.kernels, parameters: &self.parameters };
        let entered = self.kernels.enter(Tensor::from_data(data, &self.device));
        let output = self.kernels.leave(self.layers.forward(pass, entered), count);
        output.into_data().try_into_vec::<f32>().expect("it computes in f32")
    }
}

fn fits_fused(live_bytes: usize) -> bool {
    FUSED_IMAGES * live_bytes <= FUSED_BYTES
}

/// The layers of a half, in the order in which they are computed.
struct Layers {
    /// Of a decoder, what undoes the last layer of the encoder.
    before: Option<ConvolutionLayer>,
    input: ConvolutionLayer,
    /// Of a decoder, the first after the input.
    middle_first: bool,
    middle: Middle,
    levels: Vec<Level>,
    norm: NormLayer,
    output: ConvolutionLayer,
    /// Of an encoder, after the output.
    after: Option<ConvolutionLayer>,
}

impl Layers {
    fn describe(
        architecture: &mut Architecture,
        design: &AutoencoderDesign,
        direction: Direction,
        latent_side: usize,
    ) -> Self {
        let channels = &design.channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let image_side = design.image_side(latent_side);
        let latents = design.latent_channels;
        match direction {
            Direction::Encode => {
                let input = blocks::square(architecture, "encoder.conv_in", 3, first, Resample::Keep, image_side);
                let (mut levels, mut side, mut inputs) = (Vec::new(), image_side, first);
                for (index, &outputs) in channels.iter().enumerate() {
                    let name = format!("encoder.down_blocks.{index}");
                    let resample = (index + 1 < channels.len()).then_some(Resample::Halve);
                    let count = design.layers_per_block;
                    levels.push(Level::describe(architecture, design, &name, (inputs, outputs), count, resample, side));
                    (inputs, side) = (outputs, resample.map_or(side, |resample| resample.output_side(side)));
                }
                let middle = Middle::describe(architecture, design, "encoder.mid_block", last, side);
                let norm = architecture.norm_within("encoder.conv_norm_out", last, design.norm_groups, side, EPSILON);
                let output = blocks::square(architecture, "encoder.conv_out", last, 2 * latents, Resample::Keep, side);
                let after = design.quantization.then(|| {
                    let shape = Convolution::pointwise(2 * latents, 2 * latents);
                    blocks::frozen(architecture, "quant_conv", shape, side)
                });
                Self { before: None, input, middle_first: false, middle, levels, norm, output, after }
            }
            Direction::Decode => {
                let before = design.quantization.then(|| {
                    let shape = Convolution::pointwise(latents, latents);
                    blocks::frozen(architecture, "post_quant_conv", shape, latent_side)
                });
                let input = blocks::square(architecture, "decoder.conv_in", latents, last, Resample::Keep, latent_side);
                let middle = Middle::describe(architecture, design, "decoder.mid_block", last, latent_side);
                let (mut levels, mut side, mut inputs) = (Vec::new(), latent_side, last);
                for (index, &outputs) in channels.iter().rev().enumerate() {
                    let name = format!("decoder.up_blocks.{index}");
                    let resample = (index + 1 < channels.len()).then_some(Resample::Double);
                    let count = design.layers_per_block + 1;
                    levels.push(Level::describe(architecture, design, &name, (inputs, outputs), count, resample, side));
                    (inputs, side) = (outputs, resample.map_or(side, |resample| resample.output_side(side)));
                }
                let norm = architecture.norm_within("decoder.conv_norm_out", first, design.norm_groups, side, EPSILON);
                let output = blocks::square(architecture, "decoder.conv_out", first, 3, Resample::Keep, side);
                Self { before, input, middle_first: true, middle, levels, norm, output, after: None }
            }
        }
    }

    fn forward(&self, pass: Pass, input: Tensor<4>) -> Tensor<4> {
        let input = self.before.iter().fold(input, |hidden, layer| layer.forward(pass, hidden));
        let mut hidden = self.input.forward(pass, input);
        if self.middle_first {
            hidden = self.middle.forward(pass, hidden);
        }
        hidden = self.levels.iter().fold(hidden, |hidden, level| level.forward(pass, hidden));
        if !self.middle_first {
            hidden = self.middle.forward(pass, hidden);
        }
        let output = self.output.forward(pass, self.norm.forward(pass, hidden, true));
        self.after.iter().fold(output, |hidden, layer| layer.forward(pass, hidden))
    }
}

/// Name and shape of every parameter of a half.
fn layout(design: &AutoencoderDesign, direction: Direction) -> Vec<super::ParameterLayout> {
    let mut architecture = Architecture::default();
    Layers::describe(&mut architecture, design, direction, 8);
    architecture.layout
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts of Stable Diffusion's VAE: 83,653,863 in all, as `diffusers` counts them.
    #[test]
    fn stable_diffusions_autoencoder_has_its_published_size() {
        let design = AutoencoderDesign::stable_diffusion();
        let [encoder, decoder] =
            [Direction::Encode, Direction::Decode].map(|direction| AutoencoderHalf::cost(&design, direction, 32));
        assert_eq!((encoder.parameters, decoder.parameters), (34_163_664, 49_490_199));
        assert_eq!(encoder.parameters + decoder.parameters, 83_653_863);
        // 256 channels of 256x256 pixels, four times, of sixteen images.
        assert_eq!(decoder.batch_bytes, 16 * 4 * 256 * 256 * 256 * 4);
        assert!(decoder.flops > encoder.flops && (0.6e12..0.7e12).contains(&decoder.flops), "{decoder:?}");
    }
}
