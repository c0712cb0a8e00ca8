use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::DataError;
use super::write::write_whole;

/// What a folder of latents was encoded from, and how far that has come: `encoded.json` beside the shards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatentsManifest {
    pub version: u32,
    pub encoded: Encoded,
    /// All latents there will be.
    pub images: usize,
    /// Each shard that is whole, in order.
    pub shards: Vec<EncodedShard>,
    pub complete: bool,
}

/// Everything that latents depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encoded {
    /// As it was given.
    pub data: String,
    /// A hash of what the pictures are.
    pub source: String,
    /// The SHA-256 of the autoencoder: of its weights where its norms have 32 groups.
    pub vae_sha256: String,
    /// Channels and side of a latent.
    pub channels: usize,
    pub side: usize,
    /// `sample`, `mean` or `moments`.
    pub take: String,
    /// Of the noise of samples.
    pub seed: u64,
    pub flips: bool,
    pub images_per_shard: usize,
}

/// A shard and its sums.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncodedShard {
    pub name: String,
    pub sha256: String,
    /// The sum and the sum of squares of all latents, unscaled; of means where it holds moments.
    pub sum: f64,
    pub squares: f64,
}

impl LatentsManifest {
    /// The name of the file.
    pub const NAME: &str = "encoded.json";
    pub const VERSION: u32 = 1;

    /// That of the folder which `key` names, if it has one.
    pub fn read(key: &'static str, folder: &Path) -> Result<Option<Self>, DataError> {
        let path = folder.join(Self::NAME);
        if !path.is_file() {
            return Ok(None);
        }
        let bytes = fs::read(&path).map_err(DataError::io("read", &path))?;
        let refused = |problem: String| {
            DataError::latents(key, format!("{} {problem}", path.display()), "encode into another folder")
        };
        let manifest: Self =
            serde_json::from_slice(&bytes).map_err(|error| refused(format!("cannot be read: {error}")))?;
        match manifest.version {
            Self::VERSION => Ok(Some(manifest)),
            found => Err(refused(format!("is of version {found}, and this program knows {}", Self::VERSION))),
        }
    }

    /// That of a folder of latents, or of the folder that a file of latents is in.
    pub fn beside(key: &'static str, path: &Path) -> Result<Option<Self>, DataError> {
        match path.parent() {
            Some(parent) if path.is_file() => Self::read(key, parent),
            _ => Self::read(key, path),
        }
    }

    pub fn write(&self, folder: &Path) -> Result<(), DataError> {
        let text = serde_json::to_string_pretty(self).expect("a manifest is plain data, which JSON can hold");
        write_whole(&folder.join(Self::NAME), format!("{text}\n").as_bytes())
    }

    /// The standard deviation of all latents so far, unscaled.
    pub fn deviation(&self) -> f64 {
        let Encoded { channels, side, images_per_shard, .. } = self.encoded;
        let images = (self.shards.len() * images_per_shard).min(self.images);
        let count = (images * channels * side * side) as f64;
        let total = |of: fn(&EncodedShard) -> f64| self.shards.iter().map(of).sum::<f64>() / count;
        (total(|shard| shard.squares) - total(|shard| shard.sum).powi(2)).max(0.0).sqrt()
    }
}
