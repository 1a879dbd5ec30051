//! Scaled dot product attention with grouped query heads.

use std::sync::Arc;

use candle_core::{CpuStorage, D, DType, Device, Layout, Result, Storage, Tensor, WithDType, bail};
use half::bf16;

use super::autograd::values;
use super::avx512::{attend_in_bf16, attend_one, has_bf16};
use super::packed_attention::{MaskedSoftmax, Segments, packed_attention, softmax_row};
use super::simd::{self, Wide, dispatch};
use super::threads::each;

/// Which tokens a token of a row without context sees.
#[derive(Clone, Copy, Debug)]
pub enum AttentionMask<'a> {
    /// All.
    All,
    /// Those of its segments. For training: f32 on the CPU.
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

/// The number format for keys and values of [`attention`], of a model that computes in `dtype`.
///
/// With quantised matrices on a CPU it is bf16 where the processor multiplies that: half the memory, and twice as fast.
pub fn keys_dtype(dtype: DType, are_quantized: bool, head_dim: usize, device: &Device) -> DType {
    match device.is_cpu() && dtype == DType::F32 && are_quantized && has_bf16(head_dim) {
        true => DType::BF16,
        false => dtype,
    }
}

/// Attend `q` (h, n, d) to `k`, `v` (kv, m, d); query head j uses key head j·kv/h. Result (h, n, d).
///
/// `mask` (n, m) is added to the scaled scores: 0 where a query may look, −∞ where not.
/// The softmax runs in f32. Where keys and values are in bf16 and queries in f32 ([`keys_dtype`]), queries and weights
/// are rounded to bf16, too: within 1 % of the result's length.
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
        let is_one = n == 1 && mask.is_none() && m > 0;
        return match k.dtype() {
            DType::BF16 if is_one => of_one_token::<bf16>((q, k, v), 1, |q, k, v, out| {
                if !attend_one(q, k, v, out) {
                    dispatch!(attend_head(q, k, v, d, out));
                }
            }),
            DType::BF16 => in_bf16(q, k, v, mask),
            _ if is_one => of_one_token::<f32>((q, k, v), h / kv, |q, k, v, out| {
                dispatch!(attend_head(q, k, v, d, out));
            }),
            _ => blocked(q, k, v, mask),
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

/// Scores that are held at once: 4 MiB, so that they stay in the cache.
const BLOCK: usize = 1 << 20;

/// [`attention`] of some queries after others: never the whole matrix of scores. CPU, f32, without gradients.
fn blocked(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let (h, n, d) = q.dims3()?;
    let (kv, m, _) = k.dims3()?;
    let scale = 1.0 / (d as f32).sqrt();
    let open = Tensor::zeros(m, q.dtype(), q.device())?;
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
            None => weights.inplace_op2(&open, &MaskedSoftmax { scale })?,
        }
        blocks.push(weights.matmul(v)?.reshape((h, rows, d))?);
    }
    Tensor::cat(&blocks, 1)
}

/// Keys or values (kv, m, d) as they lie in a context: row-major within a head, the heads apart.
#[derive(Debug)]
pub struct Heads<'a, T> {
    numbers: &'a [T],
    n_heads: usize,
    /// From one head to the next.
    stride: usize,
    /// Numbers of a head, m·d.
    len: usize,
}

impl<'a, T: WithDType> Heads<'a, T> {
    /// Let `f` read two tensors (kv, m, d) on a CPU where they are; copies where the heads lie otherwise.
    ///
    /// # Errors
    /// If they are elsewhere or of another type.
    fn of_both<R>(k: &Tensor, v: &Tensor, f: impl FnOnce(&Heads<T>, &Heads<T>) -> R) -> Result<R> {
        let k = row_major_heads(k)?;
        let v = row_major_heads(v)?;
        let (k_storage, k_layout) = k.storage_and_layout();
        let (v_storage, v_layout) = v.storage_and_layout();
        let (Storage::Cpu(k_storage), Storage::Cpu(v_storage)) = (&*k_storage, &*v_storage) else {
            bail!("attention: expected keys and values on the CPU, got them elsewhere");
        };
        Ok(f(
            &Heads::of(k_storage, k_layout)?,
            &Heads::of(v_storage, v_layout)?,
        ))
    }

