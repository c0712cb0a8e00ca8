//! Which tensors of a file are an encoder's: by the names of DINOv2's own code, of Hugging Face's DINOv2, or of its CLIP.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::tensor_file::TensorFile;
use super::{VitDesign, VitError, VitFamily, layout};
use crate::model::ParameterLayout;

/// The weights of an encoder as they lie on disk, and the sizes that they are of.
pub struct VitWeights {
    file: TensorFile,
    naming: Naming,
    design: VitDesign,
}

/// Who named the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// `dinov2_vit*14_pretrain.pth`, `dinov2_vit*14_reg4_pretrain.pth`
    Dinov2,
    /// timm's `vit_*_patch14_reg4_dinov2`: as above, but that positions are of patches alone; that of the class is in its token.
    TimmRegisters,
    /// `facebook/dinov2-*`, `facebook/dinov2-with-registers-*`
    HuggingFaceDinov2,
    /// `openai/clip-vit-*`
    HuggingFaceClip,
}

/// The tensor that tells who named it; the first that is there.
const CLASS_TOKENS: [(&str, Naming); 4] = [
    ("reg_token", Naming::TimmRegisters),
    ("cls_token", Naming::Dinov2),
    ("embeddings.cls_token", Naming::HuggingFaceDinov2),
    ("vision_model.embeddings.class_embedding", Naming::HuggingFaceClip),
];

const OTHER_NETWORK: &str = "DINOv2's ViT-S/14, B/14 and L/14 are read, with and without registers, and CLIP's towers for images as Hugging Face names them";
const CONFIG: &str = "config.json";

/// Where the values of a parameter are: tensors one after the other, and what each output is multiplied by.
struct Sources {
    tensors: Vec<String>,
    scale: Option<String>,
}

impl VitWeights {
    /// Reads the names and shapes of a `.safetensors` or `.pth` file: whether it holds an encoder that is known, and of which size.
    pub fn open(path: &Path) -> Result<Self, VitError> {
        let file = TensorFile::open(path)?;
        let known = CLASS_TOKENS.into_iter().find(|(name, _)| file.shape(name).is_some());
        let Some((_, naming)) = known else {
            let first = file.names().next().map_or("no tensor at all".to_owned(), |name| format!("`{name}` first"));
            let problem = format!("holds another network: it has {first}, and none of {}", named_class_tokens());
            return Err(file.wrong(problem, OTHER_NETWORK));
        };
        let design = naming.design(&file)?;
        let weights = Self { file, naming, design };
        weights.refuse_other_networks()?;
        if naming == Naming::HuggingFaceClip {
            weights.check_clip()?;
        }
        for parameter in layout(&weights.design) {
            let sources = weights.naming.sources(&parameter.name);
            let shape = weights.part_shape(&parameter, &sources);
            sources.tensors.iter().try_for_each(|name| weights.file.check(name, &shape))?;
            sources.scale.iter().try_for_each(|name| weights.file.check(name, &[weights.design.dim]))?;
        }
        Ok(weights)
    }

    pub fn design(&self) -> &VitDesign {
        &self.design
    }

    /// The values of a parameter in the network's layout. Positions are those of the training: class token, then patches.
    pub(super) fn parameter(&self, parameter: &ParameterLayout) -> Result<Vec<f32>, VitError> {
        let sources = self.naming.sources(&parameter.name);
        let shape = self.part_shape(parameter, &sources);
        let mut values = Vec::with_capacity(parameter.size());
        if parameter.name == "positions" && self.naming == Naming::TimmRegisters {
            values.resize(self.design.dim, 0.0);
        }
        for name in &sources.tensors {
            values.extend(self.file.values(name, &shape)?);
        }
        // CLIP's patches have no bias.
        values.resize(parameter.size(), 0.0);
        if let Some(name) = &sources.scale {
            let scales = self.file.values(name, &[self.design.dim])?;
            let inputs = values.len() / scales.len();
            for (row, scale) in values.chunks_exact_mut(inputs).zip(scales) {
                row.iter_mut().for_each(|value| *value *= scale);
            }
        }
        Ok(values)
    }

