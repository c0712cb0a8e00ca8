use burn::tensor::Device;

use super::*;
use crate::data;
use crate::spec::{self, *};
use crate::train::Trainer;

fn run(steps: u64, change: impl Fn(&mut RunSpec)) -> RunSpec {
    let mut spec = RunSpec { seed: 3, ..RunSpec::default() };
    spec.train.steps = steps;
    change(&mut spec);
    spec
}

fn wsd(decay: f64) -> LrSchedule {
    LrSchedule::Wsd(WsdLr { decay, ..WsdLr::default() })
}

fn dit() -> Model {
    Model::Dit(DitModel { patch: 2, dim: 32, depth: 4, heads: 2, mask_token: true, ..DitModel::default() })
}

#[track_caller]
fn shares(one: &RunSpec, other: &RunSpec, expected: u64) {
    assert_eq!((shared_steps(one, other), shared_steps(other, one)), (expected, expected));
}

/// By hand: tau = step / steps, and the first step of a decay has the full rate.
#[test]
fn runs_share_the_steps_before_their_learning_rates_part() {
    let decaying = |steps, decay| run(steps, |spec| spec.lr_schedule = wsd(decay));
    shares(&decaying(100, 0.5), &decaying(100, 0.2), 51);
    shares(&decaying(100, 0.2), &decaying(200, 0.2), 81);
    // The shorter one's last step is evaluated, whatever the longer one does there.
    shares(&decaying(100, 0.2), &run(50, |spec| spec.lr_schedule = LrSchedule::Constant(ConstantLr {})), 49);
    shares(&decaying(100, 0.2), &run(100, |spec| spec.lr_schedule = LrSchedule::Cosine(CosineLr { end: 0.0 })), 1);
    shares(&run(100, |_| {}), &run(100, |spec| spec.train.warmup_steps = 10), 0);
    // Nothing but the number of the checkpoint differs: all but the last step.
    shares(&run(100, |_| {}), &run(100, |spec| spec.train.checkpoint_seconds = 1.0), 99);
    shares(&run(1, |_| {}), &run(1, |_| {}), 0);
}

#[test]
fn runs_share_the_steps_before_a_share_of_the_training_is_over() {
    let aligned = |until| {
        run(100, |spec| {
            spec.model = dit();
            spec.auxiliary_losses.alignment =
                AlignmentLoss { weight: 0.5, encoder: Encoder::DigitsCnn, until, ..AlignmentLoss::default() };
        })
    };
    shares(&aligned(0.4), &aligned(1.0), 40);
    let masked = |until| {
        run(100, |spec| {
            spec.model = dit();
            spec.token_masking = TokenMasking { share: 0.5, until, ..TokenMasking::default() };
        })
    };
    shares(&masked(0.7), &masked(0.9), 70);
    shares(&masked(0.7), &run(100, |spec| spec.model = dit()), 0);
    let batches = |until, last| {
        run(100, |spec| {
            spec.train.batch_schedule = vec![BatchStage { until, batch_size: 8 }];
            spec.train.batch_size = last;
        })
    };
    shares(&batches(0.3, 32), &batches(0.3, 64), 30);
    shares(&batches(0.3, 32), &batches(0.6, 32), 30);
    let sides = |until| run(100, |spec| spec.train.resolution_schedule = vec![ResolutionStage { until, side: 4 }]);
    shares(&sides(0.25), &sides(0.5), 25);
    // The same share of another number of steps is over elsewhere.
    let longer = run(200, |spec| spec.train.resolution_schedule = vec![ResolutionStage { until: 0.25, side: 4 }]);
    shares(&sides(0.25), &longer, 25);
    let patches = |steps| {
        let schedule = PatchSchedule::Progressive;
        run(steps, |spec| {
            spec.patch_diffusion = PatchDiffusion { sizes: vec![0.5], schedule, ..PatchDiffusion::default() };
        })
    };
    shares(&patches(100), &patches(200), 50);
}

