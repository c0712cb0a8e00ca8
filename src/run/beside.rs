//! Evaluations beside training, on another device.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use burn::tensor::{Device, Tensor, TensorData};

use super::host::measured;
use crate::evaluate::{EvaluateError, Evaluation, Evaluator};
use crate::model::{self, Network};
use crate::spec::RunSpec;

/// Who waits looks this often.
const PAUSE: Duration = Duration::from_millis(20);

/// Evaluates copies of a run's network on a device of their own, one at a time, in threads of `scope`.
pub(super) struct Beside<'scope, 'env: 'scope> {
    scope: &'scope Scope<'scope, 'env>,
    evaluator: &'env Evaluator,
    spec: &'env RunSpec,
    /// Of the run's shape, on that device.
    network: Network,
    under_way: Option<UnderWay<'scope>>,
}

struct UnderWay<'scope> {
    step: u64,
    thread: ScopedJoinHandle<'scope, Result<Evaluation, EvaluateError>>,
    /// Whether its result is no longer wanted.
    given_up: Arc<AtomicBool>,
}

impl<'scope, 'env> Beside<'scope, 'env> {
    pub fn new(
        scope: &'scope Scope<'scope, 'env>,
        evaluator: &'env Evaluator,
        spec: &'env RunSpec,
        device: &Device,
    ) -> Self {
        let network = model::build_for(spec, device);
        Self { scope, evaluator, spec, network, under_way: None }
    }

    /// Begins to evaluate copies of these networks, of `step`.
    ///
    /// # Panics
    /// If another evaluation's result was not taken.
    pub fn begin(&mut self, averaged: &Network, raw: &Network, step: u64) {
        assert!(self.under_way.is_none(), "one evaluation at a time");
        let [averaged, raw] = [averaged, raw].map(|network| self.copy(network));
        let (evaluator, spec, given_up) = (self.evaluator, self.spec, Arc::new(AtomicBool::new(false)));
        let stop = Arc::clone(&given_up);
        let work = move || measured(evaluator, spec, &averaged, &raw, step, &mut |_| !stop.load(Ordering::Relaxed));
        self.under_way = Some(UnderWay { step, thread: self.scope.spawn(work), given_up });
    }

    /// The step and the result of the evaluation that was begun, if it has ended. With `wait` it is waited for, as long as
    /// `goes_on` answers `true`.
    /// One that panicked is an error of its own: what failed is the device that evaluates, and training needs no smaller batches for it.
    pub fn take(
        &mut self,
        wait: bool,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<(u64, Evaluation)>, EvaluateError> {
        let Some(under_way) = &self.under_way else { return Ok(None) };
        while !under_way.thread.is_finished() {
            if !wait {
                return Ok(None);
            }
            if !goes_on() {
                return Err(EvaluateError::Stopped);
            }
            thread::sleep(PAUSE);
        }
        let UnderWay { step, thread, .. } = self.under_way.take().expect("one is under way");
        match thread.join() {
            Ok(evaluation) => Ok(Some((step, evaluation?))),
            Err(cause) => {
                let text = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
                Err(EvaluateError::Panicked { step, cause: text.unwrap_or("it did not say why").to_owned() })
            }
        }
    }

    fn copy(&self, network: &Network) -> Network {
        let weights = network.weights().into_data().try_into_vec::<f32>().expect("weights are f32");
        let (count, device) = (weights.len(), self.network.weights().device());
        let mut copy = self.network.clone();
        copy.set_weights(Tensor::from_data(TensorData::new(weights, [count]), &device));
        copy
    }
}

impl Drop for Beside<'_, '_> {
    /// The scope waits for the thread, which ends at its next batch.
    fn drop(&mut self) {
        if let Some(under_way) = &self.under_way {
            under_way.given_up.store(true, Ordering::Relaxed);
        }
    }
}
