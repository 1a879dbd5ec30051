//! What the model has read so far, as a value.
//!
//! Appending makes new tensors and never writes into old ones, so a clone is a fork that copies no data
//! and no forward can change a fork's parent. (Candle's own `KvCache` writes in place and cannot do this.)

use candle_core::{Result, Tensor};

/// Keys and values of every layer, and where the next token stands.
#[derive(Clone, Debug, Default)]
pub struct KvContext {
    /// Per layer: keys after rope and values, each (kv, len, d). Empty before the first token.
    layers: Vec<(Tensor, Tensor)>,
    len: usize,
    next_position: u32,
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

    /// The rope position of the next token. A whole picture block takes one.
    pub fn next_position(&self) -> u32 {
        self.next_position
    }

    /// Keys and values of a layer, each (kv, len, d), if anything was read.
    pub fn layer(&self, layer_idx: usize) -> Option<&(Tensor, Tensor)> {
        self.layers.get(layer_idx)
    }

    /// The context after `n` more tokens that took `n_positions`; `layers` holds old and new tokens.
    pub(super) fn extended(layers: Vec<(Tensor, Tensor)>, len: usize, next_position: u32) -> Self {
        // A cache must not keep an autograd graph alive.
        let layers = layers.into_iter().map(|(k, v)| (k.detach(), v.detach()));
        Self {
            layers: layers.collect(),
            len,
            next_position,
        }
    }

    /// Keys and values of a layer with `k` and `v` (kv, n, d) behind them.
    pub(super) fn joined(
        &self,
        layer_idx: usize,
        k: Tensor,
        v: Tensor,
    ) -> Result<(Tensor, Tensor)> {
        match self.layer(layer_idx) {
            Some((past_k, past_v)) => Ok((
                Tensor::cat(&[past_k, &k], 1)?,
                Tensor::cat(&[past_v, &v], 1)?,
            )),
            None => Ok((k, v)),
        }
    }
}
