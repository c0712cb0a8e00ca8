//! The fused operations against their plain twins, on every kind of lanes.

use burn::tensor::TensorData;

use super::*;
use crate::kernels::lanes::Kind;
use crate::kernels::lanes::tests::on_all_lanes;
use crate::kernels::{Convolution, Gelu, GroupNorm, Resample};
use crate::random::{Draws, Stream};

/// Compares outputs and all gradients of `compute`, which is given `images` and `vectors` filled at random.
pub fn compare(
    what: &str,
    images: &[[usize; 4]],
    vectors: &[usize],
    compute: impl Fn(Kernels, Vec<Tensor<4>>, Vec<Tensor<1>>) -> Tensor<4>,
) {
    let plain = run(Kernels::Plain(Products::F32), images, vectors, &compute);
    let assert_agrees = |kernels: Kernels, what: &str| {
        let found = run(kernels, images, vectors, &compute);
        for (index, (found, plain)) in found.iter().zip(&plain).enumerate() {
            assert_eq!(found.len(), plain.len(), "{what}");
            let norm = |values: &[f32]| values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
            let difference: Vec<f32> = found.iter().zip(plain).map(|(a, b)| a - b).collect();
            let error = norm(&difference) / norm(plain).max(1e-3);
            assert!(error < 1e-5, "{what}: relative error {error:.1e} of result {index}");
        }
    };
    on_all_lanes(|kind| assert_agrees(Kernels::Fused(Products::F32), &format!("{what}, {kind:?}")));
    // Whose kernels are their twins in plain loops here.
    assert_agrees(Kernels::Gpu(Products::F32), &format!("{what}, of GPUs"));
}

/// The output, then the gradients of a random weighting of it.
fn run(
    kernels: Kernels,
    images: &[[usize; 4]],
    vectors: &[usize],
    compute: &impl Fn(Kernels, Vec<Tensor<4>>, Vec<Tensor<1>>) -> Tensor<4>,
) -> Vec<Vec<f32>> {
    let device = Device::flex();
    let mut step = 0;
    let mut random = |count: usize| {
        let mut values = vec![0f32; count];
        Draws::new(5, Stream::Noise, step).fill_normal(&mut values);
        step += 1;
        values
    };
    let mut leaf = |shape: &[usize]| {
        let values = TensorData::new(random(shape.iter().product()), shape.to_vec());
        (values, device.clone().autodiff())
    };
    let images: Vec<Tensor<4>> = images
        .iter()
        .map(|shape| {
            let (values, device) = leaf(shape);
            Tensor::from_data(values, &device).require_grad()
        })
        .collect();
    let vectors: Vec<Tensor<1>> = vectors
        .iter()
        .map(|&length| {
            let (values, device) = leaf(&[length]);
            Tensor::from_data(values, &device).require_grad()
        })
        .collect();
    let batch = images[0].dims()[0];
    let entered = images.iter().map(|image| kernels.enter(image.clone())).collect();
    let output = kernels.leave(compute(kernels, entered, vectors.clone()), batch);
    let shape = output.dims();
    let weights = TensorData::new(random(shape.iter().product()), shape);
    let mut gradients = (output.clone() * Tensor::from_data(weights, &device)).sum().backward();
    let mut results = vec![output.inner().try_into_vec_as().unwrap()];
    for image in images {
        results.push(image.grad_remove(&mut gradients).unwrap().try_into_vec_as().unwrap());
    }
    for vector in vectors {
        results.push(vector.grad_remove(&mut gradients).unwrap().try_into_vec_as().unwrap());
    }
    results
}

type Computation<'c> = &'c dyn Fn(Kernels, Vec<Tensor<4>>, Vec<Tensor<1>>) -> Tensor<4>;

