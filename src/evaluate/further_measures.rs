use std::collections::BTreeSet;

use super::cmmd::{CMMD_DEVIATION, cmmd, mean_kernel};
use super::precision_recall::{DENSITY_NEIGHBOURS, Neighbourhoods, PRECISION_NEIGHBOURS, overlap};
use super::{
    EvaluateError, FeatureRows, FrechetError, FrechetReference, Gaussian, INCEPTION_SPLITS, MeasureError,
    NeighbourDistances, fid_infinity, inception_score, infinity_subset_counts, infinity_subsets, kid,
    kid_subset_counts, kid_subsets,
};
use crate::event::Measure;
use crate::spec::{FidProtocol, FurtherMeasure};

/// The measures that `evaluate.measures` asks for beside the Fréchet distance, and the values that do not change between
/// evaluations.
pub struct FurtherMeasures {
    asked: BTreeSet<FurtherMeasure>,
    /// The features of the reference images, `[images, dimension]`; empty where no measure needs them.
    reference: Vec<f32>,
    /// The neighbour distances of the reference images, where a measure needs them.
    distances: Option<NeighbourDistances>,
    /// The mean kernel of the reference images with each other, where `cmmd` is asked for.
    mean_kernel: Option<f64>,
    /// The spatial features of the reference images, where a measure needs them.
    spatial: Option<FrechetReference>,
    /// Values in a feature vector.
    dimension: usize,
}

/// The spatial features as protocols name them: the planes of InceptionV3, and how many of their channels.
const SPATIAL_LAYER: &str = "mixed_6/conv:7";

/// The class logits that the feature network gives for each generated image.
#[derive(Clone, Copy)]
pub struct ClassLogits<'a> {
    /// `[images, classes]`.
    pub logits: &'a [f32],
    pub classes: usize,
}

impl FurtherMeasures {
    /// Whether one of `asked` needs the features of every reference image, and not their mean and covariance alone.
    pub fn need_reference(asked: &BTreeSet<FurtherMeasure>) -> bool {
        asked.iter().any(|measure| measure.needs_reference())
    }

    pub fn needs_logits(&self) -> bool {
        self.asked.contains(&FurtherMeasure::InceptionScore)
    }

    /// Whether a measure needs the features of each generated image.
    pub fn needs_rows(&self) -> bool {
        self.asked.iter().any(|&measure| measure != FurtherMeasure::Sfid)
    }

    /// Whether spatial features are needed.
    pub fn needs_spatial(&self) -> bool {
        self.asked.contains(&FurtherMeasure::Sfid)
    }

    /// `reference` holds the features of the reference images, `[images, dimension]`, where a measure needs them; `spatial` is of their
    /// spatial features.
    pub fn new(
        asked: &BTreeSet<FurtherMeasure>,
        reference: Vec<f32>,
        spatial: Option<FrechetReference>,
        dimension: usize,
    ) -> Result<Self, EvaluateError> {
        let distances = overlaps(asked).then(|| -> Result<_, MeasureError> {
            NeighbourDistances::of(FeatureRows::new(&reference, dimension)?, DENSITY_NEIGHBOURS)
        });
        let distances = distances.transpose().map_err(in_set("the reference images"))?;
        let mean_kernel = asked.contains(&FurtherMeasure::Cmmd).then(|| -> Result<_, MeasureError> {
            let rows = FeatureRows::new(&reference, dimension)?;
            mean_kernel(rows, rows)
        });
        let mean_kernel = mean_kernel.transpose().map_err(in_set("the reference images"))?;
        Ok(Self { asked: asked.clone(), reference, distances, mean_kernel, spatial, dimension })
    }

    /// The protocol of a measure of so many generated images: `protocol` and what the measure adds.
    fn protocol_of(&self, measure: FurtherMeasure, images: usize, protocol: &FidProtocol) -> String {
        match measure {
            FurtherMeasure::Kid => {
                let (subsets, in_each) = kid_subset_counts(images, self.reference.len() / self.dimension);
                format!("{protocol} subsets={subsets}x{in_each}")
            }
            FurtherMeasure::PrecisionRecall => format!("{protocol} k={PRECISION_NEIGHBOURS}"),
            FurtherMeasure::DensityCoverage => format!("{protocol} k={DENSITY_NEIGHBOURS}"),
            FurtherMeasure::FidInfinity => {
                let (points, smallest) = infinity_subset_counts(images, self.dimension);
                format!("{protocol} points={points} from={smallest}")
            }
            FurtherMeasure::InceptionScore => format!("{} splits={INCEPTION_SPLITS}", protocol.without_reference()),
            FurtherMeasure::Sfid => format!("{protocol} layer={SPATIAL_LAYER}"),
            FurtherMeasure::Cmmd => format!("{protocol} sigma={CMMD_DEVIATION}"),
        }
    }

