//! Nearest-neighbour upsampling by 2, with a backward of our own.

use candle_core::{Result, Tensor};

use super::autograd::{needs_own_backward, with_backward1, with_slices};

/// Repeat each pixel as a square of four (b, c, hh, ww) → (b, c, 2·hh, 2·ww).
///
/// # Errors
/// If the device fails.
pub fn upsample_2x(xs: &Tensor) -> Result<Tensor> {
    let (_, _, hh, ww) = xs.dims4()?;
    let value = xs.detach().upsample_nearest2d(2 * hh, 2 * ww)?;
    if !needs_own_backward(&[xs]) {
        return xs.upsample_nearest2d(2 * hh, 2 * ww);
    }
    with_backward1(xs, value, move |[xs], grad| {
        let sums = with_slices([grad], |[grad]| {
            let mut sums = Vec::with_capacity(grad.len() / 4);
            for rows in grad.chunks_exact(4 * ww) {
                let (upper, lower) = rows.split_at(2 * ww);
                let squares = upper.chunks_exact(2).zip(lower.chunks_exact(2));
                sums.extend(squares.map(|(u, l)| u[0] + u[1] + l[0] + l[1]));
            }
            sums
        })?;
        Ok([Tensor::from_vec(sums, xs.shape(), xs.device())?])
    })
}