/// The result of `compute` with products of bf16, and its gradients, are near those in f32 but not equal to them.
fn compare_bf16(
    kernels: fn(Products) -> Kernels,
    what: &str,
    images: &[[usize; 4]],
    vectors: &[usize],
    compute: impl Fn(Kernels, Vec<Tensor<4>>, Vec<Tensor<1>>) -> Tensor<4>,
) {
    let [exact, rounded] =
        [Products::F32, Products::Bf16].map(|products| run(kernels(products), images, vectors, &compute));
    assert_ne!(exact[0], rounded[0], "{what}");
    for (index, (rounded, exact)) in rounded.iter().zip(&exact).enumerate() {
        assert_eq!(rounded.len(), exact.len(), "{what}");
        let pairs = || rounded.iter().zip(exact).map(|(&rounded, &exact)| (f64::from(rounded), f64::from(exact)));
        let difference: f64 = pairs().map(|(rounded, exact)| (rounded - exact).powi(2)).sum();
        let norm: f64 = pairs().map(|(_, exact)| exact.powi(2)).sum();
        let error = (difference / norm).sqrt();
        assert!(error < 0.02, "{what}: relative error {error:.1e} of result {index}");
    }
}

#[test]
fn tf32_comes_with_compute_capability_8() {
    let rounding = ["ptx_sm70", "ptx_sm75", "ptx_sm80", "ptx_sm120", "wgsl", ""].map(super::is_ampere_or_later);
    assert_eq!(rounding, [false, false, true, true, false, false]);
}

/// On Flex, which multiplies bf16 in f32 and rounds the result. Kernels of GPUs round norms and GELU as they write them.
#[test]
fn products_of_bf16_are_near_those_of_f32() {
    for kernels in [Kernels::Plain, Kernels::Gpu] {
        let compare_bf16 = |what: &str, images: &[[usize; 4]], vectors: &[usize], compute: Computation| {
            compare_bf16(kernels, what, images, vectors, compute);
        };
        for resample in [Resample::Keep, Resample::Halve, Resample::Double] {
            let shape = Convolution { inputs: 12, outputs: 10, kernel: 3, resample };
            let vectors = [shape.weight_count(), shape.outputs];
            compare_bf16(&format!("{shape:?}"), &[[5, 12, 6, 8]], &vectors, &|kernels, images, vectors| {
                kernels.convolution(shape, images[0].clone(), vectors[0].clone(), vectors[1].clone())
            });
        }
        let shape = Convolution::pointwise(24, 16);
        let (images, vectors) = ([[7, 24, 1, 1], [7, 16, 1, 1]], [shape.weight_count(), shape.outputs]);
        compare_bf16("linear map and sum", &images, &vectors, &|kernels, images, vectors| {
            let [input, added] = [0, 1].map(|index| images[index].clone());
            kernels.convolution_added(shape, input, vectors[0].clone(), vectors[1].clone(), added)
        });
        compare_bf16("attention", &[[5, 48, 4, 4]], &[], &|kernels, images, _| kernels.attention(images[0].clone(), 2));
        let shape = Convolution { inputs: 12, outputs: 10, kernel: 3, resample: Resample::Keep };
        let vectors = [12, 12, shape.weight_count(), shape.outputs];
        for halves in [false, true] {
            let what = if halves { "norm, halved, then convolution" } else { "norm, then convolution" };
            compare_bf16(what, &[[5, 12, 6, 8]], &vectors, &|kernels, images, vectors| {
                let norm = GroupNorm { groups: 3, silu: true, epsilon: 1e-5 };
                let normalized = kernels.group_norm(images[0].clone(), vectors[0].clone(), vectors[1].clone(), norm);
                let normalized = if halves { kernels.halve(normalized) } else { normalized };
                kernels.convolution(shape, normalized, vectors[2].clone(), vectors[3].clone())
            });
        }
        let shape = Convolution::pointwise(16, 24);
        let (images, vectors) =
            ([[5, 16, 1, 9], [5, 16, 1, 1], [5, 16, 1, 1]], [shape.weight_count(), 24, 24 * 16, 16]);
        compare_bf16("modulated norm and feed-forward", &images, &vectors, &|kernels, images, vectors| {
            let [input, scale, shift] = [0, 1, 2].map(|index| images[index].clone());
            let normalized = kernels.modulated_norm(input, scale, shift, 1e-5);
            let hidden = kernels.convolution(shape, normalized, vectors[0].clone(), vectors[1].clone());
            let hidden = kernels.gelu(hidden, Gelu::Tanh);
            kernels.convolution(Convolution::pointwise(24, 16), hidden, vectors[2].clone(), vectors[3].clone())
        });
    }
}

