//! `cooper eval`: how good a model is, in tables that say how they came about.

mod artist;
mod depth;
mod judge;
mod output;
mod qa;
mod record;
mod segmentation;
mod source;
mod work;

use clap::{Args, Subcommand};
use cooper_model::Result;

use super::verdict::Verdict;

/// Measure a model on images whose truth is known
#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Depth(depth::DepthArgs),
    Segmentation(segmentation::SegmentationArgs),
    Qa(qa::QaArgs),
}

impl EvalArgs {
    /// Measure, print, write; bad if it was interrupted.
    pub(super) fn run(self) -> Result<Verdict> {
        match self.task {
            Task::Depth(args) => args.run(),
            Task::Segmentation(args) => args.run(),
            Task::Qa(args) => args.run(),
        }
    }
}
