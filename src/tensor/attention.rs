//! Scaled dot product attention with grouped query heads.

use std::sync::Arc;

use candle_core::{D, DType, Device, Result, Tensor, bail};

use super::packed_attention::{Units, packed_attention};

/// Which tokens a token of a row without context sees.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// All.
    All,
    /// Those of its units. For training: f32 on the CPU.
    Units(&'a Arc<Units>),
}

impl Seen<'_> {
    /// Attend `q` (h, n, d) to `k`, `v` (kv, m, d); see [`attention`].
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn attend(self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        match self {
            Self::All => attention(q, k, v, None),
            Self::Units(units) => packed_attention(q, k, v, units),
        }
    }
}

/// Attend `q` (h, n, d) to `k`, `v` (kv, m, d); query head j uses key head j·kv/h. Result (h, n, d).
///
/// `mask` (n, m) is added to the scaled scores: 0 where a query may look, −∞ where not.
/// The softmax runs in f32.
///
/// # Errors
/// If `h` is not a multiple of `kv`, or shapes do not fit.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let (h, n, d) = q.dims3()?;
    let (kv, m, _) = k.dims3()?;
    if kv == 0 || h % kv != 0 {
        bail!("attention: {h} query heads are not a multiple of {kv} key heads");
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
