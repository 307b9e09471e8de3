//! Every Ansible module that runs on hosts in one program: a host receives it once. `library/` holds it under one hard
//! link for each name, and it acts by the name that it is called by; `library/<name>.yml` says what that does.

use minicluster::module::{by_name, run};
use minicluster::{election, enrolment, etcd, node, ssh, x509};
use std::process::ExitCode;

fn main() -> ExitCode {
    let table: &[by_name::Entry] = &[
        ("boot_residue", run::<enrolment::BootResidue>),
        ("container_images", run::<node::ContainerImages>),
        ("etcd_member", run::<etcd::EtcdMember>),
        ("node_files", run::<node::NodeFiles>),
        ("node_packages", run::<node::NodePackages>),
        ("node_state", run::<node::NodeState>),
        ("service_health", run::<node::ServiceHealth>),
        ("service_purge", run::<node::ServicePurge>),
        ("service_turndown", run::<node::ServiceTurndown>),
        ("service_units", run::<node::ServiceUnits>),
        ("ssh_key_rotation", run::<ssh::rotation::SshKeyRotation>),
        ("ssh_trust", run::<ssh::trust::SshTrust>),
        ("system_accounts", run::<node::SystemAccounts>),
        ("x509_install", run::<x509::install::X509Install>),
        ("x509_request", run::<x509::request::X509Request>),
        // Also a command, for a boot unit.
        ("zeroconf_election", election::main),
    ];
    by_name::run_called(table).unwrap_or_else(|| by_name::unknown(table))
}
