//! Labels of arms: in everything that is shown, and in nothing that is recorded or counted.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use speedlab::record::StudyRecord;
use speedlab::report::{ReportStyle, check, labelled, speedups_json, write, write_drawn};
use speedlab::spec::{ArmLabel, AxisLabel, Color, Labels};

use super::synthetic::{Synthetic, draw_samples};
use super::{folder, reaching};

const HOSTILE: &str = "=CLTS <img src=x onerror=alert(1)> & 50% \\input{x} | \"ours\"";

const WIDTH: &str = "Width & <b>of</b> $C$ \\input{y}";

fn with_labels(mut study: StudyRecord) -> StudyRecord {
    let label = |label: &str, color| ArmLabel { label: Some(label.to_owned()), color };
    let arms = [
        ("baseline", label("Uniform/plain", None)),
        ("clts", label(HOSTILE, Some(Color([0xcc, 0x11, 0x22])))),
        ("same-lr", label("#eval(\"1\") $x$", None)),
    ];
    study.plan.labels = Labels {
        arms: arms.into_iter().map(|(arm, label)| (arm.to_owned(), label)).collect(),
        order: vec!["clts+mdlrc".into(), "mdlrc".into(), "clts".into()],
        axes: [(
            "model.channels".to_owned(),
            AxisLabel { label: Some(WIDTH.to_owned()), values: [("16".to_owned(), "narrow".to_owned())].into() },
        )]
        .into(),
    };
    study
}

#[test]
fn labels_are_shown_everywhere_and_are_text_wherever_they_stand() {
    let samples = folder();
    let mut study = with_labels(Synthetic { every: 50, ..Synthetic::default() }.study(samples.path()));
    draw_samples(&mut study, samples.path());
    let report = write(&study, &samples.path().join("report")).expect("a report");
    let read = |name: &str| fs::read_to_string(samples.path().join("report").join(name)).expect("written");
    assert!(
        report.summary.contains(&format!("\n- {HOSTILE} may be faster than Uniform/plain, ")),
        "{}",
        report.summary
    );

    let page = read("index.html");
    assert!(!page.contains("<img src=x"), "a label became HTML");
    assert!(page.contains("=CLTS &lt;img src=x onerror=alert(1)&gt; &amp; 50% \\input{x} | &quot;ours&quot;"));
    assert!(page.contains("--arm:#cc1122"));
    assert!(read("fid_images_seen.svg").contains("Uniform/plain") && read("fid_images_seen.svg").contains("#CC1122"));

    let tex = read("speedups.tex");
    assert!(tex.contains("\n=CLTS \\textless{}img src=x onerror=alert(1)\\textgreater{} \\& 50\\% \\textbackslash{}input\\{x\\} \\textbar{} ''ours'' & "), "{tex}");
    let typ = read("speedups.typ");
    assert!(typ.contains("\n  \"#eval(\\\"1\\\") $x$\", "), "{typ}");
    let md = read("speedups.md");
    assert!(md.contains("| =CLTS \\<img src=x onerror=alert(1)> & 50% \\\\input{x} \\| \"ours\" | "), "{md}");

    // The arm is called by its name, and the label is no formula.
    let csv = read("speedups.csv");
    assert!(csv.contains("\n,clts,baseline,false,images_seen,"), "{csv}");
    assert!(csv.contains(",\"'=CLTS <img src=x onerror=alert(1)> & 50% \\input{x} | \"\"ours\"\"\","), "{csv}");
    let json: Value = serde_json::from_str(&read("speedups.json")).expect("JSON");
    let arms: Vec<(&str, &Value)> = json["points"][0]["arms"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|arm| (arm["arm"].as_str().expect("a name"), &arm["label"]))
        .collect();
    assert_eq!(
        arms,
        [
            ("clts+mdlrc", &Value::Null),
            ("mdlrc", &Value::Null),
            ("clts", &HOSTILE.into()),
            ("baseline", &"Uniform/plain".into()),
            ("same-lr", &"#eval(\"1\") $x$".into())
        ]
    );
    assert_eq!(json["baseline"], "baseline");
}

