//! Qwen2 as a mixture of transformers: every weight twice, one attention over all tokens.
//!
//! Source: BAGEL `modeling/bagel/qwen2_navit.py`, `Qwen2MoTDecoderLayer` and `PackedAttentionMoT`.
//! Queries and keys are normed and rotated in f32 here, which upstream does only for drawn pictures.

use std::sync::Arc;

use candle_core::{DType, Error, Module, Result, Tensor};
use candle_nn::VarBuilder;

use super::config::LlmConfig;
use super::kv_context::KvContext;
use super::kv_context::KvSizes;
use crate::tensor::Linear;
use crate::tensor::Matrices;
use crate::tensor::RmsNorm;
use crate::tensor::RotaryEmbedding;
use crate::tensor::Units;
use crate::tensor::Vocabulary;
use crate::tensor::attention;
use crate::tensor::keys_dtype;
use crate::tensor::packed_attention;
use crate::tensor::rope::rotate;

/// Which copy of the weights a token uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expert {
    /// Text, picture markers and ViT tokens (plain names in the checkpoint).
    Und,
    /// Latent tokens, clean or noisy (`_moe_gen` in the checkpoint).
    Gen,
}

/// Consecutive runs of tokens, each with its expert: how a block of tokens is split.
pub type Route = [(Expert, usize)];

/// Two copies of a part.
#[derive(Clone, Debug)]
struct PerExpert<T> {
    und: T,
    r#gen: T,
}

impl<T> PerExpert<T> {
    /// Build both copies; `build` gets the suffix of the checkpoint's names.
    fn new(build: impl Fn(&str) -> Result<T>) -> Result<Self> {
        Ok(Self {
            und: build("")?,
            r#gen: build("_moe_gen")?,
        })
    }

    /// Send each token of `xs` (n, c) through its expert; `apply` maps (m, c) to (m, c').
    fn route(
        &self,
        xs: &Tensor,
        route: &Route,
        apply: impl Fn(&T, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        if route.iter().all(|(expert, _)| *expert == Expert::Und) {
            return apply(&self.und, xs);
        }
        let und = self.through(Expert::Und, &self.und, xs, route, &apply)?;
        let r#gen = self.through(Expert::Gen, &self.r#gen, xs, route, &apply)?;
        let (mut und_start, mut gen_start) = (0, 0);
        let mut parts = Vec::with_capacity(route.len());
        for (expert, n) in route {
            let (of_expert, start) = match expert {
                Expert::Und => (&und, &mut und_start),
                Expert::Gen => (&r#gen, &mut gen_start),
            };
            if let Some(of_expert) = of_expert {
                parts.push(of_expert.narrow(0, *start, *n)?);
            }
            *start += n;
        }
        Tensor::cat(&parts, 0)
    }

    /// All tokens of one expert, one behind the other, through its part; none if it has no tokens.
    fn through(
        &self,
        expert: Expert,
        part: &T,
        xs: &Tensor,
        route: &Route,
        apply: impl Fn(&T, &Tensor) -> Result<Tensor>,
    ) -> Result<Option<Tensor>> {
        let mut start = 0;
        let mut runs = Vec::new();
        for (of_run, n) in route {
            if *of_run == expert {
                runs.push(xs.narrow(0, start, *n)?);
            }
            start += n;
        }
        if runs.is_empty() {
            return Ok(None);
        }
        apply(part, &Tensor::cat(&runs, 0)?).map(Some)
    }
}

/// Everything before the attention: norm, projections, per-head norms.
#[derive(Clone, Debug)]
struct Projections {
    input_layernorm: RmsNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    q_norm: RmsNorm,
    k_norm: RmsNorm,
    head_dim: usize,
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
            head_dim: d,
        })
    }

    /// (n, c) → queries, keys and values beside each other (n, (h + 2 kv)·d), f32.
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let xs = self.input_layernorm.forward(xs)?;
        let [q, k, v] = Linear::forward_all([&self.q_proj, &self.k_proj, &self.v_proj], &xs)?;
        let (q, k) = (self.normed(q, &self.q_norm)?, self.normed(k, &self.k_norm)?);
        Tensor::cat(&[q, k, v.to_dtype(DType::F32)?], 1)
    }

    fn normed(&self, heads: Tensor, norm: &RmsNorm) -> Result<Tensor> {
        let heads = heads.to_dtype(DType::F32)?;
        let (n, width) = heads.dims2()?;
        let d = self.head_dim;
        norm.forward(&heads.reshape((n, width / d, d))?)?
            .reshape((n, width))
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
    n_heads: usize,
    n_kv_heads: usize,
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
            n_heads: config.num_attention_heads,
            n_kv_heads: config.num_key_value_heads,
            head_dim: config.head_dim(),
            keys_dtype: of_keys(config, &vb, matrices),
        })
    }

    /// (n, c) → (n, c)
    fn forward(&self, xs: &Tensor, layer_idx: usize, block: &Block) -> Result<Tensor> {
        let (q, k, v) = self.qkv(xs, block.route, block.angles)?;
        let seen = match block.sight {
            Sight::Context(context, mask) => {
                let (k, v) = context.write(layer_idx, &k, &v)?;
                attention(&q, &k, &v, mask)?
            }
            Sight::Branches(contexts) => branches(contexts, layer_idx, &q, &k, &v)?,
            Sight::Units(units) => packed_attention(&q, &k, &v, units)?,
        };
        let (n, c) = xs.dims2()?;
        let seen = seen.transpose(0, 1)?.reshape((n, c))?; // from (h, n, d)
        let seen = self
            .o_proj
            .route(&seen, block.route, |o, xs| o.forward(xs))?;
        let xs = (xs + seen)?;
        let thought = self
            .feed_forward
            .route(&xs, block.route, FeedForward::forward)?;
        xs + thought
    }

    /// Rotated queries (h, n, d) in the dtype of `xs`, rotated keys and values (kv, n, d) in theirs.
    fn qkv(
        &self,
        xs: &Tensor,
        route: &Route,
        (cos, sin): &(Tensor, Tensor),
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let n = xs.dim(0)?;
        let (h, kv, d) = (self.n_heads, self.n_kv_heads, self.head_dim);
        let qkv = self
            .projections
            .route(xs, route, Projections::forward)?
            .reshape((n, h + 2 * kv, d))?
            .transpose(0, 1)?; // (h + 2 kv, n, d)
        let q = rotate(&qkv.narrow(0, 0, h)?, cos, sin)?.to_dtype(xs.dtype())?;
        let k = rotate(&qkv.narrow(0, h, kv)?, cos, sin)?.to_dtype(self.keys_dtype)?;
        let v = qkv
            .narrow(0, h + kv, kv)?
            .contiguous()?
            .to_dtype(self.keys_dtype)?;
        Ok((q, k, v))
    }
}

