mod by_protocol;
mod measuring;

use std::collections::BTreeSet;
use std::sync::Arc;

use burn::tensor::Device;

use self::by_protocol::{Asked, ByProtocol, Compared};
use super::features::{FeatureNetwork, FeaturesOn};
use super::precision::measuring_products;
use super::predict::{Passes, with_network_in};
use super::sample::{Generation, batch_images};
use super::validation::Validation;
use super::{EvaluateError, FrechetError, FrechetReference, FurtherMeasures, LatentDecoder, ReferenceFeatures};
use crate::data::{DataFolder, Dataset};
use crate::diffusion::ForwardProcess;
use crate::event::Measure;
use crate::model::Network;
use crate::spec::{Data, Evaluate, EvaluatedWeights, Fid, FidProtocol, FurtherMeasure, RunSpec, Weights};

/// Measures networks by the protocols of a run; what does not depend on the network is computed once.
pub struct Evaluator {
    /// (channels, side) of an image as the network sees it.
    network_shape: (usize, usize),
    /// The same of what is measured: of a decoded image where `decoder` is.
    image_shape: (usize, usize),
    decoder: Option<LatentDecoder>,
    grid_images: usize,
    /// The number of generated images that are given back: those of the grid and of `evaluate.consistency`.
    kept_images: usize,
    /// That of `evaluate.fid`, whose values are compared; then those of `evaluate.also`.
    protocols: Vec<ByProtocol>,
    validation: Validation,
    weights: EvaluatedWeights,
    own_weights: Weights,
    batch_images: usize,
    passes: Passes,
}

/// Images whose features are computed on two devices before one is trusted.
const PROBED_IMAGES: usize = 16;

/// The result of one evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// `fid`, what `evaluate.measures` adds, `validation_loss` and `validation_loss/<bin>` for each bin of t, then `fid` and what
    /// `evaluate.measures` adds by each protocol of `evaluate.also`; where both kinds of weights are measured, all of these of the
    /// averaged ones first.
    pub measures: Vec<Measure>,
    /// The first generated images, the same noise in every run.
    pub grid_png: Vec<u8>,
    /// The first generated images, `[n, channels, side, side]`: at least as many as `evaluate.consistency` keeps.
    pub first_images: Vec<f32>,
}

/// What evaluators have in common: feature networks, and what these say of reference images.
#[derive(Default)]
pub struct SharedReferences(Vec<(Data, BTreeSet<FurtherMeasure>, Fid, Arc<Compared>)>);

impl SharedReferences {
    /// That of a run, made where no run before needed the same.
    fn of(
        &mut self,
        spec: &RunSpec,
        dataset: &Dataset,
        decoder: Option<&LatentDecoder>,
        folder: &DataFolder,
        works: &mut dyn FnMut(),
    ) -> Result<Arc<Compared>, EvaluateError> {
        let Evaluate { fid, measures, .. } = &spec.evaluate;
        let same = |(data, asked, other, _): &&(Data, BTreeSet<FurtherMeasure>, Fid, Arc<Compared>)| {
            *data == spec.data && asked == measures && other.compares_like(fid)
        };
        if let Some((.., known)) = self.0.iter().find(same) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(Compared::new(spec, dataset, decoder, folder, works)?);
        self.0.push((spec.data.clone(), measures.clone(), fid.clone(), Arc::clone(&made)));
        Ok(made)
    }
}

impl Evaluator {
    /// `folder` is where fetched weights are; `works` is called now and then while reference images are looked at. Latents are
    /// decoded on the CPU.
    pub fn new(
        spec: &RunSpec,
        dataset: &Dataset,
        folder: &DataFolder,
        works: &mut dyn FnMut(),
    ) -> Result<Self, EvaluateError> {
        Self::on_device(spec, dataset, folder, &Device::flex(), works)
    }

    /// The same with latents decoded on `device`, which also generates the images.
    pub fn on_device(
        spec: &RunSpec,
        dataset: &Dataset,
        folder: &DataFolder,
        device: &Device,
        works: &mut dyn FnMut(),
    ) -> Result<Self, EvaluateError> {
        Self::sharing(&mut SharedReferences::default(), spec, dataset, folder, device, works)
    }

