//! The ticks of an axis and their labels.

/// A tick's value and its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub value: f64,
    pub text: String,
}

/// Multiples of 1, 2 or 5 times a power of ten within `low..=high`, about `wanted` of them.
pub fn linear(low: f64, high: f64, wanted: usize) -> Vec<Tick> {
    let span = high - low;
    if !(span > 0.0 && span.is_finite()) {
        return vec![];
    }
    let rough = span / wanted.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough * 0.999).unwrap_or(10.0);
    let step = factor * power;
    let slack = 1e-9 * span;
    let (first, last) = (((low - slack) / step).ceil() as i64, ((high + slack) / step).floor() as i64);
    // A tick is a whole multiple, so that 0.3 is not 0.30000000000000004.
    let value = |index: i64| if step >= 1.0 { index as f64 * step } else { index as f64 / (1.0 / step).round() };
    let top = value(last).abs().max(value(first).abs());
    (first..=last).map(|index| Tick { value: value(index), text: text(value(index), top, step) }).collect()
}

/// 1, 2 and 5 times powers of ten within `low..=high`: only powers where they are many, more digits where they are few.
pub fn logarithmic(low: f64, high: f64, wanted: usize) -> Vec<Tick> {
    if !(low > 0.0 && high > low && high.is_finite()) {
        return vec![];
    }
    let within = |factors: &[f64]| -> Vec<f64> {
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let values = (first..=last).flat_map(|exponent| {
            factors.iter().map(move |factor| {
                // Dividing by a power keeps 0.2 what 0.2 is in decimal.
                if exponent < 0 { factor / 10f64.powi(-exponent) } else { factor * 10f64.powi(exponent) }
            })
        });
        values.filter(|value| (low * (1.0 - 1e-9)..=high * (1.0 + 1e-9)).contains(value)).collect()
    };
    let choices: [&[f64]; 4] = [
        &[1.0],
        &[1.0, 2.0, 5.0],
        &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
        &[
            1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0, 2.2, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0,
            8.0, 9.0,
        ],
    ];
    // The finest that is not crowded.
    let best = choices.iter().map(|factors| within(factors)).rfind(|values| values.len() <= wanted.max(2));
    match best {
        Some(values) if values.len() >= 3 || (values.len() == 2 && high > 3.0 * low) => {
            // From a thousand on in thousands, where the axis goes on to ten thousand.
            let top = |value: f64| if value >= 1e3 && high >= 1e4 { value.max(1e4) } else { value };
            values.into_iter().map(|value| Tick { value, text: text(value, top(value), value) }).collect()
        }
        Some(_) => linear(low, high, wanted),
        // Too many decades for one tick each: every second, third, ...
        None => {
            let decades = within(&[1.0]);
            let every = decades.len().div_ceil(wanted.max(2));
            decades.into_iter().step_by(every).map(|value| Tick { value, text: text(value, value, value) }).collect()
        }
    }
}

/// `25 k`, `1.5 M`, `0.02`, `10⁻⁷`: the unit of the axis' largest tick, the decimals of its step.
fn text(value: f64, top: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = top.abs();
    let (divisor, unit) = match magnitude {
        _ if magnitude >= 1e12 => return power(value),
        _ if magnitude >= 1e9 => (1e9, "\u{202f}G"),
        _ if magnitude >= 1e6 => (1e6, "\u{202f}M"),
        _ if magnitude >= 1e4 => (1e3, "\u{202f}k"),
        _ if magnitude < 1e-4 => return power(value),
        _ => (1.0, ""),
    };
    let step = (step / divisor).abs();
    // As many decimals as the step has.
    let decimals = (0..=9).find(|&decimals| {
        let scaled = step * 10f64.powi(decimals);
        (scaled - scaled.round()).abs() < 1e-6 * scaled
    });
    let text = format!("{:.*}{unit}", decimals.unwrap_or(9) as usize, value / divisor);
    text.replace('-', "−")
}

/// `10⁻⁵`, `2×10⁻⁵`.
fn power(value: f64) -> String {
    let exponent_form = format!("{value:e}");
    let (factor, exponent) = exponent_form.split_once('e').expect("the exponent form has an exponent");
    let superscript: String = exponent
        .chars()
        .map(|digit| match digit {
            '-' => '⁻',
            '0' => '⁰',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '4' => '⁴',
            '5' => '⁵',
            '6' => '⁶',
            '7' => '⁷',
            '8' => '⁸',
            _ => '⁹',
        })
        .collect();
    match factor {
        "1" => format!("10{superscript}"),
        factor => format!("{}×10{superscript}", factor.replace('-', "−")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ticks: &[Tick]) -> String {
        ticks.iter().map(|tick| tick.text.replace('\u{202f}', "")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn linear_ticks_are_multiples_of_one_two_or_five() {
        assert_eq!(texts(&linear(0.0, 128_000.0, 6)), "0 50k 100k");
        assert_eq!(texts(&linear(0.0, 128_000.0, 7)), "0 20k 40k 60k 80k 100k 120k");
        assert_eq!(texts(&linear(0.0, 1.0, 5)), "0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(texts(&linear(-1.0, 1.0, 4)), "−1.0 −0.5 0 0.5 1.0");
        assert_eq!(texts(&linear(0.0, 37.0, 5)), "0 10 20 30");
        assert_eq!(texts(&linear(0.0, 2_500_000.0, 5)), "0 0.5M 1.0M 1.5M 2.0M 2.5M");
        assert_eq!(linear(0.0, 0.6, 3)[1].value, 0.2);
    }

    #[test]
    fn logarithmic_ticks_are_one_two_five_times_powers_of_ten() {
        assert_eq!(texts(&logarithmic(7.0, 300.0, 6)), "10 20 50 100 200");
        assert_eq!(texts(&logarithmic(0.03, 1.2, 6)), "0.05 0.1 0.2 0.5 1");
        assert_eq!(texts(&logarithmic(1e-7, 1e3, 11)), "10⁻⁷ 10⁻⁶ 10⁻⁵ 0.0001 0.001 0.01 0.1 1 10 100 1000");
        assert_eq!(texts(&logarithmic(1e-7, 1e3, 5)), "10⁻⁷ 0.0001 0.1 100");
        assert_eq!(texts(&logarithmic(640.0, 128_000.0, 8)), "1k 2k 5k 10k 20k 50k 100k");
    }

    #[test]
    fn a_narrow_logarithmic_axis_still_has_ticks() {
        assert_eq!(texts(&logarithmic(0.8, 2.1, 8)), "1 1.5 2");
        assert_eq!(texts(&logarithmic(101.0, 104.0, 4)), "101 102 103 104");
    }

    #[test]
    fn an_axis_without_extent_has_none() {
        assert_eq!(linear(1.0, 1.0, 5), vec![]);
        assert_eq!(logarithmic(0.0, 1.0, 5), vec![]);
        assert_eq!(logarithmic(1.0, f64::INFINITY, 5), vec![]);
        assert_eq!(linear(f64::NAN, 1.0, 5), vec![]);
    }
}
