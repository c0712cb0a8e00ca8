//! One of the two sets of images that are compared, and its statistics.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use burn::tensor::Device;
use rayon::prelude::*;

use super::run_network::RunNetwork;
use crate::data::{self, DataFolder, FolderListing, Images, OnProgress, Progress, RgbImage, Unit, decode_rgb};
use crate::evaluate::{
    FeatureNetwork, Gaussian, GaussianFit, LatentDecoder, Statistics, StoredReference, each_image, generate_images,
    holds_statistics,
};
use crate::spec::{Cifar10Data, Data, DigitsData, FashionMnistData, Features, FidPrecision, MnistData};

/// The source of a side: images, or statistics of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// All images in a folder and below it.
    Folder(PathBuf),
    /// A mean and a covariance: `.npz`.
    Statistics(PathBuf),
    /// Images in an `.npz`, as ADM's evaluator keeps them.
    Batch(PathBuf),
    /// A set that is trained on, and whether its held-out images are meant.
    Set { name: String, held_out: bool },
    /// The images that a run's averaged weights generate.
    Run(PathBuf),
}

/// The contents of a side.
pub(super) struct Found {
    pub gaussian: Gaussian,
    /// How many images; unknown of stored statistics.
    pub images: Option<usize>,
    /// Files that should be images and cannot be decoded, and why.
    pub corrupt: Vec<(PathBuf, String)>,
    /// Files of other kinds.
    pub others: Vec<PathBuf>,
    /// How many entries of a folder were passed over: hidden, or left by an operating system.
    pub passed_over: usize,
    /// In words.
    pub what: String,
}

/// Decoded together. A whole number of sixteens.
const BATCH_IMAGES: usize = 64;
/// The number of images that a run generates without `--samples`.
const RUN_SAMPLES: usize = 10_000;
const ANY_SIZE: &str = "--features inception-v3 or efficientnet-lite0 see images of any size";
const SET_NAMES: &str = "digits, mnist, fashion_mnist, cifar10";

impl Side {
    /// A path that exists is what it is, also where a set has that name.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let path = PathBuf::from(text);
        if path.is_file() {
            return match path.extension().is_some_and(|ending| ending == "npz") {
                true if holds_statistics(&path) == Ok(false) => match StoredReference::of(&path) {
                    Ok(_) => Ok(Self::Batch(path)),
                    Err(problem) => bail!("{text}: {problem}"),
                },
                // What is wrong with a file of statistics is said when it is read.
                true => Ok(Self::Statistics(path)),
                false => bail!("{text} is neither a folder nor a file of statistics (.npz)"),
            };
        }
        if path.is_dir() {
            let run = path.join("spec.json").is_file();
            return Ok(if run { Self::Run(path) } else { Self::Folder(path) });
        }
        let (name, held_out) = match text.split_once(':') {
            Some((name, "test")) => (name, true),
            Some((name, "train")) => (name, false),
            _ => (text, false),
        };
        match set(name) {
            Some(_) => Ok(Self::Set { name: name.to_owned(), held_out }),
            None => bail!(
                "there is no folder or file {text}, and no data set of that name\nhint: sets are {SET_NAMES}; \
                 `cifar10:test` means held-out images"
            ),
        }
    }

    /// The file, if it is one of statistics.
    pub fn statistics(&self) -> Option<&Path> {
        match self {
            Self::Statistics(path) => Some(path),
            _ => None,
        }
    }

    /// The file that it is read from, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Statistics(path) | Self::Batch(path) => Some(path),
            Self::Folder(_) | Self::Set { .. } | Self::Run(_) => None,
        }
    }

    /// (channels, side) of its images, where all of them are known to have one shape.
    pub fn image_shape(&self, features: Features) -> anyhow::Result<(usize, usize)> {
        Ok(match (self, features) {
            (_, Features::DigitsCnn) => (1, 8),
            (_, Features::MnistCnn) => (1, 28),
            (Self::Set { name, .. }, _) => set(name).expect("the name was looked up").image_shape(),
            (Self::Run(path), _) => RunNetwork::read(path)?.spec.data.picture_shape(),
            (Self::Folder(path), Features::Pixels8) => {
                let files = files_of(path)?;
                let first = files.images.first().with_context(|| format!("no images in {}", path.display()))?;
                (3, decode_rgb(first)?.width)
            }
            (Self::Batch(path), Features::Pixels8) => {
                let mut side = None;
                let first = |images: &[RgbImage], _| {
                    side = images.first().map(|image| image.width);
                    Err(None)
                };
                match each_image(path, 1, Some, first) {
                    Err(Some(problem)) => bail!("{}: {problem}", path.display()),
                    Ok(()) | Err(None) => (3, side.with_context(|| format!("no images in {}", path.display()))?),
                }
            }
            (Self::Folder(_) | Self::Statistics(_) | Self::Batch(_), _) => (3, 8),
        })
    }

    /// Mean and covariance of the features of its images, of the first `samples` if that is given; those of a run are generated in
    /// `precision`. `protocol` is what stored statistics must be of.
    pub fn found(
        &self,
        network: &FeatureNetwork,
        precision: FidPrecision,
        protocol: &str,
        samples: Option<usize>,
        folder: &DataFolder,
        progress: OnProgress<'_>,
    ) -> anyhow::Result<Found> {
        match self {
            Self::Folder(path) => of_folder(path, network, samples, progress),
            Self::Statistics(path) => Found::of_statistics(Statistics::read(path)?, path, protocol, samples.is_some()),
            Self::Batch(path) => of_batch(path, network, samples, progress),
            Self::Set { name, held_out } => {
                let data = set(name).expect("the name was looked up");
                let dataset = data::load(&data, folder, progress)?;
                let images = if *held_out { dataset.test } else { dataset.train };
                of_pixels(&format!("{self}"), network, samples.unwrap_or(images.len()), progress, |range| {
                    if range.end > images.len() {
                        bail!("{self} has {} images, not {}", images.len(), range.end);
                    }
                    Ok(Images::pixels(&images, range))
                })
            }
            Self::Run(path) => {
                let RunNetwork { mut spec, network: generator, step } = RunNetwork::read(path)?;
                spec.evaluate.fid.precision = precision;
                let decoder = LatentDecoder::for_pictures(&spec, &Device::flex())?;
                let what = format!("run {} at step {step}", path.display());
                of_pixels(&what, network, samples.unwrap_or(RUN_SAMPLES), progress, |range| {
                    Ok(generate_images(&spec, &generator, decoder.as_ref(), 0, range)?)
                })
            }
        }
    }
}

