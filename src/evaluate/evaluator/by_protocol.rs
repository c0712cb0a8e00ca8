//! What is measured by one protocol.

use std::sync::Arc;

use super::{
    FeatureNetwork, FrechetReference, FurtherMeasures, Generation, LatentDecoder, ReferenceFeatures, in_frechet,
};
use crate::data::{DataFolder, Dataset};
use crate::evaluate::predict::{PredictIn, Predicted};
use crate::evaluate::{ClassLogits, EvaluateError, FeatureRows, GaussianFit, WeightsError};
use crate::event::Measure;
use crate::model::vit::VitError;
use crate::spec::{FidPrecision, FidProtocol, RunSpec, Weights};

/// Images whose features are computed together. It is fixed, so that neither the size of a batch nor who asks changes a bit.
pub(super) const FEATURE_IMAGES: usize = 256;

/// Generation starts from one noise per image in every run, whatever its seed.
const NOISE_SEED: u64 = 0;

/// One way to generate images and to measure them.
pub(super) struct ByProtocol {
    pub generation: Generation,
    /// Generated images in a Fréchet distance.
    pub samples: usize,
    /// Network evaluations for each generated image.
    pub nfe: usize,
    pub compared: Arc<Compared>,
    /// The protocol of the weights that are compared.
    pub protocol: FidProtocol,
}

/// The features in which images are compared, and those of the reference. Protocols that generate in other ways may share them.
pub(super) struct Compared {
    pub features: FeatureNetwork,
    reference: FrechetReference,
    further: FurtherMeasures,
    /// Of the reference.
    pub images: Option<usize>,
    pub sha256: String,
}

impl Compared {
    pub fn new(
        spec: &RunSpec,
        dataset: &Dataset,
        decoder: Option<&LatentDecoder>,
        folder: &DataFolder,
        works: &mut dyn FnMut(),
    ) -> Result<Self, EvaluateError> {
        let fid = &spec.evaluate.fid;
        let weights = folder.weights_of(fid);
        let (shape, precision) = (spec.data.picture_shape(), fid.precision);
        let features = FeatureNetwork::load(fid.features, fid.resize, precision, shape, weights.as_deref())?;
        if fid.features.are_of_file() && features.weights_sha256() != Some(&fid.weights_sha256) {
            let problem =
                format!("{} is not the file that the sweep was planned with: its sha256 is another", fid.weights);
            let hint = "put the file back; the same command plans anew with the file that is there";
            return Err(WeightsError::from(VitError { problem, hint }).into());
        }
        Self::of(features, spec, dataset, decoder, folder, works)
    }

    /// In these features, those that the run asks for.
    fn of(
        features: FeatureNetwork,
        spec: &RunSpec,
        dataset: &Dataset,
        decoder: Option<&LatentDecoder>,
        folder: &DataFolder,
        works: &mut dyn FnMut(),
    ) -> Result<Self, EvaluateError> {
        let found = ReferenceFeatures::of(spec, &features, dataset, decoder, folder, &mut |_| works())?;
        let ReferenceFeatures { gaussian, rows, spatial, images, sha256 } = found;
        let frechet = |gaussian| FrechetReference::new(gaussian).map_err(in_frechet("the reference images"));
        let spatial = spatial.map(frechet).transpose()?;
        Ok(Self {
            reference: frechet(gaussian)?,
            further: FurtherMeasures::new(&spec.evaluate.measures, rows, spatial, features.dimension())?,
            features,
            images,
            sha256,
        })
    }
}

/// A network that is asked, and how much of all that is to be asked it has answered.
pub(super) struct Asked<'a> {
    pub weights: Weights,
    pub network: PredictIn<'a>,
    /// What makes pictures of latents.
    pub decoder: Option<&'a LatentDecoder>,
    pub progress: &'a mut dyn FnMut(f64) -> bool,
    /// Images predicted so far.
    pub done: usize,
    pub total: usize,
}

impl Asked<'_> {
    pub fn predict(
        &mut self,
        doing: &'static str,
        precision: FidPrecision,
        input: &[f32],
        timesteps: &[f32],
        classes: Option<&[u32]>,
    ) -> Predicted {
        let predicted = (self.network)(precision, input, timesteps, classes)?;
        if let Some(index) = predicted.iter().position(|value| !value.is_finite()) {
            let t = timesteps[index / (input.len() / timesteps.len()) % timesteps.len()];
            return Err(EvaluateError::NotFinite { weights: self.weights, value: predicted[index], t, doing });
        }
        self.done += timesteps.len();
        self.goes_on()?;
        Ok(predicted)
    }

    fn goes_on(&mut self) -> Result<(), EvaluateError> {
        match (self.progress)(self.done as f64 / self.total as f64) {
            true => Ok(()),
            false => Err(EvaluateError::Stopped),
        }
    }
}

