//! Networks against outside references.

use burn::tensor::{Device, Tensor, TensorData};
use speedlab::kernels::{Kernels, Products};
use speedlab::model::{self, DIGITS_CNN, DeviceDraws, Dropout, Masks, SmallCnn, TokenRoute};
use speedlab::spec::{AdmModel, DataShape, DitModel, Model, UnetModel, UvitModel};

use super::parity::{Asked, agrees_with_pytorch, dot, formula, read_golden, reals};

#[test]
fn a_built_network_has_as_many_parameters_as_counted_without_building() {
    for (model, image_shape) in models() {
        let network = model::build(&model, image_shape, 1, &Device::flex());
        let built: usize = network.layout().iter().map(|parameter| parameter.size()).sum();
        assert_eq!(model::parameter_count(&model, image_shape), built);
        assert_eq!(network.weights().dims(), [built]);
    }
}

#[test]
fn a_fresh_network_predicts_zeros_of_the_shape_of_its_input() {
    for (model, (channels, side)) in models() {
        let network = model::build(&model, (channels, side), 1, &Device::flex());
        let images = formula(5 * channels * side * side);
        let images = Tensor::from_data(TensorData::new(images, [5, channels, side, side]), &Device::flex());
        let timesteps = Tensor::from_data([0.0f32, 1.0, 10.0, 500.0, 999.0], &Device::flex());
        let output = network.forward(images, timesteps, None, None);
        let outputs = if model.learned_sigma() { 2 * channels } else { channels };
        assert_eq!(output.dims(), [5, outputs, side, side]);
        let values = output.try_into_vec_as::<f32>().unwrap();
        assert!(values.iter().all(|&value| value == 0.0));
    }
}

#[test]
fn a_network_that_is_told_classes_follows_them_and_learns_their_embedding() {
    let unet = UnetModel { channels: 8, class_conditional: true, ..UnetModel::default() };
    let model = Model::Unet(unet.clone());
    let shape = DataShape { channels: 1, side: 8, classes: Some(3) };
    let device = Device::flex();
    let mut network = model::build(&model, shape, 1, &device.clone().autodiff());
    network.set_weights(network.weights() + 0.01);
    let timesteps = || Tensor::from_data([5.0f32; 4], &device);
    let images = || {
        let image = formula(64).repeat(4);
        Tensor::<4>::from_data(TensorData::new(image, [4, 1, 8, 8]), &device)
    };
    let classes = [0, 1, 1, 3];
    let output = network.forward(images(), timesteps(), Some(&classes), None);
    let images_of = |output: Tensor<4>| -> Vec<Vec<f32>> {
        output.try_into_vec_as::<f32>().unwrap().chunks(64).map(<[f32]>::to_vec).collect()
    };
    let values = images_of(output.clone().inner());
    assert_eq!(values[1], values[2]);
    assert!(values[0] != values[1] && values[3] != values[0] && values[3] != values[1]);
    // Told nothing, every image is of no class.
    let untold = images_of(network.forward(images(), timesteps(), None, None).inner());
    assert!(untold.iter().all(|image| *image == values[3]));

    let gradients = network.gradients(output.square().mean()).try_into_vec_as::<f32>().unwrap();
    let mut start = 0;
    let mut found = false;
    for parameter in network.layout() {
        if parameter.name == "class.weight" {
            found = true;
            assert_eq!(parameter.shape, [4, 32]);
            let rows: Vec<f64> = gradients[start..start + 128].chunks(32).map(|row| dot(row, row).sqrt()).collect();
            assert!(rows[0] > 0.0 && rows[1] > 0.0 && rows[2] == 0.0 && rows[3] > 0.0, "{rows:?}");
        }
        start += parameter.size();
    }
    assert!(found);

    // What is generated in parts is what is generated at once.
    let many = |count: usize| {
        let images = Tensor::<4>::from_data(TensorData::new(formula(count * 64), [count, 1, 8, 8]), &device);
        let classes: Vec<u32> = (0..count as u32).map(|index| index % 4).collect();
        let timesteps = Tensor::from_data(vec![9.0f32; count].as_slice(), &device);
        images_of(network.untracked().forward(images, timesteps, Some(&classes), None))
    };
    assert_eq!(many(100)[..60], many(60)[..]);

    // One row less where classes are never dropped, and none where they are not told.
    let count = |unet: UnetModel| model::parameter_count(&Model::Unet(unet), shape);
    assert_eq!(count(unet.clone()) - count(UnetModel { class_dropout: 0.0, ..unet.clone() }), 32);
    assert_eq!(count(unet.clone()) - count(UnetModel { class_conditional: false, ..unet }), 4 * 32);
}

