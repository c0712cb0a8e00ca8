//! The cost of a run, estimated before it starts. A pure function: the caller describes model and device.

use std::collections::BTreeSet;

use crate::spec::{Data, DataShape, Features, Fid, FurtherMeasure, Optimizer, Reference, RunSpec};

/// The facts that the caller knows: a device's speed and the arithmetic of an architecture.
pub struct CostModel<'m> {
    /// Floating-point operations per second that training reaches.
    pub flops_per_second: f64,
    pub network: &'m dyn Fn(&RunSpec) -> NetworkCost,
    /// Operations of one image's pass through the network of its features.
    pub feature_flops: &'m dyn Fn(&Fid, DataShape) -> f64,
    /// Bytes of that network's weights.
    pub feature_weight_bytes: &'m dyn Fn(&Fid, DataShape) -> f64,
    /// Bytes of the activations of the images that pass through it together.
    pub feature_activation_bytes: &'m dyn Fn(&Fid, DataShape) -> f64,
    /// The decoder of a run's latents, if it has one.
    pub decoder: &'m dyn Fn(&Data) -> Option<DecoderCost>,
    /// The threads that a run has.
    pub threads: usize,
}

/// What the network of a run costs for one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkCost {
    pub parameters: usize,
    /// Operations of a forward pass.
    pub forward_flops: f64,
    /// The same in training, where parts of the network may see a part of the image: the mean over the run.
    pub training_forward_flops: f64,
    /// Bytes of the outputs of all layers.
    pub activation_bytes: f64,
    /// Bytes of them that training keeps for the backward pass of a batch, at most.
    pub training_bytes: f64,
    /// Bytes of what the optimizer keeps beside values for each parameter: SOAP's factors.
    pub factor_bytes: f64,
    /// Bytes of a frozen network that training follows, and of what is kept of it.
    pub encoder_bytes: f64,
}

/// The cost of a decoder of latents.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DecoderCost {
    /// Operations of one image.
    pub flops: f64,
    pub weight_bytes: f64,
    /// The most bytes of the activations of the images that it decodes together.
    pub activation_bytes: f64,
}

/// The estimate of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct RunCost {
    pub parameters: usize,
    pub train_seconds: f64,
    pub eval_seconds: f64,
    /// The most it holds at a time.
    pub memory_bytes: f64,
    /// The bytes that it leaves on disk.
    pub disk_bytes: f64,
}

/// A backward pass computes two products for each one of the forward pass: three passes in all (Kaplan et al. 2020,
/// arXiv 2001.08361, section 2.1).
const PASSES_PER_STEP: f64 = 3.0;
/// Weights, gradient, Adam's two moments, averaged weights.
const TENSORS_IN_MEMORY: f64 = 5.0;
/// The same without the gradient.
const TENSORS_IN_CHECKPOINT: f64 = 4.0;
/// The averages that `train.post_hoc` keeps.
const POST_HOC_TENSORS: f64 = 2.0;
const BYTES_PER_NUMBER: f64 = 4.0;
/// Statistics of features are of twice as long numbers.
const BYTES_PER_LONG_NUMBER: f64 = 8.0;
/// The matrices that are kept of the reference: its covariance and a root of it.
const REFERENCE_MATRICES: f64 = 2.0;
/// The matrix that becomes the covariance of the generated images.
const GENERATED_MATRICES: f64 = 1.0;
/// The products of which a Fréchet distance takes the eigenvalues.
const DISTANCE_MATRICES: f64 = 2.0;
/// Distances of `fid_infinity`, computed on all threads.
const INFINITY_POINTS: usize = 15;
/// Most images of either set in a subset of `kid`, which has a thread.
const KID_IMAGES: usize = 1000;
/// Images of a set, and of the other set, whose distances a thread computes together for `precision_recall` and `cmmd`.
const OVERLAP_BLOCK: (f64, f64) = (256.0, 1024.0);
/// The number of class probabilities of each generated image, for `inception_score`.
const INCEPTION_CLASSES: f64 = 1008.0;
/// Most images generated at a time when a sample is drawn; more are taken in turns.
const EVALUATION_BATCH: usize = 256;
/// Batches of decoded pictures that are held at a time.
const DECODED_BATCHES: f64 = 3.0;
/// A batch whose activations would take more is smaller.
const EVALUATION_ACTIVATION_BYTES: f64 = (1u64 << 30) as f64;
/// A line of the journal, and a row of the curves table before compression.
const BYTES_PER_RECORD: f64 = 300.0;
/// A sample grid is noise at first, which PNG does not compress.
const BYTES_PER_PIXEL: f64 = 1.0;

