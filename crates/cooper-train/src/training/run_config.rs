//! The settings that all stages have in common.

use std::path::PathBuf;

use cooper_model::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::optimizer::{AdamW, Schedule};

/// What all stages have in common.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// The model directory to start from. Required.
    pub init: PathBuf,
    /// The folder for checkpoints and the log. Required.
    pub out: PathBuf,
    /// Seed of everything random.
    pub seed: u64,
    /// Updates of the weights, at least 1.
    pub steps: usize,
    /// Batches whose gradients are averaged for an update, at least 1.
    pub micro_batches: usize,
    /// Threads that compute micro-batches side by side; 0: one for each core.
    pub threads: usize,
    /// AdamW with clipping and a moving average of the weights.
    pub optimizer: AdamW,
    /// How the learning rate changes over the run.
    pub schedule: Schedule,
    /// Names of weights that stay as they are; `*` matches any text.
    pub freeze: Vec<String>,
    /// Steps between log lines, at least 1.
    pub log_every: usize,
    /// Steps between checkpoints, at least 1.
    pub save_every: usize,
    /// Checkpoints to keep, at least 1; the oldest are deleted first.
    pub keep: usize,
    /// Save the averaged weights in bf16, as COOPER's are released, instead of f32.
    pub bf16: bool,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            init: PathBuf::new(),
            out: PathBuf::new(),
            seed: 4396,
            steps: 6000,
            micro_batches: 1,
            threads: 0,
            optimizer: AdamW::default(),
            schedule: Schedule::default(),
            freeze: Vec::new(),
            log_every: 10,
            save_every: 500,
            keep: 2,
            bf16: false,
        }
    }
}

impl RunConfig {
    /// # Errors
    /// [`Error::InvalidInput`] with the first value out of range.
    pub fn check(&self) -> Result<()> {
        let refuse = |key: &str, why: &str| Err(Error::invalid(key, why));
        for (key, number) in [
            ("steps", self.steps),
            ("micro_batches", self.micro_batches),
            ("log_every", self.log_every),
            ("save_every", self.save_every),
            ("keep", self.keep),
        ] {
            if number == 0 {
                return refuse(key, "expected at least 1, got 0");
            }
        }
        if self.out.as_os_str().is_empty() {
            return refuse("out", "expected a folder for checkpoints, got none");
        }
        self.optimizer.check()?;
        self.schedule.check()?;
        if !self.init.is_dir() {
            let why = format!(
                "expected a model directory, found none at {}",
                self.init.display()
            );
            return refuse("init", &why);
        }
        Ok(())
    }

    /// Threads that compute: one for each core or as configured, at most one for each micro-batch.
    pub fn n_threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let wanted = if self.threads == 0 {
            cores
        } else {
            self.threads
        };
        wanted.min(self.micro_batches)
    }
}
