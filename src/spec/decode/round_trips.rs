//! What is written and read again is the same.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::json;

use crate::spec::*;

#[track_caller]
fn round_trips<T: serde::Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: T) {
    let json = serde_json::to_value(&value).unwrap();
    assert_eq!(decode_json::<T>(&json).unwrap(), value, "from {json}");
    // What was written to a file and read again is the same too.
    let text = serde_json::to_string(&json).unwrap();
    assert_eq!(decode_json::<T>(&serde_json::from_str(&text).unwrap()).unwrap(), value, "from {text}");
}

/// Every kind of every enum, with settings that are not the defaults.
fn unusual_specs() -> Vec<RunSpec> {
    let common = RunSpec {
        data: Data::Digits(DigitsData { horizontal_flips: true }),
        noise_schedule: NoiseSchedule::Linear(LinearNoise { timesteps: 7, beta_start: 1e-7, beta_end: 1.0 / 3.0 }),
        model: Model::Unet(UnetModel {
            channels: 24,
            channel_multipliers: vec![1, 3, 4],
            blocks_per_level: 3,
            attention_resolutions: vec![4, 2],
            attention_heads: 4,
            dropout: 0.1,
            norm_groups: 4,
            coordinates: true,
            class_conditional: true,
            class_dropout: 0.3,
        }),
        timestep_sampler: TimestepSampler::Curriculum(CurriculumTimesteps { center: 0.1, width: 0.2, anneal: 0.7 }),
        optimizer: Optimizer::Adam(AdamOptimizer {
            learning_rate: 3e-4,
            beta1: 0.8,
            beta2: 0.95,
            epsilon: 1e-6,
            mup: Mup { base_width: 12, base_heads: 2 },
        }),
        momentum: MomentumSchedule::Exponential(ExponentialMomentum { decay: 0.99, floor: 0.2 }),
        lr_schedule: LrSchedule::Cosine(CosineLr { end: 0.05 }),
        train: Train {
            steps: 11,
            batch_size: 3,
            batch_schedule: vec![BatchStage { until: 0.25, batch_size: 1 }, BatchStage { until: 0.5, batch_size: 2 }],
            resolution_schedule: vec![ResolutionStage { until: 0.375, side: 4 }],
            warmup_steps: 2,
            clip_norm: 0.5,
            ema_decay: 0.9,
            ema: Ema::default(),
            post_hoc: PostHoc { every: 4 },
            log_every: 4,
            checkpoint_seconds: 0.25,
            precision: Precision::Bf16,
        },
        evaluate: Evaluate {
            every: 5,
            fid: Fid {
                samples: 12,
                features: Features::DigitsCnn,
                weights: String::new(),
                weights_sha256: String::new(),
                reference: Reference::Test,
                reference_folder: String::new(),
                reference_file: String::new(),
                reference_sha256: String::new(),
                resize: Resize::TorchFidelity,
                ode: OdeSampler::Ddim(Ddim { steps: 6, eta: 0.5, spacing: Spacing::Leading, shift: 2.0, clip: false }),
                guidance: 1.5,
                precision: FidPrecision::Bf16,
            },
            also: vec![Fid {
                features: Features::Dinov2,
                weights: "vits14.pth".to_owned(),
                weights_sha256: "4567".to_owned(),
                reference: Reference::File,
                reference_file: "digits.npz".to_owned(),
                reference_sha256: "0123".to_owned(),
                ..Fid::default()
            }],
            validation: Validation { bins: 3, images: 2 },
            grid_images: 9,
            measures: [FurtherMeasure::Kid, FurtherMeasure::FidInfinity, FurtherMeasure::Sfid, FurtherMeasure::Cmmd]
                .into(),
            weights: EvaluatedWeights::Both,
            consistency: Consistency { images: 4, every: 5 },
            difficulty: Difficulty { images: 2, every: 10 },
        },
        seed: i64::MAX as u64,
        ..RunSpec::default()
    };
    let unusual_adamw = AdamwOptimizer {
        learning_rate: 3e-4,
        beta1: 0.8,
        beta2: 0.95,
        epsilon: 1e-6,
        weight_decay: 0.03,
        mup: Mup { base_width: 12, base_heads: 2 },
    };
    vec![
        RunSpec::default(),
        RunSpec {
            momentum: MomentumSchedule::Demon(DemonMomentum {}),
            parameterization: Parameterization::V,
            loss_weighting: LossWeighting::MinSnr(MinSnrWeighting { gamma: 2.5 }),
            ..common.clone()
        },
        RunSpec {
            model: Model::Adm(AdmModel {
                channels: 16,
                channel_multipliers: vec![2, 3],
                blocks_per_level: 3,
                attention_resolutions: vec![4],
                attention_heads: 4,
                head_channels: Some(8),
                scale_shift_norm: false,
                resblock_updown: false,
                learned_sigma: true,
                dropout: 0.1,
                norm_groups: 4,
                coordinates: true,
                class_conditional: true,
                class_dropout: 0.3,
            }),
            ..common.clone()
        },
        RunSpec {
            parameterization: Parameterization::X0,
            loss_weighting: LossWeighting::Edm(EdmWeighting { sigma_data: 0.4 }),
            ..common.clone()
        },
        RunSpec {
            timestep_sampler: TimestepSampler::PacedCurriculum(PacedCurriculumTimesteps {
                center: 0.2,
                width: 0.1,
                anneal: 0.7,
                pacing: Pacing::Step,
            }),
            ..common.clone()
        },
        RunSpec {
            timestep_sampler: TimestepSampler::LogSnrCurriculum(LogSnrCurriculumTimesteps {
                center: -2.0,
                width: 0.1,
                anneal: 0.7,
                pacing: Pacing::Cosine,
            }),
            ..common.clone()
        },
        RunSpec {
            timestep_sampler: TimestepSampler::CurriculumSampling(CurriculumSamplingTimesteps {
                center: 0.4,
                width: 0.1,
                switch: 0.3,
            }),
            ..common.clone()
        },
        RunSpec {
            timestep_sampler: TimestepSampler::LogitNormal(LogitNormalTimesteps { mean: -1.5, deviation: 2.0 }),
            ..common.clone()
        },
        RunSpec {
            timestep_sampler: TimestepSampler::Laplace(LaplaceTimesteps { mean: 1.0, scale: 0.7 }),
            ..common.clone()
        },
        RunSpec {
            timestep_sampler: TimestepSampler::Edm(EdmTimesteps { mean: 1.0, deviation: 0.7 }),
            ..common.clone()
        },
        RunSpec { timestep_sampler: TimestepSampler::Speed(SpeedTimesteps { k: 3.0, tau: 0.6 }), ..common.clone() },
        RunSpec {
            timestep_sampler: TimestepSampler::LossSecondMoment(LossSecondMomentTimesteps { history: 3, uniform: 0.1 }),
            ..common.clone()
        },
        RunSpec {
            parameterization: Parameterization::Fdm(FdmParameterization { sigma_data: 0.3, multiplier: 1.0 }),
            loss_weighting: LossWeighting::Fdm(FdmWeighting {
                sigma_data: 0.3,
                warm_up: 7,
                cap_start: 2.0,
                cap_end: 9.0,
            }),
            ..common.clone()
        },
        RunSpec {
            noise_schedule: NoiseSchedule::ScaledLinear(ScaledLinearNoise {
                timesteps: 12,
                beta_start: 0.01,
                beta_end: 0.3,
            }),
            parameterization: Parameterization::Edm(EdmParameterization { sigma_data: 0.3 }),
            evaluate: Evaluate {
                fid: Fid {
                    ode: OdeSampler::Ddpm(Ddpm {
                        steps: 4,
                        variance: AncestralVariance::Large,
                        spacing: Spacing::Linspace,
                        clip: false,
                    }),
                    ..Fid::default()
                },
                ..Evaluate::default()
            },
            ..common.clone()
        },
        RunSpec {
            noise_schedule: NoiseSchedule::RectifiedFlow(RectifiedFlow { timesteps: 12 }),
            parameterization: Parameterization::V,
            noise: NoiseAssignment::OptimalTransport(OptimalTransportNoise {}),
            auxiliary_losses: AuxiliaryLosses {
                contrastive: 0.05,
                dispersive: DispersiveLoss { weight: 0.5, temperature: 0.25, block: 2 },
                alignment: AlignmentLoss {
                    weight: 0.25,
                    encoder: Encoder::EfficientnetLite0(EfficientnetEncoder { side: 96, stride: 8 }),
                    weights: String::new(),
                    weights_sha256: String::new(),
                    pictures: "a/b c".to_owned(),
                    block: 3,
                    hidden: 64,
                    until: 0.4,
                },
            },
            token_routing: TokenRouting { share: 0.25, first_block: 1, last_block: 4 },
            token_masking: TokenMasking { share: 0.25, decoder_blocks: 2, reconstruction: 0.5, until: 0.75 },
            patch_diffusion: PatchDiffusion {
                sizes: vec![0.25, 0.5],
                shares: vec![0.75, 0.25],
                full_share: 0.25,
                schedule: PatchSchedule::Progressive,
            },
            timestep_sampler: TimestepSampler::Shifted(ShiftedTimesteps { shift: 2.5 }),
            evaluate: Evaluate {
                fid: Fid {
                    ode: OdeSampler::Euler(Euler { steps: 4, spacing: Spacing::Trailing, shift: 2.5, clip: false }),
                    ..Fid::default()
                },
                ..Evaluate::default()
            },
            ..common.clone()
        },
        RunSpec { timestep_sampler: TimestepSampler::Mode(ModeTimesteps { scale: -0.5 }), ..common.clone() },
        RunSpec {
            noise_schedule: NoiseSchedule::Sigmoid(SigmoidNoise {
                timesteps: 12,
                start: -1.0,
                end: 4.0,
                tau: 0.7,
                beta_max: 0.9,
            }),
            evaluate: Evaluate {
                fid: Fid {
                    ode: OdeSampler::Heun(Heun { steps: 4, spacing: Spacing::Quadratic, shift: 1.5, clip: false }),
                    ..Fid::default()
                },
                ..Evaluate::default()
            },
            ..common.clone()
        },
        RunSpec {
            evaluate: Evaluate {
                fid: Fid {
                    ode: OdeSampler::DpmSolverPp(DpmSolverPp {
                        steps: 4,
                        spacing: Spacing::Karras,
                        shift: 4.0,
                        clip: false,
                    }),
                    ..Fid::default()
                },
                ..Evaluate::default()
            },
            ..common.clone()
        },
        RunSpec {
            model: Model::Dit(DitModel {
                patch: 4,
                dim: 24,
                depth: 3,
                heads: 6,
                mlp_ratio: 2,
                learned_sigma: true,
                mask_token: true,
                class_conditional: true,
                class_dropout: 0.0,
            }),
            ..common.clone()
        },
        RunSpec {
            model: Model::Uvit(UvitModel {
                patch: 4,
                dim: 24,
                depth: 6,
                heads: 6,
                mlp_ratio: 2,
                class_conditional: true,
                class_dropout: 0.5,
            }),
            ..common.clone()
        },
        RunSpec { data: Data::Mnist(MnistData {}), ..common.clone() },
        RunSpec {
            data: Data::FashionMnist(FashionMnistData { horizontal_flips: true }),
            evaluate: Evaluate {
                fid: Fid {
                    reference: Reference::Folder,
                    reference_folder: "pictures".to_owned(),
                    ..common.evaluate.fid.clone()
                },
                ..common.evaluate.clone()
            },
            ..common.clone()
        },
        RunSpec { data: Data::Cifar10(Cifar10Data { horizontal_flips: true }), ..common.clone() },
        RunSpec {
            data: Data::ImageFolder(ImageFolderData {
                path: "my pictures".to_owned(),
                side: 32,
                channels: 1,
                classes: 3,
                held_out: 10,
                horizontal_flips: true,
            }),
            ..common.clone()
        },
        RunSpec {
            data: Data::Latents(LatentsData {
                path: "latents".to_owned(),
                side: 16,
                channels: 8,
                classes: 3,
                scale: 0.25,
                moments: true,
                held_out: 10,
                held_out_path: "others".to_owned(),
                horizontal_flips: true,
                decoder: "vae".to_owned(),
            }),
            ..common.clone()
        },
        RunSpec { loss_weighting: LossWeighting::P2(P2Weighting { k: 2.0, gamma: 0.5 }), ..common.clone() },
        RunSpec {
            timestep_sampler: TimestepSampler::TaskDifficulty(TaskDifficultyTimesteps {
                clusters: 7,
                clustering: Clustering::LogSnr,
                patience: 3,
                smoothing: 0.5,
            }),
            noise: NoiseAssignment::Immiscible(ImmiscibleNoise {}),
            ..common.clone()
        },
        RunSpec {
            optimizer: Optimizer::Adamw(AdamwOptimizer { weight_decay: 0.2, ..unusual_adamw.clone() }),
            ..common.clone()
        },
        RunSpec {
            optimizer: Optimizer::ScheduleFreeAdamw(ScheduleFreeAdamwOptimizer {
                learning_rate: 3e-4,
                beta1: 0.8,
                beta2: 0.95,
                epsilon: 1e-6,
                weight_decay: 0.03,
            }),
            ..common.clone()
        },
        RunSpec {
            optimizer: Optimizer::Soap(SoapOptimizer {
                learning_rate: 0.03,
                beta1: 0.8,
                beta2: 0.7,
                epsilon: 1e-6,
                weight_decay: 0.1,
                refresh_every: 3,
                largest_side: 64,
            }),
            ..common.clone()
        },
        RunSpec {
            optimizer: Optimizer::Muon(MuonOptimizer {
                learning_rate: 0.03,
                beta1: 0.8,
                nesterov: false,
                weight_decay: 0.1,
                scale: MuonScale::MatchRmsAdamw,
                newton_schulz_steps: 4,
                others: unusual_adamw,
            }),
            ..common.clone()
        },
        RunSpec {
            lr_schedule: LrSchedule::Wsd(WsdLr { decay: 0.3, end: 0.05, shape: DecayShape::OneMinusSqrt }),
            train: Train { ema: Ema::Power(PowerEma { sigma_rel: 0.07 }), ..common.train.clone() },
            ..common.clone()
        },
        RunSpec {
            lr_schedule: LrSchedule::InverseSqrt(InverseSqrtLr { reference_steps: 3 }),
            train: Train { ema: Ema::HalfLife(HalfLifeEma { images: 7, ramp_up: 0.05 }), ..common.train.clone() },
            evaluate: Evaluate { weights: EvaluatedWeights::Own, ..common.evaluate.clone() },
            ..common.clone()
        },
        RunSpec { loss_weighting: LossWeighting::Speed(SpeedWeighting { lambda: 0.7, tau: 0.6 }), ..common.clone() },
        RunSpec {
            momentum: MomentumSchedule::Linear(LinearMomentum { end: 0.3 }),
            lr_schedule: LrSchedule::Linear(LinearLr { end: 0.2 }),
            ..common.clone()
        },
        RunSpec {
            noise_schedule: NoiseSchedule::Cosine(CosineNoise { timesteps: 9, offset: 0.01, beta_max: 0.9 }),
            lr_schedule: LrSchedule::MomentumCompensated(MomentumCompensatedLr {}),
            ..common.clone()
        },
        common,
    ]
}

