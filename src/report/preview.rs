//! Drawings of what a sweep's trials will do, before anything is trained.

use std::path::{Path, PathBuf};

use super::error::ReportError;
use super::plots::{png, preview, svg};
use super::publish::publish;

/// One trial, as computed by whoever knows samplers and schedules.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialPreview {
    pub name: String,
    /// The facts that the curves do not show, in a few words.
    pub words: String,
    /// Index of its arm in the sweep, which gives it its colour.
    pub arm: usize,
    /// At several times of training, the first first.
    pub densities: Vec<DensityPreview>,
    /// Whether only the first density is known beforehand.
    pub adaptive: bool,
    /// (t / T, weight).
    pub loss_weight: Vec<(f64, f64)>,
    /// (step, beta1).
    pub beta1: Vec<(f64, f64)>,
    /// (step, learning rate).
    pub learning_rate: Vec<(f64, f64)>,
}

/// How often timesteps are trained on, at one time of training.
#[derive(Clone, Debug, PartialEq)]
pub struct DensityPreview {
    /// The percentage of the planned steps.
    pub percent: u64,
    /// (t / T, times as often as uniformly).
    pub relative: Vec<(f64, f64)>,
}

/// Rows of a page: a tall picture is drawn large before it is made small.
const PAGE_ROWS: usize = 16;

/// Writes `preview.svg` and `preview.png` of the sweep `name` into `folder`, which is there, then `preview-2.svg` and so on
/// where the trials do not fit on a page; returns their paths. Trials of one arm that do the same share a row.
/// `baseline` is the index of the arm that the others are compared with.
pub fn write_preview(
    name: &str,
    trials: &[TrialPreview],
    baseline: Option<usize>,
    folder: &Path,
) -> Result<Vec<PathBuf>, ReportError> {
    let title = format!("What the trials of {name} will do: densities over t, loss weights, beta1 and learning rates");
    let mut paths = Vec::new();
    for (index, page) in rows(trials).chunks(PAGE_ROWS).enumerate() {
        let drawing = preview(page, baseline);
        let file = if index == 0 { "preview".to_owned() } else { format!("preview-{}", index + 1) };
        paths.push(publish(folder, &format!("{file}.svg"), svg(&drawing, &file, &title)?.as_bytes())?);
        paths.push(publish(folder, &format!("{file}.png"), &png(&drawing, &file)?)?);
    }
    Ok(paths)
}

/// One for all trials of an arm that differ in nothing but their names.
fn rows(trials: &[TrialPreview]) -> Vec<TrialPreview> {
    let mut groups: Vec<(&TrialPreview, Vec<&str>)> = Vec::new();
    for trial in trials {
        let same = |other: &TrialPreview| TrialPreview { name: trial.name.clone(), ..other.clone() } == *trial;
        match groups.iter_mut().find(|(other, _)| other.arm == trial.arm && same(other)) {
            Some((_, names)) => names.push(&trial.name),
            None => groups.push((trial, vec![&trial.name])),
        }
    }
    groups.into_iter().map(|(trial, names)| TrialPreview { name: shared_name(&names), ..trial.clone() }).collect()
}

/// The common part of the names, and their number: `clts train.batch_size=16 (3 trials)`. A trial's name is its arm and the
/// grid's values, apart by spaces.
fn shared_name(names: &[&str]) -> String {
    let [first, rest @ ..] = names else { return String::new() };
    if rest.is_empty() {
        return (*first).to_owned();
    }
    let in_all = |word: &&str| rest.iter().all(|name| name.split(' ').any(|other| other == *word));
    let shared: Vec<&str> = first.split(' ').filter(in_all).collect();
    format!("{} ({} trials)", shared.join(" "), names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(name: &str, arm: usize, rate: f64) -> TrialPreview {
        TrialPreview {
            name: name.to_owned(),
            words: "predicts epsilon".to_owned(),
            arm,
            densities: vec![DensityPreview { percent: 0, relative: vec![(0.0, 1.0), (1.0, 1.0)] }],
            adaptive: true,
            loss_weight: vec![(0.0, 1.0), (1.0, 1.0)],
            beta1: vec![(0.0, 0.9), (99.0, 0.9)],
            learning_rate: vec![(0.0, rate), (99.0, rate)],
        }
    }

    #[test]
    fn trials_of_an_arm_that_do_the_same_share_a_row() {
        let trials = [
            trial("a x=1 y=7", 0, 0.1),
            trial("b x=1 y=7", 1, 0.1),
            trial("a x=2 y=7", 0, 0.1),
            trial("a x=3 y=7", 0, 0.2),
        ];
        let names: Vec<String> = rows(&trials).into_iter().map(|row| row.name).collect();
        assert_eq!(names, ["a y=7 (2 trials)", "b x=1 y=7", "a x=3 y=7"]);
    }

    #[test]
    fn a_long_sweep_goes_on_on_the_next_page() {
        let trials: Vec<TrialPreview> = (0..17).map(|index| trial(&format!("arm{index}"), index, 0.1)).collect();
        let folder = tempfile::tempdir().unwrap();
        let paths = write_preview("long", &trials, Some(0), folder.path()).unwrap();
        let names: Vec<&str> = paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["preview.svg", "preview.png", "preview-2.svg", "preview-2.png"]);
        let (first, second) =
            (std::fs::read_to_string(&paths[0]).unwrap(), std::fs::read_to_string(&paths[2]).unwrap());
        assert!(first.contains("arm15") && !first.contains("arm16") && second.contains("arm16"));
        assert!(image::open(&paths[3]).unwrap().width() > 1000);
    }
}
