//! SigLIP as a NaViT: any grid of patches, positions from a learned table, no pooling.
//!
//! Source: BAGEL `modeling/bagel/siglip_navit.py` with `rope = false`; one layer fewer than the config lists.

use candle_core::{Module, Result, Tensor};
use candle_nn::VarBuilder;
use cooper_kernels::{AttentionMask, LayerNorm, Linear, gelu};

use super::network::{StemLevel, VisionEncoder, VisionLayer};
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

/// A level of the stem: one row for each square of the level before.
#[derive(Clone, Debug)]
struct Squares {
    linear: Linear,
    /// Squares on a patch's side.
    side: usize,
}

impl Squares {
    fn new(level: &StemLevel, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            linear: linear(&level.linear, vb)?,
            side: level.side,
        })
    }

    /// Rows (n·before·before, c) of n patches → (n·side·side, output).
    fn forward(&self, xs: &Tensor, before: usize) -> Result<Tensor> {
        let (rows, c) = xs.dims2()?;
        let (n, side, step) = (rows / (before * before), self.side, before / self.side);
        let squares = xs
            .reshape((n, side, step, side, step * c))?
            .transpose(2, 3)? // (n, side, side, step, step·c)
            .reshape((n * side * side, step * step * c))?;
        self.linear.forward(&squares)
    }
}

/// What the stem adds to the embedding of patches (n, p·p·c): (n, hidden).
fn stem(levels: &[Squares], patches: &Tensor, patch_size: usize) -> Result<Tensor> {
    let (n, width) = patches.dims2()?;
    let n_pixels = patch_size * patch_size;
    let mut xs = patches.reshape((n * n_pixels, width / n_pixels))?;
    let mut before = patch_size;
    for (i, level) in levels.iter().enumerate() {
        if i > 0 {
            xs = gelu(&xs)?;
        }
        xs = level.forward(&xs, before)?;
        before = level.side;
    }
    Ok(xs)
}

/// The encoder.
#[derive(Clone, Debug)]
pub struct SiglipNavit {
    patch_embedding: Linear,
    stem: Vec<Squares>,
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
            stem: (network.stem.iter())
                .map(|level| Squares::new(level, vb))
                .collect::<Result<_>>()?,
            patch_size: network.patch_size,
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
        if !self.stem.is_empty() {
            xs = (xs + stem(&self.stem, &patches, self.patch_size)?)?;
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
    use cooper_kernels::Noise;

    use super::*;
    use crate::model::config::VitConfig;
    use crate::model::pixels::patchify;

    fn random(noise: &mut Noise, shape: &[usize]) -> Tensor {
        (noise.normal(shape, &Device::Cpu).unwrap() * 0.3).unwrap()
    }

    /// A 4 x 4 patch of 3 channels, in a stem of two levels: 2 x 2 squares, then all.
    #[test]
    fn a_stem_is_convolutions_whose_squares_do_not_overlap() {
        let mut noise = Noise::seeded(1);
        let weights = [random(&mut noise, &[5, 12]), random(&mut noise, &[7, 20])];
        let biases = [random(&mut noise, &[5]), random(&mut noise, &[7])];
        let levels: Vec<Squares> = (0..2)
            .map(|i| Squares {
                linear: Linear::Plain(candle_nn::Linear::new(
                    weights[i].clone(),
                    Some(biases[i].clone()),
                )),
                side: [2, 1][i],
            })
            .collect();
        let pixels = random(&mut noise, &[3, 8, 12]);
        let got = stem(&levels, &patchify(&pixels, 4).unwrap(), 4).unwrap();
        let conv = |xs: &Tensor, i: usize, c: usize| {
            let kernel = weights[i].reshape(((), 2, 2, c)).unwrap();
            let kernel = kernel.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
            let bias = biases[i].reshape((1, (), 1, 1)).unwrap();
            let xs = xs.conv2d(&kernel, 0, 2, 1, 1).unwrap();
            xs.broadcast_add(&bias).unwrap()
        };
        let xs = gelu(&conv(&pixels.unsqueeze(0).unwrap(), 0, 3)).unwrap();
        let expected = conv(&xs, 1, 5).flatten_from(2).unwrap(); // (1, 7, 2·3)
        let expected = expected.squeeze(0).unwrap().t().unwrap();
        let off = (got - expected).unwrap().abs().unwrap().max_all().unwrap();
        assert!(off.to_scalar::<f32>().unwrap() < 1e-5);
    }

    #[test]
    fn the_description_of_a_stem_fits_its_levels() {
        let config: VitConfig = serde_json::from_value(serde_json::json!({
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "patch_size": 16, "stem_channels": [8, 12]}))
        .unwrap();
        let network = VisionEncoder::new(&config, 4);
        let levels = network.stem.iter();
        let levels: Vec<_> = levels
            .map(|level| (level.linear.name.as_str(), level.linear.shape(), level.side))
            .collect();
        let prefix = "vit_model.vision_model.embeddings.stem";
        assert_eq!(
            levels,
            [
                (format!("{prefix}.levels.0").as_str(), (8, 48), 4),
                (format!("{prefix}.levels.1").as_str(), (12, 32), 2),
                (format!("{prefix}.out_proj").as_str(), (32, 48), 1),
            ]
        );
        let varmap = candle_nn::VarMap::new();
        let vb = VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu);
        let encoder = SiglipNavit::new(&network, &vb).unwrap();
        let patches = random(&mut Noise::seeded(2), &[6, 768]);
        let ids = Tensor::new(&[0u32, 1, 2, 4, 5, 6], &Device::Cpu).unwrap();
        let features = encoder.forward(&patches, &ids, AttentionMask::All).unwrap();
        assert_eq!(features.dims(), [6, 32]);
    }
}
