//! The unified model: reads text and images into contexts, and scores the next token ([`super::drawing`] draws).
//!
//! Source: BAGEL `modeling/bagel/bagel.py`, `forward_cache_update_{text,vit,vae}`.
//! A drawn or read image is a block `<|vision_start|>` · tokens · `<|vision_end|>` that shares one rope position.

use std::sync::Arc;

use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::VarBuilder;
use cooper_kernels::{AttentionMask, Linear, Matrices, Segment, Segments, causal_mask};

use super::config::ModelConfig;
use super::experts::{Expert, ExpertTokens};
use super::grid::Grid;
use super::kv_context::KvContext;
use super::network::{PositionSides, Table, Transformer};
use super::parts::{Connector, TimeEmbedder, sincos_table};
use super::qwen2_mot::{Attends, Block, N_MARKERS, Qwen2Mot};
use super::siglip_navit::SiglipNavit;
use super::tokenizer::ControlTokens;
use super::weights::{linear, table};

/// Tokens of a text that are read at once: the scores of more would fill the memory.
const CHUNK: usize = 256;

/// A fixed position table of a square grid.
#[derive(Clone, Debug)]
pub(super) struct PositionTable {
    table: Tensor,
    side: usize,
}

impl PositionTable {
    /// Reads the table (side², c); computes it where the checkpoint has none, as training does.
    fn new(layer: &Table, vb: &VarBuilder) -> Result<Self> {
        let side = layer.rows.isqrt();
        let table = if vb.contains_tensor(&layer.name) {
            table(layer, vb)?
        } else {
            sincos_table(side, layer.width, vb.device())?.to_dtype(vb.dtype())?
        };
        Ok(Self { table, side })
    }

    /// The rows (n, c) of the tokens of images that follow each other.
    pub(super) fn rows(&self, grids: &[Grid]) -> Result<Tensor> {
        let device = self.table.device();
        let ids = grids
            .iter()
            .map(|grid| grid.position_ids(self.side, device));
        let ids = Tensor::cat(&ids.collect::<Result<Vec<_>>>()?, 0)?;
        self.table.index_select(&ids, 0)
    }
}

/// The network without the autoencoder.
#[derive(Clone, Debug)]
pub struct UnifiedModel {
    pub(super) language_model: Qwen2Mot,
    vit_model: SiglipNavit,
    connector: Connector,
    vit_pos_embed: PositionTable,
    pub(super) vae2llm: Linear,
    llm2vae: Linear,
    pub(super) time_embedder: TimeEmbedder,
    pub(super) latent_pos_embed: PositionTable,
    control: ControlTokens,
    pub(super) dtype: DType,
    pub(super) device: Device,
}

