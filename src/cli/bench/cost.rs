//! How much work the parts are: floating point operations (a multiplication and an addition are two) and bytes.

use cooper_kernels::Quantization;
use cooper_model::model::config::VaeConfig;
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

/// Of operations alone.
pub(super) fn flop(flop: f64) -> Cost {
    Cost { flop, bytes: None }
}

/// Bytes that a model's numbers take where they are kept.
pub(super) struct Stored {
    /// The layers' matrices, if they are quantised.
    pub(super) quantization: Quantization,
    /// One of them that is not.
    pub(super) plain: usize,
    /// What a token reads of the head, for each of its numbers.
    pub(super) head: f64,
    /// One in keys and values.
    pub(super) keys: usize,
}

impl Stored {
    /// Bytes of a matrix of a layer.
    fn matrix(&self, (out, width): (usize, usize)) -> usize {
        match self.quantization.of_rows(width) {
            Some(dtype) => out * width / dtype.block_size() * dtype.type_size(),
            None => out * width * self.plain,
        }
    }
}

/// Rows and width of the matrices of a layer, of one expert.
fn matrices(config: &ModelConfig) -> [(usize, usize); 7] {
    let llm = &config.llm;
    let (c, inner) = (llm.hidden_size, llm.intermediate_size);
    let queries = llm.num_attention_heads * llm.head_dim();
    let keys = llm.num_key_value_heads * llm.head_dim();
    let (q, kv, o) = ((queries, c), (keys, c), (c, queries));
    [q, kv, kv, o, (inner, c), (inner, c), (c, inner)]
}

/// Of all matrices of one expert's layers.
fn expert(config: &ModelConfig, of_matrix: impl Fn((usize, usize)) -> usize) -> f64 {
    let layer: usize = matrices(config).into_iter().map(of_matrix).sum();
    (config.llm.num_hidden_layers * layer) as f64
}

/// `n` tokens through the layers, behind a context of `past` tokens; causal ones see half of each other.
pub(super) fn layers(config: &ModelConfig, n: usize, past: usize, causal: bool) -> f64 {
    let llm = &config.llm;
    let pair = 4 * llm.num_attention_heads * llm.head_dim() * llm.num_hidden_layers;
    let (n, past) = (n as f64, past as f64);
    let seen = if causal { n / 2.0 } else { n };
    2.0 * expert(config, |(out, width)| out * width) * n + pair as f64 * n * (past + seen)
}

/// Writing one token behind a context of `past` tokens.
pub(super) fn token(config: &ModelConfig, past: usize, stored: &Stored) -> Cost {
    let llm = &config.llm;
    let head = llm.hidden_size * llm.vocab_size;
    let kept = 2 * llm.num_hidden_layers * llm.num_key_value_heads * llm.head_dim() * past;
    let others = head as f64 * stored.head + (kept * stored.keys) as f64;
    Cost {
        flop: layers(config, 1, past, false) + 2.0 * head as f64,
        bytes: Some(expert(config, |matrix| stored.matrix(matrix)) + others),
    }
}

/// `n` patches through the vision encoder and the connector.
pub(super) fn vision(config: &ModelConfig, n: usize) -> f64 {
    let vit = &config.vit;
    let (v, i) = (vit.hidden_size, vit.intermediate_size);
    let c = config.llm.hidden_size;
    let layer = 2 * (4 * v * v + 2 * v * i) + 4 * n * v;
    let patch = 2 * vit.patch_size.pow(2) * vit.num_channels * v;
    let connector = 2 * (v * c + c * c);
    n as f64 * (vit.n_layers() * layer + patch + connector) as f64
}

/// Convolutions and attention of the autoencoder, as they add up over levels.
struct Cells {
    flop: f64,
    /// Of the present level.
    n: f64,
}

impl Cells {
    fn conv(&mut self, kernel: usize, c_in: usize, c_out: usize) {
        self.flop += 2.0 * self.n * (kernel * kernel * c_in * c_out) as f64;
    }

    fn resnet(&mut self, c_in: usize, c_out: usize) {
        self.conv(3, c_in, c_out);
        self.conv(3, c_out, c_out);
        if c_in != c_out {
            self.conv(1, c_in, c_out);
        }
    }