#[test]
#[should_panic(expected = "this model is not told classes")]
fn classes_for_a_network_that_is_not_told_any_are_refused() {
    let device = Device::flex();
    let network = model::build(&Model::default(), (1, 8), 1, &device);
    network.forward(Tensor::zeros([1, 1, 8, 8], &device), Tensor::zeros([1], &device), Some(&[0]), None);
}

fn models() -> Vec<(Model, (usize, usize))> {
    vec![
        (Model::Unet(UnetModel { channels: 16, ..UnetModel::default() }), (1, 8)),
        (
            Model::Unet(UnetModel {
                channels: 8,
                channel_multipliers: vec![1, 2, 3],
                blocks_per_level: 2,
                attention_resolutions: vec![4, 8],
                attention_heads: 2,
                dropout: 0.1,
                norm_groups: 4,
                ..UnetModel::default()
            }),
            (3, 8),
        ),
        (Model::Adm(AdmModel::default()), (1, 8)),
        (
            Model::Adm(AdmModel {
                channels: 8,
                channel_multipliers: vec![2, 1, 3],
                blocks_per_level: 2,
                attention_resolutions: vec![4],
                head_channels: Some(4),
                resblock_updown: false,
                learned_sigma: true,
                norm_groups: 4,
                ..AdmModel::default()
            }),
            (3, 8),
        ),
    ]
}

#[test]
fn adm_starts_as_pytorch_starts_a_layer() {
    let network = model::build(&Model::Adm(AdmModel::default()), (1, 8), 1, &Device::flex());
    let weights = network.weights().try_into_vec_as::<f32>().unwrap();
    let mut start = 0;
    let mut seen = 0;
    for parameter in network.layout() {
        let values = &weights[start..start + parameter.size()];
        start += parameter.size();
        let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        let is_last = ["conv2", "output"].iter().any(|name| parameter.name.contains(name));
        if parameter.name.contains("norm") {
            assert_eq!(largest, if parameter.name.ends_with("weight") { 1.0 } else { 0.0 }, "{}", parameter.name);
        } else if is_last {
            assert_eq!(largest, 0.0, "{}", parameter.name);
        } else if parameter.name.ends_with("weight") {
            let fan_in: usize = parameter.shape[1..].iter().product();
            let bound = 1.0 / (fan_in as f32).sqrt();
            assert!(largest < bound && largest > 0.9 * bound, "{}: {largest} of {bound}", parameter.name);
            seen += 1;
        } else {
            assert!(largest > 0.0, "{} is drawn too", parameter.name);
        }
    }
    assert!(seen > 10);
}

#[test]
fn initial_weights_are_a_function_of_the_seed_within_their_bounds() {
    let model = Model::Unet(UnetModel { channels: 16, ..UnetModel::default() });
    let weights = |seed| {
        let network = model::build(&model, (1, 8), seed, &Device::flex());
        (network.layout().to_vec(), network.weights().try_into_vec_as::<f32>().unwrap())
    };
    let (layout, first) = weights(1);
    assert_eq!(first, weights(1).1);
    assert_ne!(first, weights(2).1);
    let mut start = 0;
    for parameter in layout {
        let values = &first[start..start + parameter.size()];
        start += parameter.size();
        if parameter.name == "down.0.0.conv1.weight" {
            // sqrt(6 / (fan in + fan out)) with fans of 16 * 9.
            let bound = (6.0f32 / 288.0).sqrt();
            let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            assert!(largest < bound && largest > 0.98 * bound, "{largest} of {bound}");
        } else if parameter.name.ends_with("conv2.weight") || parameter.name.starts_with("output.conv") {
            assert!(values.iter().all(|&value| value == 0.0), "{} starts at zero", parameter.name);
        }
    }
}

