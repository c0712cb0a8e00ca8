use super::super::said::said;
use super::*;
use crate::spec::{RunId, RunSpec};

fn run() -> PlannedRun {
    let mut spec = RunSpec { seed: 5, ..RunSpec::default() };
    (spec.train.steps, spec.train.batch_size, spec.train.log_every) = (100, 4, 10);
    PlannedRun {
        run_id: RunId::of(&spec),
        arm: "own".into(),
        trial: "own".into(),
        point: Default::default(),
        seed: 5,
        spec,
    }
}

fn before(attempt: u32, checkpoints: &[u64], last: u64) -> Before {
    let stamp = |step: u64| Stamp { step, images_seen: 4 * step, train_seconds: step as f64, ..Stamp::default() };
    Before {
        attempt,
        announced: checkpoints
            .iter()
            .enumerate()
            .map(|(index, step)| Announced {
                number: index as u32 + 1,
                stamp: stamp(*step),
                losses: vec![7.0],
                recorded_step: *step,
            })
            .collect(),
        last: stamp(last),
        next_checkpoint: checkpoints.len() as u32 + 1,
        program: "speedlab".into(),
        label: "cpu".into(),
        build: String::new(),
        micro_batches: 1,
    }
}

/// Everything that lines come to, and how it ended.
fn heard(before: Before, lines: &[&str]) -> (Vec<Act>, Option<RunOutcome>) {
    let run = run();
    let mut conversation = Conversation::new(&run, before);
    let mut acts = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if let Err(outcome) = conversation.hear(said(line).unwrap(), index as f64, &mut acts) {
            return (acts, Some(outcome));
        }
    }
    (acts, None)
}

fn breaks(before: Before, lines: &[&str]) -> String {
    heard(before, lines).1.expect("a rule is broken").reason().unwrap().to_owned()
}

