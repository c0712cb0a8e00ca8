//! `speedlab bench-data`: times how fast batches are made. `scripts/bench-data.sh` runs it against PyTorch.

use std::io::{BufRead as _, Write as _};

use anyhow::Context as _;
use clap::Args;

use super::{DataArgs, Exit};
use crate::data::{self, Batch, BatchSettings, BatchSource};
use crate::spec::{self, Data};
use crate::train::Stopwatch;

/// Prints one JSON line about the images, then one for each round.
#[derive(Debug, Args)]
pub struct BenchDataArgs {
    /// The images, as JSON of the key `data`
    #[arg(long)]
    images: String,
    /// Images of a batch
    #[arg(long, default_value_t = 125)]
    batch: usize,
    /// Batches of a round
    #[arg(long, default_value_t = 400)]
    batches: usize,
    /// Rounds
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Start each round at a line of standard input, and end with it
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    data: DataArgs,
}

pub fn bench_data(args: &BenchDataArgs) -> anyhow::Result<Exit> {
    anyhow::ensure!(args.batch > 0 && args.batches > 0, "--batch and --batches are 1 or more");
    let images: serde_json::Value = serde_json::from_str(&args.images).context("--images is no JSON")?;
    let images: Data = spec::decode_json(&images).map_err(|error| anyhow::anyhow!("--images: {error}"))?;
    let mut stopwatch = Stopwatch::continuing(&crate::event::Stamp::default());
    let folder = args.data.folder()?;
    let dataset = stopwatch.training(|| data::load(&images, &folder, &mut |_| {}))?;
    print_line(&serde_json::json!({
        "version": 1,
        "images": dataset.train.len(),
        "threads": rayon::current_num_threads(),
        "load_seconds": stopwatch.train_seconds(),
    }))?;
    let settings = BatchSettings { sizes: args.batch.into(), flips: images.horizontal_flips(), seed: 0 };
    let mut source = BatchSource::start(&dataset.train, settings, 0)?;
    let mut lines = std::io::stdin().lock().lines();
    let mut round = 0;
    while args.wait || round < args.rounds {
        if args.wait && lines.next().transpose()?.is_none() {
            break;
        }
        let before = stopwatch.train_seconds();
        let mut sums = Sums::default();
        stopwatch.training(|| (0..args.batches).for_each(|_| sums.add(&source.next_batch())));
        print_line(&serde_json::json!({
            "seconds": stopwatch.train_seconds() - before,
            "images": args.batches * args.batch,
            "label_sum": sums.labels,
            "corner_sum": sums.corners,
        }))?;
        round += 1;
    }
    Ok(Exit::AllDone)
}

/// Sums that show whether two programs made the same images. They cost next to nothing.
#[derive(Debug, Default, PartialEq)]
struct Sums {
    labels: u64,
    /// The sum of each image's first value.
    corners: f64,
}

impl Sums {
    fn add(&mut self, batch: &Batch) {
        let image_values = batch.pixels.len() / batch.labels.len();
        self.labels += batch.labels.iter().map(|&label| u64::from(label)).sum::<u64>();
        self.corners += batch.pixels.iter().step_by(image_values).map(|&value| f64::from(value)).sum::<f64>();
    }
}

fn print_line(value: &serde_json::Value) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{value}")?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_of_labels_and_of_first_values() {
        let mut sums = Sums::default();
        let batch = Batch {
            indices: vec![4, 2],
            pixels: vec![0.5, 9.0, -1.0, 9.0],
            labels: vec![3, 300],
            mirrored: vec![false; 2],
        };
        sums.add(&batch);
        sums.add(&batch);
        assert_eq!(sums, Sums { labels: 606, corners: -1.0 });
    }
}
