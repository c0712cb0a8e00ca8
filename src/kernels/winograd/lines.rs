//! Winograd's minimal filtering of one line, F(S - 2, 3): S values of the input, three of the kernel, S - 2 of the output; S is 4 or 6 (Lavin and
//! Gray 2016, arXiv 1509.09308, sections 4.1 and 4.3). A line of fewer than S values is the first of an array of S.

// Numbers are made one by one: a closure, as `map` would take one, is compiled without the instructions of the function that it is in.

use crate::kernels::lanes::Lanes;

/// B^T d of S values of the input.
#[inline(always)]
pub fn input_line<L: Lanes, const S: usize>(d: [L; S]) -> [L; S] {
    let mut line = d;
    if S == 4 {
        line[0] = d[0].sub(d[2]);
        line[1] = d[1].add(d[2]);
        line[2] = d[2].sub(d[1]);
        line[3] = d[1].sub(d[3]);
    } else {
        let (four, minus_four, minus_five) = (L::splat(4.0), L::splat(-4.0), L::splat(-5.0));
        let (two, minus_two) = (L::splat(2.0), L::splat(-2.0));
        line[0] = d[0].mul_add(four, d[2].mul_add(minus_five, d[4]));
        let (even, odd) = (d[2].mul_add(minus_four, d[4]), d[1].mul_add(minus_four, d[3]));
        line[1] = even.add(odd);
        line[2] = even.sub(odd);
        let (even, odd) = (d[4].sub(d[2]), d[3].sub(d[1]));
        line[3] = odd.mul_add(two, even);
        line[4] = odd.mul_add(minus_two, even);
        line[5] = d[1].mul_add(four, d[3].mul_add(minus_five, d[5]));
    }
    line
}

/// A^T m of S products: S - 2 values of the output.
#[inline(always)]
pub fn output_line<L: Lanes, const S: usize>(m: [L; S]) -> [L; S] {
    let mut line = m;
    if S == 4 {
        line[0] = m[0].add(m[1]).add(m[2]);
        line[1] = m[1].sub(m[2]).sub(m[3]);
    } else {
        let (sum, difference) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (far_sum, far_difference) = (m[3].add(m[4]), m[3].sub(m[4]));
        line[0] = m[0].add(sum).add(far_sum);
        line[1] = far_difference.mul_add(L::splat(2.0), difference);
        line[2] = far_sum.mul_add(L::splat(4.0), sum);
        line[3] = far_difference.mul_add(L::splat(8.0), difference).add(m[5]);
    }
    line
}

/// A y of S - 2 values of the output's gradient: S values.
#[inline(always)]
pub fn gradient_line<L: Lanes, const S: usize>(y: [L; S]) -> [L; S] {
    let mut line = y;
    if S == 4 {
        line[0] = y[0];
        line[1] = y[0].add(y[1]);
        line[2] = y[0].sub(y[1]);
        line[3] = L::splat(0.0).sub(y[1]);
    } else {
        let (even, odd) = (y[0].add(y[2]), y[1].add(y[3]));
        line[0] = y[0];
        line[1] = even.add(odd);
        line[2] = even.sub(odd);
        let even = y[2].mul_add(L::splat(4.0), y[0]);
        let odd = y[3].mul_add(L::splat(8.0), y[1].add(y[1]));
        line[3] = even.add(odd);
        line[4] = even.sub(odd);
        line[5] = y[3];
    }
    line
}

/// G g of three values of the kernel: S values.
#[inline(always)]
pub fn kernel_line<L: Lanes, const S: usize>([a, b, c]: [L; 3]) -> [L; S] {
    let mut line = [a; S];
    let sum = a.add(c);
    if S == 4 {
        let half = L::splat(0.5);
        line[1] = sum.add(b).mul(half);
        line[2] = sum.sub(b).mul(half);
        line[3] = c;
    } else {
        let minus_sixth = L::splat(-1.0 / 6.0);
        line[0] = a.mul(L::splat(0.25));
        line[1] = sum.add(b).mul(minus_sixth);
        line[2] = sum.sub(b).mul(minus_sixth);
        let (even, odd) = (c.mul_add(L::splat(4.0), a), b.add(b));
        line[3] = even.add(odd).mul(L::splat(1.0 / 24.0));
        line[4] = even.sub(odd).mul(L::splat(1.0 / 24.0));
        line[5] = c;
    }
    line
}

/// G^T u of S values of the transformed kernel's gradient: three.
#[inline(always)]
pub fn kernel_gradient_line<L: Lanes, const S: usize>(u: [L; S]) -> [L; 3] {
    let (sum, difference) = (u[1].add(u[2]), u[1].sub(u[2]));
    if S == 4 {
        let half = L::splat(0.5);
        return [sum.mul_add(half, u[0]), difference.mul(half), sum.mul_add(half, u[3])];
    }
    let (minus_sixth, sixth, twelfth) = (L::splat(-1.0 / 6.0), L::splat(1.0 / 6.0), L::splat(1.0 / 12.0));
    let (far_sum, far_difference) = (u[3].add(u[4]), u[3].sub(u[4]));
    let shared = sum.mul(minus_sixth);
    [
        far_sum.mul_add(L::splat(1.0 / 24.0), u[0].mul_add(L::splat(0.25), shared)),
        far_difference.mul_add(twelfth, difference.mul(minus_sixth)),
        far_sum.mul_add(sixth, shared).add(u[5]),
    ]
}