pub fn run_cost(spec: &RunSpec, cost: &CostModel) -> RunCost {
    let (channels, side) = spec.data.picture_shape();
    let pictures = DataShape { channels, side, ..spec.data.shape() };
    let decoder = (cost.decoder)(&spec.data).unwrap_or_default();
    let network = (cost.network)(spec);
    let parameters = network.parameters;
    let forward_seconds = network.forward_flops / cost.flops_per_second;
    let evaluate = &spec.evaluate;

    let images_seen = spec.train.images_after(spec.train.steps) as f64;
    let train_seconds = images_seen * PASSES_PER_STEP * network.training_forward_flops / cost.flops_per_second;

    // The last step is always evaluated.
    let evaluations = spec.train.steps.div_ceil(evaluate.every) as f64;
    // By the first protocol more may be shown or kept than are measured.
    let more = evaluate.grid_images.max(evaluate.consistency.images).saturating_sub(evaluate.fid.samples);
    let protocols = || std::iter::once(&evaluate.fid).chain(&evaluate.also);
    let images = (more + protocols().map(|fid| fid.samples).sum::<usize>()) as f64;
    let more = (more * evaluate.fid.nfe()) as f64;
    let generated = more + protocols().map(|fid| (fid.samples * fid.nfe()) as f64).sum::<f64>();
    let validated = evaluate.validation.images as f64 * evaluate.validation.bins as f64;
    let weights_measured = evaluate.weights.each().len() as f64;
    let times = |every: u64| if every == 0 { 1.0 } else { spec.train.steps.div_ceil(every) as f64 };
    let difficulty = &evaluate.difficulty;
    let differentiated = (difficulty.images * evaluate.validation.bins) as f64 * PASSES_PER_STEP;
    let differentiated = differentiated * if difficulty.every == 0 { evaluations } else { times(difficulty.every) };
    let eval_seconds = (evaluations * weights_measured * (generated + validated) + differentiated) * forward_seconds;
    // On the same processors. Features of the reference are left out: those of a large network are kept for all runs.
    let consistent = times(evaluate.consistency.every) * evaluate.consistency.images as f64;
    let feature_flops = |fid: &Fid| (cost.feature_flops)(fid, pictures);
    let seen = |fid: &Fid| evaluations * weights_measured * fid.samples as f64 * feature_flops(fid);
    let seen = protocols().map(seen).sum::<f64>() + consistent * feature_flops(&evaluate.fid);
    let decoded = evaluations * weights_measured * images * decoder.flops;
    let eval_seconds = eval_seconds + (seen + decoded) / cost.flops_per_second;

    let weights = parameters as f64 * BYTES_PER_NUMBER;
    let pixels = (channels * side * side) as f64;
    // Without a backward pass activations are dropped as the next are made; the share is that of a few live tensors.
    let live = network.activation_bytes / 4.0;
    let kept_images = evaluate.grid_images.max(evaluate.consistency.images);
    // Pictures are decoded in parts, joined, and their features computed.
    let batches = if decoder.flops > 0.0 { DECODED_BATCHES } else { 1.0 };
    let evaluation_bytes = |fid: &Fid, features: &FeatureMemory| {
        let evaluation_batch = EVALUATION_BATCH.min(fid.samples) as f64;
        let generating_bytes = (evaluation_batch * live).min(EVALUATION_ACTIVATION_BYTES.max(live));
        let feature_bytes = (cost.feature_activation_bytes)(fid, pictures);
        // One after the other: images, their features, what is measured of these.
        generating_bytes.max(decoder.activation_bytes).max(feature_bytes).max(features.measuring_bytes)
            + (batches * evaluation_batch + kept_images as f64) * pixels * BYTES_PER_NUMBER
            + features.generated_bytes
    };
    // One protocol after the other; their networks and references are held together.
    let (mut evaluation, mut held_bytes) = (0.0f64, decoder.weight_bytes);
    for (index, fid) in protocols().enumerate() {
        let features = FeatureMemory::of(spec, fid, cost.threads);
        evaluation = evaluation.max(evaluation_bytes(fid, &features));
        if !protocols().take(index).any(|other| other.compares_like(fid)) {
            held_bytes += (cost.feature_weight_bytes)(fid, pictures) + features.reference_bytes;
        }
    }
    // Between x and z, the weights at which the gradient is taken.
    let more = if matches!(spec.optimizer, Optimizer::ScheduleFreeAdamw(_)) { 1.0 } else { 0.0 };
    let post_hoc = if spec.train.post_hoc.every > 0 { POST_HOC_TENSORS } else { 0.0 };
    let memory_bytes = weights * (TENSORS_IN_MEMORY + more + post_hoc)
        + network.factor_bytes
        + network.encoder_bytes
        + held_bytes
        + network.training_bytes.max(evaluation);

    let records = spec.train.steps as f64 / spec.train.log_every as f64 * 4.0
        + evaluations * weights_measured * (evaluate.validation.bins as f64 + 3.0 + evaluate.also.len() as f64);
    let snapshots = if post_hoc > 0.0 { times(spec.train.post_hoc.every) } else { 0.0 };
    let disk_bytes = weights * (TENSORS_IN_CHECKPOINT + post_hoc + post_hoc * snapshots)
        + network.factor_bytes
        + evaluations * evaluate.grid_images as f64 * pixels * BYTES_PER_PIXEL
        + times(evaluate.consistency.every) * evaluate.consistency.images as f64 * pixels * BYTES_PER_PIXEL
        + records * BYTES_PER_RECORD;
    RunCost { parameters, train_seconds, eval_seconds, memory_bytes, disk_bytes }
}

