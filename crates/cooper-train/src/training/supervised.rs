//! Stage 1 (drawing maps) and supervised fine-tuning: one stage with other data, frozen weights and loss weights.

use candle_core::Tensor;
use cooper_model::model::UnifiedModel;
use cooper_model::reasoning::Prompts;
use cooper_model::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::collate::{Collated, Collator, Dropout};
use super::dense::DenseTarget;
use super::draws::rng_at;
use super::losses::{cross_entropy, flow_error};
use super::mixture::{Mixture, Weighted};
use super::model_directory::ModelDirectory;
use super::parameters::Parameters;
use super::run_config::RunConfig;
use super::settings::settings_of;
use super::source_counts::SourceCounts;
use super::stage::{Counts, Layout, Metrics, Stage};

/// `cooper train amg` and `cooper train sft`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SupervisedTraining {
    /// The settings that all stages have in common.
    pub run: RunConfig,
    /// Samples of a micro-batch, at least 1.
    pub samples: usize,
    /// Weight of the text loss, the mean cross-entropy of tokens; from 0.
    pub ce_weight: f64,
    /// Weight of the flow loss, the mean squared error of latent values; from 0.
    pub mse_weight: f64,
    /// Shift of flow times, above 0; above 1, more of them lie near the noise.
    pub timestep_shift: f64,
    /// The chances that parts of the context are left out, for guidance.
    pub dropout: Dropout,
    /// Where samples come from, drawn by weight. Required.
    pub data: Vec<Weighted>,
}

impl Default for SupervisedTraining {
    fn default() -> Self {
        Self {
            run: RunConfig::default(),
            samples: 1,
            ce_weight: 1.0,
            mse_weight: 1.0,
            timestep_shift: 1.0,
            dropout: Dropout::default(),
            data: Vec::new(),
        }
    }
}

impl SupervisedTraining {
    fn check(&self) -> Result<()> {
        self.run.check()?;
        let refuse = |key: &str, why: String| Err(Error::invalid(key, why));
        if self.samples == 0 {
            return refuse("samples", "expected at least 1, got 0".into());
        }
        let Dropout { text, vit, vae } = self.dropout;
        for (key, chance) in [("text", text), ("vit", vit), ("vae", vae)] {
            if !(0.0..=1.0).contains(&chance) {
                let why = format!("expected a chance from 0 to 1, got {chance}");
                return refuse(&format!("dropout.{key}"), why);
            }
        }
        for (key, weight) in [
            ("ce_weight", self.ce_weight),
            ("mse_weight", self.mse_weight),
        ] {
            if !(weight >= 0.0 && weight.is_finite()) {
                return refuse(key, format!("expected a weight from 0, got {weight}"));
            }
        }
        if self.timestep_shift > 0.0 && self.timestep_shift.is_finite() {
            return Ok(());
        }
        refuse(
            "timestep_shift",
            format!("expected a number above 0, got {}", self.timestep_shift),
        )
    }
}

/// The stage.
#[derive(Debug)]
pub struct SupervisedStage<'c> {
    config: &'c SupervisedTraining,
    model: UnifiedModel,
    collator: Collator,
    mixture: Mixture<'c>,
}

impl<'c> SupervisedStage<'c> {
    /// The stage, and the weights that it trains.
    ///
    /// # Errors
    /// If the model directory, the prompts or the configuration cannot be used.
    pub fn new(config: &'c SupervisedTraining) -> Result<(Self, Parameters)> {
        config.check()?;
        let directory = ModelDirectory::read(&config.run.init)?;
        let preprocessor = &directory.config.preprocessor;
        let rule = preprocessor.rule(&preprocessor.vae);
        let prompts = Prompts::load(None, &config.run.init)?;
        let (model, side) = (&directory.config, directory.config.latent_downsample());
        let target = DenseTarget::of_model(model, side);
        let fit = (rule, &target);
        let mixture = Mixture::open(&config.data, prompts, fit, config.run.seed)?;
        let parameters = Parameters::new(directory.weights()?, &config.run.freeze)?;
        let stage = Self {
            config,
            model: directory.model(parameters.builder())?,
            collator: Collator::new(directory, config.dropout.clone(), config.timestep_shift)?,
            mixture,
        };
        Ok((stage, parameters))
    }
}

