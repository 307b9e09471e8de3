//! Guard: every module has the action plugin behind its name, and no name is left without a module.

use std::{collections::BTreeSet, path::Path};

use crate::support::modules;

const PLUGIN: &str = "in_place.py";

#[test]
fn every_module_has_the_action_plugin_and_every_link_a_module() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("action_plugins");
    assert!(folder.join(PLUGIN).is_file(), "{PLUGIN} is the plugin itself");
    let mut linked = BTreeSet::new();
    for entry in folder.read_dir().expect("action_plugins can be read") {
        let name =
            entry.expect("its entries can be read").file_name().into_string().expect("names are UTF-8");
        if let Some(module) = name.strip_suffix(".py").filter(|_| name != PLUGIN) {
            let target = folder.join(&name).read_link().unwrap_or_else(|_| panic!("{name} is not a link"));
            assert_eq!(target, Path::new(PLUGIN), "{name} links to the plugin");
            linked.insert(module.to_owned());
        }
    }
    assert_eq!(linked, modules(), "in action_plugins: ln -s {PLUGIN} <module>.py");
}
