//! The table for a paper: LaTeX with the booktabs package.

use super::groups;
use crate::report::comparison::Comparison;
use crate::report::cost::Cost;
use crate::report::wording::{
    interval_cell, metric_value, metric_words, resolution_cell, speedup_cell, target, verdict,
};

pub fn latex(comparison: &Comparison) -> String {
    let metric = escape(&metric_words(comparison));
    let mut text = String::from("% Needs \\usepackage{booktabs}.\n");
    text.push_str(
        "% Speedup = baseline / candidate, above 1 is faster: geometric mean over seeds, Student's t on logarithms.\n",
    );
    for point in &comparison.points {
        if !point.label.is_empty() {
            text.push_str(&format!("% {}\n", escape(&point.label)));
        }
        if let Some(resolved) = &point.target {
            text.push_str(&format!("% Target: {}.\n", escape(&target(comparison, resolved))));
        }
        text.push_str("\\begin{tabular}{llclrlll}\n\\toprule\n");
        text.push_str(&format!(
            "Arm & Final {metric} & Reached & Measured in & Speedup & 95\\,\\% interval & Resolved to & Verdict \\\\\n\\midrule\n"
        ));
        let at = |common_target: Option<f64>| {
            common_target.map_or(String::new(), |target| format!(" at {}", metric_value(target)))
        };
        for group in groups(point) {
            for (index, row) in group.iter().enumerate() {
                let first = |cell: String| if index == 0 { cell } else { String::new() };
                let cells = [
                    first(row.name()),
                    first(row.final_cell()),
                    first(row.reached_cell()),
                    match row.cost {
                        _ if row.measured_in(comparison).is_empty() => String::new(),
                        Cost::ImagesSeen => format!("images{}", at(row.common_target)),
                        Cost::TrainSeconds => format!("time{}", at(row.common_target)),
                    },
                    speedup_cell(row.result),
                    interval_cell(row.result),
                    resolution_cell(row.result),
                    verdict(row.result),
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
