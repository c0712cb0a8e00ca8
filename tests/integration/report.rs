//! Reports of made-up studies whose truth is known.

mod synthetic;

use std::fs;
use std::path::Path;

use speedlab::event::RunOutcome;
use speedlab::record::{CurveRow, Revision, RunState, StudyRecord};
use speedlab::report::{
    Bracket, Comparison, Cost, Estimate, NoSpeedup, Pairing, SeedTime, Speedup, TimeToTarget, Verdict, final_measures,
    speedup, write,
};
use speedlab::spec::{EvaluatedWeights, FurtherMeasure, Metric, Target};
use synthetic::{Synthetic, cut, draw_samples};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A study whose runs are evaluated so often, and whose target is reached so early, that every run reaches it.
fn reaching() -> StudyRecord {
    let mut study = Synthetic { every: 20, spread: 0.03, ..Synthetic::default() }.study(Path::new("results/synthetic"));
    study.plan.compare.as_mut().expect("it compares").target = Target::Value { value: 25.0 };
    study
}

/// The speedup of an arm at the only grid point.
fn found<'a>(comparison: &'a Comparison, arm: &str, cost: usize) -> &'a Result<Speedup, NoSpeedup> {
    let arm = comparison.points[0].arms.iter().find(|other| other.arm == arm).expect("the arm is planned");
    &arm.contrast.speedups[cost]
}

fn indices(study: &StudyRecord, arm: &str) -> Vec<usize> {
    (0..study.runs.len()).filter(|&index| study.runs[index].planned.arm == arm).collect()
}

#[test]
fn ratios_and_intervals_are_scipys() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("../golden/speedup.json")).expect("JSON");
    for (kind, offset) in [("paired", 0), ("welch", 1000)] {
        let cases = golden[kind].as_array().expect("a list");
        assert_eq!(cases.len(), 6);
        for case in cases {
            let times = |key: &str, offset: u64| -> Vec<SeedTime> {
                let times = case[key].as_array().expect("a list").iter().map(|time| time.as_f64().expect("a number"));
                times
                    .enumerate()
                    .map(|(seed, at)| {
                        // Brackets so narrow that they add nothing to the variance.
                        let bracket = Bracket { before: at * (1.0 - 1e-12), at };
                        SeedTime {
                            seed: seed as u64 + offset,
                            time: TimeToTarget::Reached { bracket, interpolated: None },
                        }
                    })
                    .collect()
            };
            let result = speedup(&times("baseline", 0), &times("candidate", offset));
            assert_eq!(matches!(result.pairing, Pairing::Paired { .. }), kind == "paired");
            let Estimate::Measured { speedup, interval: Some(interval), .. } = result.estimate else {
                panic!("{kind}: {result:?}")
            };
            for (value, key) in [(speedup, "ratio"), (interval.low, "low"), (interval.high, "high")] {
                let expected = case[key].as_f64().expect("a number");
                assert!((value / expected - 1.0).abs() < 1e-9, "{kind} {key}: {value} is not {expected}");
            }
        }
    }
}

#[test]
fn a_true_speedup_is_found_and_none_is_found_where_there_is_none() {
    let study = reaching();
    let comparison = Comparison::of(&study);
    for (arm, truth, step_cost, verdict) in [
        ("clts", 1.55, 1.03, Verdict::Faster),
        ("clts+mdlrc", 1.9, 1.03, Verdict::Faster),
        ("same-lr", 1.0, 1.0, Verdict::NotDistinguishable),
    ] {
        for (cost, truth) in [(0, truth), (1, truth / step_cost)] {
            let speedup = found(&comparison, arm, cost).as_ref().expect("it is compared");
            let Estimate::Measured { interval: Some(interval), .. } = speedup.estimate else {
                panic!("{arm}: {speedup:?}")
            };
            assert!(interval.low < truth && truth < interval.high, "{arm}: {truth} is not in {interval:?}");
            assert_eq!(speedup.verdict, verdict, "{arm}");
            assert_eq!(speedup.pairing, Pairing::Paired { n: 3 });
        }
    }
    assert_eq!(*found(&comparison, "baseline", 0), Err(NoSpeedup::IsBaseline));
}