    fn mid(&mut self, c: usize) {
        self.resnet(c, c);
        self.resnet(c, c);
        (0..4).for_each(|_| self.conv(1, c, c));
        self.flop += 4.0 * self.n * self.n * c as f64;
    }
}

/// Encoding an image of this many latent tokens.
pub(super) fn encode(config: &ModelConfig, grid: Grid) -> f64 {
    let vae = &config.vae;
    let (mut cells, channels) = (finest(config, grid), channels(vae));
    cells.conv(3, vae.in_channels, vae.ch);
    let mut c = vae.ch;
    for (i, c_out) in channels.iter().enumerate() {
        for _ in 0..vae.num_res_blocks {
            cells.resnet(c, *c_out);
            c = *c_out;
        }
        if i + 1 < channels.len() {
            cells.n /= 4.0;
            cells.conv(3, c, c);
        }
    }
    cells.mid(c);
    cells.conv(3, c, 2 * vae.z_channels);
    cells.flop
}

/// Decoding an image of this many latent tokens.
pub(super) fn decode(config: &ModelConfig, grid: Grid) -> f64 {
    let vae = &config.vae;
    let (mut cells, channels) = (finest(config, grid), channels(vae));
    cells.n /= 4f64.powi(channels.len() as i32 - 1);
    let mut c = channels.last().copied().unwrap_or(vae.ch);
    cells.conv(3, vae.z_channels, c);
    cells.mid(c);
    for (i, c_out) in channels.iter().enumerate().rev() {
        for _ in 0..=vae.num_res_blocks {
            cells.resnet(c, *c_out);
            c = *c_out;
        }
        if i > 0 {
            cells.n *= 4.0;
            cells.conv(3, c, c);
        }
    }
    cells.conv(3, c, vae.out_ch);
    cells.flop
}

fn finest(config: &ModelConfig, grid: Grid) -> Cells {
    let side = config.latent_downsample() as f64;
    Cells {
        flop: 0.0,
        n: grid.n_tokens() as f64 * side * side,
    }
}

fn channels(vae: &VaeConfig) -> Vec<usize> {
    vae.ch_mult.iter().map(|m| m * vae.ch).collect()
}

#[cfg(test)]
mod tests {
    use cooper_model::model::config::{BagelConfig, LlmConfig, PreprocessorConfig, VitConfig};

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
            },
            bagel: BagelConfig::default(),
            vae: VaeConfig::default(),
            preprocessor: PreprocessorConfig::default(),
        }
    }

    #[track_caller]
    fn near(got: f64, expected: f64) {
        assert!((got / expected - 1.0).abs() < 5e-3, "{got:e} {expected:e}");
    }

    #[test]
    fn the_released_model_costs_what_its_shapes_say() {
        let config = released();
        near(layers(&config, 1, 0, false), 13.05e9);
        let attention = layers(&config, 1, 1001, false) - layers(&config, 1, 1, false);
        near(attention, 401_408.0 * 1000.0);
        let bytes = |quantization, past| {
            let stored = Stored {
                quantization,
                plain: 2,
                head: 2.0,
                keys: 2,
            };
            token(&config, past, &stored).bytes.unwrap()
        };
        near(bytes(Quantization::None, 0), 14.14e9);
        // 6.53e9 numbers in blocks of 256 that take 144 bytes, and the head as it was.
        near(bytes(Quantization::Q4K, 0), 3.67e9 + 1.09e9);
        near(bytes(Quantization::Q4K, 1000), 3.67e9 + 1.09e9 + 57.3e6);
        near(vision(&config, 1369), 1.36e12);
        let grid = |rows, columns| Grid { rows, columns };
        for (grid, encoding, decoding) in [
            (grid(64, 64), 4.88e12, 10.47e12),
            (grid(48, 64), 3.56e12, 7.75e12),
            (grid(32, 43), 1.52e12, 3.40e12),
        ] {
            near(encode(&config, grid), encoding);
            near(decode(&config, grid), decoding);
        }
    }
}
