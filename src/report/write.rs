//! A study's whole report, onto disk.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::comparison::Comparison;
use super::consistency::{self, Consistency};
use super::difficulty::{difficulty, difficulty_json};
use super::error::ReportError;
use super::grid::Grid;
use super::page::page;
use super::plots::{consistency_figures, difficulty_figures, figures, png, svg};
use super::publish::publish;
use super::summary::summary;
use super::tables::{csv, json, latex, markdown, measures_csv};
use crate::record::StudyRecord;

/// What was written.
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
    let comparison = Comparison::of(study);
    let grid = Grid::of(&comparison);
    let mut files = vec![
        publish(folder, "speedups.md", markdown(&comparison, &grid).as_bytes())?,
        publish(folder, "speedups.csv", csv(&comparison).as_bytes())?,
        publish(folder, "speedups.tex", latex(&comparison).as_bytes())?,
    ];
    if let Some(measures) = measures_csv(&comparison) {
        files.push(publish(folder, "measures.csv", measures.as_bytes())?);
    }
    let table = serde_json::to_string_pretty(&json(&comparison, &grid)).expect("a JSON value can be written");
    files.push(publish(folder, "speedups.json", format!("{table}\n").as_bytes())?);

    let mut figures = figures(&comparison);
    let consistency = Consistency::of(study);
    if let Some(consistency) = &consistency {
        let table = serde_json::to_string_pretty(&consistency::json(consistency)).expect("a JSON value can be written");
        files.push(publish(folder, "consistency.json", format!("{table}\n").as_bytes())?);
        files.push(publish(folder, "consistency.csv", consistency::csv(consistency).as_bytes())?);
        figures.extend(consistency_figures(consistency));
    }
    let difficulty = difficulty(&comparison);
    if !difficulty.is_empty() {
        let table = serde_json::to_string_pretty(&difficulty_json(&difficulty)).expect("a JSON value can be written");
        files.push(publish(folder, "difficulty.json", format!("{table}\n").as_bytes())?);
        figures.extend(difficulty_figures(&comparison, &difficulty));
    }
    let drawn = figures.par_iter().map(|figure| -> Result<_, ReportError> {
        let svg = svg(&figure.drawing, &figure.name, &figure.title)?;
        let paths = [
            publish(folder, &format!("{}.svg", figure.name), svg.as_bytes())?,
            publish(folder, &format!("{}.png", figure.name), &png(&figure.drawing, &figure.name)?)?,
        ];
        Ok((svg, paths))
    });
    let (svgs, paths): (Vec<String>, Vec<[PathBuf; 2]>) = drawn.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    files.extend(paths.into_iter().flatten());

    // The page comes last: where it is, everything it names is.
    let page = publish(
        folder,
        "index.html",
        page(&comparison, &grid, consistency.as_ref(), &difficulty, &figures, &svgs).as_bytes(),
    )?;
    files.push(page.clone());
    Ok(Report { page, files, summary: summary(&comparison, &grid) })
}
