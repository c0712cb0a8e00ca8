//! The loss around weights: the Hessian against PyTorch's, and the command.

use std::fs;

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;
use speedlab::evaluate::landscape::{hutchinson, lanczos, length, normal};
use speedlab::model;
use speedlab::spec::{Model, UnetModel};

use crate::parity::{formula, read_golden, reals};
use crate::sandbox::{Sandbox, TINY, stderr, stdout};

#[test]
fn eigenvalues_and_trace_by_differences_in_f32_are_those_of_the_whole_hessian_by_pytorch() {
    let golden = read_golden("hessian");
    let number = |key: &str| golden[key].as_u64().expect("a number") as usize;
    let (channels, norm_groups) = (number("channels"), number("groups"));
    let unet = UnetModel {
        channels,
        norm_groups,
        channel_multipliers: vec![1],
        blocks_per_level: 1,
        attention_resolutions: vec![],
        ..UnetModel::default()
    };
    let device = Device::flex();
    let mut network = model::build(&Model::Unet(unet), (1, 8), 0, &device.clone().autodiff());
    let layout = network.layout().to_vec();
    let count = number("parameters");
    assert_eq!(layout.iter().map(|parameter| parameter.size()).sum::<usize>(), count);
    let mut weights: Vec<f32> = formula(count).iter().map(|value| 0.1 * value).collect();
    let mut start = 0;
    for parameter in &layout {
        if parameter.name.contains("norm") && parameter.name.ends_with(".weight") {
            weights[start..start + parameter.size()].iter_mut().for_each(|weight| *weight += 1.0);
        }
        start += parameter.size();
    }
    let timesteps: Vec<f32> = reals(&golden["timesteps"]).iter().map(|&t| t as f32).collect();
    let images = Tensor::<4>::from_data(TensorData::new(formula(3 * 64), [3, 1, 8, 8]), &device);
    let targets: Vec<f32> = formula(3 * 64).chunks(64).rev().flatten().copied().collect();
    let targets = Tensor::<4>::from_data(TensorData::new(targets, [3, 1, 8, 8]), &device);
    let mut gradient = |weights: &[f32]| -> (f64, Vec<f32>) {
        network.set_weights(Tensor::from_data(TensorData::new(weights.to_vec(), [count]), &device));
        let output = network.forward(images.clone(), Tensor::from_data(timesteps.as_slice(), &device), None, None);
        let loss = (output - targets.clone()).square().mean();
        let value = f64::from(loss.clone().inner().into_scalar::<f32>());
        (value, network.gradients(loss).try_into_vec_as::<f32>().expect("networks compute in f32"))
    };
    let expected_loss = golden["loss"].as_f64().expect("a number");
    assert!((gradient(&weights).0 / expected_loss - 1.0).abs() < 1e-5);

    let step = 3e-4 * length(&weights);
    let mut product = |v: &[f32]| -> Result<Vec<f32>, std::convert::Infallible> {
        let moved = |sign: f64| -> Vec<f32> {
            weights.iter().zip(v).map(|(w, v)| (f64::from(*w) + sign * step * f64::from(*v)) as f32).collect()
        };
        let (ahead, behind) = (gradient(&moved(1.0)).1, gradient(&moved(-1.0)).1);
        let difference = |(a, b): (&f32, &f32)| ((f64::from(*a) - f64::from(*b)) / (2.0 * step)) as f32;
        Ok(ahead.iter().zip(&behind).map(difference).collect())
    };
    let Ok(found) = lanczos(normal(1, 0, count), 100, &mut product);
    let values = found.values().expect("they converge");
    let largest = reals(&golden["largest"]);
    for (found, expected) in values.iter().zip(&largest) {
        assert!((found.value - expected).abs() < 0.005 * largest[0], "{found:?} is not {expected}: {values:?}");
    }
    let smallest = reals(&golden["smallest"])[0];
    let found = values.last().expect("there are 100").value;
    assert!((found - smallest).abs() < 0.005 * largest[0], "{found} is not {smallest}");
    let Ok(trace) = hutchinson(1, 100, count, 60, &mut product);
    let trace = trace.expect("there are samples");
    let expected = golden["trace"].as_f64().expect("a number");
    let error = trace.standard_error.expect("more than one sample");
    assert!((trace.trace - expected).abs() < 4.0 * error, "{trace:?} is not {expected}");
}

