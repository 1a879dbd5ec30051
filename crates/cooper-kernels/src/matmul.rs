//! Matmul of row-major matrices in slices, on one thread.

use gemm::{Parallelism, gemm};

/// out (m, n) = a (m, k) · b (k, n).
///
/// # Panics
/// If a slice is not as long as its matrix.
pub fn matmul(out: &mut [f32], a: &[f32], b: &[f32], (m, k, n): (usize, usize, usize)) {
    assert_eq!((out.len(), a.len(), b.len()), (m * n, m * k, k * n));
    let [k_step, n_step] = [k, n].map(|n| n as isize);
    // Sound: the pointers are to slices that hold exactly these matrices, and only `out` is written.
    #[allow(unsafe_code)]
    unsafe {
        gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n_step,
            false,
            a.as_ptr(),
            1,
            k_step,
            b.as_ptr(),
            1,
            n_step,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matmul_by_hand() {
        let mut out = [f32::NAN; 4];
        matmul(
            &mut out,
            &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            &[1.0, 0.0, 0.0, 1.0, 1.0, -1.0],
            (2, 3, 2),
        );
        assert_eq!(out, [4.0, -1.0, 10.0, -1.0]);
    }
}
