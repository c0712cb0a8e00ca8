//! The quality that counts as equal, at one grid point.

use crate::spec::{FinalAt, Target};

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
    /// Made of the last values of `from`'s completed runs.
    Final { from: String, at: FinalAt, completed: usize, planned: usize },
}

/// Why a target has no number (yet).
#[derive(Clone, Debug, PartialEq)]
pub struct NoTarget {
    /// The arm whose final values it is made of.
    pub from: String,
    pub at: FinalAt,
    pub planned: usize,
}

/// `finals` gives an arm's last values (of completed runs only) and how many runs were planned.
pub fn resolve(target: &Target, finals: impl Fn(&str) -> (Vec<f64>, usize)) -> Result<ResolvedTarget, NoTarget> {
    match target {
        Target::Value { value } => Ok(ResolvedTarget { value: *value, origin: TargetOrigin::Stated }),
        Target::Final { from, at } => {
            let (values, planned) = finals(from);
            let value = match at {
                FinalAt::FinalMedian => median(&values),
                FinalAt::FinalWorst => worst(&values),
            };
            let (from, at, completed) = (from.clone(), *at, values.len());
            match value {
                Some(value) => {
                    Ok(ResolvedTarget { value, origin: TargetOrigin::Final { from, at, completed, planned } })
                }
                None => Err(NoTarget { from, at, planned }),
            }
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

/// The largest value; `None` where there is none or one of them is not finite.
fn worst(values: &[f64]) -> Option<f64> {
    let all_finite = values.iter().all(|value| value.is_finite());
    values.iter().copied().reduce(f64::max).filter(|_| all_finite)
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
        let target = Target::Final { from: "baseline".into(), at: FinalAt::FinalMedian };
        let resolved = resolve(&target, |_| (vec![9.0, 5.0], 3)).unwrap();
        let origin =
            TargetOrigin::Final { from: "baseline".into(), at: FinalAt::FinalMedian, completed: 2, planned: 3 };
        assert_eq!(resolved, ResolvedTarget { value: 7.0, origin });
        assert_eq!(
            resolve(&target, |_| (vec![], 3)),
            Err(NoTarget { from: "baseline".into(), at: FinalAt::FinalMedian, planned: 3 })
        );
    }

    #[test]
    fn a_final_worst_is_reached_by_every_completed_run() {
        let target = Target::Final { from: "baseline".into(), at: FinalAt::FinalWorst };
        assert_eq!(resolve(&target, |_| (vec![5.0, 9.0, 7.0], 3)).unwrap().value, 9.0);
        assert!(resolve(&target, |_| (vec![], 3)).is_err());
        assert!(resolve(&target, |_| (vec![5.0, f64::NAN], 3)).is_err());
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
