//! The Inception score (Salimans et al. 2016, arXiv 1606.03498, section 4).

use super::MeasureError;

/// The customary number of parts that a set is split into.
pub const INCEPTION_SPLITS: usize = 10;

/// exp of the mean Kullback-Leibler divergence between the classes of an image and those of all images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InceptionScore {
    /// The mean over splits.
    pub mean: f64,
    /// The deviation between splits, divided by their number, as is customary.
    pub standard_deviation: f64,
}

/// The score of `logits`, `[images, classes]`, in `splits` parts of neighbouring images.
///
/// # Errors
/// If a split would have no image.
pub fn inception_score(logits: &[f32], classes: usize, splits: usize) -> Result<InceptionScore, MeasureError> {
    assert!(classes > 0 && logits.len().is_multiple_of(classes), "whole rows of logits");
    let images = logits.len() / classes;
    if images < splits || splits == 0 {
        return Err(MeasureError::TooFew { measure: "an Inception score", least: splits.max(1), images });
    }
    let part = |split: usize| &logits[split * images / splits * classes..(split + 1) * images / splits * classes];
    let scores: Vec<f64> = (0..splits).map(|split| score(part(split), classes)).collect();
    let mean = scores.iter().sum::<f64>() / splits as f64;
    let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / splits as f64;
    Ok(InceptionScore { mean, standard_deviation: variance.sqrt() })
}

fn score(logits: &[f32], classes: usize) -> f64 {
    let images = (logits.len() / classes) as f64;
    // E KL(p(class | image) || p(class)) = entropy of the mean minus the mean entropy.
    let mut mean = vec![0.0; classes];
    let mut log_likelihood = 0.0;
    for logits in logits.chunks_exact(classes) {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let shifted = || logits.iter().map(|&logit| f64::from(logit) - f64::from(largest));
        let log_total = shifted().map(f64::exp).sum::<f64>().ln();
        for (mean, log) in mean.iter_mut().zip(shifted()) {
            let probability = (log - log_total).exp();
            *mean += probability / images;
            log_likelihood += probability * (log - log_total) / images;
        }
    }
    let cross: f64 = mean.iter().filter(|&&mean| mean > 0.0).map(|mean| mean * mean.ln()).sum();
    (log_likelihood - cross).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sure_and_diverse_images_score_as_many_as_there_are_classes_and_unsure_ones_one() {
        let sure: Vec<f32> =
            (0..40).flat_map(|image| (0..4).map(move |class| if class == image % 4 { 80.0 } else { 0.0 })).collect();
        let found = inception_score(&sure, 4, 5).unwrap();
        assert!((found.mean - 4.0).abs() < 1e-12 && found.standard_deviation < 1e-12, "{found:?}");
        let unsure = vec![3.0; 160];
        assert!((inception_score(&unsure, 4, 10).unwrap().mean - 1.0).abs() < 1e-12);
        // A probability that is zero in f64.
        let certain: Vec<f32> = (0..40).flat_map(|_| [1000.0, 0.0, -1000.0, 0.0]).collect();
        assert_eq!(inception_score(&certain, 4, 10).unwrap().mean, 1.0);
    }

    #[test]
    fn a_split_without_images_is_refused() {
        let error = inception_score(&[0.0; 18], 2, 10).unwrap_err().to_string();
        assert_eq!(error, "an Inception score needs at least 10 images in each set, not 9");
    }
}
