//! Split rows of tokens (n, h·d), as projections give them, into heads (h, n, d) for attention, and merge them again.
//!
//! On a CPU in f32, splitting norms, rotates and rounds the heads in the same pass. With gradients and on other devices these
//! are separate operations.

use std::ops::Range;

use candle_core::{DType, Result, Tensor, WithDType, bail};
use half::bf16;

use super::autograd::{is_cpu_f32, with_all_slices};
use super::norm::{RmsNorm, inverse_rms};
use super::rope::rotate;
use super::simd::dispatch;
use super::threads::parallel_vec;

/// A run of tokens.
#[derive(Clone, Debug)]
pub struct TokenRows<'a> {
    /// Their heads side by side (n, h·d).
    pub rows: Tensor,
    /// The norm of each head.
    pub norm: Option<&'a RmsNorm>,
}

/// Heads in a part of the work.
const HEADS: usize = 64;

/// Split runs of tokens into heads (h, n, d): normed, rotated by cosines and sines (n, d/2), and in `dtype` (none: that of the
/// rows).
///
/// # Errors
/// If shapes or dtypes do not fit.
pub fn split_heads(
    runs: &[TokenRows],
    d: usize,
    angles: Option<&(Tensor, Tensor)>,
    dtype: Option<DType>,
) -> Result<Tensor> {
    let Some(first) = runs.first() else {
        bail!("attention heads: expected tokens, got none");
    };
    let dtype = dtype.unwrap_or(first.rows.dtype());
    let is_plain = |xs: &Tensor| is_cpu_f32(xs) && !xs.track_op();
    let is_fused = |run: &TokenRows| {
        let weight = run.norm.map(RmsNorm::weight);
        is_plain(&run.rows) && weight.is_none_or(is_plain)
    };
    match dtype {
        DType::F32 if runs.iter().all(is_fused) => split_fused::<f32>(runs, d, angles),
        DType::BF16 if runs.iter().all(is_fused) => split_fused::<bf16>(runs, d, angles),
        _ => split_unfused(runs, d, angles)?.to_dtype(dtype),
    }
}

fn split_unfused(
    runs: &[TokenRows],
    d: usize,
    angles: Option<&(Tensor, Tensor)>,
) -> Result<Tensor> {
    let normed = runs.iter().map(|run| {
        let (n, width) = run.rows.dims2()?;
        let rows = run.rows.reshape((n, width / d, d))?;
        match run.norm {
            // In f32, as upstream does for generated images.
            Some(norm) => norm.forward(&rows.to_dtype(DType::F32)?),
            None => Ok(rows),
        }
    });
    let heads = Tensor::cat(&normed.collect::<Result<Vec<_>>>()?, 0)?.transpose(0, 1)?;
    match angles {
        Some((cos, sin)) => rotate(&heads, cos, sin),
        None => heads.contiguous(),
    }
}

/// Conversion from f32, rounding to the nearest.
trait Narrow: WithDType + bytemuck::Zeroable {
    fn narrow(x: f32) -> Self;
}

impl Narrow for f32 {
    #[inline(always)]
    fn narrow(x: f32) -> Self {
        x
    }
}

impl Narrow for bf16 {
    /// As `from_f32` (ties to even), in a form that compilers turn into vector code.
    #[inline(always)]
    fn narrow(x: f32) -> Self {
        let bits = x.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
        // Rounding would turn NaN into infinity.
        let bits = if x.is_nan() { bits | 1 << 22 } else { rounded };
        Self::from_bits((bits >> 16) as u16)
    }
}