#[test]
fn a_run_that_diverged_is_censored_and_said_and_never_dropped() {
    let mut study = reaching();
    let diverged = indices(&study, "clts")[1];
    let outcome = RunOutcome::Diverged { reason: "the loss is NaN at step 41".into() };
    cut(&mut study.runs[diverged], 40, RunState::Ended(outcome.clone()));
    let comparison = Comparison::of(&study);
    let speedup = found(&comparison, "clts", 0).as_ref().expect("it is compared");
    assert!(matches!(speedup.estimate, Estimate::AtMost(_)), "{speedup:?}");
    // Without even one evaluation there is not even a bound.
    cut(&mut study.runs[diverged], 0, RunState::Ended(outcome));
    let comparison = Comparison::of(&study);
    let speedup = found(&comparison, "clts", 0).as_ref().expect("it is compared");
    assert!(matches!(speedup.estimate, Estimate::Unknown(_)), "{speedup:?}");
    let folder = folder();
    let report = write(&study, folder.path()).expect("a report");
    assert!(report.summary.contains("Runs of clts: 1 of 3 diverged."), "{}", report.summary);
    let page = fs::read_to_string(&report.page).expect("the page");
    assert!(page.contains("diverged: the loss is NaN at step 41"), "the reason is on the page");
}

#[test]
fn a_target_that_some_runs_never_reach_gives_bounds_and_a_common_target() {
    let study = Synthetic { every: 20, spread: 0.03, ..Synthetic::default() }.study(Path::new("results/synthetic"));
    let comparison = Comparison::of(&study);
    let arm = comparison.points[0].arms.iter().find(|arm| arm.arm == "clts").expect("planned");
    let speedup = arm.contrast.speedups[0].as_ref().expect("it is compared");
    match speedup.estimate {
        Estimate::AtLeast(bound) => assert!((1.2..1.6).contains(&bound), "{bound}"),
        other => panic!("{other:?}"),
    }
    let (target, speedups) = arm.contrast.common.as_ref().expect("every run has values");
    let final_target = comparison.points[0].target.as_ref().expect("compared").as_ref().expect("completed").value;
    assert!(*target >= final_target);
    let common = speedups[0].as_ref().expect("it is compared");
    let Estimate::Measured { interval: Some(interval), .. } = common.estimate else { panic!("{common:?}") };
    assert!(interval.low < 1.55 && 1.55 < interval.high, "{interval:?}");
}

#[test]
fn different_protocols_and_devices_are_never_compared_silently() {
    let mut study = reaching();
    for index in indices(&study, "mdlrc") {
        for row in study.runs[index].rows.iter_mut().filter(|row| row.metric == "fid") {
            row.protocol = row.protocol.replace("nfe=20", "nfe=50");
        }
    }
    let other = indices(&study, "clts")[2];
    study.runs[other].attempts[0].device = "cuda:0: NVIDIA H100".into();
    let comparison = Comparison::of(&study);
    assert!(matches!(found(&comparison, "mdlrc", 0), Err(NoSpeedup::ProtocolsDiffer { .. })));
    assert!(found(&comparison, "clts", 0).is_ok());
    let Err(NoSpeedup::DevicesDiffer { devices }) = found(&comparison, "clts", 1) else { panic!("devices differ") };
    assert_eq!(*devices, [synthetic::DEVICE, "cuda:0: NVIDIA H100"]);
    let folder = folder();
    let summary = write(&study, folder.path()).expect("a report").summary;
    assert!(summary.contains("mdlrc: not compared: measured by different protocols"), "{summary}");
    assert!(
        summary.contains("timed on different devices (cpu: AMD EPYC 9R14, 1 thread; cuda:0: NVIDIA H100)"),
        "{summary}"
    );
    // Both protocols are written out, and every value says which is its own.
    let page = std::fs::read_to_string(folder.path().join("index.html")).expect("a page");
    for expected in ["fid protocol 1</dt>", "fid protocol 2</dt>", "nfe=50", "by another protocol", "<sup>2</sup>"] {
        assert!(page.contains(expected), "{expected}");
    }
    // A pair on another device is as good as any: seed 2's baseline on the same one.
    let baseline = indices(&study, "baseline")[2];
    study.runs[baseline].attempts[0].device = "cuda:0: NVIDIA H100".into();
    assert!(found(&Comparison::of(&study), "clts", 1).is_ok());
}

