//! `speedlab data encode`: latents of pictures, computed once by the encoder of a frozen autoencoder.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::super::data_progress::DataProgress;
use super::super::{DataArgs, Exit};
use crate::checksum::file_digest;
use crate::data::{
    self, DataError, Encoded, EncodedShard, LatentShard, LatentsManifest, PictureSource, Progress, Unit, picture_sum,
    write_latents,
};
use crate::device::{self, DeviceName};
use crate::evaluate::{AutoencoderFile, AutoencoderFileError};
use crate::model::autoencoder::{AutoencoderHalf, Direction};
use crate::random::{Draws, Stream};
use crate::spec::{Cifar10Data, Data, LATENT_FACTOR};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab data encode --vae sd-vae-ft-ema --data imagenet/train --side 256 --classes 1000 --flips --out latents --device cuda:0
  speedlab data encode --vae vae/diffusion_pytorch_model.safetensors --data cifar10:test --out cifar10-test-latents
  speedlab data encode --vae sd-vae-ft-ema --data pictures --side 64 --take moments --out latents

The autoencoder is diffusers' AutoencoderKL of Stable Diffusion's architecture:
a file of weights, or the folder with diffusion_pytorch_model.safetensors and
config.json. Latents are not scaled: `data.scale` of a sweep does that. Each
shard is written whole, with a sum of each picture for who aligns tokens by
these, and encoded.json says what latents were made from. Give a command that
was stopped again, and it goes on; what is missing or damaged is encoded
again. Without --classes latents have no labels.")]
pub struct EncodeArgs {
    /// The weights of the autoencoder: a file, or the folder that diffusers saved
    #[arg(long, value_name = "PATH")]
    vae: PathBuf,
    /// A folder of pictures, or a set: cifar10, cifar10:test
    #[arg(long, value_name = "FOLDER|SET")]
    data: String,
    /// The folder that latents are written to
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// The width and height that pictures of a folder are resized to, a multiple of 8 [default: 256]
    #[arg(long, value_name = "PIXELS")]
    side: Option<usize>,
    /// The number of class folders; 0 where pictures have no classes
    #[arg(long, value_name = "N", default_value_t = 0)]
    classes: usize,
    /// What is kept of each picture's distribution of latents
    #[arg(long, value_enum, default_value_t = Take::Sample)]
    take: Take,
    /// The seed of samples
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Encode the mirrored pictures too, for `data.horizontal_flips`
    #[arg(long)]
    flips: bool,
    /// The number of latents in a file
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::new(4096).expect("4096 is not 0"))]
    shard: NonZeroUsize,
    /// The device that encodes: cpu, or a GPU such as cuda:0
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    #[command(flatten)]
    data_args: DataArgs,
    /// No progress on stderr
    #[arg(long, short)]
    quiet: bool,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Take {
    /// One latent, drawn
    Sample,
    /// The mean
    Mean,
    /// Mean and log-variance: a latent is drawn each time it is trained on
    Moments,
}

/// The log-variances of a posterior are kept in this range, as in the autoencoder's own code.
const LOG_VARIANCES: (f32, f32) = (-30.0, 20.0);
/// Set in the number of the draws of a mirrored picture.
const MIRRORED: u64 = 1 << 40;
/// The version of what is printed with `--json`.
const ENCODE_JSON_VERSION: u32 = 1;

