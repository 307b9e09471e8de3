//! Every Ansible module in one program, which acts by the name that it is called by: `library/` holds it once, under
//! one hard link for each name. On the control node or on a host: `library/<name>.yml` says which, and what it does.

use minicluster::{ansible, ansible::entry, election};
use minicluster::{bootstrap, etcd, node, ssh, user_data, workspace, x509};
use std::process::ExitCode;

fn main() -> ExitCode {
    ansible::main(&[
        entry::<bootstrap::BootResidue>(),
        entry::<etcd::EtcdCluster>(),
        entry::<etcd::EtcdMember>(),
        entry::<node::NodeFiles>(),
        entry::<node::NodeState>(),
        entry::<workspace::RecordPlacement>(),
        entry::<node::ServiceHealth>(),
        entry::<node::ServicePurge>(),
        entry::<node::ServiceTurndown>(),
        entry::<node::ServiceUnits>(),
        entry::<ssh::ca::SshCa>(),
        entry::<ssh::control::SshControlKey>(),
        entry::<ssh::rotation::SshKeyRotation>(),
        entry::<ssh::login::SshLogin>(),
        entry::<ssh::trust::SshTrust>(),
        entry::<node::SystemAccounts>(),
        entry::<user_data::UserData>(),
        entry::<x509::authority::X509Ca>(),
        entry::<x509::install::X509Install>(),
        entry::<x509::request::X509Request>(),
        entry::<x509::sign::X509Sign>(),
        // Also a command, for a boot unit.
        ("zeroconf_election", election::main),
    ])
}
