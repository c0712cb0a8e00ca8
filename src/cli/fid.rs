//! `speedlab fid`: the Fréchet distance of two sets of images.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::data_progress::DataProgress;
use super::fid_side::{Found, Side};
use super::{DataArgs, Exit};
use crate::data::{IMAGE_KINDS, OnProgress, passed_over_note};
use crate::evaluate::{FeatureNetwork, Statistics, frechet_distance};
use crate::report::number::grouped;
use crate::spec::{Features, FidPrecision, Resize, feature_protocol};

#[derive(Debug, Args)]
#[command(after_help = "A and B are each one of:
  a folder        all PNG, JPEG, WebP, TIFF, BMP, PPM and PGM files in and below it
  a file .npz     `mu` and `sigma`, as pytorch-fid, clean-fid and --save write them; or
                  images, as ADM's evaluator reads them: `arr_0` of bytes, [n, height, width, 3]
  a data set      digits, mnist, fashion_mnist, cifar10: the images to train on;
                  `cifar10:test`: the held-out ones
  a run's folder  results/<sweep>/runs/<run-id>: images that its averaged weights generate

Pictures are decoded as Pillow decodes them. Two files of statistics need no weights.

Only the distance of Inception's last features is called FID. Distances with
different features, resizing or numbers of images are not comparable. A file of
statistics is refused if it names other features or another resizing; files that
--save writes name theirs.

Names that begin with a dot, __MACOSX, Thumbs.db and desktop.ini are left out; a
note counts them. The exit code is 1 if files were left out because they cannot
be decoded, are truncated or are no regular files; all of them are named.

Examples:
  speedlab data fetch inception-v3
  speedlab fid samples/ cifar10
  speedlab fid samples/ cifar10-train.npz --json
  speedlab fid cifar10 --save cifar10-train.npz
  speedlab fid results/quickstart/runs/0123456789ab digits --features digits-cnn
  speedlab fid generated/ photographs/ --features efficientnet-lite0 --resize clean
  speedlab fid generated/ photographs/ --features dinov2 --weights dinov2_vitl14_pretrain.pth")]
pub struct FidArgs {
    /// The first set of images
    #[arg(value_name = "A")]
    first: String,
    /// The second set of images; may be left out with --save
    #[arg(value_name = "B", required_unless_present = "save")]
    second: Option<String>,
    /// The features in which images are compared [default: inception-v3; for two files of statistics, the features that they
    /// name]
    #[arg(long, value_enum)]
    features: Option<FeaturesName>,
    /// How images are resized to the size that the network sees; for Inception, `customary` is the way of pytorch-fid
    #[arg(long, value_enum, default_value_t = ResizeName(Resize::Customary))]
    resize: ResizeName,
    /// What the features' network multiplies, and that of a run; bf16 is for processors with AVX512-BF16
    #[arg(long, value_enum, default_value_t = PrecisionName(FidPrecision::F32))]
    precision: PrecisionName,
    /// Use the first N images of each set, and generate N images for a run [default: all; 10,000 for a run]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=1 << 24))]
    samples: Option<u64>,
    /// The network's weights, as `torch.save` wrote them [default: those that `speedlab data fetch` got]; for `dinov2` and `clip` a
    /// .safetensors or .pth file as it is published, whose tensors tell the network's size
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Write the statistics of A to this file too
    #[arg(long, value_name = "FILE.npz")]
    save: Option<PathBuf>,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
    /// No progress on stderr
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    data: DataArgs,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct FeaturesName(pub Features);

#[derive(Clone, Copy, Debug)]
struct ResizeName(Resize);

#[derive(Clone, Copy, Debug)]
struct PrecisionName(FidPrecision);

impl ValueEnum for PrecisionName {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(FidPrecision::F32), Self(FidPrecision::Bf16)]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.name()))
    }
}

impl ValueEnum for FeaturesName {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [FeaturesName; Features::ALL.len()] = {
            let mut all = [FeaturesName(Features::DigitsCnn); Features::ALL.len()];
            let mut index = 0;
            while index < all.len() {
                all[index] = FeaturesName(Features::ALL[index]);
                index += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.name()))
    }
}

impl ValueEnum for ResizeName {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self(Resize::Customary),
            Self(Resize::None),
            Self(Resize::PytorchFid),
            Self(Resize::Clean),
            Self(Resize::Pillow),
            Self(Resize::TorchFidelity),
        ]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.name()))
    }
}

/// The version of what `fid` prints with `--json`.
const FID_JSON_VERSION: u32 = 1;
/// The most files that are named on stderr because they cannot be used.
const NAMED_FILES: usize = 20;