#[test]
fn axes_and_values_are_called_by_their_labels_and_by_their_names_where_programs_read() {
    let temporary = folder();
    let plain = Synthetic { channels: vec![16, 32], ..Synthetic::default() }.study(temporary.path());
    let study = with_labels(plain.clone());
    let report = write(&study, &temporary.path().join("report")).expect("a report");
    let read = |name: &str| fs::read_to_string(temporary.path().join("report").join(name)).expect("written");
    assert!(report.summary.contains(&format!("At {WIDTH} = narrow:")), "{}", report.summary);
    assert!(report.summary.contains(&format!("At {WIDTH} = 32:")), "{}", report.summary);
    let page = read("index.html");
    assert!(page.contains("At Width &amp; &lt;b&gt;of&lt;/b&gt; $C$ \\input{y} = narrow"));
    assert!(
        page.contains("Width \\u0026 \\u003cb") || page.contains("Width & \\u003cb"),
        "the page's data has the label"
    );
    assert!(!page.contains("<b>of</b>") && !page.contains("at model.channels") && !page.contains("At model.channels"));
    assert!(
        page.contains("<code>model.channels</code> = 16, 32, called Width &amp;"),
        "the grid is named by its key, too"
    );
    let svg = read("axis1.svg");
    assert!(
        svg.contains(">\nnarrow\n<") && svg.contains("Width &amp; &lt;b&gt;") && !svg.contains("model.channels"),
        "{svg}"
    );
    assert!(read("speedups.md").contains("= narrow\n") && read("speedups.tex").contains("= narrow\n"));
    assert!(read("speedups.csv").contains("\nmodel.channels = 16,clts,") && !read("speedups.csv").contains("narrow"));
    let json: Value = serde_json::from_str(&read("speedups.json")).expect("JSON");
    assert_eq!(json["points"][0]["point"]["model.channels"], 16);
    let interaction = &json["grid"]["interactions"][0];
    assert_eq!(interaction["axis"], "model.channels");
    assert!(interaction["words"].as_str().is_some_and(|words| words.contains(" = 32 than at narrow")), "{interaction}");
    let shown = labelled(&study);
    let trial = |study: &StudyRecord| {
        study.plan.runs.iter().find(|run| run.point["model.channels"] == 16).expect("one").trial.clone()
    };
    assert!(trial(&plain).ends_with(" model.channels=16"));
    assert!(trial(&shown).ends_with(&format!(" {WIDTH}=narrow")));
}

#[test]
fn an_arm_gives_its_usual_colour_to_one_that_asks_for_it() {
    let temporary = folder();
    let mut study = Synthetic { every: 50, ..Synthetic::default() }.study(temporary.path());
    // Blue is what clts has without labels.
    study.plan.labels.arms.insert("mdlrc".to_owned(), ArmLabel { label: None, color: Some(Color([0x00, 0x72, 0xb2])) });
    write(&study, &temporary.path().join("report")).expect("a report");
    let page = fs::read_to_string(temporary.path().join("report/index.html")).expect("written");
    let mut colors: Vec<&str> = page.split("--arm:").skip(1).map(|rest| &rest[..7]).collect();
    colors.sort_unstable();
    colors.dedup();
    assert_eq!(colors.len(), study.plan.arms.len(), "{colors:?}");
}

