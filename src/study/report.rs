//! The tables and the page of a study, from its records.

use std::path::Path;
use std::thread;

use super::StudyError;
use super::cost::training_flops;
use crate::record::{PlanFile, StudyRecord, SweepFolder};
use crate::report::{self, Drawn, PaperFigures, PaperStyle, Report, ReportStyle};

/// Reads the records, replaces the sweep's table and its report, and gives both.
pub fn write_report(folder: &SweepFolder, style: &ReportStyle) -> Result<(StudyRecord, Report), StudyError> {
    written(folder, StudyRecord::read(folder)?, style)
}

/// The same, where the frozen plan has been read already.
pub fn write_report_of(
    folder: &SweepFolder,
    frozen: PlanFile,
    style: &ReportStyle,
) -> Result<(StudyRecord, Report), StudyError> {
    written(folder, StudyRecord::of(folder, frozen)?, style)
}

/// Writes the report's figures at a paper's size into `figures`.
pub fn write_paper_figures(
    study: &StudyRecord,
    figures: &Path,
    drawn: Drawn,
    style: &PaperStyle,
) -> Result<PaperFigures, StudyError> {
    Ok(report::write_paper_figures(study, figures, drawn, style)?)
}

fn written(folder: &SweepFolder, study: StudyRecord, style: &ReportStyle) -> Result<(StudyRecord, Report), StudyError> {
    // Of many runs each takes seconds.
    let (table, report) = thread::scope(|scope| {
        let table = scope.spawn(|| study.write_curves());
        let report = report::write_drawn(&study, &folder.report(), style, training_flops);
        (table.join().expect("it does not panic"), report)
    });
    table?;
    Ok((study, report?))
}