pub fn fid(args: &FidArgs) -> anyhow::Result<Exit> {
    let sides: Vec<Side> = [Some(&args.first), args.second.as_ref()]
        .into_iter()
        .flatten()
        .map(|text| Side::parse(text))
        .collect::<Result<_, _>>()?;
    if let Some(save) = &args.save
        && let Some(file) = sides.iter().filter_map(Side::file).find(|file| is_same_file(file, save))
    {
        bail!("--save {} would replace {}, which is compared\nhint: name another file", save.display(), file.display());
    }
    let asked = args.features.map(|name| name.0);
    if let Some(stored) = sides.iter().map(Side::statistics).collect::<Option<Vec<&Path>>>() {
        return of_statistics(args, &stored, asked);
    }
    let features = asked.unwrap_or(Features::InceptionV3);
    if args.resize.0 != Resize::Customary && args.resize.0 != Resize::None && !features.are_of_large_network() {
        bail!("features `{}` see images as they are: leave --resize out", features.name());
    }
    if args.resize.0 == Resize::None && features.are_of_large_network() {
        bail!(
            "`{}` needs images of its own size: leave `--resize none` out, images of that size are not resized",
            features.name()
        );
    }
    if features.are_of_file() && args.weights.is_none() {
        bail!("features `{}` need --weights FILE, a .safetensors or .pth file as it is published", features.name());
    }
    let folder = args.data.folder()?;
    let image_shapes = sides.iter().map(|side| side.image_shape(features)).collect::<anyhow::Result<Vec<_>>>()?;
    let weights = args.weights.clone().or_else(|| folder.weights(features));
    let (samples, precision) = (args.samples.map(|samples| samples as usize), args.precision.0);
    let mut protocol = String::new();
    let mut found = Vec::new();
    {
        let mut progress = DataProgress::new(args.quiet);
        let on_progress: OnProgress<'_> = &mut |step| progress.show(step);
        let mut network = None;
        for (side, image_shape) in sides.iter().zip(image_shapes) {
            let seen = match network.take().and_then(|network: FeatureNetwork| network.for_images(image_shape)) {
                Some(network) => network,
                None => FeatureNetwork::load(features, args.resize.0, precision, image_shape, weights.as_deref())?,
            };
            protocol = seen.protocol(features, args.resize.0, precision);
            found.push(side.found(&seen, precision, &protocol, samples, &folder, on_progress)?);
            network = Some(seen);
        }
    }
    let compared = Compared { features: Some(features), resize: Some(args.resize.0.with(features)), protocol };
    answer(args, &compared, &found)
}

/// Whether two paths lead to one file that is there.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| std::fs::canonicalize(path).ok();
    place(one).is_some_and(|one| place(other) == Some(one))
}

/// The features and the resizing of a distance. Files of statistics need not name them.
struct Compared {
    features: Option<Features>,
    resize: Option<Resize>,
    protocol: String,
}

/// Of means and covariances that were stored, by nothing but themselves.
fn of_statistics(args: &FidArgs, paths: &[&Path], asked: Option<Features>) -> anyhow::Result<Exit> {
    let read: Vec<Statistics> = paths.iter().map(|path| Statistics::read(path)).collect::<Result<_, _>>()?;
    let said = read.iter().find_map(|statistics| statistics.protocol.clone());
    let sizes: Vec<usize> = read.iter().map(|statistics| statistics.gaussian.mean.len()).collect();
    let compared = match (asked, said) {
        (None, Some(protocol)) => {
            let named = |features: &&Features| is_of(&protocol, **features);
            Compared { features: Features::ALL.iter().find(named).copied(), resize: None, protocol }
        }
        (None, None) => {
            let known = Features::InceptionV3;
            match sizes.iter().all(|&size| size == known.dimension(3)) {
                true => Compared { features: Some(known), resize: None, protocol: known.name().to_owned() },
                false => Compared { features: None, resize: None, protocol: format!("{} values", sizes[0]) },
            }
        }
        // Its file of weights is not there to be looked into.
        (Some(features), Some(protocol)) if features.are_of_file() && is_of(&protocol, features) => {
            Compared { features: Some(features), resize: None, protocol }
        }
        (Some(features), _) => {
            let resize = args.resize.0.with(features);
            Compared {
                features: Some(features),
                resize: Some(resize),
                protocol: feature_protocol(features, None, args.resize.0, args.precision.0),
            }
        }
    };
    if let Some(features) = compared.features.filter(|features| !features.are_of_file())
        && let possible = [1, 3].map(|channels| features.dimension(channels))
        && let Some((size, path)) = sizes.iter().zip(paths).find(|(size, _)| !possible.contains(size))
    {
        bail!("{} has means of {size} values, which `{}` has not", path.display(), features.name());
    }
    let mut found = Vec::new();
    for (statistics, path) in read.into_iter().zip(paths) {
        found.push(Found::of_statistics(statistics, path, &compared.protocol, args.samples.is_some())?);
    }
    answer(args, &compared, &found)
}