impl ByProtocol {
    /// Images that the network predicts where `kept` images are wanted at least.
    pub fn predictions(&self, kept: usize) -> usize {
        self.samples.max(kept) * self.nfe
    }

    /// `fid` and what `evaluate.measures` adds, and the first `kept` images.
    pub fn measure(
        &self,
        kept: usize,
        batch_images: usize,
        asked: &mut Asked<'_>,
    ) -> Result<(Vec<Measure>, Vec<f32>), EvaluateError> {
        let generated = self.samples.max(kept);
        // Images are let go as soon as their features are there.
        let (mut seen, mut first_images, mut pending) = (Seen::new(&self.compared), vec![], vec![]);
        for first in (0..generated).step_by(batch_images) {
            let count = batch_images.min(generated - first);
            let mut generating = |input: &[f32], timesteps: &[f32], classes: Option<&[u32]>| {
                asked.predict("generating images", self.protocol.precision, input, timesteps, classes)
            };
            let images = self.generation.batch(NOISE_SEED, first, count, &mut generating)?;
            let images = match asked.decoder {
                Some(decoder) => decoder.decode(&images, &mut || asked.goes_on())?,
                None => images,
            };
            let image_values = images.len() / count;
            let first_of = |wanted: usize| &images[..wanted.saturating_sub(first).min(count) * image_values];
            first_images.extend_from_slice(first_of(kept));
            pending.extend_from_slice(first_of(self.samples));
            while pending.len() >= FEATURE_IMAGES * image_values {
                let rest = pending.split_off(FEATURE_IMAGES * image_values);
                self.see(&std::mem::replace(&mut pending, rest), &mut seen)?;
            }
        }
        if !pending.is_empty() {
            self.see(&pending, &mut seen)?;
        }
        let protocol = FidProtocol { weights: asked.weights, ..self.protocol.clone() };
        let measures = self.compare(seen, &protocol, &mut || asked.goes_on())?;
        Ok((measures, first_images))
    }

    /// (metric, protocol) of the values that [`Self::measure`] gives.
    pub fn values(&self, weights: Weights) -> Vec<(String, String)> {
        let protocol = FidProtocol { weights, ..self.protocol.clone() };
        let further = self.compared.further.values(self.samples, &protocol);
        let further = further.into_iter().map(|(metric, protocol)| (metric.to_owned(), protocol));
        std::iter::once(("fid".to_owned(), protocol.to_string())).chain(further).collect()
    }

    /// Adds the features of images.
    pub fn see(&self, pixels: &[f32], seen: &mut Seen) -> Result<(), EvaluateError> {
        let Compared { features, further, .. } = &*self.compared;
        let found = features.activations(pixels, further.needs_spatial());
        seen.fit.push(&found.features).map_err(in_frechet("the generated images"))?;
        if let Some(fit) = &mut seen.spatial {
            fit.push(&found.spatial).map_err(in_frechet("the generated images"))?;
        }
        if further.needs_rows() {
            seen.kept.extend(found.features);
        }
        Ok(())
    }

    /// `fid` and what `evaluate.measures` adds, of images that were seen.
    pub fn compare(
        &self,
        Seen { fit, kept, spatial }: Seen,
        protocol: &FidProtocol,
        goes_on: &mut dyn FnMut() -> Result<(), EvaluateError>,
    ) -> Result<Vec<Measure>, EvaluateError> {
        let Compared { features, reference, further, .. } = &*self.compared;
        let in_generated = in_frechet("the generated images");
        let fid = fit.finish().and_then(|gaussian| reference.distance(&gaussian)).map_err(&in_generated)?;
        let mut measures = vec![Measure { metric: "fid".into(), protocol: protocol.to_string().into(), value: fid }];
        if further.needs_rows() {
            let rows = FeatureRows::new(&kept, features.dimension()).map_err(&in_generated)?;
            let logits = further.needs_logits().then(|| features.logits(&kept)).flatten();
            let logits = logits.as_ref().map(|(logits, classes)| ClassLogits { logits, classes: *classes });
            measures.extend(further.measure(rows, logits, reference, protocol, goes_on)?);
        }
        if let Some(fit) = spatial {
            goes_on()?;
            let gaussian = fit.finish().map_err(&in_generated)?;
            measures.push(further.spatial_distance(&gaussian, protocol).map_err(&in_generated)?);
        }
        Ok(measures)
    }
}

