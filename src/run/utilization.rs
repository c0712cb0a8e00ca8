//! How busy a run's device is while it trains: a gauge, read now and then by a thread of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, Scope};
use std::time::Duration;

use super::Gauge;
use crate::train::Breaks;

/// Between two looks: so short that training between two evaluations of a small run has some.
const PAUSE: Duration = Duration::from_millis(250);
/// The part of a pause that may have gone into something else than training for the look after it to count.
const MOST_ELSEWHERE: f64 = 0.1;

/// Looks until it is dropped, or until the gauge says no more.
pub(super) struct Looks {
    seen: Arc<Mutex<Seen>>,
    /// Its end ends the thread.
    _end: Sender<()>,
}

/// What counts since it was last taken.
#[derive(Default)]
struct Seen {
    sum: f64,
    looks: u32,
}

impl Looks {
    /// In a thread of `scope`. A gauge that fails is told of in the run's log, once, and ends it; so does a thread that cannot be
    /// started.
    pub fn start<'scope>(scope: &'scope Scope<'scope, '_>, gauge: Gauge<'scope>, breaks: Arc<Breaks>) -> Option<Self> {
        Self::every(PAUSE, scope, gauge, breaks)
    }

    fn every<'scope>(
        pause: Duration,
        scope: &'scope Scope<'scope, '_>,
        gauge: Gauge<'scope>,
        breaks: Arc<Breaks>,
    ) -> Option<Self> {
        let (sender, end) = channel();
        let seen = Arc::default();
        let shared = Arc::clone(&seen);
        let work = move || {
            if let Err(reason) = look(pause, gauge, &breaks, &shared, &end) {
                note(&reason);
            }
        };
        match Builder::new().name("utilization".to_owned()).spawn_scoped(scope, work) {
            Ok(_) => Some(Self { seen, _end: sender }),
            Err(error) => {
                note(&format!("no thread can be started: {error}"));
                None
            }
        }
    }

    /// The mean of the looks in training since it was last asked, between 0 and 1; `None` without any.
    pub fn take(&self) -> Option<f64> {
        let Seen { sum, looks } = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        (looks > 0).then(|| sum / f64::from(looks))
    }
}

/// Until the other side of `end` is gone; an error is what the gauge said last.
fn look(pause: Duration, gauge: Gauge, breaks: &Breaks, seen: &Mutex<Seen>, end: &Receiver<()>) -> Result<(), String> {
    let most_elsewhere = MOST_ELSEWHERE * pause.as_secs_f64();
    let mut was_training = false;
    let mut elsewhere = breaks.seconds();
    loop {
        // Also in breaks: some counters measure from one look to the next.
        let share = catch_unwind(AssertUnwindSafe(gauge)).unwrap_or_else(|_| Err("its reader panicked".to_owned()))?;
        let is_training = breaks.is_training();
        let before = std::mem::replace(&mut elsewhere, breaks.seconds());
        match share {
            Some(share) if !(0.0..=1.0).contains(&share) => return Err(format!("its counter says {share}")),
            Some(share) if was_training && is_training && elsewhere - before <= most_elsewhere => {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.sum += share;
                seen.looks += 1;
            }
            _ => {}
        }
        was_training = is_training;
        if end.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return Ok(());
        }
    }
}

/// Goes to the run's log.
fn note(reason: &str) {
    eprintln!("note: how busy the device is, is not recorded from here on: {reason}");
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread::{self, sleep};

    use super::*;
    use crate::event::Stamp;
    use crate::train::Stopwatch;

    const SHORT: Duration = Duration::from_millis(10);

    /// Does something until it answers, for at most ten seconds.
    fn at_last<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
        (0..1000).find_map(|_| {
            sleep(SHORT);
            ask()
        })
    }

    #[test]
    fn only_looks_in_training_count() {
        let percent = AtomicU32::new(99);
        let gauge = || Ok(Some(f64::from(percent.load(Ordering::SeqCst)) / 100.0));
        let mut stopwatch = Stopwatch::continuing(&Stamp::default());
        thread::scope(|scope| {
            let looks = Looks::every(SHORT, scope, &gauge, stopwatch.breaks()).unwrap();
            sleep(10 * SHORT);
            assert_eq!(looks.take(), None, "nothing was trained");
            let mut train = || {
                stopwatch.training(|| {
                    percent.store(25, Ordering::SeqCst);
                    sleep(5 * SHORT);
                });
                stopwatch.evaluating(|| {
                    percent.store(99, Ordering::SeqCst);
                    sleep(5 * SHORT);
                });
            };
            for _ in 0..5 {
                train();
            }
            let mean = at_last(|| {
                train();
                looks.take()
            });
            assert_eq!(mean, Some(0.25));
        });
    }

    #[test]
    fn short_breaks_do_not_keep_looks_from_counting() {
        let mut stopwatch = Stopwatch::continuing(&Stamp::default());
        thread::scope(|scope| {
            let looks = Looks::every(5 * SHORT, scope, &|| Ok(Some(0.75)), stopwatch.breaks()).unwrap();
            // An evaluation beside training is asked for at each step.
            let step = || {
                stopwatch.evaluating(|| {});
                stopwatch.training(|| sleep(SHORT));
                looks.take()
            };
            let step = std::cell::RefCell::new(step);
            assert_eq!(at_last(|| (step.borrow_mut())()), Some(0.75));
        });
    }

    #[test]
    fn a_gauge_that_fails_is_not_asked_again_and_training_goes_on() {
        type Fails = fn() -> Result<Option<f64>, String>;
        let fails: [Fails; 4] = [
            || Err("the library is gone".to_owned()),
            || Ok(Some(1.01)),
            || Ok(Some(f64::NAN)),
            || panic!("a gauge of the test that panics"),
        ];
        for fail in fails {
            let asked = AtomicU32::new(0);
            let gauge = || match asked.fetch_add(1, Ordering::SeqCst) {
                0..3 => Ok(None),
                _ => fail(),
            };
            let mut stopwatch = Stopwatch::continuing(&Stamp::default());
            let trained = thread::scope(|scope| {
                let looks = Looks::every(SHORT, scope, &gauge, stopwatch.breaks()).unwrap();
                let failed = at_last(|| {
                    stopwatch.training(|| sleep(SHORT));
                    (asked.load(Ordering::SeqCst) == 4).then_some(())
                });
                assert_eq!(failed, Some(()));
                stopwatch.training(|| sleep(10 * SHORT));
                looks.take()
            });
            assert_eq!((trained, asked.load(Ordering::SeqCst)), (None, 4));
        }
    }
}