#[test]
fn a_long_label_leaves_figures_their_room() {
    let temporary = folder();
    let mut study = Synthetic { every: 50, ..Synthetic::default() }.study(temporary.path());
    let label = "W".repeat(80);
    study.plan.labels.arms.insert("clts".to_owned(), ArmLabel { label: Some(label.clone()), color: None });
    write(&study, &temporary.path().join("report")).expect("a report");
    for figure in ["speedups.svg", "fid_images_seen.svg"] {
        let svg = fs::read_to_string(temporary.path().join("report").join(figure)).expect("written");
        let cut = svg.find("WWW…").expect("the label is cut");
        assert!(!svg.contains(&label), "{figure}");
        if figure == "fid_images_seen.svg" {
            // At the right, where two thirds of the width are the curves'.
            let number = |name: &str, before: usize| -> f64 {
                let start = svg[..before].rfind(name).expect("an attribute") + name.len();
                svg[start..][..svg[start..].find('"').expect("it is quoted")].parse().expect("a number")
            };
            let width = 10.0 * number("role=\"img\" width=\"", cut);
            assert!(number("<text x=\"", cut) > 0.6 * width, "{} of {width}", number("<text x=\"", cut));
        }
    }
}

#[test]
fn labels_change_no_number_and_no_id() {
    for channels in [vec![16], vec![16, 32]] {
        let plain = Synthetic { channels, ..Synthetic::default() }.study(Path::new("results/synthetic"));
        let labelled = with_labels(plain.clone());
        let [first, second]: [Value; 2] =
            [&plain, &labelled].map(|study| serde_json::from_str(&speedups_json(study)).expect("JSON"));
        let found = check(&first, &second, 0.0);
        assert_eq!(found.differences, []);
        assert!(found.agree > 1000, "{}", found.agree);
        let ids = |value: &Value| {
            let text = value.to_string();
            let mut ids: Vec<String> = text.split("\"cell\":\"").skip(1).map(|rest| rest[..6].to_owned()).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(&first), ids(&second));
    }
}

#[test]
fn labels_that_would_confuse_arms_are_not_shown() {
    let mut study = reaching();
    let swapped = |label: &str| ArmLabel { label: Some(label.to_owned()), color: None };
    study.plan.labels.arms = [("clts".to_owned(), swapped("baseline")), ("gone".to_owned(), swapped("mdlrc"))].into();
    let shown = labelled(&study);
    assert_eq!(shown.plan.arms, study.plan.arms);
    assert_eq!(speedups_json(&study), speedups_json(&reaching()));
}

/// Runs a program in a folder; whether it is installed. It must succeed.
fn run_in(folder: &Path, program: &str, args: &[&str]) -> bool {
    let output = match Command::new(program).args(args).current_dir(folder).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return false,
        started => started.expect("the program can be started"),
    };
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&said));
    true
}

/// `scripts/check-tables.sh` runs it, in an environment with Typst.
#[test]
#[ignore = "needs Typst: scripts/check-tables.sh installs it"]
fn tables_for_papers_are_compiled() {
    let study = with_labels(Synthetic { channels: vec![16, 32], ..Synthetic::default() }.study(Path::new("x")));
    let folder = folder();
    let path = folder.path();
    let links = "https://example.org/a_b/?c=1&d=50%25".parse().expect("an address");
    let style = ReportStyle { cell_links: Some(links), ..ReportStyle::default() };
    write_drawn(&study, path, &style, |_| None).expect("a report");
    let script = "import typst; typst.compile('speedups.typ', output='typst.pdf')";
    assert!(run_in(path, "python3", &["-c", script]), "there is no python3");
    assert!(fs::metadata(path.join("typst.pdf")).expect("a PDF").len() > 5000);
    let paper = "\\documentclass{article}\\usepackage{booktabs}\\usepackage{hyperref}\\begin{document}\\tiny\\input{speedups}\\end{document}\n";
    fs::write(path.join("paper.tex"), paper).expect("a paper");
    match run_in(path, "pdflatex", &["-interaction=nonstopmode", "-halt-on-error", "paper.tex"]) {
        true => assert!(fs::metadata(path.join("paper.pdf")).expect("a PDF").len() > 5000),
        false => println!("there is no pdflatex: LaTeX was not tried"),
    }
}
