use super::{Chunk, Job, LANES, Lanes};

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
