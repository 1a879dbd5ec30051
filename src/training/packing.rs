//! Packing texts and pictures into one sequence, with the positions and the mask that each split asks for.
//!
//! Source: BAGEL `data/dataset_base.py`, `PackedDataset.pack_sequence`, and `data/data_utils.py`,
//! `prepare_attention_mask_per_sample`.

use std::ops::Range;

use candle_core::{Result, Tensor};

use crate::model::Grid;
use crate::model::KvContext;
use crate::model::UnifiedModel;
use crate::model::qwen2_mot::Block;
use crate::model::qwen2_mot::Expert;

/// How the tokens of a split see each other. All of them see everything before, but for noised pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitMode {
    /// A text: each token sees the ones before it.
    Causal,
    /// A picture that is read: all tokens see each other.
    Full,
    /// A picture that is drawn: all tokens see each other, and no other split sees them.
    Noise,
}

/// One sample as the model sees it.
#[derive(Debug)]
pub struct PackedSequence {
    embeds: Tensor,
    route: Vec<(Expert, usize)>,
    /// The rope position of each token.
    pub positions: Vec<u32>,
    /// (n, n): 0 where a token (row) sees another, −∞ where not.
    pub mask: Tensor,
}

impl PackedSequence {
    /// Hidden states (n, c).
    ///
    /// # Errors
    /// If the network fails.
    pub fn forward(&self, model: &UnifiedModel) -> Result<Tensor> {
        let block = Block {
            context: &KvContext::default(),
            route: &self.route,
            positions: &self.positions,
            mask: Some(&self.mask),
        };
        model.forward_embeds(self.embeds.clone(), &block)
    }
}

/// Packs one sample, split by split.
#[derive(Debug)]
pub struct SequenceBuilder<'m> {
    model: &'m UnifiedModel,
    embeds: Vec<Tensor>,
    route: Vec<(Expert, usize)>,
    positions: Vec<u32>,
    splits: Vec<(SplitMode, usize)>,
    next_position: u32,
}

impl<'m> SequenceBuilder<'m> {
    /// An empty sample.
    pub fn new(model: &'m UnifiedModel) -> Self {
        Self {
            model,
            embeds: Vec::new(),
            route: Vec::new(),
            positions: Vec::new(),
            splits: Vec::new(),
            next_position: 0,
        }
    }

    /// Add a text with its start and end token; returns where its tokens are.
    ///
    /// # Errors
    /// If an id is outside the vocabulary.
    pub fn add_text(&mut self, ids: &[u32]) -> Result<Range<usize>> {
        let (start, n) = (self.positions.len(), ids.len());
        self.embeds.push(self.model.embed_ids(ids)?);
        self.route.push((Expert::Und, n));
        self.positions
            .extend((0..n as u32).map(|i| self.next_position + i));
        self.next_position += n as u32;
        self.splits.push((SplitMode::Causal, n));
        Ok(start..start + n)
    }

    /// Add a picture for the vision encoder, by its patches (n, p·p·3).
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn add_vit(&mut self, patches: &Tensor, grid: Grid) -> Result<Range<usize>> {
        let features = self.model.vit_features(patches, grid)?;
        let tokens = self.model.embed_vit(&features, grid)?;
        self.add_picture(tokens, Expert::Und, SplitMode::Full)
    }

    /// Add a clean picture by its latent tokens (n, p·p·z).
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn add_clean(&mut self, latent: &Tensor, grid: Grid) -> Result<Range<usize>> {
        let tokens = self.model.embed_latent(latent, 0.0, grid)?;
        self.add_picture(tokens, Expert::Gen, SplitMode::Full)
    }

    /// Add a noised picture `x_t` (n, p·p·z) at flow time `t`. It takes no rope position from what follows.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn add_noised(&mut self, x_t: &Tensor, t: f32, grid: Grid) -> Result<Range<usize>> {
        let tokens = self.model.embed_latent(x_t, t, grid)?;
        self.add_picture(tokens, Expert::Gen, SplitMode::Noise)
    }

    /// Returns where the picture's own tokens are, between the markers.
    fn add_picture(
        &mut self,
        tokens: Tensor,
        expert: Expert,
        mode: SplitMode,
    ) -> Result<Range<usize>> {
        let (start, n) = (self.positions.len(), tokens.dim(0)?);
        self.embeds.push(self.model.between_markers(&tokens)?);
        self.route
            .extend([(Expert::Und, 1), (expert, n), (Expert::Und, 1)]);
        self.positions
            .extend(std::iter::repeat_n(self.next_position, n + 2));
        if mode != SplitMode::Noise {
            self.next_position += 1;
        }
        self.splits.push((mode, n + 2));
        Ok(start + 1..start + 1 + n)
    }

    /// The packed sample.
    ///
    /// # Errors
    /// If nothing was added.
    pub fn finish(self) -> Result<PackedSequence> {
        Ok(PackedSequence {
            embeds: Tensor::cat(&self.embeds, 0)?,
            mask: mask(&self.splits, self.model.device())?,
            route: self.route,
            positions: self.positions,
        })
    }
}

/// Row i sees column j if j is not later, or both are in one picture; but a noised picture is seen from inside only.
fn mask(splits: &[(SplitMode, usize)], device: &candle_core::Device) -> Result<Tensor> {
    let of_token: Vec<(usize, SplitMode)> = splits
        .iter()
        .enumerate()
        .flat_map(|(i, (mode, n))| std::iter::repeat_n((i, *mode), *n))
        .collect();
    let n = of_token.len();
    let mut cells = Vec::with_capacity(n * n);
    for (i, (row_split, mode)) in of_token.iter().enumerate() {
        for (j, (column_split, column_mode)) in of_token.iter().enumerate() {
            let same = row_split == column_split;
            let reaches = i >= j || (same && *mode != SplitMode::Causal);
            let hidden = *column_mode == SplitMode::Noise && !same;
            cells.push(if reaches && !hidden {
                0.0
            } else {
                f32::NEG_INFINITY
            });
        }
    }
    Tensor::from_vec(cells, (n, n), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_noised_picture_is_seen_from_inside_only() {
        use SplitMode::{Causal, Full, Noise};
        let mask = mask(
            &[(Full, 2), (Causal, 2), (Noise, 2), (Causal, 1)],
            &Device::Cpu,
        )
        .unwrap();
        let seen: Vec<String> = mask
            .to_vec2::<f32>()
            .unwrap()
            .into_iter()
            .map(|row| {
                row.iter()
                    .map(|cell| if *cell == 0.0 { 'x' } else { '.' })
                    .collect()
            })
            .collect();
        assert_eq!(
            seen,
            [
                "xx.....", "xx.....", "xxx....", "xxxx...", "xxxxxx.", "xxxxxx.", "xxxx..x"
            ]
        );
    }
}
