//! Ids of numbers: what they depend on, where they stand, and what is behind them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use speedlab::record::{Row, RunState, StudyRecord};
use speedlab::report::{
    CellDetail, Cells, Comparison, Estimate, Grid, Kind, ReportStyle, compare_rerun, detail, write, write_drawn,
};

use super::synthetic::{Synthetic, cut};
use super::{folder, found, indices, reaching};

fn details(study: &StudyRecord) -> Vec<CellDetail> {
    let comparison = Comparison::of(study);
    let grid = Grid::of(&comparison);
    let cells = Cells::of(&comparison, &grid);
    cells.all.iter().map(|cell| detail(&comparison, &grid, cell)).collect()
}

fn cell<'d>(details: &'d [CellDetail], arm: &str, kind: Kind, measured_in: &str) -> &'d CellDetail {
    let is = |cell: &&CellDetail| {
        cell.arm == arm && cell.kind == kind.name() && cell.measured_in.unwrap_or_default() == measured_in
    };
    details.iter().find(is).unwrap_or_else(|| panic!("{arm} has no {} in {measured_in}", kind.name()))
}

fn ids(study: &StudyRecord) -> Vec<String> {
    details(study).into_iter().map(|cell| cell.id).collect()
}

#[test]
fn an_id_depends_on_what_a_number_is_and_on_nothing_else() {
    let study = reaching();
    let first = ids(&study);
    assert_eq!(first.len(), first.iter().collect::<BTreeSet<_>>().len());
    assert!(first.iter().all(|id| id.len() == 6), "{first:?}");
    // Of one number, so that a change of how ids are made is noticed: papers hold them.
    assert_eq!(cell(&details(&study), "clts", Kind::Band, "images_seen").id, "zx53wn");

    // Other values, a run less, another order of arms.
    let mut other = reaching();
    for run in &mut other.runs {
        run.rows = run.rows.iter().map(|row| Row { value: 1.01 * row.value, ..row }).collect();
    }
    assert_eq!(ids(&other), first);
    other.plan.arms.reverse();
    let as_set = |ids: Vec<String>| ids.into_iter().collect::<BTreeSet<String>>();
    assert_eq!(as_set(ids(&other)), as_set(first.clone()));
    let unfinished = indices(&other, "mdlrc")[1];
    cut(&mut other.runs[unfinished], 300, RunState::Unfinished);
    let interaction = details(&study).into_iter().find(|cell| cell.kind == "interaction").expect("of two arms").id;
    let (fewer, all) = (as_set(ids(&other)), as_set(first.clone()));
    assert_eq!(all.difference(&fewer).collect::<Vec<_>>(), [&interaction], "what cannot be measured yet has no cell");

    // Another study, metric or baseline has other numbers.
    let mut renamed = reaching();
    renamed.plan.name = "another".into();
    assert!(ids(&renamed).iter().all(|id| !first.contains(id)));
}

#[test]
fn a_grid_has_ids_for_every_point_and_for_all_of_them_together() {
    let study = Synthetic { channels: vec![16, 32], ..Synthetic::default() }.study(Path::new("results/synthetic"));
    let details = details(&study);
    let count = |kind: Kind| details.iter().filter(|cell| cell.kind == kind.name()).count();
    // Four arms and a pair on two axes at two points; last values of five arms.
    assert_eq!([Kind::Band, Kind::Last, Kind::WholeCurve, Kind::Target, Kind::Final].map(count), [20, 20, 10, 20, 10]);
    assert_eq!(count(Kind::Grid), 4);
    assert_eq!(details.iter().map(|cell| &cell.id).collect::<BTreeSet<_>>().len(), details.len());
    let effect = cell(&details, "clts", Kind::Grid, "images_seen");
    assert_eq!((effect.runs.len(), effect.by_seed.len()), (12, 3), "two arms, two points, three seeds");
    let interaction = details.iter().find(|cell| cell.kind == Kind::Interaction.name()).expect("of the axis");
    assert!(interaction.what.contains("model.channels = 32 than at 16"), "{}", interaction.what);
    assert_eq!(interaction.by_seed.len(), 3);
}

