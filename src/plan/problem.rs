//! What is wrong with a sweep, where, and what to do about it.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::spec::{DecodeError, Location, Source};

/// No more problems than this are reported at once.
pub const MOST_PROBLEMS: usize = 20;

/// Why a sweep cannot be planned: everything found, in the order of the file.
#[derive(Clone, Debug, PartialEq, Serialize, thiserror::Error)]
pub struct PlanError {
    /// At least one and at most 20.
    pub problems: Vec<Problem>,
    /// Further problems that were found but are not listed.
    pub more: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Problem {
    pub message: String,
    /// The sweep's file, or `--set` for what the command line changed.
    pub file: String,
    /// Counts from 1; 0 when the problem is the file as a whole.
    pub line: usize,
    /// In characters, counts from 1; 0 when the problem is the file as a whole.
    pub column: usize,
    /// The line it was written in; empty when the problem is the file as a whole.
    pub text: String,
    /// Characters of `text` that the problem covers, from `column`.
    pub width: usize,
    /// Another place that is part of the problem.
    pub related: Option<Related>,
    /// What else helps to understand it.
    pub note: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A second place, such as where a duplicate key was first written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Related {
    pub label: String,
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub text: String,
    pub width: usize,
}

impl fmt::Display for PlanError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n\n")?;
            }
            problem.fmt(formatter)?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(formatter, "\n\nand {more} more"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "error: {}", self.message)?;
        let related_line = self.related.as_ref().map_or(0, |related| related.line);
        // The command line has no line numbers.
        let of_file = |file: &str| file != "--set";
        let gutter = 1 + self.line.max(related_line).to_string().len();
        write!(formatter, "\n{:gutter$}--> {}", "", self.file)?;
        if self.line > 0 {
            if of_file(&self.file) {
                write!(formatter, ":{}:{}", self.line, self.column)?;
            }
            write!(formatter, "\n{:gutter$} |", "")?;
            let mut excerpts = vec![Excerpt::of(self)];
            if let Some(related) = &self.related {
                excerpts.push(Excerpt::related(related));
                excerpts.sort_by_key(|excerpt| excerpt.line);
            }
            for (index, excerpt) in excerpts.iter().enumerate() {
                if index > 0 && excerpt.line > excerpts[index - 1].line + 1 {
                    write!(formatter, "\n...")?;
                }
                let number = if of_file(excerpt.file) { excerpt.line.to_string() } else { String::new() };
                excerpt.write(formatter, &number, gutter)?;
            }
        }
        for (label, text) in [("note", &self.note), ("hint", &self.hint)] {
            if let Some(text) = text {
                write!(formatter, "\n{:gutter$} = {label}: {text}", "")?;
            }
        }
        Ok(())
    }
}

/// A line of the sweep with something in it underlined.
struct Excerpt<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    text: &'a str,
    width: usize,
    mark: &'static str,
    label: &'a str,
}

impl<'a> Excerpt<'a> {
    /// Longer lines are cut around what is underlined.
    const WIDEST: usize = 110;

    fn of(problem: &'a Problem) -> Self {
        let Problem { file, line, column, text, width, .. } = problem;
        Self { file, line: *line, column: *column, text, width: *width, mark: "^", label: "" }
    }

    fn related(related: &'a Related) -> Self {
        let Related { file, line, column, text, width, label } = related;
        Self { file, line: *line, column: *column, text, width: *width, mark: "-", label }
    }

