//! Dense pre-training of a small model's vision encoder: each patch predicts what its cells show.
//!
//! A released model's encoder is SigLIP's, trained on the world's images. A small one that only ever reads questions
//! learns to see very slowly; here a linear layer on the connector's output, thrown away afterwards, predicts for
//! each of a patch's 2 x 2 cells the shares of classes, the shares of colours, and the depth.

mod loss;

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use cooper_imaging::spectral;
use cooper_model::model::pixels::{Normalization, patchify};
use cooper_model::model::{Grid, UnifiedModel};
use cooper_model::{Error, Result};
use image::RgbImage;
use rand::Rng;
use rand::rngs::StdRng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::training::checks::check_depth_range;
use crate::training::dense::{
    CELLS, CellTensors, Cells, DenseData, DenseImage, DenseImages, DenseTarget, Readout, Shows,
    ValidationSet,
};
use crate::training::draws::rng_at;
use crate::training::init;
use crate::training::model_directory::ModelDirectory;
use crate::training::parameters::Parameters;
use crate::training::run_config::RunConfig;
use crate::training::settings::settings_of;
use crate::training::source_counts::SourceCounts;
use crate::training::stage::{Counts, Layout, Metrics, Stage};

use loss::Outputs;

/// `cooper train vit`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VitTraining {
    /// The settings that all stages have in common.
    pub run: RunConfig,
    /// Where images come from.
    pub data: DenseData,
    /// Images whose scores go into the log at each checkpoint: depth (range 10 m, aligned and raw) and classes, as read from
    /// the tokens.
    pub validation: Vec<ValidationSet>,
    /// Images of a micro-batch, at least 1. Required.
    pub samples: usize,
    /// The depths that are drawn as 0 and 1, metres. Required.
    pub depth_range_m: [f32; 2],
    /// The share of depth maps, and the share of segmentations, among the images; 0 to 0.5.
    pub map_share: f64,
}

impl VitTraining {
    fn check(&self) -> Result<()> {
        if self.samples == 0 {
            return Err(Error::invalid("samples", "expected at least 1, got 0"));
        }
        if !(0.0..=0.5).contains(&self.map_share) {
            let why = format!("expected a share from 0 to 0.5, got {}", self.map_share);
            return Err(Error::invalid("map_share", why));
        }
        check_depth_range(self.depth_range_m)
    }
}

/// The linear layer that is thrown away.
const HEAD: &str = "dense_head";

/// The stage.
#[derive(Debug)]
pub struct VitStage<'c> {
    config: &'c VitTraining,
    images: DenseImages<'c>,
    model: UnifiedModel,
    /// (4·outputs, c)
    head: Tensor,
    bias: Tensor,
    outputs: Outputs,
    patch_size: usize,
    normalization: Normalization,
}

/// Patches of many images, and what their cells show.
#[derive(Debug)]
pub struct VitBatch {
    patches: Tensor,
    grids: Vec<Grid>,
    cells: CellTensors,
    by_source: SourceCounts,
}

impl<'c> VitStage<'c> {
    /// The stage, and the weights that it trains.
    ///
    /// # Errors
    /// If the model directory or the configuration cannot be used.
    pub fn new(config: &'c VitTraining) -> Result<(Self, Parameters)> {
        config.run.check()?;
        config.check()?;
        let directory = ModelDirectory::read(&config.run.init)?;
        let patch_size = directory.config.vit.patch_size;
        let run = &config.run;
        let target = DenseTarget::of_model(&directory.config, patch_size);
        let images = DenseImages::open(&config.data, &config.validation, &target, run.seed)?;
        let outputs = Outputs::new(images.sources.classes());
        let mut weights = directory.weights()?;
        weights.extend(head(&directory, outputs.per_patch(), run.seed)?);
        let parameters = Parameters::new(weights, &run.freeze)?;
        let builder = parameters.builder();
        let (c, n) = (directory.config.llm.hidden_size, outputs.per_patch());
        let stage = Self {
            config,
            images,
            head: builder.get((n, c), &format!("{HEAD}.weight"))?,
            bias: builder.get(n, &format!("{HEAD}.bias"))?,
            outputs,
            patch_size,
            normalization: directory.config.normalization(),
            model: directory.model(builder)?,
        };
        Ok((stage, parameters))
    }

    /// Patches of an image, and how many there are each way.
    fn patches(&self, image: &RgbImage) -> Result<(Tensor, Grid)> {
        let p = self.patch_size;
        let pixels = self.normalization.pixels(image, &Device::Cpu)?;
        let grid = Grid {
            rows: image.height() as usize / p,
            columns: image.width() as usize / p,
        };
        Ok((patchify(&pixels, p)?, grid))
    }

