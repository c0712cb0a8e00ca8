use std::fs;
use std::path::{Path, PathBuf};

use super::features::{Activations, aligned_weights, encoder_weights};
use super::statistics_file::{Statistics, StatisticsError};
use super::stored_reference::{StoredReference, each_image};
use super::{EvaluateError, FeatureNetwork, FrechetError, FurtherMeasures, Gaussian, GaussianFit, LatentDecoder};
use crate::checksum::file_digest;
use crate::data::{DataFolder, Dataset, Images, OnProgress, Progress, Unit};
use crate::spec::{Encoder, Fid, FidPrecision, FurtherMeasure, Reference, RunSpec};

/// The features and statistics that generated images are compared with.
pub struct ReferenceFeatures {
    pub gaussian: Gaussian,
    /// `[images, dimension]` where a measure needs each image's features; else empty.
    pub rows: Vec<f32>,
    /// Of the spatial features, where a measure needs them.
    pub spatial: Option<Gaussian>,
    /// How many images they are of; `None` where a file of statistics does not say.
    pub images: Option<usize>,
    /// The SHA-256 of the images' pixels, or of the file.
    pub sha256: String,
}

/// Images whose features are computed together.
const BATCH_IMAGES: usize = 256;
/// What a file of `reference_file` may be.
const OF_REFERENCE_FILE: &str = "name an .npz of pytorch-fid, of ADM's evaluator or of `speedlab fid --save`";
/// Digits of a hash in a file's name.
const HASH_DIGITS: usize = 12;

/// The images that `evaluate.fid.reference` names; `None` of a file, which may hold none.
fn reference_images<'d>(fid: &Fid, dataset: &'d Dataset) -> Option<&'d Images> {
    match fid.reference {
        Reference::Train => Some(&dataset.train),
        Reference::Test => Some(&dataset.test),
        Reference::Folder => {
            Some(dataset.references.get(&fid.reference_folder).expect("images of a folder are loaded with it"))
        }
        Reference::File => None,
    }
}

/// Computes what takes a large network long, and keeps it for the runs that follow; nothing where that is quick. A file of
/// `reference_file` is looked into, so that one that does not fit is refused before a run starts. Latents are
/// decoded by the first run that needs them, which has a device.
pub fn prepare_reference(
    spec: &RunSpec,
    dataset: &Dataset,
    folder: &DataFolder,
    progress: OnProgress<'_>,
) -> Result<(), EvaluateError> {
    for by in spec.by_each_fid() {
        let fid = &by.evaluate.fid;
        if !fid.features.are_of_large_network() && fid.reference != Reference::File {
            continue;
        }
        if reference_images(fid, dataset).is_some_and(Images::are_latents) {
            continue;
        }
        let weights = folder.weights_of(fid);
        let shape = spec.data.picture_shape();
        let network = FeatureNetwork::load(fid.features, fid.resize, fid.precision, shape, weights.as_deref())?;
        ReferenceFeatures::of(&by, &network, dataset, None, folder, progress)?;
    }
    Ok(())
}

/// Looks into the files of `reference_file` that a run is compared with: whether there is something to compare with.
pub fn check_reference_files(spec: &RunSpec) -> Result<(), EvaluateError> {
    for by in spec.by_each_fid() {
        if by.evaluate.fid.reference == Reference::File {
            stored(Path::new(&by.evaluate.fid.reference_file))?;
        }
    }
    Ok(())
}

/// Looks into the files of `weights` that a run's images are seen by and aligned with: whether they hold encoders of the features that are asked
/// for, and whether enough images are generated for measures that depend on how many values these have.
pub fn check_encoders(spec: &RunSpec) -> Result<(), EvaluateError> {
    let alignment = &spec.auxiliary_losses.alignment;
    if let (true, Encoder::Dinov2(settings)) = (alignment.weight > 0.0, alignment.encoder) {
        aligned_weights(alignment, settings)?;
    }
    for by in spec.by_each_fid().filter(|by| by.evaluate.fid.features.are_of_file()) {
        let fid = &by.evaluate.fid;
        let weights = encoder_weights(fid.features, Path::new(&fid.weights))?;
        let (dimension, network) = (weights.design().features(), weights.design().name());
        for measure in &by.evaluate.measures {
            let (least, samples) = (measure.least_samples(dimension), fid.samples);
            if samples < least {
                return Err(EvaluateError::Samples { least, samples, dimension, network });
            }
        }
    }
    Ok(())
}