#[test]
fn runs_share_the_steps_before_their_timesteps_are_others() {
    let sampled = |steps, sampler: TimestepSampler| run(steps, |spec| spec.timestep_sampler = sampler.clone());
    let switch =
        |switch| TimestepSampler::CurriculumSampling(CurriculumSamplingTimesteps { switch, ..Default::default() });
    shares(&sampled(100, switch(0.2)), &sampled(100, switch(0.5)), 20);
    shares(&sampled(100, switch(0.2)), &sampled(200, switch(0.2)), 20);
    let step = |anneal| {
        let settings = PacedCurriculumTimesteps { anneal, pacing: Pacing::Step, ..Default::default() };
        TimestepSampler::PacedCurriculum(settings)
    };
    shares(&sampled(100, step(0.3)), &sampled(100, step(0.6)), 30);
    let clts = |anneal| TimestepSampler::Curriculum(CurriculumTimesteps { anneal, ..Default::default() });
    // The first step of both is uniform; then one moves faster.
    shares(&sampled(100, clts(0.3)), &sampled(100, clts(0.6)), 1);
    // A number of steps is the same in both.
    shares(&sampled(100, clts(40.0)), &sampled(200, clts(40.0)), 99);
    // Kinds draw in their own ways, even from one density.
    shares(&sampled(100, clts(0.3)), &sampled(100, TimestepSampler::default()), 0);
    let by_losses = TimestepSampler::LossSecondMoment(LossSecondMomentTimesteps::default());
    shares(&sampled(100, by_losses.clone()), &sampled(200, by_losses.clone()), 0);
    let constant = |lr_schedule: LrSchedule| {
        run(100, |spec| (spec.timestep_sampler, spec.lr_schedule) = (by_losses.clone(), lr_schedule.clone()))
    };
    shares(&constant(wsd(0.2)), &constant(wsd(0.5)), 51);
}

/// One key after the other: a run that differs in it shares nothing.
#[test]
fn runs_that_differ_in_anything_else_share_nothing() {
    type Change = fn(&mut RunSpec);
    let changes: [Change; 24] = [
        |spec| spec.data = Data::Mnist(MnistData::default()),
        |spec| spec.noise_schedule = NoiseSchedule::Cosine(CosineNoise::default()),
        |spec| spec.parameterization = Parameterization::V,
        |spec| spec.model = dit(),
        |spec| spec.noise = NoiseAssignment::Immiscible(ImmiscibleNoise {}),
        |spec| spec.loss_weighting = LossWeighting::MinSnr(MinSnrWeighting::default()),
        |spec| spec.auxiliary_losses.contrastive = 0.05,
        |spec| spec.auxiliary_losses.dispersive.weight = 0.5,
        |spec| spec.auxiliary_losses.alignment.weight = 0.5,
        |spec| spec.token_routing.share = 0.5,
        |spec| spec.token_masking.share = 0.5,
        |spec| spec.patch_diffusion.sizes = vec![0.5],
        |spec| spec.optimizer = Optimizer::Adamw(AdamwOptimizer::default()),
        |spec| spec.train.clip_norm = 2.0,
        |spec| spec.train.ema_decay = 0.99,
        |spec| spec.train.ema = Ema::Power(PowerEma::default()),
        |spec| spec.train.post_hoc.every = 10,
        |spec| spec.train.log_every = 9,
        |spec| spec.train.precision = Precision::Bf16,
        |spec| spec.evaluate.every = 50,
        |spec| spec.evaluate.fid.samples += 1,
        |spec| spec.trainer = Some(spec::Trainer::default()),
        |spec| drop(spec.params.insert("width".to_owned(), 3.into())),
        |spec| spec.seed = 4,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let changed = run(100, change);
        assert_eq!(shared_steps(&run(100, |_| {}), &changed), 0, "change {number}: {changed:?}");
    }
    let by_torch = || run(100, |spec| spec.trainer = Some(spec::Trainer::default()));
    shares(&by_torch(), &by_torch(), 0);
}

#[test]
fn a_density_is_said_to_follow_losses_where_the_sampler_observes_them() {
    let samplers = [
        TimestepSampler::Uniform(UniformTimesteps {}),
        TimestepSampler::Curriculum(Default::default()),
        TimestepSampler::PacedCurriculum(Default::default()),
        TimestepSampler::LogSnrCurriculum(Default::default()),
        TimestepSampler::CurriculumSampling(Default::default()),
        TimestepSampler::LogitNormal(Default::default()),
        TimestepSampler::Shifted(Default::default()),
        TimestepSampler::Mode(Default::default()),
        TimestepSampler::Laplace(Default::default()),
        TimestepSampler::Edm(Default::default()),
        TimestepSampler::Speed(Default::default()),
        TimestepSampler::LossSecondMoment(Default::default()),
        TimestepSampler::TaskDifficulty(Default::default()),
    ];
    for sampler in samplers {
        let spec = run(100, |spec| spec.timestep_sampler = sampler.clone());
        let (built, said) = (diffusion::timestep_sampler(&spec), density(&sampler));
        assert_eq!(built.observes_losses(), said == Density::FollowsLosses, "{sampler:?}");
        let moves = !same_bits(&built.probabilities(1), &built.probabilities(90));
        assert_eq!(moves, said == Density::Moves, "{sampler:?}");
    }
}

