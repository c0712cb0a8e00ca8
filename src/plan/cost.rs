//! What a run will cost, estimated before it starts. A pure function: the caller says what a model and a device are.

use crate::spec::{DataShape, Model, RunSpec};

/// What the caller knows: a device's speed and the arithmetic of an architecture.
pub struct CostModel<'m> {
    /// Floating-point operations per second that training reaches.
    pub flops_per_second: f64,
    /// Operations of one image's forward pass, given its data's shape.
    pub forward_flops: &'m dyn Fn(&Model, DataShape) -> f64,
    pub parameter_count: &'m dyn Fn(&Model, DataShape) -> usize,
    /// Bytes of one image's activations that training keeps for the backward pass.
    pub activation_bytes: &'m dyn Fn(&Model, DataShape) -> f64,
}

/// The estimate of one run.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct RunCost {
    pub parameters: usize,
    pub train_seconds: f64,
    pub eval_seconds: f64,
    /// The most it holds at a time.
    pub memory_bytes: f64,
    /// What it leaves behind.
    pub disk_bytes: f64,
}

/// A backward pass computes two products for each one of the forward pass: three passes in all (Kaplan et al. 2020,
/// arXiv 2001.08361, section 2.1).
const PASSES_PER_STEP: f64 = 3.0;
/// Weights, gradient, Adam's two moments, averaged weights.
const TENSORS_IN_MEMORY: f64 = 5.0;
/// The same without the gradient.
const TENSORS_IN_CHECKPOINT: f64 = 4.0;
const BYTES_PER_NUMBER: f64 = 4.0;
/// Most images generated at a time when a sample is drawn; more are taken in turns.
const EVALUATION_BATCH: usize = 256;
/// A batch whose activations would take more is smaller.
const EVALUATION_ACTIVATION_BYTES: f64 = (1u64 << 30) as f64;
/// A line of the journal, and a row of the curves table before compression.
const BYTES_PER_RECORD: f64 = 300.0;
/// A sample grid is noise at first, which PNG does not compress.
const BYTES_PER_PIXEL: f64 = 1.0;

pub fn run_cost(spec: &RunSpec, cost: &CostModel) -> RunCost {
    let shape @ DataShape { channels, side, .. } = spec.data.shape();
    let parameters = (cost.parameter_count)(&spec.model, shape);
    let forward_seconds = (cost.forward_flops)(&spec.model, shape) / cost.flops_per_second;
    let activations = (cost.activation_bytes)(&spec.model, shape);
    let evaluate = &spec.evaluate;

    let images_seen = spec.train.steps as f64 * spec.train.batch_size as f64;
    let train_seconds = images_seen * PASSES_PER_STEP * forward_seconds;

    // The last step is always evaluated.
    let evaluations = spec.train.steps.div_ceil(evaluate.every) as f64;
    let generated = evaluate.fid.samples.max(evaluate.grid_images).max(evaluate.consistency.images) as f64;
    let generated = generated * evaluate.fid.nfe() as f64;
    let validated = evaluate.validation.images as f64 * evaluate.validation.bins as f64;
    let weights_measured = evaluate.weights.each().len() as f64;
    let times = |every: u64| if every == 0 { 1.0 } else { spec.train.steps.div_ceil(every) as f64 };
    let difficulty = &evaluate.difficulty;
    let differentiated = (difficulty.images * evaluate.validation.bins) as f64 * PASSES_PER_STEP;
    let differentiated = differentiated * if difficulty.every == 0 { evaluations } else { times(difficulty.every) };
    let eval_seconds = (evaluations * weights_measured * (generated + validated) + differentiated) * forward_seconds;

    let weights = parameters as f64 * BYTES_PER_NUMBER;
    let pixels = (channels * side * side) as f64;
    let training_bytes = spec.train.batch_size as f64 * activations;
    // Without a backward pass activations are dropped as the next are made; the share is that of a few live tensors.
    let live = activations / 4.0;
    let evaluation_batch = EVALUATION_BATCH.min(evaluate.fid.samples) as f64;
    let evaluation_bytes = (evaluation_batch * live).min(EVALUATION_ACTIVATION_BYTES.max(live))
        + (evaluation_batch + evaluate.grid_images as f64) * pixels * BYTES_PER_NUMBER;
    let memory_bytes = weights * TENSORS_IN_MEMORY + training_bytes.max(evaluation_bytes);

    let records = spec.train.steps as f64 / spec.train.log_every as f64 * 4.0
        + evaluations * weights_measured * (evaluate.validation.bins as f64 + 3.0);
    let disk_bytes = weights * TENSORS_IN_CHECKPOINT
        + evaluations * evaluate.grid_images as f64 * pixels * BYTES_PER_PIXEL
        + times(evaluate.consistency.every) * evaluate.consistency.images as f64 * pixels * BYTES_PER_PIXEL
        + records * BYTES_PER_RECORD;
    RunCost { parameters, train_seconds, eval_seconds, memory_bytes, disk_bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,000 operations and 100 bytes for each image, 10 parameters; 1,000 operations per second.
    fn fake() -> CostModel<'static> {
        CostModel {
            flops_per_second: 1e3,
            forward_flops: &|_, _| 1e3,
            parameter_count: &|_, _| 10,
            activation_bytes: &|_, _| 100.0,
        }
    }

    #[test]
    fn an_estimate_is_the_sum_of_its_parts() {
        let spec = RunSpec::default();
        let cost = run_cost(&spec, &fake());
        // 2,000 steps of 64 images, three passes of a second each.
        assert_eq!(cost.train_seconds, 2000.0 * 64.0 * 3.0);
        // Ten evaluations of 1,000 images in 20 steps, and of 64 images in 10 bins.
        assert_eq!(cost.eval_seconds, 10.0 * (1000.0 * 20.0 + 64.0 * 10.0));
        // Five tensors of ten numbers; 256 images at a quarter of their activations; these and a grid of 64, of 64 pixels.
        assert_eq!(cost.memory_bytes, 5.0 * 40.0 + (256.0 * 25.0 + 320.0 * 64.0 * 4.0));
        assert!(cost.disk_bytes > 4.0 * 40.0);
    }

    #[test]
    fn an_evaluation_of_a_large_network_is_taken_in_smaller_batches_and_one_of_both_weights_takes_twice_as_long() {
        let mut spec = RunSpec::default();
        spec.train.batch_size = 1;
        let large = CostModel { activation_bytes: &|_, _| 64e6, ..fake() };
        let expected = 5.0 * 40.0 + ((1u64 << 30) as f64 + 320.0 * 64.0 * 4.0);
        assert_eq!(run_cost(&spec, &large).memory_bytes, expected);
        let once = run_cost(&spec, &fake()).eval_seconds;
        spec.evaluate.weights = crate::spec::EvaluatedWeights::Both;
        assert_eq!(run_cost(&spec, &fake()).eval_seconds, 2.0 * once);
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
