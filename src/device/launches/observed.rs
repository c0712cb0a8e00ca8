use std::sync::{Arc, Mutex, PoisonError};

use cubecl::logging::{Duration, LaunchObservation, LaunchObserver, ProfileDuration, TimingMethod, TimingRequest};

use super::{Launches, summed};

/// Does `work` and counts its kernels, those of all threads. With `are_timed` each is put between two marks of the device's clock, which
/// costs the host time at every launch. What a captured step launches was counted when it was captured, and never again.
pub fn observe_launches<T>(are_timed: bool, work: impl FnOnce() -> T) -> (T, Launches) {
    let watch =
        Arc::new(Watch { are_timed, launched: Mutex::default(), marked: Mutex::default(), timed: Mutex::default() });
    let observation = LaunchObservation::new(watch.clone());
    let result = work();
    drop(observation);
    // The device is asked for its times only now, so that nothing has waited for them meanwhile.
    let mut measured = taken(&watch.timed);
    for (kernel, marks) in taken(&watch.marked) {
        let is_device_time = marks.timing_method() == TimingMethod::Device;
        let between = cubecl::future::block_on(marks.resolve());
        if let Some(between) = between.filter(|_| is_device_time) {
            measured.push((kernel, between.duration().as_secs_f64()));
        }
    }
    (result, summed(taken(&watch.launched), measured))
}

struct Watch {
    are_timed: bool,
    launched: Mutex<Vec<&'static str>>,
    marked: Mutex<Vec<(&'static str, ProfileDuration)>>,
    timed: Mutex<Vec<(&'static str, f64)>>,
}

impl LaunchObserver for Watch {
    fn launched(&self, kernel: &'static str) {
        self.launched.lock().unwrap_or_else(PoisonError::into_inner).push(kernel);
    }

    fn timing(&self) -> TimingRequest {
        if self.are_timed { TimingRequest::Deferred } else { TimingRequest::None }
    }

    fn profiled(&self, kernel: &'static str, marks: ProfileDuration) {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner).push((kernel, marks));
    }

    /// Where cubecl's own log reads the marks.
    fn timed(&self, kernel: &'static str, duration: Duration, method: TimingMethod) {
        if method == TimingMethod::Device {
            self.timed.lock().unwrap_or_else(PoisonError::into_inner).push((kernel, duration.as_secs_f64()));
        }
    }
}

fn taken<T>(values: &Mutex<Vec<T>>) -> Vec<T> {
    std::mem::take(&mut values.lock().unwrap_or_else(PoisonError::into_inner))
}
