//! Trains the small classifiers whose features Fréchet distances are measured with.

use std::collections::BTreeMap;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

use crate::data::{BatchOrder, Dataset, Images, batch_pixels};
use crate::model::{CnnDesign, SmallCnn, to_safetensors};
use crate::optim::{Adam, Rates};
use crate::random::{Draws, Stream};
use crate::spec::{AdamOptimizer, CosineLr, LrSchedule, Optimizer, RunSpec};

const BATCH_SIZE: usize = 64;
/// Each training image is moved by up to this share of its side along each axis (1 pixel of 8, 2 of 28), so that
/// features mean strokes, not places.
const SHIFT_SHARE: usize = 14;
/// The value that paper has in an image.
const PAPER: f32 = -1.0;
/// Images per forward pass when accuracy is measured.
const ACCURACY_BATCH: usize = 256;

/// A trained classifier and how good it is.
pub struct TrainedClassifier {
    /// The weights, with metadata that says how they came to be.
    pub safetensors: Vec<u8>,
    /// Share of the held-out images whose digit it names.
    pub test_accuracy: f64,
    /// The same on the images it was trained on.
    pub train_accuracy: f64,
}

/// Why there is no classifier.
#[derive(Debug, thiserror::Error)]
pub enum ClassifierError {
    #[error("a classifier needs at least 1 training step")]
    NoSteps,
    #[error("the classifier's loss is {loss} at step {step}")]
    Diverged { step: u64, loss: f64 },
}

/// Trains a [`SmallCnn`] on the training split of `dataset`: cross entropy, Adam, learning rate falling to zero along
/// a cosine. The last weights are taken; the held-out images only measure. `progress` is told each step and its loss.
///
/// # Panics
/// If the images are not those that `design` is for, or have more classes.
pub fn train_classifier(
    design: &'static CnnDesign,
    dataset: &Dataset,
    seed: u64,
    steps: u64,
    progress: &mut dyn FnMut(u64, f64),
) -> Result<TrainedClassifier, ClassifierError> {
    assert_eq!((dataset.train.channels, dataset.train.side), (1, design.side), "images of the design's shape");
    if steps == 0 {
        return Err(ClassifierError::NoSteps);
    }
    let spec = schedules(seed, steps);
    let device = Device::flex().autodiff();
    let mut cnn = SmallCnn::new(design, seed, &device);
    let weights = cnn.weights();
    let mut adam = Adam::new(&AdamOptimizer::default(), weights.dims()[0], &weights.device());
    let mut order = BatchOrder::new(dataset.train.len(), seed);
    for step in 0..steps {
        let indices = order.indices(step * BATCH_SIZE as u64, BATCH_SIZE);
        let pixels = shifted(batch_pixels(&dataset.train, &indices, false, seed, step), &dataset.train, seed, step);
        let labels: Vec<u16> = indices.iter().map(|&index| dataset.train.labels[index as usize]).collect();
        let loss = cross_entropy(cnn.logits(images(pixels, design.side, &device)), &labels);
        let loss_value = f64::from(loss.clone().into_scalar::<f32>());
        if !loss_value.is_finite() {
            return Err(ClassifierError::Diverged { step, loss: loss_value });
        }
        let gradient = cnn.gradients(loss);
        let Rates { learning_rate, beta1, .. } = Rates::at(&spec, step);
        cnn.set_weights(adam.step(cnn.weights(), gradient, learning_rate, beta1));
        progress(step + 1, loss_value);
    }

    let mut trained = SmallCnn::new(design, seed, &Device::flex());
    trained.set_weights(cnn.weights());
    let (test_accuracy, train_accuracy) = (accuracy(&trained, &dataset.test), accuracy(&trained, &dataset.train));
    let metadata = [
        ("model", design.name.into()),
        ("data_sha256", dataset.sha256.clone()),
        ("test_accuracy", format!("{test_accuracy:.4}")),
        ("train_accuracy", format!("{train_accuracy:.4}")),
        ("seed", seed.to_string()),
        ("steps", steps.to_string()),
        ("program", concat!("speedlab ", env!("CARGO_PKG_VERSION")).into()),
    ];
    let metadata: BTreeMap<String, String> = metadata.into_iter().map(|(key, value)| (key.into(), value)).collect();
    let weights = trained.weights().into_data().try_into_vec::<f32>().expect("parameters are f32");
    Ok(TrainedClassifier {
        safetensors: to_safetensors(trained.layout(), &weights, &metadata),
        test_accuracy,
        train_accuracy,
    })
}

/// The share of `images` whose label gets the highest logit.
pub fn accuracy(cnn: &SmallCnn, images_and_labels: &Images) -> f64 {
    let mut right = 0;
    for (batch, labels) in images_and_labels.labels.chunks(ACCURACY_BATCH).enumerate() {
        let first = batch * ACCURACY_BATCH;
        let pixels = images_and_labels.pixels(first..first + labels.len());
        let logits = cnn.logits(images(pixels, images_and_labels.side, &Device::flex())).into_data();
        let logits: Vec<f32> = logits.try_into_vec().expect("networks compute in f32");
        for (logits, &label) in logits.chunks_exact(SmallCnn::CLASSES).zip(labels) {
            let best = (0..logits.len()).max_by(|&first, &second| logits[first].total_cmp(&logits[second]));
            right += usize::from(best == Some(usize::from(label)));
        }
    }
    right as f64 / images_and_labels.len() as f64
}

