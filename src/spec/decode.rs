//! From a [`Node`] to a typed value, keeping the position of whatever does not fit.
//!
//! A whole number is accepted where a fraction is wanted, and a number without a fraction (`1e3`, `64.0`) where a
//! whole number is wanted. Nothing else is converted: text is not a number, and `yes` is not `true`.

use std::fmt;

use serde::de::{self, DeserializeOwned};

use super::node_reader::NodeReader;
use super::{Location, Node, nearest, quoted_list};

/// Why a tree is not the wanted type.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    pub at: Location,
    pub message: String,
    /// What to do about it, when we know.
    pub hint: Option<String>,
}

/// Reads a `T` out of a tree.
pub fn decode<T: DeserializeOwned>(node: &Node) -> Result<T, DecodeError> {
    decode_under("", node)
}

/// Reads a `T` out of a part of a tree; messages name the keys in it as seen from the whole, under `path`.
pub fn decode_under<T: DeserializeOwned>(path: &str, node: &Node) -> Result<T, DecodeError> {
    let path = if path.is_empty() { Path::Root } else { Path::Key(&Path::Root, path) };
    T::deserialize(NodeReader { node, path, kind: None }).map_err(|fault| fault.place(node.at, path))
}

/// Reads a `T` out of a JSON record (positions are unknown).
pub fn decode_json<T: DeserializeOwned>(json: &serde_json::Value) -> Result<T, DecodeError> {
    decode(&Node::from_json(json))
}

/// The keys that lead to a value, the last one first.
#[derive(Clone, Copy)]
pub enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl Path<'_> {
    /// How a message names what is at this path.
    pub fn subject(&self) -> String {
        match self {
            Path::Root => "this".to_owned(),
            _ => format!("`{self}`"),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(Path::Root, key) => formatter.write_str(key),
            Path::Key(parent, key) => write!(formatter, "{parent}.{key}"),
            Path::Index(parent, index) => write!(formatter, "{parent}[{index}]"),
        }
    }
}

/// An error on its way up, until it meets the reader that knows its place.
#[derive(Debug)]
pub enum Fault {
    Placed(DecodeError),
    UnknownKey(String, &'static [&'static str]),
    MissingKey(&'static str),
    Other(String),
}

impl Fault {
    pub fn new(at: Location, message: String, hint: Option<String>) -> Self {
        Self::Placed(DecodeError { at, message, hint })
    }