/// What a file of `reference_file` holds: statistics, or images enough.
fn stored(path: &Path) -> Result<StoredReference, EvaluateError> {
    let wrong = |problem: String, hint| EvaluateError::ReferenceFile { path: path.to_owned(), problem, hint };
    let found = StoredReference::of(path).map_err(|problem| wrong(problem, OF_REFERENCE_FILE))?;
    if let Some(images) = found.images.filter(|&images| images < 2 && !found.has_statistics) {
        let problem = format!("it holds {images} images as `arr_0`, and a Fréchet distance needs at least 2");
        return Err(wrong(problem, "name a file with more images"));
    }
    Ok(found)
}

impl ReferenceFeatures {
    /// Of what `evaluate.fid.reference` names, decoded where that is latents and there is a decoder. What a large network gives for
    /// images, and any for latents, is kept in `folder`, as others keep it too: see [`Statistics`].
    pub fn of(
        spec: &RunSpec,
        network: &FeatureNetwork,
        dataset: &Dataset,
        decoder: Option<&LatentDecoder>,
        folder: &DataFolder,
        progress: OnProgress<'_>,
    ) -> Result<Self, EvaluateError> {
        let needed = Needed::of(spec);
        let fid = &spec.evaluate.fid;
        let Some(images) = reference_images(fid, dataset) else {
            return Self::of_file(fid, network, needed, folder, progress);
        };
        let (count, sha256) = (images.len(), images.sha256.clone());
        let decoder = decoder.filter(|_| images.are_latents());
        let kept = kept(fid, network, &sha256, count, decoder, images.are_latents(), folder);
        let statistics = kept_or_made(kept, network, needed, |needed| {
            let mut gathered = Gathered::new(network, needed);
            for first in (0..count).step_by(BATCH_IMAGES) {
                let range = first..count.min(first + BATCH_IMAGES);
                let done = range.end;
                let mut pixels = images.pixels(range);
                if let Some(decoder) = decoder {
                    pixels = decoder.decode(&pixels, &mut || {
                        progress(&progress_of(fid, first, count));
                        Ok(())
                    })?;
                }
                gathered.push(network.activations(&pixels, needed.spatial))?;
                progress(&progress_of(fid, done, count));
            }
            gathered.finish(network.protocol(fid.features, fid.resize, fid.precision))
        })?;
        Ok(Self::from(statistics, Some(count), sha256))
    }

    fn of_file(
        fid: &Fid,
        network: &FeatureNetwork,
        needed: Needed,
        folder: &DataFolder,
        progress: OnProgress<'_>,
    ) -> Result<Self, EvaluateError> {
        let path = Path::new(&fid.reference_file);
        let wrong = |problem: String, hint| EvaluateError::ReferenceFile { path: path.to_owned(), problem, hint };
        let unfit = |problem| wrong(problem, OF_REFERENCE_FILE);
        let sha256 = file_digest(path).map_err(|source| unfit(format!("it cannot be read: {source}")))?;
        if sha256 != fid.reference_sha256 {
            let problem = "it is not the file that the sweep was planned with: its sha256 is another".to_owned();
            return Err(wrong(problem, "put the file back; `speedlab run` plans anew with the file that is there"));
        }
        let stored = stored(path)?;
        let of_images = |needed: Needed, count: usize, progress: OnProgress<'_>| {
            let kept = kept(fid, network, &sha256, count, None, false, folder);
            kept_or_made(kept, network, needed, |needed| {
                let mut gathered = Gathered::new(network, needed);
                each_image(path, BATCH_IMAGES, unfit, |images, first| {
                    let found = network.activations_of_files(images, needed.spatial).map_err(|(index, problem)| {
                        let hint = "features `inception-v3` and `efficientnet-lite0` see images of any size";
                        wrong(format!("image {} has {problem}", first + index), hint)
                    })?;
                    gathered.push(found)?;
                    progress(&progress_of(fid, first + images.len(), count));
                    Ok(())
                })?;
                gathered.finish(network.protocol(fid.features, fid.resize, fid.precision))
            })
            .map_err(|error| match error {
                EvaluateError::Frechet { error, .. } => wrong(
                    format!("its images, `arr_0`: {error}"),
                    "name a file with other images, or with `mu` and `sigma`",
                ),
                error => error,
            })
        };
        if !stored.has_statistics {
            let count = stored.images.expect("a file holds one or the other");
            return Ok(Self::from(of_images(needed, count, progress)?, Some(count), sha256));
        }

