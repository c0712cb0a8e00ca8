//! Threads that stay awake between short pieces of work.
//!
//! A training step is some hundred operations of 10 to 1000 microseconds, one after the other. To wake a sleeping thread
//! for each costs as much as it saves (on a virtual machine 50 microseconds and more), so the helpers of this team look
//! for work for about a millisecond before they sleep. There is one team in a process, with as many threads as rayon has;
//! where it is busy with the work of another thread, or only one thread is wanted, the caller does its work alone.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

/// Calls `work` with every index below `count`, once each, on several threads where there are several.
///
/// # Panics
/// If `work` does, after every thread has left it.
pub fn for_each_index(count: usize, work: &(dyn Fn(usize) + Sync)) {
    static TEAM: OnceLock<Option<&'static Team>> = OnceLock::new();
    let team = *TEAM.get_or_init(|| Team::start(rayon::current_num_threads().saturating_sub(1)));
    match team {
        Some(team) => team.for_each_index(count, work),
        None => (0..count).for_each(work),
    }
}

struct Team {
    /// Someone is leading.
    busy: AtomicBool,
    /// [`OPEN`] while there is work to join, plus the number of helpers that are at it.
    state: AtomicUsize,
    /// Written by the leader while `state` is 0, read by those who joined.
    work: UnsafeCell<Option<Work>>,
    /// The next index to be taken.
    next: AtomicUsize,
    asleep: AtomicUsize,
    door: Mutex<()>,
    bell: Condvar,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

#[derive(Clone, Copy)]
struct Work {
    call: *const (dyn Fn(usize) + Sync),
    count: usize,
}

// SAFETY: `work` is written while nobody has joined, and read only between joining and leaving (see `lead`); what it
// points to is `Sync`. The rest is `Sync` of itself.
unsafe impl Sync for Team {}
// SAFETY: as above; the pointer is used only while its owner waits in `lead`.
unsafe impl Send for Team {}

const OPEN: usize = 1 << (usize::BITS - 1);

/// How often a helper looks for work before it sleeps: about a millisecond.
const PATIENCE: usize = 16_384;

impl Team {
    /// A team of one leader and `helpers`, or none without helpers.
    fn start(helpers: usize) -> Option<&'static Self> {
        let team: &'static Self = Box::leak(Box::new(Self {
            busy: AtomicBool::new(false),
            state: AtomicUsize::new(0),
            work: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            asleep: AtomicUsize::new(0),
            door: Mutex::new(()),
            bell: Condvar::new(),
            panic: Mutex::new(None),
        }));
        let started = (0..helpers).filter(|index| {
            let builder = std::thread::Builder::new().name(format!("kernels-{index}"));
            // Without a thread the others do its share.
            builder.spawn(|| team.help()).is_ok()
        });
        (started.count() > 0).then_some(team)
    }

    fn for_each_index(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        if count < 2 || self.busy.swap(true, Ordering::Acquire) {
            return (0..count).for_each(work);
        }
        let panic = self.lead(count, work);
        self.busy.store(false, Ordering::Release);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Does the work together with the helpers; returns when all have left it.
    fn lead(&self, count: usize, work: &(dyn Fn(usize) + Sync)) -> Option<Box<dyn Any + Send>> {
        // SAFETY: only the lifetime changes. Nobody uses it after this function, which waits until all have left.
        let call = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync + 'static)>(work)
        };
        // SAFETY: `busy` makes this the only leader, and nobody can join while `state` is 0.
        unsafe { *self.work.get() = Some(Work { call, count }) };
        self.next.store(0, Ordering::Relaxed);
        // Opened before looking who sleeps; a helper counts itself as asleep before it looks whether it is open.
        self.state.store(OPEN, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) > 0 {
            drop(self.door.lock().unwrap_or_else(PoisonError::into_inner));
            self.bell.notify_all();
        }
        self.take_indices(Work { call, count });
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut looks = 0;
        while self.state.load(Ordering::Acquire) != 0 {
            pause(&mut looks);
        }
        self.panic.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn help(&self) {
        loop {
            self.wait_until_open();
            if self.join() {
                // SAFETY: written before it was opened, and not changed before this thread leaves.
                let work = unsafe { *self.work.get() };
                self.take_indices(work.expect("what is open has work"));
                self.state.fetch_sub(1, Ordering::Release);
            }
        }
    }

    fn join(&self) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & OPEN != 0 {
            match self.state.compare_exchange_weak(state, state + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// Works on what nobody has taken yet. A panic is kept for the leader and ends the work.
    fn take_indices(&self, work: Work) {
        let taken = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let index = self.next.fetch_add(1, Ordering::Relaxed);
                if index >= work.count {
                    return;
                }
                // SAFETY: the leader keeps what this points to until every thread has left.
                unsafe { (*work.call)(index) };
            }
        }));
        if let Err(panic) = taken {
            self.next.store(work.count, Ordering::Relaxed);
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
        }
    }

    fn is_open(&self) -> bool {
        self.state.load(Ordering::SeqCst) & OPEN != 0
    }

    fn wait_until_open(&self) {
        let mut looks = 0;
        while looks < PATIENCE {
            if self.is_open() {
                return;
            }
            pause(&mut looks);
        }
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        self.asleep.fetch_add(1, Ordering::SeqCst);
        while !self.is_open() {
            door = self.bell.wait(door).unwrap_or_else(PoisonError::into_inner);
        }
        self.asleep.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Lets the processor, and now and then other threads, do something else.
fn pause(looks: &mut usize) {
    *looks += 1;
    if looks.is_multiple_of(64) {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team() -> &'static Team {
        Team::start(3).unwrap()
    }

    #[test]
    fn every_index_is_worked_on_once_however_long_the_team_slept() {
        let team = team();
        for round in 0..300 {
            let counts: Vec<_> = (0..round % 40).map(|_| AtomicUsize::new(0)).collect();
            team.for_each_index(counts.len(), &|index| {
                counts[index].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
            if round % 100 == 0 {
                // Long enough for the helpers to fall asleep.
                std::thread::sleep(std::time::Duration::from_millis(30));
            }
        }
    }

    #[test]
    fn work_within_work_and_work_of_two_threads_at_once_are_done() {
        let team = team();
        let count = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        team.for_each_index(8, &|_| {
                            team.for_each_index(3, &|_| {
                                count.fetch_add(1, Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 4 * 50 * 8 * 3);
    }

    #[test]
    fn a_panic_of_any_thread_reaches_the_leader_and_the_team_goes_on() {
        let team = team();
        for wrong in [0, 5, 63] {
            let panic = catch_unwind(AssertUnwindSafe(|| {
                team.for_each_index(64, &|index| {
                    std::thread::sleep(std::time::Duration::from_micros(50));
                    assert_ne!(index, wrong, "this one");
                });
            }));
            assert!(panic.is_err());
            let done = AtomicUsize::new(0);
            team.for_each_index(10, &|_| {
                done.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(done.load(Ordering::Relaxed), 10);
        }
    }
}
