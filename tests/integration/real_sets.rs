//! The fetched sets themselves. Ignored where nothing was fetched: `scripts/check-data.sh` fetches a set and runs the
//! tests whose names begin with it.

use md5::{Digest as _, Md5};
use speedlab::data::{DataFolder, Dataset, Images, PublicSet, public_set};
use speedlab::evaluate::{MNIST_CNN_WEIGHTS, small_cnn};
use speedlab::model::{MNIST_CNN, from_safetensors};
use speedlab::spec::Features;
use speedlab::train::classifier::accuracy;

fn load(name: &str) -> (PublicSet, Dataset) {
    let set = public_set(name).unwrap();
    let dataset = set.load(&DataFolder::find(None).unwrap(), &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    (set, dataset)
}

fn md5_of(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Mean and deviation of values from 0 to 1.
fn moments(images: &Images) -> (f64, f64) {
    let mut counts = [0u64; 256];
    images.bytes(0..images.len()).iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let total = counts.iter().sum::<u64>() as f64;
    let mean_of = |value: &dyn Fn(f64) -> f64| {
        counts.iter().enumerate().map(|(byte, &count)| value(byte as f64 / 255.0) * count as f64).sum::<f64>() / total
    };
    let mean = mean_of(&|value| value);
    (mean, mean_of(&|value| (value - mean).powi(2)).sqrt())
}

/// Files of IDX again, from what was loaded.
fn idx_files(dataset: &Dataset) -> Vec<Vec<u8>> {
    let idx = |axes: &[usize], values: &[u8]| {
        let sizes = axes.iter().flat_map(|&axis| (axis as u32).to_be_bytes());
        [0, 0, 8, axes.len() as u8].into_iter().chain(sizes).chain(values.iter().copied()).collect::<Vec<u8>>()
    };
    let of_split = |images: &Images| {
        let labels: Vec<u8> = images.labels.iter().map(|&label| label as u8).collect();
        let pixels = idx(&[images.len(), images.side, images.side], images.bytes(0..images.len()));
        [pixels, idx(&[images.len()], &labels)]
    };
    [of_split(&dataset.train), of_split(&dataset.test)].concat()
}

#[track_caller]
fn written_back(files: &[Vec<u8>], set: &PublicSet) {
    assert_eq!(files.len(), set.files.len());
    for (bytes, file) in files.iter().zip(&set.files) {
        assert_eq!(Some(md5_of(bytes)), file.md5, "{}", file.name);
    }
}

#[test]
#[ignore = "needs MNIST: scripts/check-data.sh"]
fn mnist_is_written_back_as_it_was_published_and_has_its_known_moments() {
    let (set, dataset) = load("mnist");
    written_back(&idx_files(&dataset), &set);
    // As everybody normalises it.
    let (mean, deviation) = moments(&dataset.train);
    assert_eq!((format!("{mean:.4}"), format!("{deviation:.4}")), ("0.1307".to_owned(), "0.3081".to_owned()));
}

#[test]
#[ignore = "needs MNIST: scripts/check-data.sh"]
fn mnist_is_told_apart_by_the_shipped_classifier_as_well_as_its_file_says() {
    let (_, dataset) = load("mnist");
    let cnn = small_cnn(&MNIST_CNN, MNIST_CNN_WEIGHTS).unwrap();
    let (_, metadata) = from_safetensors(cnn.layout(), MNIST_CNN_WEIGHTS).unwrap();
    let test_accuracy = accuracy(&cnn, &dataset.test);
    assert!(test_accuracy > 0.99, "{test_accuracy}");
    assert_eq!(metadata["test_accuracy"], format!("{test_accuracy:.4}"));
    assert_eq!(metadata["data_sha256"], dataset.sha256);
    assert!(MNIST_CNN_WEIGHTS.len() < 500_000);
}

#[test]
#[ignore = "needs Fashion-MNIST: SPEEDLAB_CHECK_SET=fashion_mnist scripts/check-data.sh"]
fn fashion_mnist_is_written_back_as_it_was_published() {
    let (set, dataset) = load("fashion_mnist");
    written_back(&idx_files(&dataset), &set);
    let (mean, deviation) = moments(&dataset.train);
    assert_eq!((format!("{mean:.4}"), format!("{deviation:.4}")), ("0.2860".to_owned(), "0.3530".to_owned()));
}

#[test]
#[ignore = "needs CIFAR-10: SPEEDLAB_CHECK_SET=cifar10 scripts/check-data.sh"]
fn cifar10_is_written_back_as_the_binary_version_that_was_published() {
    let (set, dataset) = load("cifar10");
    let records = |images: &Images, first: usize| {
        let record = |index: usize| [&[images.labels[index] as u8], images.bytes(index..index + 1)].concat();
        (first..first + 10_000).flat_map(record).collect::<Vec<u8>>()
    };
    let mut files: Vec<Vec<u8>> = (0..5).map(|file| records(&dataset.train, file * 10_000)).collect();
    files.push(records(&dataset.test, 0));
    written_back(&files, &set);
}

#[test]
#[ignore = "needs fetched weights: scripts/check-data.sh"]
fn efficientnet_lite0_knows_photographs() {
    let weights = DataFolder::find(None).unwrap().weights(Features::EfficientnetLite0).unwrap();
    crate::features::efficientnet_knows_photographs(&weights);
}
