//! Failures on purpose: what tests of survival need and no machine gives when asked.

use std::alloc::{Layout, handle_alloc_error};
use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::event::RunEvent;

/// Names a failure and how many steps after its start an attempt meets it, such as `abort+30`.
const VARIABLE: &str = "SPEEDLAB_FAULT";

/// A failure that this process is to meet.
pub(super) struct Fault {
    kind: Kind,
    after_steps: u64,
    from_step: Cell<u64>,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Abort, as a driver does.
    Abort,
    /// In a thread of the pool that kernels compute in.
    Panic,
    /// An allocation that fails.
    Memory,
    /// No step ends any more.
    Hang,
}

impl Fault {
    /// `None` unless the environment asks for one.
    pub fn from_environment() -> anyhow::Result<Option<Self>> {
        match std::env::var(VARIABLE) {
            Ok(text) => Self::parse(&text).map(Some).with_context(|| format!("{VARIABLE} is `{text}`")),
            Err(_) => Ok(None),
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let (kind, after_steps) = text.split_once('+').context("a failure is written `abort+30`")?;
        let kind = match kind {
            "abort" => Kind::Abort,
            "panic" => Kind::Panic,
            "memory" => Kind::Memory,
            "hang" => Kind::Hang,
            _ => bail!("failures are abort, panic, memory and hang"),
        };
        Ok(Self { kind, after_steps: after_steps.parse().context("no number of steps")?, from_step: Cell::new(0) })
    }

    /// Fails if it is time.
    pub fn look(&self, event: &RunEvent) {
        if let RunEvent::Started(started) = event {
            self.from_step.set(started.first_step());
        }
        let step = event.stamp().map_or(0, |stamp| stamp.step);
        if step < self.from_step.get() + self.after_steps || matches!(event, RunEvent::Started(_)) {
            return;
        }
        match self.kind {
            Kind::Abort => std::process::abort(),
            Kind::Panic => rayon::scope(|scope| scope.spawn(|_| panic!("a panic on purpose"))),
            Kind::Memory => handle_alloc_error(Layout::new::<[u8; 1 << 40]>()),
            Kind::Hang => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_names_and_other_words_are_refused() {
        for text in ["abort+1", "panic+0", "memory+20", "hang+7"] {
            assert!(Fault::parse(text).is_ok(), "{text}");
        }
        for text in ["abort", "abort+x", "explode+1", ""] {
            assert!(Fault::parse(text).is_err(), "{text}");
        }
    }
}
