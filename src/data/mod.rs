//! Images to train on, or their latents, and which of them make the batch of a step.
//!
//! Nothing here knows runs or clocks. A set comes with the program, is fetched, or is a folder of the user's; it is
//! checked, decoded once into a file that is mapped into memory, and split. Batches are pure functions of (seed, step),
//! made ahead on a thread of their own, so a resumed run sees the images that an uninterrupted one would have seen.

mod average_pool;
mod batch_source;
mod batches;
mod cifar;
mod data_folder;
mod decode;
mod decoded;
mod digits;
mod error;
mod fetch;
mod folder_listing;
mod idx;
mod image_features;
mod image_folder;
mod images;
mod latent_pictures;
mod latents;
mod picture_source;
mod public_set;
mod published;
mod sums;
mod truncated;

use std::collections::btree_map::Entry;
use std::path::Path;

use latents::Checked;

use crate::checksum::file_digest;
use crate::spec::{Data, Features, ImageFolderData, Reference, RunSpec};

pub use average_pool::average_pooled;
pub use batch_source::{Batch, BatchSettings, BatchSource};
pub use batches::{BatchOrder, batch_classes, batch_indices, batch_pixels, mirrored};
pub use data_folder::DataFolder;
pub use decode::{IMAGE_KINDS, RgbImage, decode_image, decode_rgb};
pub use error::DataError;
pub use fetch::{FetchError, Fetched, fetch};
pub use folder_listing::FolderListing;
pub use image_features::ImageFeatures;
pub use image_folder::passed_over_note;
pub use images::{Dataset, Images};
pub use latent_pictures::LatentPictures;
pub use latents::{Encoded, EncodedShard, LatentShard, LatentsManifest, picture_sum, write_latents};
pub use picture_source::PictureSource;
pub use public_set::{Contents, ImageFiles, Layout, Origin, PublicSet, SetFile, SetState};
pub use published::{SET_NAMES, public_set, public_sets};

/// A reference of more decoded latents is noted: decoding takes a hundred times what their features take.
const MANY_DECODED: usize = 20_000;

/// How far something that takes long has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// In words, such as `decoding cifar10`.
    pub doing: String,
    pub done: u64,
    pub total: Option<u64>,
    pub unit: Unit,
}

/// The unit of a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Images,
}

/// Hears of progress.
pub type OnProgress<'p> = &'p mut dyn FnMut(&Progress);

/// What a run is trained on and decoded by, as a record keeps it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataSums {
    /// [`Dataset::content_sha256`]
    pub data: String,
    /// Of the decoder of latents; empty where there is none.
    pub decoder: String,
}

impl DataSums {
    /// Refuses to go on with other images or another decoder than `recorded`, which are those of the run in the folder `run`.
    pub fn check_same(&self, recorded: &Self, spec: &RunSpec, run: &Path) -> Result<(), DataError> {
        let (data, pictures) = (&spec.data, &spec.auxiliary_losses.alignment.pictures);
        let changed = |key, what: &str, recorded: &str, found: &str| {
            let (what, run) = (what.to_owned(), run.to_owned());
            Err(DataError::Changed { key, what, run, recorded: recorded.to_owned(), found: found.to_owned() })
        };
        if self.data != recorded.data {
            let what = match data {
                Data::ImageFolder(ImageFolderData { path, .. }) => path,
                Data::Latents(latents) if pictures.is_empty() => &latents.path,
                Data::Latents(latents) => &format!("{} with the pictures {pictures}", latents.path),
                _ => data.kind(),
            };
            return changed("data", what, &recorded.data, &self.data);
        }
        match data.latents() {
            Some(latents) if self.decoder != recorded.decoder => {
                changed("data.decoder", &latents.decoder, &recorded.decoder, &self.decoder)
            }
            _ => Ok(()),
        }
    }
}

/// Loads, checks and splits the images that `data` names; they are decoded first if that was not done before.
pub fn load(data: &Data, folder: &DataFolder, progress: OnProgress<'_>) -> Result<Dataset, DataError> {
    match data {
        Data::Digits(_) => digits::load(),
        Data::ImageFolder(settings) => image_folder::load(settings, folder, progress),
        Data::Latents(settings) => latents::load(settings, folder, progress),
        Data::Mnist(_) | Data::FashionMnist(_) | Data::Cifar10(_) => fetched(data).load(folder, progress),
    }
}

/// The digits that come with the program.
pub fn load_digits() -> Result<Dataset, DataError> {
    digits::load()
}

