//! The autoencoder of a small model: images, depth maps and segmentations of generated scenes, in crops.
//!
//! The released autoencoder is FLUX's and is never trained; a small model needs one of its own size.

use std::collections::HashMap;

use candle_core::{D, Device, Tensor};
use cooper_kernels::ConvPrecision;
use cooper_model::engine::VAE_NAME;
use cooper_model::model::{FluxVae, ModelConfig};
use cooper_model::{Error, Result};
use cooper_scenes::{Scene, SceneConfig, Split};
use rand::Rng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draws::rng_at;
use super::mixture::check_depth_range;
use super::parameters::Parameters;
use super::run_config::RunConfig;
use super::settings::settings_of;
use super::stage::{Counts, Layout, Metrics, Stage};

/// `cooper train vae`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VaeTraining {
    /// The settings that all stages have in common.
    pub run: RunConfig,
    /// Weights of the parts of the loss.
    pub loss: VaeLoss,
    /// The scenes that images come from.
    pub scenes: SceneConfig,
    /// Scenes of a micro-batch, at least 1; each gives an image, a depth map and a segmentation. Required.
    pub samples: usize,
    /// Rows and columns of the crops, multiples of a latent cell's side in pixels. Required.
    pub crop: [usize; 2],
    /// The depths that are drawn as 0 and 1, metres. Required.
    pub depth_range_m: [f32; 2],
    /// Before the first step, scale and shift each latent channel to mean 0 and standard deviation 1.
    pub normalize_first: bool,
}

/// Weights of the parts of the loss; the mean absolute and the mean squared error count as they are.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VaeLoss {
    /// Weight of the mean KL divergence of latent values from a standard normal distribution.
    pub kl: f64,
}

impl Default for VaeLoss {
    fn default() -> Self {
        Self { kl: 1e-3 }
    }
}

/// The stage.
#[derive(Debug)]
pub struct VaeStage<'c> {
    config: &'c VaeTraining,
    vae: FluxVae,
    z_channels: usize,
    downsample: usize,
}

/// Pixels (b, 3, hh, ww) in [−1, 1] and noise of the latents' shape.
#[derive(Debug)]
pub struct VaeBatch {
    pixels: Tensor,
    noise: Tensor,
}

impl<'c> VaeStage<'c> {
    /// The stage, and the weights that it trains.
    ///
    /// # Errors
    /// If the model directory or the configuration cannot be used.
    pub fn new(config: &'c VaeTraining) -> Result<(Self, Parameters)> {
        config.run.check()?;
        let model = ModelConfig::load(&config.run.init).map_err(|why| Error::Weights {
            path: config.run.init.clone(),
            why,
        })?;
        let side = model.vae.downsample();
        if config.samples == 0 || config.crop.iter().any(|n| *n == 0 || n % side != 0) {
            let (samples, crop) = (config.samples, config.crop);
            let why = format!(
                "expected samples from 1 and crops of multiples of {side}, got {samples} and {crop:?}"
            );
            return Err(Error::invalid("samples, crop", why));
        }
        check_depth_range(config.depth_range_m)?;
        config.scenes.check()?;
        let image = [config.scenes.height, config.scenes.width].map(|side| side as usize);
        if config.crop[0] > image[0] || config.crop[1] > image[1] {
            let why = format!(
                "expected at most the scenes' {image:?}, got {:?}",
                config.crop
            );
            return Err(Error::invalid("crop", why));
        }
        let file = config.run.init.join(VAE_NAME);
        let mut parameters = Parameters::read(&file, &config.run.freeze)?;
        if config.normalize_first {
            let vae = FluxVae::new(&model.vae, ConvPrecision::F32, parameters.builder())?;
            let stage = Self::with_network(config, vae, &model);
            parameters = stage.normalized(&parameters, &model)?;
        }
        let vae = FluxVae::new(&model.vae, ConvPrecision::F32, parameters.builder())?;
        Ok((Self::with_network(config, vae, &model), parameters))
    }

    fn with_network(config: &'c VaeTraining, vae: FluxVae, model: &ModelConfig) -> Self {
        Self {
            config,
            vae,
            z_channels: model.vae.z_channels,
            downsample: model.vae.downsample(),
        }
    }

