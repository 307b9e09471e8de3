//! Builds mappings with Python's notion of equal keys and JSON's notion of their names.

use super::value::{Value, python_float};

/// A key as Python distinguishes them: `1`, `1.0` and `True` are one key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key {
    Null,
    Bool(bool),
    Integer(String),
    Float(f64),
    Text(String),
    /// In ISO format. JSON has no such key.
    Date(String),
}

/// Keys and values as they come; a repeated key keeps its place and takes the new value.
#[derive(Debug)]
pub(super) struct Mapping<T> {
    entries: Vec<(Key, T)>,
    places: std::collections::HashMap<String, usize>,
}

impl<T> Default for Mapping<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), places: std::collections::HashMap::new() }
    }
}

impl<T> Mapping<T> {
    /// Adds a pair; gives back what it replaces.
    pub(super) fn insert(&mut self, key: Key, value: T) -> Option<T> {
        let next = self.entries.len();
        let place = *self.places.entry(key.identity()).or_insert(next);
        if place == next {
            self.entries.push((key, value));
            return None;
        }
        Some(std::mem::replace(&mut self.entries[place].1, value))
    }

    /// The mapping as JSON has it. Of keys that JSON cannot tell apart (`1`, `"1"`) the last wins.
    pub(super) fn finish<E>(self, mut value: impl FnMut(T) -> Result<Value, E>) -> Result<Value, E> {
        let mut pairs: Vec<(String, Value)> = Vec::with_capacity(self.entries.len());
        let mut places = std::collections::HashMap::new();
        for (key, entry) in self.entries {
            let (name, value) = (key.json_name(), value(entry)?);
            if let Some(place) = places.get(&name) {
                pairs[*place] = (name, value);
            } else {
                places.insert(name.clone(), pairs.len());
                pairs.push((name, value));
            }
        }
        Ok(Value::Map(pairs))
    }
}

impl Key {
    /// The same text for keys that Python holds equal.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::Null => "none".to_owned(),
            Self::Bool(bool) => format!("number {}", u8::from(*bool)),
            Self::Integer(digits) => format!("number {digits}"),
            Self::Float(number) if *number == 0.0 => "number 0".to_owned(),
            Self::Float(number) if number.fract() == 0.0 => format!("number {number:.0}"),
            Self::Float(number) => format!("number {number}"),
            Self::Text(text) => format!("text {text}"),
            Self::Date(text) => format!("date {text}"),
        }
    }

    /// The name that Python's JSON encoder gives the key.
    pub(super) fn json_name(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(bool) => bool.to_string(),
            Self::Integer(digits) => digits.clone(),
            Self::Float(number) => json_float(*number),
            Self::Text(text) | Self::Date(text) => text.clone(),
        }
    }
}

/// A float as Python's JSON encoder writes it.
pub(super) fn json_float(number: f64) -> String {
    match python_float(number).as_str() {
        "nan" => "NaN".to_owned(),
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        finite => finite.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_are_one_and_the_last_value_wins() {
        let mut mapping = Mapping::default();
        assert_eq!(mapping.insert(Key::Integer("1".to_owned()), Value::Null), None);
        assert_eq!(mapping.insert(Key::Bool(true), Value::Bool(true)), Some(Value::Null));
        assert_eq!(mapping.insert(Key::Float(1.0), Value::Bool(false)), Some(Value::Bool(true)));
        assert_eq!(mapping.insert(Key::Text("x".to_owned()), Value::Null), None);
        let expected = vec![("1".to_owned(), Value::Bool(false)), ("x".to_owned(), Value::Null)];
        assert_eq!(mapping.finish(Ok::<_, ()>), Ok(Value::Map(expected)));
    }
}
