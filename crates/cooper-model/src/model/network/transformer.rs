//! The transformer's file: BAGEL's language model with two experts, and what joins it to the image encoders.
//!
//! Source: BAGEL `modeling/bagel/bagel.py` and `qwen2_navit.py`, as released.

use cooper_kernels::SafetensorsHeader;

use super::layer::{Layer, Linear, Norm, NormKind, Table};
use super::vision::{VIT_PATCH_POSITIONS, VisionEncoder};
use crate::model::config::{LlmConfig, ModelConfig};
use crate::model::experts::{Expert, PerExpert};

/// Positions of latent tokens.
pub const LATENT_POSITIONS: &str = "latent_pos_embed.pos_embed";
/// Positions of vision tokens in the language model.
pub const VIT_POSITIONS: &str = "vit_pos_embed.pos_embed";
/// What logits are computed with.
pub const HEAD: &str = "language_model.lm_head.weight";
const EMBEDDING: &str = "language_model.model.embed_tokens.weight";

/// Width of the sinusoidal time code.
pub const TIME_CODE_DIM: usize = 256;
/// Side of the latent table where the file has none: the released one.
const LATENT_SIDE: usize = 64;

/// Whether a tensor has a row for each token.
pub fn is_vocabulary(name: &str) -> bool {
    [EMBEDDING, HEAD].contains(&name)
}

/// Cells on the sides of the position tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionSides {
    /// Of the latent table.
    pub latent: usize,
    /// Of both vision tables.
    pub vit: usize,
}

impl PositionSides {
    /// From the tables' rows; from what training assumes where a table is absent.
    pub fn new(config: &ModelConfig, header: &SafetensorsHeader) -> Self {
        let side = |name| header.shape(name)?.first().map(|rows| rows.isqrt());
        Self {
            latent: side(LATENT_POSITIONS).unwrap_or(LATENT_SIDE),
            vit: side(VIT_PATCH_POSITIONS)
                .or_else(|| side(VIT_POSITIONS))
                .unwrap_or(config.bagel.vit_max_num_patch_per_side),
        }
    }
}

/// Everything in the transformer's file.
#[derive(Clone, Debug)]
pub struct Transformer {
    /// Embedding, decoder layers, head.
    pub language_model: LanguageModel,
    /// Encoder of image patches.
    pub vision: VisionEncoder,
    /// From the vision encoder's width to the language model's.
    pub connector: [Linear; 2],
    /// From the time code to the language model's width.
    pub time_embedder: [Linear; 2],
    /// From a latent token to the language model's width.
    pub vae2llm: Linear,
    /// And back.
    pub llm2vae: Linear,
    /// One row for each place of a latent token.
    pub latent_positions: Table,
    /// One row for each place of a patch.
    pub vit_positions: Table,
}

impl Transformer {
    /// The transformer of a config, with position tables of these sides.
    pub fn new(config: &ModelConfig, sides: PositionSides) -> Self {
        let (width, latent) = (config.llm.hidden_size, config.patch_latent_dim());
        Self {
            language_model: LanguageModel::new(&config.llm),
            vision: VisionEncoder::new(&config.vit, sides.vit),
            connector: [
                Linear::new("connector.fc1", config.vit.hidden_size, width),
                Linear::new("connector.fc2", width, width),
            ],
            time_embedder: [
                Linear::new("time_embedder.mlp.0", TIME_CODE_DIM, width),
                Linear::new("time_embedder.mlp.2", width, width),
            ],
            vae2llm: Linear::new("vae2llm", latent, width),
            llm2vae: Linear::new("llm2vae", width, latent),
            latent_positions: Table::new(LATENT_POSITIONS, sides.latent.pow(2), width),
            vit_positions: Table::new(VIT_POSITIONS, sides.vit.pow(2), width),
        }
    }

    /// All its layers.
    pub fn layers(&self) -> Vec<Layer<'_>> {
        let mut layers = self.language_model.layers();
        layers.extend(self.vision.layers());
        layers.extend(self.connector.iter().map(Layer::from));
        layers.extend(self.time_embedder.iter().map(Layer::from));
        layers.extend([&self.vae2llm, &self.llm2vae].map(Layer::from));
        layers.extend([&self.latent_positions, &self.vit_positions].map(Layer::from));
        layers
    }
}

/// Qwen2 as a mixture of transformers.
#[derive(Clone, Debug)]
pub struct LanguageModel {
    /// A row for each token.
    pub embed_tokens: Table,
    /// The decoder, from the first layer to the last.
    pub decoder: Vec<DecoderLayer>,
    /// Behind the last layer.
    pub norm: PerExpert<Norm>,
    /// A row for each token.
    pub lm_head: Table,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
}

