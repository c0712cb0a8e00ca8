//! Weights as diffusers writes them: `diffusion_pytorch_model.safetensors`, and `config.json` beside it.

use std::collections::BTreeSet;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::Deserialize;

use super::{AutoencoderDesign, Direction, layout};
use crate::model::ParameterLayout;

/// Why a file is not the weights of such an autoencoder.
#[derive(Debug, thiserror::Error)]
pub enum AutoencoderError {
    #[error("it is no whole safetensors file: {0}")]
    Format(#[from] SafeTensorError),
    #[error("it has no tensor `{name}`, which diffusers' AutoencoderKL has")]
    Missing { name: String },
    #[error("it has a tensor `{name}`, which Stable Diffusion's autoencoder has not")]
    Unknown { name: String },
    #[error("tensor `{name}` is {found:?}, where {expected:?} is expected")]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("tensor `{name}` is of type {found}; F32, F16 and BF16 are read")]
    Type { name: String, found: String },
    #[error("tensor `{name}` holds {value}")]
    NotFinite { name: String, value: f32 },
    #[error("its config.json cannot be read: {0}")]
    Config(#[from] serde_json::Error),
    #[error("its config.json says {key}: {value}, which is not supported")]
    Unsupported { key: &'static str, value: String },
    #[error("norms of {groups} groups do not divide {channels} channels: is `norm_num_groups` in its config.json?")]
    Groups { groups: usize, channels: usize },
}

/// The tensors of a file and the design that they are of.
pub struct AutoencoderWeights<'b> {
    tensors: SafeTensors<'b>,
    design: AutoencoderDesign,
    scaling_factor: Option<f64>,
}

/// The keys of diffusers' `config.json` that change what is computed.
#[derive(Default, Deserialize)]
struct Config {
    #[serde(rename = "_class_name")]
    class_name: Option<String>,
    act_fn: Option<String>,
    norm_num_groups: Option<usize>,
    scaling_factor: Option<f64>,
    shift_factor: Option<f64>,
    latents_mean: Option<serde_json::Value>,
}

/// Names of attention's linear maps: today's, and those before diffusers 0.17.
const OUTPUT: [&str; 2] = ["to_out.0", "proj_attn"];
const QUERIES_KEYS_VALUES: [[&str; 2]; 3] = [["to_q", "query"], ["to_k", "key"], ["to_v", "value"]];

impl<'b> AutoencoderWeights<'b> {
    /// Of the bytes of a safetensors file, and of the `config.json` beside it if there is one.
    pub fn read(bytes: &'b [u8], config: Option<&str>) -> Result<Self, AutoencoderError> {
        let tensors = SafeTensors::deserialize(bytes)?;
        let config: Config = config.map(serde_json::from_str).transpose()?.unwrap_or_default();
        let unsupported = |key, value: &str| Err(AutoencoderError::Unsupported { key, value: value.to_owned() });
        match (&config.class_name, &config.act_fn, config.shift_factor) {
            (Some(name), _, _) if name != "AutoencoderKL" => return unsupported("_class_name", name),
            (_, Some(function), _) if function != "silu" => return unsupported("act_fn", function),
            (_, _, Some(shift)) if shift != 0.0 => return unsupported("shift_factor", &shift.to_string()),
            _ => {}
        }
        if let Some(means) = &config.latents_mean {
            return unsupported("latents_mean", &means.to_string());
        }
        let design = design(&tensors, config.norm_num_groups.unwrap_or(AutoencoderDesign::USUAL_NORM_GROUPS))?;
        let weights = Self { tensors, design, scaling_factor: config.scaling_factor };
        weights.refuse_unknown()?;
        Ok(weights)
    }

    pub fn design(&self) -> &AutoencoderDesign {
        &self.design
    }

    /// By what latents are multiplied to be trained on, if `config.json` says so.
    pub fn scaling_factor(&self) -> Option<f64> {
        self.scaling_factor
    }

    /// Whether the file has this half; some have a decoder alone.
    pub fn has(&self, direction: Direction) -> bool {
        let name = match direction {
            Direction::Encode => "encoder.conv_in.weight",
            Direction::Decode => "decoder.conv_in.weight",
        };
        self.tensors.tensor(name).is_ok()
    }

    /// Finds every tensor of a half, in its shape, and reads none.
    pub fn check(&self, direction: Direction) -> Result<(), AutoencoderError> {
        layout(&self.design, direction).iter().try_for_each(|parameter| {
            names(&parameter.name).iter().try_for_each(|names| {
                let shape = part_shape(parameter, names);
                self.find(names, &shape).map(drop)
            })
        })
    }

    /// Reads every tensor of a half: all numbers are finite.
    pub fn check_finite(&self, direction: Direction) -> Result<(), AutoencoderError> {
        layout(&self.design, direction).iter().try_for_each(|parameter| self.parameter(parameter).map(drop))
    }

    /// The values of a parameter in the network's layout.
    pub(super) fn parameter(&self, parameter: &ParameterLayout) -> Result<Vec<f32>, AutoencoderError> {
        let mut values = Vec::with_capacity(parameter.size());
        for names in names(&parameter.name) {
            let shape = part_shape(parameter, &names);
            values.extend(self.values(&names, &shape)?);
        }
        Ok(values)
    }

    fn values(&self, names: &[String], shape: &[usize]) -> Result<Vec<f32>, AutoencoderError> {
        let (name, tensor) = self.find(names, shape)?;
        let data = tensor.data();
        let values: Vec<f32> = match tensor.dtype() {
            Dtype::F32 => data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::F16 => data.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
            Dtype::BF16 => data.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
            other => return Err(AutoencoderError::Type { name, found: other.to_string() }),
        };
        match values.iter().find(|value| !value.is_finite()) {
            Some(&value) => Err(AutoencoderError::NotFinite { name, value }),
            None => Ok(values),
        }
    }

    /// The first of `names` that is there. Linear maps may be stored as 1x1 convolutions, and the other way round.
    fn find(
        &self,
        names: &[String],
        shape: &[usize],
    ) -> Result<(String, safetensors::tensor::TensorView<'b>), AutoencoderError> {
        let found = names.iter().find_map(|name| Some((name.clone(), self.tensors.tensor(name).ok()?)));
        let (name, tensor) = found.ok_or_else(|| AutoencoderError::Missing { name: names[0].clone() })?;
        let found = tensor.shape();
        let same = match (shape, found) {
            ([outputs, inputs, 1, 1], [rows, columns]) => (outputs, inputs) == (rows, columns),
            _ => shape == found,
        };
        if !same {
            return Err(AutoencoderError::Shape { name, found: found.to_vec(), expected: shape.to_vec() });
        }
        Ok((name, tensor))
    }

    /// A file of another architecture may have all tensors that are needed, and more.
    fn refuse_unknown(&self) -> Result<(), AutoencoderError> {
        let mut known = BTreeSet::new();
        for direction in [Direction::Encode, Direction::Decode] {
            for parameter in layout(&self.design, direction) {
                known.extend(names(&parameter.name).into_iter().flatten());
            }
        }
        let mut found = self.tensors.names();
        found.sort_unstable();
        match found.into_iter().find(|name| !known.contains(*name)) {
            Some(name) => Err(AutoencoderError::Unknown { name: name.to_owned() }),
            None => Ok(()),
        }
    }
}

/// The tensors that a parameter is made of, one after the other; each has the names that it may have.
fn names(parameter: &str) -> Vec<Vec<String>> {
    if let Some((attention, kind)) = parameter.split_once("to_qkv.") {
        let of = |part: [&str; 2]| part.map(|name| format!("{attention}{name}.{kind}")).to_vec();
        return QUERIES_KEYS_VALUES.map(of).to_vec();
    }
    if let Some((attention, kind)) = parameter.split_once("to_out.0.") {
        return vec![OUTPUT.map(|name| format!("{attention}{name}.{kind}")).to_vec()];
    }
    vec![vec![parameter.to_owned()]]
}

/// The shape of one of the tensors that a parameter is made of.
fn part_shape(parameter: &ParameterLayout, names: &[String]) -> Vec<usize> {
    let mut shape = parameter.shape.clone();
    if parameter.name.contains("to_qkv.") && names.len() == 2 {
        shape[0] /= 3;
    }
    shape
}

/// The sizes as the decoder's tensors tell them.
fn design(tensors: &SafeTensors, norm_groups: usize) -> Result<AutoencoderDesign, AutoencoderError> {
    let shape = |name: &str| {
        let tensor = tensors.tensor(name).map_err(|_| AutoencoderError::Missing { name: name.to_owned() })?;
        match tensor.shape() {
            &[outputs, inputs, height, width] if height == 3 && width == 3 => Ok((outputs, inputs)),
            found => {
                let expected = vec![found.first().copied().unwrap_or(0), found.get(1).copied().unwrap_or(0), 3, 3];
                Err(AutoencoderError::Shape { name: name.to_owned(), found: found.to_vec(), expected })
            }
        }
    };
    let has = |name: &str| tensors.tensor(name).is_ok();
    let block = |level: usize, index: usize| format!("decoder.up_blocks.{level}.resnets.{index}.conv1.weight");
    let (last, latent_channels) = shape("decoder.conv_in.weight")?;
    // The first level at least, so that a file of other names is said to lack it.
    let mut channels = vec![shape(&block(0, 0))?.0];
    while has(&block(channels.len(), 0)) {
        channels.push(shape(&block(channels.len(), 0))?.0);
    }
    let blocks = (1..).find(|&index| !has(&block(0, index))).expect("a file has an end");
    channels.reverse();
    if channels.last() != Some(&last) || blocks < 2 {
        return Err(AutoencoderError::Missing { name: block(0, 1) });
    }
    if let Some(&channels) = channels.iter().find(|&&channels| norm_groups == 0 || channels % norm_groups != 0) {
        return Err(AutoencoderError::Groups { groups: norm_groups, channels });
    }
    Ok(AutoencoderDesign {
        channels,
        layers_per_block: blocks - 1,
        latent_channels,
        norm_groups,
        quantization: has("post_quant_conv.weight"),
        attention: has("decoder.mid_block.attentions.0.group_norm.weight"),
    })
}
