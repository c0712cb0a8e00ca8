//! serde's view of a [`Node`]: its value, or the place where it is not of the wanted type.

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{self, DeserializeSeed, Visitor};

use super::DecodeError;
use super::fault::Fault;
use super::path::Path;
use crate::spec::{Entry, Location, Node, Source, Value, nearest, quoted_list};

/// The name that the `kinds!` macro gives to what serde derives for it: a map with a `kind` is wanted, not a word.
const KIND_ENUM: &str = "Written";

/// The same for what may be a word or a map with a `kind`, whose settings all have defaults.
const WORD_OR_KIND_ENUM: &str = "WordOrKind";

/// The settings of a kind that is written as a word.
static NO_SETTINGS: Node =
    Node { at: Location { source: Source::File, line: 0, column: 0 }, value: Value::Map(Vec::new()) };

/// Whole numbers that every f64 near them can tell apart.
const EXACT_IN_F64: f64 = 9_007_199_254_740_992.0;

/// A place in a tree, and the keys that lead there.
#[derive(Clone, Copy)]
pub struct NodeReader<'n, 'p> {
    pub node: &'n Node,
    pub path: Path<'p>,
    /// The map's `kind` if it has been read already, so that only the settings are left.
    pub kind: Option<&'n str>,
}

impl<'n> NodeReader<'n, '_> {
    /// The error that says that this value is not `wanted`.
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
        let is_map = matches!(self.node.value, Value::Map(_));
        let wants_kind = name == KIND_ENUM || (name == WORD_OR_KIND_ENUM && is_map);
        let variant = if wants_kind { self.kind(variants)? } else { self.word(variants)? };
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

/// A variant, and the settings that are given for it.
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
        let NodeReader { path, kind, .. } = self.0;
        let (Value::Map(_), Some(kind)) = (&self.0.node.value, kind) else { return Ok(()) };
        self.0.entries()?.next().map_or(Ok(()), |entry| {
            let message = format!("unknown key `{}`", Path::Key(&path, &entry.key));
            Err(Fault::new(entry.key_at, message, Some(format!("`kind: {kind}` has no settings"))))
        })
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        match self.0.node.value {
            Value::Text(_) => seed.deserialize(NodeReader { node: &NO_SETTINGS, ..self.0 }),
            _ => seed.deserialize(self.0),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_seq(self.0, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_map(self.0, visitor)
    }
}
