//! Sixteen numbers at once, with the widest instructions of the processor at hand.
//!
//! A computation is a [`Job`] generic over [`Lanes`]; [`run`] picks the instructions at run time, so that a binary
//! built for any x86-64 uses AVX-512 or AVX2 where they exist, and plain code elsewhere.

mod pairs;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::mem::MaybeUninit;

use portable::Portable;

/// Lanes that are computed together; the batch of a tensor in the fused layout is a multiple of it.
pub const LANES: usize = 16;

/// Sixteen consecutive numbers of memory: one channel of one pixel of sixteen images.
pub type Chunk = [f32; LANES];

/// What is at `index`, without looking whether there is something.
///
/// # Safety
/// `index` is less than the length of `values`.
#[inline(always)]
pub unsafe fn unchecked<T>(values: &[T], index: usize) -> &T {
    debug_assert!(index < values.len());
    // SAFETY: as above.
    unsafe { values.get_unchecked(index) }
}

/// A computation for any kind of lanes. `run` and all that it calls must be `#[inline(always)]` and free of closures,
/// or the instructions are not used.
pub trait Job {
    fn run<L: Lanes>(self);
}

/// Runs `job` with the widest lanes of this processor.
pub fn run<J: Job>(job: J) {
    match Kind::widest() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has the features that `run_avx512` is compiled for.
        Kind::Avx512 => unsafe { run_avx512(job) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has the features that `run_avx2` is compiled for.
        Kind::Avx2 => unsafe { run_avx2(job) },
        Kind::Portable => job.run::<Portable>(),
    }
}

/// Runs a job whose products are of pairs of bf16; with instructions for them where [`multiplies_bf16`].
pub fn run_pairs<J: Job>(job: J) {
    #[cfg(target_arch = "x86_64")]
    if multiplies_bf16() {
        // SAFETY: the processor has the features that `run_avx512_bf16` is compiled for.
        return unsafe { run_avx512_bf16(job) };
    }
    run(job);
}

/// Whether the processor has instructions that multiply pairs of bf16 and add them to f32: AVX512-BF16.
pub fn multiplies_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    if Kind::widest() == Kind::Avx512 {
        return is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512bw");
    }
    false
}

