//! `speedlab train-features`: the classifier whose activations a Fréchet distance compares.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Exit;
use crate::record::write_beside;
use crate::train;

#[derive(Debug, Args)]
#[command(after_help = "The weights that ship with the program were made by this command with its defaults.

Example:
  speedlab train-features digits-cnn --out digits-cnn.safetensors")]
pub struct TrainFeaturesArgs {
    #[arg(value_enum)]
    features: TrainableFeatures,
    /// Where the weights go, a safetensors file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Decides initial weights and batches
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Optimizer steps
    #[arg(long, default_value_t = 1500)]
    steps: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TrainableFeatures {
    DigitsCnn,
}

pub fn train_features(args: &TrainFeaturesArgs) -> anyhow::Result<Exit> {
    let TrainableFeatures::DigitsCnn = args.features;
    let trained = train::train_digits_cnn(args.seed, args.steps, &mut |step, loss| {
        if step.is_multiple_of(100) {
            eprintln!("step {step}/{}  loss {loss:.4}", args.steps);
        }
    })?;
    let out = std::path::absolute(&args.out)?;
    write_beside(&out, &trained.safetensors)?;
    out!("{}: test accuracy {:.2} %", out.display(), 100.0 * trained.test_accuracy);
    Ok(Exit::AllDone)
}