#[test]
fn what_is_behind_a_number_gives_it() {
    let study = reaching();
    let comparison = Comparison::of(&study);
    let details = details(&study);
    for (cost, name) in [(0, "images_seen"), (1, "train_seconds")] {
        for kind in [Kind::Band, Kind::Last, Kind::Target] {
            let cell = cell(&details, "clts", kind, name);
            assert_eq!((cell.against.as_deref(), cell.runs.len(), cell.by_seed.len()), (Some("baseline"), 6, 3));
            let number = cell.number.expect("it is measured");
            let mean = cell.by_seed.iter().map(|seed| seed.ratio.ln()).sum::<f64>() / 3.0;
            assert!((mean.exp() / number.value - 1.0).abs() < 1e-9, "{kind:?} {name}: {cell:?}");
            for seed in &cell.by_seed {
                let of = |arm: &str| {
                    let run = cell.runs.iter().find(|run| run.arm == arm && run.seed == seed.seed);
                    run.and_then(|run| run.value).expect("each run has its cost")
                };
                assert!((of("baseline") / of("clts") / seed.ratio - 1.0).abs() < 1e-9, "{kind:?} {name}: {cell:?}");
            }
        }
        let Ok(speedup) = found(&comparison, "clts", cost) else { panic!("it is measured") };
        let Estimate::Measured { speedup, interval: Some(interval), .. } = speedup.estimate else { panic!() };
        let number = cell(&details, "clts", Kind::Band, name).number.expect("measured");
        assert_eq!((number.value, number.low, number.high), (speedup, Some(interval.low), Some(interval.high)));
    }
    let last = cell(&details, "mdlrc", Kind::Final, "");
    let mut values: Vec<f64> = last.runs.iter().map(|run| run.value.expect("completed")).collect();
    values.sort_by(f64::total_cmp);
    let number = last.number.expect("completed");
    assert_eq!((number.low, number.value, number.high), (Some(values[0]), values[1], Some(values[2])));
    assert!(last.by_seed.is_empty() && last.formula.symbols.contains("median"));
    let pair = details.iter().find(|cell| cell.against.as_deref() == Some("same-lr")).expect("a pair");
    assert_eq!((pair.arm.as_str(), pair.runs.len()), ("mdlrc", 6));
}

#[test]
fn every_table_has_the_ids_of_its_numbers() {
    let study = reaching();
    let folder = folder();
    write(&study, folder.path()).expect("a report");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("a table");
    let all: BTreeSet<String> = ids(&study).into_iter().collect();
    // In CSV and JSON every one of them.
    let csv = read("speedups.csv");
    let header: Vec<&str> = csv.lines().next().expect("a header").split(',').collect();
    let columns: Vec<usize> = (0..header.len()).filter(|&index| header[index].ends_with("_cell")).collect();
    let cells = |line: &str| {
        let cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        columns.iter().map(|&index| cells[index].clone()).collect::<Vec<_>>()
    };
    let in_csv: BTreeSet<String> = csv.lines().skip(1).flat_map(cells).filter(|id| !id.is_empty()).collect();
    fn in_json(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("cell").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| in_json(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| in_json(value, found)),
            _ => {}
        }
    }
    let mut of_json = BTreeSet::new();
    in_json(&serde_json::from_str(&read("speedups.json")).expect("JSON"), &mut of_json);
    assert_eq!(of_json, all);
    // The grid's answers are in JSON alone.
    let interactions: BTreeSet<String> =
        details(&study).iter().filter(|cell| cell.kind == "interaction").map(|cell| cell.id.clone()).collect();
    assert_eq!(in_csv, all.difference(&interactions).cloned().collect());
    // Tables for papers have those of the numbers that they show.
    for name in ["speedups.tex", "speedups.typ"] {
        let text = read(name);
        let lines: Vec<&str> =
            text.lines().filter_map(|line| line.split_once(" cells: ").map(|(_, ids)| ids)).collect();
        assert_eq!(lines.len(), 1 + 5 * 5, "{name}");
        let shown: Vec<&str> =
            lines.iter().flat_map(|ids| ids.split(", ")).filter_map(|id| id.split(' ').next()).collect();
        assert!(shown.len() == lines.len() + 4 && shown.iter().all(|id| all.contains(*id)), "{name}: {shown:?}");
    }
    let page = read("index.html");
    assert!(all.iter().filter(|id| page.contains(id.as_str())).count() >= all.len() - interactions.len() - 15);
}

