//! The velocities of a drawing: all guidance branches in one pass over their own contexts.
//!
//! The branches share the noisy tokens and the weights, not what they see. Upstream runs them one after another.

use candle_core::{Module, Result, Tensor};

use super::kv_context::KvContext;
use super::qwen2_mot::Block;
use super::qwen2_mot::Expert;
use super::qwen2_mot::N_MARKERS;
use super::qwen2_mot::Sight;
use super::unified::Grid;
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
    /// Cosines and sines (branches, d/2) of each branch's rope position.
    angles: (Tensor, Tensor),
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
        let positions: Vec<u32> = contexts.iter().map(|c| c.next_position()).collect();
        let times = Tensor::new(times, &self.device)?;
        Ok(Drawing {
            model: self,
            contexts,
            positions: self.latent_pos_embed.of(&[grid])?,
            times: self.time_embedder.forward(&times)?,
            markers: self.markers()?,
            angles: self.language_model.angles(&positions)?,
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
        // The branches' markers first: so each expert's tokens lie together.
        let parts = contexts.iter().map(|_| &self.markers);
        let parts: Vec<_> = parts.chain(contexts.iter().map(|_| &latents)).collect();
        let (n_markers, n_latents) = (N_MARKERS * contexts.len(), n * contexts.len());
        let block = Block {
            route: &[(Expert::Und, n_markers), (Expert::Gen, n_latents)],
            angles: &self.angles_of(contexts.len(), n)?,
            sight: Sight::Branches(contexts),
        };
        let embeds = Tensor::cat(&parts, 0)?;
        let hidden = model.language_model.forward(embeds, &block)?;
        let velocities = model.velocity_head(&hidden.narrow(0, n_markers, n_latents)?)?;
        velocities.reshape((contexts.len(), n, ()))
    }

    /// Cosines and sines of each token, in the block's order.
    fn angles_of(&self, n_branches: usize, n: usize) -> Result<(Tensor, Tensor)> {
        let branches = 0..n_branches as u32;
        let each = |times: usize| {
            let branches = branches.clone();
            branches.flat_map(move |branch| std::iter::repeat_n(branch, times))
        };
        let rows: Vec<u32> = each(N_MARKERS).chain(each(n)).collect();
        let rows = Tensor::new(rows, &self.model.device)?;
        let (cos, sin) = &self.angles;
        Ok((cos.index_select(&rows, 0)?, sin.index_select(&rows, 0)?))
    }
}
