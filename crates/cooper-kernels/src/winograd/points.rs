//! The small matrices of F(4×4, 3×3) on many numbers side by side, along one side of a tile.
//!
//! They belong to the points 0, ±√½, ±√2 and ∞, whose rounding errors are half those of 0, ±1, ±2, ∞.

use std::f32::consts::{FRAC_1_SQRT_2 as NEAR, SQRT_2 as FAR};

use super::sizes::{KERNELS_AT_ONCE, SIDE, TILE};

/// The square of the nearer points.
const HALF: f32 = 0.5;

/// Cut slices to one length, one by one. Without it the compiler checks bounds in each loop and does the last numbers one by
/// one; it does not see through `map` of an array.
macro_rules! cut_to {
    ($n:expr; $($to:ident)*; $($from:ident)*) => {
        $(let $to = &mut $to[..$n];)*
        $(let $from = &$from[..$n];)*
    };
}

/// G of many threes side by side.
#[inline(always)]
pub(super) fn weight_points([g0, g1, g2]: [&[f32; KERNELS_AT_ONCE]; 3], to: [&mut [f32]; SIDE]) {
    let [t0, t1, t2, t3, t4, t5] = to;
    cut_to!(KERNELS_AT_ONCE; t0 t1 t2 t3 t4 t5;);
    for j in 0..KERNELS_AT_ONCE {
        let (near, near_odd) = (g0[j] + HALF * g2[j], NEAR * g1[j]);
        let (far, far_odd) = (g0[j] + 2.0 * g2[j], FAR * g1[j]);
        t0[j] = g0[j];
        t1[j] = (near + near_odd) * (-2.0 / 3.0);
        t2[j] = (near - near_odd) * (-2.0 / 3.0);
        t3[j] = (far + far_odd) * (1.0 / 6.0);
        t4[j] = (far - far_odd) * (1.0 / 6.0);
        t5[j] = g2[j];
    }
}

/// Bᵀ along six lines.
#[inline(always)]
pub(super) fn input_transform(lines: &[f32], into: &mut [f32], width: usize) {
    let line = |i: usize| &lines[i * width..][..width];
    let d = [line(0), line(1), line(2), line(3), line(4), line(5)];
    let mut into = into.chunks_exact_mut(width);
    let to = std::array::from_fn(|_| into.next().unwrap_or_default());
    input_points(d, to);
}

/// Bᵀ of many sixes side by side.
#[inline(always)]
pub(super) fn input_points(d: [&[f32]; SIDE], to: [&mut [f32]; SIDE]) {
    let [d0, d1, d2, d3, d4, d5] = d;
    let [t0, t1, t2, t3, t4, t5] = to;
    let n = d0.len();
    cut_to!(n; t0 t1 t2 t3 t4 t5; d1 d2 d3 d4 d5);
    for j in 0..n {
        let (near, near_odd) = (d4[j] - 2.0 * d2[j], NEAR * d3[j] - FAR * d1[j]);
        let (far, far_odd) = (d4[j] - HALF * d2[j], FAR * d3[j] - NEAR * d1[j]);
        t0[j] = d0[j] - 2.5 * d2[j] + d4[j];
        t1[j] = near + near_odd;
        t2[j] = near - near_odd;
        t3[j] = far + far_odd;
        t4[j] = far - far_odd;
        t5[j] = d1[j] - 2.5 * d3[j] + d5[j];
    }
}

/// Aᵀ of many sixes side by side.
#[inline(always)]
pub(super) fn output_points(m: [&[f32]; SIDE], to: [&mut [f32]; TILE]) {
    let [m0, m1, m2, m3, m4, m5] = m;
    let [t0, t1, t2, t3] = to;
    let n = m0.len();
    cut_to!(n; t0 t1 t2 t3; m1 m2 m3 m4 m5);
    for j in 0..n {
        let (near, near_odd) = (m1[j] + m2[j], NEAR * (m1[j] - m2[j]));
        let (far, far_odd) = (m3[j] + m4[j], FAR * (m3[j] - m4[j]));
        t0[j] = m0[j] + near + far;
        t1[j] = near_odd + far_odd;
        t2[j] = HALF * near + 2.0 * far;
        t3[j] = HALF * near_odd + 2.0 * far_odd + m5[j];
    }
}

/// Split a line into four phases: (4, n) of n groups of four.
#[inline(always)]
pub(super) fn deinterleave(line: &[f32], phases: &mut [f32], n: usize) {
    let (p0, rest) = phases.split_at_mut(n);
    let (p1, rest) = rest.split_at_mut(n);
    let (p2, p3) = rest.split_at_mut(n);
    for (j, four) in line.chunks_exact(TILE).take(n).enumerate() {
        p0[j] = four[0];
        p1[j] = four[1];
        p2[j] = four[2];
        p3[j] = four[3];
    }
}

/// The inverse of [`deinterleave`], with a bias; numbers beyond `line` are dropped. `ADD`: add to the line.
#[inline(always)]
pub(super) fn interleave<const ADD: bool>(phases: &[f32], line: &mut [f32], n: usize, bias: f32) {
    let p = |k: usize| &phases[k * n..][..n];
    let (p0, p1, p2, p3) = (p(0), p(1), p(2), p(3));
    let whole = line.len() / TILE;
    let (fours, rest) = line.split_at_mut(whole * TILE);
    let before = |x: f32| if ADD { x } else { 0.0 };
    for (j, four) in fours.chunks_exact_mut(TILE).enumerate() {
        four[0] = p0[j] + bias + before(four[0]);
        four[1] = p1[j] + bias + before(four[1]);
        four[2] = p2[j] + bias + before(four[2]);
        four[3] = p3[j] + bias + before(four[3]);
    }
    for (k, out) in rest.iter_mut().enumerate() {
        *out = p(k)[whole] + bias + before(*out);
    }
}
