//! A study's whole report, onto disk.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::cell::Cells;
use super::comparison::Comparison;
use super::consistency::{self, Consistency};
use super::difficulty::{difficulty, difficulty_json};
use super::error::ReportError;
use super::grid::Grid;
use super::labelled::labelled;
use super::page::page;
use super::plots::{Drawn, consistency_figures, difficulty_figures, figures, png, svg};
use super::publish::publish;
use super::summary::summary;
use super::tables::{csv, json, latex, markdown, measures_csv, typst};
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
}

/// Writes tables, figures and the page of `study` into `folder`, which is made if it is missing. The same records give the
/// same bytes. Whatever is not recorded yet is said to be missing and is no error.
pub fn write(study: &StudyRecord, folder: &Path) -> Result<Report, ReportError> {
    write_drawn(study, folder, Drawn::Few)
}

/// The same, with the figures that are asked for.
pub fn write_drawn(study: &StudyRecord, folder: &Path, drawn: Drawn) -> Result<Report, ReportError> {
    let study = &*labelled(study);
    let labels = &study.plan.labels;
    let comparison = Comparison::of(study);
    let grid = Grid::of(&comparison);
    let mut files = publish_all(folder, tables(&comparison, &grid))?;

    let mut figures = figures(&comparison, drawn);
    let (consistency, difficulty) = rayon::join(|| Consistency::of(study), || difficulty(&comparison));
    if let Some(consistency) = &consistency {
        let table =
            serde_json::to_string_pretty(&consistency::json(consistency, labels)).expect("a JSON value can be written");
        files.push(publish(folder, "consistency.json", format!("{table}\n").as_bytes())?);
        files.push(publish(folder, "consistency.csv", consistency::csv(consistency, labels).as_bytes())?);
        figures.extend(consistency_figures(consistency));
    }
    if !difficulty.is_empty() {
        files.push(publish(folder, "difficulty.json", difficulty_json(&difficulty, labels).as_bytes())?);
        figures.extend(difficulty_figures(&comparison, &difficulty));
    }
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
    let (page, summary) = rayon::join(
        || page(&comparison, &grid, consistency.as_ref(), &difficulty, &figures, &svgs, drawn),
        || summary(&comparison, &grid),
    );
    let page = publish(folder, "index.html", page.as_bytes())?;
    files.push(page.clone());
    Ok(Report { page, files, summary })
}

/// The text of `speedups.json` as a report of `study` would have it.
pub fn speedups_json(study: &StudyRecord) -> String {
    let study = &*labelled(study);
    let comparison = Comparison::of(study);
    let grid = Grid::of(&comparison);
    json(&comparison, &grid, &Cells::of(&comparison, &grid))
}

/// The tables of speedups and of every measure, by the names of their files.
fn tables(comparison: &Comparison, grid: &Grid) -> Vec<(&'static str, String)> {
    type Table<'t> = (&'static str, &'t (dyn Fn() -> Option<String> + Sync));
    let cells = &Cells::of(comparison, grid);
    let tables: [Table; 6] = [
        ("speedups.md", &|| Some(markdown(comparison, grid))),
        ("speedups.csv", &|| Some(csv(comparison, cells))),
        ("speedups.tex", &|| Some(latex(comparison, cells))),
        ("speedups.typ", &|| Some(typst(comparison, cells))),
        ("measures.csv", &|| measures_csv(comparison, cells)),
        ("speedups.json", &|| Some(json(comparison, grid, cells))),
    ];
    tables.par_iter().filter_map(|(name, table)| Some((*name, table()?))).collect()
}

fn publish_all(folder: &Path, files: Vec<(&str, String)>) -> Result<Vec<PathBuf>, ReportError> {
    files.iter().map(|(name, text)| publish(folder, name, text.as_bytes())).collect()
}
