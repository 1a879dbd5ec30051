//! Qwen2 as a mixture of transformers: every weight twice, one attention over all tokens.
//!
//! Source: BAGEL `modeling/bagel/qwen2_navit.py`, `Qwen2MoTDecoderLayer` and `PackedAttentionMoT`.
//! Queries and keys are normed and rotated in f32 here, which upstream does only for drawn images.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Module, Result, Tensor, bail};
use candle_nn::VarBuilder;
use cooper_kernels::{
    Linear, Matrices, RmsNorm, RotaryEmbedding, Segments, TokenRows, Vocabulary, attention,
    keys_dtype, merge_heads, packed_attention, split_heads,
};

use super::experts::{Expert, ExpertRouting, ExpertTokens, PerExpert, expert_rows};
use super::kv_context::{KvContext, KvSizes};
use super::network::{DecoderExpert, DecoderLayer as LayerDescription, LanguageModel};
use super::weights::{matrix, rms_norm, table};

/// Everything before the attention: norm, projections, per-head norms.
#[derive(Clone, Debug)]
struct Projections {
    input_layernorm: RmsNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    q_norm: RmsNorm,
    k_norm: RmsNorm,
}

impl Projections {
    fn new(layer: &DecoderExpert, vb: &VarBuilder, matrices: &Matrices) -> Result<Self> {
        Ok(Self {
            input_layernorm: rms_norm(&layer.input_layernorm, vb)?,
            q_proj: matrix(&layer.q_proj, vb, matrices)?,
            k_proj: matrix(&layer.k_proj, vb, matrices)?,
            v_proj: matrix(&layer.v_proj, vb, matrices)?,
            q_norm: rms_norm(&layer.q_norm, vb)?,
            k_norm: rms_norm(&layer.k_norm, vb)?,
        })
    }

    /// (n, c) → queries (n, h·d), keys and values (n, kv·d), not normed yet.
    fn forward(&self, xs: &Tensor) -> Result<[Tensor; 3]> {
        let xs = self.input_layernorm.forward(xs)?;
        Linear::forward_all([&self.q_proj, &self.k_proj, &self.v_proj], &xs)
    }

    /// The norms of their heads.
    fn norms(&self) -> [Option<&RmsNorm>; 3] {
        [Some(&self.q_norm), Some(&self.k_norm), None]
    }
}

