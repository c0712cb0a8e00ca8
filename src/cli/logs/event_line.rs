//! A recorded event as a short line.

use super::super::progress::words::measured;
use crate::event::RunEvent;
use crate::report::number::grouped;

/// `[400/2,000] evaluated: fid 143.2, validation_loss 0.0312` with its line feed; `None` for what comes too often to be read.
/// `steps` are the planned ones.
pub(super) fn event_line(event: &RunEvent, steps: u64) -> Option<String> {
    let (step, words) = match event {
        RunEvent::Started(started) => {
            let device = &started.device;
            let from = match (&started.shared_from, started.from_step) {
                (Some(shared), _) => {
                    format!(" from the state of run {} at step {}", shared.run_id, grouped(shared.step))
                }
                (None, 0) => String::new(),
                (None, step) => format!(" from the checkpoint at step {}", grouped(step)),
            };
            let words = format!("started: attempt {}{from}, {}, on {device}", started.attempt, started.started_at);
            (started.first_step(), words)
        }
        RunEvent::Evaluated { stamp, measures, .. } => {
            // What is measured in bins of t fills pages.
            let whole = measures.iter().filter(|measure| !measure.metric.contains('/'));
            let words: Vec<String> =
                whole.map(|measure| format!("{} {}", measure.metric, measured(measure.value))).collect();
            (stamp.step, format!("evaluated: {}", words.join(", ")))
        }
        RunEvent::Checkpointed { stamp, checkpoint, .. } => (stamp.step, format!("checkpoint {checkpoint}")),
        RunEvent::Ended { stamp, outcome } => {
            // The further lines of a crash's reason stand in the log already.
            let words = outcome.in_words();
            (stamp.step, format!("ended: {}", words.lines().next().unwrap_or_default()))
        }
        _ => return None,
    };
    Some(format!("[{}/{}] {words}\n", grouped(step), grouped(steps)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Measure, RunOutcome, SharedSteps, Stamp, Started};
    use crate::spec::{RunId, RunSpec};

    fn stamp(step: u64) -> Stamp {
        Stamp { step, ..Stamp::default() }
    }

    fn line(event: RunEvent) -> Option<String> {
        event_line(&event, 2000)
    }

    #[test]
    fn evaluations_say_what_was_measured_but_not_bin_by_bin() {
        let measure =
            |metric: &str, value| Measure { metric: metric.into(), protocol: "a long protocol".into(), value };
        let measures =
            vec![measure("fid", 143.25), measure("validation_loss", 0.03125), measure("validation_loss/3", 1.0)];
        let evaluated = RunEvent::Evaluated { stamp: stamp(1400), measures, samples: String::new() };
        let expected = "[1,400/2,000] evaluated: fid 143.2, validation_loss 0.0312\n";
        assert_eq!(line(evaluated).as_deref(), Some(expected));
    }

    #[test]
    fn an_attempt_says_where_it_goes_on_and_how_it_ended() {
        let started = Started {
            version: 1,
            run_id: RunId::of(&RunSpec::default()),
            attempt: 2,
            from_checkpoint: 3,
            from_step: 500,
            shared_from: None,
            program: "speedlab".to_owned(),
            device: "cpu: AMD EPYC, 1 thread".to_owned(),
            started_at: "2026-11-22T19:00:00Z".to_owned(),
            build: String::new(),
            micro_batches: 1,
            data_sha256: String::new(),
            decoder_sha256: String::new(),
        };
        let expected = "[500/2,000] started: attempt 2 from the checkpoint at step 500, 2026-11-22T19:00:00Z, on cpu: AMD EPYC, 1 thread\n";
        assert_eq!(line(RunEvent::Started(started)).as_deref(), Some(expected));
        let run_id = RunId::parse("0123456789ab").unwrap();
        let taken_over = Started {
            started_at: "2026-11-22T19:00:00Z".to_owned(),
            device: "cpu".to_owned(),
            shared_from: Some(Box::new(SharedSteps { run_id, step: 1500 })),
            ..Started::of_test(1, 0)
        };
        let expected = "[1,500/2,000] started: attempt 1 from the state of run 0123456789ab at step 1,500, 2026-11-22T19:00:00Z, on cpu\n";
        assert_eq!(line(RunEvent::Started(taken_over)).as_deref(), Some(expected));
        let checkpointed = RunEvent::Checkpointed { stamp: stamp(600), checkpoint: 4, losses: Vec::new() };
        assert_eq!(line(checkpointed).as_deref(), Some("[600/2,000] checkpoint 4\n"));
        let outcome = RunOutcome::Crashed { reason: "exited with status 3\nlast words".to_owned() };
        let ended = RunEvent::Ended { stamp: stamp(700), outcome };
        assert_eq!(line(ended).as_deref(), Some("[700/2,000] ended: crashed: exited with status 3\n"));
    }

    #[test]
    fn what_comes_often_is_left_out() {
        assert_eq!(line(RunEvent::TimestepDensity { step: 0, density: vec![1.0] }), None);
    }
}
