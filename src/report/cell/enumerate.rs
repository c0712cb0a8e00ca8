//! Every number of a study with its id.

use std::collections::BTreeMap;

use super::id::shortened;
use super::{Key, Kind};
use crate::report::comparison::{Comparison, PointComparison};
use crate::report::cost::Cost;
use crate::report::final_measures::{MeasureColumn, measure_columns};
use crate::report::grid::{Grid, Of, Tuned};
use crate::report::tables::Row;
use crate::spec::{Labels, Point};

/// One number of a study: where it stands among the results, and its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub id: String,
    pub key: Key,
    pub(super) place: Place,
}

/// Indices into a [`Comparison`] and a [`Grid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Arm { point: usize, arm: usize },
    Pair { point: usize, pair: usize },
    Measure { point: usize, arm: usize, column: usize },
    Effect(usize),
    Tuned { group: usize, arm: usize },
    Interaction(usize),
}

/// The numbers of a study by what they are.
pub struct Cells {
    /// In the order of the tables.
    pub all: Vec<Cell>,
    by_key: BTreeMap<Key, usize>,
    labels: Labels,
    baseline: String,
}

impl Cells {
    pub fn of(comparison: &Comparison, grid: &Grid) -> Self {
        let plan = &comparison.study.plan;
        let mut cells = Self {
            all: Vec::new(),
            by_key: BTreeMap::new(),
            labels: plan.labels.clone(),
            baseline: plan.labels.name_of(comparison.baseline.unwrap_or_default()).to_owned(),
        };
        let mut found: Vec<(Key, Place)> = Vec::new();
        let has_target = plan.compare.as_ref().is_some_and(|compare| compare.target.is_some());
        for (index, point) in comparison.points.iter().enumerate() {
            for (place, arm) in point.arms.iter().enumerate() {
                let here = Place::Arm { point: index, arm: place };
                found.push((cells.final_key(point, arm.arm), here));
                if !arm.is_baseline && comparison.baseline.is_some() {
                    found.extend(cells.contrast_keys(point, arm.arm, None, has_target).map(|key| (key, here)));
                }
            }
            for (place, pair) in point.pairs.iter().enumerate() {
                let here = Place::Pair { point: index, pair: place };
                let keys = cells.contrast_keys(point, pair.arm, Some(pair.against), has_target);
                found.extend(keys.map(|key| (key, here)));
            }
            for (column, of) in measure_columns(comparison, point).iter().enumerate() {
                for (arm, own) in point.arms.iter().enumerate() {
                    found.push((cells.measure_key(point, own.arm, of), Place::Measure { point: index, arm, column }));
                }
            }
        }
        let effects = grid.effects.iter().zip(0..);
        found.extend(effects.map(|(effect, index)| (cells.effect_key(effect.arm), Place::Effect(index))));
        for (group, tuned) in grid.tuned.iter().enumerate() {
            let arms = tuned.arms.iter().enumerate();
            found.extend(arms.map(|(arm, own)| (cells.tuned_key(tuned, own.chosen.arm), Place::Tuned { group, arm })));
        }
        let interactions = grid.interactions.iter().zip(0..);
        found.extend(interactions.map(|(of, index)| (cells.interaction_key(&of.of), Place::Interaction(index))));

        let metric = comparison.metric.name();
        let sums: Vec<String> = found.iter().map(|(key, _)| key.digits(&plan.name, metric)).collect();
        for ((key, place), id) in found.into_iter().zip(shortened(&sums)) {
            cells.by_key.insert(key.clone(), cells.all.len());
            cells.all.push(Cell { id, key, place });
        }
        cells
    }

    /// The cell of an id, or of its first digits where no other begins so.
    pub fn find(&self, id: &str) -> Result<&Cell, Vec<&Cell>> {
        let begins: Vec<&Cell> = self.all.iter().filter(|cell| cell.id.starts_with(id)).collect();
        match begins[..] {
            [only] if id.len() >= 4 => Ok(only),
            _ => begins.iter().copied().find(|cell| cell.id == id).ok_or_else(|| self.near(id)),
        }
    }

    /// Cells whose ids a slip away from this one, the nearest first.
    fn near(&self, id: &str) -> Vec<&Cell> {
        let distance = |cell: &Cell| match cell.id.starts_with(id) && id.len() >= 3 {
            true => 0,
            false => strsim::damerau_levenshtein(id, &cell.id),
        };
        let mut near: Vec<(usize, &Cell)> = self.all.iter().map(|cell| (distance(cell), cell)).collect();
        near.retain(|(distance, _)| *distance <= 2);
        near.sort_by_key(|(distance, _)| *distance);
        near.into_iter().map(|(_, cell)| cell).take(5).collect()
    }

