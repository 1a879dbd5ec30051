//! SigLIP as a NaViT: any grid of patches, positions from a learned table, no pooling.
//!
//! Source: BAGEL `modeling/bagel/siglip_navit.py` with `rope = false`; one layer fewer than the config lists.

use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;
use cooper_kernels::{AttentionMask, ConvPrecision, LayerNorm, Linear, gelu};

use super::conv_blocks::ConvBlocks;
use super::grid::Grid;
use super::network::{VisionEncoder, VisionLayer};
use super::pixels::unpatchify;
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

/// What the stem makes of the patches (n, p·p·c) of images one behind the other: (n, hidden).
fn stem(
    blocks: &ConvBlocks,
    patches: &Tensor,
    grids: &[Grid],
    patch_size: usize,
) -> Result<Tensor> {
    let mut start = 0;
    let mut rows = Vec::new();
    // Images of one size go through it together.
    for grids in grids.chunk_by(|a, b| a == b) {
        let (b, n) = (grids.len(), grids[0].n_tokens());
        let pixels = unpatchify(&patches.narrow(0, start, b * n)?, b, grids[0], patch_size)?;
        let cells = blocks.forward(pixels)?; // (b, hidden, rows, columns)
        let cells = cells.flatten_from(2)?.transpose(1, 2)?;
        rows.push(cells.flatten_to(1)?);
        start += b * n;
    }
    Tensor::cat(&rows, 0)
}

/// The encoder.
#[derive(Clone, Debug)]
pub struct SiglipNavit {
    patch_embedding: Linear,
    stem: ConvBlocks,
    patch_size: usize,
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
            stem: ConvBlocks::new(&network.stem, ConvPrecision::F32, vb)?,
            patch_size: network.patch_size,
            position_embedding: table(&network.position_embedding, vb)?,
            layers: layers.collect::<Result<_>>()?,
            post_layernorm: layer_norm(&network.post_layernorm, vb)?,
        })
    }

    /// Patches (n, p·p·c) of images of these grids with their position ids (n) → features (n, hidden); `mask` keeps the images
    /// apart.
    ///
    /// # Errors
    /// If shapes do not fit or a position is outside the table.
    pub fn forward(
        &self,
        patches: &Tensor,
        grids: &[Grid],
        position_ids: &Tensor,
        mask: AttentionMask,
    ) -> Result<Tensor> {
        let patches = patches.to_dtype(self.position_embedding.dtype())?;
        let positions = self.position_embedding.index_select(position_ids, 0)?;
        let mut xs = (self.patch_embedding.forward(&patches)? + positions)?;
        if !self.stem.is_empty() {
            xs = (xs + stem(&self.stem, &patches, grids, self.patch_size)?)?;
        }
        for layer in &self.layers {
            xs = layer.forward(&xs, mask)?;
        }
        self.post_layernorm.forward(&xs)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use cooper_kernels::{Noise, Segment, Segments};

    use super::*;
    use crate::model::config::VitConfig;
    use crate::model::pixels::patchify;

    const STEM: &str = "vit_model.vision_model.embeddings.stem";

    fn network(stem: &serde_json::Value) -> VisionEncoder {
        let config: VitConfig = serde_json::from_value(serde_json::json!({
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "patch_size": 8, "stem": stem}))
        .unwrap();
        VisionEncoder::new(&config, 4)
    }

    #[test]
    fn the_description_of_a_stem_fits_its_levels() {
        let levels = serde_json::json!([{"channels": 8}, {"channels": 16, "num_res_blocks": 1}]);
        let network = network(&levels);
        let layers = network.stem.iter().flat_map(|block| block.layers());
        let names: Vec<String> = layers
            .flat_map(|layer| layer.tensors())
            .map(|(name, shape)| format!("{} {shape:?}", name.trim_start_matches(STEM)))
            .filter(|name| name.contains("weight") && name.contains("conv"))
            .collect();
        let expected = [
            ".0.conv.weight [8, 3, 3, 3]",
            ".1.conv.weight [16, 8, 3, 3]",
            ".1.block.0.conv1.weight [16, 16, 3, 3]",
            ".1.block.0.conv2.weight [16, 16, 3, 3]",
            ".conv_out.weight [32, 16, 3, 3]",
        ];
        assert_eq!(names, expected);
    }

    /// Images of one size are convolved together, others apart, and none sees another.
    #[test]
    fn images_of_a_batch_have_the_features_that_they_have_alone() {
        let network =
            network(&serde_json::json!([{"channels": 8}, {"channels": 16, "num_res_blocks": 1}]));
        let varmap = candle_nn::VarMap::new();
        let vb = VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu);
        let encoder = SiglipNavit::new(&network, &vb).unwrap();
        let grids = [(2, 3), (2, 3), (3, 2)].map(|(rows, columns)| Grid { rows, columns });
        let mut noise = Noise::seeded(1);
        let images: Vec<(Tensor, Tensor)> = grids
            .iter()
            .map(|grid| {
                let pixels = noise.normal(&[3, grid.rows * 8, grid.columns * 8], &Device::Cpu);
                let ids = grid.position_ids(4, &Device::Cpu).unwrap();
                (patchify(&pixels.unwrap(), 8).unwrap(), ids)
            })
            .collect();
        let alone = images.iter().zip(grids).map(|((patches, ids), grid)| {
            let all = AttentionMask::All;
            encoder.forward(patches, &[grid], ids, all).unwrap()
        });
        let alone = Tensor::cat(&alone.collect::<Vec<_>>(), 0).unwrap();
        let (patches, ids): (Vec<_>, Vec<_>) = images.iter().cloned().unzip();
        let segments = Segments(vec![
            Segment::full(0..6),
            Segment::full(6..12),
            Segment::full(12..18),
        ]);
        let segments = std::sync::Arc::new(segments);
        let together = encoder
            .forward(
                &Tensor::cat(&patches, 0).unwrap(),
                &grids,
                &Tensor::cat(&ids, 0).unwrap(),
                AttentionMask::Segments(&segments),
            )
            .unwrap();
        assert_eq!(together.dims(), [18, 32]);
        let off = (alone - together)
            .unwrap()
            .abs()
            .unwrap()
            .max_all()
            .unwrap();
        assert!(off.to_scalar::<f32>().unwrap() < 1e-4, "{off}");
    }
}
