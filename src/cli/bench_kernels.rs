//! `speedlab bench-kernels`: a device's kernels of our own against the host's, and their time against that of burn's operations.
//! `scripts/gpu/measure.sh` and the tests of GPUs run it.

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use clap::Args;
use serde_json::json;

use super::Exit;
use crate::device::{self, DeviceName};
use crate::event::Stamp;
use crate::kernels::{
    Convolution, DrawnMask, Gelu, GroupNorm, Kernels, Part, Products, apart, dropout_mask, joined, update,
};
use crate::model::DeviceDraws;
use crate::optim::Factors;
use crate::random::{Draws, Stream};
use crate::train::Stopwatch;

/// Prints a line of JSON for each operation and shape. The exit status is 0 where all agree.
#[derive(Debug, Args)]
pub struct BenchKernelsArgs {
    #[arg(long)]
    device: DeviceName,
    /// Images of a batch
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Timed rounds; in each an operation is computed forwards and backwards
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Skip the shapes that take software long
    #[arg(long)]
    small: bool,
}

/// The largest difference from the host that is no fault, relative to the largest value: sums are in another order.
const TOLERANCE: f64 = 1e-4;
/// Times that an operation is queued in a round.
const REPEATS: usize = 8;

/// How images lie in memory: channel by channel, or pixel by pixel with all channels of a pixel together, as convolutions leave them.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    ByChannel,
    ByPixel,
}

impl Order {
    fn of(self, images: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = images.dims();
        match self {
            Self::ByChannel => images,
            // What is flattened is put in a row.
            Self::ByPixel => {
                let flat = images.permute([0, 2, 3, 1]).reshape([batch * height * width * channels]);
                flat.reshape([batch, height, width, channels]).permute([0, 3, 1, 2])
            }
        }
    }
}

type Operation = Box<dyn Fn(Kernels, &[Tensor<4>], &[Tensor<1>]) -> Tensor<4>>;

/// An operation of images, of vectors `[batch, 2 channels, 1, 1]` and of two vectors of channels.
struct Case {
    name: &'static str,
    /// `[channels, height, width]`.
    image: [usize; 3],
    operation: Operation,
}

