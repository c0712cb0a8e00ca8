//! JSON of many grid points as text. Not all of it is in memory as values, which take ten times as much.

use rayon::prelude::*;
use serde_json::Value;

/// The text of `head`, a map, with `points` as its last key: a list of what `point` makes of each of them.
pub fn with_points<P: Sync>(head: &Value, points: &[P], point: impl Fn(&P) -> Value + Sync) -> String {
    let pretty = |value: &Value| serde_json::to_string_pretty(value).expect("a JSON value can be written");
    let before = pretty(head);
    let before = before.strip_suffix("\n}").expect("it is a map with keys");
    let texts: Vec<String> = points.par_iter().map(|of| pretty(&point(of)).replace('\n', "\n    ")).collect();
    match texts.is_empty() {
        true => format!("{before},\n  \"points\": []\n}}\n"),
        false => format!("{before},\n  \"points\": [\n    {}\n  ]\n}}\n", texts.join(",\n    ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_is_that_of_the_whole_value() {
        for points in [vec![], vec![json!({ "a": [1, { "b": "two\nlines" }] }), json!([]), json!({})]] {
            let whole = json!({ "version": 2, "empty": {}, "points": points });
            let head = json!({ "version": 2, "empty": {} });
            let expected = format!("{}\n", serde_json::to_string_pretty(&whole).unwrap());
            assert_eq!(with_points(&head, &points, Value::clone), expected);
        }
    }
}
