//! The velocities of a drawing: all guidance branches in one pass over their own contexts.
//!
//! The branches share the noisy tokens and the weights, not their contexts. Upstream runs them one after another.

use candle_core::{Module, Result, Tensor};

use super::experts::{Expert, ExpertTokens};
use super::grid::Grid;
use super::kv_context::KvContext;
use super::qwen2_mot::{Attends, Block, N_MARKERS};
use super::unified::UnifiedModel;

/// What all steps of a drawing share, computed once.
#[derive(Debug)]
pub struct Drawing<'a> {
    model: &'a UnifiedModel,
    contexts: &'a [&'a KvContext],
    /// The table's row of each latent token (n, c).
    positions: Tensor,
    /// Of each step (steps, c).
    times: Tensor,
    /// Start and end marker (2, c).
    markers: Tensor,
    /// Cosines and sines (n + 2, d/2) of each branch's rope position.
    angles: Vec<(Tensor, Tensor)>,
}

impl UnifiedModel {
    /// Prepare a drawing of this grid at these flow times; `contexts` are those of its branches.
    ///
    /// # Errors
    /// If the grid is too large.
    pub fn drawing<'a>(
        &'a self,
        contexts: &'a [&'a KvContext],
        grid: Grid,
        times: &[f32],
    ) -> Result<Drawing<'a>> {
        let positions = self.latent_pos_embed.rows(&[grid])?;
        let n = positions.dim(0)? + N_MARKERS;
        let angles = contexts.iter().map(|context| {
            let position = context.next_position();
            self.language_model.angles(&vec![position; n])
        });
        let times = Tensor::new(times, &self.device)?;
        Ok(Drawing {
            model: self,
            contexts,
            angles: angles.collect::<Result<_>>()?,
            positions,
            times: self.time_embedder.forward(&times)?,
            markers: self.markers()?,
        })
    }
}

impl Drawing<'_> {
    /// The velocities (branches, n, p·p·z) of noisy latent tokens `x_t` (n, p·p·z) at a step, in the contexts of the
    /// first `n_branches` branches.
    ///
    /// # Errors
    /// If shapes do not fit, or there is no such step or branch.
    pub fn velocities(&self, x_t: &Tensor, step: usize, n_branches: usize) -> Result<Tensor> {
        let model = self.model;
        let contexts = &self.contexts[..n_branches.min(self.contexts.len())];
        let embeds = model.vae2llm.forward(&x_t.to_dtype(model.dtype)?)?;
        let time = self.times.get(step)?;
        let latents = (embeds.broadcast_add(&time)? + &self.positions)?;
        let n = latents.dim(0)?;
        let routing = [(Expert::Und, N_MARKERS), (Expert::Gen, n)];
        let branches = contexts.iter().zip(&self.angles);
        let blocks = branches.map(|(context, angles)| Block {
            routing: &routing,
            angles,
            attends: Attends::Behind(context),
        });
        let blocks: Vec<_> = blocks.collect();
        let runs = [(Expert::Und, &self.markers), (Expert::Gen, &latents)].repeat(blocks.len());
        let hidden = model
            .language_model
            .forward(ExpertTokens::cat(&runs)?, &blocks)?;
        let velocities = model.velocity_head(hidden.tokens(Expert::Gen)?)?;
        velocities.reshape((blocks.len(), n, ()))
    }
}
