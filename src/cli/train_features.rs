//! `speedlab train-features`: the classifiers whose activations a Fréchet distance compares.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::data_progress::DataProgress;
use super::{DataArgs, Exit};
use crate::data;
use crate::model::{DIGITS_CNN, MNIST_CNN};
use crate::record::write_beside;
use crate::spec::{Data, MnistData};
use crate::train;

#[derive(Debug, Args)]
#[command(after_help = "This command made the weights that ship with the program, with its defaults.

Examples:
  speedlab train-features digits-cnn --out digits-cnn.safetensors
  speedlab data fetch mnist && speedlab train-features mnist-cnn --out mnist-cnn.safetensors")]
pub struct TrainFeaturesArgs {
    #[arg(value_enum)]
    features: TrainableFeatures,
    /// The safetensors file that the weights are written to
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The seed of initial weights and batches
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Optimizer steps [default: 1500 for digits-cnn, 4690 (5 times all images) for mnist-cnn]
    #[arg(long)]
    steps: Option<u64>,
    #[command(flatten)]
    data: DataArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TrainableFeatures {
    DigitsCnn,
    MnistCnn,
}

pub fn train_features(args: &TrainFeaturesArgs) -> anyhow::Result<Exit> {
    let (design, data, default_steps) = match args.features {
        TrainableFeatures::DigitsCnn => (&DIGITS_CNN, Data::default(), 1500),
        TrainableFeatures::MnistCnn => (&MNIST_CNN, Data::Mnist(MnistData {}), 4690),
    };
    let steps = args.steps.unwrap_or(default_steps);
    let dataset = {
        let mut progress = DataProgress::new(false);
        data::load(&data, &args.data.folder()?, &mut |step| progress.show(step))?
    };
    let trained = train::train_classifier(design, &dataset, args.seed, steps, &mut |step, loss| {
        if step.is_multiple_of(100) {
            eprintln!("step {step}/{steps}  loss {loss:.4}");
        }
    })?;
    let out = std::path::absolute(&args.out)?;
    write_beside(&out, &trained.safetensors)?;
    out!("{}: test accuracy {:.2} %", out.display(), 100.0 * trained.test_accuracy);
    Ok(Exit::AllDone)
}