    pub fn place(self, at: Location, path: Path) -> DecodeError {
        let (message, hint) = match self {
            Self::Placed(error) => return error,
            Self::UnknownKey(key, known) => {
                let hint = match nearest(&key, known.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None if known.is_empty() => "there are no settings here".to_owned(),
                    None => format!("the keys here are {}", quoted_list(known.iter().copied())),
                };
                (format!("unknown key `{path}`"), Some(hint))
            }
            Self::MissingKey(key) => (format!("{} lacks the key `{key}`", path.subject()), None),
            Self::Other(message) => (format!("{}: {message}", path.subject()), None),
        };
        DecodeError { at, message, hint }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Placed(error) => error.fmt(formatter),
            Self::UnknownKey(key, _) => write!(formatter, "unknown key `{key}`"),
            Self::MissingKey(key) => write!(formatter, "the key `{key}` is missing"),
            Self::Other(message) => formatter.write_str(message),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Other(message.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::UnknownKey(field.to_owned(), expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::MissingKey(field)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
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
                class_conditional: true,
                class_dropout: 0.3,
            }),
            timestep_sampler: TimestepSampler::Curriculum(CurriculumTimesteps { center: 0.1, width: 0.2, anneal: 0.7 }),
            optimizer: Optimizer::Adam(AdamOptimizer { learning_rate: 3e-4, beta1: 0.8, beta2: 0.95, epsilon: 1e-6 }),
            momentum: MomentumSchedule::Exponential(ExponentialMomentum { decay: 0.99, floor: 0.2 }),
            lr_schedule: LrSchedule::Cosine(CosineLr { end: 0.05 }),
            train: Train {
                steps: 11,
                batch_size: 3,
                warmup_steps: 2,
                clip_norm: 0.5,
                ema_decay: 0.9,
                log_every: 4,
                checkpoint_seconds: 0.25,
            },
            evaluate: Evaluate {
                every: 5,
                fid: Fid {
                    samples: 12,
                    features: Features::DigitsCnn,
                    reference: Reference::Test,
                    reference_folder: String::new(),
                    resize: Resize::TorchFidelity,
                    ode: OdeSampler::Ddim(Ddim { steps: 6, eta: 0.5, spacing: Spacing::Leading, clip: false }),
                    guidance: 1.5,
                },
                validation: Validation { bins: 3, images: 2 },
                grid_images: 9,
                measures: [FurtherMeasure::Kid, FurtherMeasure::FidInfinity].into(),
                weights: EvaluatedWeights::Both,
                consistency: Consistency { images: 4, every: 5 },
                difficulty: Difficulty { images: 2, every: 10 },
            },
            seed: i64::MAX as u64,
            ..RunSpec::default()
        };
        let unusual_adamw =
            AdamwOptimizer { learning_rate: 3e-4, beta1: 0.8, beta2: 0.95, epsilon: 1e-6, weight_decay: 0.03 };
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
                timestep_sampler: TimestepSampler::LossSecondMoment(LossSecondMomentTimesteps {
                    history: 3,
                    uniform: 0.1,
                }),
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
                noise_schedule: NoiseSchedule::Sigmoid(SigmoidNoise {
                    timesteps: 12,
                    start: -1.0,
                    end: 4.0,
                    tau: 0.7,
                    beta_max: 0.9,
                }),
                evaluate: Evaluate {
                    fid: Fid {
                        ode: OdeSampler::Heun(Heun { steps: 4, spacing: Spacing::Quadratic, clip: false }),
                        ..Fid::default()
                    },
                    ..Evaluate::default()
                },
                ..common.clone()
            },
            RunSpec {
                evaluate: Evaluate {
                    fid: Fid {
                        ode: OdeSampler::DpmSolverPp(DpmSolverPp { steps: 4, spacing: Spacing::Karras, clip: false }),
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
                loss_weighting: LossWeighting::Speed(SpeedWeighting { lambda: 0.7, tau: 0.6 }),
                ..common.clone()
            },
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
            round_trips(FidProtocol::of(&spec, 1437, "0123456789abcdef"));
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
                target: Target::Final { from: "baseline".to_owned(), at: FinalAt::FinalWorst },
                pairs: Vec::new(),
            }),
            runs,
        };
        round_trips(Plan { compare: None, ..plan.clone() });
        let target = Target::Value { value: 12.0 };
        let pairs = vec![Pair { arm: "clts".to_owned(), against: "control".to_owned() }];
        round_trips(Plan { compare: Some(Compare { target, pairs, ..plan.compare.clone().unwrap() }), ..plan.clone() });
        round_trips(plan);
    }

    #[track_caller]
    fn fails<T: DeserializeOwned + fmt::Debug>(json: serde_json::Value, message: &str, hint: &str) {
        let error = decode_json::<T>(&json).unwrap_err();
        assert_eq!((error.message.as_str(), error.hint.as_deref().unwrap_or("")), (message, hint));
    }

    #[test]
    fn whole_numbers_and_fractions_stand_in_for_each_other_only_without_loss() {
        let train = decode_json::<Train>(&json!({"steps": 1e3, "clip_norm": 2})).unwrap();
        assert_eq!((train.steps, train.clip_norm), (1000, 2.0));
        fails::<Train>(json!({"steps": 1.5}), "`steps` must be a whole number, not 1.5", "");
        fails::<Train>(json!({"steps": 1e300}), "`steps` must be a whole number, not 1e+300", "");
        fails::<Train>(json!({"steps": -1}), "`steps` must be a whole number of at least 0, not -1", "");
        fails::<u8>(json!(256), "this must be a whole number of at most 255, not 256", "");
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        for (value, shown) in [(f64::NAN, ".nan"), (f64::INFINITY, ".inf"), (f64::NEG_INFINITY, "-.inf")] {
            let node = Node { at: Location::default(), value: Value::Float(value) };
            let error = decode_under::<f64>("train.clip_norm", &node).unwrap_err();
            assert_eq!(error.message, format!("`train.clip_norm` must be a finite number, not {shown}"));
        }
    }

    #[test]
    fn a_kind_is_asked_for_by_name() {
        let kinds = "the kinds are `constant`, `demon`, `linear`, `exponential`";
        fails::<RunSpec>(json!({"momentum": {}}), "`momentum` lacks its `kind`", kinds);
        fails::<RunSpec>(
            json!({"momentum": {"kind": "demn"}}),
            "unknown kind `demn` of `momentum`",
            "did you mean `demon`?",
        );
        fails::<RunSpec>(json!({"momentum": {"kind": "quux"}}), "unknown kind `quux` of `momentum`", kinds);
        fails::<RunSpec>(
            json!({"momentum": {"kind": 3}}),
            "`momentum.kind` must be one of `constant`, `demon`, `linear`, `exponential`, not 3",
            "",
        );
        fails::<RunSpec>(
            json!({"momentum": "demon"}),
            "`momentum` must be a map with a `kind`, not the text \"demon\"",
            "write `{ kind: demon }`",
        );
        fails::<RunSpec>(json!({"momentum": [1]}), "`momentum` must be a map with a `kind`, not a list", "");
        fails::<RunSpec>(
            json!({"momentum": {"kind": "demon", "floor": 1}}),
            "unknown key `momentum.floor`",
            "`kind: demon` has no settings",
        );
    }

    #[test]
    fn a_word_that_may_have_settings_is_a_word_or_a_kind() {
        let read = |json: serde_json::Value| decode_json::<Parameterization>(&json).unwrap();
        let edm = |sigma_data| Parameterization::Edm(EdmParameterization { sigma_data });
        assert_eq!(read(json!("edm")), edm(0.5));
        assert_eq!(read(json!({"kind": "edm"})), edm(0.5));
        assert_eq!(read(json!({"kind": "edm", "sigma_data": 1})), edm(1.0));
        let fdm = Parameterization::Fdm(FdmParameterization { sigma_data: 0.5, multiplier: 1.0 });
        assert_eq!(read(json!({"kind": "fdm", "multiplier": 1})), fdm);
        let written = json!({"kind": "fdm", "sigma_data": 0.5, "multiplier": 1.0});
        assert_eq!(serde_json::to_value(fdm).unwrap(), written);
        assert_eq!(read(json!({"kind": "v"})), Parameterization::V);
        // One spelling in records and ids.
        assert_eq!(serde_json::to_value(edm(0.5)).unwrap(), json!({"kind": "edm", "sigma_data": 0.5}));
        assert_eq!(serde_json::to_value(Parameterization::X0).unwrap(), json!("x0"));
        fails::<RunSpec>(
            json!({"parameterization": {"kind": "v", "sigma_data": 1}}),
            "unknown key `parameterization.sigma_data`",
            "`kind: v` has no settings",
        );
        fails::<RunSpec>(
            json!({"parameterization": {"kind": "edm", "sigma": 1}}),
            "unknown key `parameterization.sigma`",
            "did you mean `sigma_data`?",
        );
        let kinds = "the kinds are `epsilon`, `v`, `x0`, `edm`, `fdm`";
        fails::<RunSpec>(json!({"parameterization": {}}), "`parameterization` lacks its `kind`", kinds);
        fails::<RunSpec>(
            json!({"parameterization": 3}),
            "`parameterization` must be one of `epsilon`, `v`, `x0`, `edm`, `fdm`, not 3",
            "",
        );
    }

    #[test]
    fn words_keys_and_types_are_named_in_plain_words() {
        fails::<RunSpec>(
            json!({"evaluate": {"fid": {"reference": "tests"}}}),
            "`evaluate.fid.reference` must be one of `train`, `test`, `folder`, not the text \"tests\"",
            "did you mean `test`?",
        );
        fails::<RunSpec>(
            json!({"parameterization": "x1"}),
            "`parameterization` must be one of `epsilon`, `v`, `x0`, `edm`, `fdm`, not the text \"x1\"",
            "did you mean `x0`?",
        );
        fails::<RunSpec>(json!({"train": {"step": 1}}), "unknown key `train.step`", "did you mean `steps`?");
        fails::<RunSpec>(
            json!({"evaluate": {"validation": {"colour": 1}}}),
            "unknown key `evaluate.validation.colour`",
            "the keys here are `bins`, `images`",
        );
        fails::<RunSpec>(
            json!({"train": {"steps": "many"}}),
            "`train.steps` must be a whole number, not the text \"many\"",
            "",
        );
        fails::<RunSpec>(
            json!({"train": null}),
            "`train` is empty, but must be a map of settings",
            "give it a value, or remove the key for its default",
        );
        fails::<RunSpec>(
            json!({"model": {"kind": "unet", "channel_multipliers": [1, 2.5]}}),
            "`model.channel_multipliers[1]` must be a whole number, not 2.5",
            "",
        );
        fails::<RunSpec>(
            json!({"data": {"kind": "digits", "horizontal_flips": "yes"}}),
            "`data.horizontal_flips` must be true or false, not the text \"yes\"",
            "",
        );
        fails::<Axis>(json!({"path": 3}), "`path` must be text, not 3", "put it in quotes");
        fails::<PlannedRun>(json!({"run_id": "0"}), "this lacks the key `arm`", "");
    }
}
