//! How much of a study's curves a page can hold.

use std::collections::BTreeSet;

use super::Metric;
use super::points::MOST_POINTS;
use crate::record::RunRecord;
use crate::report::comparison::Comparison;
use crate::report::number::grouped;

/// Runs that are named one by one where there are too many for their curves.
pub const MOST_LISTED: usize = 300;
/// Text that the curves may take, roughly.
const MOST_BYTES: usize = 2_000_000;
/// Of a number, and of its place among the moments; of a moment's clocks; of everything else about a run.
const NUMBER_BYTES: usize = 13;
const MOMENT_BYTES: usize = 52;
const RUN_BYTES: usize = 1000;

/// The moments of a curve that are kept, from the most to the fewest, and whether of every metric.
const LEVELS: [(usize, bool); 5] = [(400, true), (80, true), (80, false), (30, false), (16, false)];

/// What is kept of each run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// So many moments of each curve, of every metric or of the compared one alone.
    Curves { moments: usize, every_metric: bool, is_whole: bool },
    /// No curves, and of the runs the first few.
    Summary,
}

impl Detail {
    pub fn of(comparison: &Comparison) -> Self {
        let sizes: Vec<Size> = comparison.study.runs.iter().map(|run| Size::of(run, comparison)).collect();
        let fits = |moments, every_metric| {
            sizes.iter().map(|size| size.bytes(moments, every_metric)).sum::<usize>() <= MOST_BYTES
        };
        let whole = |moments, every_metric: bool| {
            (every_metric || sizes.iter().all(|size| size.others.is_empty()))
                && sizes.iter().flat_map(|size| size.compared.iter().chain(&size.others)).all(|&count| count <= moments)
        };
        let found = LEVELS.into_iter().find(|&(moments, every_metric)| fits(moments, every_metric));
        found.map_or(Self::Summary, |(moments, every_metric)| Self::Curves {
            moments,
            every_metric,
            is_whole: whole(moments, every_metric),
        })
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Curves { is_whole: true, .. } => "whole",
            Self::Curves { .. } => "thinned",
            Self::Summary => "summary",
        }
    }

    /// Moments kept of each curve; `None` where there are no curves.
    pub fn moments(&self) -> Option<usize> {
        match self {
            Self::Curves { moments, .. } => Some(*moments),
            Self::Summary => None,
        }
    }

    /// How many runs are named.
    pub fn listed(&self, runs: usize) -> usize {
        if *self == Self::Summary { runs.min(MOST_LISTED) } else { runs }
    }

    /// The metrics whose curves are kept, the compared one first, by the protocols that arms are compared by before others.
    pub fn metrics<'a>(&self, comparison: &Comparison<'a>) -> Vec<Metric<'a>> {
        let Self::Curves { every_metric, .. } = self else { return vec![] };
        let compared = comparison.metric.name();
        let mut found: Vec<Metric> = Vec::new();
        for run in &comparison.study.runs {
            for (name, protocol) in run.rows.names().filter(|(name, _)| is_drawn(name)) {
                let metric = Metric { name, protocol };
                if (*every_metric || name == compared) && !found.contains(&metric) {
                    found.push(metric);
                }
            }
        }
        let used: BTreeSet<&str> = comparison.points.iter().map(|point| point.protocol.as_str()).collect();
        let rank = |metric: &Metric| match metric.name == compared {
            true if used.contains(metric.protocol) => 0,
            true => 1,
            false => 2,
        };
        found.sort_by_key(rank);
        found
    }

    /// What is not on the page, and where it is.
    pub fn left_out(&self, comparison: &Comparison) -> Option<String> {
        let runs = comparison.study.runs.len();
        let what = match self {
            Self::Curves { is_whole: true, .. } => None,
            Self::Curves { moments, every_metric, .. } => {
                let of = if *every_metric { "" } else { " of the compared metric alone" };
                Some(format!(
                    "With {} runs the curves here{of} have at most {moments} points each",
                    grouped(runs as u64)
                ))
            }
            Self::Summary => {
                let listed = grouped(self.listed(runs) as u64);
                Some(format!(
                    "{} runs are too many for curves here, and only the first {listed} are listed",
                    grouped(runs as u64)
                ))
            }
        };
        let points = comparison.points.len();
        let points = (points > MOST_POINTS)
            .then(|| format!("Of {} grid points the first {MOST_POINTS} are here", grouped(points as u64)));
        let parts: Vec<String> = what.into_iter().chain(points).collect();
        (!parts.is_empty()).then(|| {
            format!("{}. Everything is in curves.parquet and in the tables beside this page.", parts.join(". "))
        })
    }
}

/// Whether a metric has a curve of its own; the bins of t have figures.
pub(super) fn is_drawn(name: &str) -> bool {
    !name.contains('/')
}

/// How many numbers each curve of a run has.
struct Size {
    compared: Vec<usize>,
    others: Vec<usize>,
}

impl Size {
    fn of(run: &RunRecord, comparison: &Comparison) -> Self {
        let is_compared = |name: &str| name == comparison.metric.name();
        let counts = |is: &dyn Fn(&str) -> bool| {
            let names = run.rows.names().filter(|(name, _)| is(name));
            names.map(|(name, protocol)| run.rows.series(name, protocol).count()).collect()
        };
        Self { compared: counts(&is_compared), others: counts(&|name| is_drawn(name) && !is_compared(name)) }
    }

    /// The text that it takes, roughly.
    fn bytes(&self, moments: usize, every_metric: bool) -> usize {
        let others = if every_metric { &self.others[..] } else { &[] };
        let counts = || self.compared.iter().chain(others).map(|&count| count.min(moments));
        // The compared metric's fitted values come on top.
        let numbers = counts().sum::<usize>() + self.compared.iter().map(|&count| count.min(moments)).sum::<usize>();
        RUN_BYTES + numbers * NUMBER_BYTES + counts().max().unwrap_or(0) * MOMENT_BYTES
    }
}
