//! `services.yml`: what the services of a cluster are. Reads, merges and checks; decides nothing.

mod attribute;
mod check;
mod container;
mod health;
mod isolation;
mod load;
mod merge;
mod published;
mod record;
mod schema;
mod service;
mod setup;
mod text;
mod unserved;
mod value;

pub use attribute::At;
pub use check::check;
pub use container::{Container, Resources};
pub use health::Health;
pub use isolation::isolation;
pub use load::{Defined, Services};
pub use merge::Reader;
pub use published::{enable_variable, master_variable, metadata, own_users, variable_name, variables};
pub use schema::schema;
pub use service::{Credential, MonitoringEndpoint, PublicEndpoint, Service};
pub use setup::without_setup;
pub use text::{CredentialName, GroupName, SanName, ServiceName, UnitName};
pub use unserved::{open_to_all, unserved, without_role};
pub use value::{CertMode, Discovery, Instances, Port, Restart, Scheme, Seconds, Status};
