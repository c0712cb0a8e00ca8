//! The quality that counts as equal, at one grid point.

use crate::spec::Target;

/// A target with a number.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedTarget {
    pub value: f64,
    pub origin: TargetOrigin,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TargetOrigin {
    /// The sweep states the number.
    Stated,
    /// Median of the last values of `from`'s completed runs.
    FinalMedian { from: String, completed: usize, planned: usize },
}

/// Why a target has no number (yet).
#[derive(Clone, Debug, PartialEq)]
pub struct NoTarget {
    /// The arm whose final values it is made of.
    pub from: String,
    pub planned: usize,
}

/// `finals` gives an arm's last values (of completed runs only) and how many runs were planned.
pub fn resolve(target: &Target, finals: impl Fn(&str) -> (Vec<f64>, usize)) -> Result<ResolvedTarget, NoTarget> {
    match target {
        Target::Value { value } => Ok(ResolvedTarget { value: *value, origin: TargetOrigin::Stated }),
        Target::FinalMedian { from } => {
            let (values, planned) = finals(from);
            let Some(value) = median(&values) else { return Err(NoTarget { from: from.clone(), planned }) };
            let completed = values.len();
            Ok(ResolvedTarget { value, origin: TargetOrigin::FinalMedian { from: from.clone(), completed, planned } })
        }
    }
}

/// The middle value, or the mean of the two middle ones; what is not a number counts as the worst. `None` where there is
/// no middle or it is not finite.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().map(|&value| if value.is_nan() { f64::INFINITY } else { value }).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    let median = if sorted.len() % 2 == 1 { upper } else { (sorted[middle - 1] + upper) / 2.0 };
    median.is_finite().then_some(median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stated_target_is_itself() {
        let resolved = resolve(&Target::Value { value: 12.5 }, |_| panic!("no finals are needed")).unwrap();
        assert_eq!(resolved, ResolvedTarget { value: 12.5, origin: TargetOrigin::Stated });
    }

    #[test]
    fn a_final_median_counts_completed_runs_only() {
        let target = Target::FinalMedian { from: "baseline".into() };
        let resolved = resolve(&target, |_| (vec![9.0, 5.0], 3)).unwrap();
        let origin = TargetOrigin::FinalMedian { from: "baseline".into(), completed: 2, planned: 3 };
        assert_eq!(resolved, ResolvedTarget { value: 7.0, origin });
        assert_eq!(resolve(&target, |_| (vec![], 3)), Err(NoTarget { from: "baseline".into(), planned: 3 }));
    }

    #[test]
    fn what_is_not_a_number_counts_as_the_worst() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, f64::NAN, 3.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[1.0, f64::NAN]), None);
        assert_eq!(median(&[]), None);
    }
}
