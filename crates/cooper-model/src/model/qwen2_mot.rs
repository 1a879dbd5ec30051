//! Qwen2 as a mixture of transformers: every weight twice, one attention over all tokens.
//!
//! Source: BAGEL `modeling/bagel/qwen2_navit.py`, `Qwen2MoTDecoderLayer` and `PackedAttentionMoT`.
//! Queries and keys are normed and rotated in f32 here, which upstream does only for drawn images.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Module, Result, Tensor};
use candle_nn::VarBuilder;
use cooper_kernels::{
    HeadRows, Linear, Matrices, RmsNorm, RotaryEmbedding, Segments, Vocabulary, attention,
    head_rows, heads, keys_dtype, packed_attention,
};

use super::config::LlmConfig;
use super::experts::{Expert, ExpertRouting, ExpertTokens, PerExpert, places};
use super::kv_context::{KvContext, KvSizes};

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
    fn new(config: &LlmConfig, suffix: &str, vb: &VarBuilder, matrices: &Matrices) -> Result<Self> {
        let (c, d, eps) = (config.hidden_size, config.head_dim(), config.rms_norm_eps);
        let (h, kv) = (config.num_attention_heads, config.num_key_value_heads);
        let named = |name: &str| vb.pp(format!("self_attn.{name}{suffix}"));
        Ok(Self {
            input_layernorm: RmsNorm::new(c, eps, vb.pp(format!("input_layernorm{suffix}")))?,
            q_proj: matrices.linear(c, h * d, named("q_proj"))?,
            k_proj: matrices.linear(c, kv * d, named("k_proj"))?,
            v_proj: matrices.linear(c, kv * d, named("v_proj"))?,
            q_norm: RmsNorm::new(d, eps, named("q_norm"))?,
            k_norm: RmsNorm::new(d, eps, named("k_norm"))?,
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
    fn new(config: &LlmConfig, suffix: &str, vb: &VarBuilder, matrices: &Matrices) -> Result<Self> {
        let (c, i) = (config.hidden_size, config.intermediate_size);
        let norm = vb.pp(format!("post_attention_layernorm{suffix}"));
        let mlp = vb.pp(format!("mlp{suffix}"));
        Ok(Self {
            post_attention_layernorm: RmsNorm::new(c, config.rms_norm_eps, norm)?,
            gate_proj: matrices.linear_no_bias(c, i, mlp.pp("gate_proj"))?,
            up_proj: matrices.linear_no_bias(c, i, mlp.pp("up_proj"))?,
            down_proj: matrices.linear_no_bias(i, c, mlp.pp("down_proj"))?,
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
    fn new(config: &LlmConfig, vb: VarBuilder, matrices: &Matrices) -> Result<Self> {
        let c = config.hidden_size;
        let o_proj = |suffix: &str| {
            matrices.linear_no_bias(c, c, vb.pp(format!("self_attn.o_proj{suffix}")))
        };
        Ok(Self {
            projections: PerExpert::new(|suffix| Projections::new(config, suffix, &vb, matrices))?,
            o_proj: PerExpert::new(o_proj)?,
            feed_forward: PerExpert::new(|suffix| FeedForward::new(config, suffix, &vb, matrices))?,
            head_dim: config.head_dim(),
            keys_dtype: of_keys(config, &vb, matrices),
        })
    }

    /// (n, c) → (n, c)
    fn forward(
        &self,
        xs: &ExpertTokens,
        layer_idx: usize,
        blocks: &[Block],
    ) -> Result<ExpertTokens> {
        let xs = xs.plus(&self.attend(xs, layer_idx, blocks)?)?;
        let thought = self.feed_forward.on(&xs, FeedForward::forward)?;
        xs.plus(&thought)
    }

    /// Attention from norm to projection, (n, c) → (n, c).
    fn attend(
        &self,
        xs: &ExpertTokens,
        layer_idx: usize,
        blocks: &[Block],
    ) -> Result<ExpertTokens> {
        // Nothing is kept longer than it is needed: `model::memory` counts on it.
        let seen = {
            let qkv = self.projections.on(xs, Projections::forward)?;
            self.attended_values(&qkv, layer_idx, blocks)?
        };
        self.o_proj.on(&seen, |o_proj, xs| o_proj.forward(xs))
    }

    /// The attention-weighted values of each token (n, h·d).
    fn attended_values(
        &self,
        qkv: &ExpertTokens<[Tensor; 3]>,
        layer_idx: usize,
        blocks: &[Block],
    ) -> Result<ExpertTokens> {
        let mut all_seen = Vec::new();
        let routings = places(blocks.iter().map(|block| block.routing));
        for (block, places) in blocks.iter().zip(routings) {
            let [q, k, v] = self.qkv(qkv, &places, block.angles)?;
            let seen = block.attends.attend(layer_idx, &q, k, v)?; // (h, n, d)
            let mut start = 0;
            for (expert, place) in places {
                let end = start + place.len();
                all_seen.push((expert, (seen.clone(), start..end)));
                start = end;
            }
        }
        ExpertTokens::from(|expert| {
            let own = all_seen.iter().filter(|(of_run, _)| *of_run == expert);
            let own: Vec<_> = own.map(|(_, run)| run.clone()).collect();
            (!own.is_empty()).then(|| head_rows(&own)).transpose()
        })
    }

    /// A block's rotated queries (h, n, d) in the dtype of `qkv`, rotated keys and values (kv, n, d) in theirs.
    fn qkv(
        &self,
        qkv: &ExpertTokens<[Tensor; 3]>,
        places: &[(Expert, Range<usize>)],
        angles: &(Tensor, Tensor),
    ) -> Result<[Tensor; 3]> {
        let part = |i: usize, angles: Option<&(Tensor, Tensor)>, dtype: Option<DType>| {
            let runs = places.iter().map(|(expert, place)| {
                let rows = &qkv.tokens(*expert)?[i];
                Ok(HeadRows {
                    rows: rows.narrow(0, place.start, place.len())?,
                    norm: self.projections.of(*expert).norms()[i],
                })
            });
            let runs = runs.collect::<Result<Vec<_>>>()?;
            heads(&runs, self.head_dim, angles, dtype)
        };
        let keys_dtype = Some(self.keys_dtype);
        Ok([
            part(0, Some(angles), None)?,
            part(1, Some(angles), keys_dtype)?,
            part(2, None, keys_dtype)?,
        ])
    }
}

/// The number format of keys and values.
fn of_keys(config: &LlmConfig, vb: &VarBuilder, matrices: &Matrices) -> DType {
    let are_quantized = matrices.are_quantized();
    keys_dtype(vb.dtype(), are_quantized, config.head_dim(), vb.device())
}

/// Tokens around an image's own: one before, one behind.
pub const N_MARKERS: usize = 2;

/// What the tokens of a block see.
#[derive(Clone, Copy, Debug)]
pub enum Attends<'a> {
    /// They are the last of this context, and their keys and values are written there. They see all of it, or what
    /// a mask (n, len) lets them.
    Context(&'a KvContext, Option<&'a Tensor>),
    /// This context and each other; they leave nothing behind.
    Behind(&'a KvContext),
    /// Within segments. For training: f32 on the CPU.
    Segments(&'a Arc<Segments>),
}

impl Attends<'_> {
    /// What rotated queries (h, n, d) see of a layer, given their own keys and values (kv, n, d): (h, n, d).
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
    /// Who sees whom.
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
    /// Reads `model.*` and `lm_head`; the layers' matrices from `matrices`.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn new(config: &LlmConfig, vb: VarBuilder, matrices: &Matrices) -> Result<Self> {
        let (c, vocab) = (config.hidden_size, config.vocab_size);
        let model = vb.pp("model");
        let layers = (0..config.num_hidden_layers)
            .map(|i| DecoderLayer::new(config, model.pp(format!("layers.{i}")), matrices));
        let norm =
            |suffix: &str| RmsNorm::new(c, config.rms_norm_eps, model.pp(format!("norm{suffix}")));
        Ok(Self {
            embed_tokens: Vocabulary::new(model.get((vocab, c), "embed_tokens.weight")?)?,
            layers: layers.collect::<Result<_>>()?,
            norm: PerExpert::new(norm)?,
            lm_head: Vocabulary::new(vb.get((vocab, c), "lm_head.weight")?)?.drafted(),
            rotary: RotaryEmbedding::new(config.rope_theta, config.head_dim(), vb.device())?,
            kv_sizes: KvSizes {
                n_layers: config.num_hidden_layers,
                n_heads: config.num_key_value_heads,
                head_dim: config.head_dim(),
                dtype: of_keys(config, &vb, matrices),
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
            self.lm_head.likeliest_bytes(),
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
        self.norm.on(&xs, RmsNorm::forward)
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
