//! When the last run will have ended.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Seconds until all runs have ended: each waiting run, in order, goes to the slot that is free first.
///
/// `running_seconds` is what each running run still needs, `waiting_seconds` what each waiting one will need. Values
/// that are no number or negative count as 0.
pub fn makespan(running_seconds: &[f64], waiting_seconds: impl IntoIterator<Item = f64>, slots: usize) -> f64 {
    let micros = |seconds: f64| Reverse((seconds.max(0.0) * 1e6) as u64); // integers are totally ordered
    let mut free_at: BinaryHeap<Reverse<u64>> = running_seconds.iter().map(|&seconds| micros(seconds)).collect();
    let idle = slots.max(1).saturating_sub(free_at.len());
    free_at.extend((0..idle).map(|_| Reverse(0)));
    for seconds in waiting_seconds {
        let Reverse(start) = free_at.pop().expect("there is at least one slot");
        free_at.push(Reverse(start.saturating_add(micros(seconds).0)));
    }
    let last = free_at.into_iter().map(|Reverse(end)| end).max().unwrap_or(0);
    last as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_runs_fill_the_slots_in_order() {
        assert_eq!(makespan(&[], [], 2), 0.0);
        assert_eq!(makespan(&[5.0, 1.0], [], 2), 5.0);
        assert_eq!(makespan(&[5.0, 1.0], [3.0, 3.0], 2), 7.0); // starts at 1 and at 4
    }

    #[test]
    fn idle_slots_take_runs_at_once() {
        assert_eq!(makespan(&[10.0], [4.0, 4.0], 3), 10.0);
        assert_eq!(makespan(&[], [2.0, 2.0, 2.0], 0), 6.0);
    }

    #[test]
    fn what_is_no_number_counts_as_nothing() {
        assert_eq!(makespan(&[f64::NAN, -1.0], [1.0], 2), 1.0);
        assert!(makespan(&[f64::INFINITY], [f64::INFINITY], 1).is_finite());
    }
}
