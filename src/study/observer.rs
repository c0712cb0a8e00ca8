//! The observer that is told how a study goes on.

use std::time::Duration;

use super::{RunLabel, Tracker};
use crate::data::Progress;
use crate::schedule::Update;

/// Hears what happens while a study is conducted. Nothing depends on what it does.
pub trait Observer {
    /// Something a person should know, in a sentence.
    fn note(&mut self, text: &str);

    /// Images are decoded, or features of reference images computed.
    fn preparing(&mut self, progress: &Progress);

    /// The runs of the queue, before the first starts.
    fn begins(&mut self, runs: &[RunLabel]);

    /// Something happened, or a moment has passed; the tracker knows it already.
    fn update(&mut self, update: &Update, tracker: &Tracker);

    /// Something beside the runs went wrong and does not stop them.
    fn warn(&mut self, at: Duration, text: &str);
}