fn cases(small: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name, image, operation: Operation| cases.push(Case { name, image, operation });
    let norm = |groups, silu| GroupNorm { groups, silu, epsilon: 1e-5 };
    // Groups of one, some and many pixels; channels that no power of two divides.
    for (image, groups) in
        [([16, 8, 8], 8), ([24, 5, 7], 3), ([12, 1, 1], 12), ([128, 32, 32], 32), ([256, 16, 16], 32)]
    {
        if small && image[0] > 100 {
            continue;
        }
        for silu in [false, true] {
            let name = if silu { "group norm, SiLU" } else { "group norm" };
            let operation = move |kernels: Kernels, images: &[Tensor<4>], vectors: &[Tensor<1>]| {
                kernels.group_norm(images[0].clone(), vectors[0].clone(), vectors[1].clone(), norm(groups, silu))
            };
            add(name, image, Box::new(operation));
        }
        let operation = move |kernels: Kernels, images: &[Tensor<4>], vectors: &[Tensor<1>]| {
            let [input, modulation] = [0, 1].map(|index| images[index].clone());
            let [scale, shift] = [0, 1].map(|index| vectors[index].clone());
            kernels.group_norm_modulated(input, scale, shift, modulation, norm(groups, true))
        };
        add("group norm, modulated, SiLU", image, Box::new(operation));
    }
    for image in [[48, 1, 16], [33, 3, 5], [384, 16, 16]] {
        if small && image[0] > 100 {
            continue;
        }
        let operation = |kernels: Kernels, images: &[Tensor<4>], vectors: &[Tensor<1>]| {
            kernels.layer_norm(images[0].clone(), vectors[0].clone(), vectors[1].clone(), 1e-5)
        };
        add("layer norm", image, Box::new(operation));
        let operation = move |kernels: Kernels, images: &[Tensor<4>], _: &[Tensor<1>]| {
            let part = |index: usize| images[1].clone().narrow(1, index * image[0], image[0]);
            kernels.modulated_norm(images[0].clone(), part(0), part(1), 1e-6)
        };
        add("layer norm, modulated", image, Box::new(operation));
    }
    // What is added in one chunk of pixels, and in several.
    for image in [[48, 1, 1], [20, 5, 7], [33, 16, 16], [128, 32, 32]] {
        if small && image[0] > 100 {
            continue;
        }
        let [channels, ..] = image;
        let operation = move |kernels: Kernels, images: &[Tensor<4>], vectors: &[Tensor<1>]| {
            let weight = vectors[0].clone().repeat(&[channels]);
            let shape = Convolution::pointwise(channels, channels);
            let added = images[1].clone().narrow(1, 0, channels);
            kernels.convolution_added(shape, images[0].clone(), weight, vectors[1].clone(), added)
        };
        add("convolution and a vector for each image", image, Box::new(operation));
        let operation = move |kernels: Kernels, images: &[Tensor<4>], _: &[Tensor<1>]| {
            let some = images[0].clone().narrow(1, 0, channels / 3) * 2.0;
            let joined = kernels.concatenate(some, images[0].clone());
            joined.clone().narrow(1, 0, channels) * joined.narrow(1, channels / 3, channels)
        };
        add("concatenation", image, Box::new(operation));
        let operation = move |kernels: Kernels, images: &[Tensor<4>], _: &[Tensor<1>]| {
            let gate = images[1].clone().narrow(1, 0, channels);
            kernels.gated_sum(images[0].clone(), gate, images[0].clone() * 0.5)
        };
        add("gated sum", image, Box::new(operation));
    }
    for (image, heads) in [([24, 1, 17], 2), ([36, 8, 8], 1), ([768, 8, 8], 4)] {
        if small && image[0] > 100 {
            continue;
        }
        let operation =
            move |kernels: Kernels, images: &[Tensor<4>], _: &[Tensor<1>]| kernels.attention(images[0].clone(), heads);
        add("attention", image, Box::new(operation));
        let operation = |kernels: Kernels, images: &[Tensor<4>], _: &[Tensor<1>]| {
            kernels.silu(images[0].clone()) * kernels.gelu(images[0].clone(), Gelu::Tanh)
        };
        add("SiLU, GELU", image, Box::new(operation));
    }
    cases
}

