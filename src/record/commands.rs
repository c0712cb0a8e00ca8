//! The commands that are typed to go on with a study, by where its records lie now.

use std::path::Path;

/// Where results are kept if no option says so.
pub const DEFAULT_RESULTS: &str = "results";

/// A word that a shell takes as it is.
pub fn quoted(word: &str) -> String {
    match !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-_./=:,+@%".contains(c)) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// What stands after `speedlab run` for the records of the sweep `name` in `folder`: the arguments that they were first made with, and
/// where they lie now, which is not where they were made if somebody has copied them.
///
/// A folder that has another name than the sweep is none that `speedlab run` could go on with: its arguments stay as they are.
pub fn running_arguments(arguments: &str, folder: &Path, name: &str) -> String {
    let parent = folder.parent().filter(|_| folder.file_name().is_some_and(|own| own == name));
    let Some(parent) = parent.filter(|_| !arguments.starts_with('(')) else { return arguments.to_owned() };
    let mut written = without_results(arguments);
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    if parent != Path::new(DEFAULT_RESULTS) {
        written.push_str(&format!(" --results {}", quoted(&parent.display().to_string())));
    }
    written
}

/// The same arguments without `--results DIR`.
pub fn without_results(arguments: &str) -> String {
    let mut words = words_of(arguments);
    if let Some(at) = words.iter().position(|word| *word == "--results") {
        words.drain(at..(at + 2).min(words.len()));
    }
    words.join(" ")
}

/// The folder that `speedlab run` with these arguments makes for the sweep `name`, as a word for a shell.
pub fn first_folder(arguments: &str, name: &str) -> String {
    let words = words_of(arguments);
    let given = words.iter().position(|word| *word == "--results").and_then(|at| words.get(at + 1));
    let results = given.map_or_else(
        || DEFAULT_RESULTS.to_owned(),
        |word| word.replace("'\\''", "\0").replace('\'', "").replace('\0', "'"),
    );
    quoted(&Path::new(&results).join(name).display().to_string())
}

/// The words of a command line, with their quotes.
fn words_of(line: &str) -> Vec<&str> {
    let (mut words, mut from, mut is_quoted, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, character) in line.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if !is_quoted => is_escaped = true,
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => {
                words.push(&line[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    words.push(&line[from..]);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_the_folder_that_the_records_lie_in_now() {
        let of = |arguments: &str, folder: &str| running_arguments(arguments, Path::new(folder), "tiny");
        assert_eq!(of("a.yaml", "results/tiny"), "a.yaml");
        assert_eq!(of("a.yaml", "/copy/of it/tiny"), "a.yaml --results '/copy/of it'");
        assert_eq!(of("a.yaml --results '/x y'", "results/tiny"), "a.yaml");
        let written = "'my a.yaml' --set 'name=it'\\''s --results x' --results /old --until-decided --max-seeds 9";
        let moved = "'my a.yaml' --set 'name=it'\\''s --results x' --until-decided --max-seeds 9 --results new";
        assert_eq!(of(written, "new/tiny"), moved);
        assert_eq!(of("a.yaml", "tiny"), "a.yaml --results .");
        // Nothing goes on with these.
        assert_eq!(of("a.yaml --results /old", "/copy/renamed"), "a.yaml --results /old");
        assert_eq!(of("(several studies)", "/copy/tiny"), "(several studies)");
    }

    #[test]
    fn a_study_lies_where_its_first_command_put_it() {
        let of = |arguments: &str| first_folder(arguments, "tiny");
        assert_eq!(of("a.yaml --until-decided"), "results/tiny");
        assert_eq!(
            of("a.yaml --set 'x=a --results b' --results '/x it'\\''s y' --until-decided"),
            "'/x it'\\''s y/tiny'"
        );
        assert_eq!(without_results("a.yaml --results '/x y' --until-decided"), "a.yaml --until-decided");
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_not_take_it() {
        assert_eq!((quoted("a/b-1.yaml").as_str(), quoted("").as_str()), ("a/b-1.yaml", "''"));
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
