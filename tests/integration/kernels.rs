//! The fused operations inside a network.

use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use speedlab::kernels::{Kernels, Products};
use speedlab::model::{self, Dropout};
use speedlab::random::{Draws, Stream};
use speedlab::spec::{DitModel, Model, UnetModel};

/// 32 channels and 48 images: enough work for the operations to use all threads of the pool.
#[test]
fn a_training_step_is_the_same_bit_for_bit_whatever_the_number_of_threads() {
    let step = |model: &Model, products: Products| {
        let device = Device::flex();
        let mut network = model::build(model, (3, 8), 1, &device.clone().autodiff());
        network = network.with_kernels(Kernels::Fused(products));
        let mut noise = vec![0f32; 48 * 3 * 8 * 8];
        Draws::new(1, Stream::Noise, 0).fill_normal(&mut noise);
        let images = Tensor::<4>::from_data(TensorData::new(noise, [48, 3, 8, 8]), &device);
        let timesteps: Vec<f32> = (0..48).map(|index| (index * 20) as f32).collect();
        let mut gradient = network.weights();
        // Three steps: what lies behind the zeros of a fresh network (its last layer, the last of each block) has no
        // gradient before they have moved.
        for step in 0..3 {
            let timesteps = Tensor::from_data(timesteps.as_slice(), &device);
            let dropout = Dropout { seed: 3, step, first_image: 0 };
            let output = network.forward(images.clone(), timesteps, None, Some(dropout));
            gradient = network.gradients((output - images.clone()).square().mean());
            network.set_weights(network.weights() - gradient.clone() * 0.1);
        }
        gradient.try_into_vec_as::<f32>().unwrap()
    };
    let unet = Model::Unet(UnetModel { channels: 32, dropout: 0.2, ..UnetModel::default() });
    let dit = Model::Dit(DitModel { patch: 1, dim: 64, depth: 2, heads: 2, ..DitModel::default() });
    for (model, products) in
        [(&unet, Products::F32), (&dit, Products::F32), (&unet, Products::Bf16), (&dit, Products::Bf16)]
    {
        let with_threads = |count| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
            pool.install(|| step(model, products))
        };
        let one = with_threads(1);
        assert!(one.iter().filter(|&&value| value != 0.0).count() > one.len() / 2);
        for count in [2, 3] {
            assert!(one == with_threads(count), "{} by {products:?}, {count} threads", model.kind());
        }
    }
}

/// RAYON_NUM_THREADS=1 cargo test --release -- --ignored --nocapture time_of_a_training_step
///
/// CHANNELS (default 16 and 32) and ROUNDS (default 30) as environment variables.
#[test]
#[ignore = "measures, and checks nothing"]
fn time_of_a_training_step() {
    let setting = |name: &str| std::env::var(name).ok().map(|value| value.parse::<usize>().unwrap());
    let rounds = setting("ROUNDS").unwrap_or(30);
    for channels in setting("CHANNELS").map_or(vec![16, 32], |channels| vec![channels]) {
        let device = Device::flex();
        let unet = Model::Unet(UnetModel { channels, ..UnetModel::default() });
        let mut network = model::build(&unet, (1, 8), 1, &device.clone().autodiff());
        let mut draw = vec![0f32; 64 * 64];
        let mut milliseconds = Vec::new();
        for step in 0..rounds {
            let mut noise = || {
                Draws::new(1, Stream::Noise, step as u64).fill_normal(&mut draw);
                Tensor::<4>::from_data(TensorData::new(draw.clone(), [64, 1, 8, 8]), &device)
            };
            let (images, target) = (noise(), noise());
            let timesteps: Vec<f32> = (0..64).map(|index| (index * 15) as f32).collect();
            let start = Instant::now();
            let timesteps = Tensor::<1>::from_data(timesteps.as_slice(), &device);
            let loss = (network.forward(images, timesteps, None, None) - target).square().mean();
            let gradient = network.gradients(loss);
            network.set_weights(network.weights() - gradient * 1e-3);
            milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
        }
        milliseconds.sort_by(f64::total_cmp);
        let gflops = 3.0 * 64.0 * model::forward_flops(&unet, (1, 8)) / 1e9;
        println!(
            "channels {channels}: {:.2} ms (best {:.2}), {gflops:.2} GFLOP, {} parameters, {} bytes per image",
            milliseconds[rounds / 2],
            milliseconds[0],
            model::parameter_count(&unet, (1, 8)),
            model::activation_bytes(&unet, (1, 8)),
        );
    }
}