fn split_fused<T: Narrow>(
    runs: &[TokenRows],
    d: usize,
    angles: Option<&(Tensor, Tensor)>,
) -> Result<Tensor> {
    let (n, width) = sizes(runs, d, angles)?;
    let norms = runs.iter().map(|run| {
        let norm = run
            .norm
            .map(|norm| Ok((norm.weight().to_vec1()?, norm.eps())));
        norm.transpose()
    });
    let norms: Vec<Option<(Vec<f32>, f32)>> = norms.collect::<Result<_>>()?;
    let tables = angles.iter().flat_map(|(cos, sin)| [cos, sin]);
    let tensors: Vec<_> = runs.iter().map(|run| &run.rows).chain(tables).collect();
    let heads = with_all_slices(&tensors, |values| {
        let (rows, tables) = values.split_at(runs.len());
        let mut tokens = Vec::with_capacity(n);
        for (rows, norm) in rows.iter().zip(&norms) {
            tokens.extend(rows.chunks_exact(width).map(|row| (row, norm)));
        }
        parallel_vec(
            n * width,
            HEADS * d,
            |normed: &mut Vec<f32>, i, out: &mut [T]| {
                normed.resize(d, 0.0);
                dispatch!({
                    for (j, out) in out.chunks_exact_mut(d).enumerate() {
                        let (head, token) = ((i * HEADS + j) / n, (i * HEADS + j) % n);
                        let (row, norm) = tokens[token];
                        write_normed(&row[head * d..][..d], norm, normed);
                        let half = token * d / 2..(token + 1) * d / 2;
                        match tables {
                            [cos, sin] => {
                                write_rotated(normed, &cos[half.clone()], &sin[half], out)
                            }
                            _ => write(normed, out),
                        }
                    }
                });
            },
        )
    })?;
    Tensor::from_vec(heads, (width / d, n, d), runs[0].rows.device())
}

/// The number of tokens and the width of their rows, checked.
fn sizes(
    runs: &[TokenRows],
    d: usize,
    angles: Option<&(Tensor, Tensor)>,
) -> Result<(usize, usize)> {
    let sizes = runs.iter().map(|run| run.rows.dims2());
    let sizes = sizes.collect::<Result<Vec<_>>>()?;
    let (n, width) = (sizes.iter().map(|(n, _)| n).sum(), sizes[0].1);
    if !width.is_multiple_of(d) || sizes.iter().any(|(_, other)| *other != width) {
        bail!("attention heads: expected rows of {width}, whole heads of {d}, got {sizes:?}");
    }
    if let Some((cos, sin)) = angles
        && [cos, sin].iter().any(|xs| xs.dims() != [n, d / 2])
    {
        let got = (cos.dims(), sin.dims());
        bail!(
            "attention heads: expected angles (n, d/2) of {n} tokens and heads of {d}, got {got:?}"
        );
    }
    for weight in runs.iter().filter_map(|run| run.norm.map(RmsNorm::weight)) {
        if weight.dims() != [d] {
            let got = weight.dims();
            bail!("attention heads: expected a norm of heads of {d}, got {got:?}");
        }
    }
    Ok((n, width))
}

#[inline(always)]
fn write_normed(head: &[f32], norm: &Option<(Vec<f32>, f32)>, out: &mut [f32]) {
    let Some((weight, eps)) = norm else {
        return out.copy_from_slice(head);
    };
    let r = inverse_rms(head, *eps);
    for ((out, x), w) in out.iter_mut().zip(head).zip(weight) {
        *out = x * r * w;
    }
}

/// As [`rotate`]: half against half.
#[inline(always)]
fn write_rotated<T: Narrow>(head: &[f32], cos: &[f32], sin: &[f32], out: &mut [T]) {
    let n = cos.len();
    let (first, second) = head.split_at(n);
    let (first_out, second_out) = out.split_at_mut(n);
    // The lengths are fixed here, so that the loop checks no bounds.
    let (second, second_out, sin) = (&second[..n], &mut second_out[..n], &sin[..n]);
    for i in 0..n {
        first_out[i] = T::narrow(first[i] * cos[i] - second[i] * sin[i]);
        second_out[i] = T::narrow(first[i] * sin[i] + second[i] * cos[i]);
    }
}

