//! Numbers as a reader wants them, on pages and on terminals.

/// `digits` significant digits, without an exponent between 0.001 and a million.
pub fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return if value.is_nan() {
            "not a number".to_owned()
        } else if value > 0.0 {
            "∞".into()
        } else {
            "−∞".into()
        };
    }
    // Through the exponent form, so that 9.996 at 3 digits is 10.0 and not 10.00.
    let exponent_form = format!("{value:.*e}", digits - 1);
    let (_, exponent) = exponent_form.split_once('e').expect("the exponent form has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is an integer");
    if !(-3..6).contains(&exponent) {
        return exponent_form;
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    format!("{value:.decimals$}")
}

/// `1.42×`.
pub fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio.is_infinite() => "∞".to_owned(),
        ratio if ratio >= 100.0 => format!("{ratio:.0}×"),
        ratio if ratio >= 10.0 => format!("{ratio:.1}×"),
        ratio if ratio >= 0.1 || ratio == 0.0 => format!("{ratio:.2}×"),
        ratio => format!("{}×", significant(ratio, 2)),
    }
}

/// A share between 0 and 1 as `12 %`, `0.35 %` or `< 0.01 %`.
pub fn percent(share: f64) -> String {
    match 100.0 * share {
        0.0 => "0 %".to_owned(),
        percent if percent < 0.01 => "< 0.01 %".to_owned(),
        percent if percent < 9.95 => format!("{} %", significant(percent, 2)),
        percent => format!("{percent:.0} %"),
    }
}

/// `12,800`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `3.2 s`, `42 s`, `3 min 05 s`, `2 h 10 min`, `5 d 03 h`.
pub fn duration(seconds: f64) -> String {
    if !(seconds.is_finite() && seconds >= 0.0) {
        return "unknown".to_owned();
    }
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {:02} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn significant_digits_survive_rounding_up() {
        for (value, digits, expected) in [
            (9.996, 3, "10.0"),
            (0.01234, 2, "0.012"),
            (123456.0, 3, "123456"),
            (1234567.0, 3, "1.23e6"),
            (-2.5, 3, "-2.50"),
            (0.0, 3, "0"),
            (1e-9, 2, "1.0e-9"),
            (f64::NAN, 3, "not a number"),
        ] {
            assert_eq!(significant(value, digits), expected, "{value}");
        }
    }

    #[test]
    fn shares_are_percents() {
        let texts = [0.0, 3e-6, 0.0035, 0.0994, 0.0996, 0.5, 1.0].map(percent);
        assert_eq!(texts, ["0 %", "< 0.01 %", "0.35 %", "9.9 %", "10 %", "50 %", "100 %"]);
    }

    #[test]
    fn ratios_keep_three_digits() {
        let texts = [1.0, 2.615, 14.26, 250.4, 0.0321, f64::INFINITY].map(times);
        assert_eq!(texts, ["1.00×", "2.62×", "14.3×", "250×", "0.032×", "∞"]);
    }

    #[test]
    fn counts_and_durations_are_readable() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [3.21, 42.4, 59.7, 185.0, 7800.0, 445_000.0, f64::NAN].map(duration),
            ["3.2 s", "42 s", "1 min 00 s", "3 min 05 s", "2 h 10 min", "5 d 03 h", "unknown"]
        );
    }
}
