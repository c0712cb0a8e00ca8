//! Latents of images that an autoencoder computed once: shards in a folder of the user's, mapped into memory.
//!
//! ```text
//! *.safetensors   `latents` [n, channels, side, side], or `moments` [n, 2 channels, side, side]: means, then log-variances;
//!                 `labels` [n]; `latents_flip` or `moments_flip`, those of the mirrored images;
//!                 `picture_sums_1` [n], i64: what they were encoded from (version 1 of it, see [`picture_sum`])
//! NAME.npy        latents or moments; NAME.labels.npy the labels, NAME.flip.npy those of the mirrored images
//! ```
//!
//! Numbers are f32, f16 or (in safetensors) bf16, and are read where they lie. The first time, all of them are read once to
//! be summed and checked; the sum is kept beside decoded images, under a name made of the names, sizes and times of all files.

mod listing;
mod manifest;
mod shard;
mod split;
mod write;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::image_folder::is_held_out;
use super::{DataError, DataFolder, Dataset, Images, OnProgress, Progress, Unit};
use crate::checksum::sha256;
use crate::spec::LatentsData;
pub use manifest::{Encoded, EncodedShard, LatentsManifest};
use shard::Shard;
pub(super) use split::LatentSplit;
pub use write::{LatentShard, picture_sum, write_latents};

/// The version of the kept sums.
const SUMS_VERSION: u32 = 2;
/// Latents whose spread is looked at before a run starts.
const SPREAD_IMAGES: usize = 64;
/// The standard deviation of latents that fit the noise, about 1: others are noted.
const USUAL_SPREAD: std::ops::RangeInclusive<f64> = 0.4..=2.5;
/// Rows that are summed between two signs of progress.
const ROWS: usize = 1024;

#[derive(Serialize, Deserialize)]
struct Sums {
    version: u32,
    train: String,
    test: String,
}

/// What is found of latents before any is read as a whole.
#[derive(Debug, PartialEq)]
pub(super) struct Checked {
    /// Where their spread is unusual.
    pub note: Option<String>,
    /// How many are trained on.
    pub train: usize,
}

/// Whether the shards can be read and are as the settings say.
pub(super) fn check(data: &LatentsData) -> Result<Checked, DataError> {
    let Found { train, .. } = Found::of(data)?;
    let shown = train.len().min(SPREAD_IMAGES);
    let mut values = vec![0.0; shown * train.values()];
    for (index, values) in values.chunks_exact_mut(train.values()).enumerate() {
        train.write(index, values);
    }
    let spread = deviation(&values);
    let usual = USUAL_SPREAD.contains(&spread);
    let note = (!usual).then(|| {
        let LatentsData { path, scale, .. } = data;
        format!(
            "{path}: the first {shown} latents, times `data.scale` {scale}, have standard deviation {spread:.3}, and noise has 1; \
             is `data.scale` the one of their autoencoder, or 1 if they are scaled already?"
        )
    });
    Ok(Checked { note, train: train.len() })
}

/// All latents, mapped; summed and checked if that was not done before.
pub(super) fn load(data: &LatentsData, folder: &DataFolder, progress: OnProgress<'_>) -> Result<Dataset, DataError> {
    let Found { train, test, files } = Found::of(data)?;
    let source = source(&files, data)?;
    let path = folder.decoded().join(format!("latents-{}.json", &source[..16]));
    let of_another_time = kept::<Sums>(&path)
        .filter(|Sums { version, train, test }| *version == SUMS_VERSION && train.len() == 64 && test.len() == 64);
    let Sums { train: of_train, test: of_test, .. } = match of_another_time {
        Some(sums) => sums,
        None => {
            listing::verify("data.path", &train.paths())?;
            if !data.held_out_path.is_empty() {
                listing::verify("data.held_out_path", &test.paths())?;
            }
            let mut done = 0;
            let total = Some((train.len() + test.len()) as u64);
            let mut tell = |rows: usize| {
                done += rows as u64;
                let doing = format!("summing latents of {}", data.path);
                progress(&Progress { doing, done, total, unit: Unit::Images });
            };
            let sums =
                Sums { version: SUMS_VERSION, train: train.sum(ROWS, &mut tell)?, test: test.sum(ROWS, &mut tell)? };
            keep(&path, &sums)?;
            sums
        }
    };
    let sha256 = sha256(format!("{of_train} {of_test}").as_bytes());
    let images = |split: LatentSplit, sum: String| Images::latents(Arc::new(split), sum);
    Ok(Dataset {
        train: images(train, of_train),
        test: images(test, of_test),
        references: Default::default(),
        sha256,
        encoder: None,
        pictures: None,
    })
}