#[inline(always)]
fn write<T: Narrow>(head: &[f32], out: &mut [T]) {
    let pairs = out.iter_mut().zip(head);
    pairs.for_each(|(out, x)| *out = T::narrow(*x));
}

/// Rows in a part of the work.
const ROWS: usize = 16;

/// The inverse of [`split_heads`]: rows (n, h·d) of some tokens of heads (h, …, d), run by run.
///
/// # Errors
/// If there are none, or shapes do not fit.
pub fn merge_heads(runs: &[(Tensor, Range<usize>)]) -> Result<Tensor> {
    let rows = |(heads, tokens): &(Tensor, Range<usize>)| {
        let (h, _, d) = heads.dims3()?;
        let heads = heads.narrow(1, tokens.start, tokens.len())?;
        heads.transpose(0, 1)?.reshape((tokens.len(), h * d))
    };
    if !runs
        .iter()
        .all(|(heads, _)| is_cpu_f32(heads) && !heads.track_op())
    {
        return Tensor::cat(&runs.iter().map(rows).collect::<Result<Vec<_>>>()?, 0);
    }
    let shapes = runs.iter().map(|(heads, _)| heads.dims3());
    let shapes = shapes.collect::<Result<Vec<_>>>()?;
    let Some(&(h, _, d)) = shapes.first() else {
        bail!("attention heads: expected tokens, got none");
    };
    let fits = |((_, tokens), shape): (&(Tensor, Range<usize>), &(usize, usize, usize))| {
        (shape.0, shape.2) == (h, d) && tokens.end <= shape.1
    };
    if !runs.iter().zip(&shapes).all(fits) {
        let got: Vec<_> = runs.iter().map(|(_, tokens)| tokens).zip(&shapes).collect();
        bail!("attention heads: expected tokens of heads ({h}, n, {d}), got {got:?}");
    }
    let tensors: Vec<_> = runs.iter().map(|(heads, _)| heads).collect();
    let rows = with_all_slices(&tensors, |values| {
        let runs = runs.iter().zip(values).zip(&shapes);
        let tokens = runs.flat_map(|(((_, tokens), heads), (_, n, _))| {
            tokens.clone().map(move |token| (*heads, token, *n))
        });
        let tokens: Vec<_> = tokens.collect();
        let width = h * d;
        parallel_vec(
            tokens.len() * width,
            ROWS * width,
            |(): &mut (), i, out: &mut [f32]| {
                let tokens = tokens[i * ROWS..].iter();
                for (row, (heads, token, n)) in out.chunks_exact_mut(width).zip(tokens) {
                    for (head, out) in row.chunks_exact_mut(d).enumerate() {
                        out.copy_from_slice(&heads[(head * n + token) * d..][..d]);
                    }
                }
            },
        )
    })?;
    Tensor::from_vec(rows, ((), h * d), runs[0].0.device())
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use candle_nn::VarBuilder;

    use super::*;
    use crate::{Noise, RotaryEmbedding};

    fn off(got: &Tensor, expected: &Tensor) -> f32 {
        assert_eq!(
            (got.dims(), got.dtype()),
            (expected.dims(), expected.dtype())
        );
        let wide = |xs: &Tensor| xs.to_dtype(DType::F32).unwrap();
        let off = (wide(got) - wide(expected)).unwrap().abs().unwrap();
        off.flatten_all()
            .unwrap()
            .max(0)
            .unwrap()
            .to_scalar()
            .unwrap()
    }

    #[test]
    fn fused_split_is_the_unfused_one() {
        let (h, d) = (3, 34);
        let mut noise = Noise::seeded(1);
        let mut normal = |shape: &[usize]| noise.normal(shape, &Device::Cpu).unwrap();
        let norms = [0, 1].map(|_| {
            let weight = [("weight".to_owned(), normal(&[d]))];
            let vb = VarBuilder::from_tensors(weight.into(), DType::F32, &Device::Cpu);
            RmsNorm::new(d, 1e-6, vb).unwrap()
        });
        for n in [1, 70] {
            let runs = [(2, Some(&norms[0])), (n, Some(&norms[1])), (1, None)];
            let runs = runs.map(|(n, norm)| TokenRows {
                rows: normal(&[n + 1, h * d]).narrow(0, 1, n).unwrap(),
                norm,
            });
            let rotary = RotaryEmbedding::new(1e4, d, &Device::Cpu).unwrap();
            let positions: Vec<u32> = (5..n as u32 + 8).collect();
            let angles = rotary.angles(&positions).unwrap();
            for angles in [None, Some(&angles)] {
                // bf16 has 8 bits; a rotation differs by at most half a step.
                for (dtype, most) in [(DType::F32, 1e-5), (DType::BF16, 0.02)] {
                    let got = split_heads(&runs, d, angles, Some(dtype)).unwrap();
                    let expected = split_unfused(&runs, d, angles).unwrap();
                    let off = off(&got, &expected.to_dtype(dtype).unwrap());
                    assert!(off < most, "{n} {dtype:?}: {off}");
                }
            }
        }
    }

    #[test]
    fn merge_is_the_inverse_of_split_with_gradients() {
        let mut noise = Noise::seeded(2);
        let rows = noise.normal((70, 12), &Device::Cpu).unwrap();
        let run = |rows: &Tensor| TokenRows {
            rows: rows.clone(),
            norm: None,
        };
        let heads = split_heads(&[run(&rows)], 4, None, None).unwrap();
        assert_eq!(heads.dims(), [3, 70, 4]);
        let back = merge_heads(&[(heads.clone(), 50..70), (heads, 0..50)]).unwrap();
        let (behind, before) = (rows.narrow(0, 50, 20), rows.narrow(0, 0, 50));
        let turned = Tensor::cat(&[behind.unwrap(), before.unwrap()], 0).unwrap();
        assert_eq!(off(&back, &turned), 0.0);

        let var = Var::from_tensor(&rows).unwrap();
        let heads = split_heads(&[run(&var)], 4, None, None).unwrap();
        let back = merge_heads(&[(heads, 0..70)]).unwrap();
        let sum = (back.sqr().unwrap().sum_all().unwrap() * 0.5).unwrap();
        let grads = sum.backward().unwrap();
        assert_eq!(off(grads.get(&var).unwrap(), &rows), 0.0);
    }

    #[test]
    fn rounding_is_that_of_bf16() {
        let halves = [
            1.0,
            1.0 + 1.0 / 256.0,
            1.0 + 3.0 / 256.0,
            -3.0e38,
            3.4e38,
            1e-40,
            f32::INFINITY,
        ];
        for x in halves.into_iter().chain([f32::MIN, f32::MAX, 0.1, -0.0]) {
            assert_eq!(
                bf16::narrow(x).to_bits(),
                bf16::from_f32(x).to_bits(),
                "{x}"
            );
        }
        assert!(bf16::narrow(f32::NAN).is_nan());
        assert!(bf16::narrow(f32::from_bits(0x7f80_0001)).is_nan());
    }

    #[test]
    fn misshapen_input_is_an_error() {
        let rows = Tensor::zeros((2, 12), DType::F32, &Device::Cpu).unwrap();
        let run = [TokenRows { rows, norm: None }];
        let check = |result: Result<Tensor>, expected: &str| {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(
            split_heads(&run, 5, None, None),
            "whole heads of 5, got [(2, 12)]",
        );
        check(split_heads(&[], 4, None, None), "expected tokens, got none");
        let heads = split_heads(&run, 4, None, None).unwrap();
        check(
            merge_heads(&[(heads, 1..3)]),
            "expected tokens of heads (3, n, 4), got",
        );
    }
}
