//! Attention over many sequences that lie in one row of tokens.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, bail};

use super::activation::exp;
use super::autograd::{computed3, values};
use super::simd::{self, dispatch};

/// Queries that look at the same keys, by their rows.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The tokens that look.
    pub queries: Vec<u32>,
    /// The tokens that can be looked at.
    pub keys: Vec<u32>,
    /// (queries, keys), added to the scores: 0 where a query may look, −∞ where not. None: everywhere.
    pub mask: Option<Tensor>,
}

impl Segment {
    /// Tokens that all see each other.
    pub fn full(rows: std::ops::Range<u32>) -> Self {
        Self {
            queries: rows.clone().collect(),
            keys: rows.collect(),
            mask: None,
        }
    }
}

/// Who sees whom in a row of tokens that holds many sequences. Every token is a query of exactly one segment.
#[derive(Clone, Debug, Default)]
pub struct Segments(pub Vec<Segment>);

/// Attend `q` (h, n, d) to `k`, `v` (kv, n, d) within segments. Result (h, n, d). Differentiable; f32 on the CPU.
///
/// # Errors
/// If shapes do not fit.
pub fn packed_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    segments: &std::sync::Arc<Segments>,
) -> Result<Tensor> {
    let (h, _, _) = q.dims3()?;
    let (kv, _, _) = k.dims3()?;
    if kv == 0 || h % kv != 0 {
        bail!("attention: expected a multiple of the {kv} key heads, got {h} query heads");
    }
    let mut out = vec![0f32; q.elem_count()];
    for segment in &segments.0 {
        let (_, _, v_segment, weights) = segment_weights(q, k, v, segment)?;
        scatter(
            &weights.matmul(&v_segment)?,
            &segment.queries,
            q.dim(1)?,
            &mut out,
        )?;
    }
    let value = Tensor::from_vec(out, q.shape(), q.device())?;
    if !(q.track_op() || k.track_op() || v.track_op()) {
        return Ok(value);
    }
    let segments = segments.clone();
    computed3([q, k, v], value, move |[q, k, v], grad| {
        backward(q, k, v, grad, &segments)
    })
}

/// A segment's scaled queries (kv, h/kv·m, d), keys and values (kv, l, d), and attention weights (kv, h/kv·m, l).
fn segment_weights(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    segment: &Segment,
) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
    let kv = k.dim(0)?;
    let (h, _, d) = q.dims3()?;
    let rows = h / kv * segment.queries.len();
    let q = gather(q, &segment.queries)?.reshape((kv, rows, d))?;
    let (k, v) = (gather(k, &segment.keys)?, gather(v, &segment.keys)?);
    let weights = q.matmul(&k.t()?)?;
    let open;
    let mask = match &segment.mask {
        Some(mask) => mask,
        None => {
            open = Tensor::zeros(segment.keys.len(), weights.dtype(), weights.device())?;
            &open
        }
    };
    let scale = 1.0 / (d as f32).sqrt();
    weights.inplace_op2(mask, &MaskedSoftmax { scale })?;
    Ok((q, k, v, weights))
}

/// Softmax of scores, in their place.
#[inline(always)]
pub fn softmax_row(row: &mut [f32]) {
    let most = simd::max(row);
    for x in row.iter_mut() {
        // Far below the greatest score means masked, or as good as.
        *x = if *x - most < -80.0 {
            0.0
        } else {
            exp(*x - most)
        };
    }
    let inverse = 1.0 / simd::sum(row);
    row.iter_mut().for_each(|x| *x *= inverse);
}

/// Rows of (h, n, d) → (h, rows, d).
fn gather(xs: &Tensor, rows: &[u32]) -> Result<Tensor> {
    let (h, n, d) = xs.dims3()?;
    let gathered = values([xs], |[xs]| {
        let mut gathered = Vec::with_capacity(h * rows.len() * d);
        for head in xs.chunks_exact(n * d) {
            for row in rows {
                let start = *row as usize * d;
                gathered.extend_from_slice(&head[start..start + d]);
            }
        }
        gathered
    })?;
    Tensor::from_vec(gathered, (h, rows.len(), d), xs.device())
}

