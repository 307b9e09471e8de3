//! Real handshakes: OpenSSL's server and client, and Python's `ssl` with its check of host names.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::cluster::Cluster;

/// `openssl s_server` that demands a client certificate; killed when dropped.
struct Server {
    process: Child,
    port: String,
}

impl Server {
    fn start(folder: &Path, anchors: &Path) -> Self {
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-Verify", "2", "-verify_return_error", "-rev"])
            .arg("-cert")
            .arg(folder.join("cert.pem"))
            .arg("-cert_chain")
            .arg(folder.join("cert.pem"))
            .arg("-key")
            .arg(folder.join("private_key.pem"))
            .arg("-CAfile")
            .arg(anchors)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let accepting =
            lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT ").map(str::to_owned)).unwrap();
        let port = accepting.rsplit(':').next().unwrap().to_owned();
        // The rest is read away, or the server would stop when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn openssl_server_and_client_authenticate_each_other() {
    let cluster = Cluster::new(&["host1", "host2"]);
    cluster.run();
    let anchors = cluster.file("host1", "ca.pem");
    let server = Server::start(&cluster.file("host1", "web/server"), &anchors);
    let call = |folder: Option<&str>, name: &str| {
        let mut command = Command::new("openssl");
        command.args([
            "s_client",
            "-quiet",
            "-no_ign_eof",
            "-verify_return_error",
            "-verify_hostname",
            name,
            "-connect",
        ]);
        command.arg(format!("127.0.0.1:{}", server.port)).arg("-CAfile").arg(&anchors);
        if let Some(folder) = folder {
            let folder = cluster.file("host2", folder);
            command.arg("-cert").arg(folder.join("cert.pem")).arg("-key").arg(folder.join("private_key.pem"));
        }
        let mut client =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A refused client may be gone before it is spoken to.
        let _ = client.stdin.as_mut().unwrap().write_all(b"hello\n");
        let mut answer = String::new();
        BufReader::new(client.stdout.take().unwrap()).read_line(&mut answer).unwrap();
        let _ = client.kill();
        let _ = client.wait();
        answer.trim().to_owned()
    };
    assert_eq!(call(Some("web/client"), "web.infra.example.com"), "olleh");
    assert_eq!(call(Some("etcd/server"), "host1"), "olleh", "a certificate with both usages is a client too");
    assert_eq!(call(None, "host1"), "", "nobody comes in without a certificate");
    assert_eq!(call(Some("web/server"), "host1"), "", "a server certificate is no client's");
    assert_eq!(call(Some("web/client"), "host2"), "", "another host's name is not accepted");
}

const PYTHON: &str = r"
import socket, ssl, sys
port, anchors, folder, *names = sys.argv[1:]
context = ssl.create_default_context(cafile=anchors)
context.load_cert_chain(folder + '/cert.pem', folder + '/private_key.pem')
for name in names:
    with socket.create_connection(('127.0.0.1', int(port))) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=name) as tls:
                tls.sendall(b'hello\n')
                print(name, tls.recv(100).decode().strip())
        except ssl.SSLCertVerificationError as error:
            print(name, error.verify_code)
";

#[test]
fn python_accepts_every_name_that_the_design_lists() {
    let cluster = Cluster::new(&["host1", "host2"]);
    cluster.run();
    let anchors = cluster.file("host1", "ca.pem");
    let server = Server::start(&cluster.file("host1", "web/server"), &anchors);
    let names = [
        "web.infra.example.com",
        "host1",
        "host1.infra.example.com",
        "localhost",
        "www.infra.example.com",
        "192.0.2.1",
        "2001:db8::1",
        "127.0.0.1",
        "::1",
    ];
    let wrong = ["host2", "infra.example.com", "192.0.2.2"];
    let output = Command::new("python3")
        .args(["-c", PYTHON, &server.port])
        .arg(&anchors)
        .arg(cluster.file("host2", "web/client"))
        .args(names)
        .args(wrong)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut expected: Vec<_> = names.iter().map(|it| format!("{it} olleh")).collect();
    // 62: host name mismatch; 64: address mismatch.
    expected.extend(["host2 62".into(), "infra.example.com 62".into(), "192.0.2.2 64".into()]);
    assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{}", String::from_utf8_lossy(&output.stderr));
}
