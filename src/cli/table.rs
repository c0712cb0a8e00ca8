//! How tables and quantities look on a terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

/// A table without rules, its columns two spaces apart.
pub(super) fn new_table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    // Some terminals that are none say that they have no columns at all.
    if table.width() == Some(0) {
        table.set_width(100);
    }
    table
}

/// Seconds as `8 s`, `3 min 5 s`, `2 h 4 min` or `5 d 3 h`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
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
        assert_eq!(duration(7.6), "8 s");
        assert_eq!(duration(59.7), "1 min 0 s");
        assert_eq!(duration(7449.0), "2 h 4 min");
        assert_eq!(duration(445_000.0), "5 d 3 h");
        assert_eq!(bytes(12_345.0), "12 kB");
        assert_eq!(bytes(5.64e9), "5.6 GB");
    }
}
