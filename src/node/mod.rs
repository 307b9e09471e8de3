//! What a host knows of itself, and the units that run on it.

mod action;
mod digest;
mod disposal;
mod elsewhere;
mod fall_back;
mod images;
mod ledger;
pub mod membership;
mod node_files;
mod node_packages;
mod node_state;
mod prediction;
mod service_health;
mod service_purge;
mod service_turndown;
mod service_units;
mod starting;
mod system_accounts;
pub mod systemd;
mod waiting;

pub use digest::Digest;
pub use images::ContainerImages;
pub use ledger::{Holdings, Ledger, Records};
pub use node_files::NodeFiles;
pub use node_packages::NodePackages;
pub use node_state::NodeState;
pub use prediction::publish;
pub use service_health::ServiceHealth;
pub use service_purge::ServicePurge;
pub use service_turndown::ServiceTurndown;
pub use service_units::{ServiceUnits, is_outdated, owe_restart, record_started, runs};
pub use system_accounts::SystemAccounts;