    /// Crops of a scene's image, depth map and segmentation.
    fn crops(&self, index: u64, rng: &mut StdRng) -> Vec<f32> {
        let scene = Scene::generate(&self.config.scenes, Split::Train, index);
        let (ww, hh) = (scene.image.width() as usize, scene.image.height() as usize);
        let [rows, columns] = self.config.crop;
        let (rows, columns) = (rows.min(hh), columns.min(ww));
        let [near, far] = self.config.depth_range_m;
        let depth = scene.relative_depth(near, far);
        let segmentation = scene.segmentation_image();
        let mut crops = Vec::with_capacity(9 * rows * columns);
        for image in 0..3 {
            let top = rng.random_range(0..=hh - rows);
            let left = rng.random_range(0..=ww - columns);
            let flip = rng.random_bool(0.5);
            for c in 0..3 {
                for row in top..top + rows {
                    for i in 0..columns {
                        let column = left + if flip { columns - 1 - i } else { i };
                        let (x, y) = (column as u32, row as u32);
                        let unit = match image {
                            0 => f32::from(scene.image.get_pixel(x, y).0[c]) / 255.0,
                            1 => depth[row * ww + column],
                            _ => f32::from(segmentation.get_pixel(x, y).0[c]) / 255.0,
                        };
                        crops.push(unit * 2.0 - 1.0);
                    }
                }
            }
        }
        crops
    }

    fn pixels(&self, indexes: std::ops::Range<u64>, rng: &mut StdRng) -> Result<Tensor> {
        let n = 3 * (indexes.end - indexes.start) as usize;
        let pixels: Vec<f32> = indexes.flat_map(|index| self.crops(index, rng)).collect();
        let [rows, columns] = self.config.crop;
        Ok(Tensor::from_vec(
            pixels,
            (n, 3, rows, columns),
            &Device::Cpu,
        )?)
    }

    /// The weights with which every latent channel has mean 0 and deviation 1 over some scenes.
    fn normalized(&self, parameters: &Parameters, model: &ModelConfig) -> Result<Parameters> {
        let mut rng = rng_at(self.config.run.seed, usize::MAX, 0);
        let pixels = self.pixels(0..64, &mut rng)?;
        let moments = self.vae.moments(&pixels)?.detach();
        let means = moments
            .narrow(1, 0, self.z_channels)?
            .transpose(0, 1)?
            .flatten_from(1)?;
        let mean = means.mean(1)?;
        let variance = means.broadcast_sub(&mean.unsqueeze(1)?)?.sqr()?.mean(1)?;
        let mean: Vec<f64> = mean.to_dtype(candle_core::DType::F64)?.to_vec1()?;
        let variance: Vec<f64> = variance.to_dtype(candle_core::DType::F64)?.to_vec1()?;
        // The file's own scale and shift come on top: z' = gain·z + offset, (z' − shift)·scale ~ N(0, 1).
        let gain = variance
            .iter()
            .map(|v| 1.0 / (v.sqrt() * model.vae.scale_factor).max(1e-6));
        let gain: Vec<f64> = gain.collect();
        let offset = mean
            .iter()
            .zip(&gain)
            .map(|(m, g)| model.vae.shift_factor - m * g);
        let offset: Vec<f64> = offset.collect();
        let weights = rescaled(parameters, &gain, &offset)?;
        Parameters::new(weights, &self.config.run.freeze)
    }
}

