//! Reads JSON strictly: no key twice in an object, and no key or kind that there is not.

use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// How alike two names are, from 0 to 1, at least, for one to be taken for a misspelling of the other.
const ALIKE: f64 = 0.7;

/// Reads a value as a type. If it has a key or a kind that there is not, the error names the one that is most
/// like it.
pub(super) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| suggested(error.to_string()))
}

/// Adds the known name that is most like the unknown one.
fn suggested(message: String) -> String {
    // The message of serde begins with the unknown name and ends with all known ones, each in backticks.
    let rest = ["unknown field `", "unknown variant `"].iter().find_map(|begin| message.strip_prefix(begin));
    let Some((unknown, known)) = rest.and_then(|rest| rest.rsplit_once("`, expected ")) else {
        return message;
    };
    let (unknown, known) = (unknown.to_lowercase(), known.split('`').skip(1).step_by(2));
    let alike = known.map(|name| (strsim::jaro(&unknown, name), name)).filter(|(alike, _)| *alike > ALIKE);
    match alike.max_by(|(one, _), (other, _)| one.total_cmp(other)) {
        Some((_, name)) => format!("{message}: did you mean `{name}`?"),
        None => message,
    }
}

/// Something that is written as an object, and as nothing else: derived readers would also take a list of its
/// values.
#[derive(Clone, Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        let object = Map::deserialize(deserializer)?;
        T::deserialize(Value::Object(object)).map(Object).map_err(D::Error::custom)
    }
}

/// A step of an input: a list is a record, and everything else is a mark.
#[derive(Clone, Debug)]
pub(super) enum Step<R, M> {
    Record(R),
    Mark(M),
}

impl<'de, R: DeserializeOwned, M: DeserializeOwned> Deserialize<'de> for Step<R, M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Step<R, M>, D::Error> {
        let step = Value::deserialize(deserializer)?;
        let read = match step.is_array() {
            true => R::deserialize(step).map(Step::Record),
            false => M::deserialize(step).map(Step::Mark),
        };
        read.map_err(D::Error::custom)
    }
}

/// A value whose objects have each name once.
pub(super) struct Distinct(pub(super) Value);

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Distinct, D::Error> {
        deserializer.deserialize_any(Reader).map(Distinct)
    }
}

/// Reads a [`Distinct`] value.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Distinct(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let Distinct(value) = object.next_value()?;
            if values.insert(name.clone(), value).is_some() {
                return Err(A::Error::custom(format!(
                    "the key {name:?} is there twice: of two values one would be ignored"
                )));
            }
        }
        Ok(Value::Object(values))
    }
}
