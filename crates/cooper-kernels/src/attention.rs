//! Scaled dot product attention with grouped query heads.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, WithDType, bail};
use half::bf16;

use super::autograd::with_slices;
use super::bf16_attention::{attend_heads_bf16, attend_one, fits_bf16};
use super::key_heads::KeyHeads;
use super::packed_attention::{Segments, packed_attention};
use super::simd::{self, Widen, dispatch};
use super::softmax::{MaskedSoftmax, softmax, softmax_row};
use super::threads::for_each;

/// Which tokens a token attends to, in a row without a context.
#[derive(Clone, Copy, Debug)]
pub enum AttentionMask<'a> {
    /// All tokens.
    All,
    /// Those of its segment. For training: f32 on the CPU.
    Segments(&'a Arc<Segments>),
}

impl AttentionMask<'_> {
    /// Attend `q` (h, n, d) to `k`, `v` (kv, m, d); see [`attention`].
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn attend(self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        match self {
            Self::All => attention(q, k, v, None),
            Self::Segments(segments) => packed_attention(q, k, v, segments),
        }
    }
}

/// How exact keys and values must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPrecision {
    /// In the model's number format.
    Full,
    /// In bf16 where that is faster: for models that are quantised.
    Reduced,
}

/// The number format for keys and values of [`attention`], of a model that computes in `dtype`.
///
/// On a CPU whose instructions multiply bf16, [`KeyPrecision::Reduced`] takes half the memory and is twice as fast.
pub fn keys_dtype(
    dtype: DType,
    precision: KeyPrecision,
    head_dim: usize,
    device: &Device,
) -> DType {
    let is_reduced = precision == KeyPrecision::Reduced && device.is_cpu() && dtype == DType::F32;
    match is_reduced && fits_bf16(head_dim) {
        true => DType::BF16,
        false => dtype,
    }
}

/// Attend `q` (h, n, d) to `k`, `v` (kv, m, d); query head j uses key head j·kv/h. Result (h, n, d).
///
/// `mask` (n, m) is added to the scaled scores: 0 where a query attends, −∞ where not.
/// The softmax runs in f32. Where keys and values are in bf16 and queries in f32 ([`keys_dtype`]), queries and weights
/// are rounded to bf16, too; the result is within 1 % of its length.
///
/// # Errors
/// If `h` is not a multiple of `kv`, or shapes do not fit.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let (h, n, d) = q.dims3()?;
    let (kv, m, _) = k.dims3()?;
    if kv == 0 || h % kv != 0 {
        bail!("attention: expected a multiple of the {kv} key heads, got {h} query heads");
    }
    let tracked = q.track_op() || k.track_op() || v.track_op();
    if q.device().is_cpu() && q.dtype() == DType::F32 && !tracked {
        let is_single = n == 1 && mask.is_none() && m > 0;
        return match k.dtype() {
            DType::BF16 if is_single => {
                attend_single_query::<bf16>((q, k, v), 1, |q, k, v, out| {
                    if !attend_one(q, k, v, out) {
                        dispatch!(attend_head(q, k, v, d, out));
                    }
                })
            }
            DType::BF16 => attend_bf16(q, k, v, mask),
            _ if is_single => attend_single_query::<f32>((q, k, v), h / kv, |q, k, v, out| {
                dispatch!(attend_head(q, k, v, d, out));
            }),
            _ => attend_blocked(q, k, v, mask),
        };
    }
    // The heads of one group share keys: stack their queries instead of repeating the keys.
    let q = (q.contiguous()?.reshape((kv, h / kv * n, d))? * (1.0 / (d as f64).sqrt()))?;
    let scores = q.matmul(&k.transpose(1, 2)?)?.to_dtype(DType::F32)?; // (kv, h/kv·n, m)
    let scores = match mask {
        Some(mask) => {
            scores
                .reshape((h, n, m))?
                .broadcast_add(mask)?
                .reshape((kv, h / kv * n, m))?
        }
        None => scores,
    };
    softmax(&scores)?
        .to_dtype(v.dtype())?
        .matmul(v)?
        .reshape((h, n, d))
}

/// Scores of a block: 4 MiB, so that they stay in the cache.
const BLOCK: usize = 1 << 20;

