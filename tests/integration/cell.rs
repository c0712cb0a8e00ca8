//! One number of a report on the command line: shown, trained again, and compared with what was kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use speedlab::event::RunEvent;
use speedlab::plan::load_sweep;
use speedlab::record::{RunState, SweepFolder};

use crate::sandbox::{Sandbox, TINY, retrain, stderr, stdout};

/// Enough evaluations for a curve.
fn sweep() -> String {
    TINY.replace("every: 20", "every: 5").replace("steps: 60", "steps: 40")
}

fn json(sandbox: &Sandbox, args: &[&str]) -> Value {
    let output = sandbox.speedlab(&[args, &["--json"]].concat());
    serde_json::from_str(&stdout(&output)).unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)))
}

/// The id of a number of `clts`.
fn id_of(sandbox: &Sandbox, kind: &str) -> String {
    let list = json(sandbox, &["cell", "--list", "sweep.yaml"]);
    let cells = list["cells"].as_array().expect("a list");
    let is = |cell: &&Value| cell["kind"] == kind && cell["what"].as_str().is_some_and(|what| what.contains("clts"));
    cells.iter().find(is).expect("the number is there")["id"].as_str().expect("an id").to_owned()
}

/// Every file below a folder and what it holds.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn visit(folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            match path.is_dir() {
                true => visit(&path, found),
                false => drop(found.insert(path.display().to_string(), fs::read(&path).expect("readable"))),
            }
        }
    }
    let mut found = BTreeMap::new();
    visit(folder, &mut found);
    found
}

