//! The SSH modules as a play runs them, judged by OpenSSH's own programs.

use std::process::Command;

mod authority;
mod control;
mod rotation;

/// What `ssh-keygen` says, which must succeed.
fn keygen(arguments: &[&str]) -> String {
    let output = Command::new("ssh-keygen").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