/// [`attention`] in blocks of queries, so that the whole matrix of scores is never in memory. CPU, f32, no gradients.
fn attend_blocked(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let (h, n, d) = q.dims3()?;
    let (kv, m, _) = k.dims3()?;
    let scale = 1.0 / (d as f32).sqrt();
    let no_mask = Tensor::zeros(m, q.dtype(), q.device())?;
    let k = k.transpose(1, 2)?;
    let q = q.contiguous()?.reshape((kv, h / kv, n, d))?;
    let n_rows = (BLOCK / (h * m).max(1)).clamp(1, n.max(1));
    let mut blocks = Vec::with_capacity(n.div_ceil(n_rows));
    for start in (0..n).step_by(n_rows) {
        let rows = n_rows.min(n - start);
        // The heads of one group share keys, as above.
        let q = q.narrow(2, start, rows)?.reshape((kv, h / kv * rows, d))?;
        let weights = q.matmul(&k)?;
        match mask {
            Some(mask) => weights.inplace_op2(
                &mask.narrow(0, start, rows)?.contiguous()?,
                &MaskedSoftmax { scale },
            )?,
            None => weights.inplace_op2(&no_mask, &MaskedSoftmax { scale })?,
        }
        blocks.push(weights.matmul(v)?.reshape((h, rows, d))?);
    }
    Tensor::cat(&blocks, 1)
}

/// [`attention`] with keys and values in bf16. CPU, no gradients.
fn attend_bf16(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let (_, n, d) = q.dims3()?;
    if !fits_bf16(d) {
        bail!("attention: expected keys and values in f32 on this processor, got bf16");
    }
    let attend = |q: &[f32], mask: Option<&[f32]>| {
        KeyHeads::with_keys_and_values(k, v, |k, v| attend_heads_bf16(q, k, v, mask, (n, d)))
    };
    let out = match mask {
        Some(mask) => with_slices([q, mask], |[q, mask]| attend(q, Some(mask))),
        None => with_slices([q], |[q]| attend(q, None)),
    }??;
    Tensor::from_vec(out, q.shape(), q.device())
}

/// [`attention`] of one query, which reads keys and values in place. `attend` gets `n_together` query heads that share
/// them. CPU, no gradients.
fn attend_single_query<T: Widen + WithDType>(
    (q, k, v): (&Tensor, &Tensor, &Tensor),
    n_together: usize,
    attend: impl Fn(&[f32], &[T], &[T], &mut [f32]) + Sync,
) -> Result<Tensor> {
    let (h, _, d) = q.dims3()?;
    let parts_per_head = h / k.dim(0)? / n_together;
    let n = n_together * d;
    let mut out = vec![0f32; h * d];
    with_slices([q], |[q]| {
        KeyHeads::<T>::with_keys_and_values(k, v, |k, v| {
            for_each(out.chunks_exact_mut(n).collect(), |i, out| {
                let head = i / parts_per_head;
                attend(&q[i * n..(i + 1) * n], k.head(head), v.head(head), out);
            });
        })
    })??;
    Tensor::from_vec(out, (h, 1, d), q.device())
}

/// Attend all queries (…, d) of a head to its keys and values; `out` is as long as `q` and zero.
#[inline(always)]
fn attend_head<T: Widen>(q: &[f32], k: &[T], v: &[T], d: usize, out: &mut [f32]) {
    let m = k.len() / d;
    let scale = 1.0 / (d as f32).sqrt();
    let mut weights = vec![0f32; q.len() / d * m];
    for (j, k) in k.chunks_exact(d).enumerate() {
        for (i, q) in q.chunks_exact(d).enumerate() {
            weights[i * m + j] = simd::dot(k, q) * scale;
        }
    }
    for weights in weights.chunks_exact_mut(m) {
        softmax_row(weights);
    }
    for (j, v) in v.chunks_exact(d).enumerate() {
        for (i, out) in out.chunks_exact_mut(d).enumerate() {
            let weight = weights[i * m + j];
            out.iter_mut()
                .zip(v)
                .for_each(|(out, v)| *out += weight * v.widen());
        }
    }
}

