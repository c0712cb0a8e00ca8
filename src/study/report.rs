//! The tables and the page of a study, from its records.

use super::StudyError;
use crate::record::{StudyRecord, SweepFolder};
use crate::report::{self, Report};

/// Reads the records, replaces the sweep's table and its report, and gives both.
pub fn write_report(folder: &SweepFolder) -> Result<(StudyRecord, Report), StudyError> {
    let study = StudyRecord::read(folder)?;
    let rows: Vec<_> = study.rows().cloned().collect();
    folder.write_curves(&rows)?;
    let report = report::write(&study, &folder.report())?;
    Ok((study, report))
}
