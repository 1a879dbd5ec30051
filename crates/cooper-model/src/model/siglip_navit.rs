//! SigLIP as a NaViT: any grid of patches, positions from a learned table, no pooling.
//!
//! Source: BAGEL `modeling/bagel/siglip_navit.py` with `rope = false`; one layer fewer than the config lists.

use candle_core::{Module, Result, Tensor};
use candle_nn::{Linear, VarBuilder, linear};
use cooper_kernels::{AttentionMask, LayerNorm, gelu};

use super::config::VitConfig;

#[derive(Clone, Debug)]
struct EncoderLayer {
    layer_norm1: LayerNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    n_heads: usize,
}

impl EncoderLayer {
    fn new(config: &VitConfig, vb: VarBuilder) -> Result<Self> {
        let (c, i, eps) = (
            config.hidden_size,
            config.intermediate_size,
            config.layer_norm_eps,
        );
        let attn = vb.pp("self_attn");
        Ok(Self {
            layer_norm1: LayerNorm::new(c, eps, vb.pp("layer_norm1"))?,
            q_proj: linear(c, c, attn.pp("q_proj"))?,
            k_proj: linear(c, c, attn.pp("k_proj"))?,
            v_proj: linear(c, c, attn.pp("v_proj"))?,
            out_proj: linear(c, c, attn.pp("out_proj"))?,
            layer_norm2: LayerNorm::new(c, eps, vb.pp("layer_norm2"))?,
            fc1: linear(c, i, vb.pp("mlp.fc1"))?,
            fc2: linear(i, c, vb.pp("mlp.fc2"))?,
            n_heads: config.num_attention_heads,
        })
    }

    fn forward(&self, xs: &Tensor, seen: AttentionMask) -> Result<Tensor> {
        let (n, c) = xs.dims2()?;
        let normed = self.layer_norm1.forward(xs)?;
        let heads = |proj: &Linear| {
            proj.forward(&normed)?
                .reshape((n, self.n_heads, c / self.n_heads))?
                .transpose(0, 1)?
                .contiguous() // (h, n, d)
        };
        let (q, k, v) = (
            heads(&self.q_proj)?,
            heads(&self.k_proj)?,
            heads(&self.v_proj)?,
        );
        let seen = seen.attend(&q, &k, &v)?.transpose(0, 1)?.reshape((n, c))?;
        let xs = (xs + self.out_proj.forward(&seen)?)?;
        let thought = self.fc1.forward(&self.layer_norm2.forward(&xs)?)?;
        xs + self.fc2.forward(&gelu(&thought)?)?
    }
}

/// The encoder.
#[derive(Clone, Debug)]
pub struct SiglipNavit {
    patch_embedding: Linear,
    position_embedding: Tensor,
    layers: Vec<EncoderLayer>,
    post_layernorm: LayerNorm,
}

impl SiglipNavit {
    /// Reads `vision_model.*`; `n_positions` is the learned table's rows.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn new(config: &VitConfig, n_positions: usize, vb: VarBuilder) -> Result<Self> {
        let vb = vb.pp("vision_model");
        let c = config.hidden_size;
        let patch_len = config.patch_size.pow(2) * config.num_channels;
        let layers = (0..config.n_layers())
            .map(|i| EncoderLayer::new(config, vb.pp(format!("encoder.layers.{i}"))));
        Ok(Self {
            patch_embedding: linear(patch_len, c, vb.pp("embeddings.patch_embedding"))?,
            position_embedding: vb.get((n_positions, c), "embeddings.position_embedding.weight")?,
            layers: layers.collect::<Result<_>>()?,
            post_layernorm: LayerNorm::new(c, config.layer_norm_eps, vb.pp("post_layernorm"))?,
        })
    }

    /// Patches (n, p·p·c) with their position ids (n) → features (n, hidden); an image sees only itself.
    ///
    /// # Errors
    /// If shapes do not fit or a position is outside the table.
    pub fn forward(
        &self,
        patches: &Tensor,
        position_ids: &Tensor,
        seen: AttentionMask,
    ) -> Result<Tensor> {
        let patches = patches.to_dtype(self.position_embedding.dtype())?;
        let positions = self.position_embedding.index_select(position_ids, 0)?;
        let mut xs = (self.patch_embedding.forward(&patches)? + positions)?;
        for layer in &self.layers {
            xs = layer.forward(&xs, seen)?;
        }
        self.post_layernorm.forward(&xs)
    }
}
