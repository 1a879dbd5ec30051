//! Heads beside each other in rows of tokens, as projections give them, and heads one behind the other, as attention wants
//! them: from the one to the other and back.
//!
//! On a CPU in f32 a head is normed, rotated and rounded on its way, in one pass. Where gradients are wanted, and
//! elsewhere, it is done one by one.

use std::ops::Range;

use candle_core::{DType, Result, Tensor, WithDType, bail};
use half::bf16;

use super::autograd::{all_values, is_ours};
use super::norm::{RmsNorm, inverse_rms};
use super::rope::rotate;
use super::simd::dispatch;
use super::threads::made;

/// A run of tokens.
#[derive(Clone, Debug)]
pub struct HeadRows<'a> {
    /// Their heads beside each other (n, h·d).
    pub rows: Tensor,
    /// Of each head.
    pub norm: Option<&'a RmsNorm>,
}

/// Heads of `d` numbers that are worth a thread.
const HEADS: usize = 64;

/// The heads (h, n, d) of tokens that follow each other: normed, rotated by cosines and sines (n, d/2), in `dtype` or
/// that of the rows.
///
/// # Errors
/// If shapes or dtypes do not fit.
pub fn heads(
    runs: &[HeadRows],
    d: usize,
    angles: Option<&(Tensor, Tensor)>,
    dtype: Option<DType>,
) -> Result<Tensor> {
    let Some(first) = runs.first() else {
        bail!("heads: expected tokens, got none");
    };
    let dtype = dtype.unwrap_or(first.rows.dtype());
    let is_plain = |xs: &Tensor| is_ours(xs) && !xs.track_op();
    let is_fused = |run: &HeadRows| {
        let weight = run.norm.map(RmsNorm::weight);
        is_plain(&run.rows) && weight.is_none_or(is_plain)
    };
    match dtype {
        DType::F32 if runs.iter().all(is_fused) => fused::<f32>(runs, d, angles),
        DType::BF16 if runs.iter().all(is_fused) => fused::<bf16>(runs, d, angles),
        _ => one_by_one(runs, d, angles)?.to_dtype(dtype),
    }
}