    fn id(&self, key: &Key) -> &str {
        self.by_key.get(key).map_or("", |&index| &self.all[index].id)
    }

    /// Of a speedup at a grid point, `against` the baseline where it is `None`; empty where there is no such number.
    pub fn speedup(&self, point: &PointComparison, arm: &str, against: Option<&str>, kind: Kind, cost: Cost) -> &str {
        self.id(&self.contrast_key(point, arm, against, kind, cost))
    }

    /// Of the speedup in a line of the table.
    pub fn of_row(&self, point: &PointComparison, row: &Row) -> &str {
        self.speedup(point, row.arm.arm, row.against, row.estimator.into(), row.cost)
    }

    /// Of the median of an arm's last values.
    pub fn final_value(&self, point: &PointComparison, arm: &str) -> &str {
        self.id(&self.final_key(point, arm))
    }

    /// Of the median of an arm's last values of a measure.
    pub fn measure(&self, point: &PointComparison, arm: &str, column: &MeasureColumn) -> &str {
        self.id(&self.measure_key(point, arm, column))
    }

    /// Of an arm over all grid points.
    pub fn effect(&self, arm: &str) -> &str {
        self.id(&self.effect_key(arm))
    }

    /// Of an arm at its own best.
    pub fn tuned(&self, tuned: &Tuned, arm: &str) -> &str {
        self.id(&self.tuned_key(tuned, arm))
    }

    /// Of two changes together.
    pub fn interaction(&self, of: &Of) -> &str {
        self.id(&self.interaction_key(of))
    }

    fn name(&self, shown: &str) -> String {
        self.labels.name_of(shown).to_owned()
    }

    fn contrast_keys<'k>(
        &'k self,
        point: &'k PointComparison,
        arm: &'k str,
        against: Option<&'k str>,
        has_target: bool,
    ) -> impl Iterator<Item = Key> + 'k {
        let kinds = [(Kind::Band, true), (Kind::Last, true), (Kind::WholeCurve, true), (Kind::Target, has_target)];
        kinds.into_iter().filter(|(_, is_there)| *is_there).flat_map(move |(kind, _)| {
            let costs = if kind == Kind::WholeCurve { &Cost::ALL[..1] } else { &Cost::ALL };
            costs.iter().map(move |cost| self.contrast_key(point, arm, against, kind, *cost))
        })
    }

    fn contrast_key(&self, point: &PointComparison, arm: &str, against: Option<&str>, kind: Kind, cost: Cost) -> Key {
        let against = against.map_or_else(|| self.baseline.clone(), |against| self.name(against));
        Key { kind, arm: self.name(arm), against, cost: Some(cost), point: json(point.point), of: vec![] }
    }

    fn final_key(&self, point: &PointComparison, arm: &str) -> Key {
        let (kind, arm, against) = (Kind::Final, self.name(arm), String::new());
        Key { kind, arm, against, cost: None, point: json(point.point), of: vec![] }
    }

    fn measure_key(&self, point: &PointComparison, arm: &str, column: &MeasureColumn) -> Key {
        let of = vec![column.metric.to_owned(), column.protocol.clone()];
        Key { kind: Kind::Measure, of, ..self.final_key(point, arm) }
    }

    fn effect_key(&self, arm: &str) -> Key {
        self.grid_key(Kind::Grid, arm, String::new(), vec![])
    }

    fn tuned_key(&self, tuned: &Tuned, arm: &str) -> Key {
        self.grid_key(Kind::Tuned, arm, json(&tuned.point), vec![])
    }

    fn interaction_key(&self, of: &Of) -> Key {
        match of {
            Of::Axis { arm, axis, value, reference } => {
                let of = vec![axis.path.clone(), value.to_string(), reference.to_string()];
                self.grid_key(Kind::Interaction, arm, String::new(), of)
            }
            Of::Arms { first, second, both } => {
                // In whatever order they are shown.
                let mut of = vec![self.name(first), self.name(second)];
                of.sort();
                self.grid_key(Kind::Interaction, both, String::new(), of)
            }
        }
    }

    fn grid_key(&self, kind: Kind, arm: &str, point: String, of: Vec<String>) -> Key {
        Key { kind, arm: self.name(arm), against: self.baseline.clone(), cost: Some(Cost::ImagesSeen), point, of }
    }
}

fn json(point: &Point) -> String {
    match point.is_empty() {
        true => String::new(),
        false => serde_json::to_string(point).expect("plain data"),
    }
}
