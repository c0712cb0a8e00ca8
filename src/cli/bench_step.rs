//! `speedlab bench-step`: times training steps, sampling or a plain matrix product on made-up images. `scripts/bench-cpu.sh`
//! and `scripts/gpu/measure.sh` run it against PyTorch.

mod trace;

use std::io::{BufRead as _, Write as _};
use std::str::FromStr;

use anyhow::Context as _;
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use clap::{Args, ValueEnum};

use super::Exit;
use crate::device::{self, DeviceName, thread_panics};
use crate::kernels::{Kernels, NoPrecision};
use crate::model::{self, CapturedPass, Dropout, Network, NotCaptured};
use crate::optim::{Adam, Moments};
use crate::random::{Draws, Stream};
use crate::spec::{self, AdamOptimizer, Data, ImageFolderData, Model, RunSpec, Train};
use crate::train::{CapturedStep, Given, Stopwatch};

/// Prints one JSON line about the work, then one for each round.
#[derive(Debug, Args)]
pub struct BenchStepArgs {
    /// The model, as JSON of the key `model`
    #[arg(long, default_value = r#"{"kind": "unet"}"#)]
    model: String,
    /// Channels and sides of an image
    #[arg(long, default_value = "1x8x8", value_name = "CxHxW")]
    image: ImageShape,
    /// Images of a step; for `matmul` the side of the matrices
    #[arg(long, default_value_t = 64)]
    batch: usize,
    #[arg(long, value_enum, default_value_t = Work::Train)]
    work: Work,
    #[arg(long, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// Multiply in bf16, as `train.precision: bf16` does; for devices that have it
    #[arg(long)]
    bf16: bool,
    /// Capture the kernels of a step, and launch them together: for GPUs
    #[arg(long)]
    capture_steps: bool,
    /// Instead of rounds: one JSON object with the kernels that a step launches, the device's time that each takes, the share of the step in
    /// which none ran, and what the step would take at least; for people the same on standard error. For GPUs
    #[arg(long, conflicts_with_all = ["capture_steps", "wait", "rounds"])]
    trace: bool,
    /// What the device computes, in 1e12 operations a second, as its maker says; for `--trace`
    #[arg(long, value_name = "NUMBER", requires = "trace")]
    peak_teraflops: Option<f64>,
    /// What the device's memory gives, in 1e12 bytes a second, as its maker says; for `--trace`
    #[arg(long, value_name = "NUMBER", requires = "trace")]
    terabytes_a_second: Option<f64>,
    /// Steps of a round
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// Rounds
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Start each round at a line of standard input, and end with it
    #[arg(long)]
    wait: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Work {
    /// Forward, backward, Adam, the loss read
    Train,
    /// Forward without gradients, the prediction read: a step of DDIM
    Sample,
    /// The product of two square matrices
    Matmul,
}

/// (channels, side).
#[derive(Clone, Copy, Debug)]
struct ImageShape(usize, usize);

impl FromStr for ImageShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
        match sizes.as_deref() {
            Ok(&[channels, height, width]) if channels > 0 && height > 0 && height == width => {
                Ok(Self(channels, height))
            }
            _ => Err("an image is channels x side x side, such as 3x32x32".to_owned()),
        }
    }
}

