//! Networks against outside references.

use burn::tensor::{Device, Tensor, TensorData};
use speedlab::model;
use speedlab::spec::{Model, UnetModel};

#[test]
fn a_built_network_has_as_many_parameters_as_counted_without_building() {
    for (unet, image_shape) in unets() {
        let model = Model::Unet(unet);
        let network = model::build(&model, image_shape, 1, &Device::flex());
        let built: usize = network.layout().iter().map(|parameter| parameter.size()).sum();
        assert_eq!(model::parameter_count(&model, image_shape), built);
        assert_eq!(network.weights().dims(), [built]);
    }
}

#[test]
fn a_fresh_network_predicts_zeros_of_the_shape_of_its_input() {
    for (unet, (channels, side)) in unets() {
        let network = model::build(&Model::Unet(unet), (channels, side), 1, &Device::flex());
        let images = formula(5 * channels * side * side);
        let images = Tensor::from_data(TensorData::new(images, [5, channels, side, side]), &Device::flex());
        let timesteps = Tensor::from_data([0.0f32, 1.0, 10.0, 500.0, 999.0], &Device::flex());
        let output = network.forward(images, timesteps, None);
        assert_eq!(output.dims(), [5, channels, side, side]);
        let values = output.try_into_vec_as::<f32>().unwrap();
        assert!(values.iter().all(|&value| value == 0.0));
    }
}

fn unets() -> Vec<(UnetModel, (usize, usize))> {
    vec![
        (UnetModel { channels: 16, ..UnetModel::default() }, (1, 8)),
        (
            UnetModel {
                channels: 8,
                channel_multipliers: vec![1, 2, 3],
                blocks_per_level: 2,
                attention_resolutions: vec![4, 8],
                attention_heads: 2,
                dropout: 0.1,
                norm_groups: 4,
            },
            (3, 8),
        ),
    ]
}

/// Values in (-1, 1) that need no storing: sin(1), sin(2), ...
fn formula(count: usize) -> Vec<f32> {
    (1..=count).map(|index| (index as f64).sin() as f32).collect()
}