#[test]
fn densities_are_those_of_the_quarters_so_far() {
    let steps = |spec: &RunSpec, step| {
        let densities = densities_until(spec, step).expect("it observes nothing");
        densities.iter().map(|(step, _)| *step).collect::<Vec<u64>>()
    };
    let spec = run(102, |_| {});
    // At 25.5 and 76.5 steps there is none.
    assert_eq!((steps(&spec, 0), steps(&spec, 51), steps(&spec, 101)), (vec![0], vec![0, 26, 51], vec![0, 26, 51, 77]));
    let curriculum = run(100, |spec| spec.timestep_sampler = TimestepSampler::Curriculum(Default::default()));
    let sampler = diffusion::timestep_sampler(&curriculum);
    assert_eq!(densities_until(&curriculum, 30).unwrap()[1], (25, sampler.density(25, DENSITY_BINS)));
    let by_losses = |spec: &mut RunSpec| {
        spec.timestep_sampler = TimestepSampler::LossSecondMoment(Default::default());
    };
    assert_eq!(densities_until(&run(100, by_losses), 30), None);
}

/// What all of this is for: the state after the shared steps is one state.
#[test]
fn after_the_steps_that_they_share_runs_have_the_same_state_and_then_no_longer() {
    let small = |spec: &mut RunSpec| {
        spec.model = Model::Unet(UnetModel { channels: 8, norm_groups: 4, dropout: 0.2, ..UnetModel::default() });
        (spec.train.batch_size, spec.train.warmup_steps, spec.train.ema_decay) = (4, 2, 0.9);
    };
    let with = |steps, change: &dyn Fn(&mut RunSpec)| {
        run(steps, |spec| {
            small(spec);
            change(spec);
        })
    };
    let by_losses = |lr_schedule: LrSchedule| {
        with(10, &|spec| {
            spec.lr_schedule = lr_schedule.clone();
            spec.timestep_sampler = TimestepSampler::LossSecondMoment(LossSecondMomentTimesteps::default());
        })
    };
    let masked = |until| {
        with(8, &|spec| {
            spec.model =
                Model::Dit(DitModel { patch: 2, dim: 16, depth: 3, heads: 2, mask_token: true, ..DitModel::default() });
            spec.token_masking = TokenMasking { share: 0.5, until, ..TokenMasking::default() };
        })
    };
    let pairs = [
        ([0.5, 0.2].map(|decay| with(10, &|spec| spec.lr_schedule = wsd(decay))), 6),
        ([10, 20].map(|steps| with(steps, &|spec| spec.lr_schedule = wsd(0.5))), 6),
        ([wsd(0.5), wsd(0.2)].map(by_losses), 6),
        ([0.5, 0.75].map(masked), 4),
        (
            [8, 4].map(|last| {
                with(8, &|spec| {
                    spec.train.batch_schedule = vec![BatchStage { until: 0.5, batch_size: 4 }];
                    spec.train.batch_size = last + 1;
                })
            }),
            4,
        ),
    ];
    let (dataset, device) = (data::load_digits().unwrap(), Device::flex());
    for (specs, expected) in pairs {
        let [one, other] = &specs;
        shares(one, other, expected);
        let mut trainers = [one, other].map(|spec| Trainer::new(spec, &dataset, &device, None, 1).unwrap());
        let mut states_after_a_step = || {
            trainers.each_mut().map(|trainer| {
                trainer.train_step().expect("it is finite");
                trainer.checkpoint()
            })
        };
        for step in 1..=expected {
            let [one, other] = states_after_a_step();
            assert_eq!(one, other, "step {step}");
        }
        let [one, other] = states_after_a_step();
        assert_ne!(one.weights, other.weights, "step {expected} is the last that they share");
    }
}
