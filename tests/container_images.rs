//! `container_images`: against a podman and a registry that say what a test lets them say; real ones are in
//! `tests/faults/test_containers.py`.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use serde_json::{Value, json};

use crate::support::{Answer, Module};

/// A podman whose images are files named by their ids, each with its names, and a curl that answers with a digest.
const PODMAN: &str = r#"
cd "$STATE"
echo "podman $*" >>log
inspected() { # ID
  read -r names <"images/$1"
  digest=; [ ! -e "digests/$1" ] || digest="\"x@$(cat "digests/$1")\""
  echo "{\"Id\": \"$1\", \"RepoTags\": [$(for it in $names; do printf '"%s",' "$it"; done | sed 's/,$//')], \"RepoDigests\": [$digest]}"
}
case "$1 $2" in
  "image ls") ls images ;;
  "ps --all") ls containers 2>/dev/null || true ;;
  "image inspect") shift 2; echo "[$(for it in "$@"; do inspected "$it"; echo ,; done | sed '$d')]" ;;
  "container inspect") shift 2; echo "[$(for it in "$@"; do echo "{\"Image\": \"$(cat "containers/$it")\"}"; echo ,; done | sed '$d')]" ;;
  "pull --quiet")
    for name; do :; done
    [ -e registry ] || { echo "Error: $name: manifest unknown" >&2; exit 125; }
    for it in images/*; do if [ -e "$it" ]; then sed -i "s|$name||" "$it"; fi; done
    echo "$name" >"images/$(cat registry)"; cp digest "digests/$(cat registry)" ;;
  "tag "*) for it in images/*; do if grep -q "$2" "$it"; then sed -i "s|\$| $3|" "$it"; fi; done ;;
  "untag "*) sed -i "s|$2||" images/* ;;
  "load --quiet") echo "loaded" >"images/$(basename "$4" .tar)" ;;
  "rmi --force") rm "images/$3" ;;
  *) echo "unexpected: $*" >&2; exit 2 ;;
esac
"#;
const CURL: &str = r#"
cat >>"$STATE/asked"
[ -e "$STATE/digest" ] || { echo 'curl: (6) Could not resolve host' >&2; exit 6; }
printf 'HTTP/1.1 200 OK\r\nDocker-Content-Digest: %s\r\n\r\n' "$(cat "$STATE/digest")"
"#;

struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        for name in ["bin", "state/images", "state/digests", "state/containers", "archives"] {
            fs::create_dir_all(host.path(name)).unwrap();
        }
        for (name, script) in [("podman", PODMAN), ("curl", CURL)] {
            let path = host.path("bin").join(name);
            fs::write(&path, format!("#!/bin/bash -eu\n{script}")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("state").join(name), text).unwrap();
    }

    fn images(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("state/images")).unwrap();
        let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn module(&self, images: &Value, further: &Value) -> Module {
        let mut arguments =
            json!({"images": images, "ledger": self.path("ledger"), "directory": self.path("archives")});
        arguments.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        Module::new("container_images", arguments)
            .environment("PATH", path)
            .environment("STATE", self.path("state").display().to_string())
    }
}

fn redis() -> Value {
    json!([{"service": "web", "container": "db", "image": "redis:7"}])
}

fn id(answer: &Answer) -> &str {
    answer.0["images"]["web"]["db"]["id"].as_str().unwrap()
}

#[test]
fn an_image_is_pulled_once_and_again_when_its_tag_moves() {
    let host = Host::new();
    host.write("registry", "a1");
    host.write("digest", "sha256:one");
    let module = host.module(&redis(), &json!({}));
    let predicted = module.clone().check().run();
    assert!(predicted.changed() && host.images().is_empty(), "{predicted:?}");
    let answer = module.run();
    assert!(answer.changed(), "{answer:?}");
    assert_eq!((id(&answer), host.images()), ("a1", vec!["a1".into()]));
    let again = module.run();
    assert!(!again.changed() && again.0["unused"] == json!({}), "{again:?}");
    assert!(
        fs::read_to_string(host.path("state/asked"))
            .unwrap()
            .contains("registry-1.docker.io/v2/library/redis/manifests/7")
    );

    host.write("registry", "a2");
    host.write("digest", "sha256:two");
    let predicted = module.clone().check().run();
    assert!(predicted.changed() && predicted.0["unused"] == json!({"web": ["a1"]}), "{predicted:?}");
    let moved = module.run();
    assert_eq!((id(&moved), &moved.0["unused"]), ("a2", &json!({"web": ["a1"]})));

    // The old one goes when no container has it any more.
    let only = host.module(&redis(), &json!({"state": "only"}));
    host.write("containers/c1", "a1");
    assert!(!only.run().changed());
    assert_eq!(host.images(), ["a1", "a2"]);
    fs::remove_file(host.path("state/containers/c1")).unwrap();
    assert!(only.clone().check().run().changed());
    assert!(only.run().changed());
    assert_eq!(host.images(), ["a2"]);
    assert!(!only.run().changed());
}

/// Two services may have one image under two names; when the tag of one moves, nothing is removed, and a check knows.
#[test]
fn what_another_service_has_too_stays_and_is_not_predicted_to_go() {
    let host = Host::new();
    host.write("registry", "a1");
    host.write("digest", "sha256:one");
    let other = json!({"service": "mail", "container": "app", "image": "mine", "id": "a1"});
    let both = json!([redis()[0], other]);
    host.write("images/a1", "mine");
    host.module(&both, &json!({})).run();
    host.write("registry", "a2");
    host.write("digest", "sha256:two");
    let module = host.module(&both, &json!({}));
    let predicted = module.clone().check().run();
    assert!(predicted.changed() && predicted.0["unused"] == json!({}), "{predicted:?}");
    module.run();
    assert_eq!(host.images(), ["a1", "a2"]);
    let ledger: Value = serde_json::from_slice(&fs::read(host.path("ledger/ledger.json")).unwrap()).unwrap();
    assert_eq!(ledger["services"]["web"]["images"], json!(["podman a2"]));
    assert_eq!(ledger["services"]["mail"]["images"], json!(["podman a1"]));
}

#[test]
fn a_registry_that_does_not_answer_leaves_what_is_there() {
    let host = Host::new();
    host.write("registry", "a1");
    host.write("digest", "sha256:one");
    let module = host.module(&redis(), &json!({}));
    module.run();
    fs::remove_file(host.path("state/digest")).unwrap();
    let answer = module.run();
    assert!(!answer.changed() && id(&answer) == "a1", "{answer:?}");
    let warning = answer.0["warnings"][0].as_str().unwrap();
    assert!(warning.contains("image 'redis:7'") && warning.contains("Could not resolve host"), "{warning}");
}

#[test]
fn what_one_service_cannot_have_does_not_keep_the_others_from_theirs() {
    let host = Host::new();
    host.write("images/b1", "localhost/mine:1");
    let images = json!([
        {"service": "web", "container": "db", "image": "redis:7"},
        {"service": "mail", "container": "app", "image": "localhost/mine:1"},
        {"service": "lost", "container": "app", "image": "localhost/lost"},
    ]);
    let answer = host.module(&images, &json!({})).run();
    assert_eq!(answer.0["images"]["mail"]["app"]["id"], "b1");
    let failed = answer.0["failed_services"].as_object().unwrap();
    assert_eq!(failed.keys().collect::<Vec<_>>(), ["lost", "web"]);
    assert!(
        failed["web"].as_str().unwrap().contains("image 'redis:7' of container 'db': cannot get it"),
        "{failed:?}"
    );
    assert!(failed["lost"].as_str().unwrap().contains("say image_archive, or load it here"), "{failed:?}");
    assert!(!host.path("state/asked").exists(), "nobody is asked for what is local");
}

#[test]
fn a_mirror_takes_the_place_of_docker_io() {
    let host = Host::new();
    host.write("registry", "a1");
    host.write("digest", "sha256:one");
    let module = host.module(&redis(), &json!({"mirror": "http://10.0.0.2:5000"}));
    assert!(module.run().changed());
    let again = module.run();
    assert!(!again.changed(), "{again:?}");
    let log = fs::read_to_string(host.path("state/log")).unwrap();
    assert!(log.contains("pull --quiet --tls-verify=false 10.0.0.2:5000/library/redis:7"), "{log}");
    let names = fs::read_to_string(host.path("state/images/a1")).unwrap();
    assert_eq!(names.trim(), "docker.io/library/redis:7");
    assert!(
        fs::read_to_string(host.path("state/asked"))
            .unwrap()
            .contains("http://10.0.0.2:5000/v2/library/redis/manifests/7")
    );
}

#[test]
fn an_archive_is_asked_for_once_and_loaded() {
    let host = Host::new();
    let images = json!([{"service": "web", "container": "db", "image": "mine", "id": "abc"}]);
    let look = host.module(&images, &json!({})).run();
    assert!(!look.changed() && look.0["missing"] == json!(["abc"]), "{look:?}");
    fs::write(host.path("archives/abc.tar"), "").unwrap();
    let load = host.module(&images, &json!({"load": true}));
    assert!(load.clone().check().run().changed());
    assert!(host.images().is_empty());
    let loaded = load.run();
    assert!(loaded.changed() && id(&loaded) == "abc", "{loaded:?}");
    assert!(!host.path("archives/abc.tar").exists());
    assert!(!load.run().changed());
    assert_eq!(host.module(&images, &json!({})).run().0["missing"], json!([]));
}

#[test]
fn a_run_that_is_killed_is_finished_by_the_next() {
    for point in ["container_images:pulled", "container_images:removed"] {
        let host = Host::new();
        host.write("registry", "a1");
        host.write("digest", "sha256:one");
        let module = host.module(&redis(), &json!({}));
        if point == "container_images:pulled" {
            module.clone().killed_at(point);
        }
        module.run();
        host.write("registry", "a2");
        host.write("digest", "sha256:two");
        module.run();
        let only = host.module(&redis(), &json!({"state": "only"}));
        if point == "container_images:removed" {
            only.clone().killed_at(point);
        }
        only.run();
        assert_eq!(host.images(), ["a2"], "{point}");
    }
}

#[test]
fn without_podman_a_check_predicts_and_a_run_fails() {
    let host = Host::new();
    fs::remove_file(host.path("bin/podman")).unwrap();
    let module = host
        .module(&redis(), &json!({"engine": "podman"}))
        .environment("PATH", host.path("bin").display().to_string());
    assert!(module.clone().check().run().changed());
    assert!(module.fail().contains("there is no podman on this host: install it first"));
}
