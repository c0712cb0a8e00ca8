//! The one clock of a run: training, evaluation, checkpoints, set-up and the rest apart, continuing across resumes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::event::Stamp;

/// Adds up time by what it was spent on.
#[derive(Debug)]
pub struct Stopwatch {
    train_seconds: f64,
    eval_seconds: f64,
    checkpoint_seconds: f64,
    setup_seconds: f64,
    wall_seconds_before: f64,
    started: Instant,
    breaks: Arc<Breaks>,
}

/// The time that went into something else than training, for a thread that looks on.
#[derive(Debug, Default)]
pub struct Breaks {
    /// Whether the last work that began was training.
    is_training: AtomicBool,
    /// The breaks that have ended.
    microseconds: AtomicU64,
}

impl Stopwatch {
    /// Goes on from where `stamp` was taken; from zero with the default stamp.
    pub fn continuing(stamp: &Stamp) -> Self {
        Self {
            train_seconds: stamp.train_seconds,
            eval_seconds: stamp.eval_seconds,
            checkpoint_seconds: stamp.checkpoint_seconds,
            setup_seconds: stamp.setup_seconds,
            wall_seconds_before: stamp.wall_seconds,
            started: Instant::now(),
            breaks: Arc::default(),
        }
    }

    /// Goes on from where `stamp` was taken; what this stopwatch has measured so far came before training.
    pub fn having_set_up(self, stamp: &Stamp) -> Self {
        let setup_seconds = stamp.setup_seconds + self.started.elapsed().as_secs_f64();
        Self { setup_seconds, started: self.started, breaks: self.breaks, ..Self::continuing(stamp) }
    }

    /// Does `work` on the training clock. The work must have waited for the device.
    pub fn training<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.breaks.is_training.store(true, Ordering::Relaxed);
        on(&mut self.train_seconds, work)
    }

    /// Does `work` on the evaluation clock.
    pub fn evaluating<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.breaks.during(|| on(&mut self.eval_seconds, work))
    }

    /// Does `work` on the clock of checkpoints.
    pub fn saving<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.breaks.during(|| on(&mut self.checkpoint_seconds, work))
    }

    /// Does `work` on the clock of what comes before training.
    pub fn setting_up<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.breaks.during(|| on(&mut self.setup_seconds, work))
    }

    /// The same ones after [`Self::having_set_up`], which training has.
    pub fn breaks(&self) -> Arc<Breaks> {
        Arc::clone(&self.breaks)
    }

    pub fn train_seconds(&self) -> f64 {
        self.train_seconds
    }

    pub fn wall_seconds(&self) -> f64 {
        self.wall_seconds_before + self.started.elapsed().as_secs_f64()
    }

    pub fn stamp(&self, step: u64, images_seen: u64) -> Stamp {
        Stamp {
            step,
            images_seen,
            train_seconds: self.train_seconds,
            eval_seconds: self.eval_seconds,
            checkpoint_seconds: self.checkpoint_seconds,
            setup_seconds: self.setup_seconds,
            wall_seconds: self.wall_seconds(),
        }
    }
}

impl Breaks {
    /// Whether the training clock runs, but for the little between two steps.
    pub fn is_training(&self) -> bool {
        self.is_training.load(Ordering::Relaxed)
    }

    /// Seconds of all breaks that have ended.
    pub fn seconds(&self) -> f64 {
        self.microseconds.load(Ordering::Relaxed) as f64 * 1e-6
    }

    fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.is_training.store(false, Ordering::Relaxed);
        let (result, seconds) = timed(work);
        self.microseconds.fetch_add((seconds * 1e6).round() as u64, Ordering::Relaxed);
        result
    }
}

/// Does `work` on a clock.
fn on<T>(clock: &mut f64, work: impl FnOnce() -> T) -> T {
    let (result, seconds) = timed(work);
    *clock += seconds;
    result
}

/// Does `work`, and says how many seconds it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_go_on_from_the_checkpoint_and_are_kept_apart() {
        let before = Stamp {
            step: 5,
            images_seen: 320,
            train_seconds: 10.0,
            eval_seconds: 20.0,
            checkpoint_seconds: 1.0,
            setup_seconds: 2.0,
            wall_seconds: 40.0,
        };
        let pause = std::time::Duration::from_millis(20);
        let preparing = Stopwatch::continuing(&Stamp::default());
        std::thread::sleep(pause);
        let breaks = preparing.breaks();
        let mut stopwatch = preparing.having_set_up(&before);
        assert!(!breaks.is_training());
        stopwatch.training(|| {
            std::thread::sleep(pause);
            assert!(breaks.is_training());
        });
        stopwatch.evaluating(|| {
            std::thread::sleep(pause);
            assert!(!breaks.is_training());
        });
        stopwatch.saving(|| std::thread::sleep(pause));
        stopwatch.setting_up(|| std::thread::sleep(pause));
        let seconds = breaks.seconds();
        assert!((0.06..3.0).contains(&seconds), "{seconds}");
        let stamp = stopwatch.stamp(6, 384);
        assert!((10.02..11.0).contains(&stamp.train_seconds), "{stamp:?}");
        assert!((20.02..21.0).contains(&stamp.eval_seconds), "{stamp:?}");
        assert!((1.02..2.0).contains(&stamp.checkpoint_seconds), "{stamp:?}");
        assert!((2.04..3.0).contains(&stamp.setup_seconds), "{stamp:?}");
        assert!((40.1..44.0).contains(&stamp.wall_seconds), "{stamp:?}");
        assert_eq!((stamp.step, stamp.images_seen), (6, 384));
    }
}
