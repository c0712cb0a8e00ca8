use super::*;
use crate::checksum::sha256;
use crate::data::{Dataset, Images, load_digits};
use crate::evaluate::frechet_distance;
use crate::random::{Draws, Stream};

fn network() -> FeatureNetwork {
    FeatureNetwork::load(Features::DigitsCnn, Resize::Customary, FidPrecision::F32, (1, 8), None).unwrap()
}

/// Other weights give other distances under the same protocol: whoever changes them raises `RUN_SPEC_VERSION`.
#[test]
fn the_shipped_weights_are_those_that_recorded_distances_were_measured_with() {
    for (weights, expected) in [
        (DIGITS_CNN_WEIGHTS, "9a820cb5c288f3793c099da13d36cf68fdb449698a12528f03348e7f25ff165d"),
        (MNIST_CNN_WEIGHTS, "78b2254030285edbc938ff4af0ced550e957496aaab1fe7fc3a517e0481bb9bc"),
    ] {
        let sha256: String = sha256(weights);
        assert_eq!(sha256, expected);
    }
}

#[test]
fn features_do_not_depend_on_the_batch_they_are_computed_in() {
    let Dataset { test, .. } = load_digits().unwrap();
    let network = network();
    let together = network.features(&test.pixels(0..355));
    assert_eq!(together.len(), 355 * network.dimension());
    for index in [0, 100, 354] {
        let alone = network.features(&test.image(index));
        let in_batch = &together[index * network.dimension()..][..network.dimension()];
        let close = |(one, other): (&f32, &f32)| (one - other).abs() < 1e-5;
        assert!(alone.len() == in_batch.len() && alone.iter().zip(in_batch).all(close), "image {index}");
    }
}

#[test]
fn the_distance_of_noised_digits_grows_with_the_noise() {
    let Dataset { train, test, .. } = load_digits().unwrap();
    let network = network();
    let of = |images: &Images| network.gaussian("digits", &images.pixels(0..images.len())).unwrap();
    let reference = of(&train);
    let pixels = test.pixels(0..test.len());
    let mut noise = vec![0.0; pixels.len()];
    Draws::new(1, Stream::Noise, 0).fill_normal(&mut noise);
    let distance = |level: f32| {
        let noised: Vec<f32> = pixels.iter().zip(&noise).map(|(pixel, noise)| pixel + level * noise).collect();
        frechet_distance(&network.gaussian("noised digits", &noised).unwrap(), &reference).unwrap()
    };
    let distances = [0.0, 0.1, 0.2, 0.4, 0.8].map(distance);
    let same = frechet_distance(&of(&train), &reference).unwrap();
    println!(
        "train against itself {same:.2e}, against the held-out split with noise 0, .1, .2, .4, .8: {distances:.4?}"
    );
    assert!(same < 1e-6);
    assert!(distances.is_sorted() && distances[1] > distances[0]);
    assert!(distances[4] > 10.0 * distances[0], "{distances:?}");
}

/// Strokes of 28x28 pixels, thick and blurred at random: as near to written digits as a formula comes.
fn strokes(count: usize) -> Vec<f32> {
    let mut draws = Draws::new(3, Stream::Noise, 1);
    let mut pixels = Vec::with_capacity(count * 784);
    for _ in 0..count {
        let ends: Vec<f64> = (0..4).map(|_| 5.0 + 18.0 * draws.uniform()).collect();
        for place in 0..784 {
            let (x, y) = (f64::from(place % 28), f64::from(place / 28));
            let (dx, dy) = (ends[2] - ends[0], ends[3] - ends[1]);
            let along = ((x - ends[0]) * dx + (y - ends[1]) * dy) / (dx * dx + dy * dy).max(1e-9);
            let along = along.clamp(0.0, 1.0);
            let distance = (x - ends[0] - along * dx).hypot(y - ends[1] - along * dy);
            pixels.push((1.0 - 2.0 * (distance / 3.0).min(1.0)) as f32);
        }
    }
    pixels
}

#[test]
fn larger_images_have_features_too_and_noise_moves_them_away() {
    let (clean, other) = (strokes(400), strokes(800)[400 * 784..].to_vec());
    let mut noise = vec![0.0; clean.len()];
    Draws::new(1, Stream::Noise, 0).fill_normal(&mut noise);
    for (features, dimension) in [(Features::MnistCnn, 64), (Features::Pixels8, 64)] {
        let network = FeatureNetwork::load(features, Resize::Customary, FidPrecision::F32, (1, 28), None).unwrap();
        assert_eq!(network.dimension(), dimension);
        let reference = network.gaussian("strokes", &clean).unwrap();
        let distance = |level: f32| {
            let noised: Vec<f32> = other.iter().zip(&noise).map(|(pixel, noise)| pixel + level * noise).collect();
            frechet_distance(&network.gaussian("noised strokes", &noised).unwrap(), &reference).unwrap()
        };
        let distances = [0.0, 0.2, 0.4, 0.8].map(distance);
        assert!(distances.is_sorted() && distances[3] > 2.0 * distances[0], "{features:?} {distances:?}");
    }
}

#[test]
fn features_that_are_not_finite_are_named() {
    let mut pixels = vec![0.0; 3 * 64];
    pixels[64] = f32::NAN;
    let message = network().gaussian("the generated images", &pixels).unwrap_err().to_string();
    assert_eq!(message, "the generated images: feature 0 of image 1 is NaN");
}

#[test]
fn images_of_another_shape_and_damaged_weights_are_refused() {
    let message = FeatureNetwork::load(Features::DigitsCnn, Resize::None, FidPrecision::F32, (3, 32), None)
        .err()
        .unwrap()
        .to_string();
    assert_eq!(message, "features `digits-cnn` are of grey 8x8 images, not of 3 x 32 x 32");
    let message = FeatureNetwork::load(Features::Pixels8, Resize::None, FidPrecision::F32, (3, 7), None)
        .err()
        .unwrap()
        .to_string();
    assert_eq!(message, "features `pixels-8x8` are of images at least 8 pixels wide, not of 3 x 7 x 7");
    let message = small_cnn(&DIGITS_CNN, &DIGITS_CNN_WEIGHTS[..1000]).err().unwrap().to_string();
    assert!(message.starts_with("features `digits-cnn`: not a whole safetensors file"), "{message}");
    // The weights of the other classifier.
    let message = small_cnn(&MNIST_CNN, DIGITS_CNN_WEIGHTS).err().unwrap().to_string();
    assert!(message.starts_with("features `mnist-cnn`: parameter `"), "{message}");
}
