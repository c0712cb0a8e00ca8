use std::fs;
use std::path::{Path, PathBuf};

use crate::checksum::sha256;
use crate::model::autoencoder::{AutoencoderDesign, AutoencoderError, AutoencoderWeights, Direction};
use crate::spec::LATENT_FACTOR;

/// The weights of an autoencoder as they lie on disk: diffusers' `diffusion_pytorch_model.safetensors`, and the `config.json` beside
/// it.
pub struct AutoencoderFile {
    path: PathBuf,
    bytes: Vec<u8>,
    config: Option<String>,
}

/// Why an autoencoder cannot be had: what is wrong with which file, and the cure.
#[derive(Debug, thiserror::Error)]
#[error("{problem}\nhint: {hint}")]
pub struct AutoencoderFileError {
    pub problem: String,
    pub hint: String,
}

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
const CONFIG: &str = "config.json";

impl AutoencoderFile {
    /// Of a file, or of the folder that diffusers saved.
    pub fn read(path: &Path) -> Result<Self, AutoencoderFileError> {
        let path = if path.is_dir() { path.join(WEIGHTS) } else { path.to_owned() };
        let bytes = fs::read(&path).map_err(|error| AutoencoderFileError {
            problem: format!("cannot read the autoencoder {}: {error}", path.display()),
            hint: format!(
                "name the file {WEIGHTS} of an AutoencoderKL, as diffusers saves it, or its folder (`vae` of Stable Diffusion)"
            ),
        })?;
        let config_path = path.with_file_name(CONFIG);
        let config = match config_path.is_file() {
            false => None,
            true => Some(fs::read_to_string(&config_path).map_err(|error| AutoencoderFileError {
                problem: format!("cannot read {}: {error}", config_path.display()),
                hint: "repair or remove that file".to_owned(),
            })?),
        };
        Ok(Self { path, bytes, config })
    }

    /// The SHA-256 of the file of weights, in lower-case hexadecimal; where norms have other than the usual 32 groups, which
    /// `config.json` says, of that and the number.
    pub fn sha256(&self, design: &AutoencoderDesign) -> String {
        let weights = sha256(&self.bytes);
        match design.norm_groups {
            AutoencoderDesign::USUAL_NORM_GROUPS => weights,
            groups => sha256(format!("{weights} norm_num_groups {groups}").as_bytes()),
        }
    }

    /// That the number of groups is a guess, where no file says it.
    pub fn note(&self, design: &AutoencoderDesign) -> Option<String> {
        self.config.is_none().then(|| {
            let (path, groups) = (self.path.display(), design.norm_groups);
            format!("{path} has no {CONFIG} beside it: its norms are taken to have {groups} groups, as Stable Diffusion's have")
        })
    }

    /// Its tensors, all of one half found in their shapes.
    pub fn weights(&self, direction: Direction) -> Result<AutoencoderWeights<'_>, AutoencoderFileError> {
        let weights = AutoencoderWeights::read(&self.bytes, self.config.as_deref()).map_err(self.unfit())?;
        weights.check(direction).map_err(self.unfit())?;
        let factor = weights.design().factor();
        if factor != LATENT_FACTOR {
            let problem = format!("makes images {factor} times as wide as latents");
            let hint = "one of Stable Diffusion's architecture, with four levels, makes them 8 times as wide";
            return Err(self.refused(problem, hint));
        }
        Ok(weights)
    }

    /// The decoder's tensors, where it decodes latents of `channels` channels that are multiplied by `scale`.
    pub fn decoder_of(&self, channels: usize, scale: f64) -> Result<AutoencoderWeights<'_>, AutoencoderFileError> {
        let weights = self.weights(Direction::Decode)?;
        let design = weights.design();
        if design.latent_channels != channels {
            let problem =
                format!("has latents of {} channels, and `data.channels` is {channels}", design.latent_channels);
            let hint = "name the autoencoder that the latents were made by, or set `data.channels`";
            return Err(self.refused(problem, hint));
        }
        match weights.scaling_factor() {
            Some(factor) if (factor - scale).abs() > 1e-6 * factor.abs() => Err(self.refused(
                format!("has the scaling_factor {factor} in its {CONFIG}, and `data.scale` is {scale}"),
                "set `data.scale` to it, or name the autoencoder that the latents were made by",
            )),
            _ => Ok(weights),
        }
    }

    fn refused(&self, problem: String, hint: &str) -> AutoencoderFileError {
        let problem = format!("the autoencoder {} {problem}", self.path.display());
        AutoencoderFileError { problem, hint: hint.to_owned() }
    }

    /// An error of its weights, with the file's name.
    pub fn unfit(&self) -> impl Fn(AutoencoderError) -> AutoencoderFileError + '_ {
        |error| {
            let hint = match &error {
                AutoencoderError::Format(_) => "it may be truncated: copy it again".to_owned(),
                AutoencoderError::Missing { .. } => format!(
                    "weights of an AutoencoderKL by diffusers' names are read; diffusers converts files of the original code: \
                     `AutoencoderKL.from_single_file(..).save_pretrained(..)` writes {WEIGHTS}"
                ),
                AutoencoderError::Unknown { .. } | AutoencoderError::Unsupported { .. } => {
                    "that is another architecture: Stable Diffusion's is read".to_owned()
                }
                AutoencoderError::Groups { .. } => format!("put the autoencoder's {CONFIG} beside its weights"),
                _ => "save it again from diffusers".to_owned(),
            };
            AutoencoderFileError { problem: format!("the autoencoder {}: {error}", self.path.display()), hint }
        }
    }
}