    /// The shape of each of the tensors that a parameter is made of, as the file has it.
    fn part_shape(&self, parameter: &ParameterLayout, sources: &Sources) -> Vec<usize> {
        let mut shape = parameter.shape.clone();
        if let [first, ..] = shape.as_mut_slice() {
            *first /= sources.tensors.len().max(1);
        }
        let has_batch = self.naming != Naming::HuggingFaceClip;
        match parameter.name.as_str() {
            "class" if has_batch => [vec![1, 1], shape].concat(),
            "positions" if self.naming == Naming::TimmRegisters => vec![1, shape[0] - 1, shape[1]],
            "positions" | "registers" if has_batch => [vec![1], shape].concat(),
            _ => shape,
        }
    }

    /// A file of another network may have all tensors that are needed, and more.
    fn refuse_other_networks(&self) -> Result<(), VitError> {
        let mut known: BTreeSet<String> = BTreeSet::new();
        for parameter in layout(&self.design) {
            let Sources { tensors, scale } = self.naming.sources(&parameter.name);
            known.extend(tensors.into_iter().chain(scale));
        }
        // What is learned beside the encoder, and numbers that older versions of transformers save.
        known
            .extend(["mask_token", "embeddings.mask_token", "vision_model.embeddings.position_ids"].map(str::to_owned));
        let beside = |name: &str| self.naming == Naming::HuggingFaceClip && !name.starts_with("vision_model.");
        let Some(name) = self.file.names().find(|name| !known.contains(*name) && !beside(name)) else { return Ok(()) };
        let (what, hint) = match name {
            _ if name.contains(".w12.") || name.contains(".weights_in.") => {
                ("DINOv2's ViT-g/14 has", "name the weights of its ViT-S/14, B/14 or L/14")
            }
            _ => ("the encoders that are read have not", OTHER_NETWORK),
        };
        Err(self.file.wrong(format!("has a tensor `{name}`, which {what}"), hint))
    }

    /// Whether it is certain how CLIP's tower computes: shapes do not tell its heads, nor which GELU it has.
    fn check_clip(&self) -> Result<(), VitError> {
        let config = self.file.path.with_file_name(CONFIG);
        if !config.is_file() {
            if self.design == VitDesign::clip_large_336() {
                return Ok(());
            }
            let problem = "holds a tower of CLIP whose activation its tensors do not tell";
            let hint = "put its config.json beside it, or name the weights of openai/clip-vit-large-patch14-336";
            return Err(self.file.wrong(problem.to_owned(), hint));
        }
        let wrong = |problem: String, hint| VitError::new(&config, problem, hint);
        let text = fs::read_to_string(&config)
            .map_err(|source| wrong(format!("cannot be read: {source}"), "repair or remove that file"))?;
        let read = serde_json::from_str::<Config>(&text).and_then(|whole| match whole.vision_config {
            Some(tower) => Ok(tower),
            None => serde_json::from_str::<Tower>(&text),
        });
        let tower = read
            .map_err(|source| wrong(format!("is no configuration of CLIP: {source}"), "repair or remove that file"))?;
        // What transformers' CLIPVisionConfig takes where nothing is said.
        let activation = tower.hidden_act.unwrap_or_else(|| "quick_gelu".to_owned());
        let heads = tower.num_attention_heads.unwrap_or(12);
        let epsilon = tower.layer_norm_eps.unwrap_or(1e-5);
        let design = &self.design;
        let refused = |problem: String| Err(wrong(problem, "name the weights of one of OpenAI's ViTs"));
        if activation != "quick_gelu" {
            return refused(format!("says `hidden_act` {activation}; towers with quick_gelu are read"));
        }
        if heads != design.heads() {
            return refused(format!(
                "says `num_attention_heads` {heads}; heads of {} numbers are read",
                VitDesign::HEAD
            ));
        }
        if (epsilon - f64::from(design.epsilon())).abs() > 1e-9 {
            return refused(format!("says `layer_norm_eps` {epsilon}; towers with {} are read", design.epsilon()));
        }
        Ok(())
    }
}

