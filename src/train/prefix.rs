//! The first steps that two runs train alike, and what a run that takes over such steps records of its own.

use std::mem::discriminant;

use super::{DENSITY_BINS, DENSITY_QUARTERS};
use crate::diffusion;
use crate::model::{self, Detour};
use crate::optim::{self, Rates};
use crate::spec::{AlignmentLoss, AuxiliaryLosses, RunSpec, TimestepSampler, TokenMasking, Train};

/// The number of first steps after which two runs of one device surely have the same weights, the same state and the same
/// record, bit for bit: 0 where that is not known of any.
///
/// What enters a step as a function of the settings and the step is compared by value, step by step, as the trainer itself
/// computes it. Everything else that a run is made of must be equal, evaluations too. The last step of either run is never among
/// these: it is always evaluated and recorded, whatever its number.
pub fn shared_steps(one: &RunSpec, other: &RunSpec) -> u64 {
    if !agree(one, other) {
        return 0;
    }
    let most = one.train.steps.min(other.train.steps).saturating_sub(1);
    let is_one_sampler = one.timestep_sampler == other.timestep_sampler && same_length(one, other);
    let moving = density(&one.timestep_sampler) == Density::Moves && !is_one_sampler;
    let samplers = moving.then(|| [one, other].map(diffusion::timestep_sampler));
    let parts = |step: u64| {
        StepSettings::at(one, step) != StepSettings::at(other, step)
            || samplers
                .as_ref()
                .is_some_and(|[one, other]| !same_bits(&one.probabilities(step), &other.probabilities(step)))
    };
    // Most pairs part early. A step that is not alike bounds the search from above.
    let end = [0, 1, most / 10, most / 2].into_iter().find(|step| *step < most && parts(*step)).unwrap_or(most);
    (0..end).find(|step| parts(*step)).unwrap_or(end)
}

/// The (step, density) of every density that a run has recorded once `step` steps are done: see
/// [`TimestepDensity`](crate::event::RunEvent::TimestepDensity). `None` where the density follows the losses, and so is no function of the settings.
pub fn densities_until(spec: &RunSpec, step: u64) -> Option<Vec<(u64, Vec<f64>)>> {
    let sampler = diffusion::timestep_sampler(spec);
    if sampler.observes_losses() {
        return None;
    }
    let mut recorded: Vec<(u64, Vec<f64>)> = Vec::new();
    for step in 0..=step {
        if is_density_due(step, recorded.len() as u64, spec.train.steps) {
            recorded.push((step, sampler.density(step, DENSITY_BINS)));
        }
    }
    Some(recorded)
}

/// Whether a density is recorded after `step` of `steps` steps, when `recorded` are.
pub(super) fn is_density_due(step: u64, recorded: u64, steps: u64) -> bool {
    step * DENSITY_QUARTERS >= recorded * steps && recorded <= DENSITY_QUARTERS
}

fn same_length(one: &RunSpec, other: &RunSpec) -> bool {
    one.train.steps == other.train.steps
}

/// Whether everything is equal but what [`StepSettings`] and the sampler's densities tell step by step.
///
/// The settings are taken apart without `..`: a key that is added to them does not compile until it is compared here or there.
fn agree(one: &RunSpec, other: &RunSpec) -> bool {
    let RunSpec {
        data,
        noise_schedule,
        parameterization,
        model,
        timestep_sampler,
        noise,
        loss_weighting,
        auxiliary_losses,
        token_routing,
        token_masking,
        patch_diffusion,
        optimizer,
        // They enter a step as its rates alone.
        momentum: _,
        lr_schedule: _,
        train,
        evaluate,
        trainer,
        params,
        seed,
    } = one;
    // Nobody knows what a trainer of the user's own does in a step.
    trainer.is_none()
        && other.trainer.is_none()
        && (data, noise_schedule, parameterization) == (&other.data, &other.noise_schedule, &other.parameterization)
        && (model, noise, loss_weighting) == (&other.model, &other.noise, &other.loss_weighting)
        && (token_routing, patch_diffusion) == (&other.token_routing, &other.patch_diffusion)
        && (optimizer, evaluate, params, seed) == (&other.optimizer, &other.evaluate, &other.params, &other.seed)
        && samplers_agree((timestep_sampler, one), (&other.timestep_sampler, other))
        && terms_agree(auxiliary_losses, &other.auxiliary_losses)
        && masks_agree(token_masking, &other.token_masking)
        && loops_agree(train, &other.train)
}

