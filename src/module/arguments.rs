//! A module's argument spec: what Ansible calls options, with their types, defaults and choices.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Arguments of a module: a struct that is its own argument spec. Made by [`arguments!`](crate::arguments).
pub trait Arguments: DeserializeOwned {
    /// The spec, option by option, in the order of the fields.
    fn spec() -> Spec;
}

/// Options by name, in the order in which they are documented.
#[derive(Clone, Debug)]
pub struct Spec(pub Vec<(&'static str, Argument)>);

/// The types of Ansible's argument spec that this library uses.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `str`
    Str,
    /// `int`
    Int,
    /// `bool`
    Bool,
    /// `float`
    Float,
    /// `path`: a string in which `~` and `$VARIABLES` are expanded.
    Path,
    /// `raw`: any value, unconverted.
    Raw,
    /// `list` with its `elements`.
    List(Box<Argument>),
    /// `dict`; with sub-options, or any keys where there are none.
    Dict(Option<Spec>),
}

impl Kind {
    /// The word for it in an argument spec.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Str => "str",
            Self::Int => "int",
            Self::Bool => "bool",
            Self::Float => "float",
            Self::Path => "path",
            Self::Raw => "raw",
            Self::List(_) => "list",
            Self::Dict(_) => "dict",
        }
    }
}

/// One option.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Its type.
    pub kind: Kind,
    /// Whether the task must give it.
    pub required: bool,
    /// Its value when the task does not give it.
    pub default: Option<Value>,
    /// The only values allowed; empty: any. Of a list: the only values its elements may have.
    pub choices: &'static [&'static str],
    /// Whether its value must never be shown.
    pub no_log: bool,
    /// Whether a path must be absolute.
    pub absolute: bool,
    /// What it means: the comment on the struct's field.
    pub about: &'static str,
}

impl Argument {
    const fn of(kind: Kind) -> Self {
        Self { kind, required: false, default: None, choices: &[], no_log: false, absolute: false, about: "" }
    }
    /// A string.
    pub const fn str() -> Self {
        Self::of(Kind::Str)
    }
    /// An integer.
    pub const fn int() -> Self {
        Self::of(Kind::Int)
    }
    /// A boolean, in any of Ansible's spellings.
    pub const fn bool() -> Self {
        Self::of(Kind::Bool)
    }
    /// A number.
    pub const fn float() -> Self {
        Self::of(Kind::Float)
    }
    /// A path.
    pub const fn path() -> Self {
        Self::of(Kind::Path)
    }
    /// Any value.
    pub const fn raw() -> Self {
        Self::of(Kind::Raw)
    }
    /// A list of `element`.
    pub fn list(element: Argument) -> Self {
        Self { choices: element.choices, no_log: element.no_log, ..Self::of(Kind::List(Box::new(element))) }
    }
    /// A dictionary with any keys.
    pub const fn dict() -> Self {
        Self::of(Kind::Dict(None))
    }
    /// A dictionary with the options of `A`.
    pub fn options<A: Arguments>() -> Self {
        Self::of(Kind::Dict(Some(A::spec())))
    }
    /// The task must give it.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }
    /// Used when the task does not give it.
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }
    /// The only values allowed.
    pub fn choices(mut self, choices: &'static [&'static str]) -> Self {
        self.choices = choices;
        self
    }
    /// Never shown in a result, a log or an error.
    pub fn no_log(mut self) -> Self {
        self.no_log = true;
        self
    }
    /// A relative path is refused: it would lie beside the playbook, wherever that is.
    pub fn absolute(mut self) -> Self {
        self.absolute = true;
        self
    }
    /// What it means. [`arguments!`](crate::arguments) calls it with the field's comment.
    pub fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }
    /// The options inside it: of a dictionary, or of a list's dictionaries.
    pub fn sub_options(&self) -> Option<&Spec> {
        match &self.kind {
            Kind::Dict(options) => options.as_ref(),
            Kind::List(element) => element.sub_options(),
            _ => None,
        }
    }
}

/// Takes the option `name` out of `values`, as the type of its field. [`arguments!`](crate::arguments) calls it.
pub fn take<T: DeserializeOwned>(values: &mut Map<String, Value>, name: &str) -> Result<T, String> {
    let name = name.trim_start_matches("r#");
    let value = values.remove(name).unwrap_or_default();
    serde_json::from_value(value).map_err(|error| format!("option '{name}': {error}"))
}

/// Declares a struct that is a module's argument spec: `name: Type => Argument`.
///
/// A field is `Option<…>` unless its argument is required or has a default: after conversion every
/// option is present, as `null` when it was not given. The comment on a field is its `--help`.
#[macro_export]
macro_rules! arguments {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$($doc:tt)*])* pub $field:ident: $type:ty => $argument:expr,)* }) => {
        $(#[$meta])*
        #[allow(unreachable_pub, reason = "the fields are")]
        pub struct $name { $($(#[$($doc)*])* pub $field: $type,)* }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[allow(unused_mut)]
                let mut values = serde_json::Map::deserialize(deserializer)?;
                let arguments = Self {
                    $($field: $crate::module::take(&mut values, stringify!($field)).map_err(serde::de::Error::custom)?,)*
                };
                match values.keys().next() {
                    Some(name) => Err(serde::de::Error::custom(format!("unknown option '{name}'"))),
                    None => Ok(arguments),
                }
            }
        }
        impl $crate::module::Arguments for $name {
            fn spec() -> $crate::module::Spec {
                $crate::module::Spec(vec![$((
                    stringify!($field).trim_start_matches("r#"),
                    $argument.about(concat!($($crate::argument_comment!($($doc)*)),*)),
                ),)*])
            }
        }
    };
}

/// The text of a doc comment, nothing for other attributes. Part of [`arguments!`].
#[doc(hidden)]
#[macro_export]
macro_rules! argument_comment {
    (doc = $text:literal) => {
        $text
    };
    ($($other:tt)*) => {
        ""
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    crate::arguments! {
        /// Where to listen.
        #[derive(Debug)]
        pub struct Listen {
            /// The TCP port,
            /// below 65536.
            pub port: u16 => Argument::int().required(),
            /// A keyword of the language.
            pub r#type: Option<String> => Argument::str(),
        }
    }

    #[test]
    fn the_comment_on_a_field_is_its_help() {
        let Spec(options) = Listen::spec();
        assert_eq!(options[0].1.about, " The TCP port, below 65536.");
        assert_eq!(options[1].0, "type");
    }

    #[test]
    fn a_value_that_does_not_fit_its_field_is_named() {
        let listen = serde_json::from_str::<Listen>(r#"{"port": 80, "type": "tls"}"#).unwrap();
        assert_eq!((listen.port, listen.r#type.as_deref()), (80, Some("tls")));
        let error = serde_json::from_str::<Listen>(r#"{"port": 70000, "type": null}"#).unwrap_err();
        assert!(error.to_string().starts_with("option 'port': invalid value: integer `70000`"), "{error}");
        let error = serde_json::from_str::<Listen>(r#"{"port": 1, "prot": 2}"#).unwrap_err();
        assert_eq!(error.to_string(), "unknown option 'prot'");
    }
}