/// On every kind of lanes and, where they are, with instructions for bf16: products of many and few, even and odd channels
/// and chunks.
#[test]
fn linear_maps_of_bf16_are_near_those_of_f32() {
    for (inputs, outputs, batch, height, width) in [
        (24, 16, 7, 1, 1),
        (150, 13, 70, 3, 5),
        (130, 7, 1, 1, 1),
        (17, 200, 33, 1, 1),
        (1, 9, 17, 3, 1),
        (600, 31, 40, 5, 5),
    ] {
        let shape = Convolution::pointwise(inputs, outputs);
        let images = [[batch, inputs, height, width], [batch, outputs, height, width]];
        let vectors = [shape.weight_count(), shape.outputs];
        let map = |kernels: Kernels, images: Vec<Tensor<4>>, vectors: Vec<Tensor<1>>| {
            let [input, added] = [0, 1].map(|index| images[index].clone());
            kernels.convolution_added(shape, input, vectors[0].clone(), vectors[1].clone(), added)
        };
        let what = format!("{shape:?} of {images:?}");
        compare_bf16(Kernels::Fused, &what, &images, &vectors, map);
        on_all_lanes(|kind| compare_bf16(Kernels::Fused, &format!("{what}, {kind:?}"), &images, &vectors, map));
        // What is rounded decides, not what multiplies it: only the order of sums differs.
        let native = run(Kernels::Fused(Products::Bf16), &images, &vectors, &map);
        on_all_lanes(|kind| {
            let emulated = run(Kernels::Fused(Products::Bf16), &images, &vectors, &map);
            for (native, emulated) in native.iter().flatten().zip(emulated.iter().flatten()) {
                let tolerance = 1e-4 * native.abs().max((inputs as f32).sqrt());
                assert!((native - emulated).abs() < tolerance, "{what}, {kind:?}: {native} and {emulated}");
            }
        });
    }
}

/// As linear maps: odd and even numbers of channels, chunks, and rows of pixels.
#[test]
fn convolutions_of_bf16_are_near_those_of_f32() {
    for (inputs, outputs, batch, height, width, resample) in [
        (8, 9, 3, 4, 4, Resample::Keep),
        (17, 12, 33, 5, 7, Resample::Keep),
        (32, 32, 64, 8, 8, Resample::Keep),
        (13, 40, 17, 9, 4, Resample::Keep),
        (64, 16, 130, 4, 6, Resample::Keep),
        (9, 17, 33, 2, 5, Resample::Double),
        (32, 24, 64, 4, 4, Resample::Double),
    ] {
        let shape = Convolution::square(inputs, outputs, resample);
        let added = [batch, outputs, resample.output_side(height), resample.output_side(width)];
        let images = [[batch, inputs, height, width], added];
        let vectors = [shape.weight_count(), shape.outputs];
        let convolve = |kernels: Kernels, images: Vec<Tensor<4>>, vectors: Vec<Tensor<1>>| {
            let [input, added] = [0, 1].map(|index| images[index].clone());
            kernels.convolution_added(shape, input, vectors[0].clone(), vectors[1].clone(), added)
        };
        let what = format!("{shape:?} of {images:?}");
        compare_bf16(Kernels::Fused, &what, &images, &vectors, convolve);
        on_all_lanes(|kind| compare_bf16(Kernels::Fused, &format!("{what}, {kind:?}"), &images, &vectors, convolve));
        // Only the order of sums differs from lanes to lanes, and where a transform is rounded to a neighbour for it.
        let native = run(Kernels::Fused(Products::Bf16), &images, &vectors, &convolve);
        on_all_lanes(|kind| {
            let emulated = run(Kernels::Fused(Products::Bf16), &images, &vectors, &convolve);
            for (index, (native, emulated)) in native.iter().zip(&emulated).enumerate() {
                let norm = |values: &mut dyn Iterator<Item = f32>| {
                    values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
                };
                let difference = norm(&mut native.iter().zip(emulated).map(|(a, b)| a - b));
                let error = difference / norm(&mut native.iter().copied());
                assert!(error < 3e-4, "{what}, {kind:?}: relative error {error:.1e} of result {index}");
            }
        });
    }
}