fn samplers_agree(one: (&TimestepSampler, &RunSpec), other: (&TimestepSampler, &RunSpec)) -> bool {
    match density(one.0) {
        Density::Moves => discriminant(one.0) == discriminant(other.0),
        Density::Stays => one.0 == other.0,
        // What was recorded of its density cannot be computed anew at shares of another number of steps.
        Density::FollowsLosses => one.0 == other.0 && same_length(one.1, other.1),
    }
}

/// What decides the density of the timesteps of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Density {
    /// The settings.
    Stays,
    /// The settings and the step, perhaps as a share of the planned ones.
    Moves,
    /// The settings and the losses so far.
    FollowsLosses,
}

fn density(sampler: &TimestepSampler) -> Density {
    use TimestepSampler::*;
    match sampler {
        Uniform(_) | LogitNormal(_) | Shifted(_) | Mode(_) | Laplace(_) | Edm(_) | Speed(_) => Density::Stays,
        Curriculum(_) | PacedCurriculum(_) | LogSnrCurriculum(_) | CurriculumSampling(_) => Density::Moves,
        LossSecondMoment(_) | TaskDifficulty(_) => Density::FollowsLosses,
    }
}

/// But for the share of the steps that align tokens.
fn terms_agree(one: &AuxiliaryLosses, other: &AuxiliaryLosses) -> bool {
    let AuxiliaryLosses { contrastive, dispersive, alignment } = one;
    let AlignmentLoss { weight, encoder, weights, weights_sha256, pictures, block, hidden, until: _ } = alignment;
    let theirs = &other.alignment;
    (contrastive, dispersive) == (&other.contrastive, &other.dispersive)
        && (weight, encoder, weights) == (&theirs.weight, &theirs.encoder, &theirs.weights)
        && (weights_sha256, pictures) == (&theirs.weights_sha256, &theirs.pictures)
        && (block, hidden) == (&theirs.block, &theirs.hidden)
}

/// But for the share of the steps that mask tokens.
fn masks_agree(one: &TokenMasking, other: &TokenMasking) -> bool {
    let TokenMasking { share, decoder_blocks, reconstruction, until: _ } = one;
    (share, decoder_blocks, reconstruction) == (&other.share, &other.decoder_blocks, &other.reconstruction)
}

/// But for the number of steps, their sizes and the warm-up.
fn loops_agree(one: &Train, other: &Train) -> bool {
    let Train {
        steps: _,
        batch_size: _,
        batch_schedule: _,
        resolution_schedule: _,
        // It enters a step as its rates alone.
        warmup_steps: _,
        clip_norm,
        ema_decay,
        ema,
        post_hoc,
        log_every,
        // When a run is saved changes nothing.
        checkpoint_seconds: _,
        precision,
    } = one;
    (clip_norm, ema_decay, ema) == (&other.clip_norm, &other.ema_decay, &other.ema)
        && (post_hoc, log_every, precision) == (&other.post_hoc, &other.log_every, &other.precision)
}

/// What the settings make of the step after `step` steps, beside the density of its timesteps.
#[derive(Debug, PartialEq)]
struct StepSettings {
    /// Those of all parameters, and those that `muon` leaves to AdamW.
    rates: [[u64; 3]; 2],
    average_decay: u64,
    images: usize,
    /// The side of the images, and of what the network sees of them.
    sides: [usize; 2],
    detour: Option<Detour>,
    is_aligned: bool,
}

impl StepSettings {
    fn at(spec: &RunSpec, step: u64) -> Self {
        let rates = |rates: Rates| {
            let Rates { learning_rate, beta1, average_share } = rates;
            [learning_rate, beta1, average_share].map(f64::to_bits)
        };
        Self {
            rates: [rates(Rates::at(spec, step)), rates(Rates::of_others(spec, step))],
            average_decay: optim::ema_decay(spec, step).to_bits(),
            images: spec.train.batch_sizes().at(step),
            sides: [spec.side_at(step), model::seen_side(spec, step)],
            detour: Detour::at(spec, step),
            is_aligned: step < spec.auxiliary_losses.alignment.steps(spec.train.steps),
        }
    }
}

fn same_bits(one: &[f64], other: &[f64]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.to_bits() == other.to_bits())
}

#[cfg(test)]
mod tests;