#[test]
fn whatever_is_missing_is_said_and_is_no_error() {
    let not_started = |study: &mut StudyRecord, keep: &dyn Fn(&str) -> bool| {
        for run in study.runs.iter_mut().filter(|run| !keep(&run.planned.arm)) {
            cut(run, 0, RunState::Waiting);
            run.attempts.clear();
        }
    };
    type Change<'a> = &'a dyn Fn(&mut StudyRecord);
    let cases: [(&str, Change, &str, &str); 5] = [
        (
            "nothing has started",
            &|study| not_started(study, &|_| false),
            "none of its 3 runs has completed",
            "no run has started",
        ),
        (
            "only the baseline has run",
            &|study| not_started(study, &|arm| arm == "baseline"),
            "clts has measured nothing yet",
            "fid_images_seen.svg",
        ),
        (
            "there is no baseline run",
            &|study| not_started(study, &|arm| arm != "baseline"),
            "baseline has measured nothing yet",
            "fid_images_seen.svg",
        ),
        (
            "nothing is compared",
            &|study| study.plan.compare = None,
            "All 15 runs are finished.",
            "section, so it asks for no speedup",
        ),
        (
            "the plan is empty",
            &|study| (study.plan.runs, study.runs) = (vec![], vec![]),
            "The plan has no runs.",
            "The plan has no runs.",
        ),
    ];
    for (case, change, in_summary, on_page) in cases {
        let mut study = Synthetic::default().study(Path::new("results/synthetic"));
        change(&mut study);
        let folder = folder();
        let report = write(&study, &folder.path().join("report")).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(report.summary.contains(in_summary), "{case}: {}", report.summary);
        let page = fs::read_to_string(&report.page).expect("the page");
        assert!(page.contains(on_page), "{case}: `{on_page}` is not on the page");
        assert!(report.files.iter().all(|file| file.is_file()), "{case}");
    }
}

#[test]
fn values_that_are_not_numbers_neither_count_nor_break_a_figure() {
    let mut study = reaching();
    let sick = indices(&study, "mdlrc")[0];
    for (index, row) in study.runs[sick].rows.iter_mut().enumerate() {
        row.value = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0][index % 5];
    }
    let all_nan = indices(&study, "same-lr");
    for index in all_nan {
        study.runs[index].rows.iter_mut().for_each(|row| row.value = f64::NAN);
    }
    let folder = folder();
    let report = write(&study, folder.path()).expect("a report");
    let json = fs::read_to_string(folder.path().join("speedups.json")).expect("a table");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON has no NaN");
    assert_eq!(json["version"], 1);
    for file in report.files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "svg")) {
        let svg = fs::read_to_string(file).expect("a figure");
        assert!(!svg.contains("NaN") && !svg.contains("2147483647"), "{}", file.display());
    }
}

#[test]
fn the_same_records_give_the_same_bytes_on_any_number_of_threads() {
    let samples = folder();
    let mut study = Synthetic { channels: vec![16, 32], ..Synthetic::default() }.study(samples.path());
    draw_samples(&mut study, samples.path());
    let (first, second) = (folder(), folder());
    let report = write(&study, first.path()).expect("a report");
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    one.install(|| write(&study, second.path())).expect("a report");
    assert_eq!(report.files.len(), 5 + 2 * (1 + 2 * 9 + 2 * 2) + 1);
    for file in report.files {
        let name = file.file_name().expect("a file");
        assert!(fs::read(&file).expect("written") == fs::read(second.path().join(name)).expect("written"), "{name:?}");
    }
    // Written beside and renamed: nothing else is left.
    let left: Vec<_> =
        fs::read_dir(first.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".new")), "{left:?}");
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let samples = folder();
    let mut study = Synthetic::default().study(samples.path());
    draw_samples(&mut study, samples.path());
    study.plan.question = "Is <b>a & b</b> \"sooner\"?".into();
    let report = write(&study, &samples.path().join("report")).expect("a report");
    let page = fs::read_to_string(report.page).expect("the page");
    for absent in ["<script", "<link", "@import", "src=\"http", "href=\"http", "url(http", "<b>a & b</b>"] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert!(page.contains("src:url(data:font/ttf;base64,"));
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 25, "five grids of five arms");
    assert_eq!(page.matches("<svg role=\"img\"").count(), 12);
    assert_eq!(page.matches("<img alt=\"").count(), 25, "every image says what it shows");
    assert!(page.contains("claims to test"));
    assert!(page.contains("speedlab run sweeps/synthetic.yaml"));
    assert!(page.contains("every timestep equally often"));
}

