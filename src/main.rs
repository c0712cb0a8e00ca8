//! `speedlab`: parse, dispatch, print the error chain, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use speedlab::cli::{self, Cli};

/// A training step makes and drops hundreds of tensors. The system's allocator returns such blocks and maps fresh pages for the next,
/// which takes a quarter of the time of a small network's step; this one keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
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
