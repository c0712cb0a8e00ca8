//! Groups runs into tasks, and tasks into job arrays; pure.

use crate::spec::RunId;

/// Runs in their order, short ones together: each task has one run at least, and takes at most `task_seconds` by estimate if it has
/// more.
pub fn chunks(runs: &[(RunId, f64)], task_seconds: f64) -> Vec<Vec<RunId>> {
    let mut tasks: Vec<Vec<RunId>> = Vec::new();
    let mut left = 0.0;
    for (run_id, seconds) in runs {
        match tasks.last_mut() {
            Some(task) if *seconds <= left => {
                task.push(run_id.clone());
                left -= seconds;
            }
            _ => {
                tasks.push(vec![run_id.clone()]);
                left = task_seconds - seconds;
            }
        }
    }
    tasks
}

/// (first task, count) of each array, where an array takes at most `most` tasks.
pub fn parts(tasks: usize, most: usize) -> Vec<(usize, usize)> {
    let most = most.max(1);
    (0..tasks).step_by(most).map(|first| (first, most.min(tasks - first))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RunSpec;

    fn runs(seconds: &[f64]) -> Vec<(RunId, f64)> {
        let id = |seed| RunId::of(&RunSpec { seed, ..RunSpec::default() });
        seconds.iter().zip(0..).map(|(&seconds, seed)| (id(seed), seconds)).collect()
    }

    #[test]
    fn short_runs_share_a_task_and_none_is_left_out() {
        let sizes = |seconds: &[f64], most| {
            let runs = runs(seconds);
            let tasks = chunks(&runs, most);
            let kept: Vec<RunId> = tasks.iter().flatten().cloned().collect();
            assert_eq!(kept, runs.into_iter().map(|(id, _)| id).collect::<Vec<_>>());
            tasks.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[10.0; 7], 30.0), [3, 3, 1]);
        assert_eq!(sizes(&[100.0, 1.0, 1.0, 100.0], 30.0), [1, 2, 1]);
        assert_eq!(sizes(&[10.0; 3], 0.0), [1, 1, 1]);
        assert_eq!(sizes(&[], 30.0), Vec::<usize>::new());
    }

    #[test]
    fn arrays_are_as_long_as_the_cluster_takes() {
        assert_eq!(parts(14, 6), [(0, 6), (6, 6), (12, 2)]);
        assert_eq!(parts(6, 6), [(0, 6)]);
        assert_eq!(parts(0, 6), []);
        assert_eq!(parts(2, 0), [(0, 1), (1, 1)]);
    }
}
