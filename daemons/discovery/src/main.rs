//! Registers the services that run on this host in etcd, and answers DNS queries about those of all hosts.
//!
//! Read in this order: [`config`] is what the inventory says; [`presence`] what runs here; [`etcd`] writes that and follows
//! what the other hosts write; [`zone`] makes names of it, and [`dns`] answers. [`known`] keeps it on disk, [`resolv_conf`] leads
//! the host's programs here.

mod config;
mod dns;
mod etcd;
mod known;
mod log;
mod metrics;
mod presence;
mod resolv_conf;
mod zone;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::config::{Config, state_directory};
use crate::dns::{Names, Upstream};
use crate::etcd::{Directory, Sources};
use crate::metrics::Metrics;
use crate::zone::Zone;

const CONFIG: &str = "/etc/minicluster/discovery.json";
const HELP: &str = "\
Registers the services that run on this host in etcd, and answers DNS queries about those of all hosts.

    minicluster-discovery [FILE]               runs; sockets come from systemd: UDP, TCP, TCP for metrics
    minicluster-discovery check [FILE]         says what is wrong with a configuration
    minicluster-discovery resolv-conf take ADDRESS    makes /etc/resolv.conf name this daemon
    minicluster-discovery resolv-conf give-back       makes it what it was

FILE: /etc/minicluster/discovery.json. It is read again when it is written.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        ["--version"] => {
            println!("minicluster-discovery {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        ["check"] => Config::read(CONFIG.as_ref()).and_then(|it| usable(&it)),
        ["check", file] => Config::read(file.as_ref()).and_then(|it| usable(&it)),
        ["resolv-conf", "take", address] => {
            address.parse().with_context(|| format!("'{address}' is no address")).and_then(resolv_conf::take)
        }
        ["resolv-conf", "give-back"] => resolv_conf::give_back(),
        [] => serve(CONFIG.into()),
        [file] if !file.starts_with('-') => serve(file.into()),
        _ => Err(anyhow::anyhow!("unknown arguments '{}': see --help", arguments.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usable(config: &Config) -> Result<()> {
    Zone::new(config, &Directory::default()).map(drop)
}

fn serve(file: PathBuf) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(file))
}

async fn run(file: PathBuf) -> Result<()> {
    let start = Arc::new(Config::read(&file)?);
    let metrics = Arc::new(Metrics::default());
    let mut given = ListenFd::from_env();
    let udp = given.take_udp_socket(0)?.context("no socket: this daemon is started by its systemd socket")?;
    let udp = Arc::new(udp);
    let tcp = given.take_tcp_listener(1)?.context("no TCP socket")?;

    let (configured, config) = watch::channel(start.clone());
    let (upward, up) = watch::channel(None);
    let (directory, known) = watch::channel(known::read(&state_directory()));
    let names = Names::new(Zone::new(&start, &known.borrow())?);
    let upstream = Upstream::new(resolv_conf::SAVED.into(), udp.local_addr()?.ip());

    let questions = dns::serve_udp(&udp, &names, &metrics)?;
    let mut tasks = JoinSet::new();
    let (socket, asked, counted) = (udp.clone(), upstream.clone(), metrics.clone());
    tasks.spawn(async move {
        dns::forward_udp(socket, questions, asked, counted).await;
        Ok(())
    });
    tcp.set_nonblocking(true)?;
    tasks.spawn(dns::serve_tcp(
        tokio::net::TcpListener::from_std(tcp)?,
        names.clone(),
        upstream,
        metrics.clone(),
    ));
    if let Some(listener) = given.take_tcp_listener(2)? {
        listener.set_nonblocking(true)?;
        tasks.spawn(metrics::serve(tokio::net::TcpListener::from_std(listener)?, metrics.clone()));
    }
    tasks.spawn(presence::run(config.clone(), upward, metrics.clone()));
    tasks.spawn(known::keep(state_directory(), known.clone()));
    tasks.spawn(rename(config.clone(), known, names, metrics.clone()));
    tasks.spawn(etcd::run(Sources { config: config.clone(), up, directory, metrics }));
    tasks.spawn(live(udp.local_addr()?, config));
    tasks.spawn(reread(file, configured));
    sd_notify::notify(&[NotifyState::Ready])?;

    let mut end = signal(SignalKind::terminate())?;
    tokio::select! {
        // The entries stay as long as their lease, so that a restart goes unnoticed.
        _ = end.recv() => Ok(()),
        Some(ended) = tasks.join_next() => match ended? {
            Ok(()) => bail!("a part of the daemon has ended"),
            Err(error) => Err(error),
        },
    }
}

/// Makes the zone anew when what is configured or what is present has changed.
async fn rename(
    mut config: watch::Receiver<Arc<Config>>,
    mut known: watch::Receiver<Directory>,
    names: Names,
    metrics: Arc<Metrics>,
) -> Result<()> {
    loop {
        {
            let (config, known) = (config.borrow_and_update().clone(), known.borrow_and_update());
            metrics.present.store(known.present.len() as u64, Relaxed);
            names.set(Zone::new(&config, &known)?);
        }
        tokio::select! {
            changed = config.changed() => changed?,
            changed = known.changed() => changed?,
        }
    }
}

/// Reads the configuration when it has been written; one that cannot be used changes nothing.
async fn reread(file: PathBuf, configured: watch::Sender<Arc<Config>>) -> Result<()> {
    let written = || fs::metadata(&file).and_then(|it| it.modified()).ok();
    // What it was when this began is asked for again.
    let mut last = None;
    loop {
        sleep(Duration::from_secs(1)).await;
        let now = written();
        if now == last {
            continue;
        }
        last = now;
        match Config::read(&file).and_then(|it| usable(&it).map(|()| it)) {
            Ok(config) if config == **configured.borrow() => {}
            Ok(config) => {
                configured.send_replace(Arc::new(config));
                log!("{} was read again", file.display());
            }
            Err(error) => log!("{error:#}; the configuration stays as it was"),
        }
    }
}

/// Tells systemd that this daemon is alive, as long as it answers a query of its own.
async fn live(at: SocketAddr, config: watch::Receiver<Arc<Config>>) -> Result<()> {
    let Some(patience) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    loop {
        let name = {
            let config = config.borrow();
            format!("{}.{}.", config.host, config.domain)
        };
        match timeout(patience / 4, asked(at, &name)).await {
            Ok(Ok(())) => sd_notify::notify(&[NotifyState::Watchdog])?,
            Ok(Err(error)) => log!("no answer of my own: {error:#}"),
            Err(_) => log!("no answer of my own"),
        }
        sleep(patience / 4).await;
    }
}

async fn asked(at: SocketAddr, name: &str) -> Result<()> {
    let mut query = Message::query();
    query.add_query(Query::query(Name::from_ascii(name)?, RecordType::A));
    let any: IpAddr = if at.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    socket.connect(at).await?;
    socket.send(&query.to_vec()?).await?;
    socket.recv(&mut [0; 512]).await?;
    Ok(())
}