/// The memory of features and their statistics.
struct FeatureMemory {
    /// Bytes that are held as long as the run lasts.
    reference_bytes: f64,
    /// Bytes that are held as long as an evaluation lasts.
    generated_bytes: f64,
    /// At its end.
    measuring_bytes: f64,
}

impl FeatureMemory {
    /// Of what is measured by one protocol.
    fn of(spec: &RunSpec, fid: &Fid, threads: usize) -> Self {
        let measures = &spec.evaluate.measures;
        let dimension = fid.features.dimension(spec.data.picture_shape().0) as f64;
        let matrix = dimension * dimension * BYTES_PER_LONG_NUMBER;
        let rows = |images: usize| images as f64 * dimension * BYTES_PER_NUMBER;
        let reference_images = match fid.reference {
            Reference::Train => spec.data.training_images(),
            Reference::Test => Some(spec.data.held_out_images()),
            Reference::Folder | Reference::File => None,
        };
        // Nobody has looked into the folder or the file: about as many as are compared with it.
        let reference_images = reference_images.unwrap_or(fid.samples);
        let needs_reference = measures.iter().any(|measure| measure.needs_reference());
        let reference_rows = if needs_reference { rows(reference_images) } else { 0.0 };
        let spatial =
            fid.features.spatial_dimension().filter(|_| measures.contains(&FurtherMeasure::Sfid)).unwrap_or(0);
        let spatial_matrix = (spatial * spatial) as f64 * BYTES_PER_LONG_NUMBER;
        let generated_rows = if measures.is_empty() { 0.0 } else { rows(fid.samples) };
        let of_measures = measuring_bytes(measures, (fid.samples, reference_images), dimension, threads);
        Self {
            reference_bytes: REFERENCE_MATRICES * (matrix + spatial_matrix) + reference_rows,
            generated_bytes: GENERATED_MATRICES * matrix + generated_rows,
            measuring_bytes: of_measures.max(DISTANCE_MATRICES * matrix),
        }
    }
}

