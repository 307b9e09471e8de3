//! One check of a service.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config::{Credentials, Health, Scheme};

/// An error says what is not as it should be.
pub(crate) async fn check(health: &Health, credentials: &Credentials) -> Result<()> {
    let patience = Duration::from_secs(health.timeout.into());
    let check = async {
        match (&health.path, health.port) {
            (Some(path), Some(port)) => ask(health, path, port, credentials).await,
            _ => run(&health.command).await,
        }
    };
    timeout(patience, check).await.unwrap_or_else(|_| bail!("no answer within {} s", health.timeout))
}

/// The command has this daemon's rights, which are few.
async fn run(command: &[String]) -> Result<()> {
    let (program, arguments) = command.split_first().context("no command")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let status = command.status().await.with_context(|| format!("cannot run {program}"))?;
    ensure!(status.success(), "{program}: {status}");
    Ok(())
}

async fn ask(health: &Health, path: &str, port: u16, credentials: &Credentials) -> Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.with_context(|| format!("port {port}"))?;
    let status = match health.scheme {
        Scheme::Http => get(stream, path).await?,
        Scheme::Https => {
            let connector = TlsConnector::from(Arc::new(tls(credentials)?));
            get(connector.connect(ServerName::try_from("localhost")?, stream).await?, path).await?
        }
    };
    ensure!(status == health.expect, "{path} at port {port}: status {status} instead of {}", health.expect);
    Ok(())
}

/// Anew each time: certificates are renewed.
fn tls(credentials: &Credentials) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for anchor in CertificateDer::pem_file_iter(&credentials.ca).with_context(|| credentials.ca.clone())? {
        roots.add(anchor?)?;
    }
    let chain = CertificateDer::pem_file_iter(&credentials.cert).with_context(|| credentials.cert.clone())?;
    let chain = chain.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&credentials.key).with_context(|| credentials.key.clone())?;
    Ok(ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key)?)
}

async fn get(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, path: &str) -> Result<u16> {
    let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header("Host", "localhost").header("Connection", "close");
    let request = request.body(Empty::<Bytes>::new())?;
    // It ends with this function, at the latest.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    Ok(send.send_request(request).await?.status().as_u16())
}
