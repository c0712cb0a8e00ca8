//! Two bf16 in the 32 bits of one f32: a word, which memory and registers hold like any number.

use super::{LANES, Lanes};

/// [`Lanes::paired`] on any lanes.
#[inline(always)]
pub fn paired<L: Lanes>(lower: L, upper: L) -> L {
    let mut numbers = [[0.0; LANES]; 2];
    lower.store(&mut numbers[0]);
    upper.store(&mut numbers[1]);
    let mut words = [0.0; LANES];
    for lane in 0..LANES {
        words[lane] = word(numbers[0][lane], numbers[1][lane]);
    }
    L::load(&words)
}

/// [`Lanes::neighbours_paired`] on any lanes.
#[inline(always)]
pub fn neighbours_paired<L: Lanes>(first: L, second: L) -> L {
    let mut numbers = [[0.0; LANES]; 2];
    first.store(&mut numbers[0]);
    second.store(&mut numbers[1]);
    let numbers = numbers.as_flattened();
    let mut words = [0.0; LANES];
    for lane in 0..LANES {
        words[lane] = word(numbers[2 * lane], numbers[2 * lane + 1]);
    }
    L::load(&words)
}

/// [`Lanes::pairs_mul_add`] on any lanes.
#[inline(always)]
pub fn mul_add<L: Lanes>(words: L, factor: L, term: L) -> L {
    let ([lower, upper], [other_lower, other_upper]) = (halves(words), halves(factor));
    lower.mul_add(other_lower, upper.mul_add(other_upper, term))
}

/// [`Lanes::halves_paired`] on any lanes.
#[inline(always)]
pub fn halves_paired<L: Lanes>(first: L, second: L) -> [L; 2] {
    let ([lower, upper], [next_lower, next_upper]) = (halves(first), halves(second));
    [paired(lower, next_lower), paired(upper, next_upper)]
}

/// [`Lanes::neighbours_halves_paired`] on any lanes.
#[inline(always)]
pub fn neighbours_halves_paired<L: Lanes>(first: L, second: L) -> [L; 2] {
    let ([lower, upper], [next_lower, next_upper]) = (halves(first), halves(second));
    [neighbours_paired(lower, next_lower), neighbours_paired(upper, next_upper)]
}

/// [`Lanes::halves`] on any lanes.
#[inline(always)]
pub fn halves<L: Lanes>(words: L) -> [L; 2] {
    let mut lower = [0.0; LANES];
    words.store(&mut lower);
    let mut upper = lower;
    for lane in 0..LANES {
        (lower[lane], upper[lane]) = numbers(lower[lane]);
    }
    [L::load(&lower), L::load(&upper)]
}

/// The word of two numbers, each rounded to the nearest bf16, ties to even: the first in its lower half.
#[inline(always)]
fn word(lower: f32, upper: f32) -> f32 {
    f32::from_bits(rounded(lower) >> 16 | rounded(upper))
}

/// What the halves of a word stand for.
#[inline(always)]
fn numbers(word: f32) -> (f32, f32) {
    let bits = word.to_bits();
    (f32::from_bits(bits << 16), f32::from_bits(bits & UPPER))
}

const UPPER: u32 = 0xffff_0000;

/// The bits of the nearest bf16, in the upper half.
#[inline(always)]
fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    if value.is_nan() {
        // Without the bit, its payload could be rounded away.
        return (bits | 0x0040_0000) & UPPER;
    }
    (bits + 0x7fff + (bits >> 16 & 1)) & UPPER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_ties_to_even() {
        let rounded = |value: f32| numbers(word(value, -value));
        for (value, expected) in [
            (1.0, 1.0),
            // A bf16 has 8 bits: 1 + 1/128 is the next after 1.
            (1.0 + 1.0 / 256.0, 1.0),
            (1.0 + 3.0 / 256.0, 1.0 + 2.0 / 128.0),
            (1.0 + 1.1 / 256.0, 1.0 + 1.0 / 128.0),
            (f32::MAX, f32::INFINITY),
            (0.0, 0.0),
        ] {
            assert_eq!(rounded(value), (expected, -expected), "{value}");
        }
        let (lower, upper) = rounded(f32::NAN);
        assert!(lower.is_nan() && upper.is_nan());
    }
}
