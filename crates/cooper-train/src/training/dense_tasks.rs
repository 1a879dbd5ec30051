//! Samples from images with dense truth: drawing.

use std::sync::Arc;

use cooper_imaging::ResizeRule;
use cooper_model::Result;
use cooper_model::engine::{MapKind, Views};
use cooper_model::reasoning::Prompts;
use rand::rngs::StdRng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::{check_depth_range, check_kept_size};
use super::dense::{DenseData, DenseImage, DenseSources, DenseTarget, DepthUnit};
use super::sample::{Part, Sample, Target};

/// A map is drawn if at least this share of its pixels is known; the rest is filled from the nearest ones.
const LEAST_KNOWN: f64 = 0.5;

/// Samples from images with dense truth: each is read, then its depth map and its segmentation are drawn, as far as they
/// are known. Without a palette, only analytic scenes have segmentations that are drawn in the colours of objects.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DenseTasks {
    /// Where images come from.
    pub data: DenseData,
    /// Images of the sources before the first; another number gives a run other images.
    pub first: u64,
    /// The depths that are drawn as 0 and 1, metres.
    pub depth_range_m: [f32; 2],
}

impl Default for DenseTasks {
    fn default() -> Self {
        Self {
            data: DenseData::default(),
            first: 0,
            depth_range_m: [0.0, 10.0],
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
        image.fill();
        let mut branches = Vec::new();
        for (kind, is_known) in [
            (MapKind::Depth, has_depth),
            (MapKind::Segmentation, has_labels),
        ] {
            if is_known {
                let instruction = Part::prompt(prompts.instruction(kind));
                branches.push(vec![instruction, Part::Draw(self.target(kind, &image))]);
            }
        }
        let rgb = Arc::new(image.rgb);
        let sample = Sample {
            trunk: vec![Part::read(&rgb, Views::VaeAndVit)],
            branches,
        };
        Ok((source, sample))
    }

    /// What the sources are called in the log.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.sources.names()
    }

    fn target(&self, kind: MapKind, image: &DenseImage) -> Target {
        match kind {
            MapKind::Depth => Target::Depth {
                values: Arc::new(image.relative_depth(self.tasks.depth_range_m)),
                width: image.rgb.width(),
                height: image.rgb.height(),
            },
            MapKind::Segmentation => Target::Image(Arc::new(self.sources.classes().draw(image))),
        }
    }
}
