//! Event files of TensorBoard: a folder for each run, named by its trial and seed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::{ExportError, OnRuns};
use crate::record::{RecordError, Row, Rows, RunRecord, StudyRecord};
use crate::tensorboard::{MARK, write_begin, write_scalars};

/// Writes `folder/<trial>/seed<n>/events.out.tfevents.*` of every run that has recorded a number. Gives how many runs that are.
pub fn write_tensorboard(study: &StudyRecord, folder: &Path, progress: OnRuns<'_>) -> Result<usize, ExportError> {
    match fs::read_dir(folder) {
        Ok(entries) => match entries.count() {
            0 => {}
            _ => return Err(ExportError::NotEmpty { path: folder.to_owned() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(RecordError::io("read", folder)(error).into()),
    }
    let beside = beside(folder);
    // What a killed process left that had this one's number; one of another number is not touched, because that may still write.
    let _ = fs::remove_dir_all(&beside);
    let written = write_runs(study, &beside, progress).and_then(|runs| {
        // A folder that is there and empty gives way.
        let _ = fs::remove_dir(folder);
        fs::rename(&beside, folder).map_err(RecordError::io("write", folder))?;
        Ok(runs)
    });
    if written.is_err() {
        // A half is of no use; failing to remove it is no further harm.
        let _ = fs::remove_dir_all(&beside);
    }
    written
}

fn beside(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}.{}", std::process::id()))
}

fn write_runs(study: &StudyRecord, folder: &Path, progress: OnRuns<'_>) -> Result<usize, ExportError> {
    fs::create_dir_all(folder).map_err(RecordError::io("make the folder", folder))?;
    let mut taken = BTreeSet::new();
    for (done, run) in study.runs.iter().enumerate() {
        progress(done, study.runs.len());
        let Some(began) = run.attempts.first().filter(|_| !run.rows.is_empty()) else { continue };
        let (run_id, started_at) = (&run.planned.run_id, &began.started_at);
        let began: jiff::Timestamp = started_at
            .parse()
            .map_err(|_| ExportError::Time { run_id: run_id.to_string(), started_at: started_at.clone() })?;
        let mut name = run_name(run);
        if !taken.insert(name.clone()) {
            name.push_str(&format!("-{run_id}"));
            taken.insert(name.clone());
        }
        let place = folder.join(name);
        fs::create_dir_all(&place).map_err(RecordError::io("make the folder", &place))?;
        let path = place.join(format!("events.out.{MARK}.{:010}.speedlab", began.as_second()));
        write_run(&run.rows, began.as_nanosecond() as f64 * 1e-9, &path).map_err(RecordError::io("write", &path))?;
    }
    Ok(taken.len())
}

/// A folder for the trial, and one in it for the seed.
fn run_name(run: &RunRecord) -> String {
    let is_plain = |c: char| !c.is_control() && !"/\\:*?\"<>|".contains(c);
    let trial: String = run.planned.trial.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
    match trial.trim_start_matches('.') {
        "" => format!("run/seed{}", run.planned.seed),
        trial => format!("{trial}/seed{}", run.planned.seed),
    }
}

/// An event for each moment at which something was measured. A metric that was measured by several protocols has a tag for each.
fn write_run(rows: &Rows, began: f64, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    write_begin(&mut file, began)?;
    let names: Vec<(&str, &str)> = rows.names().collect();
    let is_one = |metric: &str| names.iter().filter(|(other, _)| *other == metric).count() == 1;
    let tag = |row: &Row| match is_one(row.metric) {
        true => row.metric.to_owned(),
        false => format!("{} ({})", row.metric, row.protocol),
    };
    let rows: Vec<Row> = rows.iter().collect();
    for moment in rows.chunk_by(|one, other| (one.step, one.wall_seconds) == (other.step, other.wall_seconds)) {
        let tags: Vec<String> = moment.iter().map(tag).collect();
        let values = tags.iter().map(String::as_str).zip(moment.iter().map(|row| row.value));
        write_scalars(&mut file, began + moment[0].wall_seconds, moment[0].step, values)?;
    }
    file.flush()?;
    file.get_ref().sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{PlannedRun, RunSpec};

    #[test]
    fn a_runs_folder_is_below_the_one_that_was_named() {
        for (trial, folder) in [
            ("clts model.channels=16", "clts model.channels=16/seed0"),
            ("...", "run/seed0"),
            ("", "run/seed0"),
            ("../x", "-x/seed0"),
            ("/x", "-x/seed0"),
        ] {
            let planned = PlannedRun { trial: trial.into(), ..PlannedRun::of_baseline(RunSpec::default()) };
            assert_eq!(run_name(&RunRecord::new(planned)), folder, "{trial}");
        }
    }
}
