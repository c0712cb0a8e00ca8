//! The pictures that latents were encoded from, for a network that sees pictures: decoded once, and each compared with its latent's sum.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::image_folder::{self, FolderFiles};
use super::latents::{self, LatentRows, LatentsManifest, picture_sum};
use super::{DataError, DataFolder, FolderListing, Images, OnProgress, Progress, Unit};
use crate::checksum::sha256;
use crate::spec::{ImageFolderData, LatentsData};

const KEY: &str = "auxiliary_losses.alignment.pictures";
/// The version of the files which say that pictures have the sums of their latents.
const COMPARED_VERSION: u32 = 1;
/// Pictures that are compared between two signs of progress.
const AT_ONCE: usize = 1024;
/// Files of decoded pictures above this size are announced.
const ANNOUNCED_BYTES: usize = 10 << 30;

/// The pictures of the latents that are trained on. Clones share them.
#[derive(Clone, Debug)]
pub struct LatentPictures {
    images: Images,
    /// Which picture is that of each training latent.
    rows: Arc<[u32]>,
}

impl LatentPictures {
    /// `[latents, 3, side, side]` in [-1, 1] of training latents, or of the latents of their mirrored images.
    pub fn pixels(&self, latents: &[(u32, bool)]) -> Vec<f32> {
        let mut pixels = vec![0.0; latents.len() * self.images.image_values()];
        let write = |(pixels, &(latent, mirrored)): (&mut [f32], &(u32, bool))| {
            self.images.write_image(self.rows[latent as usize] as usize, pixels);
            if mirrored {
                pixels.chunks_exact_mut(self.images.side).for_each(<[f32]>::reverse);
            }
        };
        pixels.par_chunks_exact_mut(self.images.image_values()).zip(latents).for_each(write);
        pixels
    }

    /// Of the bytes of all pictures, in lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.images.sha256
    }
}

/// Whether the folder holds a picture for each latent, of the same class; notes on what cannot be compared and on what decoding takes.
pub(super) fn check(data: &LatentsData, path: &str, folder: &DataFolder) -> Result<Vec<String>, DataError> {
    let Pairs { settings, files, source, latents } = Pairs::of(data, path)?;
    let mut notes = Vec::new();
    if latents.sums.iter().any(Option::is_none) {
        let compared = if settings.classes > 0 { "number and classes" } else { "number" };
        notes.push(format!(
            "{path}: that these are the pictures of {}, in their order, is known by their {compared} alone; latents of \
             `speedlab data encode` have sums of their pictures",
            data.path
        ));
    }
    let bytes = files.len() * settings.channels * settings.side.pow(2);
    if bytes > ANNOUNCED_BYTES && !image_folder::recipe(&settings, source).path(&folder.decoded()).is_file() {
        let (gigabytes, decoded) = (bytes as f64 / 1e9, folder.decoded());
        let count = files.len();
        notes.push(format!(
            "{path}: {count} pictures are decoded once, into {gigabytes:.0} GB in {}",
            decoded.display()
        ));
    }
    Ok(notes)
}

/// All pictures, decoded and compared with their latents' sums if that was not done before.
pub(super) fn load(
    data: &LatentsData,
    path: &str,
    folder: &DataFolder,
    progress: OnProgress<'_>,
) -> Result<LatentPictures, DataError> {
    let pairs = Pairs::of(data, path)?;
    let images = of_key(image_folder::load(&pairs.settings, folder, progress))?.train;
    let sums: Vec<u8> = pairs.latents.sums.iter().flat_map(|sum| format!("{sum:?}\n").into_bytes()).collect();
    let pair = sha256(format!("{COMPARED_VERSION} {} {}", images.sha256, sha256(&sums)).as_bytes());
    let compared = folder.decoded().join(format!("pictures-of-latents-{}.json", &pair[..16]));
    let found = Compared { version: COMPARED_VERSION, pair };
    if latents::kept::<Compared>(&compared).is_none_or(|kept| kept != found) {
        for start in (0..images.len()).step_by(AT_ONCE) {
            let part = start..images.len().min(start + AT_ONCE);
            let doing = format!("comparing {path} with {}", data.path);
            let (done, total) = (part.end as u64, Some(images.len() as u64));
            pairs.compare(&images, part)?;
            progress(&Progress { doing, done, total, unit: Unit::Images });
        }
        latents::keep(&compared, &found)?;
    }
    let count = images.len() as u32;
    let rows = (0..count).filter(|&row| latents::is_trained_on(data, row as usize, count as usize)).collect();
    Ok(LatentPictures { images, rows })
}