    /// The same, with what evaluators before have made.
    pub fn sharing(
        shared: &mut SharedReferences,
        spec: &RunSpec,
        dataset: &Dataset,
        folder: &DataFolder,
        device: &Device,
        works: &mut dyn FnMut(),
    ) -> Result<Self, EvaluateError> {
        let decoder = LatentDecoder::of(spec, device)?;
        let process = ForwardProcess::new(&spec.noise_schedule);
        at_least(1, "evaluate.grid_images", spec.evaluate.grid_images)?;
        for fid in spec.evaluate.fids() {
            measuring_products(fid.precision, device)?;
        }
        let mut protocols = Vec::new();
        for by in spec.by_each_fid() {
            let fid = &by.evaluate.fid;
            at_least(2, "evaluate.fid.samples", fid.samples)?;
            if !(1..=process.timesteps()).contains(&fid.ode.steps()) {
                let rule = format!("the noise schedule has {} timesteps", process.timesteps());
                return Err(EvaluateError::Setting { key: "evaluate.fid.ode.steps", value: fid.ode.steps(), rule });
            }
            let compared = shared.of(&by, dataset, decoder.as_ref(), folder, works)?;
            protocols.push(ByProtocol {
                generation: Generation::of(&by),
                samples: fid.samples,
                nfe: fid.nfe(),
                protocol: FidProtocol::of(&by, compared.images, &compared.sha256)
                    .seen_by(compared.features.name_in_protocol())
                    .decoded_by(decoder.as_ref().map(|decoder| decoder.sha256.as_str())),
                compared,
            });
        }
        Ok(Self {
            network_shape: spec.data.image_shape(),
            image_shape: spec.data.picture_shape(),
            grid_images: spec.evaluate.grid_images,
            kept_images: spec.evaluate.grid_images.max(spec.evaluate.consistency.images),
            protocols,
            validation: Validation::new(spec, &dataset.test, &process)?,
            weights: spec.evaluate.weights,
            own_weights: spec.own_weights(),
            batch_images: batch_images(spec),
            passes: Passes::ByKernel,
            decoder,
        })
    }

    /// Tells a device of a network's passes in another way from now on, which changes none of their results.
    pub fn tell_passes(&mut self, passes: Passes) {
        self.passes = passes;
    }

    /// Protocols name averaged weights so from now on, behind `ema=`: as an average that the run's own settings do not name.
    pub fn name_average(&mut self, average: &str) {
        for by in &mut self.protocols {
            average.clone_into(&mut by.protocol.average);
        }
        self.validation.name_average(average);
    }

    /// The SHA-256 of the decoder of latents, where there is one.
    pub fn decoder_sha256(&self) -> Option<&str> {
        self.decoder.as_ref().map(|decoder| decoder.sha256.as_str())
    }

