//! How tables and quantities look on a terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Row, Table};

/// A table without rules, its columns two spaces apart.
pub(super) fn new_table(header: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    // Some terminals that are none say that they have no columns at all.
    if table.width() == Some(0) {
        table.set_width(100);
    }
    table
}

/// Columns of the terminal that standard output is, at least 2.
pub(super) fn stdout_columns() -> usize {
    Table::new().width().filter(|&width| width > 0).map_or(80, |width| usize::from(width).max(2))
}

/// Bytes as `12 kB`, `3.4 MB` or `5.6 GB`.
pub(super) fn bytes(bytes: f64) -> String {
    match bytes {
        ..1e6 => format!("{:.0} kB", bytes / 1e3),
        ..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_short_and_carry_their_unit() {
        assert_eq!(bytes(12_345.0), "12 kB");
        assert_eq!(bytes(5.64e9), "5.6 GB");
    }
}