/// Norm and SwiGLU.
#[derive(Clone, Debug)]
struct FeedForward {
    post_attention_layernorm: RmsNorm,
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl FeedForward {
    fn new(layer: &DecoderExpert, vb: &VarBuilder, matrices: &Matrices) -> Result<Self> {
        Ok(Self {
            post_attention_layernorm: rms_norm(&layer.post_attention_layernorm, vb)?,
            gate_proj: matrix(&layer.gate_proj, vb, matrices)?,
            up_proj: matrix(&layer.up_proj, vb, matrices)?,
            down_proj: matrix(&layer.down_proj, vb, matrices)?,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let xs = self.post_attention_layernorm.forward(xs)?;
        Linear::gated([&self.gate_proj, &self.up_proj, &self.down_proj], &xs)
    }
}

#[derive(Clone, Debug)]
struct DecoderLayer {
    projections: PerExpert<Projections>,
    o_proj: PerExpert<Linear>,
    feed_forward: PerExpert<FeedForward>,
    head_dim: usize,
    /// Of keys and values.
    keys_dtype: DType,
}

impl DecoderLayer {
    fn new(layer: &LayerDescription, vb: &VarBuilder, matrices: &Matrices) -> Result<Self> {
        let experts = &layer.experts;
        Ok(Self {
            projections: experts.try_map(|expert| Projections::new(expert, vb, matrices))?,
            o_proj: experts.try_map(|expert| matrix(&expert.o_proj, vb, matrices))?,
            feed_forward: experts.try_map(|expert| FeedForward::new(expert, vb, matrices))?,
            head_dim: layer.head_dim,
            keys_dtype: layer_keys_dtype(layer, vb, matrices),
        })
    }

    /// (n, c) → (n, c)
    fn forward(
        &self,
        xs: &ExpertTokens,
        layer_idx: usize,
        blocks: &[Block],
    ) -> Result<ExpertTokens> {
        let xs = xs.add(&self.attend(xs, layer_idx, blocks)?)?;
        let hidden = self.feed_forward.apply(&xs, FeedForward::forward)?;
        xs.add(&hidden)
    }

    /// Attention from norm to projection, (n, c) → (n, c).
    fn attend(
        &self,
        xs: &ExpertTokens,
        layer_idx: usize,
        blocks: &[Block],
    ) -> Result<ExpertTokens> {
        // `model::memory` counts on it that nothing lives longer than it is needed.
        let attended = {
            let qkv = self.projections.apply(xs, Projections::forward)?;
            self.attended_values(&qkv, layer_idx, blocks)?
        };
        self.o_proj
            .apply(&attended, |o_proj, xs| o_proj.forward(xs))
    }

    /// The attention-weighted values of each token (n, h·d).
    fn attended_values(
        &self,
        qkv: &ExpertTokens<[Tensor; 3]>,
        layer_idx: usize,
        blocks: &[Block],
    ) -> Result<ExpertTokens> {
        let mut runs = Vec::new();
        let rows_of_blocks = expert_rows(blocks.iter().map(|block| block.routing));
        for (block, expert_rows) in blocks.iter().zip(rows_of_blocks) {
            let [q, k, v] = self.qkv(qkv, &expert_rows, block.angles)?;
            let attended = block.attends.attend(layer_idx, &q, k, v)?; // (h, n, d)
            let mut start = 0;
            for (expert, rows) in expert_rows {
                let end = start + rows.len();
                runs.push((expert, (attended.clone(), start..end)));
                start = end;
            }
        }
        ExpertTokens::try_from_fn(|expert| {
            let own = runs.iter().filter(|(other, _)| *other == expert);
            let own: Vec<_> = own.map(|(_, run)| run.clone()).collect();
            (!own.is_empty()).then(|| merge_heads(&own)).transpose()
        })
    }

    /// A block's rotated queries (h, n, d) in the dtype of `qkv`, rotated keys and values (kv, n, d) in theirs.
    fn qkv(
        &self,
        qkv: &ExpertTokens<[Tensor; 3]>,
        expert_rows: &[(Expert, Range<usize>)],
        angles: &(Tensor, Tensor),
    ) -> Result<[Tensor; 3]> {
        let part = |i: usize, angles: Option<&(Tensor, Tensor)>, dtype: Option<DType>| {
            let runs = expert_rows.iter().map(|(expert, rows)| {
                let projected = &qkv.tokens(*expert)?[i];
                Ok(TokenRows {
                    rows: projected.narrow(0, rows.start, rows.len())?,
                    norm: self.projections.get(*expert).norms()[i],
                })
            });
            let runs = runs.collect::<Result<Vec<_>>>()?;
            split_heads(&runs, self.head_dim, angles, dtype)
        };
        let keys_dtype = Some(self.keys_dtype);
        Ok([
            part(0, Some(angles), None)?,
            part(1, Some(angles), keys_dtype)?,
            part(2, None, keys_dtype)?,
        ])
    }
}

/// The number format of a layer's keys and values.
fn layer_keys_dtype(layer: &LayerDescription, vb: &VarBuilder, matrices: &Matrices) -> DType {
    let precision = matrices.key_precision();
    keys_dtype(vb.dtype(), precision, layer.head_dim, vb.device())
}

/// Tokens around an image's own: one before, one behind.
pub const N_MARKERS: usize = 2;

/// What the tokens of a block attend to.
#[derive(Clone, Copy, Debug)]
pub enum Attends<'a> {
    /// This context, whose last tokens they are: their keys and values are written there. All of it, or what a mask
    /// (n, len) allows.
    Context(&'a KvContext, Option<&'a Tensor>),
    /// This context and each other; the context stays as it is.
    Behind(&'a KvContext),
    /// Within segments. For training: f32 on the CPU.
    Segments(&'a Arc<Segments>),
}

impl Attends<'_> {
    /// Attention of rotated queries (h, n, d) in a layer, given their own keys and values (kv, n, d): (h, n, d).
    fn attend(&self, layer_idx: usize, q: &Tensor, k: Tensor, v: Tensor) -> Result<Tensor> {
        match self {
            Self::Context(context, mask) => {
                let (k, v) = context.write(layer_idx, &k, &v)?;
                attention(q, &k, &v, *mask)
            }
            Self::Behind(context) => {
                let (k, v) = match context.layer(layer_idx)? {
                    Some((ks, vs)) => (Tensor::cat(&[ks, k], 1)?, Tensor::cat(&[vs, v], 1)?),
                    None => (k, v),
                };
                attention(q, &k, &v, None)
            }
            Self::Segments(segments) => packed_attention(q, &k, &v, segments),
        }
    }
}

/// A block of tokens on its way through the layers.
#[derive(Debug)]
pub struct Block<'a> {
    /// The expert of each token.
    pub routing: &'a ExpertRouting,
    /// Cosines and sines (n, d/2) of each token's rope position, see [`Qwen2Mot::angles`].
    pub angles: &'a (Tensor, Tensor),
    /// What its tokens attend to.
    pub attends: Attends<'a>,
}

/// The decoder with its embedding and head.
#[derive(Clone, Debug)]
pub struct Qwen2Mot {
    embed_tokens: Vocabulary,
    layers: Vec<DecoderLayer>,
    norm: PerExpert<RmsNorm>,
    lm_head: Vocabulary,
    rotary: RotaryEmbedding,
    kv_sizes: KvSizes,
}

impl Qwen2Mot {
    /// Reads the layers of a description; quantised matrices from `matrices`.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn new(network: &LanguageModel, vb: &VarBuilder, matrices: &Matrices) -> Result<Self> {
        let Some(first) = network.decoder.first() else {
            bail!("language model: expected at least one decoder layer, got none");
        };
        let layers = network.decoder.iter();
        let layers = layers.map(|layer| DecoderLayer::new(layer, vb, matrices));
        Ok(Self {
            embed_tokens: Vocabulary::new(table(&network.embed_tokens, vb)?)?,
            layers: layers.collect::<Result<_>>()?,
            norm: network.norm.try_map(|norm| rms_norm(norm, vb))?,
            lm_head: Vocabulary::new(table(&network.lm_head, vb)?)?.with_quantized_head(),
            rotary: RotaryEmbedding::new(network.rope_theta, first.head_dim, vb.device())?,
            kv_sizes: KvSizes {
                n_layers: network.decoder.len(),
                n_heads: first.n_key_heads,
                head_dim: first.head_dim,
                dtype: layer_keys_dtype(first, vb, matrices),
                device: vb.device().clone(),
            },
        })
    }

    /// The embeddings (n, c) of token ids.
    ///
    /// # Errors
    /// If an id is outside the vocabulary.
    pub fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        self.embed_tokens.embed(ids)
    }

