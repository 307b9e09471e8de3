//! `minicluster`: places services on hosts. Ansible's inventory program (`--list`), and the commands
//! with which an operator sees, explains and steers placement. Writes nothing but `services.lock`, and
//! that only when asked.
//!
//! Also the Ansible modules that run on the control node: `library/` holds it under their names.

use minicluster::module::{by_name, run};
use minicluster::{cli, etcd, ssh, user_data, workspace, x509};
use std::process::ExitCode;

fn main() -> ExitCode {
    let called = by_name::run_called(&[
        ("etcd_cluster", run::<etcd::EtcdCluster>),
        ("placement", run::<workspace::RecordPlacement>),
        ("ssh_ca", run::<ssh::ca::SshCa>),
        ("ssh_control_key", run::<ssh::control::SshControlKey>),
        ("ssh_login", run::<ssh::login::SshLogin>),
        ("user_data", run::<user_data::UserData>),
        ("x509_ca", run::<x509::ca::X509Ca>),
        ("x509_sign", run::<x509::sign::X509Sign>),
    ]);
    called.unwrap_or_else(cli::main)
}
