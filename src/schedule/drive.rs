//! Carries out the queue's decisions until every run has ended or the sweep is stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{News, Queue, Report, RunExecutor, Stop, Summary, Update};
use crate::event::{RunEvent, RunOutcome};
use crate::spec::RunId;

/// How long a wait for news lasts at most: the delay of a Ctrl-C, and the pace of [`News::Tick`].
const TICK: Duration = Duration::from_millis(100);
/// Between two looks for room on a full disk.
const ROOM_LOOK: Duration = Duration::from_secs(2);

/// Runs the queue to its end and tells `observer` everything that happens.
///
/// The first request of `stop` (or the first failure, if the queue's policy says so) makes running runs write a
/// checkpoint and stop; it waits for them as long as they need. The second kills them.
pub fn execute(
    mut queue: Queue,
    executor: &mut impl RunExecutor,
    observer: &mut dyn FnMut(Update),
    stop: &Stop,
) -> Summary {
    let mut busy = Busy::default();
    let mut told_to_stop = false;
    let mut killed = false;
    let mut looked_for_room = Duration::ZERO;
    loop {
        let at = executor.now();
        if stop.requests() >= 1 {
            queue.stop();
        }
        if let (Some(reason), false) = (queue.stopping(), told_to_stop) {
            told_to_stop = true;
            executor.stop();
            observer(Update { at, queue: &queue, news: News::Stopping(reason) });
        }
        if stop.requests() >= 2 && !killed {
            killed = true;
            executor.kill();
            observer(Update { at, queue: &queue, news: News::Killing });
        }
        if queue.paused().is_none() {
            looked_for_room = at;
        } else if at.saturating_sub(looked_for_room) >= ROOM_LOOK {
            let has_room = executor.has_room();
            looked_for_room = executor.now();
            if has_room {
                queue.resume();
            }
        }
        for decision in queue.take_decisions() {
            observer(Update { at, queue: &queue, news: News::Decided(&decision) });
        }
        while let Some(start) = queue.next(executor.now()) {
            match executor.start(&start) {
                Ok(()) => {
                    let at = executor.now();
                    busy.since.insert(start.run_id.clone(), at);
                    observer(Update { at, queue: &queue, news: News::Started(&start) });
                }
                Err(error) => {
                    ended(&mut queue, executor.now(), observer, &start.run_id, error.into_outcome());
                }
            }
        }
        if queue.is_over() {
            break;
        }
        // A paused queue starts nothing, however long a retry has been due.
        let next_retry = queue.next_retry().filter(|_| queue.paused().is_none());
        let retry_in = next_retry.map_or(TICK, |at| at.saturating_sub(executor.now()));
        let report = executor.next(retry_in.clamp(Duration::from_millis(1), TICK));
        let at = executor.now();
        match report {
            None => observer(Update { at, queue: &queue, news: News::Tick }),
            Some(Report::Event { run_id, event }) => {
                if matches!(event, RunEvent::Checkpointed { .. }) {
                    queue.progressed(&run_id);
                }
                if let Some(stamp) = event.stamp() {
                    queue.reached(&run_id, stamp.step);
                }
                observer(Update { at, queue: &queue, news: News::Said { run_id: &run_id, event: &event } });
            }
            Some(Report::LogLost { run_id, reason }) => {
                observer(Update { at, queue: &queue, news: News::LogLost { run_id: &run_id, reason: &reason } });
            }
            Some(Report::Ended { run_id, outcome }) => {
                busy.total += busy.since.remove(&run_id).map_or(Duration::ZERO, |since| at.saturating_sub(since));
                ended(&mut queue, at, observer, &run_id, outcome);
            }
        }
    }
    let at = executor.now();
    let summary = Summary { busy: busy.total, ..queue.summary(at) };
    observer(Update { at, queue: &queue, news: News::Finished(&summary) });
    summary
}

/// How long places had the process of a run.
#[derive(Default)]
struct Busy {
    since: BTreeMap<RunId, Duration>,
    total: Duration,
}

fn ended(queue: &mut Queue, at: Duration, observer: &mut dyn FnMut(Update), run_id: &RunId, outcome: RunOutcome) {
    let retry_at = queue.ended(run_id, outcome.clone(), at);
    observer(Update { at, queue, news: News::Ended { run_id, outcome: &outcome, retry_at } });
}

#[cfg(test)]
mod tests;
