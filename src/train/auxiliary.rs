//! Terms that `auxiliary_losses` adds to the loss.

use std::ops::Range;

use burn::tensor::Tensor;

/// The targets that contrastive flow matching moves the images of `part` away from: each that of the next image of the batch, and of the last
/// image that of the first. Batches are in random order, so that the next one is any other. `targets` are those of the whole batch.
pub fn targets_of_others(targets: &[f32], part: Range<usize>, batch_size: usize) -> Vec<f32> {
    let values = targets.len() / batch_size;
    part.flat_map(|image| &targets[(image + 1) % batch_size * values..][..values]).copied().collect()
}

/// [`targets_of_others`] of a whole batch that lies on a device.
pub fn targets_of_others_on_device(targets: Tensor<4>) -> Tensor<4> {
    let batch = targets.dims()[0];
    if batch == 1 {
        return targets;
    }
    Tensor::cat(vec![targets.clone().narrow(0, 1, batch - 1), targets.narrow(0, 0, 1)], 0)
}

/// `squares`, the squared errors, less `weight` times the squared distances from the targets of others.
pub fn contrasted(squares: Tensor<4>, predicted: Tensor<4>, others: Tensor<4>, weight: f64) -> Tensor<4> {
    squares - (predicted - others).square() * weight
}

/// ln(mean over all pairs i, j of exp(-D_ij / temperature)), i = j included, where D_ij is the squared distance of the activations of two
/// images over the number of their values (Wang and He 2025, arXiv 2506.09027). `activations` are `[batch, ..]`.
pub fn dispersion(activations: Tensor<4>, temperature: f64) -> Tensor<1> {
    let [batch, channels, height, width] = activations.dims();
    let values = channels * height * width;
    let rows = activations.reshape([batch, values]);
    // What all have in common is no distance, and would cost digits.
    let rows = rows.clone() - rows.mean_dim(0);
    let squares = rows.clone().square().sum_dim(1);
    let products = rows.clone().matmul(rows.transpose());
    // |a - b|^2, which rounding may take below zero.
    let distances = (squares.clone() + squares.transpose() - products * 2.0).clamp_min(0.0) / values as f64;
    (distances / -temperature).exp().mean().log()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[test]
    fn every_image_is_told_the_target_of_the_next_one() {
        let targets = [1.0, 1.5, 2.0, 2.5, 3.0, 3.5];
        assert_eq!(targets_of_others(&targets, 0..3, 3), [2.0, 2.5, 3.0, 3.5, 1.0, 1.5]);
        assert_eq!(targets_of_others(&targets, 1..3, 3), [3.0, 3.5, 1.0, 1.5]);
        for (batch, values) in [(3, 2), (1, 6)] {
            let on_device =
                Tensor::from_data(TensorData::new(targets.to_vec(), [batch, values, 1, 1]), &Device::flex());
            let others = targets_of_others_on_device(on_device).into_data().try_into_vec::<f32>().unwrap();
            assert_eq!(others, targets_of_others(&targets, 0..batch, batch));
        }
    }

    /// By hand, and its derivative by differences.
    #[test]
    fn images_that_are_apart_lose_less_and_are_pushed_further_apart() {
        let device = Device::flex();
        let of = |values: [f32; 6], device: &Device| {
            let activations = Tensor::<4>::from_data(TensorData::new(values.to_vec(), [3, 2, 1, 1]), device);
            dispersion(activations, 0.5)
        };
        let number = |values| f64::from(of(values, &device).into_data().try_into_vec::<f32>().unwrap()[0]);
        let values = [1.0, 0.0, 0.0, 0.5, 0.25, -1.0f32];
        let pair = |a: usize, b: usize| {
            let distance: f64 = (0..2).map(|at| f64::from(values[2 * a + at] - values[2 * b + at]).powi(2)).sum();
            (-distance / 2.0 / 0.5).exp()
        };
        let expected = ((3.0 + 2.0 * (pair(0, 1) + pair(0, 2) + pair(1, 2))) / 9.0).ln();
        assert!((number(values) - expected).abs() < 1e-6, "{} is not {expected}", number(values));
        assert!(number([0.5; 6]).abs() < 1e-6 && number(values.map(|value| 2.0 * value)) < number(values));

        let tracked = device.clone().autodiff();
        let data = TensorData::new(values.to_vec(), [3, 2, 1, 1]);
        let leaf = Tensor::<4>::from_data(data, &tracked).require_grad();
        let gradients = dispersion(leaf.clone(), 0.5).backward();
        let gradient = leaf.grad(&gradients).unwrap().into_data().try_into_vec::<f32>().unwrap();
        for (index, gradient) in gradient.into_iter().enumerate() {
            let moved = |by: f32| {
                let mut values = values;
                values[index] += by;
                number(values)
            };
            let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((f64::from(gradient) - difference).abs() < 1e-3, "{index}: {gradient} is not {difference}");
        }
    }

    /// tests/golden/auxiliary.json: PyTorch in f64 (scripts/golden/auxiliary.py).
    #[test]
    fn losses_and_gradients_are_those_of_pytorch() {
        type Json = serde_json::Value;
        let golden: Json = serde_json::from_str(include_str!("../../tests/golden/auxiliary.json")).expect("JSON");
        let numbers = |json: &Json| -> Vec<f32> { serde_json::from_value(json.clone()).expect("numbers") };
        let device = Device::flex().autodiff();
        let agree = |what: &Json, loss: Tensor<1>, leaf: &Tensor<4>| {
            let gradients = loss.clone().backward();
            let gradient = leaf.grad(&gradients).unwrap().into_data().try_into_vec::<f32>().unwrap();
            let expected = [numbers(&Json::Array(vec![what["loss"].clone()])), numbers(&what["gradient"])].concat();
            let found = [loss.inner().into_data().try_into_vec().unwrap(), gradient].concat();
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 2e-6, "{what}: {found} and not {expected}");
            }
        };
        for case in golden["contrastive"].as_array().expect("cases") {
            let [batch, size] = [0, 1].map(|index| case["shape"][index].as_u64().expect("a size") as usize);
            let images = |values: Vec<f32>, device: &Device| {
                Tensor::<4>::from_data(TensorData::new(values, [batch, size, 1, 1]), device)
            };
            let predicted = images(numbers(&case["predicted"]), &device).require_grad();
            let target = numbers(&case["target"]);
            let others = images(targets_of_others(&target, 0..batch, batch), &device);
            let squares = (predicted.clone() - images(target, &device)).square();
            let weight = case["weight"].as_f64().expect("a number");
            agree(case, contrasted(squares, predicted.clone(), others, weight).mean(), &predicted);
        }
        for case in golden["dispersive"].as_array().expect("cases") {
            let [batch, size] = [0, 1].map(|index| case["shape"][index].as_u64().expect("a size") as usize);
            let seen = TensorData::new(numbers(&case["seen"]), [batch, size, 1, 1]);
            let seen = Tensor::<4>::from_data(seen, &device).require_grad();
            agree(case, dispersion(seen.clone(), case["temperature"].as_f64().expect("a number")), &seen);
        }
    }
}