pub fn bench_kernels(args: &BenchKernelsArgs) -> anyhow::Result<Exit> {
    anyhow::ensure!(args.batch > 0 && args.rounds > 0, "--batch and --rounds are 1 or more");
    let device = device::open(args.device)?;
    let mut clock = Stopwatch::continuing(&Stamp::default());
    let mut agree = true;
    for case in cases(args.small) {
        let given = Given::new(&case, args.batch);
        let expected = given.on(&Device::flex()).results(&case, Kernels::Plain(Products::F32), Order::ByChannel);
        let tensors = given.on(&device);
        for order in [Order::ByChannel, Order::ByPixel] {
            let ours = tensors.results(&case, Kernels::Gpu(Products::F32), order);
            let difference =
                expected.iter().zip(&ours).map(|(expected, found)| largest(expected, found)).fold(0.0, f64::max);
            let mut median = |kernels| {
                let mut milliseconds: Vec<f64> = (0..args.rounds)
                    .map(|_| {
                        let before = clock.train_seconds();
                        clock.training(|| {
                            let outputs =
                                (0..REPEATS).map(|_| tensors.gradients(&case, kernels, order).0.inner().sum());
                            outputs.reduce(|sum, output| sum + output).map(|sum| sum.into_data())
                        });
                        1e3 * (clock.train_seconds() - before) / REPEATS as f64
                    })
                    .collect();
                milliseconds.sort_by(f64::total_cmp);
                milliseconds[milliseconds.len() / 2]
            };
            let [ours, plain] = [Kernels::Gpu(Products::F32), Kernels::Plain(Products::F32)].map(&mut median);
            // Not a number is no agreement.
            let agrees = difference <= TOLERANCE;
            agree &= agrees;
            println!(
                "{}",
                json!({ "operation": case.name, "image": case.image, "batch": args.batch, "order": order,
                    "largest_difference": difference, "agrees": agrees, "milliseconds": ours,
                    "milliseconds_of_burns_operations": plain })
            );
        }
    }
    for (step, layer, shape) in [(0, 0, [3, 1, 1, 1]), (70_000, 5, [args.batch, 17, 9, 9])] {
        let mask = DrawnMask { seed: u64::MAX - 6, layer, threshold: 1 << 29, kept: 1.25, shape };
        let drawn =
            |device: &Device| dropout_mask(Tensor::from_data(DeviceDraws::step_values(step), device), mask).into_data();
        let agrees = drawn(&device) == drawn(&Device::flex());
        agree &= agrees;
        println!("{}", json!({ "operation": "mask of dropout", "shape": shape, "step": step, "agrees": agrees }));
    }
    for (clipped, rates) in [(false, false), (true, true)] {
        let difference = difference_of_updates(&device, clipped, rates);
        let agrees = difference <= TOLERANCE;
        agree &= agrees;
        println!(
            "{}",
            json!({ "operation": "update of Adam", "clipped": clipped, "rates": rates, "largest_difference": difference,
                "agrees": agrees })
        );
    }
    // More parts than a launch has, smaller and larger than what a workgroup does.
    for sizes in [vec![1], (0..300).map(|index| 1 + index * 37 % 1500).collect()] {
        let agrees = parts_agree(&device, &sizes);
        agree &= agrees;
        println!("{}", json!({ "operation": "row of parts", "parts": sizes.len(), "agrees": agrees }));
    }
    Ok(if agree { Exit::AllDone } else { Exit::SomeFailed })
}

/// Whether a row on `device` in parts of these sizes has the right numbers, and the parts joined again.
fn parts_agree(device: &Device, sizes: &[usize]) -> bool {
    let numbers: Vec<f32> = (0..sizes.iter().sum()).map(|index: usize| index as f32).collect();
    let part = |values| Part { values, factor_of: Products::F32 };
    let parts = apart(Tensor::from_data(numbers.as_slice(), device), sizes.iter().copied().map(part).collect());
    let read = |row: Tensor<1>| row.try_into_vec_as::<f32>().expect("numbers");
    let mut expected = numbers.as_slice();
    let are_apart = parts.iter().zip(sizes).all(|(part, &size)| {
        let (own, rest) = expected.split_at(size);
        expected = rest;
        read(part.clone()) == own
    });
    are_apart && read(joined(parts)) == numbers
}

/// Of an update on `device` from that on the host.
fn difference_of_updates(device: &Device, clipped: bool, rates: bool) -> f64 {
    const COUNT: usize = 70_001;
    let updated = |device: &Device| {
        let row = |salt: u64, least: f32| {
            let mut values = vec![0f32; COUNT];
            Draws::new(12, Stream::Noise, salt).fill_normal(&mut values);
            values.iter_mut().for_each(|value| *value = value.abs() + least);
            Tensor::<1>::from_data(values.as_slice(), device)
        };
        let factors = Factors {
            beta1: 0.9,
            one_minus_beta1: 0.1,
            beta2: 0.99,
            one_minus_beta2: 0.01,
            step_size: 0.1,
            root_scale: 1.5,
            epsilon: 1e-8,
            kept: 0.99,
        };
        let factors = [&factors.to_array()[..], &[0.3]].concat();
        let factors = Tensor::from_data(factors.as_slice(), device);
        let scales = [clipped.then(|| Tensor::from_data([0.5f32], device)), rates.then(|| row(5, 0.1))];
        let learned = [row(0, -1.0), row(1, -1.0), row(2, 0.1), row(3, -1.0)];
        update(learned, row(4, -1.0), factors, scales).map(|row| row.try_into_vec_as::<f32>().expect("numbers"))
    };
    let (expected, found) = (updated(&Device::flex()), updated(device));
    expected.iter().zip(&found).map(|(expected, found)| largest(expected, found)).fold(0.0, f64::max)
}