#[test]
fn a_number_holds_by_its_bits_or_by_its_interval() {
    let study = reaching();
    let id = cell(&details(&study), "clts", Kind::Band, "images_seen").id.clone();
    let timed = cell(&details(&study), "clts", Kind::Band, "train_seconds").id.clone();
    let built = |study: &StudyRecord, build: &str| {
        let mut study = study.clone();
        study.runs.iter_mut().for_each(|run| run.attempts[0].build = build.to_owned());
        study
    };
    let scaled = |factor: &dyn Fn(&str) -> f64| {
        let mut study = study.clone();
        for run in &mut study.runs {
            let factor = factor(&run.planned.arm);
            let images = |images: u64| (images as f64 * factor) as u64;
            run.rows = run.rows.iter().map(|row| Row { images_seen: images(row.images_seen), ..row }).collect();
        }
        study
    };
    let a = built(&study, "a");

    let same = compare_rerun(&a, &a, &id).expect("the number is there");
    assert!(same.holds && same.same_bits && same.same_bits_are_due, "{}", same.verdict);
    assert!(same.verdict.starts_with("holds: all ") && same.verdict.contains("have the same bits"), "{}", same.verdict);

    // One bit on the same device by the same build is too much.
    let mut other = a.clone();
    let index = indices(&other, "clts")[1];
    other.runs[index].rows = other.runs[index]
        .rows
        .iter()
        .map(|row| Row { value: if row.step == 2000 { row.value * (1.0 + 1e-15) } else { row.value }, ..row })
        .collect();
    let differs = compare_rerun(&a, &other, &id).expect("the number is there");
    assert!(
        !differs.holds && differs.verdict.contains("the device and the program are the same, and yet"),
        "{differs:?}"
    );
    // By another build it is judged by its interval, and so is one by a build that is not known.
    for other in [built(&other, "b"), built(&other, "")] {
        let judged = compare_rerun(&a, &other, &id).expect("the number is there");
        assert!(judged.holds && !judged.same_bits_are_due && !judged.same_bits, "{}", judged.verdict);
        assert!(judged.verdict.contains("lies within the interval of before"), "{}", judged.verdict);
    }
    // Only the runs behind the number count.
    let elsewhere = scaled(&|arm| if arm == "mdlrc" { 3.0 } else { 1.0 });
    assert!(compare_rerun(&a, &built(&elsewhere, "a"), &id).expect("there").same_bits);
    let faster = built(&scaled(&|arm| if arm == "clts" { 0.5 } else { 1.0 }), "b");
    let judged = compare_rerun(&a, &faster, &id).expect("the number is there");
    assert!(judged.same_bits, "what is counted is no value");
    // Times are new even where the bits are the same.
    let judged = compare_rerun(&a, &a, &timed).expect("the number is there");
    assert!(judged.holds && judged.verdict.contains("and times are new"), "{}", judged.verdict);

    let mut slow = built(&study, "b");
    for index in indices(&slow, "clts") {
        let run = &mut slow.runs[index];
        run.rows = run.rows.iter().map(|row| Row { value: 1.5 * row.value, ..row }).collect();
    }
    let judged = compare_rerun(&a, &slow, &id).expect("the number is there");
    assert!(!judged.holds && judged.verdict.contains("is outside of the interval of before"), "{}", judged.verdict);

    // A run that fails now did not hold.
    let mut failed = built(&study, "b");
    let index = indices(&failed, "clts")[0];
    let reason = "signal 9".to_owned();
    cut(&mut failed.runs[index], 500, RunState::Ended(speedlab::event::RunOutcome::Crashed { reason }));
    let judged = compare_rerun(&a, &failed, &id).expect("the number is there");
    assert!(!judged.holds && judged.verdict.contains("was completed and is crashed: signal 9"), "{}", judged.verdict);
    assert_eq!(compare_rerun(&a, &a, "zzzzzz"), None);
}

