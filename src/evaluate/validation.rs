use super::EvaluateError;
use super::predict::Predict;
use crate::data::Images;
use crate::diffusion::{ForwardProcess, Path, network_input, training_target};
use crate::event::{Measure, Name};
use crate::random::{Draws, Stream};
use crate::spec::{Data, Parameterization, RunSpec, Weights};

/// One noise and one set of timesteps for every run, whatever its seed, so that losses differ by network alone.
const SEED: u64 = 0;

/// Held-out images, noised once: each at one timestep of every bin of t.
pub struct Validation {
    bins: usize,
    /// One per noised image; bin by bin within each held-out image.
    timesteps: Vec<f32>,
    /// The class of each, where the network is told classes.
    classes: Option<Vec<u32>>,
    /// The network's input: `[images * bins, channels, side, side]`.
    input: Vec<f32>,
    /// The network's target, of the same shape.
    target: Vec<f32>,
    /// The parts of the protocol before the number of images, and after the weights.
    protocol: (String, &'static str),
    /// [`crate::spec::Train::average`], or the name of another average.
    average: String,
}

impl Validation {
    pub fn new(spec: &RunSpec, test: &Images, process: &ForwardProcess) -> Result<Self, EvaluateError> {
        let validation = &spec.evaluate.validation;
        let (images, bins) = (validation.images, validation.bins);
        if !(1..=test.len()).contains(&images) {
            let rule = format!("there are 1 to {} held-out images", test.len());
            return Err(EvaluateError::Setting { key: "evaluate.validation.images", value: images, rule });
        }
        if !(1..=process.timesteps()).contains(&bins) {
            let rule = format!("1 to {} timesteps can be told apart", process.timesteps());
            return Err(EvaluateError::Setting { key: "evaluate.validation.bins", value: bins, rule });
        }
        let image_values = test.image_values();
        let (mut timesteps, mut clean, mut classes) = (vec![], vec![], vec![]);
        let mut noise = vec![0.0; images * bins * image_values];
        for (index, noise) in noise.chunks_exact_mut(bins * image_values).enumerate() {
            let mut draws = Draws::new(SEED, Stream::Validation, index as u64);
            let image = test.image(index);
            for bin in 0..bins {
                let (start, end) = (bin_start(bin, bins, process), bin_start(bin + 1, bins, process));
                timesteps.push(start + draws.below(end - start));
                clean.extend_from_slice(&image);
                classes.push(u32::from(test.labels[index]));
            }
            draws.fill_normal(noise);
        }
        let noisy = process.add_noise(&clean, &noise, &timesteps);
        let input = network_input(spec.parameterization, process, noisy, &timesteps);
        let target = training_target(spec.parameterization, process, &clean, &noise, &timesteps).into_owned();
        // The errors of different things are different numbers.
        let of = match spec.parameterization {
            Parameterization::Epsilon => String::new(),
            Parameterization::Edm(edm) => format!(" of=edm sigma_data={}", edm.sigma_data),
            // What is compared is that of `edm`; what the network is shown is the network's own business.
            Parameterization::Fdm(fdm) => format!(" of=edm sigma_data={}", fdm.sigma_data),
            // Another path has another velocity.
            Parameterization::V if process.path() == Path::Straight => " of=velocity".to_owned(),
            other => format!(" of={}", other.name()),
        };
        let classes = spec.told_classes().map(|_| classes);
        let told = if classes.is_some() { " classes=told" } else { "" };
        let hash = match spec.data {
            Data::Digits(_) => "",
            _ => &format!("@{:.12}", test.sha256),
        };
        let protocol = (format!("mse{of} ref=test{hash}"), told);
        let timesteps = timesteps.into_iter().map(|t| t as f32).collect();
        Ok(Self { bins, timesteps, classes, input, target, protocol, average: spec.train.average() })
    }

    /// The protocol names averaged weights so from now on.
    pub fn name_average(&mut self, average: &str) {
        average.clone_into(&mut self.average);
    }

    /// How the loss of the first `images` images is measured, with such weights.
    pub fn protocol(&self, weights: Option<Weights>, images: usize) -> String {
        let (before, after) = &self.protocol;
        let weights = weights.map_or(String::new(), |weights| format!(" {}", weights.protocol(&self.average)));
        format!("{before} n={images} bins={}{weights}{after}", self.bins)
    }

    /// Held-out images.
    pub fn images(&self) -> usize {
        self.timesteps.len() / self.bins
    }

    pub fn bins(&self) -> usize {
        self.bins
    }

    /// The noised images of `indices`, which go image by image and within each bin by bin.
    pub(super) fn noised(&self, indices: &[usize]) -> Noised {
        let image_values = self.input.len() / self.timesteps.len();
        let values = |all: &[f32]| -> Vec<f32> {
            indices.iter().flat_map(|&index| &all[index * image_values..][..image_values]).copied().collect()
        };
        Noised {
            input: values(&self.input),
            target: values(&self.target),
            timesteps: indices.iter().map(|&index| self.timesteps[index]).collect(),
            classes: self.classes.as_ref().map(|classes| indices.iter().map(|&index| classes[index]).collect()),
        }
    }

    /// How many noised images the network is asked about.
    pub fn predictions(&self) -> usize {
        self.timesteps.len()
    }

    /// The mean squared error per pixel of a network with such weights: `validation_loss/<bin>` for each bin of t, and their
    /// mean `validation_loss`.
    pub fn measure(
        &self,
        weights: Weights,
        batch_images: usize,
        predict: Predict<'_>,
    ) -> Result<Vec<Measure>, EvaluateError> {
        let image_values = self.input.len() / self.timesteps.len();
        // f64 sums in a fixed order: the same whatever the batch size.
        let mut sums = vec![0.0f64; self.bins];
        let mut index = 0;
        let batches = self.input.chunks(batch_images * image_values).zip(self.timesteps.chunks(batch_images));
        for (input, timesteps) in batches {
            let classes = self.classes.as_ref().map(|classes| &classes[index..index + timesteps.len()]);
            for predicted in predict(input, timesteps, classes)?.chunks_exact(image_values).take(timesteps.len()) {
                let target = &self.target[index * image_values..][..image_values];
                let errors = predicted.iter().zip(target).map(|(one, other)| f64::from(one - other).powi(2));
                sums[index % self.bins] += errors.sum::<f64>();
                index += 1;
            }
        }
        let values_per_bin = (self.input.len() / self.bins) as f64;
        let protocol = Name::from(self.protocol(Some(weights), self.images()));
        let measure = |metric, sum: f64, values| Measure { metric, protocol: protocol.clone(), value: sum / values };
        let overall = measure(Name::from("validation_loss"), sums.iter().sum(), self.input.len() as f64);
        let by_bin = sums.iter().enumerate();
        let by_bin = by_bin.map(|(bin, &sum)| measure(format!("validation_loss/{bin}").into(), sum, values_per_bin));
        Ok(std::iter::once(overall).chain(by_bin).collect())
    }
}

/// Some of the noised images.
pub(super) struct Noised {
    /// `[n, channels, side, side]`.
    pub input: Vec<f32>,
    /// The target, of the same shape.
    pub target: Vec<f32>,
    pub timesteps: Vec<f32>,
    pub classes: Option<Vec<u32>>,
}

/// The first timestep of a bin; bins cover 0..T and are equally wide, to within one timestep.
fn bin_start(bin: usize, bins: usize, process: &ForwardProcess) -> u32 {
    (bin * process.timesteps()).div_ceil(bins) as u32
}
