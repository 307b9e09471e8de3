//! Anything at all goes through the conversion without a panic, and what it prints it reads again.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::{Argument, Kind, Spec, convert::convert};
use crate::text::python;

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![any::<String>(), r#"[\[\]{}()'",:=\\ xuUN0-9eE+._-]{0,20}"#];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    })
}

fn every_kind() -> Spec {
    let inner = Spec(vec![("key", Argument::str().no_log()), ("port", Argument::int())]);
    let dict = Argument { kind: Kind::Dict(Some(inner)), ..Argument::dict() };
    Spec(vec![
        ("str", Argument::str().choices(&["yes", "no"])),
        ("int", Argument::int()),
        ("bool", Argument::bool().required()),
        ("float", Argument::float()),
        ("path", Argument::path()),
        ("raw", Argument::raw().no_log()),
        ("list", Argument::list(Argument::float())),
        ("dict", Argument::dict()),
        ("options", dict.clone()),
        ("elements", Argument::list(dict)),
    ])
}

proptest! {
    #[test]
    fn no_value_makes_the_conversion_panic(value in value()) {
        let spec = every_kind();
        let given: Map<String, Value> = spec.0.iter().map(|(name, _)| ((*name).to_owned(), value.clone())).collect();
        let _ = super::no_log::collect(&spec, &given);
        let _ = convert(&spec, given);
    }

    #[test]
    fn a_printed_value_is_read_again(value in value()) {
        prop_assert_eq!(python::literal::to_json(&python::repr(&value)), Some(value));
    }
}
