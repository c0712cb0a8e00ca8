//! The lanes of x86-64.

use std::arch::x86_64::*;

use super::{Chunk, Job, LANES, Lanes, pairs};

/// Values exist only inside `run_avx512` and, with `BF16`, `run_avx512_bf16`, which run where the processor has AVX-512 and
/// AVX512-BF16.
#[derive(Clone, Copy)]
pub struct Avx512<const BF16: bool>(__m512);

/// What differs with AVX512-BF16. Without it no run multiplies pairs: only tests compare the two.
pub trait Bf16 {
    fn call<J: Job>(job: J);
    fn paired(self, other: Self) -> Self;
    fn neighbours_paired(self, other: Self) -> Self;
    fn neighbours_halves_paired(self, other: Self) -> [Self; 2]
    where
        Self: Sized;
    fn pairs_mul_add(self, factor: Self, term: Self) -> Self;
}

/// Values exist only inside `run_avx2`, which runs where the processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub struct Avx2(__m256, __m256);

/// Lanes of 16 bits: the first of the lower half, the first of the upper half, the second of the lower half, ..
const ALTERNATELY: __m512i = {
    let mut lanes = [0u16; 32];
    let mut lane = 0;
    while lane < 32 {
        lanes[lane] = (lane / 2 + lane % 2 * 16) as u16;
        lane += 1;
    }
    // SAFETY: both are 64 bytes, of any value.
    unsafe { std::mem::transmute::<[u16; 32], __m512i>(lanes) }
};

/// The bits of the upper half of a word.
const UPPER: i32 = !0xffff;

/// Lanes of 16 bits of two registers: every second one, from the first or the second on.
const LOWER_HALVES: __m512i = every_second(0);
const UPPER_HALVES: __m512i = every_second(1);

const fn every_second(first: u16) -> __m512i {
    let mut lanes = [0u16; 32];
    let mut lane = 0;
    while lane < 32 {
        lanes[lane] = 2 * lane as u16 + first;
        lane += 1;
    }
    // SAFETY: both are 64 bytes, of any value.
    unsafe { std::mem::transmute::<[u16; 32], __m512i>(lanes) }
}

/// Calls functions that only need their instructions to exist.
macro_rules! call {
    ($($call:tt)*) => {{
        // SAFETY: these lanes are only used where the processor has their instructions (see the type), and the
        // pointers come from references to whole chunks.
        unsafe { $($call)* }
    }};
}

impl Bf16 for Avx512<false> {
    #[inline(always)]
    fn call<J: Job>(job: J) {
        call!(super::run_avx512(job));
    }
    #[inline(always)]
    fn paired(self, other: Self) -> Self {
        pairs::paired(self, other)
    }
    #[inline(always)]
    fn neighbours_paired(self, other: Self) -> Self {
        pairs::neighbours_paired(self, other)
    }
    #[inline(always)]
    fn neighbours_halves_paired(self, other: Self) -> [Self; 2] {
        pairs::neighbours_halves_paired(self, other)
    }
    #[inline(always)]
    fn pairs_mul_add(self, factor: Self, term: Self) -> Self {
        pairs::mul_add(self, factor, term)
    }
}

impl Bf16 for Avx512<true> {
    #[inline(always)]
    fn call<J: Job>(job: J) {
        call!(super::run_avx512_bf16(job));
    }
    #[inline(always)]
    fn paired(self, other: Self) -> Self {
        call!({
            // The second's numbers in the upper half of the register, then each beside its own of the first.
            let both = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(other.0, self.0));
            Self(_mm512_castsi512_ps(_mm512_permutexvar_epi16(ALTERNATELY, both)))
        })
    }
    #[inline(always)]
    fn neighbours_paired(self, other: Self) -> Self {
        call!(Self(std::mem::transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(other.0, self.0))))
    }
    #[inline(always)]
    fn neighbours_halves_paired(self, other: Self) -> [Self; 2] {
        call!({
            let (first, second) = (_mm512_castps_si512(self.0), _mm512_castps_si512(other.0));
            let lower = _mm512_permutex2var_epi16(first, LOWER_HALVES, second);
            let upper = _mm512_permutex2var_epi16(first, UPPER_HALVES, second);
            [Self(_mm512_castsi512_ps(lower)), Self(_mm512_castsi512_ps(upper))]
        })
    }
    #[inline(always)]
    fn pairs_mul_add(self, factor: Self, term: Self) -> Self {
        call!({
            let [words, factors] = [self.0, factor.0].map(|words| std::mem::transmute::<__m512, __m512bh>(words));
            Self(_mm512_dpbf16_ps(term.0, words, factors))
        })
    }
}

