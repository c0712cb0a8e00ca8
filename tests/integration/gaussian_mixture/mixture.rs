//! A mixture of Gaussians in the plane.

use speedlab::random::{Draws, Stream};

/// Three round Gaussians of equal weight, in the square of pixels [-1, 1]^2.
const MEANS: [[f64; 2]; 3] = [[-0.5, -0.3], [0.6, -0.1], [0.0, 0.5]];
const DEVIATIONS: [f64; 3] = [0.15, 0.1, 0.2];

/// Points of the mixture, x then y of each.
pub fn points(seed: u64, step: u64, count: usize) -> Vec<f32> {
    let mut draws = Draws::new(seed, Stream::BatchOrder, step);
    let components: Vec<usize> = (0..count).map(|_| draws.below(MEANS.len() as u32) as usize).collect();
    let mut points = vec![0.0; 2 * count];
    draws.fill_normal(&mut points);
    for (point, component) in points.chunks_exact_mut(2).zip(components) {
        for (value, mean) in point.iter_mut().zip(MEANS[component]) {
            *value = (mean + DEVIATIONS[component] * f64::from(*value)) as f32;
        }
    }
    points
}

/// E[x_0 | x_t] for x_t = signal x_0 + noise epsilon: each component's posterior mean, weighted by how likely it is.
pub fn denoised(x_t: [f64; 2], signal: f64, noise: f64) -> [f64; 2] {
    let of = |component: usize| {
        let (mean, variance) = (MEANS[component], DEVIATIONS[component].powi(2));
        let total = signal * signal * variance + noise * noise;
        let away = [x_t[0] - signal * mean[0], x_t[1] - signal * mean[1]];
        let log_density = -(away[0] * away[0] + away[1] * away[1]) / (2.0 * total) - total.ln();
        let gain = signal * variance / total;
        (log_density, [mean[0] + gain * away[0], mean[1] + gain * away[1]])
    };
    let components = [of(0), of(1), of(2)];
    let largest = components.iter().map(|component| component.0).fold(f64::NEG_INFINITY, f64::max);
    let (mut total, mut mean) = (0.0, [0.0; 2]);
    for (log_density, posterior) in components {
        let weight = (log_density - largest).exp();
        total += weight;
        mean = [mean[0] + weight * posterior[0], mean[1] + weight * posterior[1]];
    }
    mean.map(|value| value / total)
}

/// The first two moments of points in the plane.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    pub mean: [f64; 2],
    /// Of x, of y, of x with y.
    pub covariance: [f64; 3],
}

impl Moments {
    /// Of the mixture.
    pub fn exact() -> Self {
        let count = MEANS.len() as f64;
        let mean = [0, 1].map(|axis| MEANS.iter().map(|mean| mean[axis]).sum::<f64>() / count);
        let covariance = [(0, 0), (1, 1), (0, 1)].map(|(one, other)| {
            let of = |(component, deviation): (&[f64; 2], &f64)| {
                let own = if one == other { deviation * deviation } else { 0.0 };
                own + (component[one] - mean[one]) * (component[other] - mean[other])
            };
            MEANS.iter().zip(&DEVIATIONS).map(of).sum::<f64>() / count
        });
        Self { mean, covariance }
    }

    /// Of points, around the mixture's mean.
    pub fn of(points: &[f32]) -> Self {
        let count = (points.len() / 2) as f64;
        let exact = Self::exact().mean;
        let sum = |value: &dyn Fn(f64, f64) -> f64| {
            points.chunks_exact(2).map(|point| value(point[0].into(), point[1].into())).sum::<f64>() / count
        };
        let (x, y) = (|x: f64| x - exact[0], |y: f64| y - exact[1]);
        Self {
            mean: [sum(&|x, _| x), sum(&|_, y| y)],
            covariance: [sum(&|a, _| x(a).powi(2)), sum(&|_, b| y(b).powi(2)), sum(&|a, b| x(a) * y(b))],
        }
    }

    /// The largest difference between any two of their numbers.
    pub fn distance(&self, other: &Self) -> f64 {
        let numbers = |moments: &Self| [&moments.mean[..], &moments.covariance[..]].concat();
        let differences = numbers(self).into_iter().zip(numbers(other)).map(|(one, other)| (one - other).abs());
        differences.fold(0.0, f64::max)
    }
}

/// How far [`Moments::of`] `count` points of the mixture itself are from [`Moments::exact`]: the standard error of the number
/// that varies most, the variance of x.
pub fn standard_error(count: usize) -> f64 {
    let [x, y, _] = Moments::exact().covariance;
    // The mean of x has x / n; products of two coordinates vary less than those of one of their Gaussian approximation.
    (x.max(y).max(2.0 * x * x) / count as f64).sqrt()
}
