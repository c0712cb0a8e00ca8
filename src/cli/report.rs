//! `speedlab report`: writes the report again, from the records alone.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::print::without_controls;
use super::{Exit, SweepArgs, say_if_changed};
use crate::record::{PlanFile, RecordError, StudyRecord, SweepFolder, first_and_count, quoted, refuse_folder};
use crate::report::{
    CellLinks, CheckError, Checked, Difference, Drawn, Font, PaperFormat, PaperStyle, PaperWidth, ReportStyle, check,
    read_kept, speedups_json,
};
use crate::spec::{Labels, PlannedRun};
use crate::study::{StudyError, write_paper_figures, write_report, write_report_of};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab report sweeps/quickstart.yaml
  speedlab report results/quickstart             without the sweep's file, from the records
  speedlab report sweeps/quickstart.yaml --figures paper/figures --width one-column      each figure as PDF, 3.35 inches wide
  speedlab report sweeps/quickstart.yaml --figures paper/figures --font NotoSansCJK-Regular.otf      in the letters of that font
  speedlab report sweeps/quickstart.yaml --cell-links https://example.org/quickstart/report/index.html      tables whose numbers are links
  speedlab report sweeps/quickstart.yaml --json | jq '.points[].arms[] | {arm, speedups}'
  speedlab report sweeps/quickstart.yaml --check paper/speedups.json      whether every number is the kept one; writes nothing

The page, results/<sweep>/report/index.html, needs no network: open it from disk. A click on a number shows the runs and the formula
behind it, a click on a curve its run; the target of the comparison can be moved. It prints, and reads without scripts.")]
pub struct ReportArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    /// Print the table of speedups as one JSON value
    #[arg(long)]
    json: bool,
    /// Draw the figures and samples of every grid point, however many there are
    #[arg(long)]
    all_figures: bool,
    /// Make each number in speedups.tex and speedups.typ a link to URL#cell-ID: the address where this report's page is published. A report that
    /// is written later without it has no links
    #[arg(long, value_name = "URL")]
    cell_links: Option<CellLinks>,
    /// Write nothing, but compare every number with those of a kept `speedups.json`; exit with 1 where one differs
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "all_figures", "figures", "cell_links"])]
    check: Option<PathBuf>,
    /// With --check: the relative difference up to which numbers agree [default: 0, the same bits]
    #[arg(long, value_name = "SHARE", requires = "check", value_parser = parse_share, allow_negative_numbers = true)]
    within: Option<f64>,
    /// Also draw each figure for a paper into this folder: at the width of a column, with letters of 7 to 8 points
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// The width of those figures: one-column (3.35 inches), two-column (6.9 inches), or a number of inches
    #[arg(
        long,
        value_name = "WIDTH",
        requires = "figures",
        default_value = "one-column",
        allow_negative_numbers = true
    )]
    width: PaperWidth,
    /// Their formats, with commas between them. The font is in a PDF; a PNG has 337 pixels to the inch
    #[arg(long = "format", value_name = "FORMAT", requires = "figures", value_delimiter = ',', default_value = "pdf")]
    formats: Vec<Format>,
    /// Their font: a TrueType or OpenType file [default: Inter, which comes with the program]. An SVG names it and does not hold it
    #[arg(long, value_name = "FILE", requires = "figures")]
    font: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Pdf,
    Svg,
    Png,
}

impl From<Format> for PaperFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Pdf => Self::Pdf,
            Format::Svg => Self::Svg,
            Format::Png => Self::Png,
        }
    }
}

impl ReportArgs {
    fn drawn(&self) -> Drawn {
        if self.all_figures { Drawn::All } else { Drawn::Few }
    }
}

