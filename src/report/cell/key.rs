//! What a number is.

use super::id::digits;
use crate::report::cost::Cost;
use crate::report::tables::Estimator;

/// The kind of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The headline: a speedup over the band of qualities.
    Band,
    /// The speedup to the last quality that both arms reach.
    Last,
    /// One factor for the whole curve.
    WholeCurve,
    /// The speedup to the first evaluation at or below `compare.target`.
    Target,
    /// The median of an arm's last values of the compared metric.
    Final,
    /// The median of an arm's last values of a further measure.
    Measure,
    /// A speedup over all grid points.
    Grid,
    /// A speedup with both arms at their own best value of the axes in `compare.tune`.
    Tuned,
    /// How many times larger one speedup is than another.
    Interaction,
}

impl Kind {
    /// As ids are made of it, and as tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Band => "band",
            Self::Last => "last",
            Self::WholeCurve => "whole curve",
            Self::Target => "target",
            Self::Final => "final",
            Self::Measure => "measure",
            Self::Grid => "grid",
            Self::Tuned => "tuned",
            Self::Interaction => "interaction",
        }
    }
}

impl From<Estimator> for Kind {
    fn from(estimator: Estimator) -> Self {
        match estimator {
            Estimator::Band => Self::Band,
            Estimator::LastQuality(_) => Self::Last,
            Estimator::WholeCurve { .. } => Self::WholeCurve,
            Estimator::FirstCrossing(_) => Self::Target,
        }
    }
}

/// What tells a number from every other of its study.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub kind: Kind,
    /// The arm's name, whatever its label.
    pub arm: String,
    /// The arm that it is compared with; empty for a number of one arm.
    pub against: String,
    /// `None` where nothing is counted.
    pub cost: Option<Cost>,
    /// The grid point as JSON.
    pub point: String,
    /// What else there is to say: a measure and its protocol, or which two changes.
    pub of: Vec<String>,
}

impl Key {
    /// The sum that its id is made of.
    pub fn digits(&self, study: &str, metric: &str) -> String {
        let Self { kind, arm, against, cost, point, of } = self;
        let cost = cost.map_or("", Cost::name);
        let what = ["cell 1", study, metric, kind.name(), cost, arm, against, point];
        let what: Vec<&str> = what.into_iter().chain(of.iter().map(String::as_str)).collect();
        digits(&serde_json::to_string(&what).expect("texts can be written"))
    }
}
