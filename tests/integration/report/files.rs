//! What a report writes: summary, tables, figures and the page.

use std::fs;
use std::path::Path;

use speedlab::event::RunOutcome;
use speedlab::record::{Revision, Row, RunState, StudyRecord};
use speedlab::report::{
    Drawn, Font, PaperFormat, PaperStyle, PaperWidth, Report, write, write_drawn, write_paper_figures,
};
use speedlab::spec::{ArmLabel, Metric};

use super::synthetic::{self, Synthetic, cut, draw_samples};
use super::{folder, indices, reaching};

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
            "not known yet: no run of baseline is far enough",
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
    let no_numbers = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0].into_iter().cycle();
    let rows = study.runs[sick].rows.iter().zip(no_numbers);
    study.runs[sick].rows = rows.map(|(row, value)| Row { value, ..row }).collect();
    let all_nan = indices(&study, "same-lr");
    for index in all_nan {
        let run = &mut study.runs[index];
        run.rows = run.rows.iter().map(|row| Row { value: f64::NAN, ..row }).collect();
    }
    let folder = folder();
    let report = write(&study, folder.path()).expect("a report");
    let json = fs::read_to_string(folder.path().join("speedups.json")).expect("a table");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON has no NaN");
    assert_eq!(json["version"], 2);
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
    // Tables and page; as SVG and PNG the forest, the axis, and nine and two figures of each grid point.
    assert_eq!(report.files.len(), 6 + 2 * (1 + 1 + 2 * 9 + 2 * 2) + 1);
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
    for absent in ["<script src", "<link", "@import", "src=\"http", "href=\"http", "url(http", "<b>a & b</b>"] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert!(page.contains("src:url(data:font/ttf;base64,"));
    let policy = "content=\"default-src 'none'; script-src 'sha256-";
    assert!(page.contains(policy) && page.contains("require-trusted-types-for 'script'"));
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 25, "five grids of five arms");
    assert_eq!(page.matches("<svg role=\"img\"").count(), 12);
    assert_eq!(page.matches("<img alt=\"").count(), 25, "every image says what it shows");
    assert!(page.contains("claims to test"));
    assert!(page.contains("speedlab run <span data-sweep>sweeps/synthetic.yaml</span>"));
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
    let tables = ["speedups.md", "speedups.csv", "speedups.tex", "speedups.typ"];
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

#[test]
fn of_many_grid_points_none_has_figures_of_its_own_unless_all_are_asked_for() {
    let of = |arms: usize| {
        let arms = synthetic::arms().into_iter().take(arms).collect();
        let channels = (1..=25).map(|number| 8 * number).collect();
        Synthetic { arms, channels, seeds: 2, steps: 400, every: 20, ..Synthetic::default() }
            .study(Path::new("results/synthetic"))
    };
    let count = |report: &Report, begins: &str| {
        let names = report.files.iter().filter_map(|path| path.file_name()?.to_str());
        names.filter(|name| name.starts_with(begins) && name.ends_with(".svg")).count()
    };
    let (study, folder) = (of(2), folder());
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("it is written");
    let few = write(&study, folder.path()).expect("a report");
    assert_eq!((count(&few, "fid_images_seen"), count(&few, "speedups")), (0, 1));
    let command = "<code>speedlab report <span data-reads>results/synthetic</span> --all-figures</code>";
    // The curves and the samples of single points.
    assert_eq!(read("index.html").matches(command).count(), 2);
    let all = write_drawn(&study, &folder.path().join("all"), &Drawn::All.into(), |_| None).expect("a report");
    assert_eq!((count(&all, "fid_images_seen-point"), count(&all, "speedup_by_target_images_seen-point")), (25, 25));
    assert_eq!(read("all/index.html").matches(command).count(), 0);
    assert_eq!((read("all/speedups.json"), all.summary), (read("speedups.json"), few.summary));

    // Of so many speedups only those in images have a line.
    write(&of(5), folder.path()).expect("a report");
    let forest = read("speedups.svg");
    assert!(forest.contains("images") && !forest.contains("to the last"));
    assert!(read("index.html").contains("In training images alone: the table has the other lines."));
}