pub fn bench_step(args: &BenchStepArgs) -> anyhow::Result<Exit> {
    anyhow::ensure!(args.batch > 0 && args.steps > 0, "--batch and --steps are 1 or more");
    if args.trace {
        anyhow::ensure!(args.device != DeviceName::Cpu, "--trace is for GPUs: a CPU is not told of kernels");
        anyhow::ensure!(args.work == Work::Train, "--trace is of training steps, of no other work");
    }
    anyhow::ensure!(!args.bf16 || args.work != Work::Matmul, "--bf16 is of networks, not of --work matmul");
    let model: serde_json::Value = serde_json::from_str(&args.model).context("--model is no JSON")?;
    let model: Model = spec::decode_json(&model).map_err(|error| anyhow::anyhow!("--model: {error}"))?;
    let ImageShape(channels, side) = args.image;
    model::check(&model, (channels, side))?;
    let device = device::open(args.device)?;
    let gauge = device::gauge(args.device, &device);
    let mut bench = Bench::new(args, &model, device).context("--bf16")?;
    if args.capture_steps {
        bench.capture_steps().context("--capture-steps")?;
    }

    let flops = match args.work {
        Work::Train => 3.0 * args.batch as f64 * model::forward_flops(&model, (channels, side)),
        Work::Sample => args.batch as f64 * model::forward_flops(&model, (channels, side)),
        Work::Matmul => 2.0 * (args.batch as f64).powi(3),
    };
    print_line(&serde_json::json!({
        "version": 1,
        "parameters": model::parameter_count(&model, (channels, side)),
        "flops_per_step": flops,
        "threads": rayon::current_num_threads(),
    }))?;
    if args.trace {
        let bytes = trace::Floor::training_bytes(&model, (channels, side), args.batch);
        let BenchStepArgs { peak_teraflops, terabytes_a_second, .. } = *args;
        let floor = trace::Floor { flops, bytes, peak_teraflops, terabytes_a_second };
        let trace = traced(&mut bench, args.steps, floor)?;
        print_line(&trace.to_json())?;
        eprintln!("{}", trace.to_table());
        return Ok(Exit::AllDone);
    }
    let mut lines = std::io::stdin().lock().lines();
    let mut round = 0;
    while args.wait || round < args.rounds {
        if args.wait && lines.next().transpose()?.is_none() {
            break;
        }
        let mut stopwatch = Stopwatch::continuing(&crate::event::Stamp::default());
        let mut milliseconds = Vec::with_capacity(args.steps);
        let mut result = f64::NAN;
        for _ in 0..args.steps {
            let before = stopwatch.train_seconds();
            result = stopwatch.training(|| bench.step())?;
            milliseconds.push((stopwatch.train_seconds() - before) * 1e3);
        }
        if let Some(panic) = thread_panics::first() {
            anyhow::bail!("the device did not do its work\ncaused by: {panic}");
        }
        anyhow::ensure!(result.is_finite(), "the last step's result is {result}");
        // Of up to a second before: long rounds without others between them are known by it.
        let device_utilization = gauge.as_ref().and_then(|gauge| gauge().ok().flatten());
        print_line(&serde_json::json!({
            "milliseconds": milliseconds,
            "result": result,
            "device_utilization": device_utilization,
            "peak_rss_bytes": peak_rss_bytes(),
        }))?;
        round += 1;
    }
    Ok(Exit::AllDone)
}

/// First steps in which kernels are compiled and chosen, then as many that are timed, counted, and whose kernels are timed.
fn traced(bench: &mut Bench, steps: usize, floor: trace::Floor) -> anyhow::Result<trace::Trace> {
    let mut do_steps = |milliseconds: &mut Vec<f64>| -> anyhow::Result<()> {
        let mut stopwatch = Stopwatch::continuing(&crate::event::Stamp::default());
        for _ in 0..steps {
            let before = stopwatch.train_seconds();
            stopwatch.training(|| bench.step())?;
            milliseconds.push((stopwatch.train_seconds() - before) * 1e3);
        }
        match thread_panics::first() {
            Some(panic) => anyhow::bail!("the device did not do its work\ncaused by: {panic}"),
            None => Ok(()),
        }
    };
    do_steps(&mut Vec::new())?;
    let mut milliseconds = Vec::new();
    do_steps(&mut milliseconds)?;
    let (done, counted) = device::observe_launches(false, || do_steps(&mut Vec::new()));
    done?;
    let (done, timed) = device::observe_launches(true, || do_steps(&mut Vec::new()));
    done?;
    Ok(trace::Trace { steps, milliseconds, counted, timed, floor })
}

fn print_line(value: &serde_json::Value) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{value}")?;
    output.flush()
}

/// The state of the timed work, between two steps.
struct Bench {
    work: Work,
    /// What is trained; its settings are the defaults, but for the model.
    spec: RunSpec,
    /// `[batch, channels, side, side]`; for `matmul` two matrices.
    shape: [usize; 4],
    device: Device,
    network: Network,
    weights: Tensor<1>,
    adam: Adam,
    captured: Option<CapturedStep>,
    captured_pass: Option<CapturedPass>,
    matrices: Option<[Tensor<2>; 2]>,
    step: u64,
    /// Noisy images and target of the next training step, drawn while a device was busy, as the trainer does.
    ahead: Option<[Vec<f32>; 2]>,
}

