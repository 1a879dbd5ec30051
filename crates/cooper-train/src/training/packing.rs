//! Packing samples into one row of tokens, with the positions and the attention that each split asks for.
//!
//! Source: BAGEL `data/dataset_base.py`, `PackedDataset.pack_sequence`, and `data/data_utils.py`,
//! `prepare_attention_mask_per_sample`. Two things differ, for speed only. The tokens lie in the order of their
//! encoders (ids, ViT, latents), so that each expert has one run of them; attention finds a sample's tokens by rows.
//! And a sample may branch: what follows a trunk can be several independent endings, which see the trunk and
//! themselves, as if the trunk were there once for each.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Result, Tensor};
use cooper_kernels::{Segment, Segments};
use cooper_model::model::experts::{Expert, ExpertTokens};
use cooper_model::model::qwen2_mot::{Attends, Block};
use cooper_model::model::{ControlTokens, Grid, UnifiedModel};

use super::split::{Source, SplitMode, Token, mask};

/// A trunk and its branches, as ranges of `tokens`.
#[derive(Clone, Debug, Default)]
struct Sample {
    tokens: Vec<Token>,
    /// Where each branch begins; the trunk ends at the first.
    branches: Vec<usize>,
    n_splits: usize,
    next_position: u32,
    trunk_position: u32,
}

/// Latent tokens (n, p·p·z) of one image at a flow time.
#[derive(Clone, Debug)]
struct Latent {
    tokens: Tensor,
    time: f32,
    grid: Grid,
}

/// Collects samples, split by split.
#[derive(Clone, Debug)]
pub struct Packer {
    control: ControlTokens,
    ids: Vec<u32>,
    n_vit: usize,
    n_latent: usize,
    images: Vec<(Tensor, Grid)>,
    latents: Vec<Latent>,
    samples: Vec<Sample>,
}

