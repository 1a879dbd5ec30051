//! Dense pre-training of a small model's vision encoder: each patch predicts what its cells show.
//!
//! A released model's encoder is SigLIP's, trained on the world's images. A small one that only ever reads questions
//! learns to see very slowly; here a linear layer on the connector's output, thrown away afterwards, predicts for
//! each of a patch's 2 x 2 cells the shares of classes, the shares of colours, and the depth.

use std::collections::HashMap;

use candle_core::{D, Device, Tensor};
use candle_nn::ops::log_softmax;
use cooper_imaging::spectral;
use cooper_kernels::with_slices;
use cooper_model::model::pixels::{Normalization, patchify};
use cooper_model::model::{Grid, UnifiedModel};
use cooper_model::{Error, Result};
use cooper_scenes::{CEILING, Category, ColorName, FIRST_OBJECT, FLOOR, Scene, SceneConfig, Split};
use rand::Rng;
use rand::rngs::StdRng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draws::rng_at;
use super::init;
use super::mixture::check_depth_range;
use super::model_directory::ModelDirectory;
use super::parameters::Parameters;
use super::run_config::RunConfig;
use super::settings::settings_of;
use super::stage::{Counts, Layout, Metrics, Stage};

/// `cooper train vit`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VitTraining {
    /// The settings that all stages have in common.
    pub run: RunConfig,
    /// The scenes that images come from.
    pub scenes: SceneConfig,
    /// Images of a micro-batch, at least 1. Required.
    pub samples: usize,
    /// The depths that are drawn as 0 and 1, metres. Required.
    pub depth_range_m: [f32; 2],
    /// The share of depth maps, and the share of segmentations, among the images; 0 to 0.5.
    pub map_share: f64,
}

impl VitTraining {
    /// Whether images can be made and cut into patches of `p` pixels a side.
    fn check(&self, p: usize) -> Result<()> {
        if self.samples == 0 {
            return Err(Error::invalid("samples", "expected at least 1, got 0"));
        }
        if !(0.0..=0.5).contains(&self.map_share) {
            let why = format!("expected a share from 0 to 0.5, got {}", self.map_share);
            return Err(Error::invalid("map_share", why));
        }
        check_depth_range(self.depth_range_m)?;
        self.scenes.check()?;
        let (width, height) = (self.scenes.width as usize, self.scenes.height as usize);
        if !width.is_multiple_of(p) || !height.is_multiple_of(p) {
            let why = format!("expected multiples of {p}, a patch's side, got {width}x{height}");
            return Err(Error::invalid("scenes: width, height", why));
        }
        Ok(())
    }
}

/// Cells on a patch's side.
const CELLS: usize = 2;
/// Floor, wall, ceiling, and the categories.
const N_CLASSES: usize = 3 + Category::ALL.len();
/// The colours of objects, and none.
const N_COLORS: usize = ColorName::ALL.len() + 1;
/// Outputs for a cell: the shares, and the depth's logarithm.
const N_OUTPUTS: usize = N_CLASSES + N_COLORS + 1;
/// The linear layer that is thrown away.
const HEAD: &str = "dense_head";

/// The stage.
#[derive(Debug)]
pub struct VitStage<'c> {
    config: &'c VitTraining,
    model: UnifiedModel,
    /// (4·outputs, c)
    head: Tensor,
    bias: Tensor,
    patch_size: usize,
    normalization: Normalization,
}

/// What an image shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    Colors,
    Depth,
    Segmentation,
}

/// Patches of many images, and what their cells show.
#[derive(Debug)]
pub struct VitBatch {
    patches: Tensor,
    grids: Vec<Grid>,
    /// (cells, classes), (cells, colours), (cells, 1)
    classes: Tensor,
    colors: Tensor,
    log_depth: Tensor,
    /// (cells, 1), 1 where the image shows it, else 0
    class_mask: Tensor,
    depth_mask: Tensor,
}

impl<'c> VitStage<'c> {
    /// The stage, and the weights that it trains.
    ///
    /// # Errors
    /// If the model directory or the configuration cannot be used.
    pub fn new(config: &'c VitTraining) -> Result<(Self, Parameters)> {
        config.run.check()?;
        let directory = ModelDirectory::read(&config.run.init)?;
        config.check(directory.config.vit.patch_size)?;
        let mut weights = directory.weights()?;
        weights.extend(head(&directory, config.run.seed)?);
        let parameters = Parameters::new(weights, &config.run.freeze)?;
        let builder = parameters.builder();
        let (c, n) = (directory.config.llm.hidden_size, CELLS * CELLS * N_OUTPUTS);
        let stage = Self {
            config,
            head: builder.get((n, c), &format!("{HEAD}.weight"))?,
            bias: builder.get(n, &format!("{HEAD}.bias"))?,
            patch_size: directory.config.vit.patch_size,
            normalization: directory.config.normalization(),
            model: directory.model(builder)?,
        };
        Ok((stage, parameters))
    }

