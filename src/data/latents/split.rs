use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::DataError;
use super::shard::Shard;
use crate::checksum::hexadecimal;
use crate::random::{Draws, Stream};
use crate::spec::LatentsData;

/// The latents that are trained on, or those that are held out.
pub struct LatentSplit {
    shards: Arc<Vec<Shard>>,
    /// (shard, row in it) of each.
    rows: Vec<(u32, u32)>,
    pub channels: usize,
    pub side: usize,
    /// Whether rows are means and log-variances.
    moments: bool,
    scale: f32,
}

/// The log-variances of a posterior are kept in this range, as in the autoencoder's own code.
const LOG_VARIANCES: (f32, f32) = (-30.0, 20.0);

impl LatentSplit {
    /// The rows, counted over all shards, that `has` says.
    pub fn of(shards: &Arc<Vec<Shard>>, data: &LatentsData, has: impl Fn(usize) -> bool) -> Self {
        let all =
            shards.iter().enumerate().flat_map(|(shard, of)| (0..of.len()).map(move |row| (shard as u32, row as u32)));
        let rows = all.enumerate().filter(|(index, _)| has(*index)).map(|(_, row)| row).collect();
        let &LatentsData { channels, side, moments, scale, .. } = data;
        Self { shards: shards.clone(), rows, channels, side, moments, scale: scale as f32 }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The files of the latents, in order.
    pub fn paths(&self) -> Vec<&Path> {
        self.shards.iter().map(Shard::path).collect()
    }

    /// Values of a latent.
    pub fn values(&self) -> usize {
        self.channels * self.side * self.side
    }

    pub fn labels(&self) -> Vec<u16> {
        self.rows.iter().map(|&(shard, row)| self.shards[shard as usize].labels[row as usize]).collect()
    }

    /// Writes a latent, scaled: always the same one, also where the file has the moments of several.
    pub fn write(&self, index: usize, values: &mut [f32]) {
        self.draw(index, false, &mut Draws::new(0, Stream::FixedPosterior, index as u64), values);
    }

    /// Writes the latent of an image or of its mirror image, scaled; `draws` are used where the file has moments.
    pub fn draw(&self, index: usize, mirrored: bool, draws: &mut Draws, values: &mut [f32]) {
        let (shard, row) = self.rows[index];
        let shard = &self.shards[shard as usize];
        if !self.moments {
            shard.read(row as usize, mirrored, values);
        } else {
            let mut moments = vec![0.0; 2 * values.len()];
            shard.read(row as usize, mirrored, &mut moments);
            let (means, log_variances) = moments.split_at(values.len());
            draws.fill_normal(values);
            for (value, (mean, log_variance)) in values.iter_mut().zip(means.iter().zip(log_variances)) {
                let deviation = (0.5 * log_variance.clamp(LOG_VARIANCES.0, LOG_VARIANCES.1)).exp();
                *value = mean + deviation * *value;
            }
        }
        values.iter_mut().for_each(|value| *value *= self.scale);
    }

    /// The SHA-256 of what these latents are: stored numbers, those of the mirrored images and labels where these are read, shape and
    /// scale. All are finite, else the file is named.
    pub fn sum(&self, rows: usize, tell: &mut dyn FnMut(usize)) -> Result<String, DataError> {
        let mut hash = Sha256::new();
        let Self { channels, side, moments, scale, .. } = self;
        hash.update(format!("latents {channels}x{side}x{side} moments {moments} scale {scale}\n"));
        let mut values = vec![0.0; if *moments { 2 * self.values() } else { self.values() }];
        for part in self.rows.chunks(rows) {
            for &(shard, row) in part {
                let shard = &self.shards[shard as usize];
                for mirrored in [false, true].into_iter().take(1 + usize::from(shard.has_mirrored())) {
                    shard.read(row as usize, mirrored, &mut values);
                    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                        let problem = format!("{} holds {value} in latent {row}", shard.path().display());
                        return Err(DataError::latents("data.path", problem, "encode that file again"));
                    }
                }
                hash.update(shard.bytes(row as usize, false, values.len()));
                if shard.has_mirrored() {
                    hash.update(shard.bytes(row as usize, true, values.len()));
                }
                // Without classes all are 0.
                hash.update(shard.labels[row as usize].to_le_bytes());
            }
            tell(part.len());
        }
        Ok(hexadecimal(&hash.finalize()))
    }
}

impl fmt::Debug for LatentSplit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channels, side, .. } = self;
        write!(formatter, "{} latents of {channels}x{side}x{side}", self.len())
    }
}
