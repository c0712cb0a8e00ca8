//! Runs that a program of the user's own trains: what it may say, how it may fail, and that nothing of it is left running.

mod python;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use speedlab::event::RunOutcome;
use speedlab::record::RunState;

use crate::sandbox::{Sandbox, children_of, send_signal, stderr, stdout};

/// What every script begins with.
const PRELUDE: &str = "#!/bin/sh\nsay() { printf '%s\\n' \"$1\" > \"$SPEEDLAB_EVENTS\"; }\n";

/// Trains from its last checkpoint to the end; values depend on the step and the seed alone.
const TRAINS: &str = r#"
step=$(cat "$SPEEDLAB_CHECKPOINTS/step" 2>/dev/null || echo 0)
say "{\"event\":\"started\",\"from_step\":$step,\"seed\":$SPEEDLAB_SEED}"
stop=0
trap 'stop=1' TERM
while [ "$step" -lt "$SPEEDLAB_STEPS" ]; do
    step=$((step + 1))
    sleep 0.005
    say "{\"event\":\"progress\",\"step\":$step,\"loss\":$((1000 - step)).$SPEEDLAB_SEED}"
    [ $((step % 5)) = 0 ] && say "{\"event\":\"measured\",\"step\":$step,\"measures\":{\"fid\":$((1000 / step)).$SPEEDLAB_SEED}}"
    if [ $((step % 7)) = 0 ] || [ $stop = 1 ]; then
        echo "$step" > "$SPEEDLAB_CHECKPOINTS/step.new"
        mv "$SPEEDLAB_CHECKPOINTS/step.new" "$SPEEDLAB_CHECKPOINTS/step"
        say "{\"event\":\"checkpointed\",\"step\":$step}"
    fi
    if [ $stop = 1 ]; then
        say '{"event":"ended","outcome":"interrupted"}'
        exit 0
    fi
done
say '{"event":"ended","outcome":"completed"}'
"#;

/// A sweep of one arm whose runs a script trains; `keys` go into its trainer. The script's command line tells it from those of other tests.
fn sandbox(script: &str, keys: &str, steps: u64, seeds: u64) -> Sandbox {
    let sandbox = Sandbox::new("");
    let command = format!("[./train.sh, {}]", mark(&sandbox));
    let sweep = format!(
        "name: tiny\nbase:\n  trainer: {{ command: {command}, inputs: [train.sh]{keys} }}\n  params: {{ images: none }}\n  train: {{ \
         steps: {steps}, batch_size: 2, log_every: 5 }}\n  evaluate: {{ every: 5, grid_images: 4, fid: {{ samples: 4 }} }}\n\
         arms: {{ baseline: {{}} }}\nseeds: {seeds}\n"
    );
    fs::write(sandbox.path().join("sweep.yaml"), sweep).unwrap();
    write_script(sandbox.path(), script);
    sandbox
}

/// A word that no other test has.
fn mark(sandbox: &Sandbox) -> String {
    let name = sandbox.path().file_name().unwrap().to_string_lossy().into_owned();
    format!("mark{}", name.trim_start_matches('.'))
}

/// Whether the script of a sandbox runs.
fn is_training(sandbox: &Sandbox) -> bool {
    is_running(&format!("./train.sh {}", mark(sandbox)))
}

/// Waits until a run has recorded that it began.
fn wait_for_start(sandbox: &Sandbox) {
    let journals = || fs::read_dir(sandbox.results().join("runs")).into_iter().flatten().flatten();
    let began = |run: fs::DirEntry| {
        fs::read_to_string(run.path().join("events.jsonl")).is_ok_and(|text| text.contains("\"started\""))
    };
    sandbox.wait_until("a run that has begun", || journals().any(began));
}

fn write_script(folder: &Path, script: &str) {
    let path = folder.join("train.sh");
    fs::write(&path, format!("{PRELUDE}{script}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn outcome(sandbox: &Sandbox) -> RunOutcome {
    sandbox.study().runs[0].last_outcome.clone().expect("an attempt has ended")
}

/// Whether some process has these words in its command line.
fn is_running(words: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(words)
    })
}

