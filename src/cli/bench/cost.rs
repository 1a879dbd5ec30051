//! How much work the parts are: floating point operations (a multiplication and an addition are two) and bytes, from the
//! description of the network.

use cooper_kernels::Quantization;
use cooper_kernels::SafetensorsHeader;
use cooper_model::model::experts::Expert;
use cooper_model::model::network::{
    Autoencoder, Block, Layer, Linear, PositionSides, Transformer, VisionLayer,
};
use cooper_model::model::{Grid, ModelConfig};

/// The work of one item.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cost {
    /// Floating point operations.
    pub(super) flop: f64,
    /// Bytes that must come from memory, where those are the limit.
    pub(super) bytes: Option<f64>,
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            flop: self.flop + other.flop,
            bytes: self.bytes.zip(other.bytes).map(|(a, b)| a + b),
        }
    }
}

/// The cost of operations whose limit is not memory.
pub(super) fn flop(flop: f64) -> Cost {
    Cost { flop, bytes: None }
}

/// Bytes of a model's numbers.
pub(super) struct Stored {
    /// How the layers' matrices are quantised.
    pub(super) quantization: Quantization,
    /// A number of them that is not quantised.
    pub(super) plain: usize,
    /// A number of the head, as far as a token reads it.
    pub(super) head: f64,
    /// A number in keys and values.
    pub(super) keys: usize,
}

impl Stored {
    /// Bytes of a matrix of the decoder.
    fn matrix(&self, matrix: &Linear) -> usize {
        let n = matrix.n_weights();
        match self.quantization.block_dtype(matrix.input) {
            Some(dtype) => n / dtype.block_size() * dtype.type_size(),
            None => n * self.plain,
        }
    }
}

/// The layers that a model's work consists of.
pub(super) struct Network {
    transformer: Transformer,
    autoencoder: Autoencoder,
    /// Pixels of a latent token, and of a latent cell.
    token_pixels: f64,
    cell_pixels: f64,
}

/// Which tokens of a pass attend to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attends {
    /// Each to those before it.
    Causally,
    /// All to all.
    Fully,
}

impl Network {
    pub(super) fn new(config: &ModelConfig) -> Self {
        // The sides of position tables cost nothing.
        let sides = PositionSides::new(config, &SafetensorsHeader::default());
        let pixels = |side: usize| (side * side) as f64;
        Self {
            transformer: Transformer::new(config, sides),
            autoencoder: Autoencoder::new(&config.vae),
            token_pixels: pixels(config.latent_downsample()),
            cell_pixels: pixels(config.vae.downsample()),
        }
    }

    /// The matrices that a token of an expert goes through.
    fn matrices(&self) -> impl Iterator<Item = &Linear> {
        let decoder = self.transformer.language_model.decoder.iter();
        // Both experts have the same sizes.
        decoder.flat_map(|layer| layer.experts.get(Expert::Und).matrices())
    }

    /// Operations of `n` tokens in the decoder, behind a context of `past` tokens.
    pub(super) fn decoder(&self, n: usize, past: usize, attends: Attends) -> f64 {
        let decoder = self.transformer.language_model.decoder.iter();
        let pair: usize = decoder
            .map(|layer| 4 * layer.n_heads * layer.head_dim)
            .sum();
        let weights: usize = self.matrices().map(Linear::n_weights).sum();
        let (n, past) = (n as f64, past as f64);
        let own = match attends {
            Attends::Causally => n / 2.0,
            Attends::Fully => n,
        };
        2.0 * weights as f64 * n + pair as f64 * n * (past + own)
    }

    /// Writing one token behind a context of `past` tokens.
    pub(super) fn token(&self, past: usize, stored: &Stored) -> Cost {
        let language_model = &self.transformer.language_model;
        let head = language_model.lm_head.rows * language_model.lm_head.width;
        let decoder = language_model.decoder.iter();
        let keys: usize = decoder
            .map(|layer| 2 * layer.n_key_heads * layer.head_dim)
            .sum();
        let others = head as f64 * stored.head + (keys * past * stored.keys) as f64;
        let matrices: usize = self.matrices().map(|matrix| stored.matrix(matrix)).sum();
        Cost {
            flop: self.decoder(1, past, Attends::Fully) + 2.0 * head as f64,
            bytes: Some(matrices as f64 + others),
        }
    }