impl UnifiedModel {
    /// Reads all tensors of a released weights file, but the matrices of the transformer's layers from `matrices`.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn new(
        config: &ModelConfig,
        sides: PositionSides,
        control: ControlTokens,
        vb: VarBuilder,
        matrices: &Matrices,
    ) -> Result<Self> {
        let network = Transformer::new(config, sides);
        let vb = &vb;
        Ok(Self {
            language_model: Qwen2Mot::new(&network.language_model, vb, matrices)?,
            vit_model: SiglipNavit::new(&network.vision, vb)?,
            connector: Connector::new(&network.connector, vb)?,
            vit_pos_embed: PositionTable::new(&network.vit_positions, vb)?,
            vae2llm: linear(&network.vae2llm, vb)?,
            llm2vae: linear(&network.llm2vae, vb)?,
            time_embedder: TimeEmbedder::new(&network.time_embedder, vb)?,
            latent_pos_embed: PositionTable::new(&network.latent_positions, vb)?,
            control,
            dtype: vb.dtype(),
            device: vb.device().clone(),
        })
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The weights' number format.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Bytes that a token reads for each of the head's numbers, and for each in keys and values.
    pub fn number_sizes(&self) -> (f64, usize) {
        self.language_model.number_sizes()
    }

    /// The ids by which [`Self::vit_features`] finds a patch's place (n).
    ///
    /// # Errors
    /// If the grid is too large.
    pub fn vit_position_ids(&self, grid: Grid) -> Result<Tensor> {
        grid.position_ids(self.vit_pos_embed.side, &self.device)
    }

    /// ViT patches (n, p·p·3) of an image → the encoder's features (n, vit hidden).
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn vit_features(&self, patches: &Tensor, grid: Grid) -> Result<Tensor> {
        let ids = self.vit_position_ids(grid)?;
        self.vit_model
            .forward(patches, &[grid], &ids, AttentionMask::All)
    }

    /// As [`Self::vit_features`], of the patches of many images one behind the other. For training.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn vit_features_of(&self, patches: &Tensor, grids: &[Grid]) -> Result<Tensor> {
        let ids = grids.iter().map(|grid| self.vit_position_ids(*grid));
        let ids = Tensor::cat(&ids.collect::<Result<Vec<_>>>()?, 0)?;
        let mut start = 0;
        let segments = grids.iter().map(|grid| {
            let rows = start..start + grid.n_tokens() as u32;
            start = rows.end;
            Segment::full(rows)
        });
        let segments = Arc::new(Segments(segments.collect()));
        self.vit_model
            .forward(patches, grids, &ids, AttentionMask::Segments(&segments))
    }

    /// The encoder's features (n, vit hidden) of images one behind the other → token embeddings (n, c).
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn embed_vit(&self, features: &Tensor, grids: &[Grid]) -> Result<Tensor> {
        self.connector.forward(features)? + self.vit_pos_embed.rows(grids)?
    }

    /// Latent tokens (n, p·p·z) at flow time `t` (0: a clean image) → token embeddings (n, c).
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn embed_latent(&self, latent: &Tensor, t: f32, grid: Grid) -> Result<Tensor> {
        self.embed_latents(latent, &[t], &[grid])
    }

    /// As [`Self::embed_latent`], of many images one behind the other, each with its time.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn embed_latents(&self, latents: &Tensor, times: &[f32], grids: &[Grid]) -> Result<Tensor> {
        let embeds = self.vae2llm.forward(&latents.to_dtype(self.dtype)?)?;
        let times = self
            .time_embedder
            .forward(&Tensor::new(times, &self.device)?)?;
        let image_of_token: Vec<u32> = (0u32..)
            .zip(grids)
            .flat_map(|(i, grid)| std::iter::repeat_n(i, grid.n_tokens()))
            .collect();
        let image_of_token = Tensor::new(image_of_token, &self.device)?;
        (embeds + times.index_select(&image_of_token, 0)?)? + self.latent_pos_embed.rows(grids)?
    }

    /// Read token ids, causally; returns the hidden states (n, c) of them.
    ///
    /// # Errors
    /// If an id is outside the vocabulary.
    pub fn prefill_tokens(&self, context: &mut KvContext, ids: &[u32]) -> Result<Tensor> {
        if ids.len() <= CHUNK {
            return self.read_chunk(context, ids);
        }
        let hidden = ids
            .chunks(CHUNK)
            .map(|chunk| self.read_chunk(context, chunk));
        Tensor::cat(&hidden.collect::<Result<Vec<_>>>()?, 0)
    }

    fn read_chunk(&self, context: &mut KvContext, ids: &[u32]) -> Result<Tensor> {
        let n = ids.len();
        let start = context.next_position();
        let positions: Vec<u32> = (start..start + n as u32).collect();
        let grown = self.language_model.grown(context, n, n as u32)?;
        let mask = causal_mask(n, grown.len(), &self.device)?;
        let block = Block {
            routing: &[(Expert::Und, n)],
            angles: &self.language_model.angles(&positions)?,
            attends: Attends::Context(&grown, mask.as_ref()),
        };
        let embeds = ExpertTokens::cat(&[(Expert::Und, &self.language_model.embed(ids)?)])?;
        let hidden = self.language_model.forward(embeds, &[block])?;
        *context = grown;
        hidden.tokens(Expert::Und).cloned()
    }

    /// Read a text's ids between `<|im_start|>` and `<|im_end|>`.
    ///
    /// # Errors
    /// If an id is outside the vocabulary.
    pub fn prefill_text(&self, context: &mut KvContext, ids: &[u32]) -> Result<()> {
        let mut framed = Vec::with_capacity(ids.len() + 2);
        framed.push(self.control.im_start);
        framed.extend_from_slice(ids);
        framed.push(self.control.im_end);
        self.prefill_tokens(context, &framed).map(|_| ())
    }

    /// Read an image's tokens (n, c) of one expert, between its markers.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn read_image(
        &self,
        context: &mut KvContext,
        tokens: Tensor,
        expert: Expert,
    ) -> Result<()> {
        let n = tokens.dim(0)? + N_MARKERS;
        let grown = self.language_model.grown(context, n, 1)?;
        let position = context.next_position();
        let markers = self.markers()?;
        let (start, end) = (markers.narrow(0, 0, 1)?, markers.narrow(0, 1, 1)?);
        let block = Block {
            routing: &[(Expert::Und, 1), (expert, n - N_MARKERS), (Expert::Und, 1)],
            angles: &self.language_model.angles(&vec![position; n])?,
            attends: Attends::Context(&grown, None),
        };
        let runs = [
            (Expert::Und, &start),
            (expert, &tokens),
            (Expert::Und, &end),
        ];
        self.language_model
            .forward(ExpertTokens::cat(&runs)?, &[block])?;
        *context = grown;
        Ok(())
    }

    /// The flow velocity (n, p·p·z) that hidden states (n, c) of latent tokens tell.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn velocity_head(&self, hidden: &Tensor) -> Result<Tensor> {
        self.llm2vae.forward(hidden)
    }

    /// Logits (n, vocab), f32, of hidden states (n, c).
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.language_model.logits(hidden)
    }

    /// The embeddings (n, c) of token ids.
    ///
    /// # Errors
    /// If an id is outside the vocabulary.
    pub fn embed_ids(&self, ids: &[u32]) -> Result<Tensor> {
        self.language_model.embed(ids)
    }

    /// Hidden states (n, c) of a whole packed sequence of embeddings (n, c).
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn forward_embeds(&self, embeds: ExpertTokens, block: Block) -> Result<ExpertTokens> {
        self.language_model.forward(embeds, &[block])
    }

    /// What [`Block`] wants of rope positions.
    ///
    /// # Errors
    /// If the device fails.
    pub fn angles(&self, positions: &[u32]) -> Result<(Tensor, Tensor)> {
        self.language_model.angles(positions)
    }

    /// Logits (vocab), f32, of the token that follows the last of `hidden` (n, c).
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn next_logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.logits(&last(hidden)?)?.squeeze(0)
    }

    /// Of the first `n` tokens the one with the largest of [`Self::next_logits`], the first of equal ones; faster.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn argmax_token(&self, hidden: &Tensor, n: usize) -> Result<u32> {
        self.language_model.argmax(&last(hidden)?, n)
    }

    /// The embeddings (2, c) of what stands before and behind an image's tokens.
    pub(super) fn markers(&self) -> Result<Tensor> {
        let ids = [self.control.vision_start, self.control.vision_end];
        self.language_model.embed(&ids)
    }
}

/// The last row (1, c) of `hidden` (n, c).
fn last(hidden: &Tensor) -> Result<Tensor> {
    hidden.narrow(0, hidden.dim(0)? - 1, 1)
}
