//! JSON inside of HTML.

use serde::Serialize;

/// A value as text that can stand in a `<script type="application/json">`: nothing in it ends the element, opens a comment or is a
/// line's end to an older reader of JavaScript. Such characters stand in strings alone, where JSON has escapes for them.
pub fn embedded(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("plain data, whose keys are text");
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => safe.push_str(&format!("\\u{:04x}", character as u32)),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::embedded;

    #[test]
    fn nothing_ends_the_element_and_everything_comes_back() {
        let hostile = "</script><!--<script> & <img src=x onerror=alert(1)> \u{2028}\u{2029} \"quoted\" \\u003c 日本";
        let text = embedded(&[hostile]);
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{text}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [hostile]);
    }
}