    /// Bytes that a token reads for each of the head's numbers, and for each in keys and values.
    pub fn number_sizes(&self) -> (f64, usize) {
        (
            self.lm_head.argmax_bytes_per_number(),
            self.kv_sizes.dtype.size_in_bytes(),
        )
    }

    /// Cosines and sines (n, d/2) of rope positions (n).
    ///
    /// # Errors
    /// If the device fails.
    pub fn angles(&self, positions: &[u32]) -> Result<(Tensor, Tensor)> {
        self.rotary.angles(positions)
    }

    /// `context` with `n` more tokens, which take `n_positions`, for a block that [`Attends::Context`] writes there.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn grown(&self, context: &KvContext, n: usize, n_positions: u32) -> Result<KvContext> {
        context.grown(n, n_positions, &self.kv_sizes)
    }

    /// The embeddings (n, c) of blocks that go through the layers side by side, one block's tokens behind the other's →
    /// normed hidden states (n, c).
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn forward(&self, embeds: ExpertTokens, blocks: &[Block]) -> Result<ExpertTokens> {
        let mut xs = embeds;
        for (layer_idx, layer) in self.layers.iter().enumerate() {
            xs = layer.forward(&xs, layer_idx, blocks)?;
        }
        self.norm.apply(&xs, RmsNorm::forward)
    }

    /// Hidden states (n, c) → logits (n, vocab), f32.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.lm_head.logits(hidden)
    }

    /// Of the first `n` tokens the one with the largest logit for one hidden state (1, c); the first of equal ones.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn argmax(&self, hidden: &Tensor, n: usize) -> Result<u32> {
        self.lm_head.argmax(hidden, n)
    }
}