impl Packer {
    /// Nothing yet; `control` has the markers around images.
    pub fn new(control: ControlTokens) -> Self {
        Self {
            control,
            ids: Vec::new(),
            n_vit: 0,
            n_latent: 0,
            images: Vec::new(),
            latents: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Tokens so far.
    pub fn n_tokens(&self) -> usize {
        self.ids.len() + self.n_vit + self.n_latent
    }

    /// Begin a sample, which does not attend to the others.
    pub fn begin_sample(&mut self) {
        self.samples.push(Sample::default());
    }

    /// Begin a branch of the present sample: it goes on from the trunk and does not see the other branches.
    pub fn begin_branch(&mut self) {
        let sample = self.sample();
        if sample.branches.is_empty() {
            sample.trunk_position = sample.next_position;
        }
        sample.next_position = sample.trunk_position;
        sample.branches.push(sample.tokens.len());
    }

    fn sample(&mut self) -> &mut Sample {
        if self.samples.is_empty() {
            self.begin_sample();
        }
        let last = self.samples.len() - 1;
        &mut self.samples[last]
    }

    /// Add a text with its start and end token; returns where its tokens are in [`Hidden::text`].
    pub fn prefill_text(&mut self, ids: &[u32]) -> Range<usize> {
        let rows = self.add_ids(ids, SplitMode::Causal);
        self.sample().next_position += ids.len() as u32;
        rows
    }

    /// Add a text that what follows does not see, and that takes no rope position from it.
    pub fn add_aside(&mut self, ids: &[u32]) -> Range<usize> {
        self.add_ids(ids, SplitMode::Aside)
    }

    fn add_ids(&mut self, ids: &[u32], mode: SplitMode) -> Range<usize> {
        let (start, n) = (self.ids.len(), ids.len());
        self.ids.extend(ids);
        let sample = self.sample();
        for i in 0..n {
            let position = sample.next_position + i as u32;
            sample.push(Source::Id(start + i), position, mode);
        }
        sample.n_splits += 1;
        start..start + n
    }

    /// Add an image for the vision encoder, by its patches (n, p·p·3).
    pub fn add_vit(&mut self, patches: Tensor, grid: Grid) {
        let start = self.n_vit;
        self.n_vit += grid.n_tokens();
        self.images.push((patches, grid));
        self.prefill_image(start..self.n_vit, Source::Vit, SplitMode::Full);
    }

    /// Add a clean image by its latent tokens (n, p·p·z).
    pub fn add_clean(&mut self, latent: Tensor, grid: Grid) {
        self.add_latent(latent, 0.0, grid, SplitMode::Full);
    }

    /// Add a noised image `x_t` (n, p·p·z) at flow time `t`, which takes no rope position from what follows;
    /// returns where its tokens are in [`Hidden::latents`].
    pub fn add_noised(&mut self, x_t: Tensor, t: f32, grid: Grid) -> Range<usize> {
        self.add_latent(x_t, t, grid, SplitMode::Noise)
    }

    /// An image that is left out: it keeps its rope position.
    pub fn skip_image(&mut self) {
        self.sample().next_position += 1;
    }

    fn add_latent(
        &mut self,
        tokens: Tensor,
        time: f32,
        grid: Grid,
        mode: SplitMode,
    ) -> Range<usize> {
        let start = self.n_latent;
        self.n_latent += grid.n_tokens();
        self.latents.push(Latent { tokens, time, grid });
        self.prefill_image(start..self.n_latent, Source::Latent, mode);
        start..self.n_latent
    }

    fn prefill_image(
        &mut self,
        tokens: Range<usize>,
        source: impl Fn(usize) -> Source,
        mode: SplitMode,
    ) {
        let start = self.ids.len();
        self.ids
            .extend([self.control.vision_start, self.control.vision_end]);
        let sample = self.sample();
        let position = sample.next_position;
        sample.push(Source::Id(start), position, mode);
        for i in tokens {
            sample.push(source(i), position, mode);
        }
        sample.push(Source::Id(start + 1), position, mode);
        sample.n_splits += 1;
        if mode != SplitMode::Noise {
            sample.next_position += 1;
        }
    }

    /// Everything in one row.
    ///
    /// # Errors
    /// If patches or latents differ in width.
    pub fn finish(self, device: &Device) -> Result<Packed> {
        let mut positions = vec![0; self.n_tokens()];
        let mut segments = Vec::new();
        let row = |token: &Token| match token.source {
            Source::Id(i) => i,
            Source::Vit(i) => self.ids.len() + i,
            Source::Latent(i) => self.ids.len() + self.n_vit + i,
        };
        for sample in &self.samples {
            for token in &sample.tokens {
                positions[row(token)] = token.position;
            }
            let rows = |tokens: &[&Token]| tokens.iter().map(|t| row(t) as u32).collect();
            for (queries, keys) in sample.segments() {
                segments.push(Segment {
                    mask: Some(mask(&queries, &keys, device)?),
                    queries: rows(&queries),
                    keys: rows(&keys),
                });
            }
        }
        let cat = |parts: Vec<&Tensor>| match parts.is_empty() {
            true => Ok(None),
            false => Tensor::cat(&parts, 0).map(Some),
        };
        Ok(Packed {
            patches: cat(self.images.iter().map(|(patches, _)| patches).collect())?,
            image_grids: self.images.iter().map(|(_, grid)| *grid).collect(),
            latents: cat(self.latents.iter().map(|latent| &latent.tokens).collect())?,
            latent_times: self.latents.iter().map(|latent| latent.time).collect(),
            latent_grids: self.latents.iter().map(|latent| latent.grid).collect(),
            ids: self.ids,
            positions,
            segments: Arc::new(Segments(segments)),
            samples: self.samples,
        })
    }
}

impl Sample {
    fn push(&mut self, source: Source, position: u32, mode: SplitMode) {
        self.tokens.push(Token {
            source,
            position,
            split: self.n_splits,
            mode,
        });
    }

    /// The trunk with itself, and each branch with the trunk and itself: (queries, keys).
    fn segments(&self) -> Vec<(Vec<&Token>, Vec<&Token>)> {
        let end_of_trunk = self.branches.first().copied().unwrap_or(self.tokens.len());
        let trunk: Vec<&Token> = self.tokens[..end_of_trunk].iter().collect();
        let mut segments = vec![(trunk.clone(), trunk.clone())];
        let ends = self.branches.iter().skip(1).copied();
        for (start, end) in self.branches.iter().zip(ends.chain([self.tokens.len()])) {
            let branch: Vec<&Token> = self.tokens[*start..end].iter().collect();
            segments.push((
                branch.clone(),
                trunk.iter().copied().chain(branch).collect(),
            ));
        }
        segments.retain(|(queries, _)| !queries.is_empty());
        segments
    }
}

/// A packed batch.
#[derive(Clone, Debug)]
pub struct Packed {
    ids: Vec<u32>,
    patches: Option<Tensor>,
    image_grids: Vec<Grid>,
    latents: Option<Tensor>,
    latent_times: Vec<f32>,
    latent_grids: Vec<Grid>,
    /// By packed row.
    positions: Vec<u32>,
    segments: Arc<Segments>,
    samples: Vec<Sample>,
}

/// What the network made of a batch.
#[derive(Clone, Debug)]
pub struct Hidden {
    /// Of text and marker tokens (n, c).
    pub text: Tensor,
    /// Of latent tokens (n, c), if there are any.
    pub latents: Option<Tensor>,
}

impl Packed {
    /// Tokens of the batch.
    pub fn n_tokens(&self) -> usize {
        self.positions.len()
    }

    /// The rope positions of a sample's tokens, in the sample's own order.
    pub fn positions(&self, sample: usize) -> Vec<u32> {
        let tokens = self.samples[sample].tokens.iter();
        tokens.map(|token| token.position).collect()
    }

    /// (n, n) of a sample without branches, in its own order: 0 where a token (row) attends to another, −∞ where not.
    pub fn mask(&self, sample: usize) -> Option<&Tensor> {
        let before: usize = self.samples[..sample]
            .iter()
            .map(|s| s.segments().len())
            .sum();
        self.segments
            .0
            .get(before)
            .and_then(|segment| segment.mask.as_ref())
    }

    /// Run the network.
    ///
    /// # Errors
    /// If shapes do not fit, or the model is not f32 on the CPU.
    pub fn forward(&self, model: &UnifiedModel) -> Result<Hidden> {
        let mut embeds = vec![(Expert::Und, model.embed_ids(&self.ids)?)];
        if let Some(patches) = &self.patches {
            let features = model.vit_features_of(patches, &self.image_grids)?;
            let tokens = model.embed_vit(&features, &self.image_grids)?;
            embeds.push((Expert::Und, tokens));
        }
        if let Some(latents) = &self.latents {
            let tokens = model.embed_latents(latents, &self.latent_times, &self.latent_grids)?;
            embeds.push((Expert::Gen, tokens));
        }
        let runs: Vec<_> = embeds.iter().map(|(expert, xs)| (*expert, xs)).collect();
        let lengths = runs.iter().map(|(expert, xs)| Ok((*expert, xs.dim(0)?)));
        let block = Block {
            routing: &lengths.collect::<Result<Vec<_>>>()?,
            angles: &model.angles(&self.positions)?,
            attends: Attends::Segments(&self.segments),
        };
        let hidden = model.forward_embeds(ExpertTokens::cat(&runs)?, block)?;
        let text = hidden.tokens(Expert::Und)?.narrow(0, 0, self.ids.len())?;
        let latents = self.latents.as_ref();
        let latents = latents.map(|_| hidden.tokens(Expert::Gen).cloned());
        Ok(Hidden {
            text,
            latents: latents.transpose()?,
        })
    }
}