impl Stage for SupervisedStage<'_> {
    type Batch = (Collated, SourceCounts);

    const LAYOUT: Layout = Layout {
        weights: "ema.safetensors",
        left_out: None,
    };

    fn run_config(&self) -> &RunConfig {
        &self.config.run
    }

    fn batch(&self, step: usize, micro: usize) -> Result<Self::Batch> {
        let mut rng = rng_at(self.config.run.seed, step, micro);
        let n = self.config.samples;
        let first = ((step * self.config.run.micro_batches + micro) * n) as u64;
        let mut samples = Vec::with_capacity(n);
        let mut by_source = SourceCounts::new(self.mixture.names());
        for i in 0..n as u64 {
            let (source, sample) = self.mixture.sample(first + i, &mut rng)?;
            by_source.count(source);
            samples.push(sample);
        }
        Ok((self.collator.collate(&samples, &mut rng)?, by_source))
    }

    fn settings(&self) -> Result<serde_json::Value> {
        settings_of(self.config)
    }

    fn counts(&self, (batch, _): &Self::Batch) -> Counts {
        let n_text: usize = batch.texts.iter().map(|text| text.labels.len()).sum();
        let n_latent: usize = batch
            .drawings
            .iter()
            .map(|drawing| drawing.rows.len())
            .sum();
        Counts {
            ce: n_text as f64,
            mse: n_latent as f64,
            samples: batch.n_samples as f64,
            tokens: batch.packed.n_tokens() as f64,
        }
    }

    fn loss(&self, (batch, by_source): &Self::Batch, totals: &Counts) -> Result<(Tensor, Metrics)> {
        let hidden = batch.packed.forward(&self.model)?;
        let mut metrics = Metrics::new();
        by_source.add_to(&mut metrics);
        let mut losses = Vec::new();
        if !batch.texts.is_empty() {
            let ce = text_losses(&self.model, &hidden.text, batch)?;
            let (sum, n) = (ce.sum_all()?, ce.elem_count() as f64);
            metrics.insert("ce".into(), (f64::from(sum.to_scalar::<f32>()?), n));
            losses.push((sum * (self.config.ce_weight / totals.ce))?);
        }
        if let (Some(latents), false) = (&hidden.latents, batch.drawings.is_empty()) {
            let mse = flow_losses(&self.model, latents, batch)?; // (n)
            let (sum, n) = (mse.sum_all()?, mse.elem_count() as f64);
            metrics.insert("mse".into(), (f64::from(sum.to_scalar::<f32>()?), n));
            losses.push((sum * (self.config.mse_weight / totals.mse))?);
        }
        let Some(loss) = losses.into_iter().reduce(|a, b| (&a + &b).unwrap_or(a)) else {
            return Err(Error::invalid(
                "data",
                "expected a text or a drawing with a loss in each batch, got none",
            ));
        };
        Ok((loss, metrics))
    }
}

/// Cross-entropies (n) of all texts with a loss.
pub fn text_losses(model: &UnifiedModel, text: &Tensor, batch: &Collated) -> Result<Tensor> {
    let rows = batch.texts.iter().flat_map(|text| text.rows.clone());
    let rows: Vec<u32> = rows.map(|row| row as u32).collect();
    let labels: Vec<u32> = batch
        .texts
        .iter()
        .flat_map(|text| text.labels.clone())
        .collect();
    let rows = Tensor::new(rows, text.device())?;
    let logits = model.logits(&text.index_select(&rows, 0)?)?;
    Ok(cross_entropy(&logits, &labels)?)
}

/// Squared errors (n), the mean of a token's numbers, of all drawings.
fn flow_losses(model: &UnifiedModel, latents: &Tensor, batch: &Collated) -> Result<Tensor> {
    let rows = batch
        .drawings
        .iter()
        .flat_map(|drawing| drawing.rows.clone());
    let rows: Vec<u32> = rows.map(|row| row as u32).collect();
    let rows = Tensor::new(rows, latents.device())?;
    let velocity = model.velocity_head(&latents.index_select(&rows, 0)?)?;
    let all = |tensors: Vec<&Tensor>| Tensor::cat(&tensors, 0);
    let data = all(batch.drawings.iter().map(|drawing| &drawing.data).collect())?;
    let noise = all(batch
        .drawings
        .iter()
        .map(|drawing| &drawing.noise)
        .collect())?;
    Ok(flow_error(&velocity, &data, &noise)?.mean(1)?)
}
