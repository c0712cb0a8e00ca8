//! A sweep's results in one archive for whoever wants to check or keep them, and the check.
//!
//! ```text
//! results/<sweep> -> files -> sums -> RO-Crate metadata -> a zip, whose bytes depend on nothing else
//! a zip, or the folder it was unpacked to -> sums, metadata, records against the plan -> what is wrong, by file
//! ```
//!
//! `SHA256SUMS` names every other file with its sum, as `sha256sum` writes it; `ro-crate-metadata.json` describes them by RO-Crate 1.1.

mod container;
mod error;
mod files;
mod metadata;
mod sums;
mod verify;
mod write;

pub use error::BundleError;
pub use verify::{Verified, verify};
pub use write::{Bundled, Wanted, bundle};

/// The file of sums.
const SUMS: &str = "SHA256SUMS";

/// The file that RO-Crate asks for.
const METADATA: &str = "ro-crate-metadata.json";

/// Hears how far it is: what is done, how many of how many files.
pub type OnFiles<'p> = &'p mut dyn FnMut(&str, usize, usize);
