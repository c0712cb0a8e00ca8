//! The last values of every measure, beside those of the compared metric.

use maud::{Markup, html};

use crate::report::comparison::Comparison;
use crate::report::final_measures::final_measures;
use crate::report::plots::Palette;
use crate::report::tables::{MEASURES_NOTE, best_averages, cell, column_name, planned};

/// A table for each grid point; `None` where the study asks for no more than its metric.
pub fn measures(comparison: &Comparison) -> Option<Markup> {
    let palette = Palette::of(comparison);
    let tables = comparison.points.iter().filter_map(|point| Some((point, final_measures(comparison, point)?)));
    let tables: Vec<_> = tables.collect();
    if tables.is_empty() {
        return None;
    }
    Some(html! {
        @for (point, found) in &tables {
            @if comparison.has_grid() { h3 { (point.label) } }
            div.wide {
                table {
                    thead {
                        tr {
                            th { "Measure" } th.number { "Protocol" }
                            @for (arm, _) in &found.rows { th.nowrap style=(format!("--arm:{}", palette.css(arm))) { span.swatch {} (arm) } }
                        }
                    }
                    tbody {
                        @for (index, column) in found.columns.iter().enumerate() {
                            // One line under each measure, however many protocols it has.
                            tr.first[index == 0 || found.columns[index - 1].metric != column.metric] {
                                th.nowrap { (column_name(column)) } td.number { (column.protocol_number) }
                                @for (arm, values) in &found.rows {
                                    @let (median, range) = cell(values[index], planned(point, arm));
                                    td { span.nowrap { (median) } @if !range.is_empty() { br; span.note.nowrap { (range) } } }
                                }
                            }
                        }
                    }
                }
            }
            ol { @for protocol in &found.protocols { li { code { (protocol) } } } }
            @if let Some(best) = best_averages(comparison, found) { p { (best) } }
        }
        p.note { (MEASURES_NOTE) }
    })
}