/// All images that a run needs: those of `data`, and the folders it is compared with, if these are others.
pub fn load_for(spec: &RunSpec, folder: &DataFolder, progress: OnProgress<'_>) -> Result<Dataset, DataError> {
    let mut dataset = load(&spec.data, folder, progress)?;
    for settings in spec.by_each_fid().filter_map(|by| reference_folder(&by)) {
        if let Entry::Vacant(place) = dataset.references.entry(settings.path.clone()) {
            place.insert(image_folder::load(&settings, folder, progress)?.train);
        }
    }
    Ok(dataset)
}

/// The pictures of a run's latents, which its tokens are aligned by, each compared with what its latent was encoded from; none where the images of
/// `data` are what the encoder sees.
pub fn load_pictures(
    spec: &RunSpec,
    folder: &DataFolder,
    progress: OnProgress<'_>,
) -> Result<Option<LatentPictures>, DataError> {
    let pictures = &spec.auxiliary_losses.alignment.pictures;
    let latents = spec.data.latents().filter(|_| !pictures.is_empty());
    latents.map(|latents| latent_pictures::load(latents, pictures, folder, progress)).transpose()
}

/// Whether a run's images can be had as things are, without decoding any, and notes on what was found; the error says what to do.
pub fn check_present(spec: &RunSpec, folder: &DataFolder) -> Result<Vec<String>, DataError> {
    let mut notes = Vec::new();
    match &spec.data {
        Data::Digits(_) => {}
        Data::ImageFolder(settings) => notes.extend(image_folder::check(settings)?),
        Data::Latents(settings) => {
            let Checked { note, train } = latents::check(settings)?;
            notes.extend(note);
            let decoded = match spec.evaluate.fid.reference {
                Reference::Train => train,
                Reference::Test => settings.held_out,
                Reference::Folder | Reference::File => 0,
            };
            if !settings.decoder.is_empty() && decoded > MANY_DECODED {
                notes.push(format!(
                    "{}: `evaluate.fid.reference` is {decoded} latents, which the first run decodes; `reference: folder` with the \
                     real images decodes none",
                    settings.path
                ));
            }
        }
        data @ (Data::Mnist(_) | Data::FashionMnist(_) | Data::Cifar10(_)) => fetched(data).check_present(folder)?,
    }
    let alignment = &spec.auxiliary_losses.alignment;
    if alignment.weight > 0.0 {
        check_weights(alignment.encoder.features(), folder)?;
        if alignment.encoder.features().are_of_file() {
            check_planned("auxiliary_losses.alignment.weights", &alignment.weights, &alignment.weights_sha256)?;
        }
    }
    if let Some(latents) = spec.data.latents().filter(|_| !alignment.pictures.is_empty()) {
        notes.extend(latent_pictures::check(latents, &alignment.pictures, folder)?);
    }
    let mut seen = Vec::new();
    for by in spec.by_each_fid() {
        let fid = &by.evaluate.fid;
        check_weights(fid.features, folder)?;
        if let Some(settings) = reference_folder(&by) {
            notes.extend(image_folder::check(&settings)?);
        }
        if fid.reference == Reference::File {
            check_planned("evaluate.fid.reference_file", &fid.reference_file, &fid.reference_sha256)?;
        }
        // Several protocols may see by one network, whose file is large.
        let file = (fid.weights.clone(), fid.weights_sha256.clone());
        if fid.features.are_of_file() && !seen.contains(&file) {
            check_planned("evaluate.fid.weights", &file.0, &file.1)?;
            seen.push(file);
        }
    }
    Ok(notes)
}

/// Whether the weights of the network of `features`, where it needs some, are there.
fn check_weights(features: Features, folder: &DataFolder) -> Result<(), DataError> {
    match features.weights() {
        Some(weights) => public_set(weights).expect("all weights are published").check_present(folder),
        None => Ok(()),
    }
}

/// Whether the file of a key is the one that the sweep was planned with.
fn check_planned(key: &'static str, path: &str, planned: &str) -> Result<(), DataError> {
    let problem = match file_digest(Path::new(path)) {
        Ok(found) if found == planned => return Ok(()),
        Ok(_) => "it is not the file that the sweep was planned with: its sha256 is another".to_owned(),
        Err(source) => format!("it cannot be read: {source}"),
    };
    Err(DataError::PlannedFile { key, path: path.into(), problem })
}

fn fetched(data: &Data) -> PublicSet {
    public_set(data.kind()).expect("every kind of data that is fetched has its set")
}

/// The folder of `evaluate.fid.reference_folder`, read as images of the shape of what the run generates.
fn reference_folder(spec: &RunSpec) -> Option<ImageFolderData> {
    let fid = &spec.evaluate.fid;
    (fid.reference == Reference::Folder).then(|| {
        let (channels, side) = spec.data.picture_shape();
        let path = fid.reference_folder.clone();
        ImageFolderData { path, side, channels, classes: 0, held_out: 0, horizontal_flips: false }
    })
}