/// Encoder and decoder of the latent `gain·z + offset` in place of `z`, by channel.
fn rescaled(
    parameters: &Parameters,
    gain: &[f64],
    offset: &[f64],
) -> Result<HashMap<String, Tensor>> {
    let mut weights: HashMap<String, Tensor> = parameters
        .all()
        .map(|(name, var)| (name.clone(), var.as_detached_tensor()))
        .collect();
    let n = gain.len();
    let column = |numbers: Vec<f32>| Tensor::from_vec(numbers, n, &Device::Cpu);
    let gains = column(gain.iter().map(|g| *g as f32).collect())?;
    let offsets = column(offset.iter().map(|o| *o as f32).collect())?;
    let log_gains = column(gain.iter().map(|g| (2.0 * g.ln()) as f32).collect())?;
    let missing =
        |name: &str| Error::invalid(name, "expected such a weight in the autoencoder, got none");
    let mut change = |name: &str, f: &dyn Fn(&Tensor) -> candle_core::Result<Tensor>| {
        let old = weights.get(name).ok_or_else(|| missing(name))?;
        let new = f(old)?;
        weights.insert(name.into(), new);
        Ok::<_, Error>(())
    };
    change("encoder.conv_out.weight", &|w| {
        let means = w
            .narrow(0, 0, n)?
            .broadcast_mul(&gains.reshape((n, 1, 1, 1))?)?;
        Tensor::cat(&[means, w.narrow(0, n, n)?], 0)
    })?;
    change("encoder.conv_out.bias", &|b| {
        let means = ((b.narrow(0, 0, n)? * &gains)? + &offsets)?;
        Tensor::cat(&[means, (b.narrow(0, n, n)? + &log_gains)?], 0)
    })?;
    let decoder = weights.get("decoder.conv_in.weight").cloned();
    let decoder = decoder.ok_or_else(|| missing("decoder.conv_in.weight"))?;
    let by_input = decoder.broadcast_div(&gains.reshape((1, n, 1, 1))?)?;
    let shift = by_input
        .sum((2, 3))?
        .broadcast_mul(&offsets.reshape((1, n))?)?
        .sum(D::Minus1)?;
    let bias = weights.get("decoder.conv_in.bias").cloned();
    let bias = (bias.ok_or_else(|| missing("decoder.conv_in.bias"))? - shift)?;
    weights.insert("decoder.conv_in.weight".into(), by_input);
    weights.insert("decoder.conv_in.bias".into(), bias);
    Ok(weights)
}

impl Stage for VaeStage<'_> {
    type Batch = VaeBatch;

    const LAYOUT: Layout = Layout {
        weights: VAE_NAME,
        left_out: None,
    };

    fn run_config(&self) -> &RunConfig {
        &self.config.run
    }

    fn batch(&self, step: usize, micro: usize) -> Result<VaeBatch> {
        let mut rng = rng_at(self.config.run.seed, step, micro);
        let n = self.config.samples;
        let first = ((step * self.config.run.micro_batches + micro) * n) as u64;
        let pixels = self.pixels(first..first + n as u64, &mut rng)?;
        let [rows, columns] = self.config.crop.map(|side| side / self.downsample);
        let shape = (3 * n, self.z_channels, rows, columns);
        let count = 3 * n * self.z_channels * rows * columns;
        let noise: Vec<f32> = StandardNormal.sample_iter(&mut rng).take(count).collect();
        let noise = Tensor::from_vec(noise, shape, &Device::Cpu)?;
        Ok(VaeBatch { pixels, noise })
    }

    fn settings(&self) -> Result<serde_json::Value> {
        settings_of(self.config)
    }

    fn counts(&self, batch: &VaeBatch) -> Counts {
        Counts {
            samples: batch.pixels.dims()[0] as f64,
            ..Counts::default()
        }
    }

    fn loss(&self, batch: &VaeBatch, totals: &Counts) -> Result<(Tensor, Metrics)> {
        let n = batch.pixels.dim(0)?;
        let share = n as f64 / totals.samples;
        let moments = self.vae.moments(&batch.pixels)?;
        let latent = self.vae.latent(&moments, Some(&batch.noise))?;
        let error = (self.vae.decode(&latent)? - &batch.pixels)?;
        let squared = error.sqr()?;
        let recon = (error.abs()?.mean_all()? + squared.mean_all()?)?;
        let halves = moments.chunk(2, 1)?;
        let (mean, log_variance) = (&halves[0], &halves[1]);
        let kl = ((mean.sqr()? + log_variance.exp()?)? - log_variance)?;
        let kl = ((kl.mean_all()? - 1.0)? * 0.5)?;
        let loss = ((recon + (&kl * self.config.loss.kl)?)? * share)?;
        let mut metrics = Metrics::new();
        metrics.insert(
            "kl".into(),
            (f64::from(kl.to_scalar::<f32>()?) * share, share),
        );
        // Images, depth maps and segmentations alternate; the range of [−1, 1] is 2.
        let by_image: Vec<f32> = squared.detach().flatten_from(1)?.mean(1)?.to_vec1()?;
        for (i, squared) in by_image.iter().enumerate() {
            let name = ["psnr_rgb_db", "psnr_depth_db", "psnr_segmentation_db"][i % 3];
            let entry = metrics.entry(name.into()).or_default();
            entry.0 += 10.0 * (4.0 / f64::from(squared.max(1e-10))).log10();
            entry.1 += 1.0;
        }
        Ok((loss, metrics))
    }
}