#[test]
fn losses_are_recorded_as_means_and_clocks_run_where_the_trainer_has_none() {
    let lines: Vec<String> = std::iter::once(r#"{"event":"started","seed":5,"device":"a chip"}"#.to_owned())
        .chain((1..=20).map(|step| format!(r#"{{"event":"progress","step":{step},"loss":{step}}}"#)))
        .collect();
    let (acts, end) = heard(before(1, &[], 0), &lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(end, None);
    let recorded: Vec<&RunEvent> =
        acts.iter().filter_map(|act| if let Act::Record(event) = act { Some(event) } else { None }).collect();
    let RunEvent::Started(started) = recorded[0] else { panic!("{recorded:?}") };
    assert_eq!((started.device.as_str(), started.program.as_str(), started.attempt), ("cpu", "speedlab, on a chip", 1));
    let means: Vec<(u64, u64, f64, f64)> = recorded[1..]
        .iter()
        .map(|event| match event {
            RunEvent::Trained { stamp, loss, gradient_norm: None, .. } => {
                (stamp.step, stamp.images_seen, stamp.train_seconds, *loss)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    // Means of 1 to 10 and of 11 to 20.
    assert_eq!(means, [(10, 40, 10.0, 5.5), (20, 80, 20.0, 15.5)]);
}

#[test]
fn an_attempt_goes_on_from_a_checkpoint_that_was_announced_or_written_last() {
    let from = |before: Before, step: u64| {
        let line = format!(r#"{{"event":"started","from_step":{step}}}"#);
        let (acts, end) = heard(before, &[&line]);
        assert_eq!(end, None);
        acts
    };
    let checkpoint = |act: &Act| match act {
        Act::Record(RunEvent::Started(started)) => (started.from_checkpoint, started.from_step),
        other => panic!("{other:?}"),
    };
    assert_eq!(checkpoint(&from(before(2, &[20, 40], 60), 40)[0]), (2, 40));
    assert_eq!(checkpoint(&from(before(2, &[20, 40], 60), 20)[0]), (1, 20));
    assert_eq!(checkpoint(&from(before(2, &[20, 40], 60), 0)[0]), (0, 0));
    let late = from(before(2, &[20], 50), 60);
    assert!(matches!(late[0], Act::Record(RunEvent::Checkpointed { checkpoint: 2, stamp, .. }) if stamp.step == 60));
    assert_eq!(checkpoint(&late[1]), (2, 60));
    let reason = breaks(before(2, &[20], 50), &[r#"{"event":"started","from_step":30}"#]);
    assert!(reason.contains("goes on from step 30, and the checkpoints it announced are of steps: 20"), "{reason}");
    // A first attempt has nothing to go on from.
    assert!(breaks(before(1, &[], 0), &[r#"{"event":"started","from_step":30}"#]).contains("of steps: none"));
}

#[test]
fn an_attempt_that_never_began_makes_nothing_void() {
    // It ran out of memory while it loaded its checkpoint.
    let (acts, end) = heard(before(2, &[20, 40], 60), &[r#"{"event":"ended","outcome":"out_of_memory"}"#]);
    assert_eq!(acts, [Act::End(RunOutcome::OutOfMemory { reason: "its trainer says so".into() })]);
    assert_eq!(end, None);
    let reason = breaks(before(2, &[20, 40], 60), &[r#"{"event":"progress","step":41}"#]);
    assert!(reason.contains("goes on without having said `started`"), "{reason}");
    let run = run();
    assert_eq!(Conversation::new(&run, before(2, &[20], 60)).stamp().step, 60);
}

#[test]
fn words_of_a_trainer_move_no_cursor() {
    let line = r#"{"event":"ended","outcome":"diverged","reason":"red \u001b[31m\nnext"}"#;
    let (acts, _) = heard(before(1, &[], 0), &[line]);
    let Some(Act::End(outcome)) = acts.last() else { panic!("{acts:?}") };
    assert_eq!(outcome.reason(), Some("red  [31m\nnext"));
}

#[test]
fn a_mean_goes_on_across_a_checkpoint() {
    let lines = [
        r#"{"event":"started","from_step":9}"#,
        r#"{"event":"progress","step":10,"loss":1}"#,
        r#"{"event":"progress","step":11,"loss":5}"#,
        r#"{"event":"checkpointed","step":11}"#,
    ];
    let (acts, _) = heard(before(2, &[9], 9), &lines);
    assert!(acts.iter().any(|act| matches!(act, Act::Record(RunEvent::Trained { loss: 4.0, .. }))), "{acts:?}");
    let Some(Act::Record(RunEvent::Checkpointed { losses, .. })) = acts.last() else { panic!("{acts:?}") };
    assert_eq!(*losses, [5.0]);
}

#[test]
fn rules_that_are_broken_end_the_run_with_a_sentence() {
    for (lines, expected) in [
        (&[r#"{"event":"progress","step":9}"#, r#"{"event":"progress","step":8}"#][..], "reported step 8 after step 9"),
        (&[r#"{"event":"progress","step":101}"#], "reported step 101 of the 100 planned in `train.steps`"),
        (
            &[r#"{"event":"progress","step":9,"images_seen":90}"#, r#"{"event":"progress","step":9}"#],
            "reported 36 images seen after 90",
        ),
        (&[r#"{"event":"started","seed":6}"#], "started with seed 6, and the run's seed is 5"),
        (&[r#"{"event":"started"}"#, r#"{"event":"started"}"#], "it said `started` twice"),
        (&[r#"{"event":"ended","outcome":"completed"}"#], "said `completed` at step 0 of the 100 planned"),
    ] {
        let reason = breaks(before(1, &[], 0), lines);
        assert!(reason.starts_with("its trainer breaks a rule: ") && reason.contains(expected), "{reason}");
    }
}

#[test]
fn numbers_that_are_not_finite_are_divergence() {
    for (line, expected) in [
        (r#"{"event":"progress","step":3,"loss":"nan"}"#, "the loss at step 3 is NaN"),
        (r#"{"event":"measured","step":3,"metric":"fid","value":"inf"}"#, "fid at step 3 is inf"),
    ] {
        let (_, end) = heard(before(1, &[], 0), &[line]);
        assert_eq!(end, Some(RunOutcome::Diverged { reason: expected.to_owned() }));
    }
}

#[test]
fn what_a_trainer_measures_is_never_taken_for_ours() {
    let line = r#"{"event":"measured","step":3,"measures":{"fid":2.5},"protocol":"clean-fid\n50k"}"#;
    let (acts, _) = heard(before(1, &[], 0), &[line]);
    let Act::Record(RunEvent::Evaluated { measures, .. }) = &acts[1] else { panic!("{acts:?}") };
    assert_eq!(measures[0].protocol, "measured by its trainer: clean-fid 50k");
}

#[test]
fn it_is_completed_when_all_steps_are_done() {
    let lines = [r#"{"event":"progress","step":100}"#, r#"{"event":"ended","outcome":"completed"}"#];
    let (acts, end) = heard(before(1, &[], 0), &lines);
    assert_eq!((acts.last(), end), (Some(&Act::End(RunOutcome::Completed)), None));
}