    /// Operations of `n` patches in the vision encoder and the connector.
    pub(super) fn vision(&self, n: usize) -> f64 {
        let vision = &self.transformer.vision;
        let layer = |layer: &VisionLayer| {
            let weights = layer.matrices().into_iter().map(Linear::n_weights);
            2 * weights.sum::<usize>() + 4 * n * layer.q_proj.output
        };
        let layers: usize = vision.encoder.iter().map(layer).sum();
        let ends = std::iter::once(&vision.patch_embedding).chain(&self.transformer.connector);
        let ends: usize = ends.map(|linear| 2 * linear.n_weights()).sum();
        let n_pixels = (n * vision.patch_size.pow(2)) as f64;
        n as f64 * (layers + ends) as f64 + conv_blocks(&vision.stem, n_pixels)
    }

    /// Operations of encoding an image of this many latent tokens.
    pub(super) fn encode(&self, grid: Grid) -> f64 {
        let n_pixels = grid.n_tokens() as f64 * self.token_pixels;
        conv_blocks(&self.autoencoder.encoder, n_pixels)
    }

    /// Operations of decoding an image of this many latent tokens.
    pub(super) fn decode(&self, grid: Grid) -> f64 {
        let n_pixels = grid.n_tokens() as f64 * self.token_pixels;
        conv_blocks(&self.autoencoder.decoder, n_pixels / self.cell_pixels)
    }
}

/// Operations of convolutions and attention in blocks, the first of which has `n` pixels as input.
fn conv_blocks(blocks: &[Block], mut n: f64) -> f64 {
    let mut flop = 0.0;
    for block in blocks {
        match block {
            Block::Downsample(_) => n /= 4.0,
            Block::Upsample(_) => n *= 4.0,
            Block::Attention { norm, .. } => flop += 4.0 * n * n * norm.width as f64,
            Block::Conv(_) | Block::Resnet { .. } | Block::Output { .. } => {}
        }
        let weights = block.layers().into_iter().map(|layer| match layer {
            Layer::Conv2d(conv) => conv.n_weights(),
            _ => 0,
        });
        flop += 2.0 * n * weights.sum::<usize>() as f64;
    }
    flop
}

#[cfg(test)]
mod tests {
    use cooper_model::model::config::{
        BagelConfig, DepthConfig, LlmConfig, PreprocessorConfig, VaeConfig, VitConfig,
    };

    use super::*;

    /// The released model's sizes.
    fn released() -> ModelConfig {
        ModelConfig {
            llm: LlmConfig {
                hidden_size: 3584,
                intermediate_size: 18944,
                num_hidden_layers: 28,
                num_attention_heads: 28,
                num_key_value_heads: 4,
                vocab_size: 152_064,
                rope_theta: 1e6,
                rms_norm_eps: 1e-6,
                max_position_embeddings: 32_768,
            },
            vit: VitConfig {
                hidden_size: 1152,
                intermediate_size: 4304,
                num_hidden_layers: 27,
                num_attention_heads: 16,
                patch_size: 14,
                num_channels: 3,
                layer_norm_eps: 1e-6,
                stem: Vec::new(),
            },
            bagel: BagelConfig::default(),
            vae: VaeConfig::default(),
            preprocessor: PreprocessorConfig::default(),
            depth: DepthConfig::default(),
            palette: None,
        }
    }

    #[track_caller]
    fn near(got: f64, expected: f64) {
        assert!((got / expected - 1.0).abs() < 5e-3, "{got:e} {expected:e}");
    }

    #[test]
    fn the_released_model_costs_what_its_shapes_say() {
        let network = Network::new(&released());
        let decoder = |past| network.decoder(1, past, Attends::Fully);
        near(decoder(0), 13.05e9);
        let attention = decoder(1001) - decoder(1);
        near(attention, 401_408.0 * 1000.0);
        let bytes = |quantization, past| {
            let stored = Stored {
                quantization,
                plain: 2,
                head: 2.0,
                keys: 2,
            };
            network.token(past, &stored).bytes.unwrap()
        };
        near(bytes(Quantization::None, 0), 14.14e9);
        // 6.53e9 numbers in blocks of 256 that take 144 bytes, and the head as it was.
        near(bytes(Quantization::Q4K, 0), 3.67e9 + 1.09e9);
        near(bytes(Quantization::Q4K, 1000), 3.67e9 + 1.09e9 + 57.3e6);
        near(network.vision(1369), 1.36e12);
        let grid = |rows, columns| Grid { rows, columns };
        for (grid, encoding, decoding) in [
            (grid(64, 64), 4.88e12, 10.47e12),
            (grid(48, 64), 3.56e12, 7.75e12),
            (grid(32, 43), 1.52e12, 3.40e12),
        ] {
            near(network.encode(grid), encoding);
            near(network.decode(grid), decoding);
        }
    }
}
