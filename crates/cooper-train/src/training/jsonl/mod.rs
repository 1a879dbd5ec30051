//! Rows of a file in the form of COOPER's public training set, one JSON object a line.
//!
//! | rows | keys of a row | sample |
//! |---|---|---|
//! | `depth` | `rgb_image`, `depth_image` | the image (both encoders), the depth instruction, the depth map to draw |
//! | `segmentation` | `rgb_image`, `seg_image` | the same with the segmentation |
//! | `interleaved` | `interleaved_reason` | the interleaved system prompt, then texts and images in the row's order |
//!
//! Other keys of a row are ignored. Files are read when their row is drawn: a data set may be larger than memory.

mod config;
mod conversations;
mod maps;
mod row;

use std::path::PathBuf;

pub use config::{DepthDataset, DepthScale, GeneratedViews, JsonlRows, RowForm};
use cooper_imaging::ResizeRule;
use cooper_model::reasoning::Prompts;
use cooper_model::{Error, Result};
use rand::rngs::StdRng;

use self::row::Row;
use super::draws::{rng_at, row_of_epoch};
use super::sample::Sample;
use crate::json_lines::{JsonLines, folder_of};

/// A file of rows that samples are drawn from.
#[derive(Debug)]
pub(super) struct RowSource<'c> {
    config: &'c JsonlRows,
    root: PathBuf,
    lines: JsonLines,
    rule: ResizeRule,
    seed: u64,
}

impl<'c> RowSource<'c> {
    /// Find the rows of a file, and make a sample of the first. `rule` sizes maps, `seed` shuffles the rows.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::InvalidInput`] if it is empty, or about the first row.
    pub(super) fn open(
        config: &'c JsonlRows,
        prompts: &Prompts,
        rule: ResizeRule,
        seed: u64,
    ) -> Result<Self> {
        config.check()?;
        let source = Self {
            config,
            root: config
                .root
                .clone()
                .unwrap_or_else(|| folder_of(&config.file)),
            lines: JsonLines::open(&config.file)?,
            rule,
            seed,
        };
        if source.lines.len() == 0 {
            let what = config.file.display().to_string();
            return Err(Error::invalid(what, "expected rows of JSON, got none"));
        }
        source.row_sample(0, prompts, &mut rng_at(seed, 0, 0))?;
        Ok(source)
    }

    /// A sample of the row for sample number `n` of the run, see [`row_of_epoch`].
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with file, line and key if the row cannot be used.
    pub(super) fn sample(&self, prompts: &Prompts, n: u64, rng: &mut StdRng) -> Result<Sample> {
        let row = row_of_epoch(n, self.lines.len(), self.seed);
        self.row_sample(row, prompts, rng)
    }

    fn row_sample(&self, i: usize, prompts: &Prompts, rng: &mut StdRng) -> Result<Sample> {
        let row = Row {
            place: self.lines.place(i),
            root: &self.root,
            values: self.lines.read(i)?,
        };
        match self.config.rows {
            RowForm::Interleaved => {
                conversations::sample(&row, prompts, self.config.generated_views.into())
            }
            RowForm::Depth | RowForm::Segmentation => {
                maps::sample(&row, self.config, self.rule, prompts, rng)
            }
        }
    }
}