/// The kinds of lanes of this architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kind {
    /// The widest that this processor has (and, in tests, that are asked for).
    fn widest() -> Self {
        #[cfg(test)]
        if let Some(kind) = tests::FORCED.get() {
            return kind;
        }
        Self::available()
    }

    fn available() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("fma")
            {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
fn run_avx512<J: Job>(job: J) {
    job.run::<x86::Avx512<false>>();
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512bf16,avx2,fma")]
fn run_avx512_bf16<J: Job>(job: J) {
    job.run::<x86::Avx512<true>>();
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<J: Job>(job: J) {
    job.run::<x86::Avx2>();
}

/// Sixteen numbers. Each operation is applied to each lane.
pub trait Lanes: Copy {
    /// Whether there are registers for some 24 values of this type, rather than 6.
    const MANY_REGISTERS: bool;

    /// Runs an inner part of a job as a function of its own, so that all registers are free for it.
    fn call<J: Job>(job: J);

    fn splat(value: f32) -> Self;
    fn load(chunk: &Chunk) -> Self;
    fn store(self, chunk: &mut Chunk);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// self * factor + term, rounded once where the processor can.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// The larger; NaN if `other` is NaN.
    fn max(self, other: Self) -> Self;
    /// The smaller; NaN if `other` is NaN.
    fn min(self, other: Self) -> Self;
    fn sqrt(self) -> Self;
    /// 1 / self within about 2 units in the last place, for magnitudes in [1e-30, 1e30].
    fn reciprocal(self) -> Self;
    /// The nearest integer, ties to even, for magnitudes below 2^22.
    fn round(self) -> Self;
    /// self * 2^power for an integral `power` in [-126, 127].
    fn scale(self, power: Self) -> Self;
    /// The sum of the lanes, in an order of its own that is always the same.
    fn sum(self) -> f32;
    /// Two bf16 in each lane, in 32 bits: `self` in its lower half, `other` in its upper half, both rounded.
    #[inline(always)]
    fn paired(self, other: Self) -> Self {
        pairs::paired(self, other)
    }

    /// The same of lanes 0 and 1, 2 and 3, .. of `self`, then of `other`.
    #[inline(always)]
    fn neighbours_paired(self, other: Self) -> Self {
        pairs::neighbours_paired(self, other)
    }

    /// The lower and the upper bf16 of each lane, as f32.
    #[inline(always)]
    fn halves(self) -> [Self; 2] {
        pairs::halves(self)
    }

    /// The lower bf16 of `self` beside those of `other`, and the same of the upper ones.
    #[inline(always)]
    fn halves_paired(self, other: Self) -> [Self; 2] {
        pairs::halves_paired(self, other)
    }

    /// The lower bf16 of lanes 0 and 1, 2 and 3, .. of `self`, then of `other`; and the same of the upper ones.
    #[inline(always)]
    fn neighbours_halves_paired(self, other: Self) -> [Self; 2] {
        pairs::neighbours_halves_paired(self, other)
    }

    /// `term` plus the products of the lower and of the upper bf16 of `self` and `factor`.
    #[inline(always)]
    fn pairs_mul_add(self, factor: Self, term: Self) -> Self {
        pairs::mul_add(self, factor, term)
    }

    /// Lane r of result c is lane c of row r.
    #[inline(always)]
    fn turned(rows: [Self; LANES]) -> [Self; LANES] {
        let mut chunks = [[0.0; LANES]; LANES];
        for row in 0..LANES {
            rows[row].store(&mut chunks[row]);
        }
        let mut result = rows;
        for column in 0..LANES {
            let mut turned = [0.0; LANES];
            for row in 0..LANES {
                turned[row] = chunks[row][column];
            }
            result[column] = Self::load(&turned);
        }
        result
    }

    /// [`Lanes::store`] to memory that was not written before.
    #[inline(always)]
    fn write(self, place: &mut MaybeUninit<Chunk>) {
        let mut chunk = [0.0; LANES];
        self.store(&mut chunk);
        place.write(chunk);
    }

    /// e^self, relative error below 3e-7; saturates at e^-87 and e^87 (Cephes' expf polynomial, S. Moshier).
    #[inline(always)]
    fn exp(self) -> Self {
        let x = Self::splat(87.0).min(Self::splat(-87.0).max(self));
        let power = x.mul(Self::splat(std::f32::consts::LOG2_E)).round();
        // x - power ln 2, with ln 2 in two parts so that the first product is exact (355 / 512).
        let rest = power.mul_add(Self::splat(-0.693_359_4), x);
        let rest = power.mul_add(Self::splat(2.121_944_4e-4), rest);
        let polynomial = Self::splat(1.987_569_1e-4)
            .mul_add(rest, Self::splat(1.398_199_9e-3))
            .mul_add(rest, Self::splat(8.333_452e-3))
            .mul_add(rest, Self::splat(4.166_579_6e-2))
            .mul_add(rest, Self::splat(1.666_666_6e-1))
            .mul_add(rest, Self::splat(0.5));
        let value = polynomial.mul_add(rest.mul(rest), rest.add(Self::splat(1.0)));
        value.scale(power)
    }

    /// 1 / (1 + e^-self).
    #[inline(always)]
    fn sigmoid(self) -> Self {
        // Beyond 60 the result is 0 or 1 in f32's terms, and the denominator stays where `reciprocal` is exact.
        let x = Self::splat(60.0).min(Self::splat(-60.0).max(self));
        Self::splat(1.0).add(Self::splat(0.0).sub(x).exp()).reciprocal()
    }
}

#[cfg(test)]
pub mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        pub static FORCED: Cell<Option<Kind>> = const { Cell::new(None) };
    }

    /// Runs a test with every kind of lanes that this processor has.
    pub fn on_all_lanes(test: impl Fn(Kind)) {
        #[cfg(target_arch = "x86_64")]
        let kinds = [Kind::Portable, Kind::Avx2, Kind::Avx512];
        #[cfg(not(target_arch = "x86_64"))]
        let kinds = [Kind::Portable];
        for kind in kinds.into_iter().filter(|&kind| kind <= Kind::available()) {
            FORCED.set(Some(kind));
            test(kind);
            FORCED.set(None);
        }
    }

    /// Runs a test as on a processor without instructions for bf16.
    pub fn without_bf16(test: impl FnOnce()) {
        FORCED.set(Some(Kind::Portable));
        test();
        FORCED.set(None);
    }

    struct Functions;

    impl Job for Functions {
        fn run<L: Lanes>(self) {
            for start in -9000..9000 {
                let mut x = [0f32; LANES];
                for (lane, x) in x.iter_mut().enumerate() {
                    *x = (start as f32 + lane as f32 / 16.0) / 100.0;
                }
                let (mut exp, mut sigmoid, mut reciprocal) = (x, x, x);
                L::load(&x).exp().store(&mut exp);
                L::load(&x).sigmoid().store(&mut sigmoid);
                L::load(&x).reciprocal().store(&mut reciprocal);
                for lane in 0..LANES {
                    let exact = f64::from(x[lane]);
                    close(exp[lane], exact.clamp(-87.0, 87.0).exp(), 3e-7);
                    close(sigmoid[lane], 1.0 / (1.0 + (-exact.clamp(-60.0, 60.0)).exp()), 5e-7);
                    if x[lane] != 0.0 {
                        close(reciprocal[lane], 1.0 / exact, 3e-7);
                    }
                }
                let sum: f32 = x.iter().sum();
                assert!((L::load(&x).sum() - sum).abs() <= 1e-5 * x[0].abs().max(1.0) * 16.0);
            }
            let rows = std::array::from_fn(|row| L::load(&std::array::from_fn(|column| (16 * row + column) as f32)));
            let [first, second] = [0, 1].map(|half| L::load(&std::array::from_fn(|lane| (4 * lane + half) as f32)));
            let [third, fourth] = [2, 3].map(|half| L::load(&std::array::from_fn(|lane| (4 * lane + half) as f32)));
            let (words, others) = (first.paired(second), third.paired(fourth));
            let numbers = |words: [L; 2], half: usize| -> Vec<f32> {
                let stored = words[half].halves().map(|half| {
                    let mut numbers = [0f32; LANES];
                    half.store(&mut numbers);
                    numbers
                });
                (0..LANES).flat_map(|lane| [stored[0][lane], stored[1][lane]]).collect()
            };
            for half in 0..2 {
                let beside: Vec<f32> = (0..32).map(|place| (place / 2 * 4 + place % 2 * 2 + half) as f32).collect();
                assert_eq!(numbers(words.halves_paired(others), half), beside);
                let of_both = |place: usize| place % LANES * 4 + place / LANES * 2 + half;
                let after: Vec<f32> = (0..32).map(|place| of_both(place) as f32).collect();
                assert_eq!(numbers(words.neighbours_halves_paired(others), half), after);
            }
            for (row, turned) in L::turned(rows).into_iter().enumerate() {
                let mut found = [0.0; LANES];
                turned.store(&mut found);
                assert_eq!(found, std::array::from_fn::<_, LANES, _>(|column| (16 * column + row) as f32));
            }
        }
    }

    fn close(found: f32, expected: f64, tolerance: f64) {
        assert!((f64::from(found) / expected - 1.0).abs() < tolerance, "{found} for {expected}");
    }

    #[test]
    fn functions_agree_with_f64_on_all_lanes() {
        on_all_lanes(|_| run(Functions));
        run_pairs(Functions);
    }

    struct NotNumbers;

    impl Job for NotNumbers {
        fn run<L: Lanes>(self) {
            let mut result = [0f32; LANES];
            let nan = L::splat(f32::NAN);
            for value in [nan.exp(), nan.sigmoid(), L::splat(1.0).max(nan), L::splat(1.0).min(nan)] {
                value.store(&mut result);
                assert!(result.iter().all(|value| value.is_nan()), "{result:?}");
            }
        }
    }

    #[test]
    fn a_diverged_value_stays_not_a_number() {
        on_all_lanes(|_| run(NotNumbers));
    }
}
