//! A study's whole report, onto disk; and its page alone, for who serves it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::cell::Cells;
use super::comparison::Comparison;
use super::consistency::{self, Consistency};
use super::difficulty::{PointDifficulty, difficulty, difficulty_json};
use super::error::ReportError;
use super::explore::FlopsOfRun;
use super::grid::Grid;
use super::labelled::labelled;
use super::page::{Delivery, Shown, page};
use super::plots::{Drawn, Figure, Sheet, consistency_figures, difficulty_figures, figures, png, svg};
use super::publish::publish;
use super::summary::summary;
use super::tables::{CellLinks, csv, json, latex, markdown, measures_csv, typst};
use crate::record::StudyRecord;

/// The files that were written.
#[derive(Clone, Debug)]
pub struct Report {
    /// `index.html`.
    pub page: PathBuf,
    /// Every file, the page among them.
    pub files: Vec<PathBuf>,
    /// The answer and the table, for a terminal.
    pub summary: String,
    /// Characters that the figures' font has no letter for: boxes stand for them in PNG files.
    pub missing_letters: BTreeSet<char>,
}

/// Writes tables, figures and the page of `study` into `folder`, which is made if it is missing. The same records give the
/// same bytes. Whatever is not recorded yet is said to be missing and is no error.
pub fn write(study: &StudyRecord, folder: &Path) -> Result<Report, ReportError> {
    write_drawn(study, folder, &ReportStyle::default(), |_| None)
}

/// What a report may have beyond what every report has.
#[derive(Clone, Debug, Default)]
pub struct ReportStyle {
    pub drawn: Drawn,
    /// Where the numbers of `speedups.tex` and `speedups.typ` lead to.
    pub cell_links: Option<CellLinks>,
}

impl From<Drawn> for ReportStyle {
    fn from(drawn: Drawn) -> Self {
        Self { drawn, ..Self::default() }
    }
}

/// The same with what is asked for, and with what is known of the networks' operations.
pub fn write_drawn(
    study: &StudyRecord,
    folder: &Path,
    style: &ReportStyle,
    flops_of_run: FlopsOfRun,
) -> Result<Report, ReportError> {
    let study = &*labelled(study);
    let labels = &study.plan.labels;
    let comparison = Comparison::of(study);
    let grid = Grid::of(&comparison);
    let mut files = publish_all(folder, tables(&comparison, &grid, style.cell_links.as_ref()))?;

    let (consistency, difficulty) = parts(study, &comparison);
    if let Some(consistency) = &consistency {
        let table = serde_json::to_string_pretty(&consistency::json(consistency, &study.plan))
            .expect("a JSON value can be written");
        files.push(publish(folder, "consistency.json", format!("{table}\n").as_bytes())?);
        files.push(publish(folder, "consistency.csv", consistency::csv(consistency, &study.plan).as_bytes())?);
    }
    if !difficulty.is_empty() {
        files.push(publish(folder, "difficulty.json", difficulty_json(&difficulty, labels).as_bytes())?);
    }
    let figures = all_figures(&comparison, consistency.as_ref(), &difficulty, style.drawn, Sheet::of_page());
    let written = figures.par_iter().map(|figure| -> Result<_, ReportError> {
        let svg = svg(&figure.drawing, &figure.name, &figure.title)?;
        let paths = [
            publish(folder, &format!("{}.svg", figure.name), svg.as_bytes())?,
            publish(folder, &format!("{}.png", figure.name), &png(&figure.drawing, &figure.name)?)?,
        ];
        Ok((svg, paths))
    });
    let (svgs, paths): (Vec<String>, Vec<[PathBuf; 2]>) = written.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    files.extend(paths.into_iter().flatten());

    // The page comes last: where it is, everything it names is.
    let shown = Shown { figures: &figures, svgs: &svgs, drawn: style.drawn, delivery: Delivery::File };
    let (page, summary) = rayon::join(
        || page(&comparison, &grid, consistency.as_ref(), &difficulty, &shown, flops_of_run),
        || summary(&comparison, &grid),
    );
    let page = publish(folder, "index.html", page.as_bytes())?;
    files.push(page.clone());
    let missing_letters = figures.iter().flat_map(|figure| figure.drawing.lacks()).collect();
    Ok(Report { page, files, summary, missing_letters })
}

/// The text of `speedups.json` as a report of `study` would have it.
pub fn speedups_json(study: &StudyRecord) -> String {
    let study = &*labelled(study);
    let comparison = Comparison::of(study);
    let grid = Grid::of(&comparison);
    json(&comparison, &grid, &Cells::of(&comparison, &grid))
}

/// The page of `study` as its records are now, for a server that can tell it more; nothing is written.
///
/// `version` is the page's number among those of its server.
pub fn live_page(study: &StudyRecord, flops_of_run: FlopsOfRun, version: u64) -> Result<String, ReportError> {
    let study = &*labelled(study);
    let comparison = Comparison::of(study);
    let grid = Grid::of(&comparison);
    let (consistency, difficulty) = parts(study, &comparison);
    let figures = all_figures(&comparison, consistency.as_ref(), &difficulty, Drawn::Few, Sheet::of_page());
    let svgs = figures.par_iter().map(|figure| svg(&figure.drawing, &figure.name, &figure.title));
    let svgs = svgs.collect::<Result<Vec<_>, _>>()?;
    let shown = Shown { figures: &figures, svgs: &svgs, drawn: Drawn::Few, delivery: Delivery::Live { version } };
    Ok(page(&comparison, &grid, consistency.as_ref(), &difficulty, &shown, flops_of_run))
}

/// What only some studies have.
pub(super) fn parts<'c>(
    study: &'c StudyRecord,
    comparison: &'c Comparison,
) -> (Option<Consistency<'c>>, Vec<PointDifficulty<'c>>) {
    rayon::join(|| Consistency::of(study), || difficulty(comparison))
}

/// Every figure of a study that has something to show.
pub(super) fn all_figures(
    comparison: &Comparison,
    consistency: Option<&Consistency>,
    difficulty: &[PointDifficulty],
    drawn: Drawn,
    sheet: Sheet,
) -> Vec<Figure> {
    let mut figures = figures(comparison, drawn, sheet);
    figures.extend(consistency.into_iter().flat_map(|consistency| consistency_figures(consistency, sheet)));
    if !difficulty.is_empty() {
        figures.extend(difficulty_figures(comparison, difficulty, sheet));
    }
    figures
}

/// The tables of speedups and of every measure, by the names of their files.
fn tables(comparison: &Comparison, grid: &Grid, links: Option<&CellLinks>) -> Vec<(&'static str, String)> {
    type Table<'t> = (&'static str, &'t (dyn Fn() -> Option<String> + Sync));
    let cells = &Cells::of(comparison, grid);
    let tables: [Table; 6] = [
        ("speedups.md", &|| Some(markdown(comparison, grid))),
        ("speedups.csv", &|| Some(csv(comparison, cells))),
        ("speedups.tex", &|| Some(latex(comparison, cells, links))),
        ("speedups.typ", &|| Some(typst(comparison, cells, links))),
        ("measures.csv", &|| measures_csv(comparison, cells)),
        ("speedups.json", &|| Some(json(comparison, grid, cells))),
    ];
    tables.par_iter().filter_map(|(name, table)| Some((*name, table()?))).collect()
}

fn publish_all(folder: &Path, files: Vec<(&str, String)>) -> Result<Vec<PathBuf>, ReportError> {
    files.iter().map(|(name, text)| publish(folder, name, text.as_bytes())).collect()
}
