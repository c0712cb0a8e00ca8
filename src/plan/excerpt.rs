//! A line of a text with something in it underlined.

use std::fmt;

use super::problem::{Problem, Related};

/// A line of the sweep with something in it underlined.
pub struct Excerpt<'a> {
    pub file: &'a str,
    pub line: usize,
    column: usize,
    text: &'a str,
    width: usize,
    mark: &'static str,
    label: &'a str,
}

impl<'a> Excerpt<'a> {
    pub fn of(problem: &'a Problem) -> Self {
        let Problem { file, line, column, text, width, .. } = problem;
        Self { file, line: *line, column: *column, text, width: *width, mark: "^", label: "" }
    }

    pub fn related(related: &'a Related) -> Self {
        let Related { file, line, column, text, width, label } = related;
        Self { file, line: *line, column: *column, text, width: *width, mark: "-", label }
    }

    /// The line and a mark under it.
    pub fn write(&self, formatter: &mut fmt::Formatter<'_>, number: &str, gutter: usize) -> fmt::Result {
        let shown: Vec<char> = self.text.chars().map(visible).collect();
        let (start, end) = self.shown_part(shown.len());
        let (before, after) = (if start > 0 { CUT_BEFORE } else { "" }, if end < shown.len() { " ..." } else { "" });
        let part: String = shown[start..end].iter().collect();
        write!(formatter, "\n{number:>gutter$} | {before}{part}{after}")?;
        self.write_mark(formatter, gutter)
    }

    /// The mark alone, for a line that is shown already; it must be short enough to be shown whole.
    pub fn write_mark(&self, formatter: &mut fmt::Formatter<'_>, gutter: usize) -> fmt::Result {
        let (start, end) = self.shown_part(self.text.chars().count());
        let indent = if start > 0 { CUT_BEFORE.len() } else { 0 } + (self.column - 1).saturating_sub(start);
        let width = self.width.min(end.saturating_sub(self.column - 1)).max(1);
        write!(formatter, "\n{:gutter$} | {:indent$}{}", "", "", self.mark.repeat(width))?;
        if self.label.is_empty() { Ok(()) } else { write!(formatter, " {}", self.label) }
    }

    pub fn is_whole(&self) -> bool {
        self.text.chars().count() <= WIDEST
    }

    fn shown_part(&self, length: usize) -> (usize, usize) {
        let start = if length <= WIDEST { 0 } else { self.column.saturating_sub(WIDEST / 3).min(length) };
        (start, length.min(start + WIDEST))
    }
}

/// Longer lines are cut around what is underlined.
const WIDEST: usize = 110;
const CUT_BEFORE: &str = "... ";

/// A tab would move the mark, and a control character the terminal.
fn visible(c: char) -> char {
    match c {
        '\t' => '\u{2192}',
        _ if c.is_control() => '\u{fffd}',
        _ => c,
    }
}

/// How many characters the key or value covers that begins at `column`: to its closing quote or bracket, or to what
/// ends plain text. At least 1.
pub fn token_width(line: &str, column: usize) -> usize {
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
}
