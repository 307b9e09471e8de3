//! A module's argument spec: what Ansible calls options, with their types, defaults and choices.

use serde::de::DeserializeOwned;
use serde_json::Value;

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

/// One option.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Its type.
    pub kind: Kind,
    /// Whether the task must give it.
    pub required: bool,
    /// Its value when the task does not give it.
    pub default: Option<Value>,
    /// The only values allowed; empty: any.
    pub choices: &'static [&'static str],
    /// Whether its value must never be shown.
    pub no_log: bool,
}

impl Argument {
    const fn of(kind: Kind) -> Self {
        Self { kind, required: false, default: None, choices: &[], no_log: false }
    }
    /// A string.
    #[must_use]
    pub const fn str() -> Self {
        Self::of(Kind::Str)
    }
    /// An integer.
    #[must_use]
    pub const fn int() -> Self {
        Self::of(Kind::Int)
    }
    /// A boolean, in any of Ansible's spellings.
    #[must_use]
    pub const fn bool() -> Self {
        Self::of(Kind::Bool)
    }
    /// A path.
    #[must_use]
    pub const fn path() -> Self {
        Self::of(Kind::Path)
    }
    /// Any value.
    #[must_use]
    pub const fn raw() -> Self {
        Self::of(Kind::Raw)
    }
    /// A list of `element`.
    #[must_use]
    pub fn list(element: Argument) -> Self {
        Self::of(Kind::List(Box::new(element)))
    }
    /// A dictionary with any keys.
    #[must_use]
    pub const fn dict() -> Self {
        Self::of(Kind::Dict(None))
    }
    /// A dictionary with the options of `A`.
    #[must_use]
    pub fn options<A: Arguments>() -> Self {
        Self::of(Kind::Dict(Some(A::spec())))
    }
    /// The task must give it.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }
    /// Used when the task does not give it.
    #[must_use]
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }
    /// The only values allowed.
    #[must_use]
    pub fn choices(mut self, choices: &'static [&'static str]) -> Self {
        self.choices = choices;
        self
    }
    /// Never shown in a result, a log or an error.
    #[must_use]
    pub fn no_log(mut self) -> Self {
        self.no_log = true;
        self
    }
}

/// Declares a struct that is a module's argument spec: `name: Type => Argument`.
///
/// A field is `Option<…>` unless its argument is required or has a default: after conversion every
/// option is present, as `null` when it was not given.
#[macro_export]
macro_rules! arguments {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$doc:meta])* pub $field:ident: $type:ty => $argument:expr,)* }) => {
        $(#[$meta])*
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$doc])* pub $field: $type,)* }
        impl $crate::ansible::Arguments for $name {
            fn spec() -> $crate::ansible::Spec {
                $crate::ansible::Spec(vec![$((stringify!($field), $argument),)*])
            }
        }
    };
}
