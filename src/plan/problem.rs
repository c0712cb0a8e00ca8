//! A problem of a sweep: what is wrong, where, and the cure.

use std::fmt;

use serde::Serialize;

use super::excerpt::Excerpt;

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
    /// A further fact that helps to understand it.
    pub note: Option<String>,
    /// The cure.
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
        if self.line > 0 && of_file(&self.file) {
            write!(formatter, ":{}:{}", self.line, self.column)?;
        }
        // An empty line, or one of a file that could not be read as text, has nothing to show.
        if !self.text.is_empty() || self.related.is_some() {
            write!(formatter, "\n{:gutter$} |", "")?;
            let mut excerpts = vec![Excerpt::of(self)];
            if let Some(related) = &self.related {
                excerpts.push(Excerpt::related(related));
                excerpts.sort_by_key(|excerpt| excerpt.line);
            }
            for (index, excerpt) in excerpts.iter().enumerate() {
                let is_same_line =
                    index > 0 && excerpt.line == excerpts[index - 1].line && excerpt.file == excerpts[index - 1].file;
                if is_same_line && excerpt.is_whole() {
                    excerpt.write_mark(formatter, gutter)?;
                    continue;
                }
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