    /// (metric, protocol) of the values of so many generated images, in the order in which [`Self::measure`] gives them.
    pub fn values(&self, images: usize, protocol: &FidProtocol) -> Vec<(&'static str, String)> {
        let of = |measure: &FurtherMeasure| {
            let protocol = self.protocol_of(*measure, images, protocol);
            measure.metrics().iter().map(move |metric| (*metric, protocol.clone()))
        };
        self.asked.iter().flat_map(of).collect()
    }

    /// The distance of the spatial features of generated images.
    ///
    /// # Panics
    /// If it is not asked for.
    pub fn spatial_distance(&self, generated: &Gaussian, protocol: &FidProtocol) -> Result<Measure, FrechetError> {
        let value = self.spatial.as_ref().expect("it is asked for").distance(generated)?;
        let protocol = self.protocol_of(FurtherMeasure::Sfid, 0, protocol);
        Ok(Measure { metric: "sfid".into(), protocol: protocol.into(), value })
    }

    /// Measures generated images by their features, each by its own protocol, which is `protocol` and what the measure adds.
    /// `goes_on` is asked before each.
    pub fn measure(
        &self,
        generated: FeatureRows,
        logits: Option<ClassLogits>,
        frechet: &FrechetReference,
        protocol: &FidProtocol,
        goes_on: &mut dyn FnMut() -> Result<(), EvaluateError>,
    ) -> Result<Vec<Measure>, EvaluateError> {
        let failed = in_set("the generated images");
        let mut measures = Vec::new();
        let mut push = |metric: &str, protocol: &str, value| {
            measures.push(Measure { metric: metric.into(), protocol: protocol.into(), value });
        };
        let reference = FeatureRows::new(&self.reference, generated.dimension()).map_err(MeasureError::from);
        let reference = reference.map_err(in_set("the reference images"))?;
        let images = generated.count();
        let protocol_of = |measure| self.protocol_of(measure, images, protocol);

        if self.asked.contains(&FurtherMeasure::Kid) {
            goes_on()?;
            let subsets = kid_subsets(images, reference.count());
            let protocol = protocol_of(FurtherMeasure::Kid);
            let found = kid(generated, reference, &subsets).map_err(failed)?;
            push("kid", &protocol, found.mean);
            push("kid_se", &protocol, found.standard_error);
        }
        if let Some(distances) = &self.distances {
            goes_on()?;
            let own = NeighbourDistances::of(generated, DENSITY_NEIGHBOURS).map_err(failed)?;
            let reference = Neighbourhoods { rows: reference, distances };
            let generated = Neighbourhoods { rows: generated, distances: &own };
            let found = overlap(reference, generated, PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS).map_err(failed)?;
            if self.asked.contains(&FurtherMeasure::PrecisionRecall) {
                let protocol = protocol_of(FurtherMeasure::PrecisionRecall);
                push("precision", &protocol, found.precision);
                push("recall", &protocol, found.recall);
            }
            if self.asked.contains(&FurtherMeasure::DensityCoverage) {
                let protocol = protocol_of(FurtherMeasure::DensityCoverage);
                push("density", &protocol, found.density);
                push("coverage", &protocol, found.coverage);
            }
        }
        if self.asked.contains(&FurtherMeasure::FidInfinity) {
            goes_on()?;
            let subsets = infinity_subsets(images, generated.dimension());
            let protocol = protocol_of(FurtherMeasure::FidInfinity);
            let found = fid_infinity(generated, frechet, &subsets).map_err(failed)?;
            push("fid_infinity", &protocol, found.distance);
            push("fid_infinity_se", &protocol, found.standard_error);
        }
        if self.asked.contains(&FurtherMeasure::InceptionScore) {
            let Some(ClassLogits { logits, classes }) = logits else {
                return Err(EvaluateError::NoClasses { features: protocol.features });
            };
            let protocol = protocol_of(FurtherMeasure::InceptionScore);
            let found = inception_score(logits, classes, INCEPTION_SPLITS).map_err(failed)?;
            push("inception_score", &protocol, found.mean);
            push("inception_score_sd", &protocol, found.standard_deviation);
        }
        if let Some(of_reference) = self.mean_kernel {
            goes_on()?;
            let value = cmmd(generated, reference, of_reference).map_err(failed)?;
            push("cmmd", &protocol_of(FurtherMeasure::Cmmd), value);
        }
        Ok(measures)
    }
}

