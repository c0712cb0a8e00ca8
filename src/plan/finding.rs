//! A problem that was found, before the text around it is looked up.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::excerpt::token_width;
use super::problem::{PlanError, Problem, Related};
use crate::spec::{DecodeError, Location, Source, nearest, quoted_list};

/// No more problems than this are reported at once.
pub const MOST_PROBLEMS: usize = 20;

/// Something wrong, before its text is looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub at: Location,
    pub message: String,
    /// A second place and what it is; boxed, which keeps a `Result` small.
    pub related: Option<Box<(Location, String)>>,
    pub note: Option<String>,
    pub hint: Option<String>,
}

impl Finding {
    pub fn new(at: Location, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), related: None, note: None, hint: None }
    }

    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// "did you mean" the nearest candidate, or else the list of them.
    pub fn suggest<'a>(self, word: &str, what: &str, candidates: impl Iterator<Item = &'a str> + Clone) -> Self {
        match nearest(word, candidates.clone()) {
            Some(meant) => self.hint(format!("did you mean `{meant}`?")),
            None => self.hint(format!("the {what} are {}", quoted_list(candidates))),
        }
    }
}

impl From<DecodeError> for Finding {
    fn from(error: DecodeError) -> Self {
        Self { hint: error.hint, ..Self::new(error.at, error.message) }
    }
}

/// Every text that a [`Location`] can point into.
pub struct Texts {
    pub file: PathBuf,
    pub text: String,
    pub overrides: Vec<String>,
}

impl Texts {
    /// The report of `findings`: once each, in the order of the file, and no more than [`MOST_PROBLEMS`].
    pub fn error(&self, mut findings: Vec<Finding>) -> PlanError {
        let mut seen = BTreeSet::new();
        findings.retain(|finding| seen.insert((finding.at, finding.message.clone())));
        findings.sort_by_key(|finding| finding.at);
        let more = findings.len().saturating_sub(MOST_PROBLEMS);
        findings.truncate(MOST_PROBLEMS);
        PlanError { problems: findings.into_iter().map(|finding| self.problem(finding)).collect(), more }
    }

    fn problem(&self, finding: Finding) -> Problem {
        let Finding { at, message, related, note, hint } = finding;
        let text = self.line(at);
        let related = related.map(|related| {
            let (at, label) = *related;
            let text = self.line(at);
            Related {
                label,
                file: self.name(at),
                line: at.line,
                column: at.column,
                width: token_width(&text, at.column),
                text,
            }
        });
        let width = token_width(&text, at.column);
        Problem { message, file: self.name(at), line: at.line, column: at.column, text, width, related, note, hint }
    }

    fn name(&self, at: Location) -> String {
        match at.source {
            Source::File => self.file.display().to_string(),
            Source::Override(_) => "--set".to_owned(),
        }
    }

    fn line(&self, at: Location) -> String {
        let text = match at.source {
            Source::File => &self.text,
            Source::Override(index) => &self.overrides[index],
        };
        at.line.checked_sub(1).and_then(|index| text.lines().nth(index)).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Texts {
        Texts { file: "sweeps/my.yaml".into(), text: text.to_owned(), overrides: vec!["train.step=5".to_owned()] }
    }

    fn at(line: usize, column: usize) -> Location {
        Location { line, column, ..Location::default() }
    }

    #[test]
    fn a_problem_shows_its_line_and_a_caret() {
        let text = "name: x\n".repeat(6) + "    step: 2000\n";
        let finding = Finding::new(at(7, 5), "unknown key `train.step`").hint("did you mean `steps`?");
        assert_eq!(
            texts(&text).error(vec![finding]).to_string(),
            "\
error: unknown key `train.step`
  --> sweeps/my.yaml:7:5
   |
 7 |     step: 2000
   |     ^^^^
   = hint: did you mean `steps`?"
        );
    }

    #[test]
    fn two_places_are_shown_in_their_order() {
        let mut finding = Finding::new(at(12, 1), "duplicate key `b`");
        finding.related = Some(Box::new((at(2, 1), "first written here".to_owned())));
        let text = "a: 1\nb: 2\n".to_owned() + &"c: 3\n".repeat(9) + "b: 3\n";
        assert_eq!(
            texts(&text).error(vec![finding]).to_string(),
            "\
error: duplicate key `b`
   --> sweeps/my.yaml:12:1
    |
  2 | b: 2
    | - first written here
...
 12 | b: 3
    | ^"
        );
    }

    #[test]
    fn the_command_line_has_no_line_numbers() {
        let finding = Finding::new(Location { source: Source::Override(0), ..at(1, 7) }, "unknown key `train.step`");
        assert_eq!(
            texts("").error(vec![finding]).to_string(),
            "\
error: unknown key `train.step`
  --> --set
   |
   | train.step=5
   |       ^^^^"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place_and_control_characters_are_not_sent_on() {
        let text = format!("{}\u{1b}[31mX{}", "a".repeat(500), "b".repeat(500));
        let shown = texts(&text).error(vec![Finding::new(at(1, 506), "no")]).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[3].starts_with(" 1 | ... a") && lines[3].ends_with("b ..."), "{}", lines[3]);
        assert!(lines[3].contains("\u{fffd}[31mX") && !shown.contains('\u{1b}'));
        let caret = lines[4].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[3].chars().nth(caret), Some('X'));
        assert!(lines[4].chars().count() <= 130);
    }

    #[test]
    fn no_more_than_twenty_problems_are_listed_and_each_once() {
        let findings = (0..50).map(|index| Finding::new(at(1 + index % 25, 1), "no")).collect();
        let error = texts(&"x\n".repeat(30)).error(findings);
        assert_eq!((error.problems.len(), error.more), (20, 5));
        assert!(error.to_string().ends_with("\n\nand 5 more"));
    }
}