pub fn encode(args: &EncodeArgs) -> anyhow::Result<Exit> {
    let mut progress = DataProgress::new(args.quiet);
    let pictures = pictures(args, &mut progress)?;
    let file = AutoencoderFile::read(&args.vae).map_err(of_vae)?;
    let weights = file.weights(Direction::Encode).map_err(of_vae)?;
    let design = weights.design();
    if !pictures.side.is_multiple_of(LATENT_FACTOR) {
        let problem = format!("pictures of {0}x{0} pixels have no latents of whole pixels", pictures.side);
        return Err(
            usage("--side", problem, "the side must be a multiple of 8; a folder's pictures are resized").into()
        );
    }
    let encoded = Encoded {
        data: args.data.clone(),
        source: pictures.source.clone(),
        vae_sha256: file.sha256(design),
        channels: design.latent_channels,
        side: pictures.side / LATENT_FACTOR,
        take: args.take.to_possible_value().expect("none is hidden").get_name().to_owned(),
        seed: args.seed,
        flips: args.flips,
        images_per_shard: args.shard.get(),
    };
    let images = pictures.labels.len();
    if let Some(note) = file.note(design).filter(|_| !args.quiet) {
        progress.clear();
        eprintln!("note: {note}");
    }
    let Begun { mut manifest, mut whole } = begin(&args.out, encoded, images)?;
    if !manifest.complete {
        let device = device::open(args.device)?;
        let encoder = AutoencoderHalf::new(&weights, Direction::Encode, manifest.encoded.side, &device)
            .map_err(|error| of_vae(file.unfit()(error)))?;
        let job = Job { args, pictures: &pictures, encoder, encoded: manifest.encoded.clone() };
        while manifest.shards.len() * args.shard.get() < images {
            let number = manifest.shards.len();
            let shard = match whole.remove(&shard_name(number)) {
                Some(whole) => whole,
                None => job.shard(number, &mut progress)?,
            };
            manifest.shards.push(shard);
            manifest.write(&args.out)?;
        }
        manifest.complete = true;
        manifest.write(&args.out)?;
    }
    progress.clear();
    report(args, &manifest, weights.scaling_factor())?;
    Ok(Exit::AllDone)
}

/// What is encoded.
fn pictures(args: &EncodeArgs, progress: &mut DataProgress) -> anyhow::Result<PictureSource> {
    if Path::new(&args.data).is_dir() {
        let side = args.side.unwrap_or(256);
        return match PictureSource::folder(&args.data, side, args.classes) {
            Err(DataError::Folder { problem, hint }) => {
                let of_option = |text: &str| text.replace("`data.classes`", "--classes");
                Err(usage("--data", of_option(&problem), &of_option(hint.unwrap_or("name a folder of pictures")))
                    .into())
            }
            Ok(pictures) if pictures.labels.is_empty() => {
                let problem = format!("there are no pictures in {}", args.data);
                Err(usage("--data", problem, "PNG, JPEG, WebP, TIFF, BMP, PPM and PGM files are read").into())
            }
            other => Ok(other?),
        };
    }
    let (name, held_out) = match args.data.split_once(':') {
        Some((name, "test")) => (name, true),
        Some((name, "train")) => (name, false),
        _ => (args.data.as_str(), false),
    };
    let data = match name {
        "cifar10" => Data::Cifar10(Cifar10Data::default()),
        _ => {
            let problem = format!("there is no folder {}, and no set of that name", args.data);
            return Err(usage(
                "--data",
                problem,
                "name a folder of pictures, or cifar10; `cifar10:test` means held-out images",
            )
            .into());
        }
    };
    if args.side.is_some() || args.classes > 0 {
        let problem = format!("--side and --classes are of folders, and {name} has its own");
        return Err(usage("--data", problem, "leave them out").into());
    }
    let dataset = data::load(&data, &args.data_args.folder()?, &mut |step| progress.show(step))?;
    Ok(PictureSource::images(if held_out { dataset.test } else { dataset.train }))
}

/// What a command finds in its folder.
struct Begun {
    manifest: LatentsManifest,
    /// Shards that are whole although one before them is not, by their names.
    whole: BTreeMap<String, EncodedShard>,
}

fn shard_name(number: usize) -> String {
    format!("latents-{number:05}.safetensors")
}

/// Whether two values of --data are one folder, or are written alike.
fn is_same_data(one: &str, other: &str) -> bool {
    let place = |path: &str| fs::canonicalize(path).ok();
    one == other || place(one).is_some_and(|one| Some(one) == place(other))
}

