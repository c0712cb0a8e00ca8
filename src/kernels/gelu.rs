use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::lanes::{Chunk, Job, LANES, Lanes};
use super::panel::{Pair, Single, Word};
use super::parallel::for_each_part;
use super::planes::{Planes, Storage};

/// x Phi(x), where Phi is the distribution of a standard normal (Hendrycks and Gimpel 2016, arXiv 1606.08415).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gelu {
    /// Phi itself.
    Exact,
    /// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), the same paper's approximation.
    Tanh,
    /// x / (1 + exp(-1.702 x)), the same paper's other approximation: CLIP's.
    Quick,
}

/// GELU of each number, in the words that such planes have.
pub fn forward(input: &Planes, gelu: Gelu) -> Vec<Chunk> {
    compute(input, None, gelu)
}

/// The gradient with respect to the input.
pub fn backward(input: &Planes, gradient: &Planes, gelu: Gelu) -> Vec<Chunk> {
    assert_eq!(input.values().len(), gradient.values().len(), "a gradient for each output");
    assert_eq!(input.storage, gradient.storage, "a gradient is stored as its output");
    compute(input, Some(gradient.values()), gelu)
}

fn compute(input: &Planes, gradient: Option<&[Chunk]>, gelu: Gelu) -> Vec<Chunk> {
    match input.storage {
        Storage::F32 => compute_as::<Single>(input.values(), gradient, gelu),
        Storage::Bf16 => compute_as::<Pair>(input.values(), gradient, gelu),
    }
}

fn compute_as<W: Word>(input: &[Chunk], gradient: Option<&[Chunk]>, gelu: Gelu) -> Vec<Chunk> {
    let mut output = Box::<[Chunk]>::new_uninit_slice(input.len());
    for_each_part(&mut output, PART, OPERATIONS * W::NUMBERS * input.len(), |index, output| {
        let place = index * PART..index * PART + output.len();
        let (stored, gradient) = (PhantomData::<W>, gradient.map(|all| &all[place.clone()]));
        W::run(Part { stored, gelu, input: &input[place], gradient, output });
    });
    // SAFETY: the parts are the whole, and a part writes all of its chunks.
    unsafe { output.assume_init() }.into_vec()
}

/// Chunks that are computed together.
const PART: usize = 4096;
/// About how many operations a chunk costs.
const OPERATIONS: usize = 30 * LANES;

struct Part<'a, W> {
    stored: PhantomData<W>,
    gelu: Gelu,
    input: &'a [Chunk],
    gradient: Option<&'a [Chunk]>,
    output: &'a mut [MaybeUninit<Chunk>],
}

impl<W: Word> Job for Part<'_, W> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        match self.gelu {
            Gelu::Tanh => self.compute::<L, Tanh>(),
            Gelu::Exact => self.compute::<L, Exact>(),
            Gelu::Quick => self.compute::<L, Quick>(),
        }
    }
}

impl<W: Word> Part<'_, W> {
    #[inline(always)]
    fn compute<L: Lanes, F: Share>(self) {
        match self.gradient {
            None => {
                for (output, input) in self.output.iter_mut().zip(self.input) {
                    let mut numbers = W::to_lanes(L::load(input));
                    for number in 0..W::NUMBERS {
                        numbers[number] = numbers[number].mul(F::share(numbers[number]));
                    }
                    W::of_lanes(numbers[0], numbers[1]).write(output);
                }
            }
            Some(gradient) => {
                for ((output, input), gradient) in self.output.iter_mut().zip(self.input).zip(gradient) {
                    let mut numbers = W::to_lanes(L::load(input));
                    let gradients = W::to_lanes(L::load(gradient));
                    for number in 0..W::NUMBERS {
                        let x = numbers[number];
                        let (share, slope) = F::share_and_slope(x);
                        numbers[number] = x.mul_add(slope, share).mul(gradients[number]);
                    }
                    W::of_lanes(numbers[0], numbers[1]).write(output);
                }
            }
        }
    }
}

/// The factor of x, and its derivative.
trait Share {
    fn share<L: Lanes>(x: L) -> L;
    fn share_and_slope<L: Lanes>(x: L) -> (L, L);
}

struct Tanh;
struct Exact;
struct Quick;

impl Share for Tanh {
    #[inline(always)]
    fn share<L: Lanes>(x: L) -> L {
        tanh_shares(x).0
    }

    #[inline(always)]
    fn share_and_slope<L: Lanes>(x: L) -> (L, L) {
        let (share, rest) = tanh_shares(x);
        let slope_of_argument = x.mul(x).mul_add(L::splat(3.0 * CUBE * TWICE_ROOT), L::splat(TWICE_ROOT));
        (share, share.mul(rest).mul(slope_of_argument))
    }
}

impl Share for Exact {
    #[inline(always)]
    fn share<L: Lanes>(x: L) -> L {
        normal(x).0
    }

    #[inline(always)]
    fn share_and_slope<L: Lanes>(x: L) -> (L, L) {
        normal(x)
    }
}

impl Share for Quick {
    #[inline(always)]
    fn share<L: Lanes>(x: L) -> L {
        logistic_shares(x.mul(L::splat(QUICK))).0
    }

    #[inline(always)]
    fn share_and_slope<L: Lanes>(x: L) -> (L, L) {
        let (share, rest) = logistic_shares(x.mul(L::splat(QUICK)));
        (share, share.mul(rest).mul(L::splat(QUICK)))
    }
}

