//! Which texts can be labels.

/// Whether a text can stand in a cell, on a figure and in a line of a terminal: one line, neither empty nor too long. A plan that is kept
/// may have any; a sweep's file only those that [`no_label`] lets pass.
pub fn is_label(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= 80 && !text.chars().any(ends_or_turns_a_line)
}

/// Why a text is no label of a sweep's file: it cannot be shown, or it would look like another. `None` where it is one.
pub fn no_label(text: &str) -> Option<String> {
    let trimmed = text.trim();
    let is_odd = |character: &char| ends_or_turns_a_line(*character) || is_invisible(*character);
    if trimmed.is_empty() {
        return Some("it is empty".to_owned());
    }
    if text.contains(['\n', '\r', '\u{2028}', '\u{2029}']) {
        return Some("it has more than one line".to_owned());
    }
    if let Some(odd) = text.chars().find(is_odd) {
        let point = u32::from(odd);
        return Some(match is_invisible(odd) {
            true => format!("it has the invisible character U+{point:04X}"),
            false => format!("it has the control character U+{point:04X}"),
        });
    }
    if trimmed.len() != text.len() {
        return Some("it begins or ends with white space".to_owned());
    }
    (text.chars().count() > 80).then(|| "it has more than 80 characters".to_owned())
}

/// Characters without a shape: Unicode's format characters (general category Cf), fillers of Hangul and variation selectors.
fn is_invisible(character: char) -> bool {
    matches!(
        u32::from(character),
        0xad | 0x34f
            | 0x600..=0x605
            | 0x61c
            | 0x6dd
            | 0x70f
            | 0x890..=0x891
            | 0x8e2
            | 0x115f..=0x1160
            | 0x180b..=0x180f
            | 0x200b..=0x200f
            | 0x202a..=0x202e
            | 0x2060..=0x206f
            | 0x3164
            | 0xfe00..=0xfe0f
            | 0xfeff
            | 0xffa0
            | 0xfff9..=0xfffb
            | 0x110bd
            | 0x110cd
            | 0x13430..=0x1343f
            | 0x1bca0..=0x1bca3
            | 0x1d173..=0x1d17a
            | 0xe0000..=0xe0fff
    )
}

/// Control characters, Unicode's separators of lines and paragraphs, and those that turn the direction of what follows.
pub fn ends_or_turns_a_line(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_line_that_looks_like_no_other() {
        for good in ["CLTS (ours)", "η = 2·10⁻⁴", "漢字", "é"] {
            assert_eq!(no_label(good), None, "{good}");
        }
        let long = "x".repeat(81);
        for (wrong, reason) in [
            (" ", "it is empty"),
            ("a\nb", "it has more than one line"),
            ("a\tb", "it has the control character U+0009"),
            (" a", "it begins or ends with white space"),
            ("a\u{a0}", "it begins or ends with white space"),
            ("a\u{200b}", "it has the invisible character U+200B"),
            ("\u{200e}a", "it has the invisible character U+200E"),
            ("a\u{202e}b", "it has the invisible character U+202E"),
            ("a\u{feff}b", "it has the invisible character U+FEFF"),
            (long.as_str(), "it has more than 80 characters"),
        ] {
            assert_eq!(no_label(wrong).as_deref(), Some(reason), "{wrong:?}");
        }
    }
}