/// A new manifest, or that of a command that was stopped; another's is refused.
fn begin(out: &Path, mut encoded: Encoded, images: usize) -> anyhow::Result<Begun> {
    fs::create_dir_all(out).map_err(|error| {
        usage("--out", format!("cannot make the folder {}: {error}", out.display()), "name another folder")
    })?;
    let found = LatentsManifest::read("--out", out)?;
    if let Some(found) = found.as_ref().filter(|found| is_same_data(&found.encoded.data, &encoded.data)) {
        encoded.data.clone_from(&found.encoded.data);
    }
    let fresh = LatentsManifest { version: LatentsManifest::VERSION, encoded, images, shards: vec![], complete: false };
    match found {
        Some(found) if (&found.encoded, found.images) == (&fresh.encoded, images) => {
            // What was removed or changed since is encoded again.
            let is_whole =
                |shard: &EncodedShard| file_digest(&out.join(&shard.name)).is_ok_and(|sha256| sha256 == shard.sha256);
            let whole: Vec<bool> = found.shards.iter().map(is_whole).collect();
            let complete = found.complete && whole.iter().all(|&whole| whole);
            let first = whole.iter().take_while(|&&whole| whole).count();
            let mut shards = found.shards;
            let later = shards.split_off(first).into_iter().zip(&whole[first..]);
            let later = later.filter(|(_, whole)| **whole).map(|(shard, _)| (shard.name.clone(), shard)).collect();
            Ok(Begun { manifest: LatentsManifest { shards, complete, ..fresh }, whole: later })
        }
        Some(_) => {
            let problem = format!("{} holds latents of other pictures, weights or settings", out.display());
            Err(usage("--out", problem, "name another folder; encoded.json there says what its latents are of").into())
        }
        None => {
            let others = fs::read_dir(out).map_err(|error| {
                usage("--out", format!("cannot read the folder {}: {error}", out.display()), "name another folder")
            })?;
            if others.flatten().any(|entry| entry.path().extension().is_some_and(|ending| ending == "safetensors")) {
                let problem = format!("{} holds .safetensors files that were not encoded here", out.display());
                return Err(usage("--out", problem, "name an empty folder").into());
            }
            fresh.write(out)?;
            Ok(Begun { manifest: fresh, whole: BTreeMap::new() })
        }
    }
}

struct Job<'a> {
    args: &'a EncodeArgs,
    pictures: &'a PictureSource,
    encoder: AutoencoderHalf,
    encoded: Encoded,
}