pub fn report(args: &ReportArgs) -> anyhow::Result<Exit> {
    if let Some(figures) = &args.figures {
        refuse_folder(figures)?;
    }
    let font = args.font.as_deref().map(Font::read).transpose()?;
    let (plan, folder, frozen) = args.sweep.begun_and_frozen()?;
    if let Some(file) = &frozen {
        say_if_changed(&plan, &folder, file, "the report shows the frozen one");
    }
    if let Some(path) = &args.check {
        let frozen = frozen.ok_or_else(|| RecordError::Nothing { path: folder.path.clone() })?;
        return compare_with(path, &StudyRecord::of(&folder, frozen)?, args.within.unwrap_or(0.0));
    }
    let style = ReportStyle { drawn: args.drawn(), cell_links: args.cell_links.clone() };
    let study = match write_and_print(&folder, frozen.clone(), args.json, &style) {
        Err(error) if is_read_only(&error) => {
            let without = unwritten(&error, &folder);
            if args.figures.is_none() {
                anyhow::bail!("{without}");
            }
            eprintln!("note: {without}");
            let study = frozen.map_or_else(|| StudyRecord::read(&folder), |frozen| StudyRecord::of(&folder, frozen))?;
            warn_of_damage(&study);
            if args.json {
                out!("{}", speedups_json(&study).trim_end());
            }
            study
        }
        written => {
            let study = written?;
            keep_labels(&folder, &study.plan.labels);
            study
        }
    };
    if let Some(figures) = &args.figures {
        let mut formats: Vec<PaperFormat> = Vec::new();
        for format in args.formats.iter().map(|&format| format.into()) {
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        let style = PaperStyle { width: args.width, formats, font: font.unwrap_or_else(Font::inter) };
        let written = write_paper_figures(&study, figures, args.drawn(), &style)?;
        warn_of_letters(&written.missing_letters, &figures.display().to_string(), &style.formats, args.font.is_some());
        if !args.json {
            out!("figures: {} files in {}", written.files.len(), figures.display());
        }
    }
    Ok(Exit::AllDone)
}

/// Whether a report could not be written because its folder takes no files.
fn is_read_only(error: &anyhow::Error) -> bool {
    let is_of_writing = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref() {
        Some(RecordError::Io { action, source, .. }) => {
            !matches!(*action, "read" | "look at")
                && matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
        }
        _ => false,
    };
    // It is no source of the error that holds it, but the same.
    let of_study = matches!(error.downcast_ref(), Some(StudyError::Record(error)) if is_of_writing(error));
    of_study || error.chain().any(is_of_writing)
}

/// That such a report is not written, and the cure.
fn unwritten(error: &anyhow::Error, folder: &SweepFolder) -> String {
    let error = error.to_string();
    let reason = error.split("\nhint: ").next().unwrap_or_default();
    let path = std::path::absolute(&folder.path).unwrap_or_else(|_| folder.path.clone());
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let [from, copy] = [folder.path.display().to_string(), name].map(|word| quoted(&word));
    format!(
        "{reason}\nhint: copy the results to where you can write, as with `cp -r {from} .`, and `speedlab report {copy}` there"
    )
}

/// Has a later report of the folder call things as this one does. It is no part of this one, which is written: what hinders it is said.
fn keep_labels(folder: &SweepFolder, labels: &Labels) {
    let reason = match PlanFile::keep_labels(folder, labels) {
        Ok(true) => return,
        Ok(false) => "another process works on the sweep".to_owned(),
        Err(error) => error.to_string(),
    };
    let path = folder.plan_file();
    eprintln!(
        "note: these labels were not kept, and a report of the folder alone shows those of {}: {reason}",
        path.display()
    );
}

/// Compares the numbers of the study with those that a file keeps.
fn compare_with(path: &Path, study: &StudyRecord, within: f64) -> anyhow::Result<Exit> {
    warn_of_damage(study);
    let text = std::fs::read_to_string(path).map_err(|source| KeptError::Io { path: path.to_owned(), source })?;
    let kept =
        read_kept(&text, &study.plan.name).map_err(|source| KeptError::Content { path: path.to_owned(), source })?;
    let now: Value = serde_json::from_str(&speedups_json(study)).expect("it was just written");
    let Checked { agree, differences } = check(&kept, &now, within);
    for Difference { what, kept, now, cell } in &differences {
        let [kept, now] = [kept, now].map(|value| value.as_deref().unwrap_or("nothing"));
        let cell = if cell.is_empty() { String::new() } else { format!(" (cell {cell})") };
        out!("{}", without_controls(&format!("{what}: kept {kept}, now {now}{cell}")));
    }
    let how = if within > 0.0 { format!(" within {within}") } else { String::new() };
    if differences.is_empty() {
        out!("all {agree} numbers agree{how} with {}", path.display());
        return Ok(Exit::AllDone);
    }
    let count = differences.len();
    let differ = if count == 1 { "1 difference".to_owned() } else { format!("{count} differences") };
    out!("{differ} from {}; {agree} numbers agree{how}", path.display());
    if let Some(found) = differences.iter().find(|difference| !difference.cell.is_empty()) {
        let folder = quoted(&study.folder.display().to_string());
        eprintln!("hint: `speedlab cell {} {folder}` shows what is behind the first of them", found.cell);
    }
    Ok(Exit::SomeFailed)
}

/// Why a kept table cannot be compared.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeptError {
    #[error("cannot read {}: {source}\nhint: `speedlab report` writes such a file, report/speedups.json", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("cannot compare with {}: {source}", path.display())]
    Content { path: PathBuf, source: CheckError },
}

/// A share from 0 to 1.
fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share: &f64| (0.0..1.0).contains(share));
    share.ok_or_else(|| "give a number from 0 and below 1, such as 0.01".to_owned())
}