#[test]
fn numbers_of_tables_for_papers_are_links_where_that_is_asked_for() {
    let study = reaching();
    let folder = folder();
    let links = "https://example.org/a_b/?c=1&d=50%25".parse().expect("an address");
    let style = ReportStyle { cell_links: Some(links), ..ReportStyle::default() };
    write_drawn(&study, folder.path(), &style, |_| None).expect("a report");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("a table");
    let details = details(&study);
    let band = cell(&details, "clts", Kind::Band, "images_seen");
    let last = cell(&details, "baseline", Kind::Final, "");
    let (tex, typ) = (read("speedups.tex"), read("speedups.typ"));
    assert!(tex.contains("\\usepackage{booktabs} and \\usepackage{hyperref}"), "{tex}");
    let range = format!("{} ({})", last.shown, last.interval);
    for (id, shown, is_bold) in [(&band.id, &band.shown, true), (&last.id, &range, false)] {
        let number = shown.replace('×', "$\\times$");
        let number = if is_bold { format!("\\textbf{{{number}}}") } else { number };
        let link = format!(" & \\href{{https://example.org/a\\_b/?c=1\\&d=50\\%25\\#cell-{id}}}{{{number}}} & ");
        assert!(tex.contains(&link), "no {link} in {tex}");
        let number = if is_bold { format!("strong(\"{shown}\")") } else { format!("\"{shown}\"") };
        let link = format!(", link(\"https://example.org/a_b/?c=1&d=50%25#cell-{id}\", {number}), ");
        assert!(typ.contains(&link), "no {link} in {typ}");
    }
    // Nothing else changes, and nothing is a link that nobody asked for.
    write(&study, folder.path()).expect("a report");
    assert!(!read("speedups.tex").contains("href") && !read("speedups.typ").contains("link("));
}

#[test]
fn a_number_is_made_of_the_runs_that_count_and_of_no_others() {
    let mut study = reaching();
    let missing = indices(&study, "mdlrc")[1];
    let seed = study.runs[missing].planned.seed;
    cut(&mut study.runs[missing], 0, RunState::Waiting);
    let found = details(&study);
    let counting = |cell: &CellDetail| {
        cell.runs.iter().filter(|run| run.counts).map(|run| (run.arm.clone(), run.seed)).collect::<Vec<_>>()
    };
    for kind in [Kind::Band, Kind::Last, Kind::WholeCurve] {
        let counts = counting(cell(&found, "mdlrc", kind, "images_seen"));
        assert!(counts.len() == 4 && counts.iter().all(|(_, own)| *own != seed), "{kind:?}: {counts:?}");
        assert_eq!(counting(cell(&found, "clts", kind, "images_seen")).len(), 6);
    }
    let last = cell(&found, "mdlrc", Kind::Final, "");
    assert_eq!((last.runs.len(), counting(last).len()), (3, 2));
    // Those alone are compared when they are trained again.
    let id = &cell(&found, "mdlrc", Kind::Band, "images_seen").id;
    let again = compare_rerun(&study, &study, id).expect("the number is there");
    assert!(again.runs.len() == 4 && again.runs.iter().all(|run| run.seed != seed), "{again:?}");
}