impl Job<'_> {
    /// Encodes and writes one shard.
    fn shard(&self, number: usize, progress: &mut DataProgress) -> anyhow::Result<EncodedShard> {
        let (per_shard, images) = (self.args.shard.get(), self.pictures.labels.len());
        let range = number * per_shard..images.min((number + 1) * per_shard);
        let (mut values, mut flipped, mut sums) = (Vec::new(), Vec::new(), Vec::new());
        for first in range.clone().step_by(self.encoder.batch_images()) {
            let batch = first..range.end.min(first + self.encoder.batch_images());
            let mut pixels = self.pictures.pixels(batch.clone())?;
            values.extend(self.latents(&pixels, first as u64));
            sums.extend(pixels.chunks_exact(pixels.len() / batch.len()).map(|pixels| picture_sum(&as_bytes(pixels))));
            if self.args.flips {
                pixels.chunks_exact_mut(self.pictures.side).for_each(<[f32]>::reverse);
                flipped.extend(self.latents(&pixels, first as u64 | MIRRORED));
            }
            let doing = format!("encoding {}", self.args.data);
            progress.show(&Progress { doing, done: batch.end as u64, total: Some(images as u64), unit: Unit::Images });
        }
        if let Some(index) = values.iter().chain(&flipped).position(|value| !value.is_finite()) {
            let image = range.start + index % values.len() / (values.len() / range.len());
            let problem = format!("the latent of image {image} is not finite");
            return Err(usage("--vae", problem, "are these the weights of a trained autoencoder?").into());
        }
        let Encoded { channels, side, .. } = self.encoded;
        let (name, depth) = match self.args.take {
            Take::Moments => ("moments", 2 * channels),
            _ => ("latents", channels),
        };
        let file = shard_name(number);
        let shape = [depth, side, side];
        let labels = self.pictures.has_classes.then(|| &self.pictures.labels[range]);
        let shard = LatentShard { name, shape, values: &values, flipped: &flipped, labels, pictures: &sums };
        let sha256 = write_latents(&self.args.out.join(&file), &shard)?;
        let latent = channels * side * side;
        let looked_at =
            || values.chunks_exact(depth * side * side).flat_map(|row| &row[..latent]).map(|x| f64::from(*x));
        Ok(EncodedShard { name: file, sha256, sum: looked_at().sum(), squares: looked_at().map(|x| x * x).sum() })
    }

    /// What is kept of a batch of pictures; `first` numbers their draws.
    fn latents(&self, pixels: &[f32], first: u64) -> Vec<f32> {
        let moments = self.encoder.forward(pixels, [3, self.pictures.side]);
        if self.args.take == Take::Moments {
            return moments;
        }
        let Encoded { channels, side, .. } = self.encoded;
        let values = channels * side * side;
        let mut latents = Vec::with_capacity(moments.len() / 2);
        for (draw, moments) in (first..).zip(moments.chunks_exact(2 * values)) {
            let (means, log_variances) = moments.split_at(values);
            if self.args.take == Take::Mean {
                latents.extend_from_slice(means);
                continue;
            }
            let mut noise = vec![0.0; values];
            Draws::new(self.args.seed, Stream::FixedPosterior, draw).fill_normal(&mut noise);
            latents.extend(noise.iter().zip(means.iter().zip(log_variances)).map(|(noise, (mean, log_variance))| {
                mean + (0.5 * log_variance.clamp(LOG_VARIANCES.0, LOG_VARIANCES.1)).exp() * noise
            }));
        }
        latents
    }
}

/// The bytes that pixels in [-1, 1] were made of.
fn as_bytes(pixels: &[f32]) -> Vec<u8> {
    pixels.iter().map(|pixel| ((pixel + 1.0) * 127.5).round() as u8).collect()
}

/// What was made, and how a sweep names it.
fn report(args: &EncodeArgs, manifest: &LatentsManifest, scaling_factor: Option<f64>) -> anyhow::Result<()> {
    let LatentsManifest { encoded, images, shards, .. } = manifest;
    let (deviation, out) = (manifest.deviation(), args.out.display());
    if args.json {
        out!(
            "{}",
            json!({
                "version": ENCODE_JSON_VERSION, "folder": args.out, "images": images, "shards": shards.len(),
                "channels": encoded.channels, "side": encoded.side, "deviation": deviation, "scaling_factor": scaling_factor,
            })
        );
        return Ok(());
    }
    out!("{out}: {images} latents of {0}x{1}x{1} in {2} files", encoded.channels, encoded.side, shards.len());
    let scale = match scaling_factor {
        Some(factor) => format!("{factor}"),
        None => "0.18215".to_owned(),
    };
    out!("their standard deviation is {deviation:.4}, times `scale: {scale}` {:.3}", deviation * scale.parse::<f64>()?);
    let moments = if args.take == Take::Moments { ", moments: true" } else { "" };
    let flips = if args.flips { ", horizontal_flips: true" } else { "" };
    let classes = if args.classes > 0 { format!(", classes: {}", args.classes) } else { String::new() };
    out!(
        "data: {{ kind: latents, path: {out}, channels: {}, side: {}, scale: {scale}{classes}{moments}{flips}, decoder: {} }}",
        encoded.channels,
        encoded.side,
        args.vae.display()
    );
    Ok(())
}

fn of_vae(AutoencoderFileError { problem, hint }: AutoencoderFileError) -> DataError {
    DataError::Latents { key: "--vae", problem, hint }
}

fn usage(key: &'static str, problem: String, hint: &str) -> DataError {
    DataError::Latents { key, problem, hint: hint.to_owned() }
}
