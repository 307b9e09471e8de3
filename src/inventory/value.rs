//! The values of inventory variables: what Python would hold after Ansible has read the file.

use crate::diagnostic::Location;
use std::collections::BTreeMap;

/// A variable's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`
    Null,
    /// `True`, `False`
    Bool(bool),
    /// An integer of any size, in decimal notation as Python prints it.
    Integer(String),
    /// A float; infinities and NaN too.
    Float(f64),
    /// A string that may hold a template.
    Text(String),
    /// A string that is never templated: `!unsafe`.
    Unsafe(String),
    /// The ciphertext of a `!vault` value; Ansible decrypts it.
    Vault(String),
    /// A date or time of YAML in ISO format: text in JSON.
    Date(String),
    /// A list.
    List(Vec<Value>),
    /// A mapping in the order of the file. Keys are unique strings, as in JSON.
    Map(Vec<(String, Value)>),
}

/// A value and where the file sets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Its value.
    pub value: Value,
    /// Where it is set.
    pub location: Location,
}

/// Variables of a host or group by name.
pub type Variables = BTreeMap<String, Variable>;

impl Value {
    /// A scalar as Ansible would print it (`true` is `True`); nothing for a secret, a list or a mapping.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Bool(true) => Some("True".to_owned()),
            Self::Bool(false) => Some("False".to_owned()),
            Self::Integer(text) | Self::Text(text) | Self::Unsafe(text) | Self::Date(text) => {
                Some(text.clone())
            }
            Self::Float(number) => Some(python_float(*number)),
            Self::Null | Self::Vault(_) | Self::List(_) | Self::Map(_) => None,
        }
    }
}

/// A float as Python's `repr` writes it: shortest digits, exponent below 1e-4 and from 1e16.
pub(super) fn python_float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number == 0.0 || (-4..16).contains(&exponent) {
        let plain = format!("{number}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// Refuses a mapping that Ansible would take for an encrypted or unsafe string when it reads our JSON.
pub(super) fn reject_reserved(value: Value) -> Result<Value, String> {
    if let Value::Map(pairs) = &value
        && let Some((name, _)) = pairs.iter().find(|(name, _)| RESERVED.contains(&name.as_str()))
    {
        return Err(format!("the key {name} is reserved; use the YAML tags !vault and !unsafe"));
    }
    Ok(value)
}

/// Keys by which Ansible's JSON marks encrypted and unsafe strings.
const RESERVED: [&str; 2] = ["__ansible_vault", "__ansible_unsafe"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (1e300, "1e+300"),
            (f64::INFINITY, "inf"),
        ];
        for (number, expected) in cases {
            assert_eq!(python_float(number), expected);
        }
    }
}