/// The feature network's output for generated images.
pub(super) struct Seen {
    fit: GaussianFit,
    /// `[n, dimension]` where something but their Gaussian is asked for.
    kept: Vec<f32>,
    /// Of the spatial features, where these are asked for.
    spatial: Option<GaussianFit>,
}

impl Seen {
    pub fn new(compared: &Compared) -> Self {
        let Compared { features, further, .. } = compared;
        let spatial = features.spatial_dimension().filter(|_| further.needs_spatial());
        Self { fit: GaussianFit::new(features.dimension()), kept: Vec::new(), spatial: spatial.map(GaussianFit::new) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Images, load_digits};
    use crate::evaluate::{FrozenNetwork, frechet_distance};
    use crate::kernels::Products;
    use crate::spec::{Features, FurtherMeasure, Resize};

    /// Inception with weights that let each pixel through in some strength.
    fn inception() -> FeatureNetwork {
        let weights = |name: &str, shape: &[usize]| {
            let inputs: usize = shape.iter().skip(1).product();
            let count: usize = shape.iter().product();
            let scale = if name.ends_with("running_var") || shape.len() == 1 { 1.0 } else { 2.0 / inputs as f32 };
            Ok((0..count).map(|index| scale * (1.0 + 0.5 * (index as f32).sin())).collect())
        };
        let mut network =
            FrozenNetwork::new(Features::InceptionV3, Resize::Customary, Products::F32, &weights).unwrap();
        network.weights_sha256 = "0".repeat(64);
        FeatureNetwork::Frozen { network: Box::new(network), image_shape: (1, 8) }
    }

    #[test]
    fn spatial_features_are_compared_as_other_features_are() {
        let mut dataset = load_digits().unwrap();
        let few = |from: usize| Images::in_memory(1, 8, dataset.train.bytes(from..from + 4).to_vec(), vec![0; 4], 16);
        let (reference, generated) = (few(0), few(4));
        dataset.train = reference.clone();
        let mut spec = RunSpec::default();
        spec.evaluate.fid.features = Features::InceptionV3;
        spec.evaluate.fid.samples = 4;
        spec.evaluate.measures = [FurtherMeasure::Sfid].into();
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataFolder::find(Some(temporary.path())).unwrap();
        // The second time the statistics are those that the first has kept.
        Compared::of(inception(), &spec, &dataset, None, &folder, &mut || {}).unwrap();
        let mut looked = 0;
        let compared = Compared::of(inception(), &spec, &dataset, None, &folder, &mut || looked += 1).unwrap();
        assert_eq!(looked, 0);
        let by = ByProtocol {
            generation: Generation::of(&spec),
            samples: 4,
            nfe: spec.evaluate.fid.nfe(),
            protocol: FidProtocol::of(&spec, compared.images, &compared.sha256),
            compared: Arc::new(compared),
        };
        let mut seen = Seen::new(&by.compared);
        by.see(&generated.pixels(0..4), &mut seen).unwrap();
        let measures = by.compare(seen, &by.protocol, &mut || Ok(())).unwrap();
        let named: Vec<(String, String)> =
            measures.iter().map(|measure| (measure.metric.to_string(), measure.protocol.to_string())).collect();
        assert_eq!(named, by.values(Weights::Averaged));
        let protocol = "inception-v3 n=4 ref=train:4 resize=pytorch-fid ddim nfe=20 ema=0.999";
        assert_eq!(named[0].1, protocol);
        assert_eq!(named[1], ("sfid".to_owned(), format!("{protocol} layer=mixed_6/conv:7")));
        let gaussian = |images: &Images| {
            let mut fit = GaussianFit::new(2023);
            fit.push(&by.compared.features.activations(&images.pixels(0..4), true).spatial).unwrap();
            fit.finish().unwrap()
        };
        let expected = frechet_distance(&gaussian(&reference), &gaussian(&generated)).unwrap();
        assert!(expected > 0.0 && (measures[1].value / expected - 1.0).abs() < 1e-9, "{measures:?}, {expected}");
    }
}
