//! What the page holds for its figures and panels: one JSON value.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use speedlab::event::RunOutcome;
use speedlab::record::{Row, RunState, StudyRecord};
use speedlab::report::{Comparison, Explore, Grid, TrainingFlops, write};
use speedlab::spec::Trainer;

use super::synthetic::{PROTOCOL, Synthetic, cut, draw_samples};
use super::{folder, found, indices, reaching};

fn explored(study: &StudyRecord) -> Value {
    let comparison = Comparison::of(study);
    serde_json::to_value(Explore::of(&comparison, &Grid::of(&comparison))).expect("plain data")
}

/// The value as it stands on a page.
fn on_page(page: &str) -> Value {
    let (_, rest) =
        page.split_once("<script type=\"application/json\" id=\"study\">").expect("the page holds the study");
    serde_json::from_str(rest.split_once("</script>").expect("the element ends").0).expect("JSON")
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

#[test]
fn a_number_has_the_runs_and_the_values_it_is_made_of() {
    let study = reaching();
    let comparison = Comparison::of(&study);
    let value = explored(&study);
    assert_eq!((&value["version"], &value["detail"], &value["left_out"]), (&1.into(), &"whole".into(), &Value::Null));
    let arm = list(&value["points"][0]["arms"])
        .iter()
        .find(|arm| value["arms"][arm["arm"].as_u64().unwrap() as usize]["name"] == "clts");
    let arm = arm.expect("clts is an arm");
    assert_eq!(list(&arm["runs"]).len(), 3);
    for (cost, axis) in ["images_seen", "train_seconds"].into_iter().enumerate() {
        let headline = &arm["headlines"][cost];
        assert_eq!(headline["axis"], axis);
        let speedup = found(&comparison, "clts", cost).as_ref().expect("it is compared");
        let logs: Vec<f64> = list(&headline["by_seed"]).iter().map(|pair| pair[1].as_f64().unwrap()).collect();
        let mean = logs.iter().sum::<f64>() / 3.0;
        assert!((mean - speedup.mean.expect("measured").mean).abs() < 1e-5, "{headline}");
        assert!(headline["formula"].as_str().unwrap().contains("the mean over 12 qualities of ln("), "{headline}");
    }
    assert_eq!(
        value["points"][0]["arms"][0]["headlines"],
        Value::Array(vec![]),
        "the baseline is compared with nothing"
    );
    assert_eq!(list(&value["points"][0]["pairs"]).len(), 1);
}

#[test]
fn curves_have_their_clocks_and_the_fit_that_speedups_are_read_off() {
    let study = reaching();
    let value = explored(&study);
    let metric = value["points"][0]["metric"].as_u64().unwrap();
    assert_eq!(value["metrics"][metric as usize]["protocol"], PROTOCOL);
    assert!(
        list(&value["metrics"]).iter().all(|metric| !metric["name"].as_str().unwrap().contains('/')),
        "no bins of t"
    );
    for (run, recorded) in list(&value["runs"]).iter().zip(&study.runs) {
        assert_eq!(run["id"], recorded.planned.run_id.as_str());
        let curve = list(&run["curves"]).iter().find(|curve| curve["metric"] == metric).expect("it was measured");
        let rows: Vec<Row> = recorded.rows.series("fid", PROTOCOL).collect();
        assert_eq!(list(&curve["value"]).len(), rows.len());
        for (index, row) in rows.iter().enumerate() {
            let at = curve["at"][index].as_u64().unwrap() as usize;
            assert_eq!(run["moments"]["images_seen"][at], row.images_seen);
            assert!((curve["value"][index].as_f64().unwrap() / row.value - 1.0).abs() < 1e-5);
        }
        let fitted: Vec<f64> = list(&curve["fitted"]).iter().map(|value| value.as_f64().unwrap()).collect();
        assert!(fitted.windows(2).all(|pair| pair[1] <= pair[0]), "a fitted curve never rises");
        let others = list(&run["curves"]).iter().filter(|curve| curve["metric"] != metric);
        assert!(others.clone().count() > 2 && others.clone().all(|curve| curve.get("fitted").is_none()));
    }
}

#[test]
fn names_of_the_study_are_text_on_the_page_and_end_no_element() {
    let samples = folder();
    let study = hostile(samples.path());
    let page =
        fs::read_to_string(write(&study, &samples.path().join("report")).expect("a report").page).expect("the page");
    assert_eq!(page.matches("<script").count(), 3);
    assert_eq!(page.matches("</script>").count(), 3);
    assert!(!page.contains("<img src=x") && !page.contains("<!-- "));
    let value = on_page(&page);
    assert_eq!(value["question"], study.plan.question.as_str());
    assert_eq!(value["arms"][1]["name"], HOSTILE);
    assert!(value["runs"][0]["log"].as_str().unwrap().ends_with("</script><img src=x onerror=alert(3)>"));
    let steps: Vec<_> = list(&value["runs"][0]["samples"]).iter().map(|sample| &sample[0]).collect();
    assert_eq!((steps.len(), steps[0], steps[5]), (6, &200.into(), &2000.into()), "some of ten, both ends among them");
    let file = value["runs"][0]["samples"][0][1].as_str().expect("it lies in the study's folder");
    assert!(samples.path().join("report").join(file).is_file(), "{file}");
}

#[test]
fn large_studies_keep_fewer_points_then_the_compared_metric_then_a_summary() {
    let of = |seeds: u64| {
        let folder = Path::new("results/synthetic");
        let mut study = Synthetic { seeds, steps: 1000, every: 50, ..Synthetic::default() }.study(folder);
        for run in &mut study.runs {
            let own = folder.join("runs").join(run.planned.run_id.as_str()).join("samples");
            run.samples =
                (1..=100).map(|number| (10 * number, own.join(format!("step-{:08}.png", 10 * number)))).collect();
        }
        explored(&study)
    };
    let lengths = |value: &Value| {
        let curves = list(&value["runs"]).iter().flat_map(|run| list(&run["curves"]));
        curves.map(|curve| list(&curve["at"]).len()).max().unwrap_or(0)
    };
    let few = of(3);
    assert_eq!((&few["detail"], lengths(&few)), (&"whole".into(), 100));
    let more = of(150);
    assert_eq!(more["detail"], "thinned");
    assert!(lengths(&more) <= 80 && list(&more["runs"]).len() == 750);
    assert_eq!(list(&more["metrics"]).len(), 1, "the compared one");
    assert!(more["left_out"].as_str().unwrap().contains("curves.parquet"));
    assert!(more.to_string().len() < 2_000_000, "{}", more.to_string().len());
    let most = of(800);
    assert_eq!((&most["detail"], lengths(&most), list(&most["runs"]).len()), (&"summary".into(), 0, 300));
    assert!(most["left_out"].as_str().unwrap().starts_with("4,000 runs are too many for curves here"));
    assert_eq!(list(&most["points"][0]["arms"][1]["headlines"][0]["by_seed"]).len(), 800);
    assert!(most.to_string().len() < 2_000_000, "{}", most.to_string().len());
}

#[test]
fn what_is_not_there_is_not_made_up() {
    // Nothing has started.
    let mut study = Synthetic::default().study(Path::new("results/synthetic"));
    for run in &mut study.runs {
        cut(run, 0, RunState::Waiting);
        run.attempts.clear();
    }
    let value = explored(&study);
    assert_eq!((list(&value["metrics"]).len(), &value["points"][0]["metric"]), (0, &Value::Null));
    assert!(list(&value["runs"]).iter().all(|run| run["outcome"] == "not started" && list(&run["curves"]).is_empty()));
    let headline = &value["points"][0]["arms"][1]["headlines"][0];
    assert_eq!((&headline["speedup"], list(&headline["by_seed"]).len()), (&"–".into(), 0));

    // Nothing is compared.
    let mut study = Synthetic::default().study(Path::new("results/synthetic"));
    study.plan.compare = None;
    let value = explored(&study);
    assert_eq!((&value["baseline"], list(&value["points"][0]["targets"]).len()), (&Value::Null, 0));
    assert!(list(&value["points"][0]["arms"]).iter().all(|arm| list(&arm["headlines"]).is_empty()));

    // A value that is no number.
    let mut study = reaching();
    study.runs[0].rows = study.runs[0].rows.iter().map(|row| Row { value: f64::NAN, ..row }).collect();
    let value = explored(&study);
    let curves = list(&value["runs"][0]["curves"]);
    assert!(
        curves.iter().all(|curve| list(&curve["value"]).iter().all(Value::is_null) && curve.get("fitted").is_none())
    );
}

#[test]
fn a_grid_has_the_runs_of_each_point() {
    let study = Synthetic { channels: vec![16, 32], ..Synthetic::default() }.study(Path::new("results/synthetic"));
    let value = explored(&study);
    assert_eq!((list(&value["points"]).len(), list(&value["effects"]).len()), (2, 4));
    for point in list(&value["points"]) {
        for arm in list(&point["arms"]) {
            for place in list(&arm["runs"]) {
                let run = &value["runs"][place.as_u64().unwrap() as usize];
                assert_eq!(point["label"], format!("model.channels = {}", run["settings"]["model.channels"]));
                assert_eq!(run["arm"], arm["arm"]);
            }
        }
    }
    assert!(value["settings"].get("model.channels").is_none() && value["settings"].get("train.steps").is_some());
}

#[test]
fn an_imported_study_says_what_read_it_and_has_no_network_or_images() {
    let mut study = reaching();
    for run in &mut study.runs {
        let command = ["speedlab", "import", "curves.csv"].map(str::to_owned).to_vec();
        run.planned.spec.trainer = Some(Trainer { command, ..Trainer::default() });
        run.samples.clear();
    }
    let value = explored(&study);
    for run in list(&value["runs"]) {
        assert_eq!((&run["command"], &run["architecture"]), (&"speedlab import curves.csv".into(), &"".into()));
        assert!(list(&run["samples"]).is_empty());
    }
    let folder = folder();
    let page = fs::read_to_string(write(&study, folder.path()).expect("a report").page).expect("the page");
    assert!(page.contains("No samples are recorded yet.") || page.contains("No samples"));
}

#[test]
fn operations_and_hours_are_axes_where_every_run_has_them() {
    let study = reaching();
    let comparison = Comparison::of(&study);
    let grid = Grid::of(&comparison);
    let keys = |value: &Value| {
        let keys = list(&value["axes"]).iter().map(|axis| axis["key"].as_str().unwrap().to_owned());
        keys.collect::<Vec<_>>()
    };
    let known = serde_json::to_value(Explore::with_flops(&comparison, &grid, |_| Some(TrainingFlops::even(3e6))))
        .expect("plain data");
    assert!(keys(&known).contains(&"train_flops".to_owned()));
    let moments = &known["runs"][0]["moments"];
    for (images, flops) in list(&moments["images_seen"]).iter().zip(list(&moments["train_flops"])) {
        let expected = images.as_f64().unwrap() * 3e6;
        assert!((flops.as_f64().unwrap() - expected).abs() <= 1e-5 * expected, "{images}: {flops}");
    }
    let unknown = explored(&study);
    assert!(!keys(&unknown).contains(&"train_flops".to_owned()));
    assert!(unknown["runs"][0]["moments"].get("train_flops").is_none());

    // Two runs on one device have half of it each; of a device that nobody described nothing is known.
    let with_device = |device: &dyn Fn(usize) -> String| {
        let mut study = reaching();
        for (index, run) in study.runs.iter_mut().enumerate() {
            run.attempts.iter_mut().for_each(|attempt| attempt.device = device(index));
        }
        explored(&study)
    };
    let shared = with_device(&|_| "cpu: x, 1 thread, 2 runs at once".into());
    assert!(keys(&shared).contains(&"device_hours".to_owned()));
    let moments = &shared["runs"][0]["moments"];
    for (seconds, hours) in list(&moments["wall_seconds"]).iter().zip(list(&moments["device_hours"])) {
        let expected = seconds.as_f64().unwrap() / 7200.0;
        assert!((hours.as_f64().unwrap() - expected).abs() <= 1e-5 * expected, "{seconds}: {hours}");
    }
    let unknown = with_device(&|index| if index == 3 { String::new() } else { "cpu: x, 1 thread".into() });
    assert!(!keys(&unknown).contains(&"device_hours".to_owned()));
}

const HOSTILE: &str = "clts</script><img src=x onerror=alert(1)>";

/// A study whose every text would like to be HTML: a diverged run, samples and logs in its folder.
fn hostile(folder: &Path) -> StudyRecord {
    let mut study = Synthetic { every: 50, ..Synthetic::default() }.study(folder);
    study.plan.question = "Is <b>a & b</b> \"sooner\"?</script><!-- <img src=x onerror=alert(2)>".into();
    study.plan.arms[1] = HOSTILE.into();
    let diverged = indices(&study, "same-lr")[2];
    let reason = "the loss is <b>NaN</b> at step 401".into();
    cut(&mut study.runs[diverged], 400, RunState::Ended(RunOutcome::Diverged { reason }));
    for run in &mut study.runs {
        for arm in [&mut run.planned.arm, &mut run.planned.trial] {
            if *arm == "clts" {
                *arm = HOSTILE.into();
            }
        }
        let own = folder.join("runs").join(run.planned.run_id.as_str());
        fs::create_dir_all(&own).expect("a folder");
        fs::write(own.join("log.txt"), "first line\n</script><img src=x onerror=alert(3)>\n").expect("a log");
    }
    draw_samples(&mut study, folder);
    study
}

/// Pages for `scripts/check-page.sh`, which looks at them in a browser.
#[test]
fn pages_for_a_browser() {
    let pages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    if pages.exists() {
        fs::remove_dir_all(&pages).expect("what an earlier test left");
    }
    let at = |name: &str| {
        let folder = pages.join(name);
        fs::create_dir_all(&folder).expect("a folder");
        folder
    };
    let grid = Synthetic { channels: vec![16, 32], every: 50, ..Synthetic::default() }.study(&at("grid"));
    let mut curves_alone = Synthetic { seeds: 2, ..Synthetic::default() }.study(&at("curves-alone"));
    curves_alone.plan.compare = None;
    let mut nothing = Synthetic::default().study(&at("nothing"));
    for run in &mut nothing.runs {
        cut(run, 0, RunState::Waiting);
        run.attempts.clear();
    }
    let mut unfinished = Synthetic::default().study(&at("unfinished"));
    for run in unfinished.runs.iter_mut().filter(|run| run.planned.arm != "baseline") {
        let step = run.planned.seed * 900;
        cut(run, step, if step == 0 { RunState::Waiting } else { RunState::Unfinished });
    }
    let many = Synthetic { seeds: 800, steps: 400, every: 40, ..Synthetic::default() }.study(&at("many"));
    let copied = Synthetic { every: 50, ..Synthetic::default() }.study(&at("copied/synthetic"));
    for study in [hostile(&at("hostile")), grid, copied, curves_alone, nothing, unfinished, many] {
        let report = write(&study, &study.folder.join("report")).expect("a report");
        let size = fs::metadata(&report.page).expect("the page").len();
        assert!(size < 3_500_000, "{}: {size} bytes", study.folder.display());
    }
}

#[test]
fn commands_name_where_the_records_were_made_and_on_a_served_page_where_they_lie() {
    let of = |place: Option<&str>| {
        let mut study = Synthetic::default().study(Path::new("/a copy/synthetic"));
        study.sweep_arguments = "sweeps/synthetic.yaml --results old --until-decided".to_owned();
        study.place = place.map(PathBuf::from);
        let value = explored(&study);
        assert_eq!(value["sweep_alone"], "sweeps/synthetic.yaml --until-decided");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&value["reads"]), text(&value["sweep"]), text(&value["runs"][0]["command"]))
    };
    let expected = |reads: &str, sweep: &str| (reads.to_owned(), sweep.to_owned(), format!("speedlab run {sweep}"));
    assert_eq!(of(None), expected("old/synthetic", "sweeps/synthetic.yaml --results old --until-decided"));
    let copied = "sweeps/synthetic.yaml --until-decided --results '/a copy'";
    assert_eq!(of(Some("/a copy/synthetic")), expected("'/a copy/synthetic'", copied));
    // A file travels: the same records give the same bytes wherever they lie. Its script looks where it is.
    let pages = [folder(), folder()].map(|temporary| {
        let study = Synthetic::default().study(&temporary.path().join("synthetic"));
        write(&study, &temporary.path().join("report")).expect("a report");
        fs::read_to_string(temporary.path().join("report/index.html")).expect("written")
    });
    assert!(pages[0] == pages[1], "a page depends on the folder");
    assert!(pages[0].contains("speedlab report <span data-reads>results/synthetic</span> "));
    assert!(pages[0].contains("speedlab run <span data-sweep>sweeps/synthetic.yaml</span> "));
}