#[test]
fn the_loss_around_two_runs_is_measured_drawn_and_given_as_one_value() {
    let sandbox = Sandbox::new(TINY);
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let study = sandbox.study();
    let run = |index: usize| format!("results/tiny/runs/{}", study.runs[index].planned.run_id);
    let (first, second) = (run(0), run(1));
    let cheap =
        ["--images", "2", "--points", "5", "--plane", "3", "--directions", "2", "--lanczos", "6", "--trace", "3"];
    let args = [&["landscape", &first, &second, "--eigenvalues", "2", "--json"][..], &cheap[..]].concat();
    let output = sandbox.speedlab(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("one JSON value");
    assert_eq!((json["version"].as_u64(), json["runs"].as_array().map(Vec::len)), (Some(1), Some(2)));
    let of_run = &json["runs"][0];
    let at_the_weights = of_run["loss_at_the_weights"].as_f64().expect("a number");
    let line = of_run["from_initial"].as_array().expect("a list");
    let loss_at = |points: &[Value], share: f64| {
        points.iter().find(|point| point[0].as_f64() == Some(share)).expect("it is a point")[1]
            .as_f64()
            .expect("a number")
    };
    // A fresh network says zero, whose error is the variance of noise; the trained end is the run itself.
    assert!((loss_at(line, 0.0) - 1.0).abs() < 0.3 && loss_at(line, 1.0) == at_the_weights && at_the_weights < 1.0);
    let random = of_run["random_lines"].as_array().expect("a list");
    assert_eq!(random.len(), 2);
    assert!(random.iter().all(|line| loss_at(line.as_array().expect("a list"), 0.0) == at_the_weights));
    assert_eq!(of_run["plane"]["losses"][1][1].as_f64(), Some(at_the_weights));
    let hessian = &of_run["hessian"];
    assert_eq!(hessian["eigenvalues"].as_array().map(Vec::len), Some(2));
    assert!(hessian["eigenvalues"][0]["value"].as_f64() >= hessian["eigenvalues"][1]["value"].as_f64());
    assert!(hessian["change_with_half_the_step"].as_f64().expect("a number") < 0.05, "{hessian}");
    let between = json["between"][0]["points"].as_array().expect("a list");
    assert!(loss_at(between, 0.0) == at_the_weights && json["between"][0]["barrier"].is_f64());
    for file in ["landscape.json", "from_initial.svg", "between_runs.png", "random_plane.png", "eigenvalues.svg"] {
        assert!(sandbox.path().join("landscape").join(file).is_file(), "{file}");
    }
    // The same weights give the same numbers.
    assert_eq!(stdout(&sandbox.speedlab(&args)), stdout(&output));

    for (args, expected) in [
        (&["landscape", "nowhere"][..], "nowhere is no run's folder"),
        (&["landscape", &first, "--images", "400"], "`evaluate.validation.images` is 400"),
        (
            &["landscape", &first, "--eigenvalues", "40"],
            "--eigenvalues 40 needs at least as many steps of --lanczos, not 30",
        ),
        (&["landscape", &first, "--points", "1"], "--points must be 0, for none, or from 2 to 1000, not 1"),
        (&["landscape", &first, "--step", "0"], "--step must be above 0"),
    ] {
        let output = sandbox.speedlab(args);
        assert!(output.status.code() != Some(0) && stderr(&output).contains(expected), "{}", stderr(&output));
    }
    let checkpoint = sandbox.path().join(&second).join("checkpoint/state.safetensors");
    fs::remove_file(checkpoint).expect("the run has one");
    assert!(stderr(&sandbox.speedlab(&["landscape", &second])).contains("the run has no checkpoint yet"));
}