/// Whether statistics with this protocol are of these features.
fn is_of(protocol: &str, features: Features) -> bool {
    let named = protocol.split_whitespace().next().unwrap_or_default();
    let of_size = named.strip_prefix(features.name()).is_some_and(|size| size.starts_with("-vit"));
    named == features.name() || (features.are_of_file() && of_size)
}

/// Says what was found, and writes what is asked for.
fn answer(args: &FidArgs, compared: &Compared, found: &[Found]) -> anyhow::Result<Exit> {
    let Compared { features, resize, protocol } = compared;
    let dimension = found[0].gaussian.mean.len();
    let metric = metric(*features);
    let warnings = warnings(found);
    warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    for side in found.iter().filter(|side| side.passed_over > 0) {
        eprintln!("note: {}", passed_over_note(&side.what, side.passed_over));
    }
    if let Some(path) = &args.save {
        let statistics = Statistics {
            gaussian: found[0].gaussian.clone(),
            features: None,
            protocol: Some(protocol.clone()),
            spatial: None,
        };
        statistics.write(&std::path::absolute(path)?)?;
    }
    let distance = match found {
        [first, second] => Some(frechet_distance(&first.gaussian, &second.gaussian)?),
        _ => None,
    };
    let counts: Vec<String> =
        found.iter().map(|side| side.images.map_or("unknown".to_owned(), |count| count.to_string())).collect();
    let protocol = format!("{protocol} n={}", counts.join(","));
    let complete = found.iter().all(|side| side.corrupt.is_empty());
    if args.json {
        let side = |found: &Found| {
            let files = |(path, problem): &(PathBuf, String)| json!({ "file": path, "problem": problem });
            let corrupt: Vec<Value> = found.corrupt.iter().map(files).collect();
            json!({
                "what": found.what,
                "images": found.images,
                "corrupt": corrupt,
                "not_read": found.others,
                "passed_over": found.passed_over,
            })
        };
        out!(
            "{}",
            json!({
                "version": FID_JSON_VERSION,
                "metric": metric,
                "value": distance,
                "features": features.map(Features::name),
                "dimension": dimension,
                "resize": resize.map(Resize::name),
                "protocol": protocol,
                "sides": found.iter().map(side).collect::<Vec<_>>(),
                "warnings": warnings,
            })
        );
    } else {
        if let Some(distance) = distance {
            out!("{metric}  {distance:.6}");
        }
        out!("protocol  {protocol}");
        for (side, name) in found.iter().zip(["A", "B"]) {
            let images = side.images.map_or(String::new(), |count| format!(", {} images", grouped(count as u64)));
            out!("{name}  {}{images}", side.what);
        }
        if let Some(path) = &args.save {
            out!("written  {}", path.display());
        }
    }
    Ok(if complete { Exit::AllDone } else { Exit::SomeFailed })
}

/// "FID" alone is what Inception's last features give.
fn metric(features: Option<Features>) -> String {
    match features {
        Some(Features::InceptionV3) => "FID".to_owned(),
        Some(other) => format!("Fréchet distance ({})", other.name()),
        None => "Fréchet distance (features that the files do not name)".to_owned(),
    }
}

fn warnings(found: &[Found]) -> Vec<String> {
    let mut warnings = Vec::new();
    for side in found {
        let dimension = side.gaussian.mean.len();
        if let Some(images) = side.images.filter(|&images| images <= dimension) {
            warnings.push(format!(
                "{}: {} images for features of {} values: their covariance has not full rank, and the distance is mostly \
                 how few they are. Compare it only with distances of as many images",
                side.what,
                grouped(images as u64),
                grouped(dimension as u64),
            ));
        }
        if !side.corrupt.is_empty() {
            let named = side.corrupt.iter().take(NAMED_FILES).map(|(_, problem)| format!("\n  {problem}"));
            let more = side.corrupt.len().saturating_sub(NAMED_FILES);
            let more = if more > 0 { format!("\n  and {more} more (all of them with --json)") } else { String::new() };
            warnings.push(format!(
                "{}: {} files cannot be read as images and were left out{}{more}",
                side.what,
                grouped(side.corrupt.len() as u64),
                named.collect::<String>()
            ));
        }
        if let Some(first) = side.others.first() {
            warnings.push(format!(
                "{}: {} images of kinds that are not read ({IMAGE_KINDS} are), such as {}",
                side.what,
                grouped(side.others.len() as u64),
                first.display()
            ));
        }
    }
    warnings
}
