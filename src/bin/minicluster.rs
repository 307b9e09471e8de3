//! `minicluster`: places services on hosts. Ansible's inventory program (`--list`), and the commands
//! with which an operator sees, explains and steers placement. Writes nothing but `services.lock`, and
//! that only when asked.

use std::process::ExitCode;

fn main() -> ExitCode {
    minicluster::cli::main()
}
