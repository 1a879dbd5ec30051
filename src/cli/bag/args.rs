//! The arguments of `cooper bag`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use cooper_model::reasoning::DEFAULT_MAX_TURNS;
use cooper_model::{Error, Result};
use cooper_perception::pipeline::Task;

use super::super::ask::ModeName;
use super::super::model::{ModelArgs, SamplingArgs, at_least, positive};

/// Work on a recording: the node's topics of each camera in a bag (MCAP), or of a folder of images
///
/// The output has the stamps, frames and recording times of the images, and opens with ROS's tools. What is damaged
/// in the input is left out and told.
#[derive(Debug, Args)]
pub(crate) struct BagArgs {
    /// An .mcap file, the folder of a bag, or a folder of .png and .jpg images
    #[arg(value_name = "IN.mcap")]
    pub(super) input: PathBuf,
    /// The .mcap file to write
    #[arg(value_name = "OUT.mcap")]
    pub(super) output: PathBuf,
    /// Ask this about each image; the answers are in /cooper/answer
    #[arg(long, value_name = "Q")]
    pub(super) question: Option<String>,
    /// How it is answered
    #[arg(long, value_enum, default_value_t = ModeName::Interleaved)]
    pub(super) mode: ModeName,
    /// Turns before the model must have answered
    #[arg(long, value_name = "N", value_parser = at_least::<1>, default_value_t = DEFAULT_MAX_TURNS)]
    pub(super) max_turns: usize,
    /// The maps that are drawn
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "depth,segmentation"
    )]
    pub(super) maps: Vec<MapName>,
    /// Only the images of this topic; may be given several times [default: every topic with images]
    #[arg(long, value_name = "TOPIC")]
    pub(super) topic: Vec<String>,
    /// The name of the topic's camera; may be given several times, in the same order [default: from the topic]
    #[arg(long, value_name = "NAME")]
    pub(super) camera: Vec<String>,
    /// Use every N-th image of a camera
    #[arg(long, value_name = "N", value_parser = at_least::<1>, default_value_t = 1)]
    pub(super) every: usize,
    /// Of a bag: use at most so many images a second of each camera [default: all];
    /// of a folder: so many images are a second [default: 1]
    #[arg(long, value_name = "HZ", value_parser = positive, verbatim_doc_comment)]
    pub(super) rate: Option<f64>,
    /// Write the input's own messages, too
    #[arg(long)]
    pub(super) copy: bool,
    /// Print one JSON object instead of answers
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) model: ModelArgs,
    #[command(flatten)]
    pub(super) sampling: SamplingArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MapName {
    /// Relative depth, as numbers and in colours
    Depth,
    /// Regions, as numbers, in colours and laid over the image
    Segmentation,
    /// None, for questions alone
    None,
}

impl BagArgs {
    /// What is done with each image.
    pub(super) fn tasks(&self) -> Result<Vec<Task>> {
        let mut tasks = Vec::new();
        if self.maps.contains(&MapName::Depth) {
            tasks.push(Task::Depth);
        }
        if self.maps.contains(&MapName::Segmentation) {
            tasks.push(Task::Segment);
        }
        match &self.question {
            Some(question) if question.trim().is_empty() => {
                return Err(Error::invalid("--question", "expected some text, got none"));
            }
            Some(question) => tasks.push(Task::Answer(question.trim().to_owned())),
            None if tasks.is_empty() => {
                let why = "nothing is left to do: expected a --question, or maps";
                return Err(Error::invalid("--maps none", why));
            }
            None => {}
        }
        Ok(tasks)
    }
}