#[test]
fn a_plan_that_was_changed_after_results_and_a_crash_that_may_go_on_are_said() {
    let mut study = reaching();
    study.revisions.push(Revision {
        changed_at: "2026-11-22T12:00:00Z".into(),
        changes: vec!["`compare` was null and is something".into()],
        runs_ended_before: 4,
        changes_the_answer: true,
    });
    let crashed = indices(&study, "mdlrc")[0];
    cut(&mut study.runs[crashed], 900, RunState::Unfinished);
    study.runs[crashed].last_outcome = Some(RunOutcome::Crashed { reason: "signal 9".into() });
    let folder = folder();
    let report = write(&study, folder.path()).expect("a report");
    assert!(report.summary.contains("The plan was changed after runs had ended"), "{}", report.summary);
    assert!(report.summary.contains("Runs of mdlrc: 1 of 3 crashed."), "{}", report.summary);
    let page = fs::read_to_string(report.page).expect("the page");
    assert!(page.contains("after 4 runs had ended: `compare` was null and is something"));
    assert!(page.contains("crashed: signal 9"));
}

#[test]
fn a_grid_that_cannot_be_read_is_named() {
    let mut study = Synthetic::default().study(Path::new("results/synthetic"));
    study.runs[0].samples.push((2000, "samples/000002000.png".into()));
    let folder = folder();
    let page = fs::read_to_string(write(&study, folder.path()).expect("a report").page).expect("the page");
    assert!(page.contains("cannot read 000002000.png: No such file or directory"));
}

#[test]
fn a_report_that_cannot_be_written_says_where() {
    let folder = folder();
    let file = folder.path().join("report");
    fs::write(&file, "in the way").expect("a file");
    let study = Synthetic::default().study(folder.path());
    let error = write(&study, &file).expect_err("a file is in the way").to_string();
    assert_eq!(
        error,
        format!("cannot write the report: cannot make the folder {}: File exists (os error 17)", file.display())
    );
}

#[test]
fn hundreds_of_runs_are_drawn_in_reasonable_time() {
    let channels = (1..=20).map(|width| 8 * width).collect();
    let study = Synthetic { channels, ..Synthetic::default() }.study(Path::new("results/synthetic"));
    assert_eq!(study.runs.len(), 300);
    let folder = folder();
    let start = std::time::Instant::now();
    write(&study, folder.path()).expect("a report");
    // 25 s on two busy cores; the bound is for machines that do more besides.
    assert!(start.elapsed().as_secs() < 180, "{:?}", start.elapsed());
}

/// With `SPEEDLAB_UPDATE_GOLDEN=1` in the environment the files are written instead: read the difference before committing.
#[test]
fn the_tables_are_exactly_these() {
    let mut study = Synthetic { every: 50, spread: 0.03, ..Synthetic::default() }.study(Path::new("results/synthetic"));
    let same_lr = indices(&study, "same-lr");
    cut(&mut study.runs[same_lr[1]], 900, RunState::Unfinished);
    cut(&mut study.runs[same_lr[2]], 300, RunState::Ended(RunOutcome::Diverged { reason: "the loss is NaN".into() }));
    let metric = study.plan.compare.as_ref().map(|compare| compare.metric);
    assert_eq!(metric, Some(Metric::Fid));
    let folder = folder();
    let report = write(&study, folder.path()).expect("a report");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/report");
    let tables = ["speedups.md", "speedups.csv", "speedups.tex"];
    let read = |name: &str| (name.to_owned(), fs::read_to_string(folder.path().join(name)).expect("a table"));
    let mut texts: Vec<(String, String)> = tables.into_iter().map(read).collect();
    texts.push(("summary.txt".to_owned(), report.summary));
    for (name, text) in texts {
        if std::env::var_os("SPEEDLAB_UPDATE_GOLDEN").is_some() {
            fs::write(golden.join(&name), &text).expect("the golden file can be written");
        }
        let expected = fs::read_to_string(golden.join(&name)).expect("the golden file");
        assert_eq!(text, expected, "{name}");
    }
}