#[test]
fn a_program_of_ones_own_is_an_arm_like_any_other() {
    let sandbox = sandbox(TRAINS, "", 20, 2);
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let rows = sandbox.curves();
    let value = |metric: &str, seed: u64, step: u64| {
        let row = rows.iter().find(|row| row.metric == metric && row.seed == seed && row.step == step).unwrap();
        (row.value, row.protocol.as_str(), row.images_seen)
    };
    assert_eq!(value("fid", 1, 15), (66.1, "measured by its trainer", 30));
    // The mean of 999.1, 998.1, .., 995.1.
    assert!((value("train_loss", 1, 5).0 - 997.1).abs() < 1e-9);
    assert!(rows.iter().all(|row| row.metric != "beta1"));
    let page = fs::read_to_string(sandbox.results().join("report/index.html")).unwrap();
    assert!(page.contains("./train.sh") && page.contains("That program states its training time"));
    let again = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert!(again.status.success());
    assert_eq!(sandbox.study().runs.iter().map(|run| run.attempts.len()).collect::<Vec<_>>(), [1, 1]);

    // Another program makes other runs, and one that changes under a sweep is found out.
    write_script(sandbox.path(), &format!("{TRAINS}\n# changed\n"));
    let plan = sandbox.speedlab(&["plan", "sweep.yaml"]);
    assert!(stdout(&plan).contains("2 runs, 0 done"), "{}", stdout(&plan));
}

#[test]
fn a_program_that_changed_since_it_was_planned_is_refused() {
    // The first run changes the program that the second is to be trained by.
    let script = format!("{TRAINS}\necho '# changed' >> train.sh\n");
    let sandbox = sandbox(&script, "", 5, 2);
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet", "--jobs", "1", "--retries", "0"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let states = sandbox.study().runs.iter().map(|run| run.state.clone()).collect::<Vec<_>>();
    assert!(matches!(&states[0], RunState::Ended(RunOutcome::Completed)), "{states:?}");
    let refused = sandbox.study().runs[1].last_outcome.clone().unwrap();
    assert!(refused.reason().unwrap().starts_with("changed since the sweep was planned: train.sh"), "{refused:?}");
}

#[test]
fn whatever_a_program_does_its_run_ends_with_a_clear_line_and_nothing_is_left_running() {
    let done = r#"say '{"event":"progress","step":20}'; say '{"event":"ended","outcome":"completed"}'"#;
    let cases: [(&str, String, &str, &str); 12] = [
        ("exits at once", "echo out of luck >&2; exit 3".into(), "crashed", "exited with status 3\nout of luck"),
        ("says nothing", "exit 0".into(), "crashed", "exited without saying how it ended"),
        (
            "goes backwards",
            r#"say '{"event":"progress","step":9}'; say '{"event":"progress","step":8}'; sleep 987"#.into(),
            "crashed",
            "its trainer breaks a rule: it reported step 8 after step 9",
        ),
        (
            "uses another seed",
            r#"say '{"event":"started","seed":77}'; sleep 987"#.into(),
            "crashed",
            "it started with seed 77, and the run's seed is 0",
        ),
        (
            "ends too early",
            r#"say '{"event":"progress","step":9}'; say '{"event":"ended","outcome":"completed"}'"#.into(),
            "crashed",
            "it said `completed` at step 9 of the 20 planned in `train.steps`",
        ),
        (
            "stops unasked",
            r#"say '{"event":"progress","step":9}'; say '{"event":"ended","outcome":"interrupted"}'"#.into(),
            "crashed",
            "its trainer said `interrupted` at step 9, and nobody had asked it to stop",
        ),
        (
            "gets not a number",
            r#"say '{"event":"progress","step":9,"loss":NaN}'; sleep 987"#.into(),
            "diverged",
            "the loss at step 9 is NaN",
        ),
        (
            "runs out of memory",
            "echo 'RuntimeError: CUDA out of memory. Tried to allocate 2 GiB' >&2; exit 1".into(),
            "out of memory",
            "CUDA out of memory",
        ),
        (
            "prints binary",
            format!(
                "head -c 3000000 /dev/urandom; head -c 200000 /dev/urandom > \"$SPEEDLAB_EVENTS\"; echo > \"$SPEEDLAB_EVENTS\"; {done}"
            ),
            "completed",
            "",
        ),
        ("leaves children", format!("sleep 987 & sleep 987 > \"$SPEEDLAB_EVENTS\" & {done}"), "completed", ""),
        ("is killed", "kill -KILL $$".into(), "crashed", "killed by signal 9"),
        (
            "asks for images that are not there",
            r#"say '{"event":"samples","step":5,"path":"nowhere.npz"}'; sleep 987"#.into(),
            "crashed",
            "the images of step 5 cannot be measured: nowhere.npz: No such file",
        ),
    ];
    for (what, script, word, reason) in cases {
        let sandbox = sandbox(&script, "", 20, 1);
        let began = Instant::now();
        let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet", "--retries", "0"]);
        let outcome = outcome(&sandbox);
        assert_eq!(outcome.word(), word, "{what}: {outcome:?} {}", stderr(&output));
        assert!(outcome.reason().unwrap_or_default().contains(reason), "{what}: {outcome:?}");
        assert!(!is_running("sleep 987"), "{what}");
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: {:?}", began.elapsed());
    }
}

