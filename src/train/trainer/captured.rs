//! Steps whose kernels are launched together.

use super::Trainer;
use super::told::Told;
use crate::model::NotCaptured;
use crate::optim::{self, Ema, Moments, Optimizer, Rates};
use crate::train::captured_step::{CapturedStep, Given, needs_the_host};
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
        let given = self.given(batch);
        let captured = self.captured.as_mut().expect("the caller has asked");
        Told::Together(Box::new(captured.queue(&given).unwrap_or_else(|error| panic!("{error}"))))
    }

    fn given<'b>(&mut self, batch: &'b StepBatch) -> Given<'b> {
        let (spec, step) = (self.spec, self.step());
        let Rates { learning_rate, beta1, .. } = Rates::at(spec, step);
        let loss_weights = self.weights_of(&batch.importance, &batch.timesteps);
        let Optimizer::Adam(adam) = &mut self.optimizer else { unreachable!("only Adam's steps are captured") };
        Given {
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
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::data;
    use crate::model::{flat, values};
    use crate::random::{Draws, Stream};
    use crate::spec::{AdmModel, AuxiliaryLosses, DispersiveLoss, DitModel, Model, RunSpec, Train, UnetModel};
    use crate::train::captured_step::loss_and_gradient;

    /// On the CPU, which captures nothing but can do the same step: masks of dropout made on the device, a learned variance, what
    /// `auxiliary_losses` adds.
    #[test]
    fn a_step_without_the_host_has_the_loss_and_the_gradient_of_one_with_it() {
        let unet = UnetModel { channels: 8, norm_groups: 4, dropout: 0.3, ..UnetModel::default() };
        let adm = AdmModel { channels: 16, norm_groups: 8, dropout: 0.2, learned_sigma: true, ..AdmModel::default() };
        let dit = DitModel { patch: 2, dim: 32, depth: 2, heads: 2, class_conditional: true, ..DitModel::default() };
        let dispersive = DispersiveLoss { weight: 0.5, ..DispersiveLoss::default() };
        let auxiliary = AuxiliaryLosses { contrastive: 0.05, dispersive, ..AuxiliaryLosses::default() };
        let dataset = data::load_digits().unwrap();
        for (model, auxiliary_losses) in [
            (Model::Unet(unet), AuxiliaryLosses::default()),
            (Model::Adm(adm), AuxiliaryLosses::default()),
            (Model::Dit(dit), auxiliary),
        ] {
            let kind = model.kind();
            let train = Train { batch_size: 5, ..Train::default() };
            let spec = RunSpec { model, auxiliary_losses, train, seed: 7, ..RunSpec::default() };
            let device = Device::flex();
            let mut trainer = Trainer::new(&spec, &dataset, &device, None, 1).unwrap();
            // A fresh network predicts nothing, whatever is dropped.
            let mut weights = vec![0f32; trainer.weights.dims()[0]];
            Draws::new(1, Stream::Weights, 0).fill_normal(&mut weights);
            trainer.network.set_weights(flat(weights, &device).mul_scalar(0.1));
            trainer.progress.stamp.step = 70_000;
            let mut batch = trainer.draw(70_000);
            batch.timesteps[1] = 0;
            let given = trainer.given(&batch);
            let (loss, gradient) = loss_and_gradient(&spec, &trainer.network, &given, &device);
            let (expected_loss, _) = trainer.loss_share(&batch, 0..5);
            let expected = values(trainer.network.gradients(expected_loss.clone()));
            let expected_loss = values(expected_loss.inner())[0];
            assert!((loss / expected_loss - 1.0).abs() < 1e-6, "{kind}: {loss} is not {expected_loss}");
            let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            assert!(largest > 1e-4, "{kind}: there is no gradient");
            let difference =
                gradient.iter().zip(&expected).fold(0f32, |most, (one, other)| most.max((one - other).abs()));
            assert!(difference <= 1e-6 * largest, "{kind}: a gradient is {difference:e} away from {largest:e}");
        }
    }
}
