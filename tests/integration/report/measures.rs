//! What is measured beside the metric.

use std::fs;

use speedlab::record::{Row, StudyRecord};
use speedlab::report::{Comparison, NoSpeedup, final_measures, until_decided, write};
use speedlab::spec::{EvaluatedWeights, FurtherMeasure, Metric};

use super::{folder, found, indices, reaching};

/// A study whose evaluations also have a KID and measure the raw weights, whose FID is twice the averaged ones'.
fn measured_twice() -> StudyRecord {
    let mut study = reaching();
    for run in &mut study.runs {
        run.planned.spec.evaluate.measures = [FurtherMeasure::Kid, FurtherMeasure::PrecisionRecall].into();
        run.planned.spec.evaluate.weights = EvaluatedWeights::Both;
        let averaged = run.rows.clone();
        for row in averaged.iter().filter(|row| row.metric == "fid") {
            for (metric, factor) in [("kid", 0.01), ("kid_se", 0.001), ("precision", 0.02)] {
                let protocol = format!("{} subsets=15x1000", row.protocol);
                run.rows.push(Row { metric, protocol: &protocol, value: factor * row.value, ..row });
            }
            let protocol = row.protocol.replace("ema=0.999", "raw");
            run.rows.push(Row { protocol: &protocol, value: 2.0 * row.value, ..row });
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

/// The same study, whose FID says nothing, and whose other measure is what its FID was.
fn measured_by(metric: Metric) -> StudyRecord {
    let mut study = reaching();
    study.plan.compare.as_mut().expect("it compares").metric = metric;
    for run in &mut study.runs {
        let rows = run.rows.clone();
        run.rows = rows.iter().map(|row| if row.metric == "fid" { Row { value: 7.0, ..row } } else { row }).collect();
        for row in rows.iter().filter(|row| row.metric == "fid") {
            run.rows.push(Row { metric: metric.name(), ..row });
        }
    }
    study
}

#[test]
fn sfid_and_cmmd_decide_a_study_as_the_fid_does() {
    let by_fid = reaching();
    let mut sequential = by_fid.clone();
    let rule = || until_decided((0..3).collect(), vec![3], 4);
    sequential.plan.until_decided = Some(rule());
    for metric in [Metric::Sfid, Metric::Cmmd] {
        let mut study = measured_by(metric);
        let speedups = |study: &StudyRecord| -> Vec<_> {
            let comparison = Comparison::of(study);
            let point = &comparison.points[0];
            assert!(point.band.is_some() && point.target.is_some(), "{metric:?}");
            point.arms.iter().map(|arm| format!("{:?} {:?}", arm.final_values, arm.contrast.speedups)).collect()
        };
        assert_eq!(speedups(&study), speedups(&by_fid), "{metric:?}");
        let folder = folder();
        let report = write(&study, folder.path()).expect("a report");
        assert!(folder.path().join(format!("{}_images_seen.svg", metric.name())).is_file(), "{metric:?}");
        let words = if metric == Metric::Sfid { "sFID" } else { "CMMD" };
        let page = fs::read_to_string(&report.page).expect("the page");
        let markdown = fs::read_to_string(folder.path().join("speedups.md")).expect("it is written");
        assert!(page.contains(words) && markdown.contains(words), "{words}: {markdown}");
        study.plan.until_decided = Some(rule());
        assert_eq!(speedups(&study), speedups(&sequential), "{metric:?}");
    }
}

#[test]
fn every_distance_that_is_recorded_beside_the_fid_is_among_the_last_values() {
    let mut study = measured_by(Metric::Cmmd);
    study.plan.compare.as_mut().expect("it compares").metric = Metric::Fid;
    for run in &mut study.runs {
        run.planned.spec.evaluate.measures = [FurtherMeasure::Cmmd].into();
    }
    for run in study.plan.runs.iter_mut() {
        run.spec.evaluate.measures = [FurtherMeasure::Cmmd].into();
    }
    let comparison = Comparison::of(&study);
    let found = final_measures(&comparison, &comparison.points[0]).expect("there are more");
    let columns: Vec<_> = found.columns.iter().map(|column| (column.metric, column.words.as_str())).collect();
    assert!(columns.contains(&("cmmd", "CMMD")), "{columns:?}");
}

#[test]
fn a_run_that_changed_its_protocol_half_way_is_not_compared() {
    let mut study = measured_twice();
    let run = indices(&study, "clts")[0];
    // From step 1000 on, only the raw weights were measured.
    let is_kept = |row: &Row| row.metric != "fid" || row.step < 1000 || row.protocol.ends_with("raw");
    study.runs[run].rows = study.runs[run].rows.iter().filter(is_kept).collect();
    let comparison = Comparison::of(&study);
    assert!(matches!(found(&comparison, "clts", 0), Err(NoSpeedup::ProtocolsDiffer { .. })));
    assert!(found(&comparison, "mdlrc", 0).is_ok());
}
