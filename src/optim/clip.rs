//! Clipping by the global norm (Pascanu, Mikolov and Bengio 2013, arXiv 1211.5063, algorithm 1).

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::host_memory::{is_host, update_in_place};

/// The L2 norm of a gradient.
pub enum Norm {
    Known(f64),
    /// `[1]`, still to be read from the device.
    OnDevice(Box<Tensor<1>>),
}

/// The gradient scaled down to an L2 norm of at most `clip_norm`, and its norm before that. A `clip_norm` of 0 turns
/// clipping off. A device is not waited for.
///
/// The norm of a gradient with NaN or infinity in it is not finite: the caller's sign that training has diverged.
pub fn clip(gradient: Tensor<1>, clip_norm: f64) -> (Tensor<1>, Norm) {
    if !is_host(&gradient.device()) {
        let (gradient, norm) = clip_on_device(gradient, clip_norm);
        return (gradient, Norm::OnDevice(Box::new(norm)));
    }
    let mut norm = 0.0;
    let gradient = update_in_place(gradient, |gradient| {
        norm = host_norm(gradient);
        if clip_norm > 0.0 && norm.is_finite() && norm > clip_norm {
            let scale = (clip_norm / norm) as f32;
            gradient.iter_mut().for_each(|value| *value *= scale);
        }
    });
    (gradient, Norm::Known(norm))
}

fn clip_on_device(gradient: Tensor<1>, clip_norm: f64) -> (Tensor<1>, Tensor<1>) {
    let (scale, norm) = clip_scale(gradient.clone(), clip_norm);
    (scale.map_or(gradient.clone(), |scale| gradient * scale), norm)
}

/// What [`clip`] multiplies the gradient by on a device, if clipping is on, and the gradient's norm; both `[1]`.
pub fn clip_scale(gradient: Tensor<1>, clip_norm: f64) -> (Option<Tensor<1>>, Tensor<1>) {
    let norm = device_norm(gradient);
    let scale = (clip_norm > 0.0).then(|| norm.clone().clamp_min(clip_norm).recip().mul_scalar(clip_norm));
    (scale, norm)
}

/// In f64, which no f32 overflows, and by pieces of a fixed size, so that the sum does not depend on the number of threads
/// (burn's own sum over more than 4 million values adds in the order in which threads finish).
fn host_norm(gradient: &[f32]) -> f64 {
    const PIECE: usize = 1 << 16;
    let squares = |piece: &[f32]| piece.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>();
    let pieces: Vec<f64> = gradient.par_chunks(PIECE).map(squares).collect();
    pieces.iter().sum::<f64>().sqrt()
}

/// The norm on a device. Values are divided by the largest, so that their squares do not overflow f32; not every device
/// has a wider type.
fn device_norm(gradient: Tensor<1>) -> Tensor<1> {
    let largest = gradient.clone().abs().max().clamp_min(f32::MIN_POSITIVE);
    sum_of_squares(gradient / largest.clone()).sqrt() * largest
}

/// Sums squares by rows, then over the rows, so that no sum in f32 and no loop of a kernel is long. (Mesa's software
/// Vulkan ends every loop after 65,535 rounds, `LP_MAX_TGSI_LOOP_ITERATIONS`, and returns the partial sum.)
fn sum_of_squares(vector: Tensor<1>) -> Tensor<1> {
    const ROW: usize = 1024;
    let [values] = vector.dims();
    let rows = values / ROW;
    let squares = vector.square();
    let rest = squares.clone().slice(rows * ROW..values);
    let mut sums = Vec::new();
    if rows > 0 {
        sums.push(squares.slice(0..rows * ROW).reshape([rows, ROW]).sum_dim(1).reshape([rows]).sum());
    }
    if rows * ROW < values {
        sums.push(rest.sum());
    }
    sums.into_iter().reduce(|first, second| first + second).expect("networks have parameters")
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    type Clip = fn(Tensor<1>, f64) -> (Tensor<1>, f64);
    const WAYS: [Clip; 2] = [
        |gradient, clip_norm| match clip(gradient, clip_norm) {
            (gradient, Norm::Known(norm)) => (gradient, norm),
            (_, Norm::OnDevice(_)) => panic!("the host knows its norms"),
        },
        |gradient, clip_norm| {
            let (gradient, norm) = clip_on_device(gradient, clip_norm);
            (gradient, f64::from(norm.into_scalar::<f32>()))
        },
    ];

    fn clipped(way: Clip, gradient: Vec<f32>, clip_norm: f64) -> (Vec<f32>, f64) {
        let shape = [gradient.len()];
        let (gradient, norm) = way(Tensor::from_data(TensorData::new(gradient, shape), &Device::flex()), clip_norm);
        (gradient.into_data().try_into_vec().unwrap(), norm)
    }

    #[test]
    fn both_ways_find_one_norm_for_every_length() {
        for values in [1, 1023, 1024, 1025, 100_003] {
            let gradient: Vec<f32> = (0..values).map(|i| ((i * 7919) % 1000) as f32 / 1000.0 - 0.3).collect();
            let norms = WAYS.map(|way| clipped(way, gradient.clone(), 0.0).1);
            assert!((norms[0] - norms[1]).abs() <= 1e-6 * norms[0], "{values} values: {norms:?}");
        }
    }

    #[test]
    fn a_gradient_longer_than_the_norm_is_scaled_down_and_a_shorter_one_is_not() {
        for way in WAYS {
            let (gradient, norm) = clipped(way, vec![3.0, 0.0, -4.0], 1.0);
            assert!((norm - 5.0).abs() < 1e-6 && (gradient[0] - 0.6).abs() < 1e-6 && (gradient[2] + 0.8).abs() < 1e-6);
            assert_eq!(clipped(way, vec![3.0, 0.0, -4.0], 5.0), (vec![3.0, 0.0, -4.0], 5.0));
            assert_eq!(clipped(way, vec![3.0, 0.0, -4.0], 0.0), (vec![3.0, 0.0, -4.0], 5.0));
            assert_eq!(clipped(way, vec![0.0; 4], 1.0), (vec![0.0; 4], 0.0));
        }
    }

    #[test]
    fn squares_beyond_f32_are_still_clipped() {
        for way in WAYS {
            let (gradient, norm) = clipped(way, vec![3e30, -4e30], 1.0);
            assert!((norm / 5e30 - 1.0).abs() < 1e-6, "{norm}");
            assert!((gradient[0] - 0.6).abs() < 1e-6 && (gradient[1] + 0.8).abs() < 1e-6, "{gradient:?}");
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_is_reported() {
        for way in WAYS {
            for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let (_, norm) = clipped(way, vec![2.0, wrong], 1.0);
                assert!(!norm.is_finite(), "{wrong}: {norm}");
            }
        }
    }

    #[test]
    fn the_norm_does_not_depend_on_the_number_of_threads() {
        let gradient: Vec<f32> =
            (0..5_000_000u32).map(|index| (index.wrapping_mul(2_654_435_761) as f32).sin()).collect();
        let norm = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| host_norm(&gradient)).to_bits()
        };
        assert_eq!(norm(1), norm(4));
    }
}
