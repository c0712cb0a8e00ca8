//! Which recorded events count.

use crate::event::RunEvent;

/// The events that count, each with the attempt that recorded it, in order.
///
/// An attempt goes on from a checkpoint and repeats what was done after it, so everything recorded after that
/// checkpoint is void: what counts is what an undisturbed run would have recorded, no point twice and none missing.
/// Every `Started` is kept. An evaluation that went on beside training was recorded late; its place is before the steps that were done
/// meanwhile.
pub fn effective_events(events: Vec<RunEvent>) -> Vec<(u32, RunEvent)> {
    let mut effective: Vec<(u32, RunEvent)> = Vec::with_capacity(events.len());
    let mut attempt = 0;
    for event in events {
        if let RunEvent::Started(started) = &event {
            attempt = started.attempt;
            let kept = effective
                .iter()
                .rposition(|(_, earlier)| is_checkpoint(earlier, started.from_checkpoint))
                .map_or(0, |position| position + 1);
            let mut position = 0;
            effective.retain(|(_, earlier)| {
                position += 1;
                position <= kept || matches!(earlier, RunEvent::Started(_))
            });
        }
        effective.push((attempt, event));
        let mut place = effective.len() - 1;
        while place > 0 && is_before(&effective[place].1, &effective[place - 1].1) {
            effective.swap(place, place - 1);
            place -= 1;
        }
    }
    effective
}

/// Whether an evaluation is of an earlier step than what was recorded before it.
fn is_before(event: &RunEvent, before: &RunEvent) -> bool {
    let RunEvent::Evaluated { stamp, .. } = event else { return false };
    match before {
        RunEvent::Trained { stamp: other, .. } => stamp.step < other.step,
        RunEvent::TimestepDensity { step, .. } => stamp.step < *step,
        _ => false,
    }
}

fn is_checkpoint(event: &RunEvent, number: u32) -> bool {
    matches!(event, RunEvent::Checkpointed { checkpoint, .. } if *checkpoint == number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Stamp, Started};

    fn started(attempt: u32, from_checkpoint: u32) -> RunEvent {
        RunEvent::Started(Started::of_test(attempt, from_checkpoint))
    }

    fn trained(step: u64) -> RunEvent {
        let stamp = Stamp { step, ..Stamp::default() };
        RunEvent::trained_of_test(stamp, None, None)
    }

    fn checkpointed(step: u64, checkpoint: u32) -> RunEvent {
        RunEvent::Checkpointed { checkpoint, stamp: Stamp { step, ..Stamp::default() }, losses: Vec::new() }
    }

    /// (attempt, step) of what counts of the training events.
    fn points(events: Vec<RunEvent>) -> Vec<(u32, u64)> {
        let step = |(attempt, event)| match event {
            RunEvent::Trained { stamp, .. } => Some((attempt, stamp.step)),
            _ => None,
        };
        effective_events(events).into_iter().filter_map(step).collect()
    }

    #[test]
    fn an_evaluation_beside_training_stands_before_the_steps_that_were_done_meanwhile() {
        let evaluated = |step: u64| {
            let stamp = Stamp { step, ..Stamp::default() };
            RunEvent::Evaluated { stamp, measures: Vec::new(), samples: String::new() }
        };
        let density = RunEvent::TimestepDensity { step: 25, density: Vec::new() };
        let events = vec![trained(20), trained(24), density.clone(), trained(28), evaluated(20), evaluated(28)];
        let found: Vec<RunEvent> = effective_events(events).into_iter().map(|(_, event)| event).collect();
        assert_eq!(found, [trained(20), evaluated(20), trained(24), density, trained(28), evaluated(28)]);
    }

    #[test]
    fn what_was_recorded_after_the_checkpoint_is_void() {
        let events = vec![started(1, 0), trained(10), checkpointed(10, 1), trained(20), started(2, 1), trained(20)];
        assert_eq!(points(events), [(1, 10), (2, 20)]);
    }

    #[test]
    fn a_checkpoint_that_was_announced_but_never_replaced_the_file_does_not_count() {
        let events = vec![
            started(1, 0),
            trained(10),
            checkpointed(10, 1),
            trained(20),
            checkpointed(20, 2), // killed before the rename: the file is still number 1
            started(2, 1),
            trained(20),
            checkpointed(20, 2),
            trained(30),
            started(3, 2),
            trained(30),
        ];
        assert_eq!(points(events), [(1, 10), (2, 20), (3, 30)]);
    }

    #[test]
    fn an_attempt_from_no_checkpoint_starts_anew() {
        assert_eq!(points(vec![started(1, 0), trained(10), started(2, 0), trained(10)]), [(2, 10)]);
    }

    #[test]
    fn every_attempt_stays_known() {
        let events = effective_events(vec![started(1, 0), trained(10), started(2, 0), started(3, 0)]);
        assert_eq!(events.iter().map(|(attempt, _)| *attempt).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
