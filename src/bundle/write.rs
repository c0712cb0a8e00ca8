//! A bundle, written.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::files::{Member, Members, members};
use super::metadata::{Described, metadata_text};
use super::sums::{Sums, copy_summed, to_text};
use super::{BundleError, METADATA, OnFiles, SUMS};
use crate::checksum::sha256;
use crate::record::{PlanFile, RecordError, RunState, StudyRecord, SweepFolder, first_and_count, write_beside_by};

/// What is wanted of a bundle.
pub struct Wanted<'w> {
    /// The sweep's YAML, where it is not in the folder itself.
    pub sweep: Option<&'w Path>,
    /// Whether weights go in, and what a trainer of the user's own keeps.
    pub checkpoints: bool,
    /// Under what terms others may use the results, in words or as an address.
    pub license: Option<&'w str>,
    /// Who answers for the study.
    pub author: Option<&'w str>,
    /// The archive.
    pub out: &'w Path,
}

/// What was made.
pub struct Bundled {
    pub files: usize,
    /// Of all files, before they are compressed.
    pub bytes: u64,
    /// Runs that have ended, and all that are planned.
    pub ended: usize,
    pub planned: usize,
    /// Links, and files with a dot before their names, which stay where they are.
    pub left_out: usize,
}

/// Larger files need the longer headers of zip.
const LARGE: u64 = 0xf000_0000;

/// Writes the archive beside its place and renames it. The report in the folder is taken as it is.
pub fn bundle(
    study: &StudyRecord,
    plan: &PlanFile,
    wanted: &Wanted,
    progress: OnFiles<'_>,
) -> Result<Bundled, BundleError> {
    let folder = SweepFolder { path: study.folder.clone() };
    if let Some(holder) = folder.holder()? {
        return Err(RecordError::Held { folder: folder.path, holder }.into());
    }
    let unread = study.runs.iter().map(|run| (run, run.unread.as_slice())).filter(|(_, unread)| !unread.is_empty());
    if let Some((run, damage)) = study.damaged().chain(unread).next() {
        return Err(BundleError::Damaged {
            path: folder.run(&run.planned.run_id).path,
            damage: first_and_count(damage),
        });
    }
    let Members { found: mut members, left_out } = members(study, wanted.checkpoints)?;
    if let Some(sweep) = wanted.sweep
        && !members.iter().any(|member| member.name == "sweep.yaml")
    {
        members.push(Member { name: "sweep.yaml".to_owned(), path: sweep.to_owned() });
        members.sort();
    }
    let mut described = Vec::with_capacity(members.len());
    for (index, Member { name, path }) in members.iter().enumerate() {
        progress("summing", index, members.len());
        let mut file = File::open(path).map_err(RecordError::io("read", path))?;
        let (sum, bytes) = copy_summed(&mut file, &mut io::sink()).map_err(RecordError::io("read", path))?;
        described.push(Described { name: name.clone(), sum, bytes });
    }
    let text = metadata_text(study, plan, &described, wanted.license, wanted.author);
    let mut sums: Sums = described.iter().map(|file| (file.name.clone(), file.sum.clone())).collect();
    sums.insert(METADATA.to_owned(), sha256(text.as_bytes()));
    let texts = [(METADATA, text), (SUMS, to_text(&sums))];
    write_beside_by(wanted.out, |file| write_zip(file, &texts, &members, &described, progress))?;
    let ended = study.runs.iter().filter(|run| matches!(run.state, RunState::Ended(_))).count();
    let bytes = described.iter().map(|file| file.bytes).sum();
    Ok(Bundled { files: members.len() + texts.len(), bytes, ended, planned: study.runs.len(), left_out })
}

fn write_zip(
    file: &mut File,
    texts: &[(&str, String)],
    members: &[Member],
    described: &[Described],
    progress: OnFiles<'_>,
) -> io::Result<()> {
    let mut zip = ZipWriter::new(BufWriter::with_capacity(1 << 16, file));
    let written = fill(&mut zip, texts, members, described, progress);
    if written.is_err() {
        // Dropped, it would try to finish the archive and print that it cannot.
        std::mem::forget(zip);
        return written;
    }
    zip.finish()?.flush()
}

fn fill(
    zip: &mut ZipWriter<impl io::Write + io::Seek>,
    texts: &[(&str, String)],
    members: &[Member],
    described: &[Described],
    progress: OnFiles<'_>,
) -> io::Result<()> {
    for (name, text) in texts {
        zip.start_file(*name, options(name, text.len() as u64))?;
        zip.write_all(text.as_bytes())?;
    }
    for (index, (Member { name, path }, known)) in members.iter().zip(described).enumerate() {
        progress("bundling", index, members.len());
        zip.start_file(name.as_str(), options(name, known.bytes))?;
        let (sum, _) = copy_summed(&mut BufReader::new(File::open(path)?), zip)?;
        if sum != known.sum {
            return Err(io::Error::other(format!("{} was changed meanwhile", path.display())));
        }
    }
    Ok(())
}

/// The same for every machine and time. What is compressed already stays as it is.
fn options(name: &str, bytes: u64) -> SimpleFileOptions {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let is_compressed = ["png", "parquet", "safetensors"].contains(&ending);
    let method = if is_compressed { CompressionMethod::Stored } else { CompressionMethod::Deflated };
    SimpleFileOptions::default()
        .compression_method(method)
        .compression_level((!is_compressed).then_some(6))
        .last_modified_time(DateTime::default())
        .system(zip::System::Unix)
        .unix_permissions(0o644)
        .large_file(bytes >= LARGE)
}
