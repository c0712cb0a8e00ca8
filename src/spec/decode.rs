//! From a [`Node`] to a typed value, keeping the position of whatever does not fit.
//!
//! A whole number is accepted where a fraction is wanted, and a number without a fraction (`1e3`, `64.0`) where a
//! whole number is wanted. Nothing else is converted: text is not a number, and `yes` is not `true`.

use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Visitor};

use super::{Location, Node, Value, nearest, quoted_list, tree::Entry};

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

/// The name that the `kinds!` macro gives to what serde derives for it: a map with a `kind` is wanted, not a word.
const KIND_ENUM: &str = "Written";

/// Whole numbers that every f64 near them can tell apart.
const EXACT_IN_F64: f64 = 9_007_199_254_740_992.0;

/// The keys that lead to a value, the last one first.
#[derive(Clone, Copy)]
enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl Path<'_> {
    /// How a message names what is at this path.
    fn subject(&self) -> String {
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
enum Fault {
    Placed(DecodeError),
    UnknownKey(String, &'static [&'static str]),
    MissingKey(&'static str),
    Other(String),
}

impl Fault {
    fn new(at: Location, message: String, hint: Option<String>) -> Self {
        Self::Placed(DecodeError { at, message, hint })
    }

    fn place(self, at: Location, path: Path) -> DecodeError {
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

#[derive(Clone, Copy)]
struct NodeReader<'n, 'p> {
    node: &'n Node,
    path: Path<'p>,
    /// The map's `kind` if it has been read already, so that only the settings are left.
    kind: Option<&'n str>,
}

impl<'n> NodeReader<'n, '_> {
    /// The error that this is not `wanted`.
    fn mismatch(self, wanted: &str) -> Fault {
        let Self { node, path, .. } = self;
        let subject = path.subject();
        let (message, hint) = match &node.value {
            Value::Null => {
                let hint = "give it a value, or remove the key for its default".to_owned();
                (format!("{subject} is empty, but must be {wanted}"), Some(hint))
            }
            _ => (format!("{subject} must be {wanted}, not {}", node.describe()), None),
        };
        Fault::new(node.at, message, hint)
    }

    fn whole_number(self, smallest: i128, largest: i128) -> Result<i64, Fault> {
        let number = match self.node.value {
            Value::Integer(number) => number,
            Value::Float(number) if number.fract() == 0.0 && number.abs() <= EXACT_IN_F64 => number as i64,
            _ => return Err(self.mismatch("a whole number")),
        };
        if i128::from(number) < smallest {
            return Err(self.mismatch(&format!("a whole number of at least {smallest}")));
        }
        if i128::from(number) > largest {
            return Err(self.mismatch(&format!("a whole number of at most {largest}")));
        }
        Ok(number)
    }

    fn entries(self) -> Result<Entries<'n>, Fault> {
        match &self.node.value {
            Value::Map(entries) => Ok(Entries { rest: entries.iter(), is_kind: self.kind.is_some() }),
            _ => Err(self.mismatch("a map of settings")),
        }
    }
}

/// Gives a visitor its whole number.
macro_rules! read_whole_numbers {
    ($($method:ident: $type:ty,)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.visit_i64(self.whole_number(<$type>::MIN.into(), <$type>::MAX.into())?)
        }
    )+};
}

impl<'de> de::Deserializer<'de> for NodeReader<'de, '_> {
    type Error = Fault;

