//! What a sweep's trials will do, drawn before anything is trained.

use std::path::{Path, PathBuf};

use super::error::ReportError;
use super::plots::{png, preview, svg};
use super::publish::publish;

/// One trial, as computed by whoever knows samplers and schedules.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialPreview {
    pub name: String,
    /// What there is to know beside the curves, in a few words.
    pub words: String,
    /// Index of its arm in the sweep, which gives it its colour.
    pub arm: usize,
    /// At several times of training, the first first.
    pub densities: Vec<DensityPreview>,
    /// Whether only the first density is known beforehand.
    pub adaptive: bool,
    /// (t / T, weight).
    pub loss_weight: Vec<(f64, f64)>,
    /// (step, beta1).
    pub beta1: Vec<(f64, f64)>,
    /// (step, learning rate).
    pub learning_rate: Vec<(f64, f64)>,
}

/// How often timesteps are trained on, at one time of training.
#[derive(Clone, Debug, PartialEq)]
pub struct DensityPreview {
    /// Of the planned steps.
    pub percent: u64,
    /// In times the uniform density, by equally wide bins of t.
    pub relative: Vec<f64>,
}

/// Writes `preview.svg` and `preview.png` of the sweep `name` into `folder`, which is there; returns their paths.
/// `baseline` is the index of the arm that the others are compared with.
pub fn write_preview(
    name: &str,
    trials: &[TrialPreview],
    baseline: Option<usize>,
    folder: &Path,
) -> Result<[PathBuf; 2], ReportError> {
    let drawing = preview(trials, baseline);
    let title = format!("What the trials of {name} will do: densities over t, loss weights, beta1 and learning rates");
    Ok([
        publish(folder, "preview.svg", svg(&drawing, "preview", &title)?.as_bytes())?,
        publish(folder, "preview.png", &png(&drawing, "preview")?)?,
    ])
}