#[test]
fn a_flood_of_words_is_cut_and_a_flood_of_lines_counted() {
    let script = r#"
yes 'all work and no play' | head -c 150000000
yes 'no event' | head -c 20000000 > "$SPEEDLAB_EVENTS"
echo > "$SPEEDLAB_EVENTS"
say '{"event":"progress","step":20}'; say '{"event":"ended","outcome":"completed"}'"#;
    let sandbox = sandbox(script, "", 20, 1);
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let run = &sandbox.study().runs[0].planned.run_id;
    let log = sandbox.results().join("runs").join(run.as_str()).join("log.txt");
    let length = fs::metadata(&log).unwrap().len();
    assert!((64 << 20..65 << 20).contains(&length), "{length}");
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("the trainer has printed 64 MiB; what follows is not kept"));
    assert_eq!(text.matches("a line of the trainer is no event").count(), 10);
    assert!(text.contains("lines of the trainer were no events"));
}

#[test]
fn a_program_that_ignores_the_word_to_stop_is_killed_after_its_grace() {
    let script = r#"trap '' TERM; say '{"event":"progress","step":1}'; while :; do sleep 0.1; done"#;
    let sandbox = sandbox(script, ", stop_grace: 0.3", 20, 1);
    let mut program = sandbox.start(&["run", "sweep.yaml", "--quiet"]);
    wait_for_start(&sandbox);
    send_signal("INT", program.id());
    let status = program.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    let outcome = outcome(&sandbox);
    assert!(outcome.reason().unwrap().contains("did not stop within 0.3 s of SIGTERM and was killed"), "{outcome:?}");
}

#[test]
fn a_program_does_not_outlive_a_killed_speedlab() {
    let sandbox = sandbox("sleep 789; true", "", 20, 1);
    let mut program = sandbox.start(&["run", "sweep.yaml", "--quiet"]);
    sandbox.wait_until("the trainer", || is_running("sleep 789"));
    for child in children_of(program.id()) {
        send_signal("KILL", child);
    }
    send_signal("KILL", program.id());
    program.wait().unwrap();
    sandbox.wait_until("the end of the trainer", || !is_running("sleep 789"));
}

#[test]
fn a_run_that_is_killed_again_and_again_records_what_an_undisturbed_one_does() {
    let steps = 120;
    let undisturbed = sandbox(TRAINS, "", steps, 1);
    assert!(undisturbed.speedlab(&["run", "sweep.yaml", "--quiet"]).status.success());
    let disturbed = sandbox(TRAINS, "", steps, 1);
    // Every measured value bit for bit. A mean of losses may be of fewer steps where a run was killed before it heard of some that lie before
    // the trainer's checkpoint: that there is one for each interval is what must hold.
    let values = |sandbox: &Sandbox| {
        let value = |metric: &str, value: f64| if metric == "train_loss" { 0 } else { value.to_bits() };
        let rows = sandbox.curves().into_iter();
        rows.map(|row| (row.step, value(&row.metric, row.value), row.metric, row.images_seen)).collect::<Vec<_>>()
    };
    let mut kills = 0;
    // Where a kill falls depends on the machine; the seed of the pauses does not.
    let mut pause = 7u64;
    for round in 0..40 {
        let mut program = disturbed.start(&["run", "sweep.yaml", "--quiet", "--retries", "0"]);
        pause = pause * 1_103_515_245 % 1_000_003;
        disturbed.wait_until("the trainer", || is_training(&disturbed) || program.try_wait().unwrap().is_some());
        std::thread::sleep(Duration::from_millis(60 + pause % 250));
        if program.try_wait().unwrap().is_some() {
            break;
        }
        let runs: Vec<u32> = children_of(program.id());
        let trainers: Vec<u32> = runs.iter().flat_map(|run| children_of(*run)).collect();
        match round % 3 {
            0 => trainers.iter().for_each(|trainer| send_signal("KILL", *trainer)),
            1 => runs.iter().for_each(|run| send_signal("KILL", *run)),
            _ => send_signal("INT", program.id()),
        }
        program.wait().unwrap();
        kills += 1;
    }
    disturbed.wait_until("nothing to be left", || !is_training(&disturbed));
    let output = disturbed.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(kills >= 3, "{kills}");
    let (found, all) = (values(&disturbed), values(&undisturbed));
    let starts: Vec<u64> = disturbed.study().runs[0].attempts.iter().map(|attempt| attempt.from_step).collect();
    // What the trainer said and nobody had read when its run was killed is not said again where its checkpoint is later, which a machine with much
    // else to do shows: such values lie directly before the start of an attempt. No other is missing, and none is there twice.
    let missing: Vec<_> = all.iter().filter(|value| !found.contains(value)).collect();
    for (step, _, metric, _) in &missing {
        let of_metric = || found.iter().filter(|value| value.2 == *metric);
        let is_before = |start: &u64| step <= start && !of_metric().any(|value| (*step..=*start).contains(&value.0));
        assert!(starts.iter().any(is_before), "{metric} of step {step}, starts from {starts:?}");
    }
    assert!(found.iter().all(|value| all.contains(value)) && found.len() + missing.len() == all.len(), "{found:?}");
}