#[test]
fn dropout_is_a_function_of_seed_and_step_and_off_without_them() {
    let model = Model::Unet(UnetModel { channels: 16, dropout: 0.3, ..UnetModel::default() });
    let mut network = model::build(&model, (1, 8), 1, &Device::flex());
    let count = model::parameter_count(&model, (1, 8));
    network.set_weights(Tensor::from_data(formula(count).as_slice(), &Device::flex()) * 0.1);
    let predict = |dropout| {
        let images = Tensor::from_data(TensorData::new(formula(128), [2, 1, 8, 8]), &Device::flex());
        let output = network.forward(images, Tensor::from_data([1.0f32, 2.0], &Device::flex()), None, dropout);
        output.try_into_vec_as::<f32>().unwrap()
    };
    let dropout = |seed, step| Some(Dropout { seed, step, first_image: 0 });
    assert_eq!(predict(dropout(1, 2)), predict(dropout(1, 2)));
    assert_ne!(predict(dropout(1, 2)), predict(dropout(1, 3)));
    assert_ne!(predict(dropout(1, 2)), predict(dropout(2, 2)));
    assert_ne!(predict(dropout(1, 2)), predict(None));
    assert_eq!(predict(None), predict(None));
}

#[test]
fn masks_that_a_device_makes_are_those_that_the_host_draws() {
    let unet = Model::Unet(UnetModel { channels: 16, dropout: 0.3, ..UnetModel::default() });
    let adm = Model::Adm(AdmModel { channels: 16, norm_groups: 8, dropout: 0.1, ..AdmModel::default() });
    for model in [unet, adm] {
        let mut network = model::build(&model, (1, 8), 1, &Device::flex());
        let count = model::parameter_count(&model, (1, 8));
        network.set_weights(Tensor::from_data(formula(count).as_slice(), &Device::flex()) * 0.1);
        let predict = |masks: Masks| {
            let images = Tensor::from_data(TensorData::new(formula(192), [3, 1, 8, 8]), &Device::flex());
            let timesteps = Tensor::from_data([9.0f32, 0.0, 500.0], &Device::flex());
            let (predicted, _) = network.forward_in_training(images, timesteps, None, masks, TokenRoute::default());
            predicted.try_into_vec_as::<f32>().unwrap()
        };
        for step in [0, 1, 65_535, 65_536, 5_000_000] {
            let drawn = predict(Masks::Drawn(Dropout { seed: 3, step, first_image: 0 }));
            let step_values = Tensor::from_data(DeviceDraws::step_values(step), &Device::flex());
            let made = predict(Masks::OnDevice(&DeviceDraws { seed: 3, step: step_values }));
            assert_eq!(drawn, made, "{} at step {step}", model.kind());
        }
    }
}

#[test]
fn an_image_has_the_same_dropout_masks_in_whatever_part_of_the_batch_it_is() {
    let unet = Model::Unet(UnetModel { channels: 16, dropout: 0.3, ..UnetModel::default() });
    let adm = Model::Adm(AdmModel { channels: 16, norm_groups: 8, dropout: 0.3, ..AdmModel::default() });
    for model in [unet, adm] {
        let mut network = model::build(&model, (1, 8), 1, &Device::flex());
        let count = model::parameter_count(&model, (1, 8));
        network.set_weights(Tensor::from_data(formula(count).as_slice(), &Device::flex()) * 0.1);
        let predict = |first_image: usize, count: usize| {
            let images = formula(5 * 64)[first_image * 64..][..count * 64].to_vec();
            let images = Tensor::from_data(TensorData::new(images, [count, 1, 8, 8]), &Device::flex());
            let timesteps = Tensor::from_data(vec![9.0f32; count].as_slice(), &Device::flex());
            let dropout = Dropout { seed: 1, step: 2, first_image };
            network.forward(images, timesteps, None, Some(dropout)).try_into_vec_as::<f32>().unwrap()
        };
        let whole = predict(0, 5);
        assert_eq!([predict(0, 2), predict(2, 1), predict(3, 2)].concat(), whole, "{}", model.kind());
    }
}