#[test]
fn a_number_is_shown_trained_again_and_judged() {
    let sandbox = Sandbox::new(&sweep());
    // One run alone, then the others.
    let plan = load_sweep(&sandbox.path().join("sweep.yaml"), &[]).expect("a plan");
    let only = plan.runs[1].run_id.as_str();
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet", "--only", &only[..6]]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let ended = |sandbox: &Sandbox| {
        let runs = sandbox.study().runs.into_iter().filter(|run| matches!(run.state, RunState::Ended(_)));
        runs.map(|run| run.planned.run_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ended(&sandbox), [only]);
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet", "--only", "ghost"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("0 runs of `tiny` have an id that begins with `ghost`"), "{}", stderr(&output));
    assert_eq!(sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]).status.code(), Some(0));
    assert_eq!(ended(&sandbox).len(), 4);

    let id = id_of(&sandbox, "band");
    let output = sandbox.speedlab(&["cell", &id.to_uppercase()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for run in &sandbox.study().runs {
        assert!(text.contains(run.planned.run_id.as_str()), "{text}");
    }
    for part in
        ["speedup of clts over baseline in training images", "seed 1", "By seed", "S = exp(mean_s r_s)", "completed"]
    {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    assert!(text.contains(&format!("speedlab cell {id} results/tiny --rerun")), "{text}");
    assert_eq!(json(&sandbox, &["cell", &id])["number"], json(&sandbox, &["cell", &id, "results/tiny"])["number"]);

    let before = contents(&sandbox.results());
    let output = sandbox.speedlab(&["cell", &id, "--rerun", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(
        text.contains(&format!("{id} holds: all ")) && text.contains("have the same bits, and so has the number"),
        "{text}"
    );
    assert!(contents(&sandbox.results()) == before, "the study was touched");
    let again = sandbox.path().join("results/reruns").join(&id).join("tiny/runs");
    assert_eq!(fs::read_dir(&again).expect("the new records").count(), 4);

    // A record that says something else does not hold, and nothing is trained a second time.
    let own = sandbox.results().join("runs").join(plan.runs[1].run_id.as_str());
    let change = |build: Option<&'static str>| {
        move |event: &mut RunEvent| match event {
            RunEvent::Evaluated { measures, .. } => measures.iter_mut().for_each(|measure| measure.value *= 1.01),
            RunEvent::Started(started) => {
                if let Some(build) = build {
                    started.build = build.to_owned();
                }
            }
            _ => {}
        }
    };
    retrain(&own, change(None));
    let output = sandbox.speedlab(&["cell", &id, "sweep.yaml", "--rerun", "--quiet"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("does not hold: the device and the program are the same, and yet of run"),
        "{}",
        stdout(&output)
    );
    // Of another build it is judged by its interval.
    retrain(&own, change(Some("another")));
    let found = json(&sandbox, &["cell", &id, "sweep.yaml", "--rerun", "--quiet"]);
    assert_eq!((&found["same_bits"], &found["same_bits_are_due"]), (&false.into(), &false.into()));
    assert!(found["verdict"].as_str().expect("a sentence").contains("interval of before"), "{found}");

    // Never in place, and never into another plan's folder.
    for into in ["results", "results/tiny", "results/tiny/runs"] {
        let output = sandbox.speedlab(&["cell", &id, "--rerun", "--into", into]);
        assert_eq!(output.status.code(), Some(2), "{into}: {}", stderr(&output));
        assert!(stderr(&output).contains("holds the records that they are compared with"), "{}", stderr(&output));
    }
    let plan = fs::read_to_string(sandbox.results().join("plan.json")).expect("a plan");
    let other =
        sandbox.speedlab(&["run", "sweep.yaml", "--set", "seeds=1", "--results", "other", "--only", only, "--quiet"]);
    assert_eq!(other.status.code(), Some(0), "{}", stderr(&other));
    let output = sandbox.speedlab(&["cell", &id, "--rerun", "--into", "other"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("other/tiny holds another plan of this name"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(sandbox.results().join("plan.json")).expect("a plan"), plan);
}

/// A table of two arms, three seeds and forty evaluations each.
fn imported() -> Sandbox {
    let sandbox = Sandbox::new("");
    let mut table = "arm,seed,step,fid\n".to_owned();
    for (arm, speed) in [("base", 1.0), ("fast", 1.6)] {
        for seed in 0..3 {
            for step in (10..=400).step_by(10) {
                let progress = speed * f64::from(step) * (1.0 + 0.01 * f64::from(seed));
                table.push_str(&format!("{arm},{seed},{step},{}\n", 3.0 + 400.0 / (1.0 + progress / 10.0)));
            }
        }
    }
    fs::write(sandbox.path().join("curves.csv"), table).expect("a table");
    let output = sandbox.speedlab(&[
        "import",
        "curves.csv",
        "--baseline",
        "base",
        "--map",
        "arm=arm",
        "seed=seed",
        "step=step",
        "fid=fid",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    sandbox
}

#[test]
fn an_unknown_id_names_those_near_it_and_imported_runs_are_not_trained() {
    let sandbox = imported();
    let list = stdout(&sandbox.speedlab(&["cell", "--list", "results/curves"]));
    let line =
        list.lines().find(|line| line.contains("band") && line.contains("in training images")).expect("a number");
    let id = line.split_whitespace().next().expect("its id");
    let slip = format!("{}{}", &id[..5], if id.ends_with('z') { 'y' } else { 'z' });
    let output = sandbox.speedlab(&["cell", &slip, "results/curves"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains(&format!("`curves` has no number with the id `{slip}`; near it are:\n  {id} (speedup of fast")),
        "{said}"
    );
    assert!(said.contains("speedlab cell --list results/curves"), "{said}");
    let output = sandbox.speedlab(&["cell", "000000"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no report in results has a number with the id `000000`"), "{}", stderr(&output));
    assert_eq!(sandbox.speedlab(&["cell"]).status.code(), Some(2));
    assert_eq!(sandbox.speedlab(&["cell", "--list"]).status.code(), Some(2));
    // One or all: which of the two is not guessed.
    for args in [["cell", id, "results/curves", "--list"], ["cell", "--list", "results/curves", id]] {
        let output = sandbox.speedlab(&args);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(said.contains(&format!("`{id}` asks for one number, and --list for all")), "{said}");
        assert!(said.contains(&format!("`speedlab cell {id} results/curves` shows the one")), "{said}");
        assert!(said.contains("`speedlab cell --list results/curves` lists all"), "{said}");
    }
    for word in [id, "nope"] {
        let output = sandbox.speedlab(&["cell", "--list", word]);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(said.contains(&format!("there is no study `{word}`")), "{said}");
        assert!(said.contains(&format!("`speedlab cell {word}` shows its number")), "{said}");
    }

    let shown = sandbox.speedlab(&["cell", id, "results/curves"]);
    assert!(stdout(&shown).contains("nothing here can: its runs were imported"), "{}", stdout(&shown));
    let output = sandbox.speedlab(&["cell", id, "results/curves", "--rerun"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("was imported, and what trained it is not known here"), "{}", stderr(&output));
    assert!(!sandbox.path().join("results/reruns").exists());
}

#[test]
fn kept_numbers_are_compared_and_nothing_is_written() {
    let sandbox = imported();
    let folder = sandbox.path().join("results/curves");
    fs::copy(folder.join("report/speedups.json"), sandbox.path().join("expected.json")).expect("a copy");
    let check =
        |args: &[&str]| sandbox.speedlab(&[&["report", "results/curves", "--check", "expected.json"], args].concat());
    let before = contents(&folder);
    let output = check(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("all ") && stdout(&output).contains("numbers agree with expected.json"));

    let path = sandbox.path().join("expected.json");
    let text = fs::read_to_string(&path).expect("kept");
    let mut kept: Value = serde_json::from_str(&text).expect("JSON");
    let speedup = &mut kept["points"][0]["arms"][1]["speedups"]["images_seen"];
    let (value, id) =
        (speedup["speedup"].as_f64().expect("a number"), speedup["cell"].as_str().expect("an id").to_owned());
    speedup["speedup"] = (value * 1.001).into();
    speedup["verdict"] = "undecided".into();
    fs::write(&path, kept.to_string()).expect("kept");
    let output = check(&[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    let expected =
        format!("points.arms[fast].speedups.images_seen.speedup: kept {}, now {value} (cell {id})", value * 1.001);
    assert!(said.contains(&expected) && said.contains("2 differences from expected.json"), "{said}");
    let output = check(&["--within", "0.01"]);
    assert_eq!(output.status.code(), Some(1), "a verdict is no number");
    assert!(
        stdout(&output).contains("verdict: kept \"undecided\", now \"faster\"")
            && stdout(&output).contains("1 difference from")
    );
    assert_eq!(check(&["--within", "2"]).status.code(), Some(2));

    for (wrong, says) in [
        ("{", "it is not JSON"),
        ("[]", "it has no `version`"),
        ("{\"version\": 99}", "it was written by a newer speedlab (format 99"),
        ("{\"version\": 2, \"sweep\": \"other\", \"points\": []}", "it is of the study `other`, and this is `curves`"),
    ] {
        fs::write(&path, wrong).expect("kept");
        let output = check(&[]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(stderr(&output).contains("expected.json") && stderr(&output).contains(says), "{}", stderr(&output));
    }
    fs::remove_file(&path).expect("it is there");
    assert_eq!(check(&[]).status.code(), Some(2));
    assert!(contents(&folder) == before, "something was written");
}

#[test]
fn labels_may_change_when_the_runs_are_done() {
    let sandbox = imported();
    let sweep = sandbox.path().join("results/curves/sweep.yaml");
    let file = sandbox.path().join("results/curves/plan.json");
    let (plan, runs) = (fs::read(&file).expect("a plan"), contents(&sandbox.path().join("results/curves/runs")));
    let ids = |sandbox: &Sandbox| {
        let list = stdout(&sandbox.speedlab(&["cell", "--list", "results/curves/sweep.yaml"]));
        list.lines().map(|line| line.split_whitespace().next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let before = ids(&sandbox);
    let labels = "labels: { arms: { fast: \"Ours (fast)\" } }\n";
    fs::write(&sweep, fs::read_to_string(&sweep).expect("a sweep") + labels).expect("writable");
    let output = sandbox.speedlab(&["report", "results/curves/sweep.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("Ours (fast) is faster than base"), "{}", stdout(&output));
    assert!(!stderr(&output).contains("no longer the one"), "{}", stderr(&output));
    assert_eq!(ids(&sandbox), before);
    assert!(!stderr(&output).contains("were not kept"), "{}", stderr(&output));
    // A report of the folder alone has the same labels. Of the plan nothing else changed, and of the runs nothing at all.
    let output = sandbox.speedlab(&["report", "results/curves"]);
    assert!(stdout(&output).contains("Ours (fast) is faster than base"), "{}", stdout(&output));
    let value = |text: &[u8]| -> Value { serde_json::from_slice(text).expect("JSON") };
    let (mut now, before) = (value(&fs::read(&file).expect("a plan")), value(&plan));
    let labels = now["plan"].as_object_mut().expect("a map").remove("labels");
    assert_eq!(labels.expect("they are kept")["arms"]["fast"]["label"], "Ours (fast)");
    assert_eq!((&now["plan"], &now["revisions"]), (&before["plan"], &before["revisions"]));
    assert!(contents(&sandbox.path().join("results/curves/runs")) == runs, "the records changed");

    // While another process has the sweep, the report is as good.
    let changed = fs::read_to_string(&sweep).expect("a sweep").replace("Ours (fast)", "Theirs");
    fs::write(&sweep, changed).expect("writable");
    let kept = fs::read(&file).expect("a plan");
    let folder = SweepFolder { path: sandbox.path().join("results/curves") };
    let lock = folder.lock().expect("nobody has it");
    let output = sandbox.speedlab(&["report", "results/curves/sweep.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("Theirs is faster than base"), "{}", stdout(&output));
    assert!(stderr(&output).contains("these labels were not kept"), "{}", stderr(&output));
    assert!(stderr(&output).contains("another process works on the sweep"), "{}", stderr(&output));
    assert!(fs::read(&file).expect("a plan") == kept);
    drop(lock);

    // Of a sweep that was edited since, labels that the frozen plan cannot have are named, and neither shown nor kept.
    let fast = "\"fast\":{\"params\":";
    let edited = fs::read_to_string(&sweep).expect("a sweep").replace("\"Theirs\"", "\"Theirs\", later: \"Newest\"");
    let edited = edited.replace(fast, &format!("\"later\":{{\"train\":{{\"steps\":400}}}},{fast}"));
    fs::write(&sweep, edited).expect("writable");
    let output = sandbox.speedlab(&["report", "results/curves/sweep.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("Theirs is faster than base"), "{}", stdout(&output));
    let said = stderr(&output);
    assert!(
        said.contains("do not fit the frozen plan are left out: `Newest` of `later`, which is no arm of it."),
        "{said}"
    );
    let labels = value(&fs::read(&file).expect("a plan"))["plan"]["labels"]["arms"].take();
    assert_eq!(labels, serde_json::json!({ "fast": { "label": "Theirs" } }));
}