#[test]
fn figures_for_papers_have_the_width_of_a_column_in_every_format_and_the_same_bytes_twice() {
    let mut study = reaching();
    let folder = folder();
    draw_samples(&mut study, folder.path());
    let formats = vec![PaperFormat::Pdf, PaperFormat::Svg, PaperFormat::Png];
    let write_as = |name: &str, width| {
        let folder = folder.path().join(name);
        let style = PaperStyle { width, formats: formats.clone(), font: Font::inter() };
        let written = write_paper_figures(&study, &folder, Drawn::Few, &style).expect("figures");
        assert_eq!(written.missing_letters, [].into());
        written.files
    };
    let one = write_as("one", PaperWidth::ONE_COLUMN);
    let again = write_as("again", PaperWidth::ONE_COLUMN);
    let two = write_as("two", PaperWidth::TWO_COLUMNS);
    assert!(one.len() >= 3 * 8 && one.len() == again.len() && one.len() == two.len(), "{} files", one.len());
    for (first, second) in one.iter().zip(&again) {
        assert_eq!(first.file_name(), second.file_name());
        assert_eq!(fs::read(first).unwrap(), fs::read(second).unwrap(), "{}", first.display());
    }
    for (files, points, inches) in [(&one, "241.2", "3.35in"), (&two, "496.8", "6.9in")] {
        for file in files {
            let bytes = fs::read(file).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("pdf") => {
                    assert!(text.contains(&format!("/MediaBox [0 0 {points} ")), "{}", file.display());
                    assert!(
                        text.contains("+Inter") && bytes.len() < 150_000,
                        "{}: {} bytes",
                        file.display(),
                        bytes.len()
                    );
                }
                Some("svg") => assert!(text.contains(&format!("width=\"{inches}\"")), "{}", file.display()),
                Some("png") => {
                    let of = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
                    assert_eq!(&bytes[37..41], b"pHYs");
                    // Pixels over pixels to the metre.
                    let width = f64::from(of(16)) / f64::from(of(41)) / 0.0254;
                    assert!((width - inches.trim_end_matches("in").parse::<f64>().unwrap()).abs() < 0.01, "{width}");
                    image::load_from_memory(&bytes).expect("a PNG");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    // What the report writes for the screen is not touched by any of it.
    let report = write(&study, &folder.path().join("report")).expect("a report");
    assert!(report.files.iter().all(|file| file.extension().is_none_or(|extension| extension != "pdf")));
}

#[test]
fn figures_for_papers_have_the_letters_of_a_font_file_and_say_which_it_lacks() {
    let mut study = reaching();
    let label = ArmLabel { label: Some("CLTS 漢 β".to_owned()), color: None };
    study.plan.labels.arms.insert("clts".to_owned(), label);
    let folder = folder();
    let font = Font::read(Path::new("tests/golden/report/squares.otf")).expect("a font");
    let formats = vec![PaperFormat::Pdf, PaperFormat::Svg, PaperFormat::Png];
    let write_in = |name: &str, font| {
        let style = PaperStyle { width: PaperWidth::TWO_COLUMNS, formats: formats.clone(), font };
        let written = write_paper_figures(&study, &folder.path().join(name), Drawn::Few, &style).expect("figures");
        let read = |file: &str| fs::read(folder.path().join(name).join(file)).expect("written");
        (
            written,
            read("fid_images_seen.pdf"),
            String::from_utf8(read("fid_images_seen.svg")).expect("text"),
            read("fid_images_seen.png"),
        )
    };
    let (inter, inter_pdf, inter_svg, inter_png) = write_in("inter", Font::inter());
    let (own, pdf, svg, png) = write_in("own", font);
    assert_eq!(inter.missing_letters, ['漢'].into());
    assert!(own.missing_letters.is_superset(&['漢', 'β'].into()) && !own.missing_letters.contains(&'C'), "{own:?}");
    let has = |bytes: &[u8], text: &str| String::from_utf8_lossy(bytes).contains(text);
    assert!(has(&pdf, "+SpeedlabSquares") && has(&pdf, "/Subtype /CIDFontType0C") && !has(&pdf, "CIDToGIDMap"));
    assert!(has(&inter_pdf, "+Inter") && has(&inter_pdf, "/Subtype /CIDFontType2") && has(&inter_pdf, "CIDToGIDMap"));
    assert!(svg.contains("font-family=\"'Speedlab Squares', Helvetica, Arial, sans-serif\"") && !svg.contains("Inter"));
    assert!(inter_svg.contains("font-family=\"Inter, Helvetica"));
    assert_ne!(png, inter_png);
    // Every letter is an em wide, so that names of arms take more room from the curves: they begin further left.
    let place = |svg: &str| -> f64 {
        let text = svg.rsplit("<text x=\"").next().expect("a text");
        text[..text.find('"').expect("it is quoted")].parse().expect("a number")
    };
    assert!(place(&svg) < place(&inter_svg) - 100.0, "{} and {}", place(&svg), place(&inter_svg));
}
