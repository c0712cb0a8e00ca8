//! The table for a paper written in Typst. Every text is a string, which runs no code.

use super::latex::{IdsOf, SPEEDUP, is_bold};
use super::{COLUMNS, CellLinks, groups, line};
use crate::report::cell::Cells;
use crate::report::comparison::Comparison;
use crate::report::wording::{confidence, metric_words, target, yardstick};
use crate::spec::ends_or_turns_a_line;

/// `links`: where the numbers lead to, if they do.
pub fn typst(comparison: &Comparison, cells: &Cells, links: Option<&CellLinks>) -> String {
    let metric = metric_words(comparison);
    let mut text = String::from(
        "// Speedup = baseline / candidate, above 1 is faster: geometric mean over the band and over seeds, Student's t on logarithms;\n\
         // verdicts after Holm's correction for the number of arms. Bold: faster by that verdict.\n",
    );
    for point in &comparison.points {
        let mut remark = |words: &str| text.push_str(&format!("// {}\n", one_line(words)));
        if !point.label.is_empty() {
            remark(&point.label);
        }
        if let Some(found) = &point.band {
            remark(&yardstick(comparison, found));
        }
        if let Some(resolved) = &point.target {
            remark(&format!("Target of the first crossing: {}.", target(comparison, resolved)));
        }
        text.push_str(&format!(
            "#table(\n  columns: {COLUMNS},\n  align: (left, left, center, left, right, left, left),\n  stroke: none,\n  table.hline(),\n"
        ));
        let heads = ["Arm", &format!("Final {metric}"), "Reached", "Measured in", "Speedup"];
        let heads = heads
            .into_iter()
            .map(string)
            .chain([string(&format!("{} interval", confidence(comparison))), string("Verdict")]);
        text.push_str(&format!(
            "  table.header({}),\n  table.hline(stroke: 0.5pt),\n",
            heads.collect::<Vec<_>>().join(", ")
        ));
        for group in groups(point) {
            for (index, row) in group.iter().enumerate() {
                let mut words = line(comparison, row, index == 0).map(|cell| string(&cell));
                if is_bold(row) {
                    words[SPEEDUP] = format!("strong({})", words[SPEEDUP]);
                }
                let ids = IdsOf::line(cells, point, row, index == 0);
                if let Some(links) = links {
                    ids.link(&mut words, |id, words| format!("link({}, {words})", string(&links.of(id))));
                }
                text.push_str(&format!("  {}, // cells: {}\n", words.join(", "), ids.words()));
            }
        }
        text.push_str("  table.hline(),\n)\n");
    }
    text
}

/// A string of Typst's code.
fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in one_line(text).chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

fn one_line(text: &str) -> String {
    text.chars().map(|character| if ends_or_turns_a_line(character) { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::{one_line, string};

    #[test]
    fn nothing_that_a_name_holds_is_code() {
        assert_eq!(string("a\"#eval(\"1\")\\ $x$ *b*\nc"), "\"a\\\"#eval(\\\"1\\\")\\\\ $x$ *b* c\"");
        // Each of these ends a comment.
        assert_eq!(one_line("x\u{2028}#read(\"a\")\u{2029}y\u{85}z"), "x #read(\"a\") y z");
    }
}