        let mut statistics = Statistics::read(path).map_err(|error| match error {
            StatisticsError::Io { source, .. } => unfit(source.to_string()),
            StatisticsError::Format { problem, .. } => unfit(problem),
        })?;
        let (name, asked) = (fid.features.name(), network.protocol(fid.features, fid.resize, fid.precision));
        // Statistics of f32 stand for their images whatever the others are rounded to.
        let exact = network.protocol(fid.features, fid.resize, FidPrecision::F32);
        let (size, dimension) = (statistics.gaussian.mean.len(), network.dimension());
        if size != dimension {
            let problem = format!("its `mu` has {size} values, and features `{name}` have {dimension}");
            return Err(wrong(problem, "set `evaluate.fid.features` to those that it is of"));
        }
        if let Some(made_with) = statistics.protocol.as_ref().filter(|made_with| ![&asked, &exact].contains(made_with))
        {
            let problem = format!("it was made with {made_with}, and `evaluate.fid` asks for {asked}");
            return Err(wrong(
                problem,
                "set `evaluate.fid.features`, `resize` and `precision` to those that it was made with",
            ));
        }
        match (needed.spatial, &statistics.spatial, network.spatial_dimension()) {
            (true, None, _) => {
                let problem = "it has no `mu_s` and `sigma_s`, which `sfid` needs".to_owned();
                return Err(wrong(problem, "leave `sfid` out, or name a reference batch of ADM's evaluator"));
            }
            (true, Some(spatial), Some(dimension)) if spatial.mean.len() != dimension => {
                let problem =
                    format!("its `mu_s` has {} values, and spatial features have {dimension}", spatial.mean.len());
                return Err(wrong(problem, "name a reference batch of ADM's evaluator"));
            }
            _ => {}
        }
        if needed.rows && statistics.features.is_none() {
            let Some(count) = stored.images else {
                let problem = "it holds no images, and `evaluate.measures` asks for what compares each".to_owned();
                return Err(wrong(
                    problem,
                    "leave out `kid`, `precision_recall` and `density_coverage`, or name a file with `arr_0`",
                ));
            };
            let of_images = of_images(Needed { rows: true, spatial: false }, count, progress)?;
            statistics.features = of_images.features;
        }
        statistics.spatial = statistics.spatial.filter(|_| needed.spatial);
        Ok(Self::from(statistics, None, sha256))
    }

    fn from(statistics: Statistics, images: Option<usize>, sha256: String) -> Self {
        let Statistics { gaussian, features, spatial, .. } = statistics;
        Self { gaussian, rows: features.unwrap_or_default(), spatial, images, sha256 }
    }
}

/// What measures need beside a mean and a covariance of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Needed {
    /// The features of each image.
    rows: bool,
    /// The mean and covariance of spatial features.
    spatial: bool,
}

impl Needed {
    fn of(spec: &RunSpec) -> Self {
        let asked = &spec.evaluate.measures;
        Self { rows: FurtherMeasures::need_reference(asked), spatial: asked.contains(&FurtherMeasure::Sfid) }
    }

