//! What the model has read so far, as a value.
//!
//! Keys and values lie in buffers with room behind them, which forks share: each sees the rows up to its own length.
//! Rows are claimed before they are written, once each, so what a context sees is never written again. Who appends
//! first takes the room behind the shared rows and copies nothing; who comes later moves to a buffer of its own.
//! (Candle's own `KvCache` writes in place and cannot be forked.)

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Result, Tensor, bail};

/// A new buffer has room for this part of its rows again, between [`LEAST_ROOM`] and [`MOST_ROOM`].
const ROOM_PART: usize = 4;
/// Tokens.
const LEAST_ROOM: usize = 64;
/// Tokens.
const MOST_ROOM: usize = 1024;

/// Tokens that a new buffer for `len` tokens has room for.
pub(super) fn buffer_tokens(len: usize) -> usize {
    len + (len / ROOM_PART).clamp(LEAST_ROOM, MOST_ROOM)
}

/// Keys and values of every layer, and where the next token stands.
#[derive(Clone, Debug, Default)]
pub struct KvContext {
    /// None before the first token.
    rows: Option<Arc<Rows>>,
    len: usize,
    next_position: u32,
}

/// Buffers that forks share.
#[derive(Debug)]
struct Rows {
    /// Per layer: keys after rope and values, each (kv, capacity, d).
    layers: Vec<(Tensor, Tensor)>,
    capacity: usize,
    /// Rows that belong to somebody.
    claimed: AtomicUsize,
}

/// The sizes of a model's keys and values.
#[derive(Clone, Debug)]
pub struct KvSizes {
    /// Decoder layers.
    pub n_layers: usize,
    /// Key and value heads.
    pub n_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Their number format.
    pub dtype: DType,
    /// Where they are.
    pub device: Device,
}

impl Rows {
    fn empty(capacity: usize, n_claimed: usize, sizes: &KvSizes) -> Result<Self> {
        let shape = (sizes.n_heads, capacity, sizes.head_dim);
        let buffer = || Tensor::zeros(shape, sizes.dtype, &sizes.device);
        let layers = (0..sizes.n_layers).map(|_| Ok((buffer()?, buffer()?)));
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            capacity,
            claimed: AtomicUsize::new(n_claimed),
        })
    }

    /// Take the rows from `start` to `end`, if there is room and nobody has them.
    fn claim(&self, start: usize, end: usize) -> bool {
        let order = (Ordering::AcqRel, Ordering::Relaxed);
        let claimed = &self.claimed;
        end <= self.capacity
            && claimed
                .compare_exchange(start, end, order.0, order.1)
                .is_ok()
    }
}

impl KvContext {
    /// Tokens read.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The rope position of the next token. A whole image block takes one.
    pub fn next_position(&self) -> u32 {
        self.next_position
    }

    /// Keys and values of a layer, each (kv, len, d), if anything was read.
    ///
    /// # Errors
    /// If the device fails.
    pub fn layer(&self, layer_idx: usize) -> Result<Option<(Tensor, Tensor)>> {
        let buffers = self.rows.as_ref().and_then(|r| r.layers.get(layer_idx));
        let seen = |buffer: &Tensor| buffer.narrow(1, 0, self.len);
        buffers.map(|(k, v)| Ok((seen(k)?, seen(v)?))).transpose()
    }

    /// The first `len` tokens, where those behind them are text: each takes a position.
    pub fn cut(&self, len: usize) -> Self {
        let n_cut = self.len.saturating_sub(len);
        Self {
            rows: self.rows.clone(),
            len: self.len - n_cut,
            next_position: self.next_position - n_cut as u32,
        }
    }

    /// Bytes of the buffers that it holds, alone or with others.
    pub fn n_bytes(&self) -> usize {
        let layers = self.rows.iter().flat_map(|rows| &rows.layers);
        let n_bytes = |t: &Tensor| t.elem_count() * t.dtype().size_in_bytes();
        layers.map(|(k, v)| n_bytes(k) + n_bytes(v)).sum()
    }

