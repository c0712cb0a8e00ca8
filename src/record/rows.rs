//! The numbers of a run's curves: clocks and names, which many numbers share, are kept once.

use crate::event::{Measure, Name, RunEvent, Stamp};

/// Every number that a run has recorded along its training, in the order recorded. A sweep may hold ten million: each takes 16 bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    moments: Vec<Moment>,
    /// (metric, protocol), each once, in the order met.
    names: Vec<(Name, Name)>,
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
pub(super) struct Moment {
    pub(super) attempt: u32,
    pub(super) step: u64,
    pub(super) images_seen: u64,
    pub(super) train_seconds: f64,
    pub(super) wall_seconds: f64,
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
        let count = |(_, event): &(u32, RunEvent)| match event {
            RunEvent::Trained { .. } => 4,
            RunEvent::Evaluated { measures, .. } => measures.len(),
            _ => 0,
        };
        rows.moments.reserve(effective_events.iter().filter(|event| count(event) > 0).count());
        rows.numbers.reserve(effective_events.iter().map(count).sum());
        let [train_loss, gradient_norm_name, learning_rate_name, beta1_name, none] =
            ["train_loss", "gradient_norm", "learning_rate", "beta1", ""].map(Name::from);
        for (attempt, event) in effective_events {
            match event {
                RunEvent::Trained { stamp, loss, gradient_norm, learning_rate, beta1, .. } => {
                    let moment = Moment::of(*attempt, stamp);
                    rows.put_named(moment, &train_loss, &none, *loss);
                    let rest = [
                        (&gradient_norm_name, gradient_norm),
                        (&learning_rate_name, learning_rate),
                        (&beta1_name, beta1),
                    ];
                    for (metric, value) in rest {
                        if let Some(value) = value {
                            rows.put_named(moment, metric, &none, *value);
                        }
                    }
                }
                RunEvent::Evaluated { stamp, measures, .. } => {
                    let moment = Moment::of(*attempt, stamp);
                    for Measure { metric, protocol, value } in measures {
                        rows.put_named(moment, metric, protocol, *value);
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
        let is = |(one, by): &(Name, Name)| one == metric && by == protocol;
        self.put(moment, is, || (metric.into(), protocol.into()), value);
    }

    fn put_named(&mut self, moment: Moment, metric: &Name, protocol: &Name, value: f64) {
        let is = |(one, by): &(Name, Name)| one == metric && by == protocol;
        self.put(moment, is, || (metric.clone(), protocol.clone()), value);
    }

    /// `is`: whether a name is the number's. `new`: that name.
    fn put(&mut self, moment: Moment, is: impl Fn(&(Name, Name)) -> bool, new: impl Fn() -> (Name, Name), value: f64) {
        if self.moments.last() != Some(&moment) {
            self.moments.push(moment);
        }
        // Most evaluations name the same metrics in the same order.
        let next = self.numbers.last().map_or(0, |last| (last.name as usize + 1) % self.names.len());
        let known = if self.names.get(next).is_some_and(&is) { Some(next) } else { self.names.iter().position(is) };
        let name = known.unwrap_or_else(|| {
            self.names.push(new());
            self.names.len() - 1
        });
        self.numbers.push(Number { moment: self.moments.len() as u32 - 1, name: name as u32, value });
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
        self.names.iter().map(|(metric, protocol)| (metric.as_str(), protocol.as_str()))
    }

    /// Every moment with how many numbers are of it, in the order recorded.
    pub(super) fn moments(&self) -> impl Iterator<Item = (&Moment, usize)> {
        let of_one = self.numbers.chunk_by(|first, second| first.moment == second.moment);
        of_one.map(|numbers| (&self.moments[numbers[0].moment as usize], numbers.len()))
    }

    /// The place of every number's name among [`Self::names`].
    pub(super) fn name_places(&self) -> impl Iterator<Item = usize> {
        self.numbers.iter().map(|number| number.name as usize)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = f64> {
        self.numbers.iter().map(|number| number.value)
    }

    /// The attempts of which there is a number, each once where none comes back.
    pub fn attempts(&self) -> impl Iterator<Item = u32> {
        self.moments.chunk_by(|first, second| first.attempt == second.attempt).map(|same| same[0].attempt)
    }

    fn name(&self, metric: &str, protocol: &str) -> Option<u32> {
        let is = |(one, by): &(Name, Name)| one == metric && by == protocol;
        self.names.iter().position(is).map(|place| place as u32)
    }

    fn row(&self, number: &Number) -> Row<'_> {
        let Moment { attempt, step, images_seen, train_seconds, wall_seconds } = self.moments[number.moment as usize];
        let (metric, protocol) = &self.names[number.name as usize];
        Row { attempt, step, images_seen, train_seconds, wall_seconds, metric, protocol, value: number.value }
    }
}

impl Moment {
    fn of(attempt: u32, stamp: &Stamp) -> Self {
        let Stamp { step, images_seen, train_seconds, wall_seconds, .. } = *stamp;
        Self { attempt, step, images_seen, train_seconds, wall_seconds }
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