/// The number format of keys and values.
fn of_keys(config: &LlmConfig, vb: &VarBuilder, matrices: &Matrices) -> DType {
    let are_quantized = matrices.are_quantized();
    keys_dtype(vb.dtype(), are_quantized, config.head_dim(), vb.device())
}

/// Attend branches side by side ([`Sight::Branches`]): queries (h, n, d), keys and values (kv, n, d).
fn branches(
    contexts: &[&KvContext],
    layer_idx: usize,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
) -> Result<Tensor> {
    let n_markers = N_MARKERS * contexts.len();
    let n_latents = (q.dim(1)? - n_markers) / contexts.len();
    let (mut of_markers, mut of_latents) = (Vec::new(), Vec::new());
    for (i, context) in contexts.iter().enumerate() {
        let own = |xs: &Tensor| {
            let latents = xs.narrow(1, n_markers + i * n_latents, n_latents)?;
            Ok::<_, Error>([xs.narrow(1, i * N_MARKERS, N_MARKERS)?, latents])
        };
        let (mut ks, mut vs) = (own(k)?.to_vec(), own(v)?.to_vec());
        if let Some((k, v)) = context.layer(layer_idx)? {
            ks.insert(0, k);
            vs.insert(0, v);
        }
        let q = Tensor::cat(&own(q)?, 1)?;
        let seen = attention(&q, &Tensor::cat(&ks, 1)?, &Tensor::cat(&vs, 1)?, None)?;
        of_markers.push(seen.narrow(1, 0, N_MARKERS)?);
        of_latents.push(seen.narrow(1, N_MARKERS, n_latents)?);
    }
    of_markers.extend(of_latents);
    Tensor::cat(&of_markers, 1)
}

/// Tokens around a picture's own: one before, one behind.
pub const N_MARKERS: usize = 2;

/// What the tokens of a block see.
#[derive(Clone, Copy, Debug)]
pub enum Sight<'a> {
    /// They are the last of this context, and their keys and values are written there. They see all of it, or what
    /// a mask (n, len) lets them.
    Context(&'a KvContext, Option<&'a Tensor>),
    /// A drawing's branches side by side: the markers of all, then the latents of all, as many in each. A branch sees
    /// its context and itself, and leaves nothing behind.
    Branches(&'a [&'a KvContext]),
    /// Within units. For training: f32 on the CPU.
    Units(&'a Arc<Units>),
}

/// A block of tokens on its way through the layers.
#[derive(Debug)]
pub struct Block<'a> {
    /// The expert of each token.
    pub route: &'a Route,
    /// Cosines and sines (n, d/2) of each token's rope position, see [`Qwen2Mot::angles`].
    pub angles: &'a (Tensor, Tensor),
    /// Who sees whom.
    pub sight: Sight<'a>,
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
            lm_head: Vocabulary::new(vb.get((vocab, c), "lm_head.weight")?)?,
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

    /// Cosines and sines (n, d/2) of rope positions (n).
    ///
    /// # Errors
    /// If the device fails.
    pub fn angles(&self, positions: &[u32]) -> Result<(Tensor, Tensor)> {
        self.rotary.angles(positions)
    }

    /// `context` with `n` more tokens, which take `n_positions`, for a block that [`Sight::Context`] writes there.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn grown(&self, context: &KvContext, n: usize, n_positions: u32) -> Result<KvContext> {
        context.grown(n, n_positions, &self.kv_sizes)
    }

    /// (n, c) → normed hidden states (n, c).
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn forward(&self, embeds: Tensor, block: &Block) -> Result<Tensor> {
        let mut xs = embeds;
        for (layer_idx, layer) in self.layers.iter().enumerate() {
            xs = layer.forward(&xs, layer_idx, block)?;
        }
        self.norm.route(&xs, block.route, RmsNorm::forward)
    }

    /// Hidden states (n, c) → logits (n, vocab), f32.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.lm_head.logits(hidden)
    }
}
