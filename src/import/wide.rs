//! Tables with a column for each run, as Weights & Biases exports a chart: `Step`, `name - val/fid`, `name - val/fid__MIN`.

use super::table::Table;

/// Stands for the run's name in a column's.
const ANY: char = '*';

/// (name of a run, number of its column) of every column that fits `pattern`, whose `*` stands for the name.
pub(super) fn runs_of(table: &Table, pattern: &str) -> Vec<(String, usize)> {
    let Some((before, after)) = pattern.split_once(ANY) else { return Vec::new() };
    let name = |column: &str| {
        let name = column.strip_prefix(before)?.strip_suffix(after)?;
        (!name.is_empty()).then(|| name.to_owned())
    };
    table.columns.iter().enumerate().filter_map(|(index, column)| Some((name(column)?, index))).collect()
}

/// Whether a mapping names many columns.
pub(super) fn is_wide(pattern: &str) -> bool {
    pattern.contains(ANY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_bounds_are_no_runs() {
        let columns = ["Step", "a-1 - fid", "a-1 - fid__MIN", "a-1 - fid__MAX", "b-1 - fid", " - fid"];
        let table = Table { columns: columns.map(str::to_owned).into(), rows: Vec::new() };
        assert_eq!(runs_of(&table, "* - fid"), [("a-1".to_owned(), 1), ("b-1".to_owned(), 4)]);
        assert!(is_wide("* - fid") && !is_wide("fid"));
    }
}