#[test]
fn the_speedup_at_every_target_holds_the_studys_own() {
    let study = reaching();
    let comparison = Comparison::of(&study);
    let arm = comparison.points[0].arms.iter().find(|arm| arm.arm == "clts").expect("planned");
    for (index, _) in Cost::ALL.iter().enumerate() {
        let curve = &arm.target_curves[index];
        assert_eq!(curve.len(), 64);
        assert!(curve.windows(2).all(|pair| pair[1].0 < pair[0].0), "from easy to hard");
        let (low, high) = (curve[63].0, curve[0].0);
        assert!(low < 25.0 && 25.0 < high);
    }
}

#[test]
fn a_pair_is_compared_as_an_arm_with_the_baseline_and_stands_in_every_table() {
    let mut study = reaching();
    let comparison = Comparison::of(&study);
    let pair = &comparison.points[0].pairs[0];
    assert_eq!((pair.arm, pair.against), ("mdlrc", "same-lr"));
    let paired: Vec<_> = pair.contrast.speedups.to_vec();
    let estimate = paired[0].as_ref().expect("it is compared").estimate;
    assert!(matches!(estimate, Estimate::Measured { interval: Some(_), .. }), "{estimate:?}");

    let folder = folder();
    let report = write(&study, folder.path()).expect("a report");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("it is written");
    assert!(report.summary.contains("\n  mdlrc against same-lr  "), "{}", report.summary);
    for name in ["speedups.md", "speedups.tex", "index.html", "speedups.svg"] {
        assert!(read(name).contains("mdlrc against same-lr"), "{name}");
    }
    assert!(read("speedups.csv").contains("\n,mdlrc,same-lr,false,images_seen,"));
    let json: serde_json::Value = serde_json::from_str(&read("speedups.json")).expect("JSON");
    let in_json = &json["points"][0]["pairs"][0];
    assert_eq!((&in_json["arm"], &in_json["against"]), (&"mdlrc".into(), &"same-lr".into()));
    assert!(in_json["speedups"]["images_seen"]["interval"]["low"].is_f64());

    let compare = study.plan.compare.as_mut().expect("it compares");
    (compare.baseline, compare.pairs) = ("same-lr".to_owned(), vec![]);
    let with_other_baseline = Comparison::of(&study);
    assert!(with_other_baseline.points[0].pairs.is_empty());
    for (cost, result) in paired.iter().enumerate() {
        assert_eq!(found(&with_other_baseline, "mdlrc", cost), result);
    }
}

/// A study whose evaluations also have a KID and measure the raw weights, whose FID is twice the averaged ones'.
fn measured_twice() -> StudyRecord {
    let mut study = reaching();
    for run in &mut study.runs {
        run.planned.spec.evaluate.measures = [FurtherMeasure::Kid, FurtherMeasure::PrecisionRecall].into();
        run.planned.spec.evaluate.weights = EvaluatedWeights::Both;
        let fids: Vec<_> = run.rows.iter().filter(|row| row.metric == "fid").cloned().collect();
        for mut row in fids {
            for (metric, factor) in [("kid", 0.01), ("kid_se", 0.001), ("precision", 0.02)] {
                let (metric, protocol) = (metric.to_owned(), format!("{} subsets=15x1000", row.protocol));
                run.rows.push(CurveRow { metric, protocol, value: factor * row.value, ..row.clone() });
            }
            row.protocol = row.protocol.replace("ema=0.999", "raw");
            row.value *= 2.0;
            run.rows.push(row);
        }
    }
    for run in study.plan.runs.iter_mut() {
        run.spec.evaluate.weights = EvaluatedWeights::Both;
    }
    study
}

