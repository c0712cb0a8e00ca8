//! `speedlab bench-features`: times a large feature network on the CPU and on a device, and compares what they compute.
//! `scripts/gpu/measure.sh` and the tests of GPUs run it.

use clap::Args;

use super::Exit;
use super::fid::FeaturesName;
use crate::device::{self, DeviceName};
use crate::evaluate::{FeatureNetwork, FeaturesOn, FrozenNetwork};
use crate::event::Stamp;
use crate::kernels::{Kernels, Products};
use crate::random::{Draws, Stream};
use crate::spec::{Features, Resize};
use crate::train::Stopwatch;

/// Prints one JSON value. The network has made-up weights: what they are changes no time.
#[derive(Debug, Args)]
pub struct BenchFeaturesArgs {
    /// The network: `inception-v3` and its earlier layers, or `efficientnet-lite0`
    #[arg(long, default_value = "inception-v3")]
    features: FeaturesName,
    #[arg(long, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// Multiply in bf16, as `evaluate.fid.precision: bf16` does; for the CPU
    #[arg(long)]
    bf16: bool,
    /// Images of a round, of 32x32 pixels
    #[arg(long, default_value_t = 256)]
    images: usize,
    /// Timed rounds
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// The side of the images.
const SIDE: usize = 32;
/// The most images that are compared.
const PROBED_IMAGES: usize = 16;

pub fn bench_features(args: &BenchFeaturesArgs) -> anyhow::Result<Exit> {
    let features = args.features.0;
    let name = features.name();
    anyhow::ensure!(
        !features.are_of_file(),
        "`{name}` needs a file of weights, and what is timed here has made-up ones"
    );
    anyhow::ensure!(features.weights().is_some(), "`{name}` is no large network, and stays on the CPU");
    anyhow::ensure!(args.images > 0 && args.rounds > 0, "--images and --rounds are 1 or more");
    let device = device::open(args.device)?;
    let products = match args.bf16 {
        false => Products::F32,
        true => {
            anyhow::ensure!(
                args.device == DeviceName::Cpu,
                "feature networks in bf16 are the CPU's: leave --device out"
            );
            Kernels::bf16_for_device(&device)?;
            Products::Bf16
        }
    };
    let network = made_up(features, products)?;
    let pixels = made_up_images(args.images);
    let image_values = 3 * SIDE * SIDE;
    let mut clock = Stopwatch::continuing(&Stamp::default());

    let rounds = |network: &FeatureNetwork, clock: &mut Stopwatch| {
        let seconds = (0..args.rounds).map(|_| {
            let before = clock.train_seconds();
            clock.training(|| network.features(&pixels[..args.images * image_values]));
            clock.train_seconds() - before
        });
        seconds.collect::<Vec<f64>>()
    };
    let cpu_seconds = rounds(&network, &mut clock);
    let placed =
        clock.setting_up(|| network.compute_on(&device, &pixels[..args.images.min(PROBED_IMAGES) * image_values]));
    let first_seconds = clock.stamp(0, 0).setup_seconds;
    let (agrees, difference) = match placed {
        FeaturesOn::Device { difference } => (true, difference),
        FeaturesOn::CpuSinceOther { difference } => (false, difference),
        FeaturesOn::Cpu => (true, 0.0),
    };
    // A device that disagrees is not asked again.
    let device_seconds = if agrees { rounds(&network, &mut clock) } else { vec![] };
    let line = serde_json::json!({
        "version": 1,
        "features": features.name(),
        "device": args.device.to_string(),
        "bf16": args.bf16,
        "images": args.images,
        "cpu_threads": rayon::current_num_threads(),
        "cpu_seconds": cpu_seconds,
        "first_seconds": first_seconds,
        "device_seconds": device_seconds,
        "largest_difference": difference,
        "agrees": agrees,
    });
    println!("{line}");
    Ok(if agrees { Exit::AllDone } else { Exit::SomeFailed })
}

/// With weights that keep the size of activations (He et al. 2015, arXiv 1502.01852, equation 10).
fn made_up(features: Features, products: Products) -> anyhow::Result<FeatureNetwork> {
    let source = |name: &str, shape: &[usize]| {
        let mut values = vec![0.0; shape.iter().product()];
        let number = name.bytes().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        Draws::new(number, Stream::Weights, 0).fill_normal(&mut values);
        let inputs = shape[1..].iter().product::<usize>() as f32;
        let of = |value: f32| match name {
            _ if name.ends_with("running_var") => 1.0 + 0.1 * value.abs(),
            _ if shape.len() == 1 && name.ends_with("weight") => 1.0,
            _ if shape.len() == 1 => 0.1 * value,
            _ => value * (2.0 / inputs).sqrt(),
        };
        values.iter_mut().for_each(|value| *value = of(*value));
        Ok(values)
    };
    let network = Box::new(FrozenNetwork::new(features, Resize::Customary, products, &source)?);
    Ok(FeatureNetwork::Frozen { network, image_shape: (3, SIDE) })
}

/// Waves and noise, `[count, 3, 32, 32]` in [-1, 1].
fn made_up_images(count: usize) -> Vec<f32> {
    let mut noise = vec![0.0; count * 3 * SIDE * SIDE];
    Draws::new(0, Stream::Noise, 0).fill_normal(&mut noise);
    let pixel = |(index, noise): (usize, &f32)| {
        let (image, place) = (index / (3 * SIDE * SIDE), index % (SIDE * SIDE));
        let wave = (place % SIDE) as f32 * (0.1 + 0.03 * image as f32) + (place / SIDE) as f32 * 0.2;
        (0.6 * wave.sin() + 0.2 * noise).clamp(-1.0, 1.0)
    };
    noise.iter().enumerate().map(pixel).collect()
}