#[test]
fn every_part_of_a_run_spec_survives_json() {
    for spec in unusual_specs() {
        round_trips(spec.data.clone());
        round_trips(spec.noise_schedule.clone());
        round_trips(spec.parameterization);
        round_trips(spec.model.clone());
        round_trips(spec.timestep_sampler.clone());
        round_trips(spec.loss_weighting.clone());
        round_trips(spec.optimizer.clone());
        round_trips(spec.momentum.clone());
        round_trips(spec.lr_schedule.clone());
        round_trips(spec.train.clone());
        round_trips(spec.evaluate.clone());
        round_trips(FidProtocol::of(&spec, Some(1437), "0123456789abcdef"));
        round_trips(spec);
    }
}

#[test]
fn a_plan_survives_json() {
    let runs = unusual_specs()
        .into_iter()
        .map(|spec| PlannedRun {
            run_id: RunId::of(&spec),
            arm: "baseline".to_owned(),
            trial: "baseline model.channels=16".to_owned(),
            point: [("model.channels".to_owned(), json!(16))].into(),
            seed: spec.seed,
            spec,
        })
        .collect();
    let plan = Plan {
        version: PLAN_VERSION,
        name: "name".to_owned(),
        question: String::new(),
        arms: vec!["baseline".to_owned()],
        axes: vec![Axis { path: "model.channels".to_owned(), values: vec![json!(16), json!([1, 2]), json!(0.5)] }],
        seeds: vec![0, 7],
        compare: Some(Compare {
            baseline: "baseline".to_owned(),
            metric: Metric::ValidationLoss,
            band: BandShares { from: 0.25, to: 0.9 },
            target: Some(Target::Final { from: "baseline".to_owned(), at: FinalAt::FinalWorst }),
            practical: 1.02,
            tune: vec!["optimizer.learning_rate".into()],
            pairs: Vec::new(),
        }),
        until_decided: None,
        exclusive: true,
        labels: Labels {
            axes: [(
                "optimizer.learning_rate".to_owned(),
                AxisLabel {
                    label: Some("Learning rate".to_owned()),
                    values: [("0.0002".to_owned(), "2e-4".to_owned())].into(),
                },
            )]
            .into(),
            arms: [(
                "baseline".to_owned(),
                ArmLabel { label: Some("Uniform".to_owned()), color: Some(Color([0, 114, 178])) },
            )]
            .into(),
            order: vec!["baseline".to_owned()],
        },
        runs,
    };
    round_trips(Plan { compare: None, ..plan.clone() });
    let target = Some(Target::Value { value: 12.0 });
    let pairs = vec![Pair { arm: "clts".to_owned(), against: "control".to_owned() }];
    round_trips(Plan { compare: Some(Compare { target, pairs, ..plan.compare.clone().unwrap() }), ..plan.clone() });
    round_trips(plan);
}