#[test]
fn what_is_measured_beside_the_metric_has_its_own_columns_and_changes_no_comparison() {
    let (study, alone) = (measured_twice(), reaching());
    let (comparison, without) = (Comparison::of(&study), Comparison::of(&alone));
    for (arm, other) in comparison.points[0].arms.iter().zip(&without.points[0].arms) {
        assert_eq!((&arm.final_values, &arm.contrast.speedups), (&other.final_values, &other.contrast.speedups));
        assert!(arm.runs.iter().all(|run| run.other_protocols.is_empty()));
    }
    let found = final_measures(&comparison, &comparison.points[0]).expect("there are more");
    let columns: Vec<_> = found.columns.iter().map(|column| (column.metric, column.protocol_number)).collect();
    assert_eq!(columns, [("fid", 1), ("fid", 2), ("kid", 3), ("precision", 3), ("validation_loss", 4)]);
    let (_, baseline) = &found.rows[0];
    let median = |column: usize| baseline[column].expect("completed").spread.median;
    assert_eq!(median(1), 2.0 * median(0));
    assert_eq!(baseline[0].expect("completed").spread, without.points[0].arms[0].final_values.expect("completed"));
    let (kid, fid) = (baseline[2].expect("completed"), median(0));
    assert!((kid.uncertainty.expect("it has one") / (0.001 * fid) - 1.0).abs() < 1e-12);
    assert_eq!(baseline[3].expect("completed").uncertainty, None);

    let folder = folder();
    let report = write(&study, folder.path()).expect("a report");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("it is written");
    let markdown = read("speedups.md");
    assert!(
        markdown
            .contains("| measure | protocol | baseline | clts | mdlrc | same-lr | clts+mdlrc |\n| --- | --- | --- |")
            && markdown.contains("\n| FID (digits-cnn) ↓ | 2 | ")
            && markdown.contains("\n| precision ↑ | 3 | "),
        "{markdown}"
    );
    assert!(markdown.contains("\n2. `digits-cnn n=1000 ref=train:1437 resize=none ddim nfe=20 raw`\n"), "{markdown}");
    let page = fs::read_to_string(&report.page).expect("the page");
    assert!(
        page.contains("Every measure at the end")
            && page.contains("<th class=\"nowrap\">KID (digits-cnn) ↓</th><td class=\"number\">3</td>")
    );
    let csv = read("measures.csv");
    // Five arms, five columns.
    assert_eq!(csv.lines().count(), 1 + 25);
    assert!(csv.contains(
        "\n,clts,precision,digits-cnn n=1000 ref=train:1437 resize=none ddim nfe=20 ema=0.999 subsets=15x1000,true,3,3,"
    ));
    let json: serde_json::Value = serde_json::from_str(&read("speedups.json")).expect("JSON");
    assert_eq!(json["points"][0]["measures"][2]["arms"][0]["final"]["median"], kid.spread.median);
    // Where nothing more is asked for, nothing more is shown.
    write(&alone, folder.path().join("alone").as_path()).expect("a report");
    assert!(!folder.path().join("alone/measures.csv").exists());
    assert!(!fs::read_to_string(folder.path().join("alone/index.html")).expect("a page").contains("Every measure"));
}

#[test]
fn a_run_that_changed_its_protocol_half_way_is_not_compared() {
    let mut study = measured_twice();
    let run = indices(&study, "clts")[0];
    // From step 1000 on, only the raw weights were measured.
    study.runs[run].rows.retain(|row| row.metric != "fid" || row.step < 1000 || row.protocol.ends_with("raw"));
    let comparison = Comparison::of(&study);
    assert!(matches!(found(&comparison, "clts", 0), Err(NoSpeedup::ProtocolsDiffer { .. })));
    assert!(found(&comparison, "mdlrc", 0).is_ok());
}

#[test]
fn seeds_that_only_one_arm_has_are_named() {
    let mut study = reaching();
    let missing = indices(&study, "clts")[1];
    study.runs.remove(missing);
    let folder = folder();
    let report = write(&study, folder.path()).expect("a report");
    let sentence = "Left out, as only one of the two arms has measured them: seed 1.";
    assert!(report.summary.contains(sentence), "{}", report.summary);
    let page = fs::read_to_string(&report.page).expect("the page");
    assert!(page.contains(sentence) && page.contains("2 paired, without seed 1"));
}

#[test]
fn a_study_of_one_run_says_so() {
    let arms = || synthetic::arms().into_iter().take(1).collect();
    let mut study = Synthetic { arms: arms(), seeds: 1, ..Synthetic::default() }.study(Path::new("results/synthetic"));
    let folder = folder();
    let summary = |study: &StudyRecord| write(study, folder.path()).expect("a report").summary;
    assert!(summary(&study).contains("The only run is finished."));
    study.runs[0].state = RunState::Unfinished;
    assert!(summary(&study).contains("The only run is not finished: what follows is provisional."));
}
