//! `cooper bag`: the node's topics of a recording, without ROS.

mod answer;
mod job;
mod topics;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use cooper_bag::{Camera, DEFAULT_NAME, Damage, Input, Output, RateLimiter, Survey, choose};
use cooper_model::reasoning::Question;
use cooper_model::{Error, Result};
use cooper_perception::config::{Accepts, Value};
use cooper_perception::pipeline::Task;
use job::{Job, Watched, tell_loss};
use topics::node_topics;

use super::ask::ModeName;
use super::model::{ModelArgs, SamplingArgs, at_least, positive};
use super::progress::note;
use super::{Verdict, batch};

/// Task on a recording: the node's topics of each camera in a bag (MCAP), or of a folder of images
///
/// The output has the stamps, frames and recording times of the images, and opens with ROS's tools. What is damaged
/// in the input is left out and told.
#[derive(Debug, Args)]
pub(super) struct BagArgs {
    /// An .mcap file, the folder of a bag, or a folder of .png and .jpg images
    #[arg(value_name = "IN.mcap")]
    input: PathBuf,
    /// The .mcap file to write
    #[arg(value_name = "OUT.mcap")]
    output: PathBuf,
    /// Ask this about each image; the answers are in /cooper/answer
    #[arg(long, value_name = "Q")]
    question: Option<String>,
    /// How it is answered
    #[arg(long, value_enum, default_value_t = ModeName::Interleaved)]
    mode: ModeName,
    /// Turns before the model must have answered
    #[arg(long, value_name = "N", value_parser = at_least::<1>, default_value_t = 3)]
    max_turns: usize,
    /// The maps that are drawn
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "depth,segmentation"
    )]
    maps: Vec<MapName>,
    /// Only the images of this topic; may be given several times [default: every topic with images]
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// The name of the topic's camera; may be given several times, in the same order [default: from the topic]
    #[arg(long, value_name = "NAME")]
    camera: Vec<String>,
    /// Use every N-th image of a camera
    #[arg(long, value_name = "N", value_parser = at_least::<1>, default_value_t = 1)]
    every: usize,
    /// Of a bag: use at most so many images a second of each camera [default: all];
    /// of a folder: so many images are a second [default: 1]
    #[arg(long, value_name = "HZ", value_parser = positive, verbatim_doc_comment)]
    rate: Option<f64>,
    /// Write the input's own messages, too
    #[arg(long)]
    copy: bool,
    /// Print one JSON object instead of answers
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MapName {
    /// Relative depth, as numbers and in colours
    Depth,
    /// Regions, as numbers, in colours and laid over the image
    Segmentation,
    /// None, for questions alone
    None,
}

impl BagArgs {
    /// Read, work, write; bad if it was interrupted.
    pub(super) fn run(self) -> Result<Verdict> {
        let works = self.works()?;
        let folder_camera = self.camera.first().map_or(DEFAULT_NAME, String::as_str);
        let input = Input::find(&self.input, folder_camera, self.rate.unwrap_or(1.0))?;
        Output::check(&self.output, input.files())?;
        let cancel = batch::stop_on_interrupt()?;
        note(&format!("reading {}", self.input.display()));
        let survey = input.survey()?;
        let lost = survey.damage.lines();
        lost.iter().for_each(|loss| tell_loss(loss));
        let (cameras, remarks) = choose(&survey.topics, &self.topic, &self.camera)?;
        let names = cameras.iter().map(|camera| camera.name.clone()).collect();
        Accepts::TopicNames
            .check(&Value::Texts(names))
            .map_err(|why| Error::invalid("--camera", why))?;
        remarks.iter().for_each(|remark| note(remark));
        let cameras = self.watched(cameras, &input, &survey);
        for Watched { camera, n_used, .. } in &cameras {
            note(&format!(
                "{} as camera {}: {n_used} images",
                camera.topic, camera.name
            ));
        }
        let model = self.model.load()?;
        let text = (&self.sampling, self.mode.into(), self.max_turns);
        let mut job = Job {
            works,
            settings: self.model.settings(Some(text))?,
            model,
            output: Output::create(&self.output, input.files())?,
            own: node_topics(cameras.iter().map(|watched| &watched.camera)),
            progress: batch::Progress::new(cameras.iter().map(|watched| watched.n_used).sum()),
            cameras,
            cancel,
            answers: Vec::new(),
            lost,
            failures: Damage::default(),
            args: &self,
        };
        let ended = job.work(&input);
        job.progress.finish();
        let interrupted = match ended {
            Ok(()) => false,
            Err(Error::Canceled) => true,
            Err(error) => return Err(error),
        };
        job.tell(interrupted)
    }

    /// What is done with each image.
    fn works(&self) -> Result<Vec<Task>> {
        let mut works = Vec::new();
        if self.maps.contains(&MapName::Depth) {
            works.push(Task::Depth { seed: None });
        }
        if self.maps.contains(&MapName::Segmentation) {
            works.push(Task::Segment { seed: None });
        }
        match &self.question {
            Some(question) if question.trim().is_empty() => {
                return Err(Error::invalid("--question", "expected some text, got none"));
            }
            Some(question) => works.push(Task::Answer(Question::new(question.trim()))),
            None if works.is_empty() => {
                let why = "nothing is left to do: expected a --question, or maps";
                return Err(Error::invalid("--maps none", why));
            }
            None => {}
        }
        Ok(works)
    }

    fn watched(&self, cameras: Vec<Camera>, input: &Input, survey: &Survey) -> Vec<Watched> {
        // A folder's rate makes its stamps; it leaves out nothing.
        let rate = self.rate.filter(|_| matches!(input, Input::Bag(_)));
        let pace = RateLimiter::new(self.every, rate);
        let of = |camera: Camera| {
            let mut counted = pace.clone();
            let times = survey
                .topics
                .get(&camera.topic)
                .map(|topic| &topic.log_times);
            let used = times
                .into_iter()
                .flatten()
                .filter(|time| counted.takes(**time));
            Watched {
                n_used: used.count(),
                n_done: 0,
                pace: pace.clone(),
                camera,
            }
        };
        cameras.into_iter().map(of).collect()
    }
}