    /// Measures a network, which is given with its averaged and with its raw weights, as `evaluate.weights` says.
    ///
    /// `progress` is told the share done after each forward pass; when it answers `false` the evaluation ends with
    /// [`EvaluateError::Stopped`].
    pub fn evaluate(
        &self,
        averaged: &Network,
        raw: &Network,
        progress: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Evaluation, EvaluateError> {
        let mut found: Option<Evaluation> = None;
        self.each_weights(averaged, raw, progress, &mut |weights, network, progress| {
            let evaluation =
                self.measure(weights, &mut with_network_in(network, self.network_shape, self.passes), progress)?;
            match &mut found {
                // The grid stays that of the weights that are compared.
                Some(found) => found.measures.extend(evaluation.measures),
                None => found = Some(evaluation),
            }
            Ok(())
        })?;
        Ok(found.expect("some weights are measured"))
    }

    /// Has `device` compute features from now on, if they are the CPU's: those of the first training images are compared. Of each
    /// feature network there is.
    pub fn compute_features_on(&self, device: &Device, dataset: &Dataset) -> Result<Vec<FeaturesOn>, EvaluateError> {
        let images = dataset.train.pixels(0..dataset.train.len().min(PROBED_IMAGES));
        let probe = match &self.decoder {
            Some(decoder) => decoder.decode(&images, &mut || Ok(()))?,
            None => images,
        };
        let mut each: Vec<&Arc<Compared>> = Vec::new();
        for ByProtocol { compared, .. } in &self.protocols {
            if !each.iter().any(|other| Arc::ptr_eq(other, compared)) {
                each.push(compared);
            }
        }
        Ok(each.into_iter().map(|compared| compared.features.compute_on(device, &probe)).collect())
    }

    /// Measures by one protocol alone, counted from that of `evaluate.fid`: `fid` and what `evaluate.measures` adds. `progress` is asked
    /// as in [`Self::evaluate`].
    ///
    /// # Panics
    /// If there are fewer protocols.
    pub fn evaluate_by(
        &self,
        protocol: usize,
        averaged: &Network,
        raw: &Network,
        progress: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Vec<Measure>, EvaluateError> {
        let by = &self.protocols[protocol];
        self.measures(averaged, raw, progress, by.predictions(0), &mut |asked| {
            Ok(by.measure(0, self.batch_images, asked)?.0)
        })
    }

    /// Measures the loss on held-out images alone: `validation_loss` and `validation_loss/<bin>`. `progress` is asked as in
    /// [`Self::evaluate`].
    pub fn validate(
        &self,
        averaged: &Network,
        raw: &Network,
        progress: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Vec<Measure>, EvaluateError> {
        self.measures(averaged, raw, progress, self.validation.predictions(), &mut |asked| self.validated(asked))
    }

    /// What `measure` finds of each weights, for which a network predicts so many images.
    fn measures(
        &self,
        averaged: &Network,
        raw: &Network,
        progress: &mut dyn FnMut(f64) -> bool,
        predictions: usize,
        measure: &mut dyn FnMut(&mut Asked<'_>) -> Result<Vec<Measure>, EvaluateError>,
    ) -> Result<Vec<Measure>, EvaluateError> {
        let mut measures = Vec::new();
        self.each_weights(averaged, raw, progress, &mut |weights, network, progress| {
            let network = &mut with_network_in(network, self.network_shape, self.passes);
            measures.extend(measure(&mut self.asked(weights, network, progress, predictions))?);
            Ok(())
        })?;
        Ok(measures)
    }

    /// Which weights are measured, in the order in which their values come.
    pub fn weights(&self) -> &'static [Weights] {
        self.weights.each()
    }

    /// (metric, protocol) of every value that [`Self::evaluate_by`] gives.
    ///
    /// # Panics
    /// If there are fewer protocols.
    pub fn values_by(&self, protocol: usize) -> Vec<(String, String)> {
        let each = self.weights.each().iter();
        each.flat_map(|&weights| self.protocols[protocol].values(weights)).collect()
    }

    /// (metric, protocol) of the first of the values that [`Self::validate`] gives of each weights.
    pub fn values_of_validation(&self) -> Vec<(String, String)> {
        let protocol = |&weights: &Weights| self.validation.protocol(Some(weights), self.validation.images());
        self.weights.each().iter().map(|weights| ("validation_loss".to_owned(), protocol(weights))).collect()
    }

    /// Visits the network with each of the weights that are measured. `progress` is told the share of all of them.
    fn each_weights(
        &self,
        averaged: &Network,
        raw: &Network,
        progress: &mut dyn FnMut(f64) -> bool,
        visit: OnWeights<'_>,
    ) -> Result<(), EvaluateError> {
        let each = self.weights.each();
        for (index, &weights) in each.iter().enumerate() {
            let network = weights.of(self.own_weights, averaged, raw);
            let mut part = |share: f64| progress((index as f64 + share) / each.len() as f64);
            visit(weights, network, &mut part)?;
        }
        Ok(())
    }

    /// The features of images: `[n, dimension]` of `[n, channels, side, side]`.
    pub fn features(&self, images: &[f32]) -> Vec<f32> {
        self.protocols[0].compared.features.features(images)
    }

    /// The norm of the gradient of the validation loss in each bin of t: `validation_gradient_norm/<bin>` over the first
    /// `evaluate.difficulty.images` images, and that of all bins together, `validation_gradient_norm`; of the weights that are
    /// compared. `progress` is asked as in [`Self::evaluate`].
    pub fn difficulty(
        &self,
        spec: &RunSpec,
        averaged: &Network,
        raw: &Network,
        progress: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Vec<Measure>, EvaluateError> {
        let weights = self.weights.compared();
        let network = weights.of(self.own_weights, averaged, raw);
        let device = network.weights().device().autodiff();
        let mut tracked = crate::model::build_for(spec, &device);
        tracked.set_weights(network.weights());
        let images = spec.evaluate.difficulty.images;
        self.validation.gradient_norms(weights, &tracked, self.network_shape, images, progress)
    }
}

/// Visits a network that has such weights, with whom to tell how far it is.
type OnWeights<'v> = &'v mut dyn FnMut(Weights, &Network, &mut dyn FnMut(f64) -> bool) -> Result<(), EvaluateError>;

fn in_frechet(of: &'static str) -> impl Fn(FrechetError) -> EvaluateError {
    move |error| EvaluateError::Frechet { of, error }
}

fn at_least(least: usize, key: &'static str, value: usize) -> Result<(), EvaluateError> {
    if value < least {
        return Err(EvaluateError::Setting { key, value, rule: format!("the least is {least}") });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
