use std::path::Path;

use burn::tensor::Device;

use super::EvaluateError;
use super::autoencoder_file::{AutoencoderFile, AutoencoderFileError};
use crate::model::autoencoder::{AutoencoderDesign, AutoencoderHalf, Direction, HalfCost};
use crate::spec::{Data, LatentsData, RunSpec};

/// Makes pictures of latents: the decoder that `data.decoder` names, on a device.
pub struct LatentDecoder {
    half: AutoencoderHalf,
    /// Channels and side of a latent.
    shape: [usize; 2],
    scale: f32,
    /// The SHA-256 of the file of weights, in lower-case hexadecimal.
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
        let shape = [latents.channels, latents.side];
        Ok(Some(Self { half, shape, scale: latents.scale as f32, sha256: file.sha256() }))
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
            // What is not finite stays so.
            pictures.extend(self.half.forward(&batch, self.shape).into_iter().map(|value| value.clamp(-1.0, 1.0)));
            goes_on()?;
        }
        Ok(pictures)
    }
}

/// Whether a run's decoder can be read and fits its latents. Its numbers are not looked at.
pub fn check_decoder(spec: &RunSpec) -> Result<(), AutoencoderFileError> {
    let Some(latents) = with_decoder(&spec.data) else { return Ok(()) };
    let file = AutoencoderFile::read(Path::new(&latents.decoder))?;
    file.decoder_of(latents.channels, latents.scale).map(drop)
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
