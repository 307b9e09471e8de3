//! What OpenSSL says of files.

use std::{
    path::Path,
    process::{Command, Output},
};

use super::cluster::Cluster;

/// Runs `openssl`; words that begin with `/` may be paths with any characters.
pub fn openssl<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Output {
    Command::new("openssl").args(arguments).output().expect("openssl is installed")
}

/// Its standard output, where it succeeds.
pub fn says<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> String {
    let output = openssl(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `openssl verify` with a purpose; the certificate's own chain is offered as untrusted.
pub fn verify(anchors: &Path, certificate: &Path, purpose: &str, more: &[&str]) -> Result<(), String> {
    let mut command = Command::new("openssl");
    command.args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile"]).arg(anchors);
    command.args(more).arg("-untrusted").arg(certificate).arg(certificate);
    let output = command.output().expect("openssl is installed");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// The private key and the certificate are a pair.
pub fn are_a_pair(folder: &Path) {
    let certified = says([
        "x509".as_ref(),
        "-noout".as_ref(),
        "-pubkey".as_ref(),
        "-in".as_ref(),
        folder.join("cert.pem").as_os_str(),
    ]);
    let held = says([
        "pkey".as_ref(),
        "-pubout".as_ref(),
        "-in".as_ref(),
        folder.join("private_key.pem").as_os_str(),
    ]);
    assert_eq!(certified, held, "{} holds no pair", folder.display());
}

/// One field of a certificate, as `openssl x509 -noout <what>` prints it.
pub fn field(certificate: &Path, what: &str) -> String {
    says(["x509".as_ref(), "-noout".as_ref(), what.as_ref(), "-in".as_ref(), certificate.as_os_str()])
        .trim()
        .to_owned()
}

/// The whole text of a certificate.
pub fn text(certificate: &Path) -> String {
    field(certificate, "-text")
}

/// Every credential of a host works: pairs, for their purpose, below the host's own anchors.
pub fn works(cluster: &Cluster, host: &str, credentials: &[(&str, &str)]) {
    let anchors = cluster.file(host, "ca.pem");
    for (name, side) in credentials {
        let folder = cluster.file(host, &format!("{name}/{side}"));
        are_a_pair(&folder);
        let purpose = if *side == "client" { "sslclient" } else { "sslserver" };
        verify(
            &anchors,
            &folder.join("cert.pem"),
            purpose,
            &["-crl_check", "-CRLfile", cluster.file(host, "crl.pem").to_str().unwrap()],
        )
        .unwrap_or_else(|error| panic!("{host} {name}/{side}: {error}"));
    }
}

/// The credentials of [`Cluster::new`].
pub const ALL: &[(&str, &str)] =
    &[("web", "client"), ("web", "server"), ("etcd", "client"), ("etcd", "server")];
