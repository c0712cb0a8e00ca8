//! Winograd's minimal filtering of one line, F(S - 2, 3): S values of the input, three of the kernel, S - 2 of the output; S is 4 or 6 (Lavin and
//! Gray 2016, arXiv 1509.09308, sections 4.1 and 4.3). A line of fewer than S values is the first of an array of S.

// Numbers are made one by one: a closure, as `map` would take one, is compiled without the instructions of the function that it is in.

use crate::kernels::lanes::Lanes;

/// Where the polynomials of F(4, 3) are evaluated: 0, plus and minus these, and infinity. All numbers made of them but the inverses are exact in
/// f32. Near these two the errors of rounding what is transformed are smallest: with 1 and 2 (Lavin and Gray) they are 2.1 times as large.
const NEAR: f32 = 0.625;
const FAR: f32 = 1.5;

/// The inverse of the product of the differences to the other points, of [`NEAR`] and of [`FAR`].
const OF_NEAR: f32 = 1.0 / (2.0 * NEAR * NEAR * (NEAR * NEAR - FAR * FAR));
const OF_FAR: f32 = 1.0 / (2.0 * FAR * FAR * (FAR * FAR - NEAR * NEAR));

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
        let (product, minus_sum) = (L::splat(NEAR * NEAR * FAR * FAR), L::splat(-NEAR * NEAR - FAR * FAR));
        line[0] = d[0].mul_add(product, d[2].mul_add(minus_sum, d[4]));
        let minus_square = L::splat(-FAR * FAR);
        let (even, odd) = (d[2].mul_add(minus_square, d[4]), d[1].mul_add(minus_square, d[3]));
        line[1] = odd.mul_add(L::splat(NEAR), even);
        line[2] = odd.mul_add(L::splat(-NEAR), even);
        let minus_square = L::splat(-NEAR * NEAR);
        let (even, odd) = (d[2].mul_add(minus_square, d[4]), d[1].mul_add(minus_square, d[3]));
        line[3] = odd.mul_add(L::splat(FAR), even);
        line[4] = odd.mul_add(L::splat(-FAR), even);
        line[5] = d[1].mul_add(product, d[3].mul_add(minus_sum, d[5]));
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
        let (near, far) = (L::splat(NEAR), L::splat(FAR));
        line[1] = far_difference.mul_add(far, difference.mul(near));
        let (near, far) = (L::splat(NEAR * NEAR), L::splat(FAR * FAR));
        line[2] = far_sum.mul_add(far, sum.mul(near));
        let (near, far) = (L::splat(NEAR * NEAR * NEAR), L::splat(FAR * FAR * FAR));
        line[3] = far_difference.mul_add(far, difference.mul_add(near, m[5]));
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
        line[0] = y[0];
        let square = L::splat(NEAR * NEAR);
        let (even, odd) = (y[2].mul_add(square, y[0]), y[3].mul_add(square, y[1]));
        line[1] = odd.mul_add(L::splat(NEAR), even);
        line[2] = odd.mul_add(L::splat(-NEAR), even);
        let square = L::splat(FAR * FAR);
        let (even, odd) = (y[2].mul_add(square, y[0]), y[3].mul_add(square, y[1]));
        line[3] = odd.mul_add(L::splat(FAR), even);
        line[4] = odd.mul_add(L::splat(-FAR), even);
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
        line[0] = a.mul(L::splat(1.0 / (NEAR * NEAR * FAR * FAR)));
        let (even, odd) = (c.mul_add(L::splat(NEAR * NEAR), a), b.mul(L::splat(NEAR)));
        line[1] = even.add(odd).mul(L::splat(OF_NEAR));
        line[2] = even.sub(odd).mul(L::splat(OF_NEAR));
        let (even, odd) = (c.mul_add(L::splat(FAR * FAR), a), b.mul(L::splat(FAR)));
        line[3] = even.add(odd).mul(L::splat(OF_FAR));
        line[4] = even.sub(odd).mul(L::splat(OF_FAR));
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
    let (far_sum, far_difference) = (u[3].add(u[4]), u[3].sub(u[4]));
    let (sum, difference) = (sum.mul(L::splat(OF_NEAR)), difference.mul(L::splat(OF_NEAR)));
    let (far_sum, far_difference) = (far_sum.mul(L::splat(OF_FAR)), far_difference.mul(L::splat(OF_FAR)));
    [
        u[0].mul_add(L::splat(1.0 / (NEAR * NEAR * FAR * FAR)), sum.add(far_sum)),
        far_difference.mul_add(L::splat(FAR), difference.mul(L::splat(NEAR))),
        far_sum.mul_add(L::splat(FAR * FAR), sum.mul_add(L::splat(NEAR * NEAR), u[5])),
    ]
}