impl<const BF16: bool> Lanes for Avx512<BF16>
where
    Self: Bf16,
{
    const MANY_REGISTERS: bool = true;

    #[inline(always)]
    fn call<J: Job>(job: J) {
        <Self as Bf16>::call(job);
    }
    #[inline(always)]
    fn paired(self, other: Self) -> Self {
        Bf16::paired(self, other)
    }
    #[inline(always)]
    fn neighbours_paired(self, other: Self) -> Self {
        Bf16::neighbours_paired(self, other)
    }
    #[inline(always)]
    fn halves(self) -> [Self; 2] {
        call!({
            let words = _mm512_castps_si512(self.0);
            let lower = _mm512_slli_epi32::<16>(words);
            let upper = _mm512_and_si512(words, _mm512_set1_epi32(UPPER));
            [Self(_mm512_castsi512_ps(lower)), Self(_mm512_castsi512_ps(upper))]
        })
    }
    #[inline(always)]
    fn halves_paired(self, other: Self) -> [Self; 2] {
        call!({
            let (first, second) = (_mm512_castps_si512(self.0), _mm512_castps_si512(other.0));
            let upper = _mm512_set1_epi32(UPPER);
            let lower_halves = _mm512_or_si512(_mm512_andnot_si512(upper, first), _mm512_slli_epi32::<16>(second));
            let upper_halves = _mm512_or_si512(_mm512_srli_epi32::<16>(first), _mm512_and_si512(upper, second));
            [Self(_mm512_castsi512_ps(lower_halves)), Self(_mm512_castsi512_ps(upper_halves))]
        })
    }
    #[inline(always)]
    fn neighbours_halves_paired(self, other: Self) -> [Self; 2] {
        Bf16::neighbours_halves_paired(self, other)
    }
    #[inline(always)]
    fn pairs_mul_add(self, factor: Self, term: Self) -> Self {
        Bf16::pairs_mul_add(self, factor, term)
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
    fn turned(mut rows: [Self; LANES]) -> [Self; LANES] {
        // Squares of 4 x 4 within each 128 bits, then those squares among each other.
        for first in [0, 4, 8, 12] {
            let [a, b, c, d] = [rows[first].0, rows[first + 1].0, rows[first + 2].0, rows[first + 3].0];
            call!({
                let (ab_low, ab_high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                let (cd_low, cd_high) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
                let [ab_low, ab_high] = [_mm512_castps_pd(ab_low), _mm512_castps_pd(ab_high)];
                let [cd_low, cd_high] = [_mm512_castps_pd(cd_low), _mm512_castps_pd(cd_high)];
                rows[first] = Self(_mm512_castpd_ps(_mm512_unpacklo_pd(ab_low, cd_low)));
                rows[first + 1] = Self(_mm512_castpd_ps(_mm512_unpackhi_pd(ab_low, cd_low)));
                rows[first + 2] = Self(_mm512_castpd_ps(_mm512_unpacklo_pd(ab_high, cd_high)));
                rows[first + 3] = Self(_mm512_castpd_ps(_mm512_unpackhi_pd(ab_high, cd_high)));
            });
        }
        const EVEN: i32 = 0b10_00_10_00;
        const ODD: i32 = 0b11_01_11_01;
        for j in 0..4 {
            let [a, b, c, d] = [rows[j].0, rows[4 + j].0, rows[8 + j].0, rows[12 + j].0];
            call!({
                let (ab_even, ab_odd) = (_mm512_shuffle_f32x4::<EVEN>(a, b), _mm512_shuffle_f32x4::<ODD>(a, b));
                let (cd_even, cd_odd) = (_mm512_shuffle_f32x4::<EVEN>(c, d), _mm512_shuffle_f32x4::<ODD>(c, d));
                rows[j] = Self(_mm512_shuffle_f32x4::<EVEN>(ab_even, cd_even));
                rows[4 + j] = Self(_mm512_shuffle_f32x4::<EVEN>(ab_odd, cd_odd));
                rows[8 + j] = Self(_mm512_shuffle_f32x4::<ODD>(ab_even, cd_even));
                rows[12 + j] = Self(_mm512_shuffle_f32x4::<ODD>(ab_odd, cd_odd));
            });
        }
        rows
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