/// The most that one of `measures` takes beside the features, of so many generated and reference images.
fn measuring_bytes(
    measures: &BTreeSet<FurtherMeasure>,
    (generated, reference): (usize, usize),
    dimension: f64,
    threads: usize,
) -> f64 {
    let of = |measure: &FurtherMeasure| {
        let long_numbers = match measure {
            FurtherMeasure::Kid => {
                // Both sets, and the kernel of all pairs of each and of both.
                let images = generated.min(reference).min(KID_IMAGES) as f64;
                threads as f64 * (2.0 * images * dimension + 3.0 * images * images)
            }
            FurtherMeasure::PrecisionRecall | FurtherMeasure::DensityCoverage | FurtherMeasure::Cmmd => {
                let (rows, others) = OVERLAP_BLOCK;
                threads as f64 * ((rows + others) * dimension + rows * others)
            }
            FurtherMeasure::FidInfinity => {
                let at_once = threads.min(INFINITY_POINTS) as f64;
                at_once * (GENERATED_MATRICES + DISTANCE_MATRICES) * dimension * dimension
            }
            FurtherMeasure::Sfid => {
                let spatial = Features::InceptionV3.spatial_dimension().unwrap_or(0) as f64;
                (GENERATED_MATRICES + DISTANCE_MATRICES) * spatial * spatial
            }
            FurtherMeasure::InceptionScore => return generated as f64 * INCEPTION_CLASSES * BYTES_PER_NUMBER,
        };
        long_numbers * BYTES_PER_LONG_NUMBER
    };
    measures.iter().map(of).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the 64 values of the default features: 64 x 64 numbers of eight bytes.
    const MATRIX: f64 = 64.0 * 64.0 * 8.0;

    /// 1,000 operations and 100 bytes for each image, 10 parameters.
    const NETWORK: NetworkCost = NetworkCost {
        parameters: 10,
        forward_flops: 1e3,
        training_forward_flops: 1e3,
        activation_bytes: 100.0,
        training_bytes: 6400.0,
        factor_bytes: 0.0,
        encoder_bytes: 0.0,
    };

    /// That network; 1,000 operations per second. Features take half as many operations, and 7 bytes of weights.
    fn fake() -> CostModel<'static> {
        CostModel {
            flops_per_second: 1e3,
            network: &|_| NETWORK,
            feature_flops: &|_, _| 500.0,
            feature_weight_bytes: &|_, _| 7.0,
            feature_activation_bytes: &|_, _| 9.0,
            decoder: &|_| None,
            threads: 2,
        }
    }

    #[test]
    fn an_estimate_is_the_sum_of_its_parts() {
        let spec = RunSpec::default();
        let cost = run_cost(&spec, &fake());
        // 2,000 steps of 64 images, three passes of a second each.
        assert_eq!(cost.train_seconds, 2000.0 * 64.0 * 3.0);
        // Ten evaluations of 1,000 images in 20 steps, of 64 images in 10 bins, and of the features of the 1,000.
        assert_eq!(cost.eval_seconds, 10.0 * (1000.0 * 20.0 + 64.0 * 10.0 + 1000.0 * 0.5));
        // Five tensors of ten numbers; the network of the features and two of their matrices; 256 images and a grid of 64,
        // of 64 pixels, a matrix, and two to measure it, which are more than a quarter of 256 images' activations.
        assert_eq!(cost.memory_bytes, 5.0 * 40.0 + 7.0 + 2.0 * MATRIX + (320.0 * 64.0 * 4.0 + MATRIX + 2.0 * MATRIX));
        assert!(cost.disk_bytes > 4.0 * 40.0);
    }

    #[test]
    fn further_protocols_cost_their_images_and_hold_what_others_do_not() {
        let mut spec = RunSpec::default();
        let plain = run_cost(&spec, &fake());
        let ode = crate::spec::OdeSampler::Ddim(crate::spec::Ddim { steps: 50, ..Default::default() });
        spec.evaluate.also = vec![Fid { ode, samples: 200, ..Fid::default() }];
        let cost = run_cost(&spec, &fake());
        // Ten evaluations of 200 images in 50 steps, and of their features.
        assert_eq!(cost.eval_seconds - plain.eval_seconds, 10.0 * (200.0 * 50.0 + 200.0 * 0.5));
        assert_eq!(cost.memory_bytes, plain.memory_bytes);
        spec.evaluate.also[0].reference = Reference::Test;
        let more = run_cost(&spec, &fake()).memory_bytes - plain.memory_bytes;
        assert!((more - (7.0 + 2.0 * MATRIX)).abs() < 1.0, "a network and two matrices: {more}");
    }

    #[test]
    fn an_evaluation_of_a_large_network_is_taken_in_smaller_batches_and_one_of_both_weights_takes_twice_as_long() {
        let mut spec = RunSpec::default();
        spec.train.batch_size = 1;
        let large = |_: &RunSpec| NetworkCost { activation_bytes: 64e6, training_bytes: 64e6, ..NETWORK };
        let large = CostModel { network: &large, ..fake() };
        let expected = 5.0 * 40.0 + 7.0 + 2.0 * MATRIX + ((1u64 << 30) as f64 + 320.0 * 64.0 * 4.0 + MATRIX);
        assert_eq!(run_cost(&spec, &large).memory_bytes, expected);
        let once = run_cost(&spec, &fake()).eval_seconds;
        spec.evaluate.weights = crate::spec::EvaluatedWeights::Both;
        assert_eq!(run_cost(&spec, &fake()).eval_seconds, 2.0 * once);
    }

    #[test]
    fn a_network_that_trains_on_a_part_of_its_images_costs_less_in_training_alone() {
        let routed = |_: &RunSpec| NetworkCost { training_forward_flops: 6e2, ..NETWORK };
        let routed = run_cost(&RunSpec::default(), &CostModel { network: &routed, ..fake() });
        let whole = run_cost(&RunSpec::default(), &fake());
        assert!((routed.train_seconds / whole.train_seconds - 0.6).abs() < 1e-12);
        assert_eq!(routed.eval_seconds, whole.eval_seconds);
    }

    #[test]
    fn kept_averages_take_memory_and_disk() {
        let mut spec = RunSpec::default();
        let (without, every) = (run_cost(&spec, &fake()), 150);
        spec.train.post_hoc.every = every;
        let with = run_cost(&spec, &fake());
        // Two tensors of ten numbers; in the checkpoint, and after 14 of the 2,000 steps.
        assert_eq!(with.memory_bytes - without.memory_bytes, 2.0 * 40.0);
        assert_eq!(with.disk_bytes - without.disk_bytes, 15.0 * 2.0 * 40.0);
    }

    #[test]
    fn measures_of_images_keep_the_features_of_both_sets() {
        let mut spec = RunSpec::default();
        let mut memory = |measures: &[FurtherMeasure]| {
            spec.evaluate.measures = measures.iter().copied().collect();
            run_cost(&spec, &fake()).memory_bytes
        };
        let none = memory(&[]);
        // 1,000 generated images; 15 distances, two at a time, have three matrices each, a single one has two.
        let generated = 1000.0 * 64.0 * 4.0;
        assert_eq!(memory(&[FurtherMeasure::FidInfinity]), none + generated + (6.0 - 2.0) * MATRIX);
        // And 1,442 of the training split; two threads compare 256 images with 1,024.
        let both = generated + 1442.0 * 64.0 * 4.0;
        let blocks = 2.0 * ((256.0 + 1024.0) * 64.0 + 256.0 * 1024.0) * 8.0;
        assert_eq!(memory(&[FurtherMeasure::PrecisionRecall]), none + both + blocks - 2.0 * MATRIX);
        let subsets = 2.0 * (2.0 * 1000.0 * 64.0 + 3.0 * 1000.0 * 1000.0) * 8.0;
        assert_eq!(memory(&[FurtherMeasure::Kid, FurtherMeasure::FidInfinity]), none + both + subsets - 2.0 * MATRIX);
    }

    #[test]
    fn images_kept_for_consistency_have_features_too() {
        let mut spec = RunSpec::default();
        let without = run_cost(&spec, &fake()).eval_seconds;
        spec.evaluate.consistency.images = 100;
        // They are among the generated ones.
        assert_eq!(run_cost(&spec, &fake()).eval_seconds, without + 100.0 * 0.5);
    }

    #[test]
    fn latents_are_decoded_before_they_are_looked_at() {
        let mut spec = RunSpec::default();
        let without = run_cost(&spec, &fake());
        let decoder = DecoderCost { flops: 2e3, weight_bytes: 11.0, activation_bytes: 1e9 };
        let with = run_cost(&spec, &CostModel { decoder: &|_| Some(decoder), ..fake() });
        assert_eq!(with.eval_seconds, without.eval_seconds + 10.0 * 1000.0 * 2.0);
        assert!(with.memory_bytes > 1e9 && without.memory_bytes < 1e9);
        let mut kept = spec.clone();
        kept.evaluate.consistency.images = 1000;
        let (few, many) = (run_cost(&spec, &fake()).memory_bytes, run_cost(&kept, &fake()).memory_bytes);
        assert_eq!(many - few, (1000.0 - 64.0) * 64.0 * 4.0);
        // Pictures are larger than latents.
        spec.data = Data::Latents(crate::spec::LatentsData { decoder: "vae".to_owned(), ..Default::default() });
        assert!(run_cost(&spec, &fake()).disk_bytes > 100.0 * without.disk_bytes);
    }

    #[test]
    fn an_evaluation_that_does_not_divide_the_steps_still_ends_the_run() {
        let mut spec = RunSpec::default();
        spec.evaluate.every = 1999;
        let twice = run_cost(&spec, &fake()).eval_seconds;
        spec.evaluate.every = 5000;
        assert_eq!(twice, 2.0 * run_cost(&spec, &fake()).eval_seconds);
    }
}
