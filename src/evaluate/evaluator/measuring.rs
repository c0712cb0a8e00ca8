use super::{Evaluation, Evaluator, in_frechet};
use crate::evaluate::predict::Predict;
use crate::evaluate::{ClassLogits, EvaluateError, FeatureRows, FrechetError, GaussianFit, grid_png};
use crate::event::Measure;
use crate::spec::{FidProtocol, Weights};

/// Images whose features are computed together. It is fixed, so that neither the size of a batch nor who asks changes a bit.
const FEATURE_IMAGES: usize = 256;

/// Generation starts from one noise per image in every run, whatever its seed.
const NOISE_SEED: u64 = 0;

impl Evaluator {
    /// Measures `network`, which has such weights.
    pub(super) fn measure(
        &self,
        weights: Weights,
        network: Predict<'_>,
        progress: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Evaluation, EvaluateError> {
        let generated = self.samples.max(self.kept_images);
        let predictions = (generated * self.generation_nfe + self.validation.predictions()) as f64;
        let mut predicted_images = 0;
        let mut predict = |doing, input: &[f32], timesteps: &[f32], classes: Option<&[u32]>| {
            let predicted = network(input, timesteps, classes)?;
            if let Some(index) = predicted.iter().position(|value| !value.is_finite()) {
                let t = timesteps[index / (input.len() / timesteps.len()) % timesteps.len()];
                return Err(EvaluateError::NotFinite { weights, value: predicted[index], t, doing });
            }
            predicted_images += timesteps.len();
            if progress(predicted_images as f64 / predictions) { Ok(predicted) } else { Err(EvaluateError::Stopped) }
        };

        let image_values = self.image_shape.0 * self.image_shape.1.pow(2);
        let dimension = self.features.dimension();
        let in_generated = in_frechet("the generated images");
        // Images are let go as soon as their features are there, and features where nothing but their Gaussian is asked for.
        let (mut fit, mut kept, mut first_images, mut pending) = (GaussianFit::new(dimension), vec![], vec![], vec![]);
        let mut take_features = |pixels: &[f32]| -> Result<(), FrechetError> {
            let features = self.features.features(pixels);
            fit.push(&features)?;
            if !self.further.is_empty() {
                kept.extend(features);
            }
            Ok(())
        };
        for first in (0..generated).step_by(self.batch_images) {
            let count = self.batch_images.min(generated - first);
            let mut generating = |input: &[f32], timesteps: &[f32], classes: Option<&[u32]>| {
                predict("generating images", input, timesteps, classes)
            };
            let images = self.generation.batch(NOISE_SEED, first, count, &mut generating)?;
            let first_of = |wanted: usize| &images[..wanted.saturating_sub(first).min(count) * image_values];
            first_images.extend_from_slice(first_of(self.kept_images));
            pending.extend_from_slice(first_of(self.samples));
            while pending.len() >= FEATURE_IMAGES * image_values {
                let rest = pending.split_off(FEATURE_IMAGES * image_values);
                take_features(&std::mem::replace(&mut pending, rest)).map_err(&in_generated)?;
            }
        }
        if !pending.is_empty() {
            take_features(&pending).map_err(&in_generated)?;
        }
        let mut predict_each = |input: &[f32], timesteps: &[f32], classes: Option<&[u32]>| {
            predict("measuring the validation loss", input, timesteps, classes)
        };
        let validation = self.validation.measure(weights, self.batch_images, &mut predict_each)?;
        let protocol = FidProtocol { weights, ..self.protocol.clone() };
        let fid = fit.finish().and_then(|gaussian| self.reference.distance(&gaussian)).map_err(&in_generated)?;
        let mut measures = vec![Measure { metric: "fid".into(), protocol: protocol.to_string(), value: fid }];
        if !self.further.is_empty() {
            let rows = FeatureRows::new(&kept, dimension).map_err(&in_generated)?;
            let logits = self.further.needs_logits().then(|| self.features.logits(&kept)).flatten();
            let logits = logits.as_ref().map(|(logits, classes)| ClassLogits { logits, classes: *classes });
            let mut goes_on = || if progress(1.0) { Ok(()) } else { Err(EvaluateError::Stopped) };
            measures.extend(self.further.measure(rows, logits, &self.reference, &protocol, &mut goes_on)?);
        }
        measures.extend(validation);

        let (channels, side) = self.image_shape;
        let grid_png = grid_png(&first_images[..self.grid_images * image_values], channels, side)?;
        Ok(Evaluation { measures, grid_png, first_images })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{evaluator, no_folder, spec};
    use super::*;
    use crate::data::Images;
    use crate::diffusion::ForwardProcess;
    use crate::spec::{Ddim, Ddpm, Model, OdeSampler, Parameterization, RunSpec, UnetModel};

    impl Evaluator {
        /// A network that is said to have averaged weights.
        fn evaluate_with(
            &self,
            network: Predict<'_>,
            progress: &mut dyn FnMut(f64) -> bool,
        ) -> Result<Evaluation, EvaluateError> {
            self.measure(Weights::Averaged, network, progress)
        }
    }

    /// A network that says `share` of what it sees is noise.
    fn network(share: f32) -> impl FnMut(&[f32], &[f32], Option<&[u32]>) -> PredictResult {
        move |noisy, _, _| Ok(noisy.iter().map(|value| share * value).collect())
    }

    type PredictResult = Result<Vec<f32>, EvaluateError>;

    fn value(evaluation: &Evaluation, metric: &str) -> f64 {
        evaluation.measures.iter().find(|measure| measure.metric == metric).unwrap().value
    }

    #[test]
    fn an_evaluation_measures_distance_and_losses_by_their_protocol() {
        let evaluation = evaluator(&spec()).evaluate_with(&mut network(1.0), &mut |_| true).unwrap();
        let metrics: Vec<&str> = evaluation.measures.iter().map(|measure| measure.metric.as_str()).collect();
        let bins: Vec<String> = (0..10).map(|bin| format!("validation_loss/{bin}")).collect();
        assert_eq!(metrics[..2], ["fid", "validation_loss"]);
        assert_eq!(metrics[2..], bins);
        let protocol = "digits-cnn n=300 ref=train:1442 resize=none ddim nfe=5 ema=0.999";
        assert_eq!(evaluation.measures[0].protocol, protocol);
        assert_eq!(evaluation.measures[1].protocol, "mse ref=test n=64 bins=10 ema=0.999");

        // x_t is all noise at the end of the schedule and all image at its beginning: saying "all of it is noise" is
        // right there and wrong here, where the error is the mean square of image minus noise, above 1.
        assert!(value(&evaluation, "validation_loss/9") < 0.05);
        assert!(value(&evaluation, "validation_loss/0") > 1.0);
        let mean = bins.iter().map(|bin| value(&evaluation, bin)).sum::<f64>() / 10.0;
        assert!((value(&evaluation, "validation_loss") - mean).abs() < 1e-12);
        assert!(value(&evaluation, "fid") > 1.0);
        // 64 images in 8 rows of 8.
        let grid = image::load_from_memory(&evaluation.grid_png).unwrap();
        assert_eq!((grid.width(), grid.height()), (530, 530));
    }

    #[test]
    fn saying_there_is_no_noise_costs_the_variance_of_noise() {
        let evaluation = evaluator(&spec()).evaluate_with(&mut network(0.0), &mut |_| true).unwrap();
        // The mean of 64 x 10 x 64 squared standard normals: 1 within five standard errors.
        let loss = value(&evaluation, "validation_loss");
        assert!((loss - 1.0).abs() < 5.0 * (2.0f64 / 40_960.0).sqrt(), "{loss}");
    }

    /// The best possible network for these images: epsilon of E[x_0 | x_t], a softmax over all of them.
    fn ideal_network(
        images: &Images,
        process: ForwardProcess,
    ) -> impl FnMut(&[f32], &[f32], Option<&[u32]>) -> PredictResult + '_ {
        move |noisy, timesteps, _| {
            let mut epsilon = Vec::with_capacity(noisy.len());
            for (x_t, &t) in noisy.chunks_exact(images.image_values()).zip(timesteps) {
                let t = t as u32;
                let (signal_scale, noise_scale) = (process.signal_scale(t) as f32, process.noise_scale(t) as f32);
                let log_density = |index| {
                    let squares =
                        x_t.iter().zip(images.image(index)).map(|(x, pixel)| (x - signal_scale * pixel).powi(2));
                    -squares.sum::<f32>() / (2.0 * noise_scale * noise_scale)
                };
                let log_densities: Vec<f32> = (0..images.len()).map(log_density).collect();
                let largest = log_densities.iter().copied().fold(f32::MIN, f32::max);
                let (mut mean, mut total) = (vec![0.0; x_t.len()], 0.0);
                for (index, log_density) in log_densities.iter().enumerate() {
                    let weight = (log_density - largest).exp();
                    total += weight;
                    mean.iter_mut().zip(images.image(index)).for_each(|(mean, pixel)| *mean += weight * pixel);
                }
                epsilon.extend(x_t.iter().zip(mean).map(|(x, sum)| (x - signal_scale * sum / total) / noise_scale));
            }
            Ok(epsilon)
        }
    }

    #[test]
    fn a_network_that_predicts_the_image_is_measured_as_such() {
        let dataset = crate::data::load_digits().unwrap();
        let process = ForwardProcess::new(&spec().noise_schedule);
        let epsilon = evaluator(&spec()).evaluate_with(&mut network(0.9), &mut |_| true).unwrap();
        for parameterization in [Parameterization::V, Parameterization::X0] {
            let spec = RunSpec { parameterization, ..spec() };
            let evaluator = Evaluator::new(&spec, &dataset, &no_folder(), &mut || {}).unwrap();
            // Says in other words what `network(0.9)` says.
            let mut same = |noisy: &[f32], timesteps: &[f32], _: Option<&[u32]>| {
                let pixels = noisy.len() / timesteps.len();
                let say = |(index, &x_t): (usize, &f32)| {
                    let t = timesteps[index / pixels] as u32;
                    let (signal, noise) = (process.signal_scale(t), process.noise_scale(t));
                    let (x_t, epsilon) = (f64::from(x_t), f64::from(0.9 * x_t));
                    let x_0 = (x_t - noise * epsilon) / signal;
                    let v = signal * epsilon - noise * x_0;
                    if parameterization == Parameterization::V { v as f32 } else { x_0 as f32 }
                };
                Ok(noisy.iter().enumerate().map(say).collect())
            };
            let evaluation = evaluator.evaluate_with(&mut same, &mut |_| true).unwrap();
            // The images are the same, and so is how they are measured.
            assert!((value(&evaluation, "fid") / value(&epsilon, "fid") - 1.0).abs() < 1e-3);
            assert_eq!(evaluation.measures[0].protocol, epsilon.measures[0].protocol);
            // The error is that of something else, and says so.
            let expected = format!("mse of={} ref=test n=64 bins=10 ema=0.999", parameterization.name());
            assert_eq!(evaluation.measures[1].protocol, expected);
        }
    }

    #[test]
    fn the_best_possible_network_comes_as_close_as_real_images() {
        let dataset = crate::data::load_digits().unwrap();
        let mut spec = spec();
        spec.evaluate.fid.ode = OdeSampler::Ddim(Ddim { steps: 10, ..Ddim::default() });
        let evaluator = Evaluator::new(&spec, &dataset, &no_folder(), &mut || {}).unwrap();
        let process = ForwardProcess::new(&spec.noise_schedule);
        let ideal = evaluator.evaluate_with(&mut ideal_network(&dataset.train, process), &mut |_| true).unwrap();
        let blind = evaluator.evaluate_with(&mut network(0.0), &mut |_| true).unwrap();
        // 300 training images drawn at random are at 0.16 to 0.39 from all of them (eight draws).
        assert!(value(&ideal, "fid") < 0.5, "{}", value(&ideal, "fid"));
        assert!(value(&blind, "fid") > 5.0, "{}", value(&blind, "fid"));
        assert!(value(&ideal, "validation_loss/5") < 0.05, "which digit it is can still be seen at half of T");
    }

    #[test]
    fn neither_batch_size_nor_seed_changes_the_result() {
        // Two of which one adds noise on the way.
        let ancestral = OdeSampler::Ddpm(Ddpm { steps: 5, ..Ddpm::default() });
        for ode in [spec().evaluate.fid.ode, ancestral] {
            let mut spec = spec();
            spec.evaluate.fid.ode = ode;
            let mut evaluator = evaluator(&spec);
            let expected = evaluator.evaluate_with(&mut network(0.9), &mut |_| true).unwrap();
            evaluator.batch_images = 37;
            assert_eq!(evaluator.evaluate_with(&mut network(0.9), &mut |_| true).unwrap(), expected);
            let other_seed = super::tests::evaluator(&RunSpec { seed: 7, ..spec });
            assert_eq!(other_seed.evaluate_with(&mut network(0.9), &mut |_| true).unwrap(), expected);
        }
    }

    #[test]
    fn the_grid_may_be_larger_than_the_distance_needs_and_changes_nothing_else() {
        let mut spec = spec();
        spec.evaluate.fid.samples = 20;
        let few = evaluator(&spec).evaluate_with(&mut network(0.9), &mut |_| true).unwrap();
        spec.evaluate.grid_images = 3;
        let fewer = evaluator(&spec).evaluate_with(&mut network(0.9), &mut |_| true).unwrap();
        assert_eq!(few.measures, fewer.measures);
        assert_eq!(image::load_from_memory(&few.grid_png).unwrap().height(), 8 * 66 + 2);
        assert_eq!(image::load_from_memory(&fewer.grid_png).unwrap().width(), 3 * 66 + 2);
    }

    #[test]
    fn it_stops_when_asked_and_says_how_far_it_is() {
        let evaluator = evaluator(&spec());
        let mut shares = vec![];
        let all = evaluator.evaluate_with(&mut network(0.9), &mut |share| {
            shares.push(share);
            true
        });
        assert!(all.is_ok() && shares.is_sorted() && shares[0] > 0.0);
        assert_eq!(shares.last(), Some(&1.0));
        let mut calls = 0;
        let stopped = evaluator.evaluate_with(&mut network(0.9), &mut |_| {
            calls += 1;
            calls < 3
        });
        assert!(matches!(stopped, Err(EvaluateError::Stopped)) && calls == 3);
    }

    #[test]
    fn a_network_that_is_no_longer_finite_is_an_error_of_its_own() {
        for wrong in [f32::NAN, f32::INFINITY] {
            let mut diverged = |noisy: &[f32], timesteps: &[f32], _: Option<&[u32]>| {
                Ok(noisy.iter().map(|value| if timesteps[0] < 500.0 { wrong } else { *value }).collect())
            };
            let error = evaluator(&spec()).evaluate_with(&mut diverged, &mut |_| true).unwrap_err();
            assert!(matches!(error, EvaluateError::NotFinite { .. }));
            let message = format!("the averaged network's output is {wrong} at t = 399 while generating images");
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_network_that_is_told_classes_draws_each_as_often_and_is_guided_by_them() {
        let mut spec = spec();
        spec.model = Model::Unet(UnetModel { class_conditional: true, ..UnetModel::default() });
        spec.evaluate.fid.guidance = 3.0;
        let dataset = crate::data::load_digits().unwrap();
        let evaluator = Evaluator::new(&spec, &dataset, &no_folder(), &mut || {}).unwrap();
        let mut asked: Vec<(usize, Option<Vec<u32>>)> = vec![];
        // A class changes what is said by 0.01 times its number.
        let mut telling = |noisy: &[f32], timesteps: &[f32], classes: Option<&[u32]>| {
            asked.push((timesteps.len(), classes.map(<[u32]>::to_vec)));
            let pixels = noisy.len() / timesteps.len();
            let class = |image: usize| classes.map_or(0.0, |classes| 0.01 * classes[image] as f32);
            Ok(noisy.iter().enumerate().map(|(index, value)| value + class(index / pixels)).collect())
        };
        let mut shares = vec![];
        let guided = evaluator.evaluate_with(&mut telling, &mut |share| {
            shares.push(share);
            true
        });
        let guided = guided.unwrap();
        assert_eq!(shares.last(), Some(&1.0));
        let protocol = "digits-cnn n=300 ref=train:1442 resize=none ddim nfe=10 ema=0.999 classes=balanced guidance=3";
        assert_eq!(guided.measures[0].protocol, protocol);
        assert_eq!(guided.measures[1].protocol, "mse ref=test n=64 bins=10 ema=0.999 classes=told");
        // 300 images in batches of 256, five steps, each with and without its class; then the validation images.
        let balanced = |first: u32, count: u32| Some((first..first + count).map(|index| index % 10).collect());
        assert_eq!(asked[..2], [(256, balanced(0, 256)), (256, None)]);
        assert_eq!(asked[10..12], [(44, balanced(256, 44)), (44, None)]);
        let labels: Vec<u32> = dataset.test.labels[..64].iter().flat_map(|&label| [u32::from(label); 10]).collect();
        assert_eq!(asked[20], (256, Some(labels[..256].to_vec())));
        assert_eq!(asked.len(), 20 + 3);

        // Three times what a class changes.
        spec.evaluate.fid.guidance = 1.0;
        let plain = Evaluator::new(&spec, &dataset, &no_folder(), &mut || {}).unwrap();
        let mut tripled = |noisy: &[f32], timesteps: &[f32], classes: Option<&[u32]>| {
            let pixels = noisy.len() / timesteps.len();
            let class = |image: usize| classes.map_or(0.0, |classes| 0.03 * classes[image] as f32);
            Ok(noisy.iter().enumerate().map(|(index, value)| value + class(index / pixels)).collect())
        };
        let expected = plain.evaluate_with(&mut tripled, &mut |_| true).unwrap();
        assert!((value(&guided, "fid") / value(&expected, "fid") - 1.0).abs() < 1e-3);
        assert!(expected.measures[0].protocol.ends_with("nfe=5 ema=0.999 classes=balanced"));
    }
}
