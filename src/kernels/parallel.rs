use rayon::prelude::*;

/// Calls `compute` with the index and content of each part of `length` items of `output`: on all threads of the pool
/// if there are several and the `operations` in all are worth waking them, in order on this one otherwise. As the
/// parts are the same either way, so are the results.
pub fn for_each_part<T: Send>(
    output: &mut [T],
    length: usize,
    operations: usize,
    compute: impl Fn(usize, &mut [T]) + Sync,
) {
    if output.is_empty() {
        return;
    }
    if operations < WORTH_WAKING || rayon::current_num_threads() == 1 {
        output.chunks_mut(length).enumerate().for_each(|(index, part)| compute(index, part));
    } else {
        output.par_chunks_mut(length).enumerate().for_each(|(index, part)| compute(index, part));
    }
}

/// About 20 microseconds of one core.
pub const WORTH_WAKING: usize = 2_000_000;
