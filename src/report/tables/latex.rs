//! The table for a paper: LaTeX with the booktabs package.

use super::{CellLinks, Row, groups, line};
use crate::report::cell::{Cells, Kind};
use crate::report::comparison::{Comparison, PointComparison};
use crate::report::speedup::{Speedup, Verdict};
use crate::report::tables::Estimator;
use crate::report::wording::{confidence, metric_words, target, yardstick};

/// `links`: where the numbers lead to, if they do.
pub fn latex(comparison: &Comparison, cells: &Cells, links: Option<&CellLinks>) -> String {
    let metric = escape(&metric_words(comparison));
    let packages =
        if links.is_some() { "\\usepackage{booktabs} and \\usepackage{hyperref}" } else { "\\usepackage{booktabs}" };
    let mut text = format!("% Needs {packages}.\n");
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
                    words[SPEEDUP] = format!("\\textbf{{{}}}", words[SPEEDUP]);
                }
                let ids = IdsOf::line(cells, point, row, index == 0);
                if let Some(links) = links {
                    let link = |id: &str, words: &str| format!("\\href{{{}}}{{{words}}}", url(&links.of(id)));
                    ids.link(&mut words, link);
                }
                text.push_str(&format!("{} \\\\ % cells: {}\n", words.join(" & "), ids.words()));
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

/// The ids of a line's numbers; empty where there is none.
pub(super) struct IdsOf<'c> {
    kind: Kind,
    speedup: &'c str,
    last: &'c str,
}

impl<'c> IdsOf<'c> {
    /// `is_first`: of the lines of an arm, the one that has its last value.
    pub(super) fn line(cells: &'c Cells, point: &PointComparison, row: &Row, is_first: bool) -> Self {
        // A pair's arms have lines of their own.
        let has_last = is_first && row.against.is_none();
        let last = if has_last { cells.final_value(point, row.arm.arm) } else { "" };
        Self { kind: row.estimator.into(), speedup: cells.of_row(point, row), last }
    }

    /// Each with its kind: `k3f9qa band, 0x7wde final`.
    pub(super) fn words(&self) -> String {
        let ids = [(self.speedup, self.kind), (self.last, Kind::Final)];
        let ids = ids.into_iter().filter(|(id, _)| !id.is_empty());
        ids.map(|(id, kind)| format!("{id} {}", kind.name())).collect::<Vec<_>>().join(", ")
    }

    /// The line's numbers as links; a dash is none.
    pub(super) fn link(&self, words: &mut [String], link: impl Fn(&str, &str) -> String) {
        for (column, id) in [(SPEEDUP, self.speedup), (FINAL, self.last)] {
            if !id.is_empty() && words[column].chars().any(|character| character.is_ascii_digit()) {
                words[column] = link(id, &words[column]);
            }
        }
    }
}

/// Columns of a line.
const FINAL: usize = 1;
pub(super) const SPEEDUP: usize = 4;

/// A URL in `\\href`, which takes these signs with a `\\` before them wherever it stands.
fn url(url: &str) -> String {
    url.chars().flat_map(|sign| [Some('\\').filter(|_| "%#&_".contains(sign)), Some(sign)]).flatten().collect()
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
    use super::{escape, url};

    #[test]
    fn nothing_that_a_name_holds_is_a_command() {
        assert_eq!(url("https://a.org/b_c?d&e%20#cell-x"), "https://a.org/b\\_c?d\\&e\\%20\\#cell-x");
        assert_eq!(escape("a_b & 50% ≥ 2×\\x"), "a\\_b \\& 50\\% $\\geq$ 2$\\times$\\textbackslash{}x");
    }
}