/// By burn's operations, which round the results of products to bf16 as a GPU does; by the twins of kernels of GPUs; and by our own, with which a CPU trains.
#[test]
fn a_step_with_products_of_bf16_is_near_one_in_f32() {
    let device = Device::flex();
    let models = [
        Model::Unet(UnetModel { channels: 16, ..UnetModel::default() }),
        Model::Adm(AdmModel {
            channels: 16,
            norm_groups: 8,
            resblock_updown: true,
            dropout: 0.1,
            ..AdmModel::default()
        }),
        Model::Dit(DitModel { patch: 2, dim: 32, depth: 2, heads: 2, ..DitModel::default() }),
        Model::Uvit(UvitModel { patch: 2, dim: 32, depth: 2, heads: 2, ..UvitModel::default() }),
    ];
    let kinds: [fn(Products) -> Kernels; 3] = [Kernels::Plain, Kernels::Gpu, Kernels::Fused];
    for (model, kernels) in models.iter().flat_map(|model| kinds.map(|kernels| (model, kernels))) {
        let step = |products| {
            let mut network = model::build(model, (1, 8), 1, &device.clone().autodiff());
            network = network.with_kernels(kernels(products));
            // What starts at zero is to do something.
            let moved = formula(model::parameter_count(model, (1, 8)));
            network.set_weights(network.weights() + Tensor::<1>::from_data(moved.as_slice(), &device) * 0.05);
            let images = Tensor::<4>::from_data(TensorData::new(formula(6 * 64), [6, 1, 8, 8]), &device);
            let timesteps = Tensor::<1>::from_data([0.0f32, 1.0, 50.0, 200.0, 500.0, 999.0], &device);
            let dropout = Dropout { seed: 1, step: 2, first_image: 0 };
            let output = network.forward(images.clone(), timesteps, None, Some(dropout));
            let loss = (output - images).square().mean();
            let loss_value = f64::from(loss.clone().inner().into_scalar::<f32>());
            (loss_value, network.gradients(loss).try_into_vec_as::<f32>().unwrap())
        };
        let (loss, gradient) = step(Products::Bf16);
        let (exact_loss, exact_gradient) = step(Products::F32);
        assert!(loss != exact_loss && (loss / exact_loss - 1.0).abs() < 0.02, "{}: {loss}", model.kind());
        let norm = |values: &[f32]| dot(values, values).sqrt();
        let error = norm(&gradient) / norm(&exact_gradient) - 1.0;
        assert!(error.abs() < 0.02, "{}: a gradient's norm is {error:.1e} too large", model.kind());
        let difference: Vec<f32> = gradient.iter().zip(&exact_gradient).map(|(value, exact)| value - exact).collect();
        let error = norm(&difference) / norm(&exact_gradient);
        assert!(error < 0.05, "{}: a gradient is {error:.1e} away", model.kind());
    }
}

#[test]
fn the_digits_classifier_learns_to_tell_bright_from_dark_corners() {
    let device = Device::flex();
    let mut classifier = SmallCnn::new(&DIGITS_CNN, 1, &device.clone().autodiff());
    // Image i of class i % 4 is bright in that corner, over a fixed pattern.
    let (count, classes) = (40, 4);
    let mut pixels = formula(count * 64);
    let mut targets = vec![0f32; count * SmallCnn::CLASSES];
    for image in 0..count {
        let class = image % classes;
        for row in 0..4 {
            for column in 0..4 {
                pixels[image * 64 + (row + class / 2 * 4) * 8 + column + class % 2 * 4] += 1.0;
            }
        }
        targets[image * SmallCnn::CLASSES + class] = 1.0;
    }
    let images = Tensor::<4>::from_data(TensorData::new(pixels, [count, 1, 8, 8]), &device);
    let targets = Tensor::<2>::from_data(TensorData::new(targets, [count, SmallCnn::CLASSES]), &device);
    assert_eq!(classifier.features(images.clone()).dims(), [count, DIGITS_CNN.feature_count()]);
    let mut losses = Vec::new();
    for _ in 0..60 {
        let log_probabilities = burn::tensor::activation::log_softmax(classifier.logits(images.clone()), 1);
        let loss = (log_probabilities * targets.clone()).sum().neg() / count as f64;
        losses.push(loss.clone().inner().into_scalar::<f32>());
        let gradient = classifier.gradients(loss);
        classifier.set_weights(classifier.weights() - gradient * 0.1);
    }
    assert!(losses[0] > 1.0 && losses[59] < 0.2 * losses[0], "{} to {}", losses[0], losses[59]);
}