impl LanguageModel {
    /// The language model of a config.
    pub fn new(config: &LlmConfig) -> Self {
        let (rows, width, eps) = (config.vocab_size, config.hidden_size, config.rms_norm_eps);
        let model = "language_model.model";
        let layer = |i| DecoderLayer::new(config, &format!("{model}.layers.{i}"));
        let norm =
            |expert: Expert| rms_norm(format!("{model}.norm{}", expert.suffix()), width, eps);
        Self {
            embed_tokens: Table::new(EMBEDDING, rows, width),
            decoder: (0..config.num_hidden_layers).map(layer).collect(),
            norm: PerExpert::from_fn(norm),
            lm_head: Table::new(HEAD, rows, width),
            rope_theta: config.rope_theta,
        }
    }

    fn layers(&self) -> Vec<Layer<'_>> {
        let mut layers = vec![Layer::from(&self.embed_tokens), Layer::from(&self.lm_head)];
        layers.extend(self.norm.iter().map(Layer::from));
        let experts = self.decoder.iter().flat_map(|layer| layer.experts.iter());
        layers.extend(experts.flat_map(DecoderExpert::layers));
        layers
    }
}

/// A decoder layer: attention over all tokens, with the weights of two experts.
#[derive(Clone, Debug)]
pub struct DecoderLayer {
    /// The weights.
    pub experts: PerExpert<DecoderExpert>,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads.
    pub n_key_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl DecoderLayer {
    fn new(config: &LlmConfig, name: &str) -> Self {
        Self {
            experts: PerExpert::from_fn(|expert| DecoderExpert::new(config, name, expert)),
            n_heads: config.num_attention_heads,
            n_key_heads: config.num_key_value_heads,
            head_dim: config.head_dim(),
        }
    }
}

/// One expert's weights of a decoder layer.
#[derive(Clone, Debug)]
pub struct DecoderExpert {
    /// Before attention.
    pub input_layernorm: Norm,
    /// To queries.
    pub q_proj: Linear,
    /// To keys.
    pub k_proj: Linear,
    /// To values.
    pub v_proj: Linear,
    /// Of each query head.
    pub q_norm: Norm,
    /// Of each key head.
    pub k_norm: Norm,
    /// From attention's result.
    pub o_proj: Linear,
    /// Before SwiGLU.
    pub post_attention_layernorm: Norm,
    /// SwiGLU's gate.
    pub gate_proj: Linear,
    /// What is gated.
    pub up_proj: Linear,
    /// SwiGLU's way back.
    pub down_proj: Linear,
}

impl DecoderExpert {
    fn new(config: &LlmConfig, layer: &str, expert: Expert) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let keys = config.num_key_value_heads * config.head_dim();
        let suffix = expert.suffix();
        let attention = |name: &str| format!("{layer}.self_attn.{name}{suffix}");
        let matrix = |name, input, output| Linear::new(name, input, output).quantizable();
        let mlp = |name: &str, input, output| {
            matrix(format!("{layer}.mlp{suffix}.{name}"), input, output).without_bias()
        };
        let norm = |name, width| rms_norm(name, width, config.rms_norm_eps);
        Self {
            input_layernorm: norm(format!("{layer}.input_layernorm{suffix}"), width),
            q_proj: matrix(attention("q_proj"), width, width),
            k_proj: matrix(attention("k_proj"), width, keys),
            v_proj: matrix(attention("v_proj"), width, keys),
            q_norm: norm(attention("q_norm"), config.head_dim()),
            k_norm: norm(attention("k_norm"), config.head_dim()),
            o_proj: matrix(attention("o_proj"), width, width).without_bias(),
            post_attention_layernorm: norm(
                format!("{layer}.post_attention_layernorm{suffix}"),
                width,
            ),
            gate_proj: mlp("gate_proj", width, inner),
            up_proj: mlp("up_proj", width, inner),
            down_proj: mlp("down_proj", inner, width),
        }
    }

    /// The matrices that every token of the expert goes through.
    pub fn matrices(&self) -> [&Linear; 7] {
        [
            &self.q_proj,
            &self.k_proj,
            &self.v_proj,
            &self.o_proj,
            &self.gate_proj,
            &self.up_proj,
            &self.down_proj,
        ]
    }

    fn layers(&self) -> impl Iterator<Item = Layer<'_>> {
        let norms = [
            &self.input_layernorm,
            &self.q_norm,
            &self.k_norm,
            &self.post_attention_layernorm,
        ];
        let matrices = self.matrices().map(Layer::from);
        matrices.into_iter().chain(norms.map(Layer::from))
    }
}

fn rms_norm(name: String, width: usize, eps: f64) -> Norm {
    Norm {
        name,
        width,
        eps,
        kind: NormKind::Rms,
    }
}
