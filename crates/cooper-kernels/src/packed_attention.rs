//! Attention over many sequences that are packed into one row of tokens.

use candle_core::{Result, Tensor, bail};

use super::autograd::{with_backward3, with_slices};
use super::softmax::{MaskedSoftmax, SoftmaxGradient};

/// Queries that attend to the same keys, by their rows.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The rows of the queries.
    pub queries: Vec<u32>,
    /// The rows of the keys.
    pub keys: Vec<u32>,
    /// (queries, keys), added to the scores: 0 where a query attends, −∞ where not. None: everywhere.
    pub mask: Option<Tensor>,
}

impl Segment {
    /// Tokens that all attend to each other.
    pub fn full(rows: std::ops::Range<u32>) -> Self {
        Self {
            queries: rows.clone().collect(),
            keys: rows.collect(),
            mask: None,
        }
    }
}

/// Which tokens attend to which in a row of tokens that holds many sequences. Every token is a query of exactly one segment.
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
    with_backward3([q, k, v], value, move |[q, k, v], grad| {
        backward(q, k, v, grad, &segments)
    })
}

/// A segment's queries (kv, h/kv·m, d), keys and values (kv, l, d), and attention weights (kv, h/kv·m, l).
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
    let no_mask;
    let mask = match &segment.mask {
        Some(mask) => mask,
        None => {
            no_mask = Tensor::zeros(segment.keys.len(), weights.dtype(), weights.device())?;
            &no_mask
        }
    };
    let scale = 1.0 / (d as f32).sqrt();
    weights.inplace_op2(mask, &MaskedSoftmax { scale })?;
    Ok((q, k, v, weights))
}

/// Rows of (h, n, d) → (h, rows, d).
fn gather(xs: &Tensor, rows: &[u32]) -> Result<Tensor> {
    let (h, n, d) = xs.dims3()?;
    let gathered = with_slices([xs], |[xs]| {
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

/// Add h·rows·d numbers to these rows of `into` (h, n, d).
fn scatter(xs: &Tensor, rows: &[u32], n: usize, into: &mut [f32]) -> Result<()> {
    let d = xs.dim(2)?;
    with_slices([xs], |[xs]| {
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
        let score_grads = grad.matmul(&v_segment.t()?)?;
        score_grads.inplace_op2(&weights, &SoftmaxGradient { scale })?;
        scatter(
            &score_grads.matmul(&k_segment)?,
            &segment.queries,
            n,
            &mut dq,
        )?;
        scatter(
            &score_grads.t()?.matmul(&q_segment)?,
            &segment.keys,
            n,
            &mut dk,
        )?;
    }
    Ok([
        Tensor::from_vec(dq, q.shape(), q.device())?,
        Tensor::from_vec(dk, k.shape(), k.device())?,
        Tensor::from_vec(dv, v.shape(), v.device())?,
    ])
}