    /// The context with `n` more tokens, which take `n_positions` and must be written with [`Self::write`].
    pub(super) fn grown(&self, n: usize, n_positions: u32, sizes: &KvSizes) -> Result<Self> {
        let len = self.len + n;
        let rows = match &self.rows {
            Some(rows) if rows.claim(self.len, len) => rows.clone(),
            _ => Arc::new(self.moved(len, sizes)?),
        };
        Ok(Self {
            rows: Some(rows),
            len,
            next_position: self.next_position + n_positions,
        })
    }

    /// A copy of the rows in buffers with room, `len` of them claimed.
    fn moved(&self, len: usize, sizes: &KvSizes) -> Result<Rows> {
        let rows = Rows::empty(buffer_tokens(len), len, sizes)?;
        for (layer_idx, (to_k, to_v)) in rows.layers.iter().enumerate() {
            if let Some((k, v)) = self.layer(layer_idx)? {
                to_k.slice_set(&k.contiguous()?, 1, 0)?;
                to_v.slice_set(&v.contiguous()?, 1, 0)?;
            }
        }
        Ok(rows)
    }

    /// Write a layer's keys and values (kv, n, d) of the last `n` tokens; all of them, each (kv, len, d).
    pub(super) fn write(
        &self,
        layer_idx: usize,
        k: &Tensor,
        v: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let buffers = self.rows.as_ref().and_then(|r| r.layers.get(layer_idx));
        let (Some((to_k, to_v)), Some(start)) = (buffers, self.len.checked_sub(k.dim(1)?)) else {
            bail!(
                "context: expected room for {} tokens, got none: none was made",
                k.dim(1)?
            );
        };
        // Plain values: a context must not keep an autograd graph alive.
        to_k.slice_set(&k.contiguous()?, 1, start)?;
        to_v.slice_set(&v.contiguous()?, 1, start)?;
        Ok((to_k.narrow(1, 0, self.len)?, to_v.narrow(1, 0, self.len)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes() -> KvSizes {
        KvSizes {
            n_layers: 1,
            n_heads: 2,
            head_dim: 3,
            dtype: DType::F32,
            device: Device::Cpu,
        }
    }

    /// `n` tokens of this value behind `context`.
    fn with(context: &KvContext, n: usize, value: f32) -> KvContext {
        let grown = context.grown(n, n as u32, &sizes()).unwrap();
        let rows = Tensor::full(value, (2, n, 3), &Device::Cpu).unwrap();
        grown.write(0, &rows, &rows).unwrap();
        grown
    }

    /// The first number of each token.
    fn seen(context: &KvContext) -> Vec<f32> {
        let (k, _) = context.layer(0).unwrap().unwrap();
        let head = k.get(1).unwrap().to_vec2::<f32>().unwrap();
        head.iter().map(|token| token[0]).collect()
    }

    fn is_shared(a: &KvContext, b: &KvContext) -> bool {
        Arc::ptr_eq(a.rows.as_ref().unwrap(), b.rows.as_ref().unwrap())
    }

    #[test]
    fn the_first_fork_takes_the_room_and_the_second_moves() {
        let parent = with(&KvContext::default(), 2, 1.0);
        let (first, second) = (with(&parent, 1, 2.0), with(&parent, 2, 3.0));
        let longer = with(&first, 1, 4.0);
        assert_eq!(seen(&parent), [1.0, 1.0]);
        assert_eq!(seen(&first), [1.0, 1.0, 2.0]);
        assert_eq!(seen(&second), [1.0, 1.0, 3.0, 3.0]);
        assert_eq!(seen(&longer), [1.0, 1.0, 2.0, 4.0]);
        assert!(is_shared(&parent, &first) && is_shared(&first, &longer));
        assert!(!is_shared(&parent, &second));
        assert_eq!((longer.len(), longer.next_position()), (4, 4));
    }

    #[test]
    fn a_full_buffer_is_left_for_a_larger_one() {
        let mut context = with(&KvContext::default(), 1, 0.0);
        let parent = context.clone();
        for i in 1..LEAST_ROOM + 2 {
            assert_eq!(is_shared(&context, &parent), i < LEAST_ROOM + 2);
            context = with(&context, 1, i as f32);
        }
        assert!(!is_shared(&context, &parent));
        let expected: Vec<f32> = (0..LEAST_ROOM + 2).map(|i| i as f32).collect();
        assert_eq!(seen(&context), expected);
    }
}