#[test]
fn attention_of_bf16_is_near_that_of_f32() {
    for (image, heads) in
        [([3, 12, 2, 3], 1), ([64, 96, 4, 4], 1), ([17, 24, 3, 3], 4), ([2, 30, 5, 8], 2), ([17, 36, 1, 223], 2)]
    {
        let what = format!("{heads} heads of {image:?}");
        let attend = |kernels: Kernels, images: Vec<Tensor<4>>, _| kernels.attention(images[0].clone(), heads);
        compare_bf16(Kernels::Fused, &what, &[image], &[], attend);
        on_all_lanes(|kind| compare_bf16(Kernels::Fused, &format!("{what}, {kind:?}"), &[image], &[], attend));
    }
}

/// Planes of bf16 between the operations of a transformer's block: even and odd channels, heads of an odd number of channels, odd
/// and even numbers of pixels and chunks.
#[test]
fn branches_of_bf16_are_near_those_of_f32() {
    for (image, heads) in [
        ([3, 12, 2, 3], 1),
        ([64, 32, 4, 5], 2),
        ([33, 18, 3, 11], 6),
        ([17, 15, 3, 3], 5),
        ([2, 40, 1, 33], 1),
        ([18, 16, 1, 223], 2),
    ] {
        let [batch, channels, ..] = image;
        let (of_norm, of_gate) = ([batch, channels, 1, 1], [batch, channels, 1, 1]);
        let maps = [
            Convolution::pointwise(channels, 3 * channels),
            Convolution::pointwise(channels, channels),
            Convolution::pointwise(channels, 2 * channels),
            Convolution::pointwise(2 * channels, channels),
        ];
        let vectors: Vec<_> = maps.iter().flat_map(|shape| [shape.weight_count(), shape.outputs]).collect();
        let block = |kernels: Kernels, images: Vec<Tensor<4>>, vectors: Vec<Tensor<1>>| {
            // Weights that keep the size of what they are multiplied with.
            let map = |index: usize, input: Tensor<4>| {
                let weight = vectors[2 * index].clone() * (1.0 / (maps[index].inputs as f32).sqrt());
                kernels.branch_map(maps[index], input, weight, vectors[2 * index + 1].clone())
            };
            let [tokens, scale, shift, gate] = [0, 1, 2, 3].map(|index| images[index].clone());
            let normalized = kernels.modulated_norm(tokens.clone(), scale.clone(), shift.clone(), 1e-5);
            let attended = map(1, kernels.attention(map(0, normalized), heads));
            let tokens = kernels.gated_sum(tokens, gate.clone(), attended);
            let ones = Tensor::ones([channels], &tokens.device().without_autodiff());
            let normalized = kernels.layer_norm(tokens.clone(), ones.clone(), ones, 1e-5);
            let hidden = kernels.gelu(map(2, normalized.clone()), Gelu::Exact);
            kernels.gated_sum(tokens, gate, map(3, hidden)) + kernels.whole(normalized)
        };
        let images = [image, of_norm, of_norm, of_gate];
        let what = format!("{heads} heads of {image:?}");
        compare_bf16(Kernels::Fused, &what, &images, &vectors, block);
        on_all_lanes(|kind| compare_bf16(Kernels::Fused, &format!("{what}, {kind:?}"), &images, &vectors, block));
    }
}

#[test]
fn the_cpu_multiplies_in_bf16_where_it_has_instructions_for_it() {
    let bf16 = || Kernels::bf16_for_device(&Device::flex().autodiff());
    assert_eq!(bf16(), if multiplies_bf16() { Ok(Kernels::Fused(Products::Bf16)) } else { Err(NoPrecision::CpuBf16) });
    on_all_lanes(|kind| {
        if kind == Kind::Portable {
            assert_eq!(bf16(), Err(NoPrecision::CpuBf16));
        }
    });
    assert_eq!(Kernels::tf32_for_device(&Device::flex()), Err(NoPrecision::CpuTf32));
}

#[test]
#[should_panic(expected = "a batch of 5 was not entered into the fused layout")]
fn a_tensor_that_was_not_entered_is_refused() {
    Kernels::Fused(Products::F32).silu(Tensor::zeros([2, 2, 16, 5], &Device::flex()));
}
