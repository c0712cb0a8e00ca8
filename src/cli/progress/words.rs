//! Measures, durations and texts in few columns; where there is room, `report::number` words them.

/// A duration in at most six columns: `45s`, `2m 10s`, `12m`, `1h 05m`, `13h`, `3d 4h`.
pub fn roughly(seconds: f64) -> String {
    let seconds = whole(seconds);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..600 => format!("{minutes}m {:02}s", seconds % 60),
        600..3600 => format!("{minutes}m"),
        3600..36_000 => format!("{hours}h {:02}m", minutes % 60),
        36_000..86_400 => format!("{hours}h"),
        86_400..864_000 => format!("{days}d {}h", hours % 24).replace(" 0h", ""),
        _ => format!("{}d", days.min(9999)),
    }
}

/// A duration to the second, or to the minute above an hour: `45s`, `12m 05s`, `13h 07m`.
pub fn exactly(seconds: f64) -> String {
    let seconds = whole(seconds);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// About four digits in at most six columns: `0.0312`, `12.34`, `143.2`, `3.1e-5`, `NaN`.
pub fn measured(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => format!("{value}"),
        0.0 => "0".to_owned(),
        _ if !(0.001..99_999.5).contains(&size) => format!("{value:.0e}"),
        _ if size < 1.0 => format!("{value:.4}"),
        _ if size < 10.0 => format!("{value:.3}"),
        _ if size < 100.0 => format!("{value:.2}"),
        _ if size < 1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// At most `columns` characters, the last an ellipsis where something was left out.
pub fn shortened(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    if columns == 0 { kept } else { kept + "…" }
}

fn whole(seconds: f64) -> u64 {
    seconds.max(0.0).round() as u64 // saturates; NaN becomes 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_readable() {
        let cases = [
            (0.2, "0s", "0s"),
            (59.6, "1m 00s", "1m 00s"),
            (130.0, "2m 10s", "2m 10s"),
            (725.0, "12m", "12m 05s"),
            (3900.0, "1h 05m", "1h 05m"),
            (47_220.0, "13h", "13h 07m"),
            (86_400.0, "1d", "24h 00m"),
            (273_600.0, "3d 4h", "76h 00m"),
            (1e6, "11d", "277h 46m"),
            (f64::NAN, "0s", "0s"),
            (-3.0, "0s", "0s"),
        ];
        for (seconds, rough, exact) in cases {
            assert_eq!((roughly(seconds).as_str(), exactly(seconds).as_str()), (rough, exact), "{seconds}");
        }
        assert!(roughly(f64::INFINITY).len() <= 6);
    }

    #[test]
    fn measures_fit_six_columns() {
        let cases = [
            (0.03125, "0.0312"),
            (0.99999, "1.0000"),
            (1.5, "1.500"),
            (12.345, "12.35"),
            (143.25, "143.2"),
            (12345.6, "12346"),
            (0.0, "0"),
            (3.14e-5, "3e-5"),
            (1.2e7, "1e7"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (-1.5, "-1.500"),
        ];
        for (value, text) in cases {
            assert_eq!(measured(value), text);
            assert!(text.len() <= 6);
        }
    }

    #[test]
    fn long_texts_end_in_an_ellipsis() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdef", 4), "abc…");
        assert_eq!((shortened("abc", 1).as_str(), shortened("abc", 0).as_str()), ("…", ""));
    }
}
