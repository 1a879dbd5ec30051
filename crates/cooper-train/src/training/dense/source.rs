//! Where images with dense truth come from: sources by weight.

use cooper_model::{Error, Result};
use cooper_scenes::{Scene, SceneConfig, Split};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image::DenseImage;
use super::palette::ClassSet;
use super::rgbd::{OpenFiles, RgbdFiles};
use super::target::DenseTarget;
use super::warp::resized;
use crate::training::checks::check_weights;
use crate::training::draws::row_of_epoch;

/// Where images with dense truth come from, and how large they become.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DenseData {
    /// Sources by weight; by default analytic scenes.
    pub sources: Vec<DenseWeighted>,
    /// Widths and heights in pixels, one of which is drawn for each image; a scene's own if none is given.
    pub sizes: Vec<[u32; 2]>,
}

impl Default for DenseData {
    fn default() -> Self {
        Self {
            sources: vec![DenseWeighted {
                weight: 1.0,
                scenes: Some(SceneConfig::default()),
                rgbd: None,
            }],
            sizes: Vec::new(),
        }
    }
}

/// A source of images and its weight among the others: `scenes` or `rgbd`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DenseWeighted {
    /// Its share of the images, relative to the other sources' weights, from 0.
    #[serde(default = "one")]
    pub weight: f64,
    /// Analytic scenes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenes: Option<SceneConfig>,
    /// Files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rgbd: Option<RgbdFiles>,
}

fn one() -> f64 {
    1.0
}

/// Open sources.
#[derive(Debug)]
pub(in crate::training) struct DenseSources<'c> {
    data: &'c DenseData,
    sources: Vec<(f64, OpenSource<'c>)>,
    target: DenseTarget,
    seed: u64,
}

#[derive(Debug)]
enum OpenSource<'c> {
    Scenes(&'c SceneConfig),
    Files(OpenFiles<'c>),
}

impl<'c> DenseSources<'c> {
    /// Check and open all sources; `seed` shuffles files.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with the first thing that cannot be used; otherwise about a file.
    pub(in crate::training) fn open(
        data: &'c DenseData,
        target: &DenseTarget,
        seed: u64,
    ) -> Result<Self> {
        check_weights("sources", data.sources.iter().map(|source| source.weight))?;
        let mut sources = Vec::with_capacity(data.sources.len());
        for source in &data.sources {
            let open = match (&source.scenes, &source.rgbd) {
                (Some(scenes), None) => {
                    scenes.check()?;
                    OpenSource::Scenes(scenes)
                }
                (None, Some(files)) => OpenSource::Files(files.open(target)?),
                (scenes, _) => {
                    let got = if scenes.is_some() { "both" } else { "neither" };
                    let why = format!("expected `scenes` or `rgbd`, got {got}");
                    return Err(Error::invalid("sources", why));
                }
            };
            sources.push((source.weight, open));
        }
        let open = Self {
            data,
            sources,
            target: target.clone(),
            seed,
        };
        open.check_sizes()?;
        Ok(open)
    }

    /// Width and height of all images.
    ///
    /// Images of files need a size; those of scenes have their own.
    pub(in crate::training) fn sizes(&self) -> Vec<[u32; 2]> {
        if !self.data.sizes.is_empty() {
            return self.data.sizes.clone();
        }
        let own = self.sources.iter().filter_map(|(_, source)| match source {
            OpenSource::Scenes(scenes) => Some([scenes.width, scenes.height]),
            OpenSource::Files(_) => None,
        });
        own.collect()
    }

    fn check_sizes(&self) -> Result<()> {
        let is_file = |(_, source): &(f64, OpenSource)| matches!(source, OpenSource::Files(_));
        if self.data.sizes.is_empty() && self.sources.iter().any(is_file) {
            let why = "expected at least one size for images of files, got none";
            return Err(Error::invalid("sizes", why));
        }
        let mut sizes = self.sizes().into_iter();
        sizes.try_for_each(|size| self.target.check_size("sizes, width, height", size))
    }

    /// The classes that labels stand for.
    pub(in crate::training) fn classes(&self) -> &ClassSet {
        &self.target.classes
    }

    /// Image number `n` of a run, and which source it came from; `rng` draws the source, the size and the variation.
    ///
    /// # Errors
    /// About a file.
    pub(in crate::training) fn image(
        &self,
        n: u64,
        rng: &mut StdRng,
    ) -> Result<(usize, DenseImage)> {
        let places: Vec<usize> = (0..self.sources.len()).collect();
        let drawn = places.choose_weighted(rng, |i| self.sources[*i].0);
        // Fails only without any weight, which `open` refuses.
        let place = drawn.copied().unwrap_or_default();
        let size = self.data.sizes.choose(rng).copied();
        let mut image = match &self.sources[place].1 {
            OpenSource::Scenes(config) => {
                let scene = Scene::generate(config, Split::Train, n);
                let image = self.target.classes.labelled(&scene);
                match size {
                    Some(size) => resized(&image, size),
                    None => image,
                }
            }
            OpenSource::Files(files) => {
                let row = row_of_epoch(n, files.len(), self.seed);
                let image = files.load(row)?;
                let size = size.unwrap_or(image.rgb.dimensions().into());
                files.augmentation().vary(&image, size, rng)?
            }
        };
        if let Some(share) = self.target.canonical_focal {
            image.make_canonical(share);
        }
        Ok((place, image))
    }

    /// What the sources are called in the log.
    pub(in crate::training) fn names(&self) -> impl Iterator<Item = String> {
        let sources = self.sources.iter().enumerate();
        sources.map(|(place, (_, source))| match source {
            OpenSource::Scenes(_) => format!("{place}_scenes"),
            OpenSource::Files(files) => format!("{place}_{}", files.name()),
        })
    }
}
