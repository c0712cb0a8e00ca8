//! Sixteen numbers at once, with the widest instructions of the processor at hand.
//!
//! A computation is a [`Job`] generic over [`Lanes`]; [`run`] picks the instructions at run time, so that a binary
//! built for any x86-64 uses AVX-512 or AVX2 where they exist, and plain code elsewhere.

use std::mem::MaybeUninit;

/// Lanes that are computed together; the batch of a tensor in the fused layout is a multiple of it.
pub const LANES: usize = 16;

/// Sixteen consecutive numbers of memory: one channel of one pixel of sixteen images.
pub type Chunk = [f32; LANES];

/// The chunk at `index`, without looking whether there is one.
///
/// # Safety
/// `index` is less than the length of `values`.
#[inline(always)]
pub unsafe fn unchecked(values: &[Chunk], index: usize) -> &Chunk {
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
    job.run::<x86::Avx512>();
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
    /// The sums of four, each added up in an order of its own kind.
    #[inline(always)]
    fn sums([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        [a.sum(), b.sum(), c.sum(), d.sum()]
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

/// Plain arrays, for processors without the instructions above.
#[derive(Clone, Copy)]
pub struct Portable(Chunk);

impl Portable {
    #[inline(always)]
    fn combine(self, other: Self, operation: impl Fn(f32, f32) -> f32) -> Self {
        let mut result = self.0;
        for lane in 0..LANES {
            result[lane] = operation(self.0[lane], other.0[lane]);
        }
        Self(result)
    }
}

impl Lanes for Portable {
    const MANY_REGISTERS: bool = false;

    #[inline(always)]
    fn call<J: Job>(job: J) {
        job.run::<Self>();
    }
    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; LANES])
    }
    #[inline(always)]
    fn load(chunk: &Chunk) -> Self {
        Self(*chunk)
    }
    #[inline(always)]
    fn store(self, chunk: &mut Chunk) {
        *chunk = self.0;
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.combine(other, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.combine(other, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.combine(other, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.combine(other, |a, b| a / b)
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        self.mul(factor).add(term)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.combine(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.combine(other, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.combine(self, |a, _| a.sqrt())
    }
    #[inline(always)]
    fn reciprocal(self) -> Self {
        self.combine(self, |a, _| 1.0 / a)
    }
    #[inline(always)]
    fn round(self) -> Self {
        // Adding and taking away 1.5 * 2^23 leaves no room for a fraction.
        self.combine(self, |a, _| (a + 12_582_912.0) - 12_582_912.0)
    }
    #[inline(always)]
    fn scale(self, power: Self) -> Self {
        self.combine(power, |a, power| a * f32::from_bits(((power as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        let mut parts = self.0;
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                parts[lane] += parts[lane + half];
            }
        }
        parts[0]
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Chunk, Job, Lanes};

    /// Values exist only inside `run_avx512`, which runs where the processor has AVX-512.
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    /// Values exist only inside `run_avx2`, which runs where the processor has AVX2 and FMA.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256, __m256);

    /// Calls functions that only need their instructions to exist.
    macro_rules! call {
        ($($call:tt)*) => {{
            // SAFETY: these lanes are only used where the processor has their instructions (see the type), and the
            // pointers come from references to whole chunks.
            unsafe { $($call)* }
        }};
    }

    impl Lanes for Avx512 {
        const MANY_REGISTERS: bool = true;

        #[inline(always)]
        fn call<J: Job>(job: J) {
            call!(super::run_avx512(job));
        }
        #[inline(always)]
        fn splat(value: f32) -> Self {
            Self(call!(_mm512_set1_ps(value)))
        }
        #[inline(always)]
        fn load(chunk: &Chunk) -> Self {
            Self(call!(_mm512_loadu_ps(chunk.as_ptr())))
        }
        #[inline(always)]
        fn store(self, chunk: &mut Chunk) {
            call!(_mm512_storeu_ps(chunk.as_mut_ptr(), self.0));
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(call!(_mm512_add_ps(self.0, other.0)))
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(call!(_mm512_sub_ps(self.0, other.0)))
        }
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Self(call!(_mm512_mul_ps(self.0, other.0)))
        }
        #[inline(always)]
        fn div(self, other: Self) -> Self {
            Self(call!(_mm512_div_ps(self.0, other.0)))
        }
        #[inline(always)]
        fn mul_add(self, factor: Self, term: Self) -> Self {
            Self(call!(_mm512_fmadd_ps(self.0, factor.0, term.0)))
        }
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            Self(call!(_mm512_max_ps(self.0, other.0)))
        }
        #[inline(always)]
        fn min(self, other: Self) -> Self {
            Self(call!(_mm512_min_ps(self.0, other.0)))
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            Self(call!(_mm512_sqrt_ps(self.0)))
        }
        #[inline(always)]
        fn reciprocal(self) -> Self {
            // One step of Newton's method from 14 bits.
            let guess = Self(call!(_mm512_rcp14_ps(self.0)));
            let error = Self(call!(_mm512_fnmadd_ps(self.0, guess.0, _mm512_set1_ps(1.0))));
            guess.mul_add(error, guess)
        }
        #[inline(always)]
        fn round(self) -> Self {
            Self(call!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)))
        }
        #[inline(always)]
        fn scale(self, power: Self) -> Self {
            Self(call!(_mm512_scalef_ps(self.0, power.0)))
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            call!(_mm512_reduce_add_ps(self.0))
        }
        #[inline(always)]
        fn sums([a, b, c, d]: [Self; 4]) -> [f32; 4] {
            call!({
                // Within each 128 bits: a a b b + a a b b, then a b c d.
                let ab = _mm512_add_ps(_mm512_unpacklo_ps(a.0, b.0), _mm512_unpackhi_ps(a.0, b.0));
                let cd = _mm512_add_ps(_mm512_unpacklo_ps(c.0, d.0), _mm512_unpackhi_ps(c.0, d.0));
                let low = _mm512_shuffle_ps::<0b01_00_01_00>(ab, cd);
                let high = _mm512_shuffle_ps::<0b11_10_11_10>(ab, cd);
                let all = _mm512_add_ps(low, high);
                let half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps::<1>(all));
                let sums = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps::<1>(half));
                let mut four = [0.0; 4];
                _mm_storeu_ps(four.as_mut_ptr(), sums);
                four
            })
        }
    }

    impl Lanes for Avx2 {
        const MANY_REGISTERS: bool = false;

        #[inline(always)]
        fn call<J: Job>(job: J) {
            call!(super::run_avx2(job));
        }
        #[inline(always)]
        fn splat(value: f32) -> Self {
            let half = call!(_mm256_set1_ps(value));
            Self(half, half)
        }
        #[inline(always)]
        fn load(chunk: &Chunk) -> Self {
            call!(Self(_mm256_loadu_ps(chunk.as_ptr()), _mm256_loadu_ps(chunk[8..].as_ptr())))
        }
        #[inline(always)]
        fn store(self, chunk: &mut Chunk) {
            call!({
                _mm256_storeu_ps(chunk.as_mut_ptr(), self.0);
                _mm256_storeu_ps(chunk[8..].as_mut_ptr(), self.1);
            });
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            call!(Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)))
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            call!(Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)))
        }
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            call!(Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)))
        }
        #[inline(always)]
        fn div(self, other: Self) -> Self {
            call!(Self(_mm256_div_ps(self.0, other.0), _mm256_div_ps(self.1, other.1)))
        }
        #[inline(always)]
        fn mul_add(self, factor: Self, term: Self) -> Self {
            call!(Self(_mm256_fmadd_ps(self.0, factor.0, term.0), _mm256_fmadd_ps(self.1, factor.1, term.1)))
        }
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            call!(Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)))
        }
        #[inline(always)]
        fn min(self, other: Self) -> Self {
            call!(Self(_mm256_min_ps(self.0, other.0), _mm256_min_ps(self.1, other.1)))
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            call!(Self(_mm256_sqrt_ps(self.0), _mm256_sqrt_ps(self.1)))
        }
        #[inline(always)]
        fn reciprocal(self) -> Self {
            // One step of Newton's method from 12 bits.
            let guess = call!(Self(_mm256_rcp_ps(self.0), _mm256_rcp_ps(self.1)));
            let error = Self::splat(1.0).sub(self.mul(guess));
            guess.mul_add(error, guess)
        }
        #[inline(always)]
        fn round(self) -> Self {
            const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
            call!(Self(_mm256_round_ps::<NEAREST>(self.0), _mm256_round_ps::<NEAREST>(self.1)))
        }
        #[inline(always)]
        fn scale(self, power: Self) -> Self {
            Self(scale_half(self.0, power.0), scale_half(self.1, power.1))
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            call!({
                let eight = _mm256_add_ps(self.0, self.1);
                let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
                let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
            })
        }
    }

    /// value * 2^power, by building the exponent.
    #[inline(always)]
    fn scale_half(value: __m256, power: __m256) -> __m256 {
        call!({
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(power), _mm256_set1_epi32(127));
            _mm256_mul_ps(value, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
        })
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
                let doubled = L::load(&x).add(L::load(&x));
                let [one, two, four, zero] =
                    L::sums([L::load(&x), doubled, doubled.add(doubled), doubled.sub(doubled)]);
                assert!((one - sum).abs() <= 1e-5 * x[0].abs().max(1.0) * 16.0);
                assert!((two, four, zero) == (2.0 * one, 4.0 * one, 0.0));
            }
        }
    }

    fn close(found: f32, expected: f64, tolerance: f64) {
        assert!((f64::from(found) / expected - 1.0).abs() < tolerance, "{found} for {expected}");
    }

    #[test]
    fn functions_agree_with_f64_on_all_lanes() {
        on_all_lanes(|_| run(Functions));
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
