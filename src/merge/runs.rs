//! What the sources have recorded of one run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::copy::copy_run;
use super::{MergeError, Source};
use crate::checksum::sha256;
use crate::event::{Measure, RunOutcome};
use crate::record::{
    RecordError, Row, RunFolder, RunRecord, RunState, SweepFolder, first_and_count, progress, write_beside,
};
use crate::spec::{PlannedRun, RunId, canonical_json};

/// The records of one run.
pub(super) struct Gathered {
    pub run_id: RunId,
    pub planned: PlannedRun,
    /// Where the record is that counts.
    pub folder: RunFolder,
    /// How each value that counts was measured: metric, protocol.
    pub protocols: Vec<(String, String)>,
    /// A sentence for a person.
    pub note: Option<String>,
    /// The name among the run's attempts of the record that counts.
    token: String,
    /// All records of it, by such names: the one that counts, and what else there is.
    all: BTreeMap<String, RunFolder>,
    /// What was measured of its weights after it had ended, on any of the machines, by the names that they are written with; and a file of
    /// each.
    evaluations: BTreeMap<String, PathBuf>,
}

/// A source's record of the run that counts there.
struct Known {
    folder: RunFolder,
    token: String,
    journal: Vec<u8>,
    record: RunRecord,
}

impl Gathered {
    /// `None` where nothing whole is recorded: of a copy that was interrupted.
    pub fn of(run_id: &RunId, sources: &[Source]) -> Result<Option<Self>, MergeError> {
        let (mut known, mut all): (Vec<Known>, BTreeMap<String, RunFolder>) = Default::default();
        for source in sources {
            let current = source.folder.current(run_id)?;
            let own = source.folder.run(run_id);
            let attempts = source.folder.open_attempts(run_id)?;
            for folder in std::iter::once(own).chain(attempts).filter(|folder| folder.path.exists()) {
                let journal = journal(&folder)?;
                let token = sha256(&journal)[..12].to_owned();
                all.entry(token.clone()).or_insert_with(|| folder.clone());
                if folder.path == current.path {
                    known.push(Known::read(folder, token, journal, run_id)?);
                }
            }
        }
        if known.is_empty() {
            return Ok(None);
        }
        // Who has ended counts, then who is furthest; of two alike, the first that was named.
        let mut best = 0;
        for (index, other) in known.iter().enumerate().skip(1) {
            if progress(&other.folder)? > progress(&known[best].folder)? && !known[best].has_ended() {
                best = index;
            }
        }
        let mut note = None;
        for other in known.iter().filter(|other| other.folder.path != known[best].folder.path) {
            note = known[best].compare(other)?.or(note);
        }
        known.swap(0, best);
        let evaluations = evaluations(&known)?;
        let Known { folder, token, record, .. } = known.swap_remove(0);
        let protocols =
            record.rows.names().map(|(metric, protocol)| (metric.to_owned(), protocol.to_owned())).collect();
        // Of two whole copies of a record the one that counts is taken.
        all.insert(token.clone(), folder.clone());
        Ok(Some(Self {
            run_id: run_id.clone(),
            planned: record.planned,
            folder,
            protocols,
            note,
            token,
            all,
            evaluations,
        }))
    }

    /// Copies what is not there yet, and makes the record that counts the run's own.
    pub fn carry_into(&self, into: &SweepFolder) -> Result<(), MergeError> {
        let own = into.run(&self.run_id);
        let own_token =
            own.path.exists().then(|| journal(&own)).transpose()?.map(|journal| sha256(&journal)[..12].to_owned());
        if own_token.as_deref() != Some(&self.token) {
            self.place(into, &self.token)?;
            if let Some(own_token) = &own_token {
                let aside = into.attempt(&self.run_id, own_token).path;
                fs::rename(&own.path, &aside).map_err(RecordError::io("rename", &own.path))?;
            }
            into.commit(&self.run_id, &self.token)?;
        }
        for token in self.all.keys().filter(|token| **token != self.token && Some(*token) != own_token.as_ref()) {
            self.place(into, token)?;
        }
        into.forget_parts(&self.run_id);
        let run = into.run(&self.run_id);
        // An older program gave some of them other names.
        let known = run.read_evaluations()?;
        for (name, path) in &self.evaluations {
            if !known.iter().any(|(_, evaluation)| evaluation.name() == *name) {
                let bytes = fs::read(path).map_err(RecordError::io("read", path))?;
                write_beside(&run.evaluations().join(name), &bytes)?;
            }
        }
        Ok(())
    }

    /// Copies a record to its place among the attempts, unless it is there.
    fn place(&self, into: &SweepFolder, token: &str) -> Result<(), MergeError> {
        let (from, to) = (&self.all[token], into.attempt(&self.run_id, token));
        // Only what is this run's own there may be moved.
        match from.path == into.run(&self.run_id).path || from.path.parent() == to.path.parent() {
            // It is there, perhaps by another name.
            true if from.path != to.path => {
                fs::rename(&from.path, &to.path).map_err(RecordError::io("rename", &from.path))?;
            }
            true => {}
            false if to.path.exists() => {}
            false => copy_run(&from.path, &to.path)?,
        }
        Ok(())
    }
}

impl Known {
    fn read(folder: RunFolder, token: String, journal: Vec<u8>, run_id: &RunId) -> Result<Self, MergeError> {
        let planned = folder.read_spec()?;
        let damaged = |damage: String| MergeError::Damaged { path: folder.path.clone(), damage };
        if planned.run_id != *run_id {
            return Err(damaged(format!("its spec.json is that of run {}", planned.run_id)));
        }
        let record = RunRecord::read_in(&folder, &planned)?;
        if let RunState::Damaged(damage) = &record.state {
            return Err(damaged(first_and_count(damage)));
        }
        Ok(Self { folder, token, journal, record })
    }

