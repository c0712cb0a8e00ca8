use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use super::{BatchOrder, Images, batch_pixels, mirrored};
use crate::spec::BatchSizes;

/// The images of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Which training images these are.
    pub indices: Vec<u32>,
    /// `[batch, channels, side, side]`, each value in [-1, 1].
    pub pixels: Vec<f32>,
    /// The class of each image.
    pub labels: Vec<u16>,
    /// Which of them are mirrored.
    pub mirrored: Vec<bool>,
}

/// How the batches of a run are made.
#[derive(Clone, Debug)]
pub struct BatchSettings {
    /// The number of images of each step.
    pub sizes: BatchSizes,
    /// Whether images are mirrored at random.
    pub flips: bool,
    pub seed: u64,
}

/// Makes batches ahead of the steps that need them, on a thread of its own, so that a device need not wait.
///
/// A batch is a function of (images, settings, step): where a source starts and how far it is ahead changes nothing.
pub struct BatchSource {
    /// `None` only while it is dropped.
    receiver: Option<Receiver<Batch>>,
    maker: Option<JoinHandle<()>>,
}

/// Batches that wait ready. One would do for steps of equal length.
const AHEAD: usize = 2;

impl BatchSource {
    /// Of the batches from `first_step` (counted from 0) on.
    ///
    /// # Errors
    /// If the system has no thread to spare.
    pub fn start(images: &Images, settings: BatchSettings, first_step: u64) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(AHEAD);
        let images = images.clone();
        let make = move || {
            let mut order = BatchOrder::new(images.len(), settings.seed);
            for step in first_step.. {
                // Nobody listens any more: the run is at its end.
                if sender.send(make_batch(&images, &mut order, &settings, step)).is_err() {
                    return;
                }
            }
        };
        let maker = thread::Builder::new().name("batches".to_owned()).spawn(make)?;
        Ok(Self { receiver: Some(receiver), maker: Some(maker) })
    }

    /// The batch of the next step; waits if it is not ready.
    pub fn next_batch(&mut self) -> Batch {
        let receiver = self.receiver.as_ref().expect("the source is not being dropped");
        receiver.recv().expect("batches are made as long as they are asked for")
    }
}

impl Drop for BatchSource {
    fn drop(&mut self) {
        // Wakes a maker that waits for room; then it ends by itself.
        self.receiver = None;
        if let Some(maker) = self.maker.take() {
            // A maker that panicked has said so already.
            let _ = maker.join();
        }
    }
}

fn make_batch(images: &Images, order: &mut BatchOrder, settings: &BatchSettings, step: u64) -> Batch {
    let indices = order.indices(settings.sizes.before(step), settings.sizes.at(step));
    let pixels = batch_pixels(images, &indices, settings.flips, settings.seed, step);
    let labels = indices.iter().map(|&index| images.labels[index as usize]).collect();
    let mirrored = mirrored(indices.len(), settings.flips, settings.seed, step);
    Batch { indices, pixels, labels, mirrored }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::batch_indices;

    #[test]
    fn batches_are_those_of_their_steps_wherever_the_source_starts() {
        let labels: Vec<u16> = (0..50).collect();
        let images = Images::in_memory(1, 2, (0..200).collect(), labels, 255);
        let settings = BatchSettings { sizes: 16.into(), flips: true, seed: 4 };
        let mut from_start = BatchSource::start(&images, settings.clone(), 0).unwrap();
        let all: Vec<Batch> = (0..12).map(|_| from_start.next_batch()).collect();
        for (step, batch) in all.iter().enumerate() {
            let indices = batch_indices(50, 16, 4, step as u64);
            assert_eq!(batch.pixels, batch_pixels(&images, &indices, true, 4, step as u64));
            assert!(batch.labels.iter().zip(&indices).all(|(&label, &index)| u32::from(label) == index));
            assert_eq!(batch.indices, indices);
        }
        let mut resumed = BatchSource::start(&images, settings, 7).unwrap();
        assert_eq!((0..5).map(|_| resumed.next_batch()).collect::<Vec<_>>(), all[7..]);
    }

    #[test]
    fn a_source_that_is_dropped_ends_its_thread() {
        let images = Images::in_memory(1, 1, vec![0; 4], vec![0; 4], 255);
        let settings = BatchSettings { sizes: 2.into(), flips: false, seed: 0 };
        for _ in 0..50 {
            drop(BatchSource::start(&images, settings.clone(), 0).unwrap());
        }
        // Dropping waits for the thread: getting here is the test.
        assert_eq!(std::sync::Arc::strong_count(&images.labels), 1);
    }
}
