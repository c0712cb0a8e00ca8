//! Panics in the threads that give devices their work. burn tells nobody of them who does not ask for a result: the program goes on, and what it
//! measures is nothing.

use std::panic;
use std::sync::{Mutex, Once, PoisonError};
use std::thread;

/// cubecl names these threads by stage and device, such as `DSU-0-0`.
const DEVICE_THREADS: &str = "DS";

static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// Keeps the first such panic from now on; every panic is still printed as before.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if thread::current().name().is_some_and(|name| name.starts_with(DEVICE_THREADS)) {
                FIRST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| panic.to_string());
            }
            before(panic);
        }));
    });
}

/// What a device's thread said when it panicked, if one has.
pub fn first() -> Option<String> {
    FIRST.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_devices_thread_is_kept_and_one_elsewhere_is_not() {
        watch();
        let panics = |name: &str, said: &'static str| {
            let thread = thread::Builder::new().name(name.to_owned()).spawn(move || panic!("{said}"));
            thread.expect("a thread").join().expect_err("it panics");
        };
        panics("some other thread", "nobody asked");
        assert_eq!(first(), None);
        panics("DSU-0-0", "no headers");
        panics("DSD-0-0", "what follows from it");
        let first = first().expect("one has panicked");
        assert!(first.contains("no headers"), "{first}");
    }
}