/// Writes the sweep's table and its report, and prints the answer on stdout; gives the records. `frozen`: the plan, if it has been read already.
pub(super) fn write_and_print(
    folder: &SweepFolder,
    frozen: Option<PlanFile>,
    json: bool,
    style: &ReportStyle,
) -> anyhow::Result<StudyRecord> {
    let (study, report) = match frozen {
        Some(frozen) => write_report_of(folder, frozen, style)?,
        None => write_report(folder, style)?,
    };
    warn_of_damage(&study);
    let formats = [PaperFormat::Svg, PaperFormat::Png];
    warn_of_letters(&report.missing_letters, &folder.report().display().to_string(), &formats, false);
    if json {
        out!("{}", std::fs::read_to_string(folder.report().join("speedups.json"))?.trim_end());
    } else {
        out!("{}", report.summary);
        out!("report: {}", report.page.display());
    }
    Ok(study)
}

/// Names the characters that figures have no letters for, if there are any.
fn warn_of_letters(missing: &BTreeSet<char>, figures: &str, formats: &[PaperFormat], is_font_given: bool) {
    if !missing.is_empty() {
        eprintln!("{}", letters_words(missing, figures, formats, is_font_given));
    }
}

/// `figures`: their folder; `is_font_given`: whether they are drawn in the font of a file.
fn letters_words(missing: &BTreeSet<char>, figures: &str, formats: &[PaperFormat], is_font_given: bool) -> String {
    let letters = missing.iter().map(char::to_string).collect::<Vec<_>>().join(" ");
    let has_boxes = formats.iter().filter(|format| **format != PaperFormat::Svg);
    let boxes = has_boxes.map(|format| format.extension().to_uppercase()).collect::<Vec<_>>().join(" and ");
    let so = match boxes.is_empty() {
        true => "what shows these SVG files takes them from another font".to_owned(),
        false => format!("boxes stand there in {boxes} files"),
    };
    let hint = match is_font_given {
        true => "give --font a file that has them, too",
        false => "`speedlab report STUDY --figures DIR --font FILE` draws the figures in a font that has them",
    };
    let letters = without_controls(&letters);
    format!("warning: the font of the figures in {figures} has no letter for {letters}: {so}\nhint: {hint}")
}

/// Names the runs that are left out.
pub(super) fn warn_of_damage(study: &StudyRecord) {
    let folder = SweepFolder { path: study.folder.clone() };
    for (run, damage) in study.damaged() {
        let PlannedRun { run_id, trial, seed, .. } = &run.planned;
        eprintln!(
            "warning: run {run_id} ({trial}, seed {seed}) is left out, because its record is damaged: {}",
            first_and_count(damage)
        );
        eprintln!(
            "hint: put back a copy of {}, or move it away and `speedlab run` trains the run again",
            folder.run(run_id).path.display()
        );
    }
    for run in study.runs.iter().filter(|run| !run.unread.is_empty()) {
        let PlannedRun { run_id, trial, seed, .. } = &run.planned;
        let unread = first_and_count(&run.unread);
        eprintln!(
            "warning: values of run {run_id} ({trial}, seed {seed}) that were measured later are left out: {unread}"
        );
        if !unread.contains("\nhint: ") {
            eprintln!("hint: put back a copy of the file, or remove it and `speedlab evaluate` measures them again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::report::ReportError;

    #[test]
    fn a_folder_that_takes_no_files_is_told_from_one_that_cannot_be_read() {
        let io = |action, kind| RecordError::Io { action, path: "ro/x/report".into(), source: io::Error::from(kind) };
        let report = |error| anyhow::Error::from(StudyError::Report(ReportError::Write(error)));
        let refused = report(io("make the folder", ErrorKind::PermissionDenied));
        assert!(is_read_only(&refused));
        assert!(is_read_only(&StudyError::Record(io("write", ErrorKind::ReadOnlyFilesystem)).into()));
        assert!(!is_read_only(&report(io("write", ErrorKind::StorageFull))));
        assert!(!is_read_only(&StudyError::Record(io("read", ErrorKind::PermissionDenied)).into()));
        let words = unwritten(&refused, &SweepFolder { path: "ro/x".into() });
        assert!(words.starts_with("cannot write the report: cannot make the folder ro/x/report: "), "{words}");
        assert!(words.contains("`cp -r ro/x .`, and `speedlab report x` there"), "{words}");
        assert!(!words.contains("--results"), "{words}");
    }

    #[test]
    fn missing_letters_are_told_for_the_formats_and_the_font_that_were_asked_for() {
        let words = |formats: &[PaperFormat], is_font_given| letters_words(&['漢'].into(), "f", formats, is_font_given);
        let of_report = words(&[PaperFormat::Svg, PaperFormat::Png], false);
        assert!(of_report.contains("no letter for 漢: boxes stand there in PNG files"), "{of_report}");
        assert!(of_report.contains("--figures DIR --font FILE"), "{of_report}");
        assert!(words(&[PaperFormat::Pdf, PaperFormat::Png], false).contains("in PDF and PNG files"));
        let svg = words(&[PaperFormat::Svg], true);
        assert!(!svg.contains("boxes") && !svg.contains("PDF") && svg.contains("another font"), "{svg}");
        assert!(svg.ends_with("hint: give --font a file that has them, too"), "{svg}");
    }
}