/// Every latent of `data.path` in order, by what its picture is compared with.
pub(super) struct LatentRows<'d> {
    /// Of all.
    pub path: &'d str,
    /// All 0 without classes.
    pub labels: Vec<u16>,
    /// The sum of each picture, where the files have them.
    pub sums: Vec<Option<i64>>,
}

impl<'d> LatentRows<'d> {
    pub fn of(data: &'d LatentsData) -> Result<Self, DataError> {
        let shards = Shard::open_all("data.path", &data.path, data)?;
        let sums: Vec<Vec<Option<i64>>> = shards.iter().map(Shard::picture_sums).collect::<Result<_, _>>()?;
        let labels = shards.into_iter().flat_map(|shard| shard.labels).collect();
        Ok(Self { path: &data.path, labels, sums: sums.concat() })
    }
}

/// Whether a latent of the `count` in `data.path` is trained on.
pub(super) fn is_trained_on(data: &LatentsData, row: usize, count: usize) -> bool {
    !data.held_out_path.is_empty() || !is_held_out(row, count, data.held_out)
}

/// What the settings name.
struct Found {
    train: LatentSplit,
    test: LatentSplit,
    files: Vec<PathBuf>,
}

impl Found {
    fn of(data: &LatentsData) -> Result<Self, DataError> {
        let shards = Shard::open_all("data.path", &data.path, data)?;
        let count: usize = shards.iter().map(Shard::len).sum();
        let (shards, held_out) = (Arc::new(shards), data.held_out);
        let mut files: Vec<PathBuf> = shards.iter().flat_map(Shard::files).collect();
        if data.held_out_path.is_empty() {
            if count <= held_out {
                let problem = format!("{} has {count} latents, of which {held_out} would be held out", data.path);
                let hint = "set `data.held_out` below their number, or name others: `data.held_out_path`";
                return Err(DataError::latents("data.held_out", problem, hint));
            }
            let of = |wanted| LatentSplit::of(&shards, data, |row| is_trained_on(data, row, count) == wanted);
            return Ok(Self { train: of(true), test: of(false), files });
        }
        let others = Arc::new(Shard::open_all("data.held_out_path", &data.held_out_path, data)?);
        let found: usize = others.iter().map(Shard::len).sum();
        if found < held_out {
            let problem = format!("{} has {found} latents, and `data.held_out` is {held_out}", data.held_out_path);
            let hint = "set `data.held_out` to their number or below";
            return Err(DataError::latents("data.held_out_path", problem, hint));
        }
        listing::refuse_shared(&shards, &others)?;
        files.extend(others.iter().flat_map(Shard::files));
        let train = LatentSplit::of(&shards, data, |_| true);
        Ok(Self { train, test: LatentSplit::of(&others, data, |row| row < held_out), files })
    }
}

/// A hash of the names, sizes and times of all files, and of what they are read as.
fn source(files: &[PathBuf], data: &LatentsData) -> Result<String, DataError> {
    let LatentsData { side, channels, scale, moments, held_out, held_out_path, horizontal_flips, classes, .. } = data;
    let split = held_out_path.is_empty();
    let mut text = format!("{SUMS_VERSION} {channels}x{side} {scale} {moments} {held_out} {split}\n");
    text += &format!("{horizontal_flips} {classes}\n");
    for path in files {
        let metadata = fs::metadata(path).map_err(DataError::io("read", path))?;
        let modified = metadata.modified().map_err(DataError::io("read the time of", path))?;
        let nanoseconds = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        text += &format!("{}\0{} {nanoseconds}\n", path.display(), metadata.len());
    }
    Ok(sha256(text.as_bytes()))
}

/// What was kept at an earlier time; a file that cannot be read is made again.
pub(super) fn kept<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

pub(super) fn keep(path: &Path, sums: &impl Serialize) -> Result<(), DataError> {
    let folder = path.parent().expect("it is in the folder of decoded images");
    fs::create_dir_all(folder).map_err(DataError::io("make the folder", folder))?;
    // Processes that do this at the same time write the same bytes; each has its own file beside it.
    let beside = path.with_extension(format!("{}.partial", std::process::id()));
    let bytes = serde_json::to_vec(sums).expect("sums are plain data, which JSON can hold");
    fs::write(&beside, bytes).map_err(DataError::io("write", &beside))?;
    fs::rename(&beside, path).map_err(DataError::io("write", path))
}

fn deviation(values: &[f32]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    (values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count).sqrt()
}

#[cfg(test)]
mod tests;