/// What an operation is given, made up.
struct Given {
    images: [TensorData; 2],
    vectors: [TensorData; 2],
    weights: TensorData,
}

impl Given {
    fn new(case: &Case, batch: usize) -> Self {
        let [channels, height, width] = case.image;
        let mut step = 0;
        let mut made_up = |shape: &[usize], mean: f32| {
            let mut values = vec![0f32; shape.iter().product()];
            Draws::new(11, Stream::Noise, step).fill_normal(&mut values);
            step += 1;
            values.iter_mut().for_each(|value| *value += mean);
            TensorData::new(values, shape.to_vec())
        };
        // Away from mean 0, as a network's activations are.
        let image = [batch, channels, height, width];
        Self {
            images: [made_up(&image, 2.0), made_up(&[batch, 2 * channels, 1, 1], 0.0)],
            vectors: [made_up(&[channels], 1.0), made_up(&[channels], 0.0)],
            weights: made_up(&image, 0.0),
        }
    }

    fn on(&self, device: &Device) -> Tensors {
        let autodiff = device.clone().autodiff();
        Tensors {
            images: self.images.each_ref().map(|data| Tensor::from_data(data.clone(), &autodiff).require_grad()),
            vectors: self.vectors.each_ref().map(|data| Tensor::from_data(data.clone(), &autodiff).require_grad()),
            weights: Tensor::from_data(self.weights.clone(), device),
        }
    }
}

/// The same on a device.
struct Tensors {
    images: [Tensor<4>; 2],
    vectors: [Tensor<1>; 2],
    weights: Tensor<4>,
}

impl Tensors {
    /// The output, and the gradients of a weighting of it.
    fn gradients(&self, case: &Case, kernels: Kernels, order: Order) -> (Tensor<4>, Gradients) {
        let images = [order.of(self.images[0].clone()), self.images[1].clone()];
        let output = (case.operation)(kernels, &images, &self.vectors);
        // Of attention, a third of the channels.
        let weights = self.weights.clone().narrow(1, 0, output.dims()[1]);
        let gradients = (output.clone() * order.of(weights).autodiff()).sum().backward();
        (output, gradients)
    }

    /// The numbers of both, of all gradients that there are.
    fn results(&self, case: &Case, kernels: Kernels, order: Order) -> Vec<Vec<f32>> {
        fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
            tensor.try_into_vec_as().expect("numbers")
        }
        let (output, mut gradients) = self.gradients(case, kernels, order);
        let mut results = vec![values(output.inner())];
        results.extend(self.images.iter().filter_map(|image| image.grad_remove(&mut gradients)).map(values));
        results.extend(self.vectors.iter().filter_map(|vector| vector.grad_remove(&mut gradients)).map(values));
        results
    }
}

/// The largest difference, relative to the largest expected value.
fn largest(expected: &[f32], found: &[f32]) -> f64 {
    if expected.len() != found.len() {
        return f64::INFINITY;
    }
    let scale = expected.iter().fold(1e-6f32, |largest, value| largest.max(value.abs()));
    let differences = expected.iter().zip(found).map(|(expected, found)| f64::from((expected - found).abs() / scale));
    // A comparison with NaN is false, and max would leave it out.
    differences.fold(0.0, |largest, difference| if difference <= largest { largest } else { difference })
}