impl Found {
    /// Of stored statistics, which must be of `protocol` where they say what they are of.
    pub fn of_statistics(
        statistics: Statistics,
        path: &Path,
        protocol: &str,
        samples_asked: bool,
    ) -> anyhow::Result<Self> {
        if samples_asked {
            eprintln!("note: --samples does not apply to {}, whose number of images is fixed", path.display());
        }
        let Statistics { gaussian, protocol: stored, .. } = statistics;
        match stored {
            Some(stored) if stored != protocol => bail!(
                "{} was made with {stored}, not with {protocol}\nhint: give the --features, --resize and --precision that it was made with",
                path.display()
            ),
            Some(_) => {}
            None => {
                eprintln!("note: {} does not say which features it is of, or how images were resized", path.display())
            }
        }
        let what = format!("statistics {}", path.display());
        Ok(Self { gaussian, images: None, corrupt: vec![], others: vec![], passed_over: 0, what })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(formatter, "folder {}", path.display()),
            Self::Statistics(path) => write!(formatter, "statistics {}", path.display()),
            Self::Batch(path) => write!(formatter, "batch {}", path.display()),
            Self::Set { name, held_out } => write!(formatter, "{name}:{}", if *held_out { "test" } else { "train" }),
            Self::Run(path) => write!(formatter, "run {}", path.display()),
        }
    }
}

fn set(name: &str) -> Option<Data> {
    Some(match name {
        "digits" => Data::Digits(DigitsData::default()),
        "mnist" => Data::Mnist(MnistData {}),
        "fashion_mnist" => Data::FashionMnist(FashionMnistData::default()),
        "cifar10" => Data::Cifar10(Cifar10Data::default()),
        _ => return None,
    })
}

/// Of `count` images that `pixels` gives, `[range, channels, side, side]` in [-1, 1].
fn of_pixels(
    what: &str,
    network: &FeatureNetwork,
    count: usize,
    progress: OnProgress<'_>,
    mut pixels: impl FnMut(std::ops::Range<usize>) -> anyhow::Result<Vec<f32>>,
) -> anyhow::Result<Found> {
    let mut fit = GaussianFit::new(network.dimension());
    for first in (0..count).step_by(BATCH_IMAGES) {
        let range = first..count.min(first + BATCH_IMAGES);
        let done = range.end as u64;
        let features = network.features(&pixels(range)?);
        fit.push(&features).with_context(|| what.to_owned())?;
        let total = Some(count as u64);
        progress(&Progress { doing: format!("features of {what}"), done, total, unit: Unit::Images });
    }
    let gaussian = fit.finish().with_context(|| what.to_owned())?;
    Ok(Found { gaussian, images: Some(count), corrupt: vec![], others: vec![], passed_over: 0, what: what.to_owned() })
}