    /// Of statistics that were read, what is needed; `None` where some of it is missing.
    fn taken(self, statistics: Statistics, network: &FeatureNetwork) -> Option<Statistics> {
        let has_all = statistics.gaussian.mean.len() == network.dimension()
            && (!self.rows || statistics.features.is_some())
            && (!self.spatial || statistics.spatial.is_some());
        has_all.then(|| Statistics {
            features: statistics.features.filter(|_| self.rows),
            spatial: statistics.spatial.filter(|_| self.spatial),
            ..statistics
        })
    }
}

/// Features of images, as they come.
struct Gathered {
    needed: Needed,
    fit: GaussianFit,
    rows: Vec<f32>,
    spatial: Option<GaussianFit>,
}

impl Gathered {
    fn new(network: &FeatureNetwork, needed: Needed) -> Self {
        let spatial = network.spatial_dimension().filter(|_| needed.spatial).map(GaussianFit::new);
        Self { needed, fit: GaussianFit::new(network.dimension()), rows: Vec::new(), spatial }
    }

    fn push(&mut self, Activations { features, spatial }: Activations) -> Result<(), EvaluateError> {
        self.fit.push(&features).map_err(of_reference)?;
        if let Some(fit) = &mut self.spatial {
            fit.push(&spatial).map_err(of_reference)?;
        }
        if self.needed.rows {
            self.rows.extend(features);
        }
        Ok(())
    }

    fn finish(self, protocol: String) -> Result<Statistics, EvaluateError> {
        Ok(Statistics {
            gaussian: self.fit.finish().map_err(of_reference)?,
            features: self.needed.rows.then_some(self.rows),
            protocol: Some(protocol),
            spatial: self.spatial.map(GaussianFit::finish).transpose().map_err(of_reference)?,
        })
    }
}

fn of_reference(error: FrechetError) -> EvaluateError {
    EvaluateError::Frechet { of: "the reference images", error }
}

fn progress_of(fid: &Fid, done: usize, total: usize) -> Progress {
    let doing = format!("{} features of the reference images", fid.features.name());
    Progress { doing, done: done as u64, total: Some(total as u64), unit: Unit::Images }
}

/// What is kept in a file, or else is made and kept there.
fn kept_or_made(
    kept: Option<PathBuf>,
    network: &FeatureNetwork,
    needed: Needed,
    make: impl FnOnce(Needed) -> Result<Statistics, EvaluateError>,
) -> Result<Statistics, EvaluateError> {
    let mut all = needed;
    if let Some(path) = kept.as_ref().filter(|path| path.is_file()) {
        let known = Statistics::read(path)?;
        // What others have kept there stays.
        all = Needed {
            rows: needed.rows || known.features.is_some(),
            spatial: needed.spatial || known.spatial.is_some(),
        };
        if let Some(taken) = needed.taken(known, network) {
            return Ok(taken);
        }
    }
    let made = make(all)?;
    if let Some(path) = kept {
        let parent = path.parent().expect("it is in the folder of statistics");
        let io = |source| StatisticsError::Io { doing: "make the folder", path: parent.to_owned(), source };
        fs::create_dir_all(parent).map_err(io)?;
        made.write(&path)?;
    }
    Ok(needed.taken(made, network).expect("it was made with all that is needed"))
}

