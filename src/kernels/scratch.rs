//! Memory for intermediate results, kept from call to call.

use std::cell::RefCell;

use super::lanes::{Chunk, LANES};

thread_local! {
    static SCRATCH: RefCell<Vec<Chunk>> = const { RefCell::new(Vec::new()) };
}

/// Calls `work` with `length` values of any content.
///
/// # Panics
/// Within another `work` of the same thread.
pub fn with_scratch<R>(length: usize, work: impl FnOnce(&mut [Chunk]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < length {
            scratch.resize(length, [0.0; LANES]);
        }
        work(&mut scratch[..length])
    })
}
