//! `cooper doctor`: what a model directory holds and whether it can run here, from headers only.
//!
//! The exit code is about the files: 1 if they cannot be loaded. Memory is reported, not judged,
//! since a GPU's memory or swap may make up for what is missing.

mod files;
mod kind;
mod machine;
mod memory;
mod numbers;
mod report;

use std::path::PathBuf;

use clap::Args;
use cooper_model::{Error, Result};

pub(super) use self::numbers::size;
use self::report::Report;
use super::model::{default_model, image_size};
use super::output;
use super::verdict::Verdict;

/// Say what a model directory holds, what is missing and what memory it needs, without loading it
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Model directory [default: models/cooper-nano]
    model_dir: Option<PathBuf>,
    /// Transformer weights, where they lie apart from the configs
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Size of the images that memory is planned for
    #[arg(long = "picture", value_name = "WxH", value_parser = image_size, default_value = "640x480")]
    image: (u32, u32),
    /// Print one JSON object instead of words
    #[arg(long)]
    json: bool,
}

impl DoctorArgs {
    /// Print the report; bad if the model cannot be loaded.
    pub(super) fn run(self) -> Result<Verdict> {
        let dir = self.model_dir.map_or_else(default_model, Ok)?;
        if !dir.is_dir() {
            let got = match dir.exists() {
                true => "a file",
                false => "no such folder",
            };
            return Err(Error::Weights {
                why: format!("expected a model directory, got {got}"),
                path: dir,
            });
        }
        let report = Report::examine(&dir, self.weights.as_deref(), self.image);
        if self.json {
            output::print_json(&report)?;
        } else {
            output::print(&report.to_string())?;
        }
        Ok(Verdict::good_if(report.loadable))
    }
}
