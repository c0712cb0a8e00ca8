//! A network of three layers for points in the plane, with its gradient by hand.

use speedlab::optim::Matrix;
use speedlab::random::{Draws, Stream};

const HIDDEN: usize = 32;
/// Two coordinates, and t as itself and four waves.
const INPUTS: usize = 2 + 9;
/// (inputs, outputs) of each layer.
const LAYERS: [(usize, usize); 3] = [(INPUTS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 2)];

/// How many weights it has; they are layer by layer, each the matrix `[outputs, inputs]` and then the bias.
pub const WEIGHTS: usize =
    LAYERS[0].1 * (LAYERS[0].0 + 1) + LAYERS[1].1 * (LAYERS[1].0 + 1) + LAYERS[2].1 * (LAYERS[2].0 + 1);

/// The weights of the layer in the middle, which Muon is for.
pub const HIDDEN_MATRIX: Matrix = Matrix { start: LAYERS[0].1 * (LAYERS[0].0 + 1), rows: HIDDEN, columns: HIDDEN };

/// Variance 1 / inputs in the hidden layers; the last one is zero, so that it says nothing at first.
pub fn initial_weights(seed: u64) -> Vec<f32> {
    let mut weights = vec![0.0; WEIGHTS];
    Draws::new(seed, Stream::Weights, 0).fill_normal(&mut weights);
    let mut start = 0;
    for (layer, (inputs, outputs)) in LAYERS.into_iter().enumerate() {
        let scale = if layer == LAYERS.len() - 1 { 0.0 } else { (inputs as f32).sqrt().recip() };
        let end = start + inputs * outputs;
        weights[start..end].iter_mut().for_each(|weight| *weight *= scale);
        weights[end..end + outputs].fill(0.0);
        start = end + outputs;
    }
    weights
}

/// What the network says of `points` at `shares` of T.
pub fn forward(weights: &[f32], points: &[f32], shares: &[f32]) -> Vec<f32> {
    points.chunks_exact(2).zip(shares).flat_map(|(point, &share)| activations(weights, point, share).2).collect()
}

/// The gradient of the mean over points of `weight` times the mean squared error, and each point's mean squared error.
pub fn gradient(
    weights: &[f32],
    points: &[f32],
    shares: &[f32],
    target: &[f32],
    loss_weights: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let mut gradient = vec![0.0; WEIGHTS];
    let count = shares.len() as f32;
    let mut losses = Vec::with_capacity(shares.len());
    for (index, point) in points.chunks_exact(2).enumerate() {
        let (input, hidden, output) = activations(weights, point, shares[index]);
        let errors = [output[0] - target[2 * index], output[1] - target[2 * index + 1]];
        losses.push((errors[0] * errors[0] + errors[1] * errors[1]) / 2.0);
        let mut of_output: Vec<f32> = errors.iter().map(|error| loss_weights[index] * error / count).collect();
        for layer in (0..LAYERS.len()).rev() {
            let (inputs, outputs) = LAYERS[layer];
            let start: usize = LAYERS[..layer].iter().map(|(inputs, outputs)| outputs * (inputs + 1)).sum();
            let from: &[f32] = if layer == 0 { &input } else { &hidden[layer - 1] };
            let mut of_input = vec![0.0; inputs];
            for (row, &slope) in of_output.iter().enumerate() {
                let matrix = start + row * inputs..start + (row + 1) * inputs;
                gradient[matrix.clone()].iter_mut().zip(from).for_each(|(sum, value)| *sum += slope * value);
                of_input.iter_mut().zip(&weights[matrix]).for_each(|(sum, weight)| *sum += slope * weight);
                gradient[start + inputs * outputs + row] += slope;
            }
            // The derivative of tanh.
            of_output = of_input.iter().zip(from).map(|(slope, value)| slope * (1.0 - value * value)).collect();
        }
    }
    (gradient, losses)
}

/// Input, hidden layers and output of one point.
fn activations(weights: &[f32], point: &[f32], share: f32) -> ([f32; INPUTS], [Vec<f32>; 2], [f32; 2]) {
    let mut input = [0.0; INPUTS];
    input[..2].copy_from_slice(point);
    input[2] = 2.0 * share - 1.0;
    for wave in 0..4 {
        let angle = std::f32::consts::PI * share * (wave + 1) as f32;
        (input[3 + 2 * wave], input[4 + 2 * wave]) = angle.sin_cos();
    }
    let mut start = 0;
    let mut layer = |(inputs, outputs): (usize, usize), from: &[f32]| -> Vec<f32> {
        let (matrix, bias) = (&weights[start..start + inputs * outputs], &weights[start + inputs * outputs..]);
        start += outputs * (inputs + 1);
        let row =
            |(row, bias): (&[f32], &f32)| bias + row.iter().zip(from).map(|(one, other)| one * other).sum::<f32>();
        matrix.chunks_exact(inputs).zip(bias).map(row).collect()
    };
    let tanh = |values: Vec<f32>| -> Vec<f32> { values.into_iter().map(f32::tanh).collect() };
    let first = tanh(layer(LAYERS[0], &input));
    let second = tanh(layer(LAYERS[1], &first));
    let output = layer(LAYERS[2], &second);
    (input, [first, second], [output[0], output[1]])
}

#[test]
fn the_gradient_is_that_of_finite_differences() {
    let mut weights = initial_weights(1);
    // The last layer too, which is zero at first.
    Draws::new(2, Stream::Weights, 1).fill_normal(&mut weights[WEIGHTS - 66..]);
    let (points, target) = ([0.3, -0.5, 1.2, 0.1], [0.2, 0.4, -1.0, 0.7]);
    let (shares, loss_weights) = ([0.1, 0.9], [2.0, 0.5]);
    let loss = |weights: &[f32]| -> f64 {
        let (_, losses) = gradient(weights, &points, &shares, &target, &loss_weights);
        losses.iter().zip(loss_weights).map(|(&loss, weight)| f64::from(loss * weight)).sum::<f64>() / 2.0
    };
    let (found, _) = gradient(&weights, &points, &shares, &target, &loss_weights);
    for index in (0..WEIGHTS).step_by(17).chain([WEIGHTS - 1]) {
        let at = |change: f32| {
            let mut weights = weights.clone();
            weights[index] += change;
            loss(&weights)
        };
        let expected = (at(1e-2) - at(-1e-2)) / 2e-2;
        assert!((f64::from(found[index]) - expected).abs() < 1e-3 * (1.0 + expected.abs()), "weight {index}");
    }
}
