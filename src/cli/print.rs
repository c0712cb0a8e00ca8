//! What is written to a terminal or a pipe.

use std::io::Write as _;

use anyhow::Context as _;

/// Ends the program quietly if nobody reads on.
pub(super) fn print_line(line: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
    print_bytes(format!("{line}\n").as_bytes())
}

/// Like [`print_line`], without a line feed after it.
pub(super) fn print_text(text: &str) -> anyhow::Result<()> {
    print_bytes(text.as_bytes())
}

pub(super) fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written.context("cannot write the output")?),
    }
}

/// Prints an error with its causes to stderr; a cause that the error's own text names already is not said twice.
pub fn print_error(error: &anyhow::Error) {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
    }
    // A plan's errors come as whole diagnostics that begin with `error:` themselves.
    let prefix = if text.starts_with("error:") { "" } else { "error: " };
    // It may quote a file of unknown origin.
    eprintln!("{prefix}{}", without_controls(&text));
}

/// A text of unknown origin as a terminal may show it: control characters but line feeds and tabs as Rust writes them.
pub(super) fn without_controls(text: &str) -> String {
    let is_harmful = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        match is_harmful(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_steered_by_what_files_say() {
        assert_eq!(without_controls("a\u{1b}[31m\u{9b}b\r\0é\n\tc"), "a\\u{1b}[31m\\u{9b}b\\r\\u{0}é\n\tc");
    }
}
