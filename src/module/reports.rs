//! What hosts report, by host: every word of it is a claim, and what one host says badly is that host's failure alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// A report above this size is refused. The largest honest ones, of a host with hundreds of certificates, are a tenth of it.
pub const LIMIT: usize = 1_000_000;

/// An option of the type `dict`: host to report, as JSON text (what the roles pass: nothing in it can spoil the
/// arguments of the whole task), or as the value itself.
#[derive(Clone, Debug)]
pub struct Reports<T>(BTreeMap<String, Result<T, String>>);

impl<T> Default for Reports<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Reports<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = BTreeMap::<String, Value>::deserialize(deserializer)?;
        Ok(Self(given.into_iter().map(|(host, value)| (host, read(value))).collect()))
    }
}

fn read<T: DeserializeOwned>(given: Value) -> Result<T, String> {
    let not_understood = |error| format!("what the host reported is not understood: {error}");
    let value = match given {
        Value::String(text) if text.len() > LIMIT => {
            return Err(format!("what the host reported is longer than {LIMIT} bytes"));
        }
        Value::String(text) => serde_json::from_str(&text).map_err(not_understood)?,
        value => value,
    };
    serde_json::from_value(value).map_err(not_understood)
}

impl<T> Reports<T> {
    /// Every host with what it reported, or why that cannot be read.
    pub fn all(&self) -> impl Iterator<Item = (&String, &Result<T, String>)> {
        self.0.iter()
    }

    /// Reports that could be read.
    pub fn understood(&self) -> impl Iterator<Item = (&String, &T)> {
        self.0.iter().filter_map(|(host, it)| Some((host, it.as_ref().ok()?)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Report {
        keys: Vec<String>,
    }

    #[test]
    fn a_bad_report_is_its_hosts_failure_alone() {
        for (case, bad, expected) in [
            ("not a number", r#"{"keys": [], "zzz": NaN}"#.to_owned(), "not understood"),
            ("too large a number", format!(r#"{{"zzz": {}}}"#, "1".repeat(400)), "not understood"),
            (
                "nested",
                format!(r#"{{"zzz": {}{}}}"#, "[".repeat(200), "]".repeat(200)),
                "recursion limit exceeded",
            ),
            ("half a character", r#"{"zzz": "\ud800"}"#.into(), "not understood"),
            ("cut", r#"{"keys": ["#.into(), "not understood"),
            ("other types", r#"{"keys": 7}"#.into(), "expected a sequence"),
            ("no dictionary", "[1]".into(), "not understood"),
            ("too long", format!(r#"{{"zzz": "{}"}}"#, "x".repeat(LIMIT)), "longer than 1000000 bytes"),
            ("empty", String::new(), "not understood"),
        ] {
            let given =
                json!({"bad": bad, "text": r#"{"keys": ["k"], "other": 1.5e3}"#, "value": {"keys": ["k"]}});
            let reports: Reports<Report> = serde_json::from_value(given).unwrap();
            let good = Report { keys: vec!["k".into()] };
            let understood: Vec<_> = reports.understood().map(|(host, it)| (host.as_str(), it)).collect();
            assert_eq!(understood, [("text", &good), ("value", &good)], "{case}");
            let refused = reports.all().find_map(|(_, it)| it.as_ref().err()).unwrap();
            assert!(refused.contains(expected), "{case}: {refused}");
        }
    }
}
