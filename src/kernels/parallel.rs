use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::team;

/// Calls `compute` with the index and content of each part of `length` items of `output` (the last may be shorter): on
/// several threads if there are several and the `operations` in all are worth it, in order on this one otherwise. As the
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
    if operations < WORTH_SHARING {
        output.chunks_mut(length).enumerate().for_each(|(index, part)| compute(index, part));
        return;
    }
    let (all, start) = (output.len(), Start(output.as_mut_ptr()));
    team::for_each_index(all.div_ceil(length), &|index| {
        let first = index * length;
        // SAFETY: the parts are within `output`, do not overlap, and each index is given to one thread once.
        let part = unsafe { std::slice::from_raw_parts_mut(start.at(first), length.min(all - first)) };
        compute(index, part);
    });
}

/// Calls `compute` with every index below `count`, as [`for_each_part`] does.
pub fn for_each_index(count: usize, operations: usize, compute: impl Fn(usize) + Sync) {
    if operations < WORTH_SHARING {
        (0..count).for_each(compute);
    } else {
        team::for_each_index(count, &compute);
    }
}

/// A slice whose places are written by several threads, each its own.
pub struct Scattered<'a, T> {
    start: Start<MaybeUninit<T>>,
    length: usize,
    whole: PhantomData<&'a mut [MaybeUninit<T>]>,
}

impl<'a, T> Scattered<'a, T> {
    pub fn new(slice: &'a mut [MaybeUninit<T>]) -> Self {
        Self { start: Start(slice.as_mut_ptr()), length: slice.len(), whole: PhantomData }
    }

    /// # Safety
    /// Nobody else has the place of this index while it is in use.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the caller makes sure that it is the only one")]
    pub unsafe fn place(&self, index: usize) -> &mut MaybeUninit<T> {
        assert!(index < self.length, "place {index} of {}", self.length);
        // SAFETY: within the slice, which is borrowed as long as this exists; the rest is the caller's contract.
        unsafe { &mut *self.start.at(index) }
    }
}

/// About 5 microseconds of one core.
pub const WORTH_SHARING: usize = 500_000;

/// The start of a slice whose parts go to several threads.
struct Start<T>(*mut T);

impl<T> Start<T> {
    /// # Safety
    /// `index` is within the slice.
    unsafe fn at(&self, index: usize) -> *mut T {
        // SAFETY: as above.
        unsafe { self.0.add(index) }
    }
}

// SAFETY: every part is used by one thread, and what it consists of may be sent to it.
unsafe impl<T: Send> Sync for Start<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_and_the_last_may_be_shorter() {
        for operations in [0, usize::MAX] {
            let mut output = vec![0; 1003];
            for_each_part(&mut output, 10, operations, |index, part| {
                assert_eq!(part.len(), if index == 100 { 3 } else { 10 });
                part.iter_mut().for_each(|value| *value += index);
            });
            assert!(output.iter().enumerate().all(|(place, value)| *value == place / 10));
            for_each_part(&mut [0; 0], 10, operations, |_, _| panic!("there is nothing to do"));

            let mut places = Box::<[usize]>::new_uninit_slice(30);
            let scattered = Scattered::new(&mut places);
            for_each_index(3, operations, |index| {
                for place in (index..30).step_by(3) {
                    // SAFETY: no other index has this remainder.
                    unsafe { scattered.place(place) }.write(place);
                }
            });
            // SAFETY: all remainders of 3.
            let places = unsafe { places.assume_init() };
            assert!(places.iter().enumerate().all(|(place, value)| place == *value));
        }
    }
}
