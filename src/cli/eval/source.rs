//! The flags that say which images a model is measured on.

use clap::Args;
use cooper_model::Result;
use cooper_scenes::SceneConfig;
use cooper_train::evaluation::{Bootstrap, SceneSet};
use serde_json::{Value, json};

use super::super::model::at_least;
use super::super::scenes::SplitName;

/// Generated scenes instead of files.
#[derive(Debug, Args)]
#[command(next_help_heading = "Generated scenes")]
pub(super) struct SceneArgs {
    /// Measure on the first N scenes of a set, instead of --data
    #[arg(long, value_name = "N", value_parser = at_least::<1>, required_unless_present = "data", conflicts_with = "data")]
    pub scenes: Option<usize>,
    /// The set they are taken from
    #[arg(long, value_enum, default_value_t = SplitName::Test)]
    split: SplitName,
    /// Pixels of a row
    #[arg(long, default_value_t = SceneConfig::default().width)]
    width: u32,
    /// Rows
    #[arg(long, default_value_t = SceneConfig::default().height)]
    height: u32,
}

/// How many samples, and how sure the figures are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Measuring")]
pub(super) struct SampleArgs {
    /// At most so many samples, from the first on
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    pub limit: Option<usize>,
    /// How often the data are resampled for the intervals
    #[arg(long, value_name = "N", value_parser = at_least::<1>, default_value_t = Bootstrap::default().resamples)]
    resamples: usize,
}

impl SceneArgs {
    /// The scenes.
    pub(super) fn set(&self) -> Result<SceneSet> {
        let config = SceneConfig {
            width: self.width,
            height: self.height,
            ..SceneConfig::default()
        };
        config.check()?;
        Ok(SceneSet {
            config,
            split: self.split.into(),
            n: self.scenes.unwrap_or_default(),
        })
    }

    /// For the report.
    pub(super) fn describe(&self) -> Result<Value> {
        let SceneSet { config, split, n } = self.set()?;
        Ok(json!({"scenes": n, "split": split, "config": config}))
    }
}

impl SampleArgs {
    /// Intervals depend on the data alone, not on the model's seed.
    pub(super) fn bootstrap(&self) -> Bootstrap {
        Bootstrap {
            resamples: self.resamples,
            ..Bootstrap::default()
        }
    }

    /// How many of `n` samples are measured.
    pub(super) fn limited(&self, n: usize) -> usize {
        self.limit.map_or(n, |limit| limit.min(n))
    }
}
