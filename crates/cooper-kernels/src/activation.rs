//! Activations in one pass over memory: our own for f32 on a CPU, candle's on other devices.

use candle_core::{Result, Tensor};

use super::autograd::{
    is_cpu_f32, needs_own_backward, with_backward1, with_backward2, with_slices,
};
use super::simd::{self, dispatch};

/// `exp` to within 2 units in the last place on [−87, 88], in a form that compilers turn into vector code.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // exp(x) = 2^n · exp(r), |r| ≤ ln 2 / 2; Cephes' polynomial.
    const ROUND: f32 = 12_582_912.0; // 1.5·2²³: adding it leaves the nearest integer in the low bits
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_6e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    let power = (shifted
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .wrapping_add(127))
        << 23;
    p * f32::from_bits(power)
}

/// 1 / (1 + exp(−x)).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `silu(gate) · up`, the inside of SwiGLU; all the same shape.
///
/// # Errors
/// If shapes differ.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if !is_cpu_f32(gate) || !is_cpu_f32(up) {
        return gate.silu()? * up;
    }
    let value = with_slices([gate, up], |[gate, up]| {
        let mut value = gate.to_vec();
        simd::for_each_part(&mut value, |start, part| {
            dispatch!({
                for (g, u) in part.iter_mut().zip(&up[start..]) {
                    *g = *g * sigmoid(*g) * u;
                }
            });
        });
        value
    })?;
    let value = Tensor::from_vec(value, gate.shape(), gate.device())?;
    if !needs_own_backward(&[gate, up]) {
        return Ok(value);
    }
    with_backward2([gate, up], value, |[gate, up], grad| {
        let (dgate, dup) = with_slices([gate, up, grad], |[gate, up, grad]| {
            let (mut dgate, mut dup) = (vec![0f32; gate.len()], vec![0f32; gate.len()]);
            for i in 0..gate.len() {
                let s = sigmoid(gate[i]);
                dgate[i] = grad[i] * up[i] * s * (1.0 + gate[i] * (1.0 - s));
                dup[i] = grad[i] * gate[i] * s;
            }
            (dgate, dup)
        })?;
        Ok([
            Tensor::from_vec(dgate, gate.shape(), gate.device())?,
            Tensor::from_vec(dup, gate.shape(), gate.device())?,
        ])
    })
}

/// `x · sigmoid(x)`.
///
/// # Errors
/// If the device fails.
pub fn silu(xs: &Tensor) -> Result<Tensor> {
    if !is_cpu_f32(xs) {
        return xs.silu();
    }
    map(
        xs,
        |x| x * sigmoid(x),
        |x| {
            let s = sigmoid(x);
            s * (1.0 + x * (1.0 - s))
        },
    )
}

/// GELU in its tanh form.
///
/// # Errors
/// If the device fails.
pub fn gelu(xs: &Tensor) -> Result<Tensor> {
    if !is_cpu_f32(xs) {
        return xs.gelu();
    }
    // (1 + tanh(u))/2 = sigmoid(2u)
    const A: f32 = 2.0 * 0.797_884_6;
    const B: f32 = 0.044_715;
    map(
        xs,
        |x| x * sigmoid(A * (x + B * x * x * x)),
        |x| {
            let s = sigmoid(A * (x + B * x * x * x));
            s + x * s * (1.0 - s) * A * (1.0 + 3.0 * B * x * x)
        },
    )
}

/// Map each number by `f`; `derivative` is that of `f`.
fn map(
    xs: &Tensor,
    f: impl Fn(f32) -> f32 + Sync,
    derivative: impl Fn(f32) -> f32 + Send + Sync + 'static,
) -> Result<Tensor> {
    let value = with_slices([xs], |[xs]| {
        let mut value = xs.to_vec();
        simd::for_each_part(&mut value, |_, part| {
            dispatch!(part.iter_mut().for_each(|x| *x = f(*x)));
        });
        value
    })?;
    let value = Tensor::from_vec(value, xs.shape(), xs.device())?;
    if !xs.track_op() {
        return Ok(value);
    }
    with_backward1(xs, value, move |[xs], grad| {
        let dx = with_slices([xs, grad], |[xs, grad]| {
            let pairs = xs.iter().zip(grad);
            pairs.map(|(x, g)| g * derivative(*x)).collect::<Vec<_>>()
        })?;
        Ok([Tensor::from_vec(dx, xs.shape(), xs.device())?])
    })
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn exp_is_exact_to_a_few_units_in_the_last_place() {
        let mut worst = 0f64;
        for i in -870_000..880_000 {
            let x = i as f32 * 1e-4;
            let expected = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - expected).abs() / expected);
        }
        assert!(worst < 3e-7, "{worst}");
    }
}