/// Of the first `samples` images of a batch, or of all.
fn of_batch(
    path: &Path,
    network: &FeatureNetwork,
    samples: Option<usize>,
    progress: OnProgress<'_>,
) -> anyhow::Result<Found> {
    let what = format!("batch {}", path.display());
    let wrong = |problem: String| anyhow::anyhow!("{}: {problem}", path.display());
    let held = StoredReference::of(path).map_err(wrong)?.images.unwrap_or(0);
    let count = samples.unwrap_or(held);
    if count > held {
        bail!("{what} has {held} images, not {count}");
    }
    let mut fit = GaussianFit::new(network.dimension());
    each_image(path, BATCH_IMAGES, wrong, |images, first| {
        let images = &images[..images.len().min(count.saturating_sub(first))];
        let features = network
            .features_of_files(images)
            .map_err(|(index, problem)| wrong(format!("image {} has {problem}\nhint: {ANY_SIZE}", first + index)))?;
        fit.push(&features).with_context(|| what.clone())?;
        let done = (first + images.len()) as u64;
        let doing = format!("features of {what}");
        progress(&Progress { doing, done, total: Some(count as u64), unit: Unit::Images });
        Ok(())
    })?;
    let gaussian = fit.finish().with_context(|| what.clone())?;
    Ok(Found { gaussian, images: Some(count), corrupt: vec![], others: vec![], passed_over: 0, what })
}

/// All that is below a folder, in the order of paths.
fn files_of(folder: &Path) -> anyhow::Result<FolderListing> {
    let mut listing = FolderListing::below(folder)?;
    listing.images.sort();
    listing.others.sort();
    Ok(listing)
}

fn of_folder(
    path: &Path,
    network: &FeatureNetwork,
    samples: Option<usize>,
    progress: OnProgress<'_>,
) -> anyhow::Result<Found> {
    let FolderListing { mut images, others, irregular, passed_over, .. } = files_of(path)?;
    let what = format!("folder {}", path.display());
    if let Some(samples) = samples {
        if images.len() < samples {
            bail!("{what} has {} images, not {samples}", images.len());
        }
        images.truncate(samples);
    }
    let total = Some(images.len() as u64);
    let irregular = irregular.into_iter().map(|(path, what)| {
        let problem = data::DataError::Image { path: path.clone(), problem: what.to_owned() }.to_string();
        (path, problem)
    });
    let (mut corrupt, mut fit, mut done) = (irregular.collect::<Vec<_>>(), GaussianFit::new(network.dimension()), 0);
    for paths in images.chunks(BATCH_IMAGES) {
        let decoded: Vec<_> = paths.par_iter().map(|path| decode_rgb(path)).collect();
        let (mut kept, mut whole) = (Vec::with_capacity(paths.len()), Vec::with_capacity(paths.len()));
        for (path, image) in paths.iter().zip(decoded) {
            match image {
                Ok(image) => {
                    kept.push(path);
                    whole.push(image);
                }
                Err(error @ data::DataError::Image { .. }) => corrupt.push((path.clone(), error.to_string())),
                Err(error) => return Err(error.into()),
            }
        }
        let features = features(network, &whole, &kept)?;
        fit.push(&features).with_context(|| what.clone())?;
        done += paths.len() as u64;
        progress(&Progress { doing: format!("features of {what}"), done, total, unit: Unit::Images });
    }
    let rows = fit.rows();
    let gaussian = fit.finish().with_context(|| what.clone())?;
    Ok(Found { gaussian, images: Some(rows), corrupt, others, passed_over, what })
}

fn features(network: &FeatureNetwork, images: &[RgbImage], paths: &[&PathBuf]) -> anyhow::Result<Vec<f32>> {
    network
        .features_of_files(images)
        .map_err(|(index, problem)| anyhow::anyhow!("{} has {problem}\nhint: {ANY_SIZE}", paths[index].display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_side_is_a_path_that_exists_or_a_set() {
        let temporary = tempfile::tempdir().unwrap();
        let at = |name: &str| temporary.path().join(name);
        fs::create_dir_all(at("images")).unwrap();
        fs::create_dir_all(at("run")).unwrap();
        fs::write(at("run/spec.json"), "{}").unwrap();
        fs::write(at("known.npz"), "").unwrap();
        fs::write(at("notes.txt"), "").unwrap();
        let parse = |path: PathBuf| Side::parse(path.to_str().unwrap());
        assert_eq!(parse(at("images")).unwrap(), Side::Folder(at("images")));
        assert_eq!(parse(at("run")).unwrap(), Side::Run(at("run")));
        assert_eq!(parse(at("known.npz")).unwrap(), Side::Statistics(at("known.npz")));
        let message = parse(at("notes.txt")).unwrap_err().to_string();
        assert!(message.ends_with("notes.txt is neither a folder nor a file of statistics (.npz)"), "{message}");
        let set = |name: &str, held_out| Side::Set { name: name.to_owned(), held_out };
        assert_eq!(Side::parse("digits").unwrap(), set("digits", false));
        assert_eq!(Side::parse("cifar10:test").unwrap(), set("cifar10", true));
        let message = Side::parse("cifar11").unwrap_err().to_string();
        assert!(message.contains("no folder or file cifar11") && message.contains("sets are digits"), "{message}");
    }
}