    /// The head's outputs (cells, outputs) for images one behind the other.
    fn read(&self, patches: &Tensor, grids: &[Grid]) -> Result<Tensor> {
        let features = self.model.vit_features_of(patches, grids)?;
        let tokens = self.model.embed_vit(&features, grids)?;
        let read = tokens.matmul(&self.head.t()?)?.broadcast_add(&self.bias)?;
        let n_cells = read.dim(0)? * CELLS * CELLS;
        Ok(read.reshape((n_cells, self.outputs.per_cell()))?)
    }

    /// What an image shows: itself, or one of its maps.
    fn shown(&self, image: &DenseImage, rng: &mut StdRng) -> (Shows, RgbImage) {
        let share = self.config.map_share;
        match rng.random::<f64>() {
            x if x < share => (Shows::Depth, self.depth_map(image)),
            x if x < 2.0 * share => (
                Shows::Segmentation,
                self.images.sources.classes().draw(image),
            ),
            _ => (Shows::Colors, image.rgb.clone()),
        }
    }

    fn depth_map(&self, image: &DenseImage) -> RgbImage {
        let relative = image.relative_depth(self.config.depth_range_m);
        spectral(&relative, image.rgb.width(), image.rgb.height())
    }
}

/// A small random head.
fn head(directory: &ModelDirectory, n: usize, seed: u64) -> Result<HashMap<String, Tensor>> {
    let shapes = [
        (
            format!("{HEAD}.weight"),
            vec![n, directory.config.llm.hidden_size],
        ),
        (format!("{HEAD}.bias"), vec![n]),
    ];
    Ok(init::fresh(&shapes.into_iter().collect(), 1, seed)?)
}

impl Stage for VitStage<'_> {
    type Batch = VitBatch;

    const LAYOUT: Layout = Layout {
        weights: "ema.safetensors",
        left_out: Some(HEAD),
    };

    fn run_config(&self) -> &RunConfig {
        &self.config.run
    }

    fn batch(&self, step: usize, micro: usize) -> Result<VitBatch> {
        let mut rng = rng_at(self.config.run.seed, step, micro);
        let n = self.config.samples;
        let first = (step * self.config.run.micro_batches + micro) * n;
        let (mut patches, mut grids, mut cells) = (Vec::new(), Vec::new(), Cells::default());
        let mut by_source = SourceCounts::new(self.images.sources.names());
        for number in first..first + n {
            let (source, image) = self.images.sources.image(number as u64, &mut rng)?;
            by_source.count(source);
            let (shows, shown) = self.shown(&image, &mut rng);
            let (own, grid) = self.patches(&shown)?;
            patches.push(own);
            grids.push(grid);
            cells.add(
                &image,
                self.images.sources.classes(),
                (grid, self.patch_size),
                shows,
            );
        }
        Ok(VitBatch {
            patches: Tensor::cat(&patches, 0)?,
            grids,
            cells: cells.into_tensors()?,
            by_source,
        })
    }

    fn validate(&self) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        let classes = self.images.sources.classes();
        for set in &self.images.validation {
            let mut readout = Readout::new(classes);
            for i in 0..set.len() {
                let image = set.image(i)?;
                let (patches, grid) = self.patches(&image.rgb)?;
                let read = self.read(&patches, &[grid])?.detach();
                readout.add(&image, classes, grid, &self.outputs.reading(&read)?)?;
            }
            let named = |(name, score)| (format!("{}_{name}", set.name()), score);
            metrics.extend(readout.metrics().into_iter().map(named));
        }
        Ok(metrics)
    }

    fn settings(&self) -> Result<serde_json::Value> {
        settings_of(self.config)
    }

    fn counts(&self, batch: &VitBatch) -> Counts {
        Counts {
            mse: batch.cells.log_depth.elem_count() as f64,
            samples: batch.grids.len() as f64,
            tokens: batch.patches.dims()[0] as f64,
            ..Counts::default()
        }
    }

    fn loss(&self, batch: &VitBatch, totals: &Counts) -> Result<(Tensor, Metrics)> {
        let read = self.read(&batch.patches, &batch.grids)?;
        let (loss, mut metrics) = self.outputs.loss(&read, &batch.cells, totals.mse)?;
        batch.by_source.add_to(&mut metrics);
        Ok((loss, metrics))
    }
}