fn one_by_one(runs: &[HeadRows], d: usize, angles: Option<&(Tensor, Tensor)>) -> Result<Tensor> {
    let normed = runs.iter().map(|run| {
        let (n, width) = run.rows.dims2()?;
        let rows = run.rows.reshape((n, width / d, d))?;
        match run.norm {
            // In f32, as upstream does for drawn images.
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

/// What becomes of f32.
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
    /// The nearest, the even one of two; as `from_f32`, but in a form that becomes vector code.
    #[inline(always)]
    fn narrow(x: f32) -> Self {
        let bits = x.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
        // What is no number would be rounded to infinity.
        let bits = if x.is_nan() { bits | 1 << 22 } else { rounded };
        Self::from_bits((bits >> 16) as u16)
    }
}

fn fused<T: Narrow>(
    runs: &[HeadRows],
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
    let heads = all_values(&tensors, |values| {
        let (rows, tables) = values.split_at(runs.len());
        let mut tokens = Vec::with_capacity(n);
        for (rows, norm) in rows.iter().zip(&norms) {
            tokens.extend(rows.chunks_exact(width).map(|row| (row, norm)));
        }
        made(
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

/// How many tokens, and how wide their rows are.
fn sizes(runs: &[HeadRows], d: usize, angles: Option<&(Tensor, Tensor)>) -> Result<(usize, usize)> {
    let sizes = runs.iter().map(|run| run.rows.dims2());
    let sizes = sizes.collect::<Result<Vec<_>>>()?;
    let (n, width) = (sizes.iter().map(|(n, _)| n).sum(), sizes[0].1);
    if !width.is_multiple_of(d) || sizes.iter().any(|(_, other)| *other != width) {
        bail!("heads: expected rows of {width}, whole heads of {d}, got {sizes:?}");
    }
    if let Some((cos, sin)) = angles
        && [cos, sin].iter().any(|xs| xs.dims() != [n, d / 2])
    {
        let got = (cos.dims(), sin.dims());
        bail!("heads: expected angles (n, d/2) of {n} tokens and heads of {d}, got {got:?}");
    }
    for weight in runs.iter().filter_map(|run| run.norm.map(RmsNorm::weight)) {
        if weight.dims() != [d] {
            let got = weight.dims();
            bail!("heads: expected a norm of heads of {d}, got {got:?}");
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
    // Told once, so that nothing is checked within the loop.
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

/// Rows that are worth a thread.
const ROWS: usize = 16;

/// The way back: rows (n, h·d) of some of the tokens of heads (h, …, d), one run of them behind the other.
///
/// # Errors
/// If there are none, or shapes do not fit.
pub fn head_rows(runs: &[(Tensor, Range<usize>)]) -> Result<Tensor> {
    let rows = |(heads, tokens): &(Tensor, Range<usize>)| {
        let (h, _, d) = heads.dims3()?;
        let heads = heads.narrow(1, tokens.start, tokens.len())?;
        heads.transpose(0, 1)?.reshape((tokens.len(), h * d))
    };
    if !runs
        .iter()
        .all(|(heads, _)| is_ours(heads) && !heads.track_op())
    {
        return Tensor::cat(&runs.iter().map(rows).collect::<Result<Vec<_>>>()?, 0);
    }
    let shapes = runs.iter().map(|(heads, _)| heads.dims3());
    let shapes = shapes.collect::<Result<Vec<_>>>()?;
    let Some(&(h, _, d)) = shapes.first() else {
        bail!("heads: expected tokens, got none");
    };
    let fits = |((_, tokens), shape): (&(Tensor, Range<usize>), &(usize, usize, usize))| {
        (shape.0, shape.2) == (h, d) && tokens.end <= shape.1
    };
    if !runs.iter().zip(&shapes).all(fits) {
        let got: Vec<_> = runs.iter().map(|(_, tokens)| tokens).zip(&shapes).collect();
        bail!("heads: expected tokens of heads ({h}, n, {d}), got {got:?}");
    }
    let tensors: Vec<_> = runs.iter().map(|(heads, _)| heads).collect();
    let rows = all_values(&tensors, |values| {
        let runs = runs.iter().zip(values).zip(&shapes);
        let tokens = runs.flat_map(|(((_, tokens), heads), (_, n, _))| {
            tokens.clone().map(move |token| (*heads, token, *n))
        });
        let tokens: Vec<_> = tokens.collect();
        let width = h * d;
        made(
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
    fn one_pass_is_what_norm_rotation_and_rounding_make_one_by_one() {
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
            let runs = runs.map(|(n, norm)| HeadRows {
                rows: normal(&[n + 1, h * d]).narrow(0, 1, n).unwrap(),
                norm,
            });
            let rotary = RotaryEmbedding::new(1e4, d, &Device::Cpu).unwrap();
            let positions: Vec<u32> = (5..n as u32 + 8).collect();
            let angles = rotary.angles(&positions).unwrap();
            for angles in [None, Some(&angles)] {
                // bf16 has 8 bits; a rotation is half a unit off in either way at most.
                for (dtype, most) in [(DType::F32, 1e-5), (DType::BF16, 0.02)] {
                    let got = heads(&runs, d, angles, Some(dtype)).unwrap();
                    let expected = one_by_one(&runs, d, angles).unwrap();
                    let off = off(&got, &expected.to_dtype(dtype).unwrap());
                    assert!(off < most, "{n} {dtype:?}: {off}");
                }
            }
        }
    }

    #[test]
    fn rows_come_back_as_they_were_and_with_gradients() {
        let mut noise = Noise::seeded(2);
        let rows = noise.normal((70, 12), &Device::Cpu).unwrap();
        let run = |rows: &Tensor| HeadRows {
            rows: rows.clone(),
            norm: None,
        };
        let there = heads(&[run(&rows)], 4, None, None).unwrap();
        assert_eq!(there.dims(), [3, 70, 4]);
        let back = head_rows(&[(there.clone(), 50..70), (there, 0..50)]).unwrap();
        let (behind, before) = (rows.narrow(0, 50, 20), rows.narrow(0, 0, 50));
        let turned = Tensor::cat(&[behind.unwrap(), before.unwrap()], 0).unwrap();
        assert_eq!(off(&back, &turned), 0.0);

        let var = Var::from_tensor(&rows).unwrap();
        let there = heads(&[run(&var)], 4, None, None).unwrap();
        let back = head_rows(&[(there, 0..70)]).unwrap();
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
    fn what_does_not_fit_is_told() {
        let rows = Tensor::zeros((2, 12), DType::F32, &Device::Cpu).unwrap();
        let run = [HeadRows { rows, norm: None }];
        let told = |result: Result<Tensor>, expected: &str| {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        told(
            heads(&run, 5, None, None),
            "whole heads of 5, got [(2, 12)]",
        );
        told(heads(&[], 4, None, None), "expected tokens, got none");
        let there = heads(&run, 4, None, None).unwrap();
        told(
            head_rows(&[(there, 1..3)]),
            "expected tokens of heads (3, n, 4), got",
        );
    }
}
