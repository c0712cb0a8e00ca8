//! A small HTTP server for the few who may read one page: it knows a handful of resources by name and nothing else.
//!
//! It listens on this machine alone unless it is told otherwise, answers nobody who does not know its token, and only reads. No path of a
//! request is ever looked for on a disk. Connections are few, short and bounded in time.

mod answer;
mod door;
mod error;
mod server;

pub use door::Token;
pub use error::ServeError;
pub use server::{Listener, Server};

use std::sync::Arc;

/// Something that can be asked for.
#[derive(Clone, Debug)]
pub struct Resource {
    /// As the header Content-Type has it.
    pub kind: &'static str,
    pub body: Arc<[u8]>,
}

/// What a server has: a resource by its name, which is what stands after the token in the address; empty for the page itself.
pub type Resources = dyn Fn(&str) -> Option<Resource> + Send + Sync;
