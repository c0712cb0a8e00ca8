//! `speedlab sample`: images from a run's averaged weights.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use super::Exit;
use super::run_network::RunNetwork;
use crate::evaluate::{generate_images, grid_png};
use crate::record::write_beside;

#[derive(Debug, Args)]
#[command(
    after_help = "The images come from the averaged weights of the run's last checkpoint, by the sampler its sweep names. A model that is told
classes draws image i of class i modulo the number of classes.

Example:
  speedlab sample results/quickstart/runs/0123456789ab --images 100 --seed 7 --out digits.png"
)]
pub struct SampleArgs {
    /// The folder of the run: `results/<sweep>/runs/<run-id>`
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// How many images
    #[arg(long, value_name = "N", default_value_t = 64)]
    images: usize,
    /// Another seed gives other images; with 0 they are those that the evaluations measured
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where the picture goes, a PNG
    #[arg(long, value_name = "FILE", default_value = "samples.png")]
    out: PathBuf,
}

pub fn sample(args: &SampleArgs) -> anyhow::Result<Exit> {
    if args.images == 0 {
        bail!("--images must be at least 1");
    }
    let out = std::path::absolute(&args.out)?;
    if let Some(parent) = out.parent().filter(|parent| !parent.is_dir()) {
        bail!("there is no folder {}", parent.display());
    }
    let RunNetwork { spec, network, step } = RunNetwork::read(&args.run)?;
    let images = generate_images(&spec, &network, args.seed, 0..args.images)?;
    let (channels, side) = spec.data.image_shape();
    write_beside(&out, &grid_png(&images, channels, side)?)?;
    out!("{}: {} images at step {}", args.out.display(), args.images, step);
    Ok(Exit::AllDone)
}