    read_whole_numbers! {
        deserialize_i8: i8, deserialize_i16: i16, deserialize_i32: i32, deserialize_i64: i64,
        deserialize_u8: u8, deserialize_u16: u16, deserialize_u32: u32, deserialize_u64: u64,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) if *value >= 0 => visitor.visit_u64(*value as u64),
            Value::Integer(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.value {
            Value::Bool(value) => visitor.visit_bool(value),
            _ => Err(self.mismatch("true or false")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.value {
            Value::Integer(value) => visitor.visit_f64(value as f64),
            Value::Float(value) if value.is_finite() => visitor.visit_f64(value),
            Value::Float(_) => Err(self.mismatch("a finite number")),
            _ => Err(self.mismatch("a number")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {
                let Fault::Placed(error) = self.mismatch("text") else { unreachable!("a mismatch knows its place") };
                Err(Fault::Placed(DecodeError { hint: Some("put it in quotes".to_owned()), ..error }))
            }
            _ => Err(self.mismatch("text")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Value::List(items) = &self.node.value else { return Err(self.mismatch("a list")) };
        visitor
            .visit_seq(Items { rest: items.iter().enumerate(), path: self.path })
            .map_err(|fault| Fault::Placed(fault.place(self.node.at, self.path)))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor
            .visit_map(Settings { rest: self.entries()?, value: None, path: self.path, kind: self.kind })
            .map_err(|fault| Fault::Placed(fault.place(self.node.at, self.path)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let variant = if name == KIND_ENUM { self.kind(variants)? } else { self.word(variants)? };
        visitor.visit_enum(Choice { variant, content: Self { kind: Some(variant), ..self } })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { char bytes byte_buf unit unit_struct tuple_struct identifier }
}

impl<'n> NodeReader<'n, '_> {
    /// The `kind` of a map.
    fn kind(self, kinds: &'static [&'static str]) -> Result<&'n str, Fault> {
        let Self { node, path, .. } = self;
        if !matches!(node.value, Value::Map(_)) {
            let mut fault = self.mismatch("a map with a `kind`");
            if let (Value::Text(text), Fault::Placed(error)) = (&node.value, &mut fault) {
                error.hint = Some(match nearest(text, kinds.iter().copied()) {
                    Some(kind) => format!("write `{{ kind: {kind} }}`"),
                    None => format!("the kinds are {}", quoted_list(kinds.iter().copied())),
                });
            }
            return Err(fault);
        }
        let Some(kind) = node.get("kind") else {
            let hint = match kinds {
                [only] => format!("add `kind: {only}`"),
                _ => format!("the kinds are {}", quoted_list(kinds.iter().copied())),
            };
            return Err(Fault::new(node.at, format!("{} lacks its `kind`", path.subject()), Some(hint)));
        };
        let kind_path = Path::Key(&path, "kind");
        match &kind.value {
            Value::Text(text) if kinds.contains(&text.as_str()) => Ok(text),
            Value::Text(text) => {
                let hint = match nearest(text, kinds.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("the kinds are {}", quoted_list(kinds.iter().copied())),
                };
                Err(Fault::new(kind.at, format!("unknown kind `{text}` of {}", path.subject()), Some(hint)))
            }
            _ => Err(NodeReader { node: kind, path: kind_path, kind: None }
                .mismatch(&format!("one of {}", quoted_list(kinds.iter().copied())))),
        }
    }

    /// One word of a fixed set.
    fn word(self, words: &'static [&'static str]) -> Result<&'n str, Fault> {
        match &self.node.value {
            Value::Text(text) if words.contains(&text.as_str()) => Ok(text),
            other => {
                let mut fault = self.mismatch(&match words {
                    [only] => format!("`{only}`"),
                    _ => format!("one of {}", quoted_list(words.iter().copied())),
                });
                if let (Value::Text(text), Fault::Placed(error)) = (other, &mut fault) {
                    error.hint = nearest(text, words.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
                }
                Err(fault)
            }
        }
    }
}

/// The entries of a map, without a `kind` that has been read already.
struct Entries<'n> {
    rest: std::slice::Iter<'n, Entry>,
    is_kind: bool,
}

impl<'n> Iterator for Entries<'n> {
    type Item = &'n Entry;

    fn next(&mut self) -> Option<&'n Entry> {
        let is_kind = self.is_kind;
        self.rest.find(|entry| !(is_kind && entry.key == "kind"))
    }
}

struct Settings<'n, 'p> {
    rest: Entries<'n>,
    value: Option<&'n Entry>,
    path: Path<'p>,
    kind: Option<&'n str>,
}

impl<'de> de::MapAccess<'de> for Settings<'de, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.value = self.rest.next();
        let Some(entry) = self.value else { return Ok(None) };
        seed.deserialize(BorrowedStrDeserializer::<Fault>::new(&entry.key)).map(Some).map_err(|fault| {
            match (&fault, self.kind) {
                (Fault::UnknownKey(_, []), Some(kind)) => Fault::new(
                    entry.key_at,
                    format!("unknown key `{}`", Path::Key(&self.path, &entry.key)),
                    Some(format!("`kind: {kind}` has no settings")),
                ),
                _ => Fault::Placed(fault.place(entry.key_at, Path::Key(&self.path, &entry.key))),
            }
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let entry = self.value.take().expect("serde asks for a key before its value");
        let path = Path::Key(&self.path, &entry.key);
        seed.deserialize(NodeReader { node: &entry.value, path, kind: None })
            .map_err(|fault| Fault::Placed(fault.place(entry.value.at, path)))
    }
}

struct Items<'n, 'p> {
    rest: std::iter::Enumerate<std::slice::Iter<'n, Node>>,
    path: Path<'p>,
}

impl<'de> de::SeqAccess<'de> for Items<'de, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((index, node)) = self.rest.next() else { return Ok(None) };
        let path = Path::Index(&self.path, index);
        seed.deserialize(NodeReader { node, path, kind: None })
            .map(Some)
            .map_err(|fault| Fault::Placed(fault.place(node.at, path)))
    }
}

/// A variant and the settings it is given.
struct Choice<'n, 'p> {
    variant: &'n str,
    content: NodeReader<'n, 'p>,
}

impl<'de, 'p> de::EnumAccess<'de> for Choice<'de, 'p> {
    type Error = Fault;
    type Variant = Content<'de, 'p>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'de, 'p>), Fault> {
        Ok((seed.deserialize(StrDeserializer::<Fault>::new(self.variant))?, Content(self.content)))
    }
}

struct Content<'n, 'p>(NodeReader<'n, 'p>);

impl<'de> de::VariantAccess<'de> for Content<'de, '_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_seq(self.0, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_map(self.0, visitor)
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
                    ode: OdeSampler::Ddim(Ddim { steps: 6 }),
                },
                validation: Validation { bins: 3, images: 2 },
                grid_images: 9,
            },
            seed: i64::MAX as u64,
            ..RunSpec::default()
        };
        vec![
            RunSpec::default(),
            RunSpec { momentum: MomentumSchedule::Demon(DemonMomentum {}), ..common.clone() },
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
            round_trips(FidProtocol::of(&spec, 1437));
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
                target: Target::FinalMedian { from: "baseline".to_owned() },
            }),
            runs,
        };
        round_trips(Plan { compare: None, ..plan.clone() });
        let target = Target::Value { value: 12.0 };
        round_trips(Plan { compare: Some(Compare { target, ..plan.compare.clone().unwrap() }), ..plan.clone() });
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
    fn words_keys_and_types_are_named_in_plain_words() {
        fails::<RunSpec>(
            json!({"evaluate": {"fid": {"reference": "tests"}}}),
            "`evaluate.fid.reference` must be one of `train`, `test`, not the text \"tests\"",
            "did you mean `test`?",
        );
        fails::<RunSpec>(
            json!({"parameterization": {"kind": "epsilon"}}),
            "`parameterization` must be `epsilon`, not a map",
            "",
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
