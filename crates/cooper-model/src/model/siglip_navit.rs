//! SigLIP as a NaViT: any grid of patches, positions from a learned table, no pooling.
//!
//! Source: BAGEL `modeling/bagel/siglip_navit.py` with `rope = false`; one layer fewer than the config lists.

use candle_core::{Module, Result, Tensor};
use candle_nn::{Linear, VarBuilder};
use cooper_kernels::{AttentionMask, LayerNorm, gelu};

use super::network::{VisionEncoder, VisionLayer};
use super::weights::{layer_norm, linear, table};

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
    fn new(layer: &VisionLayer, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            layer_norm1: layer_norm(&layer.layer_norm1, vb)?,
            q_proj: linear(&layer.q_proj, vb)?,
            k_proj: linear(&layer.k_proj, vb)?,
            v_proj: linear(&layer.v_proj, vb)?,
            out_proj: linear(&layer.out_proj, vb)?,
            layer_norm2: layer_norm(&layer.layer_norm2, vb)?,
            fc1: linear(&layer.fc1, vb)?,
            fc2: linear(&layer.fc2, vb)?,
            n_heads: layer.n_heads,
        })
    }

    fn forward(&self, xs: &Tensor, mask: AttentionMask) -> Result<Tensor> {
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
        let attended = mask.attend(&q, &k, &v)?.transpose(0, 1)?.reshape((n, c))?;
        let xs = (xs + self.out_proj.forward(&attended)?)?;
        let hidden = self.fc1.forward(&self.layer_norm2.forward(&xs)?)?;
        xs + self.fc2.forward(&gelu(&hidden)?)?
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
    /// Reads the layers of a description.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn new(network: &VisionEncoder, vb: &VarBuilder) -> Result<Self> {
        let layers = network.encoder.iter();
        let layers = layers.map(|layer| EncoderLayer::new(layer, vb));
        Ok(Self {
            patch_embedding: linear(&network.patch_embedding, vb)?,
            position_embedding: table(&network.position_embedding, vb)?,
            layers: layers.collect::<Result<_>>()?,
            post_layernorm: layer_norm(&network.post_layernorm, vb)?,
        })
    }

    /// Patches (n, p·p·c) with their position ids (n) → features (n, hidden); `mask` keeps the images of a batch apart.
    ///
    /// # Errors
    /// If shapes do not fit or a position is outside the table.
    pub fn forward(
        &self,
        patches: &Tensor,
        position_ids: &Tensor,
        mask: AttentionMask,
    ) -> Result<Tensor> {
        let patches = patches.to_dtype(self.position_embedding.dtype())?;
        let positions = self.position_embedding.index_select(position_ids, 0)?;
        let mut xs = (self.patch_embedding.forward(&patches)? + positions)?;
        for layer in &self.layers {
            xs = layer.forward(&xs, mask)?;
        }
        self.post_layernorm.forward(&xs)
    }
}