    fn add(&self, index: u64, rng: &mut StdRng, into: &mut Collected) -> Result<()> {
        let scene = Scene::generate(&self.config.scenes, Split::Train, index);
        let shows = match rng.random::<f64>() {
            x if x < self.config.map_share => Shows::Depth,
            x if x < 2.0 * self.config.map_share => Shows::Segmentation,
            _ => Shows::Colors,
        };
        let [near, far] = self.config.depth_range_m;
        let (ww, hh) = scene.image.dimensions();
        let image = match shows {
            Shows::Colors => scene.image.clone(),
            Shows::Depth => spectral(&scene.relative_depth(near, far), ww, hh),
            Shows::Segmentation => scene.segmentation_image(),
        };
        let p = self.patch_size;
        let pixels = self.normalization.pixels(&image, &Device::Cpu)?;
        into.patches.push(patchify(&pixels, p)?);
        let grid = Grid {
            rows: hh as usize / p,
            columns: ww as usize / p,
        };
        into.grids.push(grid);
        into.add_cells(&scene, grid, p, shows);
        Ok(())
    }
}

/// A small random head.
fn head(directory: &ModelDirectory, seed: u64) -> Result<HashMap<String, Tensor>> {
    let shape = [CELLS * CELLS * N_OUTPUTS, directory.config.llm.hidden_size];
    let shapes = [
        (format!("{HEAD}.weight"), shape.to_vec()),
        (format!("{HEAD}.bias"), shape[..1].to_vec()),
    ];
    Ok(init::fresh(&shapes.into_iter().collect(), 1, seed)?)
}

/// A batch in the making.
#[derive(Default)]
struct Collected {
    patches: Vec<Tensor>,
    grids: Vec<Grid>,
    classes: Vec<f32>,
    colors: Vec<f32>,
    log_depth: Vec<f32>,
    class_mask: Vec<f32>,
    depth_mask: Vec<f32>,
}

impl Collected {
    /// The cells of each patch, in (patch, cell row, cell column) order.
    fn add_cells(&mut self, scene: &Scene, grid: Grid, p: usize, shows: Shows) {
        let side = p / CELLS;
        let ww = scene.image.width() as usize;
        for patch in 0..grid.n_tokens() {
            let (row, column) = (patch / grid.columns, patch % grid.columns);
            for cell in 0..CELLS * CELLS {
                let top = row * p + cell / CELLS * side;
                let left = column * p + cell % CELLS * side;
                let pixels = (0..side * side).map(|i| (top + i / side) * ww + left + i % side);
                self.add_cell(scene, pixels);
                let mask = |is: bool| if is { 1.0 } else { 0.0 };
                self.class_mask.push(mask(shows != Shows::Depth));
                self.depth_mask.push(mask(shows != Shows::Segmentation));
            }
        }
    }

    fn add_cell(&mut self, scene: &Scene, pixels: impl Iterator<Item = usize>) {
        let mut classes = [0f32; N_CLASSES];
        let mut colors = [0f32; N_COLORS];
        let (mut log_depth, mut n) = (0f32, 0f32);
        for i in pixels {
            let (class, color) = class_and_color(scene, scene.ids[i]);
            classes[class] += 1.0;
            colors[color] += 1.0;
            log_depth += scene.depth[i].max(0.1).ln();
            n += 1.0;
        }
        self.classes.extend(classes.map(|x| x / n));
        self.colors.extend(colors.map(|x| x / n));
        self.log_depth.push(log_depth / n);
    }
}

