//! `speedlab landscape`: the loss around trained weights.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::run_network::read_run;
use super::{DataArgs, Exit};
use crate::data;
use crate::evaluate::landscape::{
    Lanczos, LossSurface, RitzValue, TraceEstimate, filter_normalized, hutchinson, lanczos, length, normal,
};
use crate::record::write_beside;
use crate::report::number::significant;
use crate::report::{BetweenRuns, LossPlane, RunLandscape, write_landscape};
use crate::spec::PlannedRun;

#[derive(Debug, Args)]
#[command(
    after_help = "The loss is the validation loss of the first held-out images, each at one timestep of every bin of t, always the same. Lines and planes
are along random directions whose every filter is as long as that of the weights (Li et al. 2018, arXiv 1712.09913). Products with
the Hessian are central differences of gradients in f32; how much they change with half the step is printed beside the eigenvalues.

Examples:
  speedlab landscape results/quickstart/runs/0123456789ab
  speedlab landscape results/quickstart/runs/* --plane 0 --eigenvalues 0 --trace 0
  speedlab landscape RUN1 RUN2 --images 64 --lanczos 60 --out drawings
  speedlab landscape RUN --json | jq '.runs[0].hessian.eigenvalues[0]'"
)]
pub struct LandscapeArgs {
    /// Folders of runs: `results/<sweep>/runs/<run-id>`; the first is compared with each of the others
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Which weights of the run's last checkpoint
    #[arg(long, value_enum, default_value_t = Weights::Ema)]
    weights: Weights,
    /// How many held-out images the loss is of
    #[arg(long, value_name = "N", default_value_t = 16)]
    images: usize,
    /// Losses along each line; 0 draws no lines
    #[arg(long, value_name = "N", default_value_t = 25)]
    points: usize,
    /// Random lines through the weights
    #[arg(long, value_name = "N", default_value_t = 5)]
    directions: usize,
    /// Losses along each side of a random plane; 0 draws none
    #[arg(long, value_name = "N", default_value_t = 21)]
    plane: usize,
    /// How far lines and planes go, in lengths of the filters
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    extent: f64,
    /// How many of the Hessian's eigenvalues; 0 finds none
    #[arg(long, value_name = "K", default_value_t = 5)]
    eigenvalues: usize,
    /// Steps of Lanczos' method, a product with the Hessian each
    #[arg(long, value_name = "N", default_value_t = 30)]
    lanczos: usize,
    /// Samples of the Hessian's trace, a product each; 0 estimates none
    #[arg(long, value_name = "N", default_value_t = 20)]
    trace: usize,
    /// Step of the central differences, in lengths of the weight vector
    #[arg(long, value_name = "X", default_value_t = 3e-4)]
    step: f64,
    /// Another seed draws other directions
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where the figures go, and landscape.json with the numbers
    #[arg(long, value_name = "DIR", default_value = "landscape")]
    out: PathBuf,
    /// Print the numbers as one JSON value
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Weights {
    /// The averaged ones, which evaluations measure
    Ema,
    /// Those of the last step
    Raw,
}

/// The version of `landscape --json`.
const LANDSCAPE_VERSION: u32 = 1;
/// Lines between two sets of weights go so far beyond both, in lengths of the way.
const BEYOND: f64 = 0.25;
/// Indices of random draws, apart for each use: directions of lines and of the plane come first.
const LANCZOS_DRAW: u64 = 1 << 20;
const CHECK_DRAW: u64 = LANCZOS_DRAW + 1;
const TRACE_DRAWS: u64 = 1 << 21;
const PLANE_DRAWS: u64 = 1 << 22;

#[derive(Serialize)]
struct Landscape {
    version: u32,
    weights: Weights,
    /// How the loss is measured.
    loss: String,
    /// Of the directions.
    seed: u64,
    runs: Vec<OfRun>,
    between: Vec<OfPair>,
}

#[derive(Serialize)]
struct OfRun {
    run_id: String,
    trial: String,
    run_seed: u64,
    step: u64,
    parameters: usize,
    loss_at_the_weights: f64,
    gradient_norm: f64,
    weight_norm: f64,
    /// (share of the way, loss).
    from_initial: Vec<(f64, f64)>,
    /// (distance, loss) along each direction.
    random_lines: Vec<Vec<(f64, f64)>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plane: Option<Plane>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hessian: Option<Hessian>,
}

#[derive(Serialize)]
struct Plane {
    at: Vec<f64>,
    /// By the second direction, then by the first.
    losses: Vec<Vec<f64>>,
}

#[derive(Serialize)]
struct Hessian {
    /// Of the central differences, along a unit vector.
    step: f64,
    lanczos_steps: usize,
    eigenvalues: Vec<Eigenvalue>,
    smallest: Option<Eigenvalue>,
    trace: Option<Trace>,
    /// |H v - H' v| / |H v| with H' of half the step: for a random v, and for that of the largest eigenvalue.
    change_with_half_the_step: Option<f64>,
    change_with_half_the_step_at_the_first: Option<f64>,
}

#[derive(Clone, Copy, Serialize)]
struct Eigenvalue {
    value: f64,
    /// Some eigenvalue is no farther off, as far as the products are exact.
    residual: f64,
}

#[derive(Serialize)]
struct Trace {
    value: f64,
    standard_error: Option<f64>,
    samples: usize,
}

#[derive(Serialize)]
struct OfPair {
    first: String,
    second: String,
    /// (share of the way, loss).
    points: Vec<(f64, f64)>,
    /// The largest loss between them over what a straight line between their losses has there; negative where the loss sags.
    barrier: Option<f64>,
}

/// A run with its weights.
struct Trained {
    planned: PlannedRun,
    name: String,
    step: u64,
    weights: Vec<f32>,
}

pub fn landscape(args: &LandscapeArgs) -> anyhow::Result<Exit> {
    check(args)?;
    let trained = args.runs.iter().map(|run| read(run, args.weights)).collect::<anyhow::Result<Vec<Trained>>>()?;
    let out = std::path::absolute(&args.out)?;
    fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let data_folder = args.data.folder()?;

    let (mut runs, mut drawn, mut between, mut drawn_between) = (vec![], vec![], vec![], vec![]);
    let mut loss = String::new();
    for (index, run) in trained.iter().enumerate() {
        let spec = &run.planned.spec;
        let dataset = data::load_for(spec, &data_folder, &mut |_| {})?;
        let mut surface = LossSurface::new(spec, &dataset, args.images)?;
        if index == 0 {
            loss = surface.protocol();
        }
        let initial = surface.weights();
        let name = |what: &str| format!("{}: {what}", run.name);
        if index > 0 && args.points > 0 {
            let first = &trained[0];
            compatible(first, run, &loss, &surface.protocol())?;
            eprintln!("{}", name("the line to the first run"));
            let points = line(&mut surface, &first.weights, &run.weights, args.points)?;
            let pair = format!("{} to {}", first.name, run.name);
            drawn_between.push(BetweenRuns { name: pair, points: points.clone() });
            let (first, second) = (first.planned.run_id.to_string(), run.planned.run_id.to_string());
            between.push(OfPair { first, second, barrier: barrier(&points), points });
        }
        let of_run = of_run(args, run, &mut surface, &initial)?;
        drawn.push(RunLandscape {
            name: run.name.clone(),
            from_initial: of_run.from_initial.clone(),
            slices: of_run.random_lines.clone(),
            plane: of_run.plane.as_ref().map(|plane| LossPlane { at: plane.at.clone(), losses: plane.losses.clone() }),
            eigenvalues: of_run.hessian.iter().flat_map(|found| &found.eigenvalues).map(|found| found.value).collect(),
        });
        runs.push(of_run);
    }
    let landscape =
        Landscape { version: LANDSCAPE_VERSION, weights: args.weights, loss, seed: args.seed, runs, between };
    let json = serde_json::to_string(&landscape)?;
    let mut paths = write_landscape(&drawn, &drawn_between, &out)?;
    let numbers = out.join("landscape.json");
    write_beside(&numbers, format!("{json}\n").as_bytes())?;
    paths.push(numbers);
    if args.json {
        out!("{json}");
        return Ok(Exit::AllDone);
    }
    out!("{}", words(&landscape));
    for path in paths {
        out!("{}", path.display());
    }
    Ok(Exit::AllDone)
}

fn check(args: &LandscapeArgs) -> anyhow::Result<()> {
    if args.images == 0 {
        bail!("--images must be at least 1");
    }
    for (name, value) in [("--points", args.points), ("--plane", args.plane)] {
        if value == 1 || value > 1000 {
            bail!("{name} must be 0, for none, or from 2 to 1000, not {value}");
        }
    }
    for (name, value, most) in [("--extent", args.extent, 1e6), ("--step", args.step, 1.0)] {
        if !(value > 0.0 && value <= most) {
            bail!("{name} must be above 0 and at most {most}, not {value}");
        }
    }
    if args.eigenvalues > args.lanczos {
        bail!(
            "--eigenvalues {} needs at least as many steps of --lanczos, not {}\nhint: three times as many find them well",
            args.eigenvalues,
            args.lanczos
        );
    }
    Ok(())
}

fn read(run: &Path, weights: Weights) -> anyhow::Result<Trained> {
    let (planned, checkpoint) = read_run(run)?;
    let name = format!("{}, seed {}", planned.trial, planned.seed);
    let step = checkpoint.progress.stamp.step;
    let weights = match weights {
        Weights::Ema => checkpoint.ema_weights,
        Weights::Raw => checkpoint.weights,
    };
    Ok(Trained { planned, name, step, weights })
}

/// Whether a line between the weights of two runs is one of networks of both.
fn compatible(first: &Trained, second: &Trained, first_loss: &str, second_loss: &str) -> anyhow::Result<()> {
    let (one, other) = (&first.planned.spec, &second.planned.spec);
    let reason = if one.model != other.model {
        "their models differ".to_owned()
    } else if one.data != other.data || one.noise_schedule != other.noise_schedule {
        "their images or noise schedules differ".to_owned()
    } else if first_loss != second_loss {
        format!("their losses differ: {first_loss}; {second_loss}")
    } else {
        return Ok(());
    };
    bail!("there is no line from {} to {}: {reason}\nhint: look at them one at a time", first.name, second.name)
}

fn of_run(args: &LandscapeArgs, run: &Trained, surface: &mut LossSurface, initial: &[f32]) -> anyhow::Result<OfRun> {
    let say = |what: String| eprintln!("{}: {what}", run.name);
    let weights = &run.weights;
    let mut found = OfRun {
        run_id: run.planned.run_id.to_string(),
        trial: run.planned.trial.clone(),
        run_seed: run.planned.seed,
        step: run.step,
        parameters: weights.len(),
        loss_at_the_weights: surface.loss(weights)?,
        gradient_norm: length(&surface.gradient(weights)),
        weight_norm: length(weights),
        from_initial: vec![],
        random_lines: vec![],
        plane: None,
        hessian: None,
    };
    let layout = surface.layout().to_vec();
    if args.points > 0 {
        say("the line from the initial weights".to_owned());
        found.from_initial = line(surface, initial, weights, args.points)?;
        let at = spaced(args.points, -args.extent, args.extent);
        for index in 0..args.directions {
            say(format!("random line {} of {}", index + 1, args.directions));
            let direction = filter_normalized(args.seed, index as u64, weights, &layout);
            let loss = |&at: &f64| Ok((at, surface.loss(&moved(weights, &[(at, &direction)]))?));
            found.random_lines.push(at.iter().map(loss).collect::<anyhow::Result<_>>()?);
        }
    }
    if args.plane > 0 {
        let direction = |index| filter_normalized(args.seed, PLANE_DRAWS + index, weights, &layout);
        let (across, up) = (direction(0), direction(1));
        let at = spaced(args.plane, -args.extent, args.extent);
        let mut losses = vec![];
        for (index, &y) in at.iter().enumerate() {
            say(format!("row {} of {} of the plane", index + 1, at.len()));
            let loss = |&x: &f64| Ok(surface.loss(&moved(weights, &[(x, &across), (y, &up)]))?);
            losses.push(at.iter().map(loss).collect::<anyhow::Result<_>>()?);
        }
        found.plane = Some(Plane { at, losses });
    }
    if args.eigenvalues > 0 || args.trace > 0 {
        found.hessian = Some(hessian(args, surface, weights, &say)?);
    }
    Ok(found)
}

fn hessian(
    args: &LandscapeArgs,
    surface: &mut LossSurface,
    weights: &[f32],
    say: &dyn Fn(String),
) -> anyhow::Result<Hessian> {
    let step = args.step * length(weights);
    let count = weights.len();
    let mut products = 0;
    let mut found: Option<Lanczos> = None;
    if args.eigenvalues > 0 {
        let mut product = |v: &[f32]| {
            products += 1;
            say(format!("Lanczos' method, step {products} of {}", args.lanczos));
            surface.hessian_product(weights, v, step)
        };
        found = Some(lanczos(normal(args.seed, LANCZOS_DRAW, count), args.lanczos, &mut product)?);
    }
    let values = found.as_ref().map_or(Ok(vec![]), |found| {
        found.values().context("the eigenvalues of Lanczos' small matrix did not converge")
    })?;
    let mut samples = 0;
    let mut product = |v: &[f32]| {
        samples += 1;
        say(format!("sample {samples} of {} of the trace", args.trace));
        surface.hessian_product(weights, v, step)
    };
    let trace = hutchinson(args.seed, TRACE_DRAWS, count, args.trace, &mut product)?;
    say("the error of the differences".to_owned());
    let mut change = |v: &[f32]| -> anyhow::Result<f64> {
        let (whole, half) =
            (surface.hessian_product(weights, v, step)?, surface.hessian_product(weights, v, step / 2.0)?);
        let difference: Vec<f32> = whole.iter().zip(&half).map(|(whole, half)| whole - half).collect();
        Ok(length(&difference) / length(&whole))
    };
    let mut random = normal(args.seed, CHECK_DRAW, count);
    let norm = length(&random);
    random.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
    let change_with_half_the_step = Some(change(&random)?);
    let first = found.as_ref().and_then(Lanczos::first_vector);
    let eigenvalue = |found: &RitzValue| Eigenvalue { value: found.value, residual: found.residual };
    Ok(Hessian {
        step,
        lanczos_steps: found.as_ref().map_or(0, Lanczos::steps),
        eigenvalues: values.iter().take(args.eigenvalues).map(eigenvalue).collect(),
        smallest: values.last().map(eigenvalue),
        trace: trace.map(|TraceEstimate { trace: value, standard_error, samples }| Trace {
            value,
            standard_error,
            samples,
        }),
        change_with_half_the_step,
        change_with_half_the_step_at_the_first: first.map(|first| change(&first)).transpose()?,
    })
}

/// (share of the way, loss) on the straight line and a little beyond both ends, which themselves are among the points.
fn line(surface: &mut LossSurface, from: &[f32], to: &[f32], points: usize) -> anyhow::Result<Vec<(f64, f64)>> {
    let way: Vec<f32> = from.iter().zip(to).map(|(from, to)| to - from).collect();
    let shares = shares(points);
    let loss = |share: f64| {
        // Exactly the weights at either end.
        let at = if share == 1.0 { to.to_vec() } else { moved(from, &[(share, &way)]) };
        Ok((share, surface.loss(&at)?))
    };
    shares.into_iter().map(loss).collect()
}

/// Evenly from a little before 0 to a little after 1, which are both exactly among them.
fn shares(points: usize) -> Vec<f64> {
    let apart = |share: &f64| share.abs() > 1e-9 && (share - 1.0).abs() > 1e-9;
    let mut shares: Vec<f64> = spaced(points, -BEYOND, 1.0 + BEYOND).into_iter().filter(apart).collect();
    shares.extend([0.0, 1.0]);
    shares.sort_by(f64::total_cmp);
    shares
}

fn spaced(count: usize, from: f64, to: f64) -> Vec<f64> {
    // From both ends alike, so that the middle of an odd count is exactly the middle.
    let share = |index: usize| index as f64 / (count - 1) as f64;
    (0..count).map(|index| from * (1.0 - share(index)) + to * share(index)).collect()
}

fn moved(weights: &[f32], by: &[(f64, &[f32])]) -> Vec<f32> {
    let at = |index: usize| {
        let moved = by.iter().map(|(far, direction)| far * f64::from(direction[index])).sum::<f64>();
        (f64::from(weights[index]) + moved) as f32
    };
    (0..weights.len()).map(at).collect()
}

/// `None` where the loss at an end is not finite.
fn barrier(points: &[(f64, f64)]) -> Option<f64> {
    let at =
        |share: f64| points.iter().find(|point| point.0 == share).map(|point| point.1).filter(|loss| loss.is_finite());
    let (start, end) = (at(0.0)?, at(1.0)?);
    let inside = points.iter().filter(|(share, _)| *share > 0.0 && *share < 1.0);
    inside.map(|(share, loss)| loss - (start + share * (end - start))).reduce(f64::max)
}

fn words(landscape: &Landscape) -> String {
    let four = |value: f64| significant(value, 4);
    let mut lines = vec![format!("loss: {}", landscape.loss)];
    for run in &landscape.runs {
        lines.push(format!(
            "{}, seed {} ({}, step {}, {} parameters): loss {}, gradient {}",
            run.trial,
            run.run_seed,
            run.run_id,
            run.step,
            run.parameters,
            four(run.loss_at_the_weights),
            four(run.gradient_norm)
        ));
        let Some(hessian) = &run.hessian else { continue };
        // What Lanczos' method leaves open, and what the differences do.
        let change = hessian.change_with_half_the_step_at_the_first.unwrap_or(0.0);
        let open = |found: &Eigenvalue| significant(found.residual + change * found.value.abs(), 2);
        let values = hessian.eigenvalues.iter().map(|found| format!("{} ± {}", four(found.value), open(found)));
        let values: Vec<String> = values.collect();
        if !values.is_empty() {
            lines.push(format!("  largest eigenvalues of the Hessian: {}", values.join(", ")));
        }
        if let Some(smallest) = &hessian.smallest {
            lines.push(format!("  smallest that {} steps saw: {}", hessian.lanczos_steps, four(smallest.value)));
        }
        if let Some(trace) = &hessian.trace {
            let error = trace
                .standard_error
                .map_or(String::new(), |error| format!(" ± {} (standard error)", significant(error, 2)));
            lines.push(format!("  trace: {}{error}, {} samples", four(trace.value), trace.samples));
        }
        let changes = [hessian.change_with_half_the_step, hessian.change_with_half_the_step_at_the_first];
        let changes: Vec<String> = changes.iter().flatten().map(|change| significant(*change, 2)).collect();
        lines.push(format!(
            "  products by central differences over ±{}; with half of it they change by {} of their length (a random vector{})",
            significant(hessian.step, 2),
            changes.join(" and "),
            if changes.len() > 1 { ", the first eigenvector" } else { "" }
        ));
    }
    for pair in &landscape.between {
        let barrier = pair.barrier.map_or("not known".to_owned(), four);
        lines.push(format!("{} to {}: barrier {barrier}", pair.first, pair.second));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barrier_is_what_rises_over_the_straight_line_between_the_ends() {
        let points = [(-0.25, 9.0), (0.0, 1.0), (0.5, 3.0), (0.75, 2.0), (1.0, 2.0), (1.25, 9.0)];
        assert_eq!(barrier(&points), Some(1.5));
        assert_eq!(barrier(&[(0.0, f64::NAN), (0.5, 1.0), (1.0, 1.0)]), None);
        assert_eq!(barrier(&[(0.0, 1.0), (0.5, 0.25), (1.0, 1.0)]), Some(-0.75));
    }

    #[test]
    fn the_middle_of_a_line_is_the_weights_themselves() {
        assert_eq!(spaced(21, -1.0, 1.0)[10], 0.0);
        // Where the even points come near the ends, the ends themselves take their place.
        assert_eq!((shares(25).len(), shares(10).len()), (25, 12));
        assert!([25, 10].iter().all(|&points| shares(points).contains(&0.0) && shares(points).contains(&1.0)));
        assert_eq!(spaced(2, -0.5, 2.0), [-0.5, 2.0]);
        assert_eq!(moved(&[1.0, 2.0], &[(0.0, &[5.0, 7.0])]), [1.0, 2.0]);
        assert_eq!(moved(&[1.0, 2.0], &[(0.5, &[2.0, 4.0]), (1.0, &[1.0, 0.0])]), [3.0, 4.0]);
    }
}
