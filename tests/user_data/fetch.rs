//! `minicluster-fetch`, as it lies in a boot configuration: what it unpacks, and the one line that it ends with.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::Command,
    thread,
};

use ring::digest;
use serde_json::Value;

use super::command;

/// Takes the program out of a boot configuration.
fn program(root: &Path) -> String {
    let output = command(root, &[]);
    let text: Value = serde_saphyr::from_str(&String::from_utf8(output.stdout).unwrap()).unwrap();
    let files = text["write_files"].as_array().unwrap();
    let found = files.iter().find(|it| it["path"] == "/usr/local/sbin/minicluster-fetch").unwrap();
    found["content"].as_str().unwrap().to_owned()
}

/// A server that gives this answer to everyone, for as long as the tests run; its URL.
fn serve(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/b.tar.gz", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = Vec::new();
            let mut bytes = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut bytes).unwrap_or_default();
                request.extend_from_slice(&bytes[..read]);
                if read == 0 {
                    break;
                }
            }
            // A client that has ended early says why.
            let _ = stream.write_all(&answer);
        }
    });
    url
}

fn ok(body: &[u8]) -> Vec<u8> {
    [b"HTTP/1.0 200 OK\r\n\r\n", body].concat()
}

fn sha256(content: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, content);
    digest.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Its exit status and what it wrote to standard error.
fn fetch(root: &Path, url: &str, sha256: &str) -> (bool, String) {
    let path = root.join("minicluster-fetch");
    fs::write(&path, program(root)).unwrap();
    let output = Command::new("/usr/bin/python3")
        .arg(path)
        .args([url, sha256])
        .arg(root.join("programs"))
        .env("no_proxy", "*")
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_programs_are_fetched_once() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("boot"), "#!/bin/sh\n").unwrap();
    let packed = Command::new("tar").args(["-cz", "boot"]).current_dir(root.path()).output().unwrap().stdout;
    let url = serve(ok(&packed));
    assert_eq!(fetch(root.path(), &url, &sha256(&packed)), (true, String::new()));
    assert_eq!(fs::read_to_string(root.path().join("programs/boot")).unwrap(), "#!/bin/sh\n");
    let closed = "http://127.0.0.1:1/";
    assert_eq!(fetch(root.path(), closed, &sha256(&packed)), (true, String::new()), "it is here already");
}

#[test]
fn what_cannot_be_fetched_is_one_line_with_the_address_and_the_remedy() {
    let page = b"<html>not here</html>";
    let cut = b"\x1f\x8b\x08\x00";
    let missing = serve(b"HTTP/1.0 404 Not Found\r\n\r\n".to_vec());
    for (url, digest, expected) in [
        (missing, sha256(b""), " cannot be fetched: HTTP Error 404: Not Found; serve the file there, or "),
        ("http://127.0.0.1:1/".into(), sha256(b""), " cannot be fetched: <urlopen error [Errno 111]"),
        (serve(Vec::new()), sha256(b""), " cannot be fetched: Remote end closed connection"),
        (serve(b"SSH-2.0-x\r\n\r\n".to_vec()), sha256(b""), " cannot be fetched: SSH-2.0-x"),
        (serve(ok(page)), sha256(b""), ": nothing of it was unpacked; serve the file that is meant, or "),
        (serve(ok(page)), sha256(page), " cannot be unpacked: file could not be opened successfully"),
        (serve(ok(cut)), sha256(cut), " cannot be unpacked: "),
    ] {
        let root = tempfile::tempdir().unwrap();
        let (done, said) = fetch(root.path(), &url, &digest);
        assert!(!done && said.lines().count() == 1, "{said}");
        assert!(said.starts_with(&url) && said.contains(expected), "{said}");
        assert!(said.contains("/etc/systemd/system/minicluster-bootstrap.service"), "{said}");
        assert!(!root.path().join("programs").exists(), "{said}");
    }
}
