//! The table for a paper: LaTeX with the booktabs package.

use super::groups;
use crate::report::comparison::Comparison;
use crate::report::wording::{interval_cell, metric_words, speedup_cell, target, yardstick};

pub fn latex(comparison: &Comparison) -> String {
    let metric = escape(&metric_words(comparison));
    let mut text = String::from("% Needs \\usepackage{booktabs}.\n");
    text.push_str(
        "% Speedup = baseline / candidate, above 1 is faster: geometric mean over the band and over seeds, Student's t on logarithms;\n% verdicts after Holm's correction for the number of arms.\n",
    );
    for point in &comparison.points {
        if !point.label.is_empty() {
            text.push_str(&format!("% {}\n", escape(&point.label)));
        }
        if let Some(found) = &point.band {
            text.push_str(&format!("% {}\n", escape(&yardstick(comparison, found))));
        }
        if let Some(resolved) = &point.target {
            text.push_str(&format!("% Target of the first crossing: {}.\n", escape(&target(comparison, resolved))));
        }
        text.push_str("\\begin{tabular}{llclrll}\n\\toprule\n");
        text.push_str(&format!(
            "Arm & Final {metric} & Reached & Measured in & Speedup & 95\\,\\% interval & Verdict \\\\\n\\midrule\n"
        ));
        for group in groups(point) {
            for (index, row) in group.iter().enumerate() {
                let first = |cell: String| if index == 0 { cell } else { String::new() };
                let cells = [
                    first(row.name()),
                    first(row.final_cell()),
                    first(row.reached_cell()),
                    row.measured_in(comparison),
                    speedup_cell(&row.result),
                    interval_cell(&row.result),
                    row.verdict_cell(),
                ];
                text.push_str(&format!("{} \\\\\n", cells.map(|cell| escape(&cell)).join(" & ")));
            }
        }
        text.push_str("\\bottomrule\n\\end{tabular}\n");
    }
    text
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', character]),
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '`' => escaped.push_str("\\textasciigrave{}"),
            '×' => escaped.push_str("$\\times$"),
            '≥' => escaped.push_str("$\\geq$"),
            '≤' => escaped.push_str("$\\leq$"),
            '∞' => escaped.push_str("$\\infty$"),
            '−' => escaped.push_str("$-$"),
            '–' => escaped.push_str("--"),
            '\n' | '\r' => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_that_a_name_holds_is_a_command() {
        assert_eq!(escape("a_b & 50% ≥ 2×\\x"), "a\\_b \\& 50\\% $\\geq$ 2$\\times$\\textbackslash{}x");
    }
}