fn schedules(seed: u64, steps: u64) -> RunSpec {
    let mut spec = RunSpec { seed, ..RunSpec::default() };
    spec.optimizer = Optimizer::Adam(AdamOptimizer { learning_rate: 2e-3, ..AdamOptimizer::default() });
    spec.lr_schedule = LrSchedule::Cosine(CosineLr { end: 0.0 });
    spec.train.steps = steps;
    spec
}

/// `[n, 1, side, side]`.
fn images(pixels: Vec<f32>, side: usize, device: &Device) -> Tensor<4> {
    let count = pixels.len() / (side * side);
    Tensor::from_data(TensorData::new(pixels, [count, 1, side, side]), device)
}

/// The mean over the batch of -log p(label); `logits` is `[n, classes]`.
fn cross_entropy(logits: Tensor<2>, labels: &[u16]) -> Tensor<1> {
    let [count, classes] = logits.dims();
    let mut one_hot = vec![0f32; count * classes];
    for (row, &label) in one_hot.chunks_exact_mut(classes).zip(labels) {
        row[usize::from(label)] = 1.0;
    }
    let one_hot = Tensor::<2>::from_data(TensorData::new(one_hot, [count, classes]), &logits.device());
    (log_softmax(logits, 1) * one_hot).sum().div_scalar(-(count as f32))
}

/// Moves each image by its own draw; what comes in from outside is paper. The stream is that of augmentations.
fn shifted(pixels: Vec<f32>, images: &Images, seed: u64, step: u64) -> Vec<f32> {
    let mut draws = Draws::new(seed, Stream::Flips, step);
    let (side, shift) = (images.side as i64, images.side.div_ceil(SHIFT_SHARE) as i64);
    let mut moved = vec![PAPER; pixels.len()];
    for (target, source) in
        moved.chunks_exact_mut(images.image_values()).zip(pixels.chunks_exact(images.image_values()))
    {
        let mut draw = || i64::from(draws.below(2 * shift as u32 + 1)) - shift;
        let (down, right) = (draw(), draw());
        for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
            let (from_y, from_x) = (y - down, x - right);
            if (0..side).contains(&from_y) && (0..side).contains(&from_x) {
                target[(y * side + x) as usize] = source[(from_y * side + from_x) as usize];
            }
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::load_digits;
    use crate::model::DIGITS_CNN;

    #[test]
    fn shifts_move_a_small_image_by_at_most_one_pixel_and_fill_with_paper() {
        let images = Images::in_memory(1, 8, vec![], vec![], 16);
        let mut image = vec![PAPER; 64];
        image[3 * 8 + 4] = 1.0;
        image[0] = 0.5;
        let mut places = std::collections::BTreeSet::new();
        for moved in shifted(image.repeat(300), &images, 1, 2).chunks(64) {
            let place = moved.iter().position(|&value| value == 1.0).unwrap() as i64;
            places.insert((place / 8 - 3, place % 8 - 4));
            assert!(moved.iter().all(|value| [1.0, 0.5, PAPER].contains(value)));
            assert_eq!(moved.iter().filter(|&&value| value == 1.0).count(), 1);
        }
        let all = (-1..=1).flat_map(|down| (-1..=1).map(move |right| (down, right)));
        assert_eq!(places, all.collect());
    }

    #[test]
    fn cross_entropy_is_the_negative_log_probability_of_the_label() {
        let logits = Tensor::<2>::from_data([[0f32, 3f32.ln()], [0.0, 0.0]], &Device::flex());
        // -(ln 3/4 + ln 1/2) / 2
        let expected = -(0.75f32.ln() + 0.5f32.ln()) / 2.0;
        assert!((cross_entropy(logits, &[1, 0]).into_scalar::<f32>() - expected).abs() < 1e-6);
    }

    #[test]
    fn a_short_training_lowers_the_loss_and_repeats_bit_for_bit() {
        let train = || {
            let mut losses = vec![];
            let trained =
                train_classifier(&DIGITS_CNN, &load_digits().unwrap(), 5, 40, &mut |_, loss| losses.push(loss));
            let trained = trained.unwrap();
            (losses, trained)
        };
        let ((losses, trained), (_, again)) = (train(), train());
        assert_eq!(losses.len(), 40);
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        assert!(mean(&losses[35..]) < 0.7 * mean(&losses[..5]), "{losses:?}");
        assert!(trained.test_accuracy > 0.5, "chance is 0.1; {}", trained.test_accuracy);
        assert!(trained.safetensors == again.safetensors);
    }

    #[test]
    fn no_steps_are_refused() {
        let error = train_classifier(&DIGITS_CNN, &load_digits().unwrap(), 0, 0, &mut |_, _| {});
        let error = error.err().expect("nothing was trained");
        assert_eq!(error.to_string(), "a classifier needs at least 1 training step");
    }
}