/// Transformers' `config.json`: of the whole CLIP, or of its tower alone.
#[derive(Deserialize)]
struct Config {
    vision_config: Option<Tower>,
}

/// The keys that change what is computed.
#[derive(Deserialize)]
struct Tower {
    hidden_act: Option<String>,
    num_attention_heads: Option<usize>,
    layer_norm_eps: Option<f64>,
}

fn named_class_tokens() -> String {
    let of_class = CLASS_TOKENS.into_iter().filter(|(_, naming)| *naming != Naming::TimmRegisters);
    of_class.map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Naming {
    /// The sizes as the tensors tell them.
    fn design(self, file: &TensorFile) -> Result<VitDesign, VitError> {
        let shape = |parameter: &str, rank: usize| {
            let name = self.sources(parameter).tensors.remove(0);
            match file.shape(&name) {
                None => Err(file.wrong(format!("has no tensor `{name}`"), OTHER_NETWORK)),
                Some(found) if found.len() != rank || found.contains(&0) => {
                    let problem =
                        format!("has a tensor `{name}` of shape {found:?}, which has {rank} sides where it is read");
                    Err(file.wrong(problem, OTHER_NETWORK))
                }
                Some(found) => Ok(found.to_vec()),
            }
        };
        let batch = usize::from(self != Self::HuggingFaceClip);
        let patches = shape("patches.weight", 4)?;
        let (dim, patch) = (patches[0], patches[3]);
        let of_class = usize::from(self == Self::TimmRegisters);
        let positions = shape("positions", 2 + batch)?[batch] + of_class;
        let has_registers = self != Self::HuggingFaceClip && file.shape(&self.outside_blocks("registers")).is_some();
        let registers = if has_registers { shape("registers", 3)?[1] } else { 0 };
        let hidden = shape("blocks.0.mlp.linear1.weight", 2)?[0];
        let is_there = |block: usize| {
            let name = self.sources(&format!("blocks.{block}.norm1.weight")).tensors.remove(0);
            file.shape(&name).is_some()
        };
        let depth = (0..).find(|&block| !is_there(block)).expect("a file has an end");
        let grid = positions.saturating_sub(1).isqrt();
        if grid == 0 || grid * grid + 1 != positions {
            let problem =
                format!("has {positions} positions, which are not a class token's and those of a square of patches");
            return Err(file.wrong(problem, OTHER_NETWORK));
        }
        if dim % VitDesign::HEAD != 0 {
            let problem =
                format!("has tokens of {dim} numbers, which are no whole number of heads of {}", VitDesign::HEAD);
            return Err(file.wrong(problem, OTHER_NETWORK));
        }
        let (family, projection) = match self {
            Self::Dinov2 | Self::TimmRegisters | Self::HuggingFaceDinov2 => (VitFamily::Dinov2, None),
            Self::HuggingFaceClip => (VitFamily::Clip, Some(shape("projection.weight", 2)?[0])),
        };
        Ok(VitDesign { family, dim, depth, hidden, patch, grid, registers, projection })
    }

    /// Where a parameter of the network's layout is.
    fn sources(self, parameter: &str) -> Sources {
        let one = |name: String| Sources { tensors: vec![name], scale: None };
        let Some(of_block) = parameter.strip_prefix("blocks.") else {
            return match (self, parameter) {
                (Self::HuggingFaceClip, "patches.bias") => Sources { tensors: Vec::new(), scale: None },
                _ => one(self.outside_blocks(parameter)),
            };
        };
        let (number, rest) = of_block.split_once('.').expect("a block's parameter has its number");
        let (layer, kind) = rest.rsplit_once('.').expect("a parameter is a layer's weight or bias");
        let block = match self {
            Self::Dinov2 | Self::TimmRegisters => format!("blocks.{number}"),
            Self::HuggingFaceDinov2 => format!("encoder.layer.{number}"),
            Self::HuggingFaceClip => format!("vision_model.encoder.layers.{number}"),
        };
        let [attention, output, scales] = match self {
            Self::Dinov2 | Self::TimmRegisters => ["attn", "attn.proj", "ls?.gamma"],
            Self::HuggingFaceDinov2 => ["attention.attention", "attention.output.dense", "layer_scale?.lambda1"],
            Self::HuggingFaceClip => ["self_attn", "self_attn.out_proj", ""],
        };
        let scaled = |layer: &str, branch: &str| Sources {
            tensors: vec![format!("{block}.{layer}.{kind}")],
            scale: (!scales.is_empty()).then(|| format!("{block}.{}", scales.replace('?', branch))),
        };
        let parts = |names: [&str; 3]| Sources {
            tensors: names.map(|name| format!("{block}.{attention}.{name}.{kind}")).to_vec(),
            scale: None,
        };
        match (layer, self) {
            ("attention.qkv", Self::Dinov2 | Self::TimmRegisters) => one(format!("{block}.attn.qkv.{kind}")),
            ("attention.qkv", Self::HuggingFaceDinov2) => parts(["query", "key", "value"]),
            ("attention.qkv", Self::HuggingFaceClip) => parts(["q_proj", "k_proj", "v_proj"]),
            ("attention.output", _) => scaled(output, "1"),
            ("mlp.linear1", _) => one(format!("{block}.mlp.fc1.{kind}")),
            ("mlp.linear2", _) => scaled("mlp.fc2", "2"),
            (norm, Self::HuggingFaceClip) => one(format!("{block}.layer_{norm}.{kind}")),
            (norm, _) => one(format!("{block}.{norm}.{kind}")),
        }
    }

    fn outside_blocks(self, parameter: &str) -> String {
        let name = match (self, parameter) {
            (Self::Dinov2 | Self::TimmRegisters, "class") => "cls_token",
            (Self::Dinov2 | Self::TimmRegisters, "positions") => "pos_embed",
            (Self::TimmRegisters, "registers") => "reg_token",
            (Self::Dinov2, "registers") => "register_tokens",
            (Self::HuggingFaceDinov2, "registers") => "embeddings.register_tokens",
            (Self::HuggingFaceDinov2, "class") => "embeddings.cls_token",
            (Self::HuggingFaceDinov2, "positions") => "embeddings.position_embeddings",
            (Self::HuggingFaceClip, "class") => "vision_model.embeddings.class_embedding",
            (Self::HuggingFaceClip, "positions") => "vision_model.embeddings.position_embedding.weight",
            (Self::HuggingFaceClip, "projection.weight") => "visual_projection.weight",
            _ => {
                let (layer, kind) = parameter.rsplit_once('.').expect("a parameter is a layer's weight or bias");
                let layer = match (self, layer) {
                    (Self::Dinov2 | Self::TimmRegisters, "patches") => "patch_embed.proj",
                    (Self::HuggingFaceDinov2, "patches") => "embeddings.patch_embeddings.projection",
                    (Self::HuggingFaceDinov2, "norm") => "layernorm",
                    (Self::HuggingFaceClip, "patches") => "vision_model.embeddings.patch_embedding",
                    // So it is spelled there.
                    (Self::HuggingFaceClip, "first_norm") => "vision_model.pre_layrnorm",
                    (Self::HuggingFaceClip, "norm") => "vision_model.post_layernorm",
                    (_, same) => same,
                };
                return format!("{layer}.{kind}");
            }
        };
        name.to_owned()
    }
}
