//! Exit codes.

use std::process::ExitCode;

use crate::plan::PlanError;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: everything asked for is done.
    AllDone,
    /// 1: some runs failed, or the program could not do its work.
    SomeFailed,
    /// 2: wrong usage or an invalid sweep.
    Invalid,
    /// 3: incomplete, and the same command goes on.
    Incomplete,
    /// 130 and 143: stopped by a signal.
    Code(u8),
}

impl Exit {
    /// The code that fits an error.
    pub fn of_error(error: &anyhow::Error) -> Self {
        if error.downcast_ref::<PlanError>().is_some() { Self::Invalid } else { Self::SomeFailed }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::AllDone => 0,
            Exit::SomeFailed => 1,
            Exit::Invalid => 2,
            Exit::Incomplete => 3,
            Exit::Code(code) => code,
        })
    }
}
