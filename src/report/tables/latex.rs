//! The table for a paper: LaTeX with the booktabs package.

use super::{Row, groups, line};
use crate::report::cell::{Cells, Kind};
use crate::report::comparison::{Comparison, PointComparison};
use crate::report::speedup::{Speedup, Verdict};
use crate::report::tables::Estimator;
use crate::report::wording::{confidence, metric_words, target, yardstick};

pub fn latex(comparison: &Comparison, cells: &Cells) -> String {
    let metric = escape(&metric_words(comparison));
    let mut text = String::from("% Needs \\usepackage{booktabs}.\n");
    text.push_str(
        "% Speedup = baseline / candidate, above 1 is faster: geometric mean over the band and over seeds, Student's t on logarithms;\n% verdicts after Holm's correction for the number of arms. Bold: faster by that verdict.\n",
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
        let level = escape(&confidence(comparison)).replacen(' ', "\\,", 1);
        text.push_str(&format!(
            "Arm & Final {metric} & Reached & Measured in & Speedup & {level} interval & Verdict \\\\\n\\midrule\n"
        ));
        for group in groups(point) {
            for (index, row) in group.iter().enumerate() {
                let mut words = line(comparison, row, index == 0).map(|cell| escape(&cell));
                if is_bold(row) {
                    words[4] = format!("\\textbf{{{}}}", words[4]);
                }
                let ids = cells_of(cells, point, row, index == 0);
                text.push_str(&format!("{} \\\\ % cells: {ids}\n", words.join(" & ")));
            }
        }
        text.push_str("\\bottomrule\n\\end{tabular}\n");
    }
    text
}

/// Whether a line's number is set in bold: a headline that is decided to be faster.
pub(super) fn is_bold(row: &Row) -> bool {
    row.estimator == Estimator::Band && matches!(row.result, Ok(Speedup { verdict: Verdict::Faster, .. }))
}

/// The ids of a line's numbers, each with its kind: `k3f9qa band, 0x7wde final`.
pub(super) fn cells_of(cells: &Cells, point: &PointComparison, row: &Row, is_first: bool) -> String {
    let kind = Kind::from(row.estimator).name();
    let own = [(cells.of_row(point, row), kind)];
    let last = is_first.then(|| (cells.final_value(point, row.arm.arm), Kind::Final.name()));
    // A pair's arms have lines of their own.
    let last = last.filter(|_| row.against.is_none());
    let ids = own.into_iter().chain(last).filter(|(id, _)| !id.is_empty());
    ids.map(|(id, kind)| format!("{id} {kind}")).collect::<Vec<_>>().join(", ")
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
            // Not every font has them at these places.
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '|' => escaped.push_str("\\textbar{}"),
            '"' => escaped.push_str("''"),
            control if control.is_control() => escaped.push(' '),
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