/// The run whose steps are done.
fn trained(args: &BenchStepArgs, model: &Model) -> RunSpec {
    let ImageShape(channels, side) = args.image;
    RunSpec {
        model: model.clone(),
        data: Data::ImageFolder(ImageFolderData { channels, side, ..ImageFolderData::default() }),
        train: Train { batch_size: args.batch, clip_norm: 0.0, ..Train::default() },
        ..RunSpec::default()
    }
}

impl Bench {
    fn new(args: &BenchStepArgs, model: &Model, device: Device) -> Result<Self, NoPrecision> {
        let ImageShape(channels, side) = args.image;
        let kernels = match args.bf16 {
            true => Kernels::bf16_for_device(&device)?,
            false => Kernels::for_device(&device),
        };
        let network = model::build(model, (channels, side), 0, &device.clone().autodiff()).with_kernels(kernels);
        let network = if args.work == Work::Train { network } else { network.untracked() };
        let weights = network.weights();
        let matrices = (args.work == Work::Matmul).then(|| {
            let random = || Tensor::random([args.batch, args.batch], Distribution::Uniform(-1.0, 1.0), &device);
            [random(), random()]
        });
        Ok(Self {
            work: args.work,
            shape: [args.batch, channels, side, side],
            adam: Adam::new(&AdamOptimizer::default(), weights.dims()[0], &device),
            spec: trained(args, model),
            device,
            network,
            weights,
            captured: None,
            captured_pass: None,
            matrices,
            step: 0,
            ahead: None,
        })
    }

    /// One step; its result has been read back, and the device has done all of it: the loss, or one number of what was computed.
    fn step(&mut self) -> anyhow::Result<f64> {
        self.step += 1;
        let result = match self.work {
            Work::Train => self.train()?,
            Work::Sample => {
                let noise = self.noise(Stream::Noise, self.step);
                if let Some(captured) = &mut self.captured_pass {
                    return Ok(f64::from(captured.predict(&noise, &timesteps(self.shape[0]), None)?[0]));
                }
                let noisy = self.images(noise);
                let timesteps = self.timesteps();
                let predicted = self.network.forward(noisy, timesteps, None, None).into_data();
                f64::from(predicted.as_slice::<f32>().expect("networks compute in f32")[0])
            }
            Work::Matmul => {
                let [first, second] = self.matrices.clone().expect("made for this work");
                let product = first.matmul(second).into_data();
                f64::from(product.as_slice::<f32>().expect("matrices of f32")[0])
            }
        };
        self.device.sync()?;
        Ok(result)
    }

