//! Random directions in the space of weights.

use super::length;
use crate::model::ParameterLayout;
use crate::random::{Draws, Stream};

/// A standard normal for each parameter; another `index`, another direction.
pub fn normal(seed: u64, index: u64, count: usize) -> Vec<f32> {
    let mut values = vec![0.0; count];
    Draws::new(seed, Stream::Landscape, index).fill_normal(&mut values);
    values
}

/// 1 or -1 for each parameter, each as likely.
pub fn rademacher(seed: u64, index: u64, count: usize) -> Vec<f32> {
    let mut draws = Draws::new(seed, Stream::Landscape, index);
    let mut values = Vec::with_capacity(count);
    while values.len() < count {
        let bits = draws.next_u32();
        values.extend((0..32.min(count - values.len())).map(|bit| if bits >> bit & 1 == 0 { -1.0 } else { 1.0 }));
    }
    values
}

/// A normal direction whose every filter is as long as the filter of `weights` (Li et al. 2018, arXiv 1712.09913, section 4): the
/// values that make one output channel of a convolution, one output of a linear map, or one row of an embedding. What has one
/// dimension, biases and the scales of norms, is left as it is, as their code does by default.
pub fn filter_normalized(seed: u64, index: u64, weights: &[f32], layout: &[ParameterLayout]) -> Vec<f32> {
    let mut direction = normal(seed, index, weights.len());
    let mut start = 0;
    for parameter in layout {
        let end = start + parameter.size();
        let (direction, weights) = (&mut direction[start..end], &weights[start..end]);
        start = end;
        let filters = if parameter.shape.len() > 1 { parameter.shape[0] } else { 0 };
        if filters == 0 {
            direction.fill(0.0);
            continue;
        }
        let values = parameter.size() / filters;
        for (direction, weights) in direction.chunks_exact_mut(values).zip(weights.chunks_exact(values)) {
            let scale = length(weights) / length(direction).max(f64::MIN_POSITIVE);
            direction.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
        }
    }
    direction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_as_long_as_those_of_the_weights_and_vectors_stay() {
        let parameter = |name: &str, shape: &[usize]| ParameterLayout { name: name.to_owned(), shape: shape.to_vec() };
        let layout = [parameter("a", &[3, 2, 2]), parameter("b", &[3]), parameter("c", &[2, 5])];
        let weights: Vec<f32> = (0..25).map(|index| index as f32 / 7.0 - 1.0).collect();
        let direction = filter_normalized(1, 0, &weights, &layout);
        for (start, values) in [(0, 4), (4, 4), (8, 4), (15, 5), (20, 5)] {
            let (found, expected) =
                (length(&direction[start..start + values]), length(&weights[start..start + values]));
            assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
        }
        assert_eq!(direction[12..15], [0.0; 3]);
        assert_eq!(direction, filter_normalized(1, 0, &weights, &layout));
        assert_ne!(direction, filter_normalized(1, 1, &weights, &layout));
    }

    #[test]
    fn signs_are_as_often_plus_as_minus() {
        let signs = rademacher(3, 1, 10_001);
        assert!(signs.iter().all(|sign| sign.abs() == 1.0) && signs.len() == 10_001);
        assert!(signs.iter().sum::<f32>().abs() < 5.0 * 100.0);
    }
}