#[test]
fn images_are_measured_by_the_sweeps_own_protocol() {
    let script = r#"
say '{"event":"started"}'
for step in 5 10; do
    say "{\"event\":\"samples\",\"step\":$step,\"path\":\"pictures\"}"
    read -r answer
    echo "answer $answer" >&2
done
say '{"event":"progress","step":20}'
say '{"event":"ended","outcome":"completed"}'"#;
    let sandbox = sandbox(script, "", 20, 1);
    let folder = sandbox.path().join("pictures");
    fs::create_dir(&folder).unwrap();
    for index in 0..4u32 {
        let image = image::GrayImage::from_fn(8, 8, |x, y| image::Luma([((x * 31 + y * (17 + index)) % 256) as u8]));
        image.save(folder.join(format!("{index}.png"))).unwrap();
    }
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let rows = sandbox.curves();
    let fid = rows.iter().find(|row| row.metric == "fid" && row.step == 10).unwrap();
    assert_eq!(fid.protocol, "digits-cnn n=4 ref=train:1442 resize=none generated by its trainer");
    let by_command = sandbox.speedlab(&["fid", "pictures", "digits", "--features", "digits-cnn", "--json"]);
    let by_command: serde_json::Value = serde_json::from_str(&stdout(&by_command)).unwrap();
    let expected = by_command["value"].as_f64().unwrap();
    assert!((fid.value / expected - 1.0).abs() < 1e-6, "{} {expected}", fid.value);
    let run = &sandbox.study().runs[0];
    assert_eq!(run.samples.len(), 2);
    assert!(run.samples.iter().all(|(_, path)| image::open(path).is_ok()));
    let log = sandbox.results().join("runs").join(run.planned.run_id.as_str()).join("log.txt");
    assert!(fs::read_to_string(log).unwrap().contains(r#"answer {"event":"measured","step":10,"measures":{"fid":"#));
}

/// What ended runs took is what others will take; and what is recorded is shown without the program.
#[test]
fn ended_runs_tell_the_time_of_others_and_are_reported_without_the_program() {
    let sandbox = sandbox(TRAINS, "", 20, 1);
    assert!(sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]).status.success());
    let plan = sandbox.speedlab(&["plan", "sweep.yaml", "--set", "seeds=2", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&stdout(&plan)).unwrap();
    let seconds = plan["runs"][1]["cost"]["train_seconds"].as_f64().unwrap();
    assert!(seconds >= 0.1 && plan["estimate"]["seconds_left"].as_f64().unwrap() > 0.0, "{plan}");
    assert!(plan["estimate"]["basis"].as_str().unwrap().contains("the run by a trainer of your own"), "{plan}");
    let output = sandbox.speedlab(&["preview", "sweep.yaml"]);
    assert!(stderr(&output).contains("cannot be known beforehand\nhint: "), "{}", stderr(&output));
    fs::remove_file(sandbox.path().join("train.sh")).unwrap();
    let output = sandbox.speedlab(&["report", "sweep.yaml"]);
    assert!(stderr(&output).contains("`speedlab report results/NAME`"), "{}", stderr(&output));
    for command in ["report", "status"] {
        let output = sandbox.speedlab(&[command, "results/tiny"]);
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

#[test]
fn a_program_that_is_not_there_is_refused_before_anything_runs() {
    let sandbox = Sandbox::new("base: { trainer: { command: [no-such-trainer, x] } }\n");
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.contains("the trainer of arm `baseline`, `no-such-trainer x`, cannot be started: no folder of PATH has"),
        "{text}"
    );
    assert!(text.contains("hint: ") && !sandbox.path().join("results/sweep/runs").exists(), "{text}");
}
