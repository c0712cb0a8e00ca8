//! `speedlab`: parse, dispatch, print the error chain, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use speedlab::cli::{self, Cli};

/// A training step makes and drops hundreds of tensors. The system's allocator returns such blocks and maps fresh pages for the next,
/// which takes a quarter of the time of a small network's step; this one keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The option of mimalloc that says after how many milliseconds freed pages go back to the system; its C name is `mi_option_purge_delay`.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// Each step asks for what the last one freed, and the system would fill those pages with zeros again: 7 % of a transformer's step.
const NEVER: std::ffi::c_long = -1;

fn main() -> ExitCode {
    // SAFETY: the option exists, and takes any number.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, NEVER) };
    #[cfg(feature = "cuda")]
    // SAFETY: no other thread has been started.
    unsafe {
        speedlab::device::show_toolkit();
    }
    let cli = Cli::parse();
    match cli::dispatch(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            cli::print_error(&error);
            cli::Exit::of_error(&error).into()
        }
    }
}
