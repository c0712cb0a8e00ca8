//! Steps whose kernels are launched together.

use super::Trainer;
use super::told::Told;
use crate::optim::{self, Ema, Moments, Optimizer, Rates};
use crate::train::captured_step::{CapturedStep, Given, NotCaptured, needs_the_host};
use crate::train::step_batch::StepBatch;

impl Trainer<'_> {
    /// Does all further steps by kernels that are captured now: see [`CapturedStep`].
    ///
    /// # Errors
    /// If the run's steps cannot be captured, or the device does not capture kernels or does not do with them what it does without. The
    /// trainer is then as it was.
    pub fn capture_steps(&mut self) -> Result<(), NotCaptured> {
        if let Some(reason) = needs_the_host(self.spec, self.micro_batches) {
            return Err(NotCaptured::Needs(reason));
        }
        let Optimizer::Adam(adam) = &mut self.optimizer else { unreachable!("others need the host") };
        let scales = adam.scales().cloned();
        let Moments::Device { first, second } = adam.moments() else { return Err(NotCaptured::OnCpu) };
        let learned = [self.weights.clone(), first.clone(), second.clone(), self.ema.weights()];
        let captured = CapturedStep::new(self.spec, &self.network, scales.as_ref(), &self.device, &learned)?;
        let average;
        [self.weights, *first, *second, average] = captured.learned();
        self.network.set_weights(self.weights.clone());
        self.ema = Ema::new(average);
        self.captured = Some(captured);
        Ok(())
    }

    /// Queues the captured step.
    ///
    /// # Panics
    /// If the device takes it no more, as it does where a kernel is not taken.
    pub(super) fn queue_captured(&mut self, batch: &StepBatch) -> Told {
        let (spec, step) = (self.spec, self.step());
        let Rates { learning_rate, beta1, .. } = Rates::at(spec, step);
        let loss_weights = self.weights_of(&batch.importance, &batch.timesteps);
        let Optimizer::Adam(adam) = &mut self.optimizer else { unreachable!("only Adam's steps are captured") };
        let given = Given {
            step,
            images: &batch.images,
            importance: &batch.importance,
            input: &batch.input,
            target: &batch.target,
            timesteps: &batch.timesteps,
            classes: batch.classes.as_deref(),
            loss_weights,
            factors: adam.next_factors(learning_rate, beta1),
            share_of_weights: optim::share_of_weights(optim::ema_decay(spec, step)),
        };
        let captured = self.captured.as_mut().expect("the caller has asked");
        Told::Together(Box::new(captured.queue(&given).unwrap_or_else(|error| panic!("{error}"))))
    }
}