/// Whether distances to nearest neighbours are needed.
fn overlaps(asked: &BTreeSet<FurtherMeasure>) -> bool {
    asked.contains(&FurtherMeasure::PrecisionRecall) || asked.contains(&FurtherMeasure::DensityCoverage)
}

fn in_set(of: &'static str) -> impl Fn(MeasureError) -> EvaluateError + Copy {
    move |error| EvaluateError::Measure { of, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::GaussianFit;
    use crate::random::{Draws, Stream};
    use crate::spec::RunSpec;

    const ALL: [FurtherMeasure; 6] = [
        FurtherMeasure::Kid,
        FurtherMeasure::PrecisionRecall,
        FurtherMeasure::DensityCoverage,
        FurtherMeasure::FidInfinity,
        FurtherMeasure::InceptionScore,
        FurtherMeasure::Cmmd,
    ];

    fn normal(seed: u64, count: usize) -> Vec<f32> {
        let mut values = vec![0.0; 4 * count];
        Draws::new(seed, Stream::Noise, 0).fill_normal(&mut values);
        values
    }

    fn protocol() -> FidProtocol {
        FidProtocol::of(&RunSpec::default(), Some(1442), "")
    }

    fn measured(asked: &[FurtherMeasure], images: usize) -> Result<Vec<Measure>, EvaluateError> {
        let asked = asked.iter().copied().collect();
        let reference = normal(1, 400);
        let mut fit = GaussianFit::new(4);
        fit.push(&reference).unwrap();
        let frechet = FrechetReference::new(fit.finish().unwrap()).unwrap();
        let kept = if FurtherMeasures::need_reference(&asked) { reference } else { vec![] };
        let generated = normal(2, images);
        let logits = ClassLogits { logits: &generated, classes: 4 };
        let rows = FeatureRows::new(&generated, 4).unwrap();
        let further = FurtherMeasures::new(&asked, kept, None, 4)?;
        let measures = further.measure(rows, Some(logits), &frechet, &protocol(), &mut || Ok(()))?;
        let named = further.values(images, &protocol());
        let named = named.iter().map(|(metric, protocol)| (*metric, protocol.as_str()));
        assert!(named.eq(measures.iter().map(|measure| (measure.metric.as_str(), measure.protocol.as_str()))));
        Ok(measures)
    }

    #[test]
    fn each_value_has_its_name_and_its_whole_protocol() {
        let measures = measured(&ALL, 300).unwrap();
        let found: Vec<(&str, &str)> =
            measures.iter().map(|measure| (measure.metric.as_str(), measure.protocol.as_str())).collect();
        let fid = protocol().to_string();
        let [kid, precision, density, infinity, cmmd] =
            ["subsets=14x300", "k=3", "k=5", "points=15 from=30", "sigma=10"].map(|added| format!("{fid} {added}"));
        let score = "digits-cnn n=1000 resize=none ddim nfe=20 ema=0.999 splits=10";
        let expected = [
            ("kid", kid.as_str()),
            ("kid_se", &kid),
            ("precision", &precision),
            ("recall", &precision),
            ("density", &density),
            ("coverage", &density),
            ("fid_infinity", &infinity),
            ("fid_infinity_se", &infinity),
            ("inception_score", score),
            ("inception_score_sd", score),
            ("cmmd", &cmmd),
        ];
        assert_eq!(found, expected);
        assert!(measures.iter().all(|measure| measure.value.is_finite()));
        // Both sets are of one distribution.
        let value = |metric| measures.iter().find(|measure| measure.metric == metric).unwrap().value;
        assert!(value("kid").abs() < 3.0 * value("kid_se") && value("precision") > 0.9 && value("coverage") > 0.9);
    }

    #[test]
    fn what_is_asked_alone_is_what_it_is_among_all() {
        let together = measured(&ALL, 200).unwrap();
        for measure in ALL {
            let alone = measured(&[measure], 200).unwrap();
            assert!(
                alone.len() == measure.metrics().len() && alone.iter().all(|measure| together.contains(measure)),
                "{alone:?}"
            );
        }
        assert_eq!(measured(&[], 200).unwrap(), []);
    }

    #[test]
    fn the_least_numbers_of_images_that_plans_allow_are_enough() {
        for measure in ALL {
            assert!(measured(&[measure], measure.least_samples(4)).is_ok(), "{measure:?}");
        }
        let message = measured(&[FurtherMeasure::PrecisionRecall], 5).unwrap_err().to_string();
        let expected =
            "the generated images: a distance to nearest neighbours needs at least 6 images in each set, not 5";
        assert_eq!(message, expected);
    }
}