/// 2 sqrt(2 / pi)
const TWICE_ROOT: f32 = 1.595_769;
const CUBE: f32 = 0.044_715;
const QUICK: f32 = 1.702;

/// s = (1 + tanh u) / 2 = 1 / (1 + e^(-2 u)) for u = sqrt(2 / pi) (x + 0.044715 x^3), and 1 - s without cancellation: it is
/// multiplied by the cube of x.
#[inline(always)]
fn tanh_shares<L: Lanes>(x: L) -> (L, L) {
    logistic_shares(x.mul(x).mul_add(L::splat(CUBE * TWICE_ROOT), L::splat(TWICE_ROOT)).mul(x))
}

/// s = 1 / (1 + e^-u), and 1 - s without cancellation.
#[inline(always)]
fn logistic_shares<L: Lanes>(u: L) -> (L, L) {
    // Beyond 60 the shares are 0 and 1 in f32's terms, and the denominator stays where `reciprocal` is exact.
    let power = L::splat(60.0).min(L::splat(-60.0).max(L::splat(0.0).sub(u))).exp();
    let share = L::splat(1.0).add(power).reciprocal();
    (share, power.mul(share))
}

/// The distribution of a standard normal, within 1e-7, and its density. Abramowitz and Stegun 1964, 26.2.17: for x >= 0,
/// Phi(x) = 1 - phi(x) (b1 t + .. + b5 t^5) with t = 1 / (1 + 0.2316419 x).
#[inline(always)]
fn normal<L: Lanes>(x: L) -> (L, L) {
    let (zero, one) = (L::splat(0.0), L::splat(1.0));
    let magnitude = x.max(zero.sub(x));
    let density = L::splat(FRAC_1_SQRT_2_PI).mul(x.mul(x).mul(L::splat(-0.5)).exp());
    let t = magnitude.mul_add(L::splat(0.231_641_9), one).reciprocal();
    let polynomial = L::splat(1.330_274_3)
        .mul_add(t, L::splat(-1.821_255_9))
        .mul_add(t, L::splat(1.781_477_9))
        .mul_add(t, L::splat(-0.356_563_8))
        .mul_add(t, L::splat(0.319_381_54))
        .mul(t);
    let tail = polynomial.mul(density);
    // The tail of the side on which x is: sign(x) is -1, 0 or 1, and where it is 0 the tail is one half.
    let far = L::splat(1e30);
    let sign = L::splat(1.0).min(L::splat(-1.0).max(x.mul(far)));
    let share = sign.mul(L::splat(0.5).sub(tail)).add(L::splat(0.5));
    (share, density)
}

const FRAC_1_SQRT_2_PI: f32 = 0.398_942_3;

#[cfg(test)]
mod tests {
    use super::super::lanes::tests::on_all_lanes;
    use super::*;

    #[test]
    fn all_forms_and_their_slopes_agree_with_f64() {
        let chunks: Vec<Chunk> = (-60..60)
            .map(|start| std::array::from_fn(|lane| (start as f32 + lane as f32 / 16.0) / 6.0))
            .chain([[0.0; LANES], [-0.0; LANES], [80.0; LANES], [-80.0; LANES], [1e-20; LANES]])
            .collect();
        let ones = vec![[1.0; LANES]; chunks.len()];
        on_all_lanes(|kind| {
            for (gelu, share) in [(Gelu::Exact, phi as fn(f64) -> f64), (Gelu::Tanh, tanh), (Gelu::Quick, quick)] {
                let values = compute_as::<Single>(&chunks, None, gelu);
                let slopes = compute_as::<Single>(&chunks, Some(&ones), gelu);
                for (x, (value, slope)) in
                    chunks.iter().flatten().zip(values.iter().flatten().zip(slopes.iter().flatten()))
                {
                    let x = f64::from(*x);
                    let step = 1e-4;
                    let difference = ((x + step) * share(x + step) - (x - step) * share(x - step)) / (2.0 * step);
                    let tolerance = 1e-6 * x.abs().max(1.0);
                    assert!((f64::from(*value) - x * share(x)).abs() < tolerance, "{kind:?} {gelu:?} {x}: {value}");
                    assert!((f64::from(*slope) - difference).abs() < 3.0 * tolerance, "{kind:?} {gelu:?} {x}: {slope}");
                }
            }
            let nan = vec![[f32::NAN; LANES]; 1];
            for gelu in [Gelu::Exact, Gelu::Tanh, Gelu::Quick] {
                let found = compute_as::<Single>(&nan, None, gelu);
                assert!(found[0].iter().all(|value| value.is_nan()), "{kind:?} {gelu:?}");
            }
        });
    }

    fn tanh(x: f64) -> f64 {
        0.5 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
    }

    fn quick(x: f64) -> f64 {
        1.0 / (1.0 + (-1.702 * x).exp())
    }

    /// By Simpson's rule from 0.
    fn phi(x: f64) -> f64 {
        let x_end = x.clamp(-12.0, 12.0);
        let steps = 4000;
        let width = x_end / f64::from(steps);
        let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
        let sum: f64 = (0..=steps)
            .map(|index| {
                let weight = if index == 0 || index == steps { 1.0 } else { f64::from(2 + 2 * (index % 2)) };
                weight * density(f64::from(index) * width)
            })
            .sum();
        0.5 + sum * width / 3.0
    }
}