    fn write(&self, formatter: &mut fmt::Formatter<'_>, number: &str, gutter: usize) -> fmt::Result {
        // Tabs and control characters would move the caret, or the terminal.
        let shown: Vec<char> = self
            .text
            .chars()
            .map(|c| {
                if c == '\t' {
                    ' '
                } else if c.is_control() {
                    '\u{fffd}'
                } else {
                    c
                }
            })
            .collect();
        let start = if shown.len() <= Self::WIDEST { 0 } else { self.column.saturating_sub(Self::WIDEST / 3) };
        let end = shown.len().min(start + Self::WIDEST);
        let (before, after) = (if start > 0 { "... " } else { "" }, if end < shown.len() { " ..." } else { "" });
        let part: String = shown[start.min(end)..end].iter().collect();
        write!(formatter, "\n{number:>gutter$} | {before}{part}{after}")?;
        let indent = before.len() + (self.column - 1).saturating_sub(start);
        let width = self.width.min(end.saturating_sub(self.column - 1)).max(1);
        write!(formatter, "\n{:gutter$} | {:indent$}{}", "", "", self.mark.repeat(width))?;
        if self.label.is_empty() { Ok(()) } else { write!(formatter, " {}", self.label) }
    }
}

/// Something wrong, before its text is looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub at: Location,
    pub message: String,
    pub related: Option<(Location, String)>,
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
        match crate::spec::nearest(word, candidates.clone()) {
            Some(meant) => self.hint(format!("did you mean `{meant}`?")),
            None => self.hint(format!("the {what} are {}", crate::spec::quoted_list(candidates))),
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
        let mut seen = std::collections::BTreeSet::new();
        findings.retain(|finding| seen.insert((finding.at, finding.message.clone())));
        findings.sort_by_key(|finding| finding.at);
        let more = findings.len().saturating_sub(MOST_PROBLEMS);
        findings.truncate(MOST_PROBLEMS);
        PlanError { problems: findings.into_iter().map(|finding| self.problem(finding)).collect(), more }
    }

    fn problem(&self, finding: Finding) -> Problem {
        let Finding { at, message, related, note, hint } = finding;
        let text = self.line(at);
        let related = related.map(|(at, label)| {
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

/// How many characters the key or value covers that begins at `column`: to its closing quote or bracket, or to what
/// ends plain text. At least 1.
fn token_width(line: &str, column: usize) -> usize {
    let rest: Vec<char> = line.chars().skip(column.saturating_sub(1)).collect();
    let Some(&first) = rest.first() else { return 1 };
    let width = match first {
        '"' | '\'' => rest.iter().skip(1).position(|&c| c == first).map(|end| end + 2),
        '[' | '{' => {
            let mut depth = 0;
            rest.iter()
                .position(|&c| {
                    depth += i32::from(matches!(c, '[' | '{')) - i32::from(matches!(c, ']' | '}'));
                    depth == 0
                })
                .map(|end| end + 1)
        }
        _ => rest.iter().enumerate().position(|(index, &c)| {
            let next_is_blank = rest.get(index + 1).is_none_or(|c| c.is_whitespace());
            index > 0
                && (matches!(c, ',' | ']' | '}' | '=')
                    || (c == ':' && next_is_blank)
                    || (c == '#' && rest[index - 1] == ' '))
        }),
    };
    let to_the_end = rest.iter().rposition(|c| !c.is_whitespace()).map_or(1, |last| last + 1);
    let token = &rest[..width.unwrap_or(to_the_end)];
    token.iter().rposition(|c| !c.is_whitespace()).map_or(1, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_where_yaml_ends_it() {
        for (line, column, token) in [
            ("  steps: 2000  # long", 3, "steps"),
            ("  steps: 2000  # long", 10, "2000"),
            ("  \"a key\": [1, [2]] # x", 3, "\"a key\""),
            ("  \"a key\": [1, [2]] # x", 12, "[1, [2]]"),
            ("m: { kind: unet, channels: 3 }", 12, "unet"),
            ("m: { kind: unet, channels: 3 }", 28, "3"),
            ("m: [1, 2", 4, "[1, 2"),
            ("url: http://x y", 6, "http://x y"),
            ("\tb: 1", 1, "\tb"),
            ("", 1, "?"),
            ("ab", 9, "?"),
        ] {
            assert_eq!(token_width(line, column), token.chars().count(), "{line:?} at {column}");
        }
    }

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
        finding.related = Some((at(2, 1), "first written here".to_owned()));
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