/// The file in which the statistics of so many images are kept, named by all that they depend on; `None` where they are quickly computed.
fn kept(
    fid: &Fid,
    network: &FeatureNetwork,
    sha256: &str,
    count: usize,
    decoder: Option<&LatentDecoder>,
    are_latents: bool,
    folder: &DataFolder,
) -> Option<PathBuf> {
    let weights = match network.weights_sha256() {
        Some(sha256) => &sha256[..HASH_DIGITS],
        // Files of latents may be large, and decoding them takes long.
        None if are_latents => "own",
        None => return None,
    };
    let decoded = decoder.map_or_else(String::new, |decoder| format!("_{}", &decoder.sha256[..HASH_DIGITS]));
    let rounded = match fid.precision {
        FidPrecision::F32 => String::new(),
        other => format!("_{}", other.name()),
    };
    let (features, resize, set) = (fid.features.name(), fid.resize.with(fid.features).name(), &sha256[..HASH_DIGITS]);
    let name = format!("{features}_{resize}_{weights}_{set}_{count}{decoded}{rounded}.npz");
    Some(folder.path().join("statistics").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::load_digits;
    use crate::spec::{Features, Resize};

    fn network() -> FeatureNetwork {
        FeatureNetwork::load(Features::DigitsCnn, Resize::Customary, FidPrecision::F32, (1, 8), None).unwrap()
    }

    #[test]
    fn small_networks_keep_nothing() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::find(Some(temporary.path())).unwrap();
        let dataset = load_digits().unwrap();
        let spec = RunSpec::default();
        prepare_reference(&spec, &dataset, &folder, &mut |_| panic!("there is nothing to prepare")).unwrap();
        let mut done = vec![];
        let reference =
            ReferenceFeatures::of(&spec, &network(), &dataset, None, &folder, &mut |step| done.push(step.done))
                .unwrap();
        assert_eq!((done.last(), reference.rows.len()), (Some(&(dataset.train.len() as u64)), 0));
        assert_eq!(reference.images, Some(dataset.train.len()));
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_of_statistics_stands_for_the_images_that_it_is_of_and_one_that_does_not_fit_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::find(Some(temporary.path())).unwrap();
        let dataset = load_digits().unwrap();
        let of = |spec: &RunSpec| ReferenceFeatures::of(spec, &network(), &dataset, None, &folder, &mut |_| {});
        let expected = of(&RunSpec::default()).unwrap();
        let path = temporary.path().join("digits.npz");
        let mut spec = RunSpec::default();
        spec.evaluate.fid.reference = Reference::File;
        spec.evaluate.fid.reference_file = path.display().to_string();
        let statistics = |protocol: &str| Statistics {
            gaussian: expected.gaussian.clone(),
            features: None,
            protocol: Some(protocol.to_owned()).filter(|protocol| !protocol.is_empty()),
            spatial: None,
        };
        let found = |spec: &mut RunSpec, statistics: &Statistics| {
            statistics.write(&path).unwrap();
            spec.evaluate.fid.reference_sha256 = file_digest(&path).unwrap();
            of(spec)
        };
        for protocol in ["", "digits-cnn resize=none"] {
            let found = found(&mut spec, &statistics(protocol)).unwrap();
            assert_eq!(found.gaussian.mean, expected.gaussian.mean);
            assert_eq!((found.images, found.sha256), (None, spec.evaluate.fid.reference_sha256.clone()));
        }
        let refused = |spec: &mut RunSpec, statistics: &Statistics, message: &str| {
            let error = found(spec, statistics).err().expect("it is refused").to_string();
            assert!(error.starts_with("`evaluate.fid.reference_file`, ") && error.contains(message), "{error}");
            assert!(error.contains("\nhint: "), "{error}");
        };
        refused(
            &mut spec,
            &statistics("digits-cnn resize=none precision=bf16"),
            "it was made with digits-cnn resize=none precision=bf16, and `evaluate.fid` asks for digits-cnn resize=none",
        );
        refused(
            &mut spec,
            &statistics("mnist-cnn resize=none"),
            "it was made with mnist-cnn resize=none, and `evaluate.fid` asks for digits-cnn resize=none",
        );
        let gaussian = Gaussian { mean: vec![0.0; 3], covariance: faer::Mat::zeros(3, 3) };
        let short = Statistics { gaussian, ..statistics("") };
        refused(&mut spec, &short, "its `mu` has 3 values, and features `digits-cnn` have 64");
        spec.evaluate.measures = [FurtherMeasure::Kid].into();
        refused(&mut spec, &statistics(""), "it holds no images, and `evaluate.measures` asks for what compares each");
        spec.evaluate.fid.reference_sha256 = "another".to_owned();
        let error = of(&spec).err().expect("it is refused").to_string();
        assert!(error.contains("it is not the file that the sweep was planned with"), "{error}");
    }
}