#[test]
fn impossible_models_are_refused_by_the_name_of_their_key() {
    let refused = |change: fn(&mut UnetModel), side| {
        let mut unet = UnetModel::default();
        change(&mut unet);
        model::check(&Model::Unet(unet), (1, side)).unwrap_err().to_string()
    };
    assert_eq!(refused(|unet| unet.channels = 0, 8), "model.channels is 0");
    assert_eq!(refused(|unet| unet.channel_multipliers.clear(), 8), "model.channel_multipliers is 0");
    assert_eq!(
        refused(|unet| unet.norm_groups = 5, 8),
        "model.norm_groups: 5 groups do not divide the 32 channels of level 0"
    );
    assert_eq!(
        refused(|unet| unet.attention_heads = 3, 8),
        "model.attention_heads: 3 heads do not divide the 64 channels of level 1"
    );
    assert_eq!(
        refused(|_| (), 7),
        "model.channel_multipliers: 2 levels halve the side 1 times, which images of side 7 do not allow"
    );
    assert_eq!(refused(|unet| unet.dropout = 1.0, 8), "model.dropout is 1, which is not in [0, 1)");
    assert!(refused(|unet| unet.dropout = f64::NAN, 8).starts_with("model.dropout is NaN"));
    assert_eq!(
        refused(|unet| unet.class_conditional = true, 8),
        "model.class_conditional is true, but the images have no classes"
    );
    assert_eq!(refused(|unet| unet.class_dropout = 1.0, 8), "model.class_dropout is 1, which is not in [0, 1)");
}

/// tests/golden/unet.json: the same network in PyTorch, in f64 (scripts/golden/networks.py).
#[test]
fn the_unet_and_its_gradients_agree_with_pytorch() {
    for case in read_golden("unet").as_array().unwrap() {
        let number = |key: &str| case[key].as_u64().unwrap() as usize;
        let numbers = |key: &str| -> Vec<usize> {
            case[key].as_array().unwrap().iter().map(|value| value.as_u64().unwrap() as usize).collect()
        };
        let unet = UnetModel {
            channels: number("channels"),
            channel_multipliers: numbers("multipliers"),
            blocks_per_level: number("blocks"),
            attention_resolutions: numbers("attention"),
            attention_heads: number("heads"),
            dropout: 0.0,
            norm_groups: number("groups"),
            ..UnetModel::default()
        };
        agrees_with_pytorch(&Model::Unet(unet), asked(case), case);
    }
}

/// tests/golden/adm.json: the same network as the library diffusers builds it, in f64 (scripts/golden/adm.py).
#[test]
fn the_unet_of_adm_and_its_gradients_agree_with_diffusers() {
    for case in read_golden("adm")["cases"].as_array().unwrap() {
        agrees_with_pytorch(&speedlab::spec::decode_json(&case["model"]).unwrap(), asked(case), case);
    }
}

/// Operations: what torch.utils.flop_counter counts.
#[test]
fn presets_of_adm_have_the_parameters_and_operations_that_pytorch_counts() {
    for (name, counted) in read_golden("adm")["presets"].as_object().unwrap() {
        let preset = speedlab::plan::PRESETS.iter().find(|preset| preset.name == name).unwrap();
        let side = name.trim_start_matches("adm-imagenet").parse().unwrap_or(32);
        let model = (preset.model)();
        let shape = DataShape { channels: 3, side, classes: Some(1000) };
        assert_eq!(model::parameter_count(&model, shape) as u64, counted["parameters"].as_u64().unwrap(), "{name}");
        let (flops, expected) = (model::forward_flops(&model, shape), counted["flops"].as_f64().unwrap());
        assert!((flops / expected - 1.0).abs() < 1e-3, "{name}: {flops:e} for {expected:e}");
    }
}

fn asked(case: &serde_json::Value) -> Asked {
    let number = |key: &str| case[key].as_u64().unwrap() as usize;
    let classes: Option<Vec<u32>> =
        case.get("classes").map(|list| reals(list).iter().map(|&class| class as u32).collect());
    let class_count = classes.as_ref().map(|_| number("class_count"));
    let shape = DataShape { channels: number("images"), side: number("side"), classes: class_count };
    Asked { shape, classes, weight_scale: 0.1 }
}