/// Add (…) of h·rows·d numbers to these rows of `into` (h, n, d).
fn scatter(xs: &Tensor, rows: &[u32], n: usize, into: &mut [f32]) -> Result<()> {
    let d = xs.dim(2)?;
    values([xs], |[xs]| {
        for (head, xs) in into
            .chunks_exact_mut(n * d)
            .zip(xs.chunks_exact(rows.len() * d))
        {
            for (row, x) in rows.iter().zip(xs.chunks_exact(d)) {
                let start = *row as usize * d;
                for (into, x) in head[start..start + d].iter_mut().zip(x) {
                    *into += x;
                }
            }
        }
    })
}

fn backward(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    grad: &Tensor,
    segments: &Segments,
) -> Result<[Tensor; 3]> {
    let (q, k, v) = (q.detach(), k.detach(), v.detach());
    let n = q.dim(1)?;
    let mut dq = vec![0f32; q.elem_count()];
    let mut dk = vec![0f32; k.elem_count()];
    let mut dv = vec![0f32; v.elem_count()];
    let scale = 1.0 / (q.dim(2)? as f32).sqrt();
    for segment in &segments.0 {
        let (q_segment, k_segment, v_segment, weights) = segment_weights(&q, &k, &v, segment)?;
        let grad = gather(grad, &segment.queries)?.reshape(q_segment.shape())?;
        scatter(&weights.t()?.matmul(&grad)?, &segment.keys, n, &mut dv)?;
        let slopes = grad.matmul(&v_segment.t()?)?;
        slopes.inplace_op2(&weights, &SoftmaxSlopes { scale })?;
        scatter(&slopes.matmul(&k_segment)?, &segment.queries, n, &mut dq)?;
        scatter(&slopes.t()?.matmul(&q_segment)?, &segment.keys, n, &mut dk)?;
    }
    Ok([
        Tensor::from_vec(dq, q.shape(), q.device())?,
        Tensor::from_vec(dk, k.shape(), k.device())?,
        Tensor::from_vec(dv, v.shape(), v.device())?,
    ])
}

/// Scores become weights in place; the mask's rows are used over and over.
pub(super) struct MaskedSoftmax {
    pub(super) scale: f32,
}

impl InplaceOp2 for MaskedSoftmax {
    fn name(&self) -> &'static str {
        "masked-softmax"
    }

    fn cpu_fwd(
        &self,
        scores: &mut CpuStorage,
        layout: &Layout,
        mask: &CpuStorage,
        mask_layout: &Layout,
    ) -> Result<()> {
        let width = layout.shape().dims().last().copied().unwrap_or(1);
        let CpuStorage::F32(scores) = scores else {
            bail!("attention: expected f32 scores, got another number format");
        };
        let start = mask_layout.start_offset();
        let mask = &mask.as_slice::<f32>()?[start..start + mask_layout.shape().elem_count()];
        let n_masks = mask.len() / width.max(1);
        simd::each_row(scores, width, |i, row| {
            let start = i % n_masks.max(1) * width;
            let mask = &mask[start..start + width];
            dispatch!({
                for (x, m) in row.iter_mut().zip(mask) {
                    *x = *x * self.scale + m;
                }
                softmax_row(row);
            });
        });
        Ok(())
    }
}

/// The weights' gradient becomes the unscaled scores' in place: p·(g − Σ p·g)·scale.
struct SoftmaxSlopes {
    scale: f32,
}

impl InplaceOp2 for SoftmaxSlopes {
    fn name(&self) -> &'static str {
        "softmax-slopes"
    }

    fn cpu_fwd(
        &self,
        grads: &mut CpuStorage,
        layout: &Layout,
        weights: &CpuStorage,
        _: &Layout,
    ) -> Result<()> {
        let width = layout.shape().dims().last().copied().unwrap_or(1);
        let CpuStorage::F32(grads) = grads else {
            bail!("attention: expected f32 gradients, got another number format");
        };
        let weights = weights.as_slice::<f32>()?;
        for (row, weights) in grads
            .chunks_exact_mut(width)
            .zip(weights.chunks_exact(width))
        {
            let dot = simd::dot(row, weights);
            for (g, p) in row.iter_mut().zip(weights) {
                *g = p * (*g - dot) * self.scale;
            }
        }
        Ok(())
    }
}