    fn of(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let (n_heads, m, d) = layout.shape().dims3()?;
        Ok(Self {
            numbers: &storage.as_slice()?[layout.start_offset()..],
            n_heads,
            stride: layout.stride()[0],
            len: m * d,
        })
    }

    /// How many.
    pub fn n_heads(&self) -> usize {
        self.n_heads
    }

    /// One head's numbers (m, d).
    pub fn head(&self, i: usize) -> &[T] {
        &self.numbers[i * self.stride..][..self.len]
    }
}

fn row_major_heads(xs: &Tensor) -> Result<Tensor> {
    let d = xs.dim(D::Minus1)?;
    match xs.layout().stride()[1..] == [d, 1] {
        true => Ok(xs.clone()),
        false => xs.contiguous(),
    }
}

/// [`attention`] with keys and values in bf16. CPU, without gradients.
fn in_bf16(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let (_, n, d) = q.dims3()?;
    if !has_bf16(d) {
        bail!("attention: expected keys and values in f32 on this processor, got bf16");
    }
    let attend = |q: &[f32], mask: Option<&[f32]>| {
        Heads::of_both(k, v, |k, v| attend_in_bf16(q, k, v, mask, (n, d)))
    };
    let seen = match mask {
        Some(mask) => values([q, mask], |[q, mask]| attend(q, Some(mask))),
        None => values([q], |[q]| attend(q, None)),
    }??;
    Tensor::from_vec(seen, q.shape(), q.device())
}

/// [`attention`] of one query: keys and values are read where they are. `attend` gets `n_together` query heads that share
/// them. CPU, without gradients.
fn of_one_token<T: Wide + WithDType>(
    (q, k, v): (&Tensor, &Tensor, &Tensor),
    n_together: usize,
    attend: impl Fn(&[f32], &[T], &[T], &mut [f32]) + Sync,
) -> Result<Tensor> {
    let (h, _, d) = q.dims3()?;
    let parts_a_head = h / k.dim(0)? / n_together;
    let n = n_together * d;
    let mut out = vec![0f32; h * d];
    values([q], |[q]| {
        Heads::<T>::of_both(k, v, |k, v| {
            each(out.chunks_exact_mut(n).collect(), |i, out| {
                let head = i / parts_a_head;
                attend(&q[i * n..(i + 1) * n], k.head(head), v.head(head), out);
            });
        })
    })??;
    Tensor::from_vec(out, (h, 1, d), q.device())
}

/// Queries that share a head's keys and values: all of them (…, d), `out` as long as `q` and zero.
#[inline(always)]
fn attend_head<T: Wide>(q: &[f32], k: &[T], v: &[T], d: usize, out: &mut [f32]) {
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
                .for_each(|(out, v)| *out += weight * v.wide());
        }
    }
}

/// Softmax over the last dimension.
///
/// # Errors
/// If the device fails.
pub fn softmax(xs: &Tensor) -> Result<Tensor> {
    if xs.track_op() {
        candle_nn::ops::softmax(xs, D::Minus1)
    } else {
        candle_nn::ops::softmax_last_dim(xs)
    }
}

/// The mask (n, m) of `n` causal queries whose last one sees all `m` keys; none for one query.
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
    use super::*;
    use crate::Noise;

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
    fn blocked_attention_and_that_of_one_token_are_plain_attention() {
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
    fn products_in_bf16_are_near_the_exact_ones() {
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
            if keys_dtype(DType::F32, true, d, &Device::Cpu) == DType::F32 {
                return;
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
                let off = length(&(got - &exact).unwrap()) / length(&exact);
                assert!(off < 0.01, "{off}");
            }
        }
    }
}