    /// From now on.
    fn capture_steps(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.work != Work::Matmul, "a network's passes are captured, no other work");
        if self.work == Work::Sample {
            anyhow::ensure!(self.device != Device::flex(), NotCaptured::OnCpu);
            self.captured_pass = Some(CapturedPass::new(&self.network, self.shape)?);
            return Ok(());
        }
        let Moments::Device { first, second } = self.adam.moments() else { return Err(NotCaptured::OnCpu.into()) };
        let learned = [self.weights.clone(), first.clone(), second.clone(), self.weights.clone()];
        self.captured = Some(CapturedStep::new(&self.spec, &self.network, None, &self.device, &learned)?);
        Ok(())
    }

    fn train_captured(&mut self) -> anyhow::Result<f64> {
        let [noisy, target] = self.ahead.take().unwrap_or_else(|| self.pair(self.step));
        let factors = self.adam.next_factors(1e-4, 0.9);
        let timesteps: Vec<u32> = (0..self.shape[0]).map(|index| (index * 1000 / self.shape[0]) as u32).collect();
        let none = self.network.class_rows().map(|rows| vec![rows as u32 - 1; self.shape[0]]);
        let given = Given {
            step: self.step,
            images: &noisy,
            importance: &vec![1.0; timesteps.len()],
            input: &noisy,
            target: &target,
            timesteps: &timesteps,
            classes: none.as_deref(),
            loss_weights: vec![1.0; timesteps.len()],
            factors,
            share_of_weights: 1.0,
        };
        let captured = self.captured.as_mut().expect("the caller has asked");
        let told = captured.queue(&given)?;
        self.ahead = Some(self.pair(self.step + 1));
        let told = told.try_into_data().map_err(device::failure)?;
        Ok(f64::from(told.as_slice::<f32>().expect("losses are f32")[0]))
    }

    fn train(&mut self) -> anyhow::Result<f64> {
        if self.captured.is_some() {
            return self.train_captured();
        }
        let drawn = self.ahead.take().unwrap_or_else(|| self.pair(self.step));
        let [noisy, target] = drawn.map(|values| self.images(values));
        // A variance that is learned as well costs next to nothing.
        let dropout = Dropout { seed: self.spec.seed, step: self.step, first_image: 0 };
        let predicted = self.network.forward(noisy, self.timesteps(), None, Some(dropout)).narrow(1, 0, self.shape[1]);
        let loss = (predicted - target).square().mean();
        let gradient = self.network.gradients(loss.clone());
        self.weights = self.adam.step(self.weights.clone(), gradient, 1e-4, 0.9);
        self.network.set_weights(self.weights.clone());
        self.ahead = Some(self.pair(self.step + 1));
        Ok(f64::from(loss.try_into_scalar::<f32>().map_err(device::failure)?))
    }

    /// Two lots of noise of a step.
    fn pair(&self, step: u64) -> [Vec<f32>; 2] {
        [Stream::Noise, Stream::EvaluationNoise].map(|stream| self.noise(stream, step))
    }

    fn noise(&self, stream: Stream, step: u64) -> Vec<f32> {
        let mut noise = vec![0f32; self.shape.iter().product()];
        Draws::new(0, stream, step).fill_normal(&mut noise);
        noise
    }

    fn images(&self, values: Vec<f32>) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values, self.shape), &self.device)
    }

    fn timesteps(&self) -> Tensor<1> {
        Tensor::from_data(TensorData::new(timesteps(self.shape[0]), [self.shape[0]]), &self.device)
    }
}

/// Of each image of a batch.
fn timesteps(batch: usize) -> Vec<f32> {
    (0..batch).map(|index| (index * 1000 / batch) as f32).collect()
}

/// The most memory this process has had, where Linux says.
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_shapes_are_channels_and_two_equal_sides() {
        let shape = |text: &str| text.parse::<ImageShape>().ok().map(|ImageShape(channels, side)| (channels, side));
        assert_eq!(shape("3x32x32"), Some((3, 32)));
        for wrong in ["", "3x32", "3x32x16", "0x8x8", "3x-1x-1", "3x32x32x2", "axbxc"] {
            assert_eq!(shape(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_training_bench_learns_and_the_others_give_numbers() {
        let args = |work, batch| BenchStepArgs {
            model: String::new(),
            image: ImageShape(1, 8),
            batch,
            work,
            device: DeviceName::Cpu,
            bf16: false,
            capture_steps: false,
            trace: false,
            peak_teraflops: None,
            terabytes_a_second: None,
            steps: 1,
            rounds: 1,
            wait: false,
        };
        let model = Model::default();
        let mut training = Bench::new(&args(Work::Train, 4), &model, Device::flex()).unwrap();
        let before = training.weights.clone().into_data();
        let first = training.step().unwrap();
        assert!(first > 0.5 && first < 2.0, "the loss of a network that predicts nothing is near 1, not {first}");
        assert!(before != training.network.weights().into_data());
        let mut sampling = Bench::new(&args(Work::Sample, 4), &model, Device::flex()).unwrap();
        assert_eq!(sampling.step().unwrap(), 0.0, "a fresh network predicts nothing");
        let mut product = Bench::new(&args(Work::Matmul, 33), &model, Device::flex()).unwrap();
        assert!(product.step().unwrap().is_finite());
        let mixed = BenchStepArgs { bf16: true, ..args(Work::Train, 4) };
        match Bench::new(&mixed, &model, Device::flex()) {
            Ok(mut mixed) => assert!((mixed.step().unwrap() - first).abs() < 1e-2),
            Err(reason) => assert_eq!(reason, NoPrecision::CpuBf16),
        }
    }
}
