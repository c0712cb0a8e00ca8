//! What nearly all lines of a journal are, as our own journals write them. A general reader of JSON takes four times as long.

use crate::event::{Measure, Name, RunEvent, Stamp};

/// Reads `trained` and `evaluated` lines of one journal, whose names it keeps once.
#[derive(Default)]
pub(super) struct FrequentLines {
    /// In the order met.
    names: Vec<Name>,
    /// The place after that of the last name: most evaluations say the same names in the same order.
    next: usize,
}

impl FrequentLines {
    /// The event, if the line is written exactly as [`super::Journal`] writes it, with or without its number and sum; anything else is
    /// for a reader of JSON to judge.
    pub(super) fn read(&mut self, line: &[u8]) -> Option<RunEvent> {
        let mut rest = Rest(line);
        rest.skip(b"{\"event\":\"")?;
        let event = match rest.0.first()? {
            b't' => trained(&mut rest),
            b'e' => self.evaluated(&mut rest),
            _ => None,
        }?;
        if rest.skip(b",\"line\":").is_some() {
            rest.whole_number()?;
            rest.skip(b",\"crc32\":\"")?;
            let (sum, end) = rest.0.split_at_checked(8)?;
            sum.iter().all(u8::is_ascii_hexdigit).then_some(())?;
            rest.0 = end;
            rest.skip(b"\"")?;
        }
        rest.skip(b"}")?;
        rest.0.is_empty().then_some(event)
    }

    fn evaluated(&mut self, rest: &mut Rest) -> Option<RunEvent> {
        rest.skip(b"evaluated\",\"stamp\":")?;
        let stamp = stamp(rest)?;
        rest.skip(b",\"measures\":[")?;
        let mut measures = Vec::with_capacity(self.names.len().min(64));
        while rest.0.first()? == &b'{' {
            rest.skip(b"{\"metric\":\"")?;
            let metric = self.name(rest.text()?);
            rest.skip(b",\"protocol\":\"")?;
            let protocol = self.name(rest.text()?);
            let value = rest.number_after(b",\"value\":")?;
            rest.skip(b"}")?;
            measures.push(Measure { metric, protocol, value });
            // Behind a measure stands another, or the end of all.
            let next = if rest.skip(b",").is_some() { b'{' } else { b']' };
            (rest.0.first()? == &next).then_some(())?;
        }
        rest.skip(b"],\"samples\":\"")?;
        Some(RunEvent::Evaluated { stamp, measures, samples: rest.text()?.to_owned() })
    }

    fn name(&mut self, text: &str) -> Name {
        let place = match self.names.get(self.next) {
            Some(next) if next == text => self.next,
            _ => self.names.iter().position(|name| name == text).unwrap_or_else(|| {
                self.names.push(text.into());
                self.names.len() - 1
            }),
        };
        self.next = (place + 1) % self.names.len();
        self.names[place].clone()
    }
}

fn trained(rest: &mut Rest) -> Option<RunEvent> {
    rest.skip(b"trained\",\"stamp\":")?;
    let stamp = stamp(rest)?;
    let loss = rest.number_after(b",\"loss\":")?;
    let gradient_norm = rest.number_if_after(b",\"gradient_norm\":")?;
    let learning_rate = rest.number_if_after(b",\"learning_rate\":")?;
    let beta1 = rest.number_if_after(b",\"beta1\":")?;
    let wait_seconds = rest.number_if_after(b",\"wait_seconds\":")?;
    let device_utilization = rest.number_if_after(b",\"device_utilization\":")?;
    Some(RunEvent::Trained { stamp, loss, gradient_norm, learning_rate, beta1, wait_seconds, device_utilization })
}

fn stamp(rest: &mut Rest) -> Option<Stamp> {
    rest.skip(b"{\"step\":")?;
    let step = rest.whole_number()?;
    rest.skip(b",\"images_seen\":")?;
    let images_seen = rest.whole_number()?;
    let stamp = Stamp {
        step,
        images_seen,
        train_seconds: rest.number_after(b",\"train_seconds\":")?,
        eval_seconds: rest.number_after(b",\"eval_seconds\":")?,
        checkpoint_seconds: rest.number_after(b",\"checkpoint_seconds\":")?,
        setup_seconds: rest.number_after(b",\"setup_seconds\":")?,
        wall_seconds: rest.number_after(b",\"wall_seconds\":")?,
    };
    rest.skip(b"}")?;
    Some(stamp)
}

/// What is still to be read of a line. What is not as expected is `None`, and nothing of it counts.
struct Rest<'l>(&'l [u8]);

impl<'l> Rest<'l> {
    fn skip(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// To its closing quote; none that holds an escaped sign.
    fn text(&mut self) -> Option<&'l str> {
        let end = self.0.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix(b"\"")?;
        str::from_utf8(text).ok()
    }

