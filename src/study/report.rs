//! The tables and the page of a study, from its records.

use std::thread;

use super::StudyError;
use crate::record::{PlanFile, StudyRecord, SweepFolder};
use crate::report::{self, Drawn, Report};

/// Reads the records, replaces the sweep's table and its report, and gives both.
pub fn write_report(folder: &SweepFolder, drawn: Drawn) -> Result<(StudyRecord, Report), StudyError> {
    written(folder, StudyRecord::read(folder)?, drawn)
}

/// The same, where the frozen plan has been read already.
pub fn write_report_of(
    folder: &SweepFolder,
    frozen: PlanFile,
    drawn: Drawn,
) -> Result<(StudyRecord, Report), StudyError> {
    written(folder, StudyRecord::of(folder, frozen)?, drawn)
}

fn written(folder: &SweepFolder, study: StudyRecord, drawn: Drawn) -> Result<(StudyRecord, Report), StudyError> {
    // Of many runs each takes seconds.
    let (table, report) = thread::scope(|scope| {
        let table = scope.spawn(|| study.write_curves());
        let report = report::write_drawn(&study, &folder.report(), drawn);
        (table.join().expect("it does not panic"), report)
    });
    table?;
    Ok((study, report?))
}
