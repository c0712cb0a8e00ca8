//! Evaluation against outside references.

use serde_json::Value;
use speedlab::data::{Dataset, load_digits};
use speedlab::evaluate::{DIGITS_CNN_WEIGHTS, Gaussian, GaussianFit, frechet_distance, small_cnn};
use speedlab::model::{DIGITS_CNN, from_safetensors};
use speedlab::train::classifier::accuracy;

/// The features that scripts/golden/frechet.py compares; a multiple of 2^-16 from murmur3's finaliser.
pub fn uniform(stream: u32, row: u32, column: u32) -> f64 {
    let mut value = stream
        .wrapping_mul(0x9E37_79B9)
        .wrapping_add(row.wrapping_mul(0x85EB_CA6B))
        .wrapping_add(column.wrapping_mul(0xC2B2_AE35));
    for (shift, factor) in [(16, 0x85EB_CA6B), (13, 0xC2B2_AE35u32)] {
        value ^= value >> shift;
        value = value.wrapping_mul(factor);
    }
    value ^= value >> 16;
    f64::from(value >> 16) / 65536.0
}

fn gaussian(case: &Value, set: &str) -> Gaussian {
    let integer = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    let (dimension, dead) = (integer(&case["dimension"]), integer(&case["dead"]));
    let (stream, rows) = (integer(&case[set][0]), integer(&case[set][1]));
    let mut fit = GaussianFit::new(dimension as usize);
    for row in 0..rows {
        let feature = |column| {
            if column < dead {
                return 0.0;
            }
            let value = uniform(stream, row, column) + uniform(stream, row, column + 1);
            let scale = f64::from(column as i32 % 5 - 2).exp2();
            (value * scale + f64::from(stream) / 8.0 + case["offset"].as_f64().unwrap()) as f32
        };
        fit.push(&(0..dimension).map(feature).collect::<Vec<_>>()).unwrap();
    }
    fit.finish().unwrap()
}

#[test]
fn frechet_distances_are_those_of_scipy_and_numpy() {
    let golden: Value = serde_json::from_str(include_str!("../golden/frechet.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let expected = case["distance"].as_f64().unwrap();
        let (first, second) = (gaussian(case, "first"), gaussian(case, "second"));
        for distance in [frechet_distance(&first, &second).unwrap(), frechet_distance(&second, &first).unwrap()] {
            let relative_error = (distance / expected - 1.0).abs();
            assert!(relative_error < 1e-6, "{}: {distance}, expected {expected}", case["name"]);
        }
    }
}

#[test]
fn the_shipped_classifier_is_as_accurate_as_its_file_says() {
    let Dataset { train, test, sha256, .. } = load_digits().unwrap();
    let cnn = small_cnn(&DIGITS_CNN, DIGITS_CNN_WEIGHTS).unwrap();
    let (_, metadata) = from_safetensors(cnn.layout(), DIGITS_CNN_WEIGHTS).unwrap();
    let (test_accuracy, train_accuracy) = (accuracy(&cnn, &test), accuracy(&cnn, &train));
    assert!(test_accuracy > 0.97, "{test_accuracy}");
    assert_eq!(metadata["test_accuracy"], format!("{test_accuracy:.4}"));
    assert_eq!(metadata["train_accuracy"], format!("{train_accuracy:.4}"));
    assert_eq!(metadata["data_sha256"], sha256);
    assert!(DIGITS_CNN_WEIGHTS.len() < 500_000);
}
