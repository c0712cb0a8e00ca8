//! The loss around a network's weights: along lines, over planes, and its curvature.

mod direction;
mod lanczos;
mod loss_surface;
mod trace;

pub use direction::{filter_normalized, normal, rademacher};
pub use lanczos::{Lanczos, RitzValue, lanczos};
pub use loss_surface::LossSurface;
pub use trace::{TraceEstimate, hutchinson};

/// v to H v, of unit vectors; the vectors have one value a parameter.
pub type Product<'a, E> = &'a mut dyn FnMut(&[f32]) -> Result<Vec<f32>, E>;

/// In f64, in a fixed order.
pub fn dot(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum()
}

/// The Euclidean length.
pub fn length(vector: &[f32]) -> f64 {
    dot(vector, vector).sqrt()
}
