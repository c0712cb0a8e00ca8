//! The keys of a sweep, for people and for editors: made from the types, their comments and the rules.

mod ranges;
mod reference;
mod schema;

pub use reference::{KeyError, reference, reference_page};
pub use schema::sweep_schema;
