//! Why nothing can be served.

use std::io;

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(
        "port {port} of {host} is taken by another program\nhint: give another port, or none: then a free one is taken"
    )]
    PortTaken { host: String, port: u16 },
    #[error(
        "this user may not listen on port {port}\nhint: give a port from 1024 on, or none: then a free one is taken"
    )]
    PortForbidden { port: u16 },
    #[error(
        "`{host}` is no address of this machine: {reason}\nhint: leave --host out to serve this machine alone, or give one of its addresses"
    )]
    NoSuchHost { host: String, reason: String },
    #[error("cannot {action}: {source}")]
    Io { action: &'static str, source: io::Error },
}

impl ServeError {
    /// Whether it lies with what was given on a command line.
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Io { .. })
    }
}