    fn digits(&mut self) -> &'l [u8] {
        let (digits, rest) = self.0.split_at(self.0.iter().take_while(|byte| byte.is_ascii_digit()).count());
        self.0 = rest;
        digits
    }

    /// Digits that JSON takes for a whole number: none too many, and no zero before others.
    fn whole(&mut self) -> Option<&'l [u8]> {
        let digits = self.digits();
        (digits.len() == 1 || digits.first().is_some_and(|&first| first != b'0')).then_some(digits)
    }

    fn whole_number(&mut self) -> Option<u64> {
        let digits = self.whole()?;
        // So many are below 2^64.
        (digits.len() < 20).then(|| digits.iter().fold(0, |number, digit| 10 * number + u64::from(digit - b'0')))
    }

    fn number(&mut self) -> Option<f64> {
        let before = self.0;
        let _ = self.skip(b"-");
        self.whole()?;
        if self.skip(b".").is_some() && self.digits().is_empty() {
            return None;
        }
        if self.skip(b"e").is_some() {
            let _ = self.skip(b"-").or_else(|| self.skip(b"+"));
            if self.digits().is_empty() {
                return None;
            }
        }
        let text = str::from_utf8(&before[..before.len() - self.0.len()]).ok()?;
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn number_after(&mut self, key: &[u8]) -> Option<f64> {
        self.skip(key)?;
        self.number()
    }

    /// The number after a key that may be missing.
    fn number_if_after(&mut self, key: &[u8]) -> Option<Option<f64>> {
        match self.skip(key) {
            Some(()) => self.number().map(Some),
            None => Some(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp { step: 40, images_seen: 2560, train_seconds: 0.1 + 0.2, wall_seconds: 1e-300, ..Stamp::default() }
    }

    fn evaluated(values: [f64; 2]) -> RunEvent {
        let measures = [("fid é", "by features"), ("validation_loss/0", "")].into_iter().zip(values);
        let measures = measures.map(|((metric, protocol), value)| Measure {
            metric: metric.into(),
            protocol: protocol.into(),
            value,
        });
        RunEvent::Evaluated { stamp: stamp(), measures: measures.collect(), samples: "samples/a.png".into() }
    }

    fn trained(wait_seconds: Option<f64>, device_utilization: Option<f64>) -> RunEvent {
        RunEvent::Trained {
            stamp: stamp(),
            loss: 1.0 / 3.0,
            gradient_norm: Some(f64::MIN_POSITIVE),
            learning_rate: wait_seconds,
            beta1: Some(-0.0),
            wait_seconds,
            device_utilization,
        }
    }

    /// As a line of today's journals.
    fn line(event: &RunEvent) -> String {
        serde_json::to_string(event).unwrap().strip_suffix('}').unwrap().to_owned()
            + ",\"line\":17,\"crc32\":\"0a1b2c3d\"}"
    }

    #[test]
    fn frequent_events_are_read_as_by_a_reader_of_json() {
        let mut lines = FrequentLines::default();
        let events = [
            trained(None, None),
            trained(Some(0.25), None),
            trained(None, Some(0.9)),
            trained(Some(0.25), Some(1.0)),
            evaluated([7.0, 1e300]),
            evaluated([-5e-324, 123_456_789.123_456_79]),
            evaluated([f64::MAX, 0.1]),
        ];
        for event in &events {
            assert_eq!(lines.read(line(event).as_bytes()), Some(event.clone()));
            let without_sum = serde_json::to_string(event).unwrap();
            assert_eq!(lines.read(without_sum.as_bytes()), Some(event.clone()));
            assert_eq!(serde_json::from_str::<RunEvent>(&without_sum).unwrap(), *event);
        }
        assert_eq!(lines.names.len(), 4, "each is kept once");
    }

    #[test]
    fn a_line_that_lacks_or_adds_a_sign_is_left_to_a_reader_of_json() {
        for event in [trained(Some(0.25), Some(0.37)), evaluated([7.0, -0.5])] {
            let line = line(&event);
            for at in 0..line.len() {
                let Some((before, after)) = line.split_at_checked(at) else { continue };
                let without = format!("{before}{}", after.chars().skip(1).collect::<String>());
                for changed in [before.to_owned(), format!("{before}\"{after}"), format!("{before} {after}"), without] {
                    // Where a text is whole with one more sign, it says so.
                    let Some(read) = FrequentLines::default().read(changed.as_bytes()) else { continue };
                    assert_eq!(serde_json::from_str::<RunEvent>(&changed).ok(), Some(read), "{changed}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_those_of_json() {
        let number = |text: &str| {
            let mut rest = Rest(text.as_bytes());
            rest.number().filter(|_| rest.0.is_empty())
        };
        for text in
            ["0", "-0", "-0.0", "12", "0.1", "1e5", "1.5e-7", "1e+3", "18446744073709551616", "2.2250738585072014e-308"]
        {
            assert_eq!(number(text).map(f64::to_bits), serde_json::from_str(text).ok().map(f64::to_bits), "{text}");
            assert!(number(text).is_some(), "{text}");
        }
        for text in ["", "-", "01", "-01", "1.", ".5", "+1", "1e", "1e+", "inf", "NaN", "null", "1e999", "0x1"] {
            assert_eq!(number(text), None, "{text}");
            assert!(serde_json::from_str::<f64>(text).is_err(), "{text}");
        }
        assert_eq!(Rest(b"18446744073709551615").whole_number(), None, "a reader of JSON reads it");
        assert_eq!(Rest(b"9999999999999999999").whole_number(), Some(9_999_999_999_999_999_999));
    }
}
