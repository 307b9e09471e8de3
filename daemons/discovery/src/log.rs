//! What the journal is told.

/// A line; systemd adds the time.
#[macro_export]
macro_rules! log {
    ($($text:tt)*) => {
        eprintln!($($text)*)
    };
}