    fn has_ended(&self) -> bool {
        matches!(self.record.state, RunState::Ended(_))
    }

    fn journal_path(&self) -> PathBuf {
        self.folder.journal()
    }

    /// Refuses another record that contradicts this one. What a person should know otherwise.
    fn compare(&self, other: &Self) -> Result<Option<String>, MergeError> {
        let differs = |one: PathBuf, other: PathBuf, what: String| MergeError::RecordedDifferently { one, other, what };
        let spec = |known: &Self| canonical_json(&known.record.planned.spec);
        if spec(self) != spec(other) {
            let what = "their settings differ".to_owned();
            return Err(differs(self.folder.path.join("spec.json"), other.folder.path.join("spec.json"), what));
        }
        if self.token == other.token {
            return match differing_file(&self.folder.path, &other.folder.path)? {
                Some(name) => {
                    let what = "the journals are the same, and this file is not".to_owned();
                    Err(differs(self.folder.path.join(&name), other.folder.path.join(&name), what))
                }
                None => Ok(None),
            };
        }
        // A copy that went on, or that did not.
        if self.journal.starts_with(&other.journal) || other.journal.starts_with(&self.journal) {
            return Ok(None);
        }
        let PlannedRun { run_id, trial, seed, .. } = &self.record.planned;
        let (RunState::Ended(outcome), RunState::Ended(other_outcome)) = (&self.record.state, &other.record.state)
        else {
            return Ok(Some(format!(
                "run {run_id} ({trial}, seed {seed}) was begun twice; {} counts, and the other is kept among its attempts",
                self.folder.path.display()
            )));
        };
        match first_difference(&self.record, &other.record, outcome, other_outcome) {
            Some(what) => Err(differs(self.journal_path(), other.journal_path(), what)),
            None => Ok(Some(format!(
                "run {run_id} ({trial}, seed {seed}) was trained twice with the same values; the times of {} count, and the other is kept \
                 among its attempts",
                self.folder.path.display()
            ))),
        }
    }
}

/// The evaluations of all records of a run; refused where two records have a value of one metric by one protocol at one step, and these
/// differ.
fn evaluations(known: &[Known]) -> Result<BTreeMap<String, PathBuf>, MergeError> {
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut values: BTreeMap<(u64, String, String), (u64, PathBuf)> = BTreeMap::new();
    for folder in known.iter().map(|known| &known.folder) {
        let own = folder.read_evaluations()?;
        let mut own_values = BTreeMap::new();
        for (path, evaluation) in own {
            for Measure { metric, protocol, value } in &evaluation.measures {
                let name = (evaluation.stamp.step, metric.to_string(), protocol.to_string());
                if let Some((bits, one)) = values.get(&name)
                    && *bits != value.to_bits()
                {
                    let (one, value) = (one.clone(), f64::from_bits(*bits));
                    let what = format!("{metric} by {protocol} was measured with other values, {value} in the first");
                    return Err(MergeError::RecordedDifferently { one, other: path, what });
                }
                // Of two in one record, the one that was made first counts.
                own_values.entry(name).or_insert_with(|| (value.to_bits(), path.clone()));
            }
            found.entry(evaluation.name()).or_insert(path);
        }
        for (name, value) in own_values {
            values.entry(name).or_insert(value);
        }
    }
    Ok(found)
}

/// The bytes of a journal; none where there is none.
fn journal(folder: &RunFolder) -> Result<Vec<u8>, MergeError> {
    match fs::read(folder.journal()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        read => Ok(read.map_err(RecordError::io("read", &folder.journal()))?),
    }
}

/// What two records say differently, beside times.
fn first_difference(
    one: &RunRecord,
    other: &RunRecord,
    outcome: &RunOutcome,
    other_outcome: &RunOutcome,
) -> Option<String> {
    if outcome != other_outcome {
        return Some(format!(
            "it is {} in the first and {} in the second",
            outcome.in_words(),
            other_outcome.in_words()
        ));
    }
    if one.rows.len() != other.rows.len() {
        return Some(format!("the first has {} values and the second {}", one.rows.len(), other.rows.len()));
    }
    let place = |row: &Row| (row.step, row.images_seen);
    let is_same = |one: &Row, other: &Row| {
        place(one) == place(other)
            && (one.metric, one.protocol) == (other.metric, other.protocol)
            && one.value.to_bits() == other.value.to_bits()
    };
    let (one, other) = one.rows.iter().zip(other.rows.iter()).find(|(one, other)| !is_same(one, other))?;
    let words = |row: &Row| format!("{} at step {} is {}", row.metric, row.step, row.value);
    Some(format!("{} in the first, {} in the second", words(&one), words(&other)))
}

/// A file below `one` that `other` has too, with other bytes.
fn differing_file(one: &Path, other: &Path) -> Result<Option<PathBuf>, MergeError> {
    let read = |path: PathBuf| fs::read(&path).map_err(RecordError::io("read", &path));
    let mut names: Vec<PathBuf> = ["curves.parquet", "DONE"].map(PathBuf::from).into();
    for folder in ["samples", "consistency", "averages"] {
        let entries = fs::read_dir(one.join(folder)).into_iter().flatten().flatten();
        names.extend(entries.map(|entry| Path::new(folder).join(entry.file_name())));
    }
    for name in names {
        if one.join(&name).is_file()
            && other.join(&name).is_file()
            && read(one.join(&name))? != read(other.join(&name))?
        {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
