//! The numbers of a run's curves: clocks and names, which many numbers share, are kept once.

use crate::event::{RunEvent, Stamp};

/// Every number that a run has recorded along its training, in the order recorded. A sweep may hold ten million: each takes 16 bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    moments: Vec<Moment>,
    /// (metric, protocol), each once, in the order met.
    names: Vec<(Box<str>, Box<str>)>,
    numbers: Vec<Number>,
}

/// One measured number and when it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'r> {
    /// The attempt that recorded it.
    pub attempt: u32,
    pub step: u64,
    pub images_seen: u64,
    pub train_seconds: f64,
    pub wall_seconds: f64,
    /// `train_loss`, `gradient_norm`, `learning_rate`, `beta1`, `validation_loss`, `validation_loss/<bin>`, `fid`.
    pub metric: &'r str,
    /// How it was measured; empty where the metric's name says all.
    pub protocol: &'r str,
    pub value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Moment {
    attempt: u32,
    step: u64,
    images_seen: u64,
    train_seconds: f64,
    wall_seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Number {
    /// Its place in `moments`.
    moment: u32,
    /// Its place in `names`.
    name: u32,
    value: f64,
}

impl Rows {
    /// The rows of a run's effective events.
    pub fn of(effective_events: &[(u32, RunEvent)]) -> Self {
        let mut rows = Self::default();
        for (attempt, event) in effective_events {
            let mut push = |stamp: &Stamp, metric: &str, protocol: &str, value: f64| {
                rows.push(Row {
                    attempt: *attempt,
                    step: stamp.step,
                    images_seen: stamp.images_seen,
                    train_seconds: stamp.train_seconds,
                    wall_seconds: stamp.wall_seconds,
                    metric,
                    protocol,
                    value,
                });
            };
            match event {
                RunEvent::Trained { stamp, loss, gradient_norm, learning_rate, beta1, .. } => {
                    push(stamp, "train_loss", "", *loss);
                    let rest = [("gradient_norm", gradient_norm), ("learning_rate", learning_rate), ("beta1", beta1)];
                    for (metric, value) in rest {
                        if let Some(value) = value {
                            push(stamp, metric, "", *value);
                        }
                    }
                }
                RunEvent::Evaluated { stamp, measures, .. } => {
                    for measure in measures {
                        push(stamp, &measure.metric, &measure.protocol, measure.value);
                    }
                }
                _ => {}
            }
        }
        rows.moments.shrink_to_fit();
        rows.numbers.shrink_to_fit();
        rows
    }

    pub fn push(&mut self, row: Row) {
        let Row { attempt, step, images_seen, train_seconds, wall_seconds, metric, protocol, value } = row;
        let moment = Moment { attempt, step, images_seen, train_seconds, wall_seconds };
        if self.moments.last() != Some(&moment) {
            self.moments.push(moment);
        }
        let name = self.next_name(metric, protocol).or_else(|| self.name(metric, protocol)).unwrap_or_else(|| {
            self.names.push((metric.into(), protocol.into()));
            self.names.len() as u32 - 1
        });
        self.numbers.push(Number { moment: self.moments.len() as u32 - 1, name, value });
    }

    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    pub fn last(&self) -> Option<Row<'_>> {
        self.iter().next_back()
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Row<'_>> + ExactSizeIterator {
        self.numbers.iter().map(|number| self.row(number))
    }

    /// The rows of one metric by one protocol.
    pub fn series<'r>(&'r self, metric: &str, protocol: &str) -> impl DoubleEndedIterator<Item = Row<'r>> + use<'r> {
        let name = self.name(metric, protocol);
        let numbers = if name.is_some() { self.numbers.as_slice() } else { &[] };
        numbers.iter().filter(move |number| Some(number.name) == name).map(|number| self.row(number))
    }

    /// The rows of metrics by any protocol.
    pub fn of_metrics(&self, is: &dyn Fn(&str) -> bool) -> impl DoubleEndedIterator<Item = Row<'_>> + use<'_> {
        let chosen: Vec<bool> = self.names().map(|(metric, _)| is(metric)).collect();
        let numbers = if chosen.contains(&true) { self.numbers.as_slice() } else { &[] };
        numbers.iter().filter(move |number| chosen[number.name as usize]).map(|number| self.row(number))
    }

    /// Every (metric, protocol) of which there is a number, each once, in the order met.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.iter().map(|(metric, protocol)| (&**metric, &**protocol))
    }

    /// The attempts of which there is a number, each once where none comes back.
    pub fn attempts(&self) -> impl Iterator<Item = u32> {
        self.moments.chunk_by(|first, second| first.attempt == second.attempt).map(|same| same[0].attempt)
    }

    /// The name after the last number's, if that is it: most evaluations name the same metrics in the same order.
    fn next_name(&self, metric: &str, protocol: &str) -> Option<u32> {
        let next = (self.numbers.last()?.name as usize + 1) % self.names.len();
        let (one, by) = &self.names[next];
        (**one == *metric && **by == *protocol).then_some(next as u32)
    }

    fn name(&self, metric: &str, protocol: &str) -> Option<u32> {
        let is = |(one, by): &(Box<str>, Box<str>)| **one == *metric && **by == *protocol;
        self.names.iter().position(is).map(|place| place as u32)
    }

    fn row(&self, number: &Number) -> Row<'_> {
        let Moment { attempt, step, images_seen, train_seconds, wall_seconds } = self.moments[number.moment as usize];
        let (metric, protocol) = &self.names[number.name as usize];
        Row { attempt, step, images_seen, train_seconds, wall_seconds, metric, protocol, value: number.value }
    }
}

impl<'r> FromIterator<Row<'r>> for Rows {
    fn from_iter<I: IntoIterator<Item = Row<'r>>>(found: I) -> Self {
        let mut rows = Self::default();
        found.into_iter().for_each(|row| rows.push(row));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_their_order_with_clocks_and_names_kept_once() {
        let row = |step: u64, metric: &'static str, protocol: &'static str, value: f64| Row {
            attempt: 1 + (step / 3) as u32,
            step,
            images_seen: 64 * step,
            train_seconds: 0.1 * step as f64,
            wall_seconds: 0.2 * step as f64,
            metric,
            protocol,
            value,
        };
        let put = [
            row(1, "fid", "averaged", 9.0),
            row(1, "fid", "raw", -0.0),
            row(1, "beta1", "", 0.9),
            row(3, "fid", "averaged", f64::NEG_INFINITY),
        ];
        let rows: Rows = put.into_iter().collect();
        assert_eq!((rows.len(), rows.moments.len(), rows.names.len()), (4, 2, 3));
        assert_eq!(rows.iter().collect::<Vec<_>>(), put);
        assert_eq!(rows.last(), Some(put[3]));
        assert_eq!(rows.series("fid", "averaged").collect::<Vec<_>>(), [put[0], put[3]]);
        assert_eq!(rows.series("fid", "").count() + rows.series("kid", "raw").count(), 0);
        assert_eq!(rows.of_metrics(&|metric| metric == "fid").count(), 3);
        assert_eq!(rows.names().collect::<Vec<_>>(), [("fid", "averaged"), ("fid", "raw"), ("beta1", "")]);
        assert_eq!(rows.attempts().collect::<Vec<_>>(), [1, 2]);
    }
}