/// The mask (n, m) of `n` causal queries, the last of which attends to all `m` keys; none for one query.
///
/// # Errors
/// If the device fails.
pub fn causal_mask(n: usize, m: usize, device: &Device) -> Result<Option<Tensor>> {
    if n <= 1 {
        return Ok(None);
    }
    let n_before = m - n;
    let mask: Vec<f32> = (0..n)
        .flat_map(|i| {
            (0..m).map(move |j| {
                if j <= n_before + i {
                    0.0
                } else {
                    f32::NEG_INFINITY
                }
            })
        })
        .collect();
    Tensor::from_vec(mask, (n, m), device).map(Some)
}

#[cfg(test)]
mod tests {
    use candle_core::D;

    use super::*;
    use crate::Noise;
    use crate::avx512::say_skipped;

    /// Every score at once, by candle's operations.
    fn plain(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Tensor {
        let (h, kv) = (q.dims()[0], k.dims()[0]);
        let repeated = |xs: &Tensor| {
            let heads = (0..h).map(|head| xs.get(head * kv / h).unwrap());
            Tensor::stack(&heads.collect::<Vec<_>>(), 0).unwrap()
        };
        let scores = q.matmul(&repeated(k).t().unwrap()).unwrap();
        let scores = (scores / (q.dims()[2] as f64).sqrt()).unwrap();
        let scores = match mask {
            Some(mask) => scores.broadcast_add(mask).unwrap(),
            None => scores,
        };
        let weights = candle_nn::ops::softmax(&scores, D::Minus1).unwrap();
        weights.matmul(&repeated(v)).unwrap()
    }

    #[test]
    fn blocked_and_single_query_attention_are_plain_attention() {
        let mut noise = Noise::seeded(1);
        let mut normal = |shape: (usize, usize, usize)| noise.normal(shape, &Device::Cpu).unwrap();
        // One block, many blocks with a rest, and one query alone; keys as a view into a longer buffer.
        for (h, kv, n, m) in [
            (4, 2, 7, 9),
            (4, 2, 700, 1100),
            (3, 3, 1, 40),
            (8, 2, 1, 300),
        ] {
            assert!(n < 700 || h * n * m > 2 * BLOCK);
            let q = normal((h, n, 24));
            let [k, v] = [(); 2].map(|()| normal((kv, m + 5, 24)).narrow(1, 0, m).unwrap());
            let causal = causal_mask(n, m, &Device::Cpu).unwrap();
            for mask in [None, causal.as_ref()] {
                let got = attention(&q, &k, &v, mask).unwrap();
                let most = (got - plain(&q, &k, &v, mask)).unwrap().abs().unwrap();
                let most = most.flatten_all().unwrap().max(0).unwrap();
                assert!(most.to_scalar::<f32>().unwrap() < 4e-6);
            }
        }
    }

    #[test]
    fn attention_in_bf16_is_near_the_exact_one() {
        let mut noise = Noise::seeded(2);
        let mut normal = |shape: (usize, usize, usize)| noise.normal(shape, &Device::Cpu).unwrap();
        // Whole groups of queries and rests, odd and even numbers of keys, panels with and without a neighbour.
        for (h, kv, n, m, d) in [
            (4, 2, 24, 64, 32),
            (8, 2, 31, 77, 48),
            (3, 3, 5, 1, 16),
            (8, 2, 1, 50, 32),
            (8, 2, 1, 301, 128),
            (4, 4, 1, 7, 48),
        ] {
            if !fits_bf16(d) {
                return say_skipped("attention_in_bf16_is_near_the_exact_one", "AVX-512 BF16");
            }
            let q = normal((h, n, d));
            let [k, v] = [(); 2].map(|()| normal((kv, m + 5, d)).narrow(1, 0, m).unwrap());
            let causal = match m > n {
                true => causal_mask(n, m, &Device::Cpu).unwrap(),
                false => None,
            };
            for mask in [None, causal.as_ref()] {
                let [k16, v16] = [&k, &v].map(|xs| xs.to_dtype(DType::BF16).unwrap());
                let got = attention(&q, &k16, &v16, mask).unwrap();
                let exact = plain(&q, &k, &v, mask);
                let length = |xs: &Tensor| {
                    let sum = xs.sqr().unwrap().sum_all().unwrap();
                    sum.to_scalar::<f32>().unwrap().sqrt()
                };
                let error = length(&(got - &exact).unwrap()) / length(&exact);
                assert!(error < 0.01, "{error}");
            }
        }
    }
}