/// Class and colour of a label.
fn class_and_color(scene: &Scene, id: u8) -> (usize, usize) {
    let object = (id.checked_sub(FIRST_OBJECT)).and_then(|i| scene.objects.get(usize::from(i)));
    let Some(object) = object else {
        let class = match id {
            FLOOR => 0,
            CEILING => 2,
            _ => 1,
        };
        return (class, N_COLORS - 1);
    };
    let place = |found: Option<usize>| found.unwrap_or_default();
    let category = place(Category::ALL.iter().position(|c| *c == object.category()));
    let color = place(ColorName::ALL.iter().position(|c| *c == object.color));
    (3 + category, color)
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
        let mut collected = Collected::default();
        for index in first..first + n {
            self.add(index as u64, &mut rng, &mut collected)?;
        }
        let n_cells = collected.log_depth.len();
        let tensor = |numbers: Vec<f32>| {
            let width = numbers.len() / n_cells.max(1);
            Tensor::from_vec(numbers, (n_cells, width), &Device::Cpu)
        };
        Ok(VitBatch {
            patches: Tensor::cat(&collected.patches, 0)?,
            grids: collected.grids,
            classes: tensor(collected.classes)?,
            colors: tensor(collected.colors)?,
            log_depth: tensor(collected.log_depth)?,
            class_mask: tensor(collected.class_mask)?,
            depth_mask: tensor(collected.depth_mask)?,
        })
    }

    fn settings(&self) -> Result<serde_json::Value> {
        settings_of(self.config)
    }

    fn counts(&self, batch: &VitBatch) -> Counts {
        Counts {
            mse: batch.log_depth.elem_count() as f64,
            samples: batch.grids.len() as f64,
            tokens: batch.patches.dims()[0] as f64,
            ..Counts::default()
        }
    }

    fn loss(&self, batch: &VitBatch, totals: &Counts) -> Result<(Tensor, Metrics)> {
        let features = self.model.vit_features_of(&batch.patches, &batch.grids)?;
        let tokens = self.model.embed_vit(&features, &batch.grids)?;
        let outputs = tokens.matmul(&self.head.t()?)?.broadcast_add(&self.bias)?;
        let outputs = outputs.reshape((batch.log_depth.elem_count(), N_OUTPUTS))?;
        let classes = log_softmax(&outputs.narrow(1, 0, N_CLASSES)?, D::Minus1)?;
        let colors = log_softmax(&outputs.narrow(1, N_CLASSES, N_COLORS)?, D::Minus1)?;
        let log_depth = outputs.narrow(1, N_OUTPUTS - 1, 1)?;
        let class_loss = (&classes * &batch.classes)?.sum_keepdim(1)?.neg()?;
        let color_loss = (&colors * &batch.colors)?.sum_keepdim(1)?.neg()?;
        let depth_loss = (&log_depth - &batch.log_depth)?.abs()?;
        let shares = ((class_loss + color_loss)? * &batch.class_mask)?;
        let depths = (&depth_loss * &batch.depth_mask)?;
        let loss = ((shares + (&depths * 2.0)?)?.sum_all()? / totals.mse)?;
        let mut metrics = Metrics::new();
        let weight = |tensor: &Tensor| {
            Ok::<_, candle_core::Error>(f64::from(tensor.sum_all()?.to_scalar::<f32>()?))
        };
        let n_depth = weight(&batch.depth_mask)?;
        metrics.insert(
            "log_depth_error".into(),
            (weight(&depths.detach())?, n_depth),
        );
        let objects = |outputs: &Tensor, truth: &Tensor, of: fn(usize) -> bool| {
            hits(outputs, truth, &batch.class_mask, of)
        };
        let color_hits = objects(&colors, &batch.colors, |color| color + 1 < N_COLORS)?;
        metrics.insert("object_color".into(), color_hits);
        let class_hits = objects(&classes, &batch.classes, |class| class >= 3)?;
        metrics.insert("object_category".into(), class_hits);
        Ok((loss, metrics))
    }
}

/// How often the greatest score is where the truth's share is over one half, for truths of interest.
fn hits(
    outputs: &Tensor,
    truth: &Tensor,
    mask: &Tensor,
    of_interest: fn(usize) -> bool,
) -> Result<(f64, f64)> {
    let width = outputs.dim(1)?;
    Ok(with_slices(
        [outputs, truth, mask],
        |[outputs, truth, mask]| {
            let (mut right, mut all) = (0.0, 0.0);
            let rows = outputs.chunks_exact(width).zip(truth.chunks_exact(width));
            for ((outputs, truth), mask) in rows.zip(mask) {
                let expected = truth.iter().position(|share| *share > 0.5);
                let Some(expected) = expected.filter(|i| *mask > 0.0 && of_interest(*i)) else {
                    continue;
                };
                all += 1.0;
                if outputs.iter().all(|score| *score <= outputs[expected]) {
                    right += 1.0;
                }
            }
            (right, all)
        },
    )?)
}
