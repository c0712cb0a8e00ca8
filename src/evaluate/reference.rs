use std::fs;
use std::path::PathBuf;

use super::statistics_file::{Statistics, StatisticsError};
use super::{EvaluateError, FeatureNetwork, FurtherMeasures, Gaussian, GaussianFit, LatentDecoder};
use crate::data::{DataFolder, Dataset, Images, OnProgress, Progress, Unit};
use crate::spec::{Reference, RunSpec, feature_protocol};

/// The features and statistics that generated images are compared with.
pub struct ReferenceFeatures {
    pub gaussian: Gaussian,
    /// `[images, dimension]` where a measure needs each image's features; else empty.
    pub rows: Vec<f32>,
}

/// Images whose features are computed together.
const BATCH_IMAGES: usize = 256;
/// Digits of a hash in a file's name.
const HASH_DIGITS: usize = 12;

/// The images that `evaluate.fid.reference` names.
pub fn reference_images<'d>(spec: &RunSpec, dataset: &'d Dataset) -> &'d Images {
    match spec.evaluate.fid.reference {
        Reference::Train => &dataset.train,
        Reference::Test => &dataset.test,
        Reference::Folder => dataset.reference.as_ref().expect("images of a reference folder are loaded with it"),
    }
}

/// Computes what takes a large network long, and keeps it for the runs that follow; nothing where that is quick. Latents are decoded by
/// the first run that needs them, which has a device.
pub fn prepare_reference(
    spec: &RunSpec,
    dataset: &Dataset,
    folder: &DataFolder,
    progress: OnProgress<'_>,
) -> Result<(), EvaluateError> {
    let fid = &spec.evaluate.fid;
    if fid.features.weights().is_none() {
        return Ok(());
    }
    let images = reference_images(spec, dataset);
    if images.are_latents() {
        return Ok(());
    }
    let weights = folder.weights(fid.features);
    let network = FeatureNetwork::load(fid.features, fid.resize, (images.channels, images.side), weights.as_deref())?;
    ReferenceFeatures::of(spec, &network, images, None, folder, progress).map(drop)
}

impl ReferenceFeatures {
    /// Of all of `images`, decoded where they are latents and there is a decoder; those of a large network and of latents are
    /// kept in `folder`, as others keep them too: see [`Statistics`].
    pub fn of(
        spec: &RunSpec,
        network: &FeatureNetwork,
        images: &Images,
        decoder: Option<&LatentDecoder>,
        folder: &DataFolder,
        progress: OnProgress<'_>,
    ) -> Result<Self, EvaluateError> {
        let needs_rows = FurtherMeasures::need_reference(&spec.evaluate.measures);
        let decoder = decoder.filter(|_| images.are_latents());
        let kept = kept(spec, network, images, decoder, folder);
        if let Some(path) = kept.as_ref().filter(|path| path.is_file()) {
            let Statistics { gaussian, features, .. } = Statistics::read(path)?;
            if gaussian.mean.len() == network.dimension() && (!needs_rows || features.is_some()) {
                return Ok(Self { gaussian, rows: features.filter(|_| needs_rows).unwrap_or_default() });
            }
        }
        let (mut rows, mut fit) = (vec![], GaussianFit::new(network.dimension()));
        let failed = |error| EvaluateError::Frechet { of: "the reference images", error };
        let total = Some(images.len() as u64);
        for first in (0..images.len()).step_by(BATCH_IMAGES) {
            let range = first..images.len().min(first + BATCH_IMAGES);
            let mut tell = |done: usize| {
                let doing = format!("{} features of the reference images", spec.evaluate.fid.features.name());
                progress(&Progress { doing, done: done as u64, total, unit: Unit::Images });
            };
            let mut pixels = images.pixels(range.clone());
            if let Some(decoder) = decoder {
                pixels = decoder.decode(&pixels, &mut || {
                    tell(first);
                    Ok(())
                })?;
            }
            let features = network.features(&pixels);
            fit.push(&features).map_err(failed)?;
            if needs_rows {
                rows.extend(features);
            }
            tell(range.end);
        }
        let gaussian = fit.finish().map_err(failed)?;
        let fid = &spec.evaluate.fid;
        let protocol = Some(feature_protocol(fid.features, fid.resize));
        let statistics = Statistics { gaussian, features: needs_rows.then_some(rows), protocol };
        if let Some(path) = kept {
            let parent = path.parent().expect("it is in the folder of statistics");
            let io = |source| StatisticsError::Io { doing: "make the folder", path: parent.to_owned(), source };
            fs::create_dir_all(parent).map_err(io)?;
            statistics.write(&path)?;
        }
        Ok(Self { gaussian: statistics.gaussian, rows: statistics.features.unwrap_or_default() })
    }
}

/// The file in which the statistics are kept, named by all that they depend on; `None` where they are quickly computed.
fn kept(
    spec: &RunSpec,
    network: &FeatureNetwork,
    images: &Images,
    decoder: Option<&LatentDecoder>,
    folder: &DataFolder,
) -> Option<PathBuf> {
    let fid = &spec.evaluate.fid;
    let weights = match network.weights_sha256() {
        Some(sha256) => &sha256[..HASH_DIGITS],
        // Files of latents may be large, and decoding them takes long.
        None if images.are_latents() => "own",
        None => return None,
    };
    let decoded = decoder.map_or_else(String::new, |decoder| format!("_{}", &decoder.sha256[..HASH_DIGITS]));
    let (features, resize) = (fid.features.name(), fid.resize.with(fid.features).name());
    let (set, count) = (&images.sha256[..HASH_DIGITS], images.len());
    Some(folder.path().join("statistics").join(format!("{features}_{resize}_{weights}_{set}_{count}{decoded}.npz")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::load_digits;
    use crate::spec::{Features, Resize};

    #[test]
    fn small_networks_keep_nothing() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::find(Some(temporary.path())).unwrap();
        let dataset = load_digits().unwrap();
        let spec = RunSpec::default();
        prepare_reference(&spec, &dataset, &folder, &mut |_| panic!("there is nothing to prepare")).unwrap();
        let network = FeatureNetwork::load(Features::DigitsCnn, Resize::Customary, (1, 8), None).unwrap();
        let mut done = vec![];
        let reference =
            ReferenceFeatures::of(&spec, &network, &dataset.train, None, &folder, &mut |step| done.push(step.done));
        let reference = reference.unwrap();
        assert_eq!((done.last(), reference.rows.len()), (Some(&(dataset.train.len() as u64)), 0));
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }
}
