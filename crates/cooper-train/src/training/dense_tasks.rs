//! Samples from images with dense truth: drawing, and questions about what is known.

use cooper_imaging::ResizeRule;
use cooper_model::Result;
use cooper_model::reasoning::Prompts;
use rand::rngs::StdRng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::{check_depth_range, check_kept_size};
use super::dense::{DenseData, DenseSources, DenseTarget, DepthUnit};
use super::sample::Sample;
use super::sample_builder::{KnownMaps, SampleBuilder};
use super::task::{Task, TaskWeights, balanced};

/// A map is drawn if at least this share of its pixels is known; the rest is filled from the nearest ones.
const LEAST_KNOWN: f64 = 0.5;

/// Samples from images with dense truth: each is of one task, drawn by weight. An image about which nothing can be asked is
/// drawn: its depth map and its segmentation, as far as they are known. Without a palette, only analytic scenes have
/// segmentations that are drawn in the colours of objects, and nothing is asked.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DenseTasks {
    /// Where images come from.
    pub data: DenseData,
    /// Images of the sources before the first; another number gives a run other images.
    pub first: u64,
    /// The depths that are drawn as 0 and 1, metres.
    pub depth_range_m: [f32; 2],
    /// What is done with an image.
    pub tasks: TaskWeights,
    /// Questions about an image, at most.
    pub questions: usize,
    /// Also train to draw the maps that appear in conversations, besides reading them.
    pub draw_within: bool,
}

impl Default for DenseTasks {
    fn default() -> Self {
        Self {
            data: DenseData::default(),
            first: 0,
            depth_range_m: [0.0, 10.0],
            tasks: TaskWeights {
                draw: 1.0,
                ..TaskWeights::default()
            },
            questions: 4,
            draw_within: false,
        }
    }
}

/// Open [`DenseTasks`].
#[derive(Debug)]
pub(super) struct OpenDenseTasks<'c> {
    tasks: &'c DenseTasks,
    sources: DenseSources<'c>,
}

impl DenseTasks {
    /// Check and open all sources; the model's images, sized by `rule`, keep the size.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](cooper_model::Error::InvalidInput) with the first thing that cannot be used; otherwise about a file.
    pub(super) fn open(
        &self,
        target: &DenseTarget,
        rule: ResizeRule,
        seed: u64,
    ) -> Result<OpenDenseTasks<'_>> {
        check_depth_range(self.depth_range_m)?;
        self.tasks.check("data: dense: tasks")?;
        let sources = DenseSources::open(&self.data, target, seed)?;
        for size in sources.sizes() {
            check_kept_size("data: dense: sizes", rule, size)?;
        }
        Ok(OpenDenseTasks {
            tasks: self,
            sources,
        })
    }
}

impl OpenDenseTasks<'_> {
    /// Sample number `n`, and which source it came from; `rng` draws the image and its variation.
    ///
    /// # Errors
    /// About a file.
    pub(super) fn sample(
        &self,
        prompts: &Prompts,
        n: u64,
        rng: &mut StdRng,
    ) -> Result<(usize, Sample)> {
        let (source, mut image) = self.sources.image(self.tasks.first + n, rng)?;
        let has_depth = image.unit == DepthUnit::Metres && image.known_depth() >= LEAST_KNOWN;
        let has_labels = image.known_labels() >= LEAST_KNOWN;
        let mut task = self.tasks.tasks.draw(rng);
        let (mut questions, mut places) = (Vec::new(), Vec::new());
        // Asked before unknown pixels are filled: answers rest on what was measured.
        match self.sources.classes().labelled_image(&image) {
            Some(labelled) if has_depth && has_labels && task.asks() => {
                questions = balanced(labelled.questions(rng), self.tasks.questions);
            }
            Some(labelled) if has_depth && has_labels && task.grounds() => {
                places = labelled.grounding(self.tasks.questions, rng);
            }
            _ => task = Task::Draw,
        }
        image.fill();
        let maps = KnownMaps {
            relative_depth: has_depth.then(|| image.relative_depth(self.tasks.depth_range_m)),
            segmentation: has_labels.then(|| self.sources.classes().draw(&image)),
        };
        let builder = SampleBuilder::new(prompts, image.rgb, maps, self.tasks.draw_within);
        Ok((source, builder.sample(task, questions, places)))
    }

    /// What the sources are called in the log.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.sources.names()
    }
}
