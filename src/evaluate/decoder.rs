use std::path::Path;

use burn::tensor::Device;

use super::EvaluateError;
use super::autoencoder_file::{AutoencoderFile, AutoencoderFileError};
use crate::data::LatentsManifest;
use crate::model::autoencoder::{AutoencoderDesign, AutoencoderHalf, Direction, HalfCost};
use crate::spec::{Data, LatentsData, RunSpec};

/// Makes pictures of latents: the decoder that `data.decoder` names, on a device.
pub struct LatentDecoder {
    half: AutoencoderHalf,
    /// Channels and side of a latent.
    shape: [usize; 2],
    scale: f32,
    /// [`AutoencoderFile::sha256`]
    pub sha256: String,
}

impl LatentDecoder {
    /// The decoder of a run's latents; none where it has no latents, or these no decoder.
    pub fn of(spec: &RunSpec, device: &Device) -> Result<Option<Self>, EvaluateError> {
        let Some(latents) = with_decoder(&spec.data) else { return Ok(None) };
        let file = AutoencoderFile::read(Path::new(&latents.decoder))?;
        let weights = file.decoder_of(latents.channels, latents.scale)?;
        let half = AutoencoderHalf::new(&weights, Direction::Decode, latents.side, device)
            .map_err(|error| file.unfit()(error))?;
        let (shape, sha256) = ([latents.channels, latents.side], file.sha256(weights.design()));
        Ok(Some(Self { half, shape, scale: latents.scale as f32, sha256 }))
    }

    /// The same where pictures are asked for: latents without a decoder are refused.
    pub fn for_pictures(spec: &RunSpec, device: &Device) -> Result<Option<Self>, EvaluateError> {
        let decoder = Self::of(spec, device)?;
        match (&decoder, spec.data.latents()) {
            (None, Some(_)) => Err(EvaluateError::NoDecoder),
            _ => Ok(decoder),
        }
    }

    /// `[n, 3, 8 side, 8 side]` in [-1, 1] of latents as a network generates them, `[n, channels, side, side]`. `goes_on` is asked
    /// after each batch.
    pub fn decode(
        &self,
        latents: &[f32],
        goes_on: &mut dyn FnMut() -> Result<(), EvaluateError>,
    ) -> Result<Vec<f32>, EvaluateError> {
        let values = self.shape[0] * self.shape[1].pow(2);
        let mut pictures = Vec::new();
        for batch in latents.chunks(self.half.batch_images() * values) {
            let batch: Vec<f32> = batch.iter().map(|value| value / self.scale).collect();
            pictures.extend(self.half.forward(&batch, self.shape).into_iter().map(within_range));
            goes_on()?;
        }
        Ok(pictures)
    }
}

/// A pixel's value. What is not finite stays so, and is found when images are measured.
fn within_range(value: f32) -> f32 {
    if value.is_finite() { value.clamp(-1.0, 1.0) } else { value }
}

/// What is known of a decoder before it is used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckedDecoder {
    /// [`AutoencoderFile::sha256`]; empty where a run has no decoder.
    pub sha256: String,
    pub notes: Vec<String>,
}

/// Whether a run's decoder can be read, fits its latents and holds finite numbers.
pub fn check_decoder(spec: &RunSpec) -> Result<CheckedDecoder, AutoencoderFileError> {
    let Some(latents) = with_decoder(&spec.data) else { return Ok(CheckedDecoder::default()) };
    let file = AutoencoderFile::read(Path::new(&latents.decoder))?;
    let weights = file.decoder_of(latents.channels, latents.scale)?;
    weights.check_finite(Direction::Decode).map_err(file.unfit())?;
    let sha256 = file.sha256(weights.design());
    let mut notes: Vec<String> = file.note(weights.design()).into_iter().collect();
    for (key, path) in [("data.path", &latents.path), ("data.held_out_path", &latents.held_out_path)] {
        if path.is_empty() {
            continue;
        }
        // What is wrong with the latents themselves is said where these are checked.
        let Ok(Some(manifest)) = LatentsManifest::beside(key, Path::new(path)) else { continue };
        if manifest.encoded.vae_sha256 != sha256 {
            notes.push(format!(
                "the latents of `{key}`, {path}, were encoded by another autoencoder than `data.decoder`, {}: their sha256 \
                 differ; do its latents mean the same?",
                latents.decoder
            ));
        }
    }
    Ok(CheckedDecoder { sha256, notes })
}

/// What decoding one image costs: that of Stable Diffusion's decoder where the file cannot be read.
pub fn decoder_cost(data: &Data) -> Option<HalfCost> {
    let latents = with_decoder(data)?;
    let of_file = || {
        let file = AutoencoderFile::read(Path::new(&latents.decoder)).ok()?;
        Some(file.decoder_of(latents.channels, latents.scale).ok()?.design().clone())
    };
    let design = of_file().unwrap_or_else(AutoencoderDesign::stable_diffusion);
    Some(AutoencoderHalf::cost(&design, Direction::Decode, latents.side))
}

fn with_decoder(data: &Data) -> Option<&LatentsData> {
    data.latents().filter(|latents| !latents.decoder.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_kept_within_their_range_and_what_is_not_finite_is_kept() {
        assert_eq!([-1.5, -0.25, 2.0].map(within_range), [-1.0, -0.25, 1.0]);
        assert_eq!([f32::INFINITY, f32::NEG_INFINITY].map(within_range), [f32::INFINITY, f32::NEG_INFINITY]);
        assert!(within_range(f32::NAN).is_nan());
    }
}
