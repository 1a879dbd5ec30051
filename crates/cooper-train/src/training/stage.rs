//! A stage of training: where batches come from and what their loss is.

use std::collections::BTreeMap;

use candle_core::Tensor;
use cooper_model::Result;

use super::run_config::RunConfig;

/// Elements that the two losses are averaged over.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Text tokens with a loss.
    pub ce: f64,
    /// Latent tokens (or whatever else a stage averages over) with a loss.
    pub mse: f64,
    /// Samples.
    pub samples: f64,
    /// Tokens, with and without loss.
    pub tokens: f64,
}

impl Counts {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            ce: self.ce + other.ce,
            mse: self.mse + other.mse,
            samples: self.samples + other.samples,
            tokens: self.tokens + other.tokens,
        }
    }
}

/// Numbers to log, by name: a sum and what to divide it by.
pub type Metrics = BTreeMap<String, (f64, f64)>;

/// A stage of training: where batches come from and what their loss is.
pub trait Stage: Sync {
    /// A micro-batch, ready to run.
    type Batch: Send + Sync;

    /// Which weights file it trains.
    const LAYOUT: Layout;

    /// The settings of the run.
    fn run_config(&self) -> &RunConfig;

    /// Make micro-batch `micro` of `step`: a function of these, the seed and the present weights.
    ///
    /// # Errors
    /// If the data cannot be used.
    fn batch(&self, step: usize, micro: usize) -> Result<Self::Batch>;

    /// What the batch's losses are averaged over.
    fn counts(&self, batch: &Self::Batch) -> Counts;

    /// The batch's part of the step's loss (a scalar), where `totals` are the step's counts; and numbers to log.
    ///
    /// # Errors
    /// If the network fails.
    fn loss(&self, batch: &Self::Batch, totals: &Counts) -> Result<(Tensor, Metrics)>;

    /// Scores of data that is not trained on, with the weights as they are now; asked for at each checkpoint, whose
    /// averaged weights are in place then.
    ///
    /// # Errors
    /// If the data cannot be used or the network fails.
    fn validate(&self) -> Result<Metrics> {
        Ok(Metrics::new())
    }

    /// The stage's whole configuration, which a checkpoint keeps.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    fn settings(&self) -> Result<serde_json::Value>;
}

/// Which file of a model directory a stage trains.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The weights file, e.g. `ema.safetensors`.
    pub weights: &'static str,
    /// Prefix of the names of trained weights that are not part of the model.
    pub left_out: Option<&'static str>,
}
