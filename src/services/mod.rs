//! `services.yml`: what the services of a cluster are. Reads, merges and checks; decides nothing.

mod attribute;
mod check;
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
pub use load::{Defined, Services};
pub use merge::Reader;
pub use published::{enable_variable, master_variable, metadata, own_users, variable_name, variables};
pub use schema::schema;
pub use service::{Container, Credential, MonitoringEndpoint, PublicEndpoint, Service};
pub use setup::without_setup;
pub use text::{CredentialName, GroupName, SanName, ServiceName, UnitName};
pub use unserved::{open_to_all, unserved, without_role};
pub use value::{CertMode, Discovery, Instances, Port, Scheme};