/// That every picture has its latent's sum.
#[derive(PartialEq, Serialize, Deserialize)]
struct Compared {
    version: u32,
    /// Of the pictures and the sums.
    pair: String,
}

/// The files of a folder, one for each latent.
struct Pairs<'a> {
    settings: ImageFolderData,
    files: Vec<(PathBuf, u16)>,
    source: String,
    latents: LatentRows<'a>,
}

impl<'a> Pairs<'a> {
    fn of(data: &'a LatentsData, path: &str) -> Result<Self, DataError> {
        let latents = LatentRows::of(data)?;
        let ((channels, side), classes) = (data.picture_shape(), shared_classes(data, path)?);
        let path = path.to_owned();
        let settings = ImageFolderData { path, side, channels, classes, held_out: 0, horizontal_flips: false };
        let FolderFiles { files, source } = of_key(image_folder::files(&settings))?;
        let pairs = Self { settings, files, source, latents };
        pairs.check()?;
        Ok(pairs)
    }

    /// That there is a picture for each latent, of its class.
    fn check(&self) -> Result<(), DataError> {
        let (pictures, latents) = (self.files.len(), self.latents.labels.len());
        let (path, of) = (&self.settings.path, self.latents.path);
        if pictures != latents {
            let problem = format!("{path} has {pictures} pictures, and {of} has {latents} latents");
            return Err(self.refused(problem, "name all pictures that they were encoded from, and no others"));
        }
        let mut classes = self.files.iter().map(|(_, class)| class).zip(&self.latents.labels);
        if self.settings.classes > 0
            && let Some(index) = classes.position(|(of_picture, of_latent)| of_picture != of_latent)
        {
            let (of_picture, of_latent) = (self.files[index].1, self.latents.labels[index]);
            let problem =
                format!("{} is of class {of_picture}, and its latent of class {of_latent}", self.named(index));
            return Err(self.refused(problem, OTHERS));
        }
        Ok(())
    }

    /// That the pictures of a range have their latents' sums.
    fn compare(&self, images: &Images, range: Range<usize>) -> Result<(), DataError> {
        let sums = &self.latents.sums;
        let differs =
            |&index: &usize| sums[index].is_some_and(|sum| sum != picture_sum(images.bytes(index..index + 1)));
        let Some(index) = range.into_par_iter().find_first(differs) else { return Ok(()) };
        let found = picture_sum(images.bytes(index..index + 1));
        let of = self.latents.path;
        Err(match sums.iter().position(|&sum| sum == Some(found)) {
            Some(other) => {
                let (name, number) = (self.named(index), other + 1);
                let problem = format!("{name} is the picture of latent {number} of {of}: they are in another order");
                self.refused(problem, "they are taken by the names of folders and files: give them their names back")
            }
            None => {
                self.refused(format!("{} is not what its latent of {of} was encoded from", self.named(index)), OTHERS)
            }
        })
    }

    /// `pictures/cat/07.png, picture 8 of 40,`
    fn named(&self, index: usize) -> String {
        format!("{}, picture {} of {},", self.files[index].0.display(), index + 1, self.files.len())
    }

    /// With what the latents say that they are of.
    fn refused(&self, problem: String, hint: &str) -> DataError {
        let hint = match LatentsManifest::beside("data.path", Path::new(self.latents.path)) {
            Ok(Some(manifest)) => {
                format!("{hint}; {} there says that they are of {}", LatentsManifest::NAME, manifest.encoded.data)
            }
            _ => hint.to_owned(),
        };
        DataError::Latents { key: KEY, problem, hint }
    }
}

const OTHERS: &str = "name the pictures that the latents were encoded from, or encode these: speedlab data encode";

/// The number of classes where pictures lie in a folder for each class of the latents, so that both can be compared; else 0.
fn shared_classes(data: &LatentsData, path: &str) -> Result<usize, DataError> {
    if !Path::new(path).is_dir() {
        let hint = "a relative path starts at the folder where the program is started";
        return Err(DataError::latents(KEY, format!("there is no folder {path}"), hint));
    }
    let FolderListing { folders, images, .. } = FolderListing::of(Path::new(path))?;
    Ok(if images.is_empty() && folders.len() == data.classes { data.classes } else { 0 })
}

/// What is wrong with a folder is wrong with that of this key.
fn of_key<T>(found: Result<T, DataError>) -> Result<T, DataError> {
    found.map_err(|error| match error {
        DataError::Folder { problem, hint } => DataError::latents(KEY, problem, hint.unwrap_or(OTHERS)),
        other => other,
    })
}
