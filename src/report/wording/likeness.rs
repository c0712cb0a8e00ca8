//! The similarity of a study's runs, as a cell in a table of several studies.

use crate::record::StudyRecord;
use crate::report::consistency::{Consistency, Similarity};

/// `SSIM between seeds 0.95 (0.12 of different noises), ..`: the mean over pairs of runs that differ in one thing, from the same noise;
/// of several protocols the first.
pub fn likeness_cell(study: &StudyRecord) -> String {
    let missing = || "nothing measured yet".to_owned();
    let Some(consistency) = Consistency::of(study) else { return missing() };
    let Some(comparable) = consistency.comparable.iter().find(|comparable| !comparable.pairs.is_empty()) else {
        return missing();
    };
    let mut cells = Vec::new();
    for group in comparable.groups().iter().filter(|group| group.difference.methods() <= 1) {
        let all = comparable.likeness_of(&group.pairs);
        let Some(ssim) = all.iter().find(|likeness| likeness.similarity == Similarity::Ssim) else { continue };
        let others =
            if cells.is_empty() { format!(" ({:.2} of different noises)", ssim.shuffled) } else { String::new() };
        cells.push(format!("{} {:.2}{others}", group.name, ssim.same));
    }
    format!("SSIM of runs that differ in {}", cells.join(", "))
}
